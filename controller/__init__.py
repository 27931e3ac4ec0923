"""What to do with a rig: the guard, the sentinel, the rig process, work, journal and command line."""

__version__ = "0.1.0"
