"""The death trials of boards that go safe in another way than a Gamma: a rail that nobody can switch off, domains in
series, a pin that switches the regulator, a DAC behind such a pin. Three kinds each; `make death-trials BOARD=...`
makes all of them.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.deaths.field import LIMIT_S, MOVES_OF_SAFE_OFF, MOVES_TO_ITS_LOWEST, Field, Line, Trial, stripped
from tests.deaths.trials import both_killed, places, rig_killed, rig_stopped

WITHIN_S = 120.0


def trials_of(kind: str, directory: Path) -> dict[str, Trial]:
    async def all_of_them() -> dict[str, Trial]:
        place = Field(directory, kind)
        try:
            killed, stopped, both = await asyncio.gather(
                *(place.begin(one) for one in (rig_killed, rig_stopped, both_killed))
            )
        finally:
            place.close()
        return {"rig killed": killed, "rig stopped": stopped, "both killed": both}

    with places(directory), asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        return runner.run(asyncio.wait_for(all_of_them(), WITHIN_S))


@pytest.mark.real_time
@pytest.mark.alone
@pytest.mark.parametrize(
    ("kind", "moves"),
    [
        ("bitaxe-ultra-205", MOVES_TO_ITS_LOWEST),
        ("bitaxe-hex", MOVES_OF_SAFE_OFF),
        ("emberone00", MOVES_OF_SAFE_OFF),
        ("emberone00-v4", MOVES_OF_SAFE_OFF),
    ],
)
def test_a_board_of_another_kind_is_safe_within_two_seconds_of_the_last_beat(
    kind: str, moves: list[str], tmp_path: Path
) -> None:
    found = trials_of(kind, tmp_path)
    for name in ("rig killed", "rig stopped"):
        trial = found[name]
        assert trial.since_beat_s < LIMIT_S
        assert stripped(trial.moves) == moves
        assert trial.facts["confirmed"] is True
    assert found["rig stopped"].facts["control"] == found["rig stopped"].facts["moves"] == []
    both = found["both killed"]
    assert both.facts["left"]["hashing"], "with nobody there it goes on"
    assert both.facts["left"]["fan_duty"] == 1.0
    assert stripped(both.moves) == moves


def test_a_rail_that_nobody_can_switch_off_is_safe_at_its_lowest_alone(tmp_path: Path) -> None:
    dac, hexa = Field(tmp_path, "bitaxe-ultra-205"), Field(tmp_path, "bitaxe-hex")

    def rests(place: Field, what: str, detail: str = "") -> bool:
        return place.rests(Line(0.0, what, detail))

    assert rests(dac, "rail voltage", "1.000 V")
    assert not rests(dac, "rail voltage", "1.041 V")
    assert not rests(dac, "rail voltage", "1.201 V")
    assert rests(dac, "rail off")
    assert not rests(hexa, "rail voltage", "1.000 V")
    assert rests(hexa, "rail off")
    switched = Field(tmp_path, "emberone00-v4")  # a DAC, and a pin behind it
    assert not rests(switched, "rail voltage", "0.000 V")
    assert rests(switched, "rail off")
