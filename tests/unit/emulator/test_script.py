"""A script of faults: checked whole before anything starts, then played at its times."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from drivers.transports.memory import memory_pair
from emulator.benches import BenchSettings
from emulator.benches.bitaxe import BitaxeGamma
from emulator.ports.memory import plug_in
from emulator.script import Script, ScriptError
from emulator.virtual_time import virtual_run
from tests.unit.boards.on_a_bench import gamma
from tests.unit.emulator.faults.asking import several, shown

HEAD = 'schema = "hashbridge.faults/1"\n'
GOOD = (
    HEAD
    + """
[[at]]
s = 30.0
do = "stall_fan"
[[at]]
s = 45
do = "garbage_once"
channel = "vr_c"
value = 127.88
[[between]]
from_s = 30.0
to_s = 65.0
do = "nak"
part = "emc2101"
[[between]]
from_s = 65.0
to_s = 70.0
do = "nak"
part = "emc2101"
p = 0.5
"""
)


def parse(text: str) -> Script:
    return Script.parse(text, BitaxeGamma().faults, "night.toml")


def test_steps_come_in_the_order_of_time_and_what_ends_goes_before_what_begins() -> None:
    steps = parse(GOOD).steps
    assert [(step.at_s, step.do, dict(step.arguments), step.entry) for step in steps] == [
        (30.0, "stall_fan", {}, "at 1"),
        (30.0, "nak", {"part": "emc2101"}, "between 1"),
        (45.0, "garbage_once", {"channel": "vr_c", "value": 127.88}, "at 2"),
        (65.0, "nak", {"part": "emc2101", "off": True}, "between 1"),
        (65.0, "nak", {"part": "emc2101", "p": 0.5}, "between 2"),
        (70.0, "nak", {"part": "emc2101", "p": 0.5, "off": True}, "between 2"),
    ]


AT = HEAD + "[[at]]\ns = 1\n"
BETWEEN = HEAD + "[[between]]\nfrom_s = 1\nto_s = 2\n"


@pytest.mark.parametrize(
    ("text", "entry", "key", "value", "allowed"),
    [
        ("", "", "schema", None, "'hashbridge.faults/1'"),
        ('schema = "hashbridge.faults/2"', "", "schema", "hashbridge.faults/2", "'hashbridge.faults/1'"),
        ("schema = ", "", "text", None, "TOML"),
        (HEAD + "speed = 3", "", "speed", 3, "schema, [[at]], [[between]]"),
        (HEAD + "at = 3", "", "at", 3, "[[at]], any number of them"),
        (HEAD + "[at]\ns = 3", "", "at", {"s": 3}, "[[at]], any number of them"),
        (HEAD + '[[at]]\ndo = "panic"', "at 1", "s", None, "0 to 1e+07 s"),
        (HEAD + '[[at]]\ns = -1\ndo = "panic"', "at 1", "s", -1, "0 to 1e+07 s"),
        (HEAD + '[[at]]\ns = true\ndo = "panic"', "at 1", "s", True, "0 to 1e+07 s"),
        (HEAD + '[[at]]\ns = "soon"\ndo = "panic"', "at 1", "s", "soon", "0 to 1e+07 s"),
        (AT, "at 1", "do", None, "ambient_c, "),
        (AT + 'do = "burn"', "at 1", "do", "burn", "ambient_c, "),
        (AT + 'do = "panic"\n[[at]]\ns = 2\ndo = "nak"', "at 2", "part", None, "emc2101, tps546"),
        (AT + 'do = "nak"\npart = "tmp451"', "at 1", "part", "tmp451", "emc2101, tps546"),
        (AT + 'do = "nak"\npart = "emc2101"\nq = 1', "at 1", "q", 1, "its arguments: part, p, off"),
        (AT + 'do = "lose_bytes"\np = 2', "at 1", "p", 2, "0 to 1"),
        (AT + 'do = "lose_bytes"\np = nan', "at 1", "p", None, "0 to 1"),
        (
            AT + 'do = "misread"\nchannel = "chip_c"\nvalue = 900',
            "at 1",
            "value",
            900.0,
            "-128 to 255.875 C for chip_c",
        ),
        (BETWEEN + 'do = "power_cycle"', "between 1", "do", "power_cycle", "what can be ended: ambient_c, "),
        (BETWEEN + 'do = "wedge"\noff = true', "between 1", "off", True, "no such key: it ends at to_s"),
        (HEAD + '[[between]]\nfrom_s = 2\nto_s = 2\ndo = "wedge"', "between 1", "to_s", 2.0, "later than from_s, 2"),
        (HEAD + '[[between]]\nfrom_s = 2\ndo = "wedge"', "between 1", "to_s", None, "0 to 1e+07 s"),
        (
            BETWEEN
            + 'do = "nak"\npart = "emc2101"\n[[between]]\nfrom_s = 1.5\nto_s = 9\ndo = "nak"\npart = 76\np = 0.1',
            "between 2",
            "from_s",
            1.5,
            "a time outside 1 to 2 s, when between 1 has the same fault on",
        ),
    ],
)
def test_the_first_thing_that_is_not_allowed_is_named_with_its_entry(
    text: str, entry: str, key: str, value: object, allowed: str
) -> None:
    with pytest.raises(ScriptError) as raised:
        parse(text)
    bad = raised.value
    assert (bad.file, bad.entry, bad.key) == ("night.toml", entry, key)
    assert value is None or bad.value == value
    assert bad.allowed.startswith(allowed)
    assert str(bad).startswith(f"night.toml{', ' if entry else ''}{entry}, {key}: ")


def test_two_parts_may_be_silent_at_once() -> None:
    text = BETWEEN + 'do = "nak"\npart = "emc2101"\n[[between]]\nfrom_s = 1\nto_s = 2\ndo = "nak"\npart = "tps546"'
    assert len(parse(text).steps) == 4


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "night.toml"
    path.write_bytes(b"schema = \xff")
    with pytest.raises(ScriptError, match=r"night.toml, byte 9: 255 is not allowed; allowed: UTF-8"):
        Script.load(path, BitaxeGamma().faults)


async def test_a_script_plays_at_its_times_and_tells_how_far_it_is() -> None:
    bench = BitaxeGamma()
    (_, control), (_, data) = memory_pair("control"), memory_pair("data")
    plug_in(bench, control, data)
    told: list[tuple[float, str, dict[str, Any], str]] = []
    loop = asyncio.get_running_loop()
    bench.faults.on_action = lambda name, given, by: told.append((loop.time(), name, dict(given), by))
    await asyncio.sleep(100.0)
    player = Script.parse(GOOD, bench.faults, "night.toml").play(bench.faults)
    assert player.as_dict() == {
        "name": "night.toml",
        "step": 0,
        "of": 6,
        "next": {"s": 30.0, "do": "stall_fan", "entry": "at 1"},
        "failed": [],
    }
    await asyncio.sleep(50.0)
    assert (player.done, player.as_dict()["next"]["do"]) == (3, "nak")
    await asyncio.sleep(50.0)
    assert (player.done, player.as_dict()["next"], player.failed) == (6, None, [])
    assert [(at_s, name) for at_s, name, _, _ in told] == [
        (130.0, "stall_fan"),
        (130.0, "nak"),
        (145.0, "garbage_once"),
        (165.0, "nak"),
        (165.0, "nak"),
        (170.0, "nak"),
    ]
    assert [by for _, _, _, by in told] == [f"night.toml {step}/6" for step in range(1, 7)]
    assert not bench.faults.bus.armed


async def test_a_script_that_is_stopped_does_nothing_more() -> None:
    bench = BitaxeGamma()
    player = Script.parse(AT + 'do = "wedge"', bench.faults).play(bench.faults)
    player.stop()
    await asyncio.sleep(5.0)
    assert (player.done, bench.faults.wedged) == (0, False)


async def test_a_step_that_cannot_be_done_is_kept_and_the_rest_goes_on() -> None:
    async with gamma() as on:
        text = AT + 'do = "replug_control"\n[[at]]\ns = 0.5\ndo = "unplug_control"\n[[at]]\ns = 2\ndo = "wedge"'
        player = Script.parse(text, on.bench.faults).play(on.bench.faults)
        await asyncio.sleep(5.0)
        assert player.failed == ["at 1: a port in memory comes back on a new wire"]
        assert on.bench.faults.wedged


async def test_two_faults_of_a_script_are_on_at_once_at_the_byte() -> None:
    text = (
        BETWEEN
        + 'do = "freeze_channel"\nchannel = "chip_c"\n'
        + ("[[between]]\nfrom_s = 1\nto_s = 9\ndo = 'misread'\nchannel = 'input_v'\nvalue = -183\n")
    )
    async with gamma(BenchSettings(first_temperature_quirk=False)) as on:
        await on.power_up(525.0, 1.150)
        Script.parse(text.replace("to_s = 2", "to_s = 9"), on.bench.faults).play(on.bench.faults)
        await asyncio.sleep(1.5)
        assert len(set(await several(on, "chip_c"))) == 1
        assert await shown(on, "input_v") == -183.0
        await asyncio.sleep(9.0)
        assert len(set(await several(on, "chip_c"))) > 1
        assert await shown(on, "input_v") == pytest.approx(5.2, abs=0.3)


CHANCE = HEAD + (
    "[[between]]\nfrom_s = 1\nto_s = 20\ndo = 'jumps'\np = 0.3\n"
    "[[between]]\nfrom_s = 1\nto_s = 20\ndo = 'nak'\npart = 'tps546'\np = 0.2\n"
    "[[between]]\nfrom_s = 1\nto_s = 20\ndo = 'lose_bytes'\np = 0.002\nport = 'control'\n"
)


async def _readings(seed: int) -> list[str]:
    async with gamma(BenchSettings(seed=seed)) as on:
        await on.power_up(525.0, 1.150)
        on.board.bridge._id = 7
        Script.parse(CHANCE, on.bench.faults).play(on.bench.faults)
        found = []
        for _ in range(60):
            await asyncio.sleep(0.2)
            found.append(repr((await on.board.read()).channels))
        return found


def test_the_same_seed_and_the_same_script_give_the_same_run_and_another_seed_another() -> None:
    first, again, other = (virtual_run(_readings(seed)) for seed in (7, 7, 8))
    assert first == again
    assert first != other
