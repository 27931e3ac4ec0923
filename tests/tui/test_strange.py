"""Readings that are no numbers, names that are no names: nothing breaks, and no terminal is given orders."""

from __future__ import annotations

import math
import unicodedata
from typing import Any

import pytest

from controller.model import (
    BoardAttached,
    BoardInfo,
    Cause,
    FaultRecord,
    Note,
    OperatingPoint,
    PendingPoint,
    PointStatus,
    Quality,
    Reading,
    Remark,
    Snapshot,
)
from controller.profiles import Profiles
from drivers.boards.board import Channel
from drivers.errors import Refused
from tests.tui.driving import Seat, seat
from tests.tui.ports import ScriptedPort, changed, safe_off_done, scripted
from tests.tui.recorded import Run
from tests.tui.telling import Teller, utc, work

pytestmark = pytest.mark.real_time

UNPAINTABLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
NASTY = "[/x][red]\x1b[2J\x1b]0;title\x07\r\n\t\u202egnp.\u2066\u200d\ufeff温度計😀é\u0301\x85\x9b31m\x00"
LONG = NASTY * 300
NUMBERS = (math.nan, math.inf, -math.inf, None, -0.0, 1e308, -1e308, 5e-324)
SIZES = ((80, 24), (120, 40), (200, 60), (20, 5), (33, 17))


def unpaintable(s: Seat) -> list[str]:
    """What stands on the screen and should not, with its line."""
    found = []
    for y, strip in enumerate(s.app.screen._compositor.render_strips(s.app.size)):
        found += [f"{y}: {char!r}" for char in strip.text if unicodedata.category(char) in UNPAINTABLE]
        assert strip.cell_length == s.app.size.width, f"line {y}: {strip.text!r}"
    return found


def strange_snapshot(base: Snapshot, name: str, value: float | None) -> Snapshot:
    """Everything that can be absurd is."""
    board = base.boards[0]
    quality = Quality.GOOD if value is not None else Quality.INVALID
    channels = {
        channel: Reading(value=value, at_s=board.at_s, quality=quality, evidence=LONG if value is None else NASTY)
        for channel in Channel
    }
    number = 0.0 if value is None else value
    point = OperatingPoint(frequency_mhz=value, core_v=value)
    odd_work = work(
        kind=NASTY,
        elapsed_s=number,
        hashrate_hs=value,
        hashrate_ci95_hs=(number, number),
        expected_hs=number,
        verified=10**15,
    )
    return changed(
        base,
        board=name,
        channels=channels,
        point=PointStatus(requested=point, granted=point, achieved=point),
        work=odd_work,
        chains=tuple(chain.model_copy(update={"chip": NASTY, "ticket_difficulty": 10**30}) for chain in board.chains),
        pending=PendingPoint(revert_to=point, until_s=number, keep_within_s=number, refused=LONG),
        latched=None,
        dilution=0,
    )


def strange_info(info: BoardInfo, name: str) -> BoardInfo:
    return info.model_copy(update={"name": name, "title": NASTY, "unswitchable": (LONG, NASTY), "control": NASTY})


def strange_port(run: Run, name: str) -> ScriptedPort:
    port = scripted(run, run.reverted_s, names=(name, "other"))
    port._info = tuple(strange_info(info, info.name) for info in port.info)
    tell = Teller(name)
    tell(BoardAttached, firmware=NASTY, parts={}, hashing_suspected=True, emulated=True, dilution=-3, seed=None)
    tell(Remark, text=NASTY)
    tell(Note, level="error", text=LONG)
    tell.fault(sensor=NASTY, detail=LONG)
    port.tell(*tell.told)
    return port


@pytest.mark.parametrize("name", [LONG, "温" * 200], ids=["ten thousand characters", "wide"])
async def test_foreign_words_break_nothing_and_paint_nothing_that_a_terminal_obeys(
    run: Run, name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    port = strange_port(run, name)
    port.answer = lambda _board, _command: Refused(NASTY, LONG)
    profiles = Profiles(tmp_path_factory.mktemp("profiles"))
    async with seat(port, profiles=profiles, owner=True) as s:

        async def look(what: str) -> None:
            await s.settle()
            assert unpaintable(s) == [], what

        for mode in ("board", "tune", "log"):
            s.app.switch_mode(mode)
            await look(mode)
        await s.press("l", "l", "l", "up", "c")
        await look("log, everything, chain")
        await s.press("c", "question_mark")
        await look("help")
        await s.press("escape", "P")
        await look("profiles")
        await s.press("escape", "2", "plus")
        await s.until(lambda: "refused" in s.panel("verdict"))
        await look("verdict")
        await s.press("a")
        await s.until(lambda: s.toasts)
        await look("toast")
        await s.press("ctrl+x")
        port.tell(safe_off_done(run, name, confirmed=False))
        await s.until(lambda: s.app.desk.store.stop is not None and s.app.desk.store.stop.reports)
        await look("stop")
        assert "NOT CONFIRMED" in s.panel("stop").splitlines()[0]
        latch = FaultRecord(cause=Cause.FAN, sensor=NASTY, detail=LONG, at_s=0.0, at_utc=utc(0.0))
        port.change(latched=latch)
        await look("latched")
        assert "FAN (" in s.panel("heading")
        port.hang_up(LONG)
        await s.until(lambda: "LOST" in s.panel("heading"))
        await look("lost")


@pytest.mark.parametrize("mode", ["board", "tune", "log"])
async def test_numbers_that_are_none_are_shown_on_screens_of_every_size(run: Run, mode: str) -> None:
    port = strange_port(run, "gamma")
    base = port.newest
    async with seat(port, mode=mode) as s:
        for value in NUMBERS:
            port.show(strange_snapshot(base, "gamma", value))
            await s.until_it_is(port.newest, lambda: s.app.desk.store.snapshot)
            s.app.desk.step(1)
            await s.settle()
            assert unpaintable(s) == [], value
        for size in SIZES:
            await s.pilot.resize_terminal(*size)
            await s.settle()
            assert unpaintable(s) == [], size
        assert s.app.is_running


async def test_unknown_values_are_dashes_and_never_zeros(run: Run) -> None:
    port = scripted(run, run.live_s)
    unknown = Reading(value=None, at_s=port.newest.at_s, quality=Quality.INVALID, evidence="no answer")
    channels = dict.fromkeys(port.newest.boards[0].channels, unknown)
    port.show(changed(port.newest, channels=channels, point=PointStatus(), work=None, chains=()))
    async with seat(port) as s:
        readings: Any = s.panel("readings").splitlines()
        assert readings
        for line in readings:
            assert line.split()[-3:] == ["—", "no", "answer"], line
        assert "—" in s.panel("point")
        assert not any(digit in s.panel("point") for digit in "0123456789")
        assert "nothing counted yet" in s.panel("counters")
        assert "0.00" not in s.panel("readings") + s.panel("point")
