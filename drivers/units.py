"""Units as types: mypy catches an amp handed in as a volt, and nothing is paid for it when running."""

from typing import NewType

Volts = NewType("Volts", float)
Amps = NewType("Amps", float)
Watts = NewType("Watts", float)
Celsius = NewType("Celsius", float)
Megahertz = NewType("Megahertz", float)
Rpm = NewType("Rpm", float)
Ratio = NewType("Ratio", float)
"""A share from 0 to 1."""
HashesPerSecond = NewType("HashesPerSecond", float)
Seconds = NewType("Seconds", float)
