"""What an interrupted run has found, in a file: of which sources, which test enters what, and who noticed so far."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Final

from tests.mutation.mutants import ROOT
from tests.mutation.reach import Reach

SOURCES: Final = ("controller", "drivers", "emulator", "tests")


class OfOtherSources(ValueError):
    """The file is of a run over other sources: what it says may no longer be so."""


def fingerprint(root: Path = ROOT) -> str:
    """Of every Python file, by name and content."""
    whole = sha256()
    for folder in SOURCES:
        for path in sorted((root / folder).rglob("*.py")):
            whole.update(f"{path.relative_to(root)}\0{sha256(path.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()


class Kept:
    """`reach`: None until it is learned. `killers`: by mutant; None where nobody noticed. No path: kept nowhere."""

    def __init__(self, path: Path | None) -> None:
        """Raises `OfOtherSources`."""
        self.reach: Reach | None = None
        self.killers: dict[str, str | None] = {}
        self._path = path
        if path is None or not path.exists():
            return
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        if not lines or lines[0]["sources"] != fingerprint():
            raise OfOtherSources(f"{path} is of other sources than these; delete it, or name another file")
        self.reach = Reach.told(lines[0]["reach"])
        self.killers = {line["mutant"]: line["killer"] for line in lines[1:]}

    def learned(self, reach: Reach) -> None:
        self.reach = reach
        self._write({"sources": fingerprint(), "reach": reach.said()})

    def add(self, mutant: str, killer: str | None) -> None:
        self.killers[mutant] = killer
        self._write({"mutant": mutant, "killer": killer})

    def _write(self, line: object) -> None:
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
