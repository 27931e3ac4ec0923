"""The verbs of the command line, one file each. This table is all that the top level needs to know of them."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from importlib import import_module
from typing import Final, Protocol, cast

VERBS: Final[Mapping[str, str]] = {
    "list": "boards plugged in, emulators, running rigs",
    "status": "what a running rig reads right now",
    "tui": "the screens: watch, tune and stop a rig, or look at a recording",
    "run": "power a board up, hash for a while, make it safe, print the result",
    "set": "move the clock or the core voltage of a running rig",
    "profile": "named operating points: save, list, load, delete",
    "emulate": "serve an emulated board on two pseudo-terminals",
    "record": "run, and keep every byte of both ports in a file",
    "replay": "print the frames of a recording with time, direction and meaning",
    "chain": "which chips answer on a bare hash board; starts nothing, cannot cut its power",
    "bridge": "what the bridge of a board says of itself: firmware, pins, ADC, fan, losses",
    "doctor": "what stands between this machine and a board; writes to no device",
}


class Verb(Protocol):
    """The shape of a verb's module."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Options and positionals of this verb."""
        ...

    def run(self, arguments: Namespace) -> int:
        """Do it. Returns an exit code; project errors and `OSError` may escape and are turned into one."""
        ...


def load(name: str) -> Verb:
    """The module of one verb. Imported only when asked for, so that the others cost nothing."""
    return cast(Verb, import_module(f"{__name__}.{name}"))
