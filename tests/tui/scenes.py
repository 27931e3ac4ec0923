"""Moments of the recorded run, set up on a screen: for the pictures that are compared and for those of the docs."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from controller.model import ChipSnapshot, ChipWork, FaultLatched, GuardState, PointStatus, Quality, Reading
from controller.work.verdicts import remarks
from drivers.asics.kind import next_power_of_two
from drivers.boards.board import Channel
from drivers.errors import Refused
from tests.tui.driving import NARROW, USUAL, Seat, StillClock, seat
from tests.tui.ports import ScriptedPort, changed, safe_off_done, scripted, with_readings
from tests.tui.recorded import Run

Scene = Callable[[Run], AbstractAsyncContextManager[Seat]]
THEMES: Final = ("hashbridge", "ansi-dark")
MODES: Final = ("board", "tune", "log")


def recorded(mode: str, size: tuple[int, int], theme: str) -> Scene:
    """The recording, paused: the board after a change went back, the tune screen on trial, the log at the latch."""

    @asynccontextmanager
    async def scene(run: Run) -> AsyncIterator[Seat]:
        place_s = {"board": run.reverted_s, "tune": run.on_trial_s, "log": run.latched_s}[mode]
        async with seat(run.open(place_s), mode=mode, size=size, theme=theme) as s:
            yield s

    return scene


def live(mode: str, size: tuple[int, int] = USUAL) -> Scene:
    """A live rig that hashes at stock."""

    @asynccontextmanager
    async def scene(run: Run) -> AsyncIterator[Seat]:
        async with seat(scripted(run, run.reverted_s), mode=mode, size=size) as s:
            yield s

    return scene


@asynccontextmanager
async def help_over_tune(run: Run) -> AsyncIterator[Seat]:
    async with seat(scripted(run, run.live_s), mode="tune", size=NARROW) as s:
        await s.press("question_mark")
        await s.until(lambda: s.modal == "HelpScreen")
        yield s


@asynccontextmanager
async def staged_and_granted(run: Run) -> AsyncIterator[Seat]:
    async with seat(scripted(run, run.live_s), mode="tune") as s:
        await s.press("plus", "plus", "v", "plus", "plus")
        await s.until(lambda: "would be granted now" in s.panel("verdict"))
        yield s


@asynccontextmanager
async def staged_and_refused(run: Run) -> AsyncIterator[Seat]:
    port = scripted(run, run.live_s)
    port.answer = lambda _board, _command: Refused("envelope", "core_v 1.4 V is outside 1 to 1.25 V")
    async with seat(port, mode="tune", size=NARROW) as s:
        await s.press("v", "e")
        await s.type("1.4")
        await s.press("enter")
        await s.until(lambda: "refused" in s.panel("verdict"))
        yield s


@asynccontextmanager
async def on_trial(run: Run) -> AsyncIterator[Seat]:
    async with seat(scripted(run, run.on_trial_s), mode="tune") as s:
        yield s


@asynccontextmanager
async def cause_chain(run: Run) -> AsyncIterator[Seat]:
    async with seat(scripted(run, run.latched_s), mode="log") as s:
        await s.press("up", "up", "up", "c")
        await s.until(lambda: "cause chain" in s.app.screen.query_one("#log").name_shown)  # type: ignore[attr-defined]
        yield s


@asynccontextmanager
async def stopped(run: Run) -> AsyncIterator[Seat]:
    """Everything confirmed."""
    hashing_s = run.position(FaultLatched) - 4.0
    cold = with_readings(run.snapshots(run.latched_s)[-1].boards[0], fan_rpm=5217.0)  # here the fan is not the fault
    port = scripted(run, hashing_s)
    async with seat(port) as s:
        await s.press("ctrl+x")
        for snapshot in run.snapshots(run.latched_s)[len(run.snapshots(hashing_s)) + 20 :]:
            port.show(changed(snapshot, state=GuardState.SAFE_OFF, latched=None, channels=cold))
        port.tell(safe_off_done(run, "gamma", at=port.newest))
        await s.until(lambda: "SAFE, confirmed" in s.panel("stop") and "SAFE OFF" in s.panel("heading"))
        yield s


@asynccontextmanager
async def stopped_in_part(run: Run) -> AsyncIterator[Seat]:
    """Of two boards one has confirmed everything, the other all but its rail."""
    port = scripted(run, run.live_s, names=("left", "right"))
    async with seat(port) as s:
        await s.press("ctrl+x")
        now = port.newest
        port.tell(safe_off_done(run, "left", at=now), safe_off_done(run, "right", confirmed=False, at=now))
        await s.until(lambda: "CONFIRMED" in s.panel("stop") and "SAFE, confirmed" in s.panel("stop"))
        yield s


MANY: Final = ("bitaxe-gamma", "bitaxe-gamma-2", "bitaxe-gamma-3", "bitaxe-gamma-4")


def many(size: tuple[int, int] = USUAL) -> Scene:
    """Four boards at once: one hashes, one on trial is warm, one has a weak chip, one is latched."""

    @asynccontextmanager
    async def scene(run: Run) -> AsyncIterator[Seat]:
        port = scripted(run, run.reverted_s, names=MANY)
        usual, fault = port.newest.boards[0], run.snapshots(run.latched_s)[-1].boards[0]
        trial = run.snapshots(run.on_trial_s)[-1].boards[0].pending
        assert usual.work is not None
        assert trial is not None
        trial = trial.model_copy(update={"until_s": usual.at_s + 8.0})
        weak = usual.work.model_copy(update={"remarks": ("the chip is weak: 82 of 100 known answers",)})
        port.change(MANY[1], channels=with_readings(usual, chip_c=67.5), pending=trial)
        port.change(MANY[2], work=weak)
        port.change(
            MANY[3], **{name: getattr(fault, name) for name in ("state", "latched", "channels", "work", "point")}
        )
        async with seat(port, mode="boards", size=size) as s:
            await s.press("end")
            await s.until(lambda: s.app.desk.selected == MANY[3] and "fan" in s.panel("remarks"))
            yield s

    return scene


def with_chips(run: Run, *chips: ChipWork, chip: str = "BM1362", kind: str = "synthetic") -> ScriptedPort:
    """The rig of the recorded run, but that its board has a chain of these chips."""
    port = scripted(run, run.live_s)
    board = port.newest.boards[0]
    count = len(chips)
    interval = 256 // next_power_of_two(count)
    line = tuple(
        ChipSnapshot(
            index=each.index,
            address=each.index * interval,
            chip_id=0x1362,
            finds=each.verified,
            hw_errors=each.hw_errors,
        )
        for each in chips
    )
    chain = board.chains[0].model_copy(update={"chip": chip, "chips": line, "expected_chips": count})
    assert board.work is not None
    work = board.work.model_copy(update={"kind": kind, "chips": chips, "remarks": remarks(chips)})
    info = run.info.model_copy(update={"chips": count, "chip": chip})
    shown = changed(port.newest, chains=(chain,), work=work)
    return ScriptedPort([info], run.events(run.live_s), [shown])


def long_chain() -> list[ChipWork]:
    """126 chips: one silent, one slow, two weak, the others as chance has it."""
    chance = random.Random(3)
    ill = {25: (0, 0), 40: (203, 1), 41: (390, 64), 97: (401, 21)}
    usual = [(round(chance.gauss(400.0, 20.0)), int(chance.random() < 0.2)) for _ in range(126)]
    counts = [ill.get(index, usual[index]) for index in range(126)]
    return [ChipWork(index=index, verified=finds, hw_errors=wrong) for index, (finds, wrong) in enumerate(counts)]


def answered(index: int, *found: int, due: int = 60, wrong: int = 0) -> ChipWork:
    """A chip with so many known answers of each domain."""
    return ChipWork(
        index=index, verified=3 * sum(found), hw_errors=wrong, due_by_domain=(due,) * 4, found_by_domain=found
    )


def chips(size: tuple[int, int] = USUAL) -> Scene:
    """The chips of a long chain, at one that is slow."""

    @asynccontextmanager
    async def scene(run: Run) -> AsyncIterator[Seat]:
        async with seat(with_chips(run, *long_chain()), mode="chips", size=size) as s:
            await s.press("down", "down", "down")
            await s.until(lambda: "slow" in s.panel("chip"))
            yield s

    return scene


@asynccontextmanager
async def few_chips(run: Run) -> AsyncIterator[Seat]:
    """Six chips under known-answer work: one with a dead domain, one weak."""
    six = [answered(index, 60, 60, 59, 60) for index in range(6)]
    six[2], six[4] = answered(2, 58, 51, 40, 12, wrong=93), answered(4, 60, 0, 60, 60)
    port = with_chips(run, *six, chip="BM1366", kind="pattern")
    async with seat(port, mode="chips", size=NARROW) as s:
        yield s


@asynccontextmanager
async def latched(run: Run) -> AsyncIterator[Seat]:
    async with seat(scripted(run, run.latched_s)) as s:
        yield s


@asynccontextmanager
async def played(run: Run) -> AsyncIterator[Seat]:
    """The recording at its fault."""
    async with seat(run.open(run.latched_s)) as s:
        yield s


@asynccontextmanager
async def lost(run: Run) -> AsyncIterator[Seat]:
    """The rig hung up 42 s ago."""
    port, clock = scripted(run, run.reverted_s), StillClock()
    async with seat(port, clock=clock) as s:
        port.hang_up()
        await s.until(lambda: not s.app.desk.store.line.up)
        clock.now_s += 42.0
        yield s


@asynccontextmanager
async def unknown(run: Run) -> AsyncIterator[Seat]:
    """A regulator that does not answer, and one doubtful sample of the die."""
    port = scripted(run, run.live_s)
    board = port.newest.boards[0]
    silent = Reading(value=None, at_s=board.at_s, quality=Quality.INVALID, evidence="no answer from 0x24")
    doubtful = board.channels[Channel.CHIP_C].model_copy(
        update={"value": 58.5, "quality": Quality.SUSPECT, "evidence": "23.1 K in 0.2 s"}
    )
    silenced = (Channel.CORE_V, Channel.CORE_A, Channel.CORE_W, Channel.POWER_W, Channel.VR_C, Channel.INPUT_V)
    channels = {**board.channels, **dict.fromkeys(silenced, silent), Channel.CHIP_C: doubtful}
    point = PointStatus(requested=board.point.requested, granted=board.point.granted)
    port.show(changed(port.newest, channels=channels, point=point))
    async with seat(port) as s:
        await s.until(lambda: s.app.desk.board is not None and s.app.desk.board.point == point)
        yield s


SNAPSHOTS: Final[dict[str, Scene]] = {
    **{
        f"{mode}-{width}x{height}-{theme}": recorded(mode, (width, height), theme)
        for mode in MODES
        for width, height in (NARROW, USUAL)
        for theme in THEMES
    },
    "boards-80x24": many(NARROW),
    "boards-120x40": many(),
    "chips-80x24": chips(NARROW),
    "chips-120x40": chips(),
    "few-chips-80x24": few_chips,
    "help-80x24": help_over_tune,
    "refused-80x24": staged_and_refused,
    "stop-120x40": stopped_in_part,
    "latched-120x40": latched,
    "lost-120x40": lost,
    "unknown-120x40": unknown,
}
