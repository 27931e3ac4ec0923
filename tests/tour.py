"""The pictures of the docs: `python -m tests.tour --write docs/pictures`, or `make pictures`.

They are screens of the recorded run of tests/tui/recorded.py, not photographs: nobody has to set anything up, and the
same code gives the same pictures. `tests/tui/test_tour.py` says when they are no longer of these screens.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path
from typing import Final

from tests.tui import scenes
from tests.tui.pictures import ROOT, Versions, svg_of
from tests.tui.recorded import Run, record

PICTURES: Final = ROOT / "docs" / "pictures"
TOUR: Final[dict[str, tuple[str, scenes.Scene]]] = {
    "board": ("hashbridge: a board that hashes", scenes.live("board")),
    "tune": ("hashbridge: a staged point and what the guard says of it", scenes.staged_and_granted),
    "trial": ("hashbridge: a change on trial", scenes.on_trial),
    "log": ("hashbridge: what led to what", scenes.cause_chain),
    "stop": ("hashbridge: after an emergency stop", scenes.stopped),
    "boards": ("hashbridge: a rig of four boards", scenes.many()),
    "chips": ("hashbridge: the chips of a long chain", scenes.chips()),
    "recording": ("hashbridge: a recording at its fault", scenes.played),
}
"""File name to title and scene, in the order of docs/tour.md. The README shows the first."""


async def picture(run: Run, name: str) -> str:
    title, scene = TOUR[name]
    async with scene(run) as s:
        await s.settle()
        return svg_of(s.app, title)


async def write(run: Run, directory: Path) -> None:
    for name in TOUR:
        (directory / f"{name}.svg").write_text(await picture(run, name), encoding="utf-8")
    Versions.here().write(directory)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.tour", description=__doc__)
    parser.add_argument("--write", metavar="DIRECTORY", type=Path, required=True, help="where the SVG files go")
    directory: Path = parser.parse_args().write
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        run = Run.read(record(Path(scratch) / "run.jsonl"))
        asyncio.run(write(run, directory))


if __name__ == "__main__":
    main()
