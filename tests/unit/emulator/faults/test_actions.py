"""Actions by name and by method: one table, the same checks, one error."""

from __future__ import annotations

import asyncio
import inspect
import math
from pathlib import Path
from typing import Any

import pytest

from drivers.boards.board import Channel
from drivers.errors import NoReply
from emulator.benches.bitaxe import BitaxeGamma
from emulator.faults import ACTIONS, BadArgument, Faults, manual
from emulator.faults.sensors import CHANNELS, SEEN
from tests.unit.boards.on_a_bench import gamma

ROOT = Path(__file__).parents[4]


@pytest.fixture
def faults() -> Faults:
    return BitaxeGamma().faults


@pytest.mark.parametrize(
    ("do", "arguments", "key", "value", "allowed"),
    [
        ("burn", {}, "do", "burn", "ambient_c, "),
        (["stall_fan"], {}, "do", ["stall_fan"], "ambient_c, "),
        ("stall_fan", {"speed": 3}, "speed", 3, "its arguments: off"),
        ("stall_fan", {"off": 1}, "off", 1, "true, false"),
        ("nak", {}, "part", None, "emc2101, tps546"),
        ("nak", {"part": "tmp451"}, "part", "tmp451", "emc2101, tps546"),
        ("nak", {"part": 0x48}, "part", 0x48, "emc2101, tps546"),
        ("nak", {"part": "emc2101", "p": 1.5}, "p", 1.5, "0 to 1"),
        ("source_ohm", {"ohm": -0.1}, "ohm", -0.1, "0 to 10 ohm"),
        ("source_ohm", {"ohm": True}, "ohm", True, "0 to 10 ohm"),
        ("source_v", {"volts": "high"}, "volts", "high", "0 to 30 V"),
        ("source_v", {"volts": math.inf}, "volts", math.inf, "0 to 30 V"),
        ("lose_replies", {"count": 0}, "count", 0, "whole, 1 to 100000"),
        ("lose_replies", {"count": 1.0}, "count", 1.0, "whole, 1 to 100000"),
        ("kill_domain", {"domain": 4}, "domain", 4, "whole, 0 to 3"),
        ("lose_bytes", {"port": "usb"}, "port", "usb", "both, control, data"),
        ("unplug", {"port": "both"}, "port", "both", "control, data"),
        ("stick", {"part": "emc2101", "register": 256}, "register", 256, "0 to 255, OPERATION, "),
        ("stick", {"part": "emc2101", "register": 1, "data": "not hex"}, "data", "not hex", "1 to 32 bytes in hex"),
        ("double_writes", {"command": "OPERATION"}, "command", "OPERATION", "VOUT_COMMAND, VOUT_MAX, VOUT_MIN"),
        ("misread", {"channel": "mood"}, "channel", "mood", "chip_c, vr_c, "),
        ("misread", {"channel": "chip_c", "value": 300}, "value", 300.0, "-128 to 255.875 C for chip_c"),
        ("garbage_once", {"channel": "core_v", "value": -1}, "value", -1.0, "0 to 127 V for core_v"),
    ],
)
def test_what_is_not_allowed_is_one_error_with_key_value_and_what_is(
    faults: Faults, do: object, arguments: dict[str, Any], key: str, value: object, allowed: str
) -> None:
    with pytest.raises(BadArgument) as raised:
        faults.do(do, arguments)
    bad = raised.value
    assert (bad.key, bad.value) == (key, value)
    assert bad.allowed.startswith(allowed)
    assert f"{key}: {value!r} is not allowed; allowed: {allowed}" in str(bad)
    assert isinstance(bad, ValueError)


def test_nan_is_never_a_number(faults: Faults) -> None:
    with pytest.raises(BadArgument, match="ohm: nan is not allowed"):
        faults.source_ohm(math.nan)


def test_a_method_is_held_to_the_same_ranges_as_its_name(faults: Faults) -> None:
    with pytest.raises(BadArgument, match=r"degrade_fan, ratio: 1\.2 is not allowed; allowed: 0 to 1"):
        faults.degrade_fan(1.2)
    with pytest.raises(BadArgument, match=r"source_ohm, ohm: -1 is not allowed; allowed: 0 to 10 ohm"):
        faults.source_ohm(-1)


def test_off_has_to_be_named_so_that_a_bare_false_does_not_begin_what_it_was_to_end(faults: Faults) -> None:
    for action in ACTIONS.values():
        if action.lasting:
            method = inspect.signature(getattr(Faults, action.name))
            assert method.parameters["off"].kind is inspect.Parameter.KEYWORD_ONLY, action.name
    with pytest.raises(TypeError):
        faults.stall_fan(False)  # type: ignore[call-arg]


def test_a_refused_action_changes_nothing_and_is_told_to_nobody(faults: Faults) -> None:
    told: list[object] = []
    faults.on_action = lambda name, arguments, by: told.append((name, dict(arguments), by))
    with pytest.raises(BadArgument):
        faults.do("nak", {"part": "emc2101", "p": 2})
    assert not faults.bus.armed
    assert told == []
    faults.do("nak", {"part": "emc2101"})
    assert told == [("nak", {"part": "emc2101"}, "plant")]


def test_every_lasting_action_can_be_ended_before_it_began(faults: Faults) -> None:
    given = {"part": "tps546", "channel": "vr_c", "register": 1, "command": "VOUT_COMMAND"}
    for name, action in ACTIONS.items():
        taken = {argument.name for argument in action.arguments}
        if action.lasting and not (taken & {"port"} or name.startswith("unplug")):  # no port carries this bench
            faults.do(name, {**{key: given[key] for key in taken & set(given)}, "off": True})
    assert not faults.bus.armed
    assert not faults.channels.any()


async def test_all_faults_at_once_are_ended_by_one_word_and_the_board_powers_up_as_if_nothing_had_been() -> None:
    given = {"part": "tps546", "channel": "vr_c", "register": 0xAD, "command": "VOUT_COMMAND"}
    async with gamma() as on:
        faults = on.bench.faults
        for name, action in ACTIONS.items():
            if action.lasting and not name.startswith("unplug"):  # a port in memory comes back on another wire
                needed = {argument.name for argument in action.arguments} & set(given)
                faults.do(name, {key: given[key] for key in needed})
        await asyncio.sleep(5.0)
        with pytest.raises(NoReply):
            await on.board.bridge.gpio(0).get()
        faults.heal()
        await asyncio.sleep(400.0)
        await on.power_up(525.0, 1.150)
        await asyncio.sleep(5.0)
        await on.board.read()
        reading = await on.board.read()
        assert reading.channels[Channel.STATUS_WORD] == 0
        assert reading.channels[Channel.CORE_V] == pytest.approx(1.125, abs=0.01)
        assert reading.channels[Channel.INPUT_V] == pytest.approx(5.2, abs=0.2)
        assert await on.board.chain.read_clock() == pytest.approx(525.0)
        assert min(on.bench.chip.yields) > 0.9


def test_every_reading_seen_in_the_field_is_one_that_its_part_can_show() -> None:
    for seen in SEEN:
        assert CHANNELS[seen.channel].low <= seen.value <= CHANNELS[seen.channel].high
        assert seen.source


def test_the_page_of_faults_is_the_one_that_the_code_makes() -> None:
    written = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    assert written == manual.page(), "python -m emulator.faults.manual docs/faults.md"


def test_every_action_says_what_it_emulates_and_who_saw_it() -> None:
    for action in ACTIONS.values():
        assert action.emulates.endswith("."), action.name
        assert action.source, action.name


def test_the_page_is_written_to_the_file_that_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert manual.main([str(tmp_path / "faults.md")]) == 0
    assert (tmp_path / "faults.md").read_text(encoding="utf-8") == manual.page()
    assert manual.main([]) == 2
    assert "usage" in capsys.readouterr().err
