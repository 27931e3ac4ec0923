"""What a sweep makes of a regulator whose answers may be noise."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from drivers.boards.board import Channel
from drivers.boards.rails import Tps546Rail
from drivers.boards.sweep import Sweep


async def status_of(*words: int) -> float | None:
    left = list(words)

    async def status_word() -> int:
        return left.pop(0)

    async def number() -> float:
        return 1.0

    part = SimpleNamespace(
        part=SimpleNamespace(value="TPS546D24A"),
        profile=SimpleNamespace(core_v=(0.5, 1.4)),
        status_word=status_word,
        input_v=number,
        output_v=number,
        output_a=number,
        die_c=number,
    )
    sweep = Sweep()
    await Tps546Rail(cast(Any, part), 1, 5.0).read(sweep)
    assert left == []
    return sweep.reading().channels[Channel.STATUS_WORD]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ((0x0000,), 0x0000),
        ((0x0844, 0x0844), 0x0844),
        ((0x0844, 0x08C4), 0x08C4),  # busy, as it may be at any time
        ((0x0844, 0x0000), 0x0000),
        ((0x37CC, 0xB14C), None),  # the same five bits, by chance (Gamma, SEED=5 ONLY=6428)
        ((0x37CC, 0x37CD), None),
    ],
)
async def test_a_status_that_ends_a_run_is_said_twice_in_all_its_bits(
    words: tuple[int, ...], found: int | None
) -> None:
    assert await status_of(*words) == found
