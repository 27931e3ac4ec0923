"""A part of a page that is made from the tables of the code, between two marks: `make NAME` writes it anew."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_END: Final = "<!-- to here -->"


@dataclass(frozen=True, slots=True)
class MadePart:
    name: str
    """Of the target of make, and of the module in `tests`."""
    about: str | None
    make: Callable[[], str]

    @property
    def _begin(self) -> str:
        return f"<!-- made by `make {self.name}` from the rows of drivers/boards: change those -->"

    def block(self) -> str:
        """With the marks around it."""
        return f"{self._begin}\n\n{self.make()}\n\n{_END}"

    def put(self, page: str) -> str:
        """The page with its part made anew. `ValueError` when it has no place for it."""
        before, begin, rest = page.partition(self._begin)
        _, end, after = rest.partition(_END)
        if not begin or not end:
            raise ValueError(f"no {self._begin} ... {_END}")
        return before + self.block() + after

    def main(self) -> int:
        parser = argparse.ArgumentParser(prog=f"python -m tests.{self.name}", description=self.about)
        parser.add_argument("--write", type=Path, metavar="PAGE", help="put it there; without, it is printed")
        path = parser.parse_args().write
        if path is None:
            print(self.block())
        else:
            path.write_text(self.put(path.read_text(encoding="utf-8")), encoding="utf-8")
        return 0
