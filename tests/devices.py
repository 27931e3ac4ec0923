"""The table of supported devices in README.md, from the rows of the boards: `make devices`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Final

from drivers.boards import BOARDS
from drivers.boards.board import BoardKind
from emulator.benches import BENCHES
from tests.made_part import MadePart
from tests.vectors import rows

_SEEN_ON_A_WIRE: Final = ("capture", "hardware log")
"""How the origin of a vector begins that was recorded; others were computed or are what a driver sends."""


def captured(chip: str) -> int:
    """How many frames and values of this very chip that were recorded from hardware the tests hold the code against."""
    return sum(row["chip"] == chip and row["origin"].startswith(_SEEN_ON_A_WIRE) for row in rows("bm13xx"))


def line(kind: BoardKind) -> str:
    chips = kind.chip if kind.chips == 1 else f"{kind.chips} x {kind.chip}"
    enable = kind.envelope.input_v_enable
    cells = (
        f"`{kind.name}`",
        kind.title.partition(" (")[0],
        chips,
        f"{enable.low:g} to {enable.high:g} V",
        ", ".join(kind.parts),
        "yes" if kind.name in BENCHES else "no",
        f"{captured(kind.chip)} of the {kind.chip}",
        kind.on_hardware or "nothing yet",
    )
    return f"| {' | '.join(cells)} |"


def table() -> Iterator[str]:
    yield "| name | board | chips | input | parts | emulated | captured bytes | on hardware |"
    yield "|---|---|---|---|---|---|---|---|"
    yield from (line(kind) for _, kind in sorted(BOARDS.items()))


PART: Final = MadePart("devices", __doc__, lambda: "\n".join(table()))


if __name__ == "__main__":
    sys.exit(PART.main())
