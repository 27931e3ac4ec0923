"""Takes one rule of the safety code out at a time and sees whether a test notices. `make mutation`."""
