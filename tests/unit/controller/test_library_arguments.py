"""What a script says wrongly is named with key, value and what is allowed, before anything moves."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from controller.library import AsyncRig, connect
from drivers.errors import PortMissing, Refused, Unplugged, UsageError
from tests.scenarios.gamma import stand

Verb = Callable[[AsyncRig], Awaitable[object]]

MHZ, VOLT = "400 to 1000 MHz", "1 to 1.35 V"
WRONG: list[tuple[str, Verb, str]] = [
    ("frequency_mhz: nan", lambda r: r.power_up(math.nan), MHZ),
    ("frequency_mhz: inf", lambda r: r.set_point(math.inf), MHZ),
    ("frequency_mhz: '525'", lambda r: r.power_up("525"), MHZ),  # type: ignore[arg-type]
    ("frequency_mhz: True", lambda r: r.power_up(True), MHZ),
    ("frequency_mhz: 1001", lambda r: r.set_point(1001), MHZ),
    ("core_v: 1150", lambda r: r.power_up(525.0, 1150), VOLT),
    ("core_v: 1.3501", lambda r: r.check_point(core_v=1.3501), VOLT),
    ("frequency_mhz or core_v is missing", lambda r: r.set_point(), "one of them, or both"),
    ("preset: 1", lambda r: r.set_point(525.0, preset=1), "True or False"),  # type: ignore[arg-type]
    ("keep_within_s: 0.5", lambda r: r.set_point(525.0, keep_within_s=0.5), "1 to 3600 s"),
    ("keep_within_s: nan", lambda r: r.set_point(525.0, keep_within_s=math.nan), "1 to 3600 s"),
    ("note: 5", lambda r: r.power_up(note=5), "0 to 500 characters"),  # type: ignore[arg-type]
    ("note: 'xxx", lambda r: r.set_point(525.0, note="x" * 501), "0 to 500 characters"),
    ("on_progress: 5", lambda r: r.power_up(on_progress=5), "a function, or None"),  # type: ignore[arg-type]
    ("on_progress: 5", lambda r: r.work("pattern", 1, on_progress=5), "a function"),  # type: ignore[arg-type]
    ("why is missing", lambda r: r.revert(None), "0 to 500 characters"),  # type: ignore[arg-type]
    ("reason: b'x'", lambda r: r.safe_off(b"x"), "0 to 500 characters"),  # type: ignore[arg-type]
    ("text: ''", lambda r: r.remark(""), "1 to 500 characters"),
    ("kind: 'mine'", lambda r: r.start_work("mine"), "one of pattern, synthetic, headers"),  # type: ignore[arg-type]
    ("headers is missing", lambda r: r.work("headers", 1.0), 'a path for work "headers"'),
    ("headers: 'x'", lambda r: r.start_work("pattern", headers="x"), "None for other work"),
    ("headers: '/no/such/file'", lambda r: r.start_work("headers", headers="/no/such/file"), "a file that exists"),
    ("headers: 5", lambda r: r.start_work("headers", headers=5), "a path"),  # type: ignore[arg-type]
    ("ticket_difficulty: 3", lambda r: r.start_work("synthetic", ticket_difficulty=3), "a power of two"),
    ("seed: -1", lambda r: r.start_work("pattern", seed=-1), "a whole number from 0"),
    ("version_mask: 4096", lambda r: r.start_work("synthetic", version_mask=0x1000), "bits of 0x1fffe000"),
    ("seed: 1.5", lambda r: r.start_work("pattern", seed=1.5), "a whole number"),  # type: ignore[arg-type]
    ("seconds: 0", lambda r: r.hold(0), "more than 0, at most 2.6784e+06 s"),
    ("seconds: nan", lambda r: r.work("pattern", math.nan), "more than 0"),
    ("seconds: '5'", lambda r: r.hold("5"), "more than 0"),  # type: ignore[arg-type]
    ("unlock: 'all'", lambda r: r.unlock("all"), "one of stock, range, hard"),  # type: ignore[arg-type]
    ("core_v: 1.4", lambda r: r.limit_session(core_v_max=1.4), VOLT),
    ("chip: 1", lambda r: r.cap_chip(1, 450.0), "a whole number from 0 to 0"),
    ("chip: True", lambda r: r.cap_chip(True, None), "a whole number"),
    ("frequency_mhz: 399", lambda r: r.cap_chip(0, 399), MHZ),
    ("frequency_mhz: nan", lambda r: r.check_cap(0, math.nan), MHZ),
    ("preset: 'no'", lambda r: r.cap_chip(0, None, preset="no"), "True or False"),  # type: ignore[arg-type]
    ("until: 5", lambda r: r.hold(5.0, until=5), "a function, or None"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("says", "verb", "allowed"), WRONG, ids=[str(number) for number in range(len(WRONG))])
async def test_a_wrong_argument_is_named_with_value_and_range_and_nothing_is_asked_of_the_rig(
    says: str, verb: Verb, allowed: str
) -> None:
    async with stand() as s:
        rig = AsyncRig(s.rig)
        await asyncio.sleep(0)
        told, moved = len(s.told), len(s.bench.actuations)
        with pytest.raises(UsageError) as caught:
            await verb(rig)
        assert str(caught.value).startswith(f"{says}")
        assert allowed in str(caught.value)
        assert (len(s.told), len(s.bench.actuations)) == (told, moved)


async def test_watching_for_a_time_that_is_none_is_refused_at_once() -> None:
    async with stand() as s:
        rig = AsyncRig(s.rig)
        with pytest.raises(UsageError, match=r"seconds: -1\.0"):
            rig.watch(-1.0)


async def test_a_condition_that_gives_no_reason_but_something_else_is_a_mistake() -> None:
    async with stand() as s:
        rig = AsyncRig(s.rig)
        await rig.power_up()
        with pytest.raises(UsageError, match="until: False is not allowed"):
            await rig.hold(5.0, until=lambda snapshot: False)  # type: ignore[arg-type, return-value]


async def test_numbers_of_other_libraries_are_numbers() -> None:
    async with stand() as s:
        rig = AsyncRig(s.rig)
        await rig.check_point(Fraction(500), Fraction(11, 10))  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="400 to 1000 MHz"):
            await rig.check_point(Fraction(1, 2))  # type: ignore[arg-type]


async def test_the_guard_has_the_last_word_on_what_is_inside_the_range() -> None:
    async with stand() as s:
        rig = AsyncRig(s.rig)
        with pytest.raises(Refused, match="only a live board"):
            await rig.set_point(500.0)


NO_RIG: list[tuple[dict[str, Any], str]] = [
    ({"emulate": "bitaxe-gamma", "port": "x"}, "emulate and port: "),
    ({"emulate": "bitaxe-gamma", "rig": 5}, "emulate and rig: "),
    ({"emulate": 5}, "emulate: 5 is not allowed; allowed: a name"),
    ({"port": ""}, "port: '' is not allowed"),
    ({"emulate": "bitaxe-gamma", "seed": "1"}, "seed: '1' is not allowed; allowed: a whole number"),
    ({"emulate": "bitaxe-gamma", "dilution": 3}, "dilution: 3 is not allowed; allowed: a power of two"),
    ({"emulate": "bitaxe-gamma", "solved": "/no/such"}, "solved: '/no/such' is not allowed; allowed: a file that exi"),
    ({"emulate": "bitaxe-gamma", "journal": "/"}, "journal: '/' is not allowed; allowed: a file that does not exist y"),
    ({"emulate": "bitaxe-gamma", "record": "/no/such/x"}, "record: '/no/such/x' is not allowed; allowed: a file in a"),
    ({"emulate": "bitaxe-gamma", "unlock": "all"}, "unlock: 'all' is not allowed; allowed: one of stock, range, hard"),
    (
        {"emulate": "bitaxe-gamma", "envelope": "/no/such"},
        "envelope: '/no/such' is not allowed; allowed: a file that ",
    ),
    ({"rig": 5, "unlock": "range"}, "unlock: 'range' is not allowed; allowed: only with emulate or port"),
    ({"emulate": "bitaxe-gamma", "work": "mine"}, "work: 'mine' is not allowed; allowed: one of pattern, synthetic"),
    ({"seed": 1}, "seed: 1 is not allowed; allowed: only with emulate or port"),
    ({"rig": 5, "journal": "x"}, "journal: 'x' is not allowed; allowed: only with emulate or port"),
    ({"rig": True}, "rig: True is not allowed; allowed: a path"),
    ({"board": 7}, "board: 7 is not allowed; allowed: a name"),
]


@pytest.mark.parametrize(("keys", "says"), NO_RIG)
def test_a_wrong_word_to_connect_is_named_before_anything_is_started(keys: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        connect(**keys)
    assert str(caught.value).startswith(says)


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"emulate": "toaster"}, "emulate: 'toaster' is not allowed; allowed: one of bitaxe-gamma"),
        (
            {"emulate": "bitaxe-gamma", "board": "x"},
            "board: 'x' is not allowed; allowed: only with port; emulate na",
        ),
        ({"port": "/dev/null", "seed": 3}, "seed: 3 is not allowed; allowed: only with emulate"),
        ({"port": "/dev/null"}, "board is missing; needed: one of bitaxe-gamma"),
    ],
)
async def test_what_only_the_ports_can_tell_is_named_in_the_words_of_a_script(keys: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        await connect(**keys)
    assert str(caught.value).startswith(says)


async def test_without_a_running_rig_there_is_none_to_join(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASHBRIDGE_RUNTIME_DIR", str(tmp_path / "r"))
    with pytest.raises(PortMissing, match="none runs"):
        await connect()
    with pytest.raises(PortMissing, match=r"rig 7: does not run; running: none"):
        await connect(rig=7)
    with pytest.raises(Unplugged, match=r"no\.sock"):
        async with connect(rig=tmp_path / "no.sock"):
            raise AssertionError("nobody serves it")
