"""Benchmarks: `make bench`. Plain modules, no tests; JSON on stdout. Figures are of this machine, ratios carry over."""
