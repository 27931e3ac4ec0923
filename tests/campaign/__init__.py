"""Many random lives of an emulated board, each with a hostile operator and faults, judged by what was really so."""
