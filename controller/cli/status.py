"""`hashbridge status`: what a running rig reads right now."""

from __future__ import annotations

import asyncio
import sys
from argparse import ArgumentParser, Namespace
from typing import Final

from controller.attach import choose_rig
from controller.cli.exits import Exit
from controller.cli.live import add_rig_option, event_line, known_name, snapshot_line
from controller.cli.talk import Talk, facts, hashrate, number, table
from controller.model import BoardSnapshot, FanMode, FanStatus, Limit, Limits, Quality, Snapshot
from controller.overview import rate_hs, remarks, states, value_of, work_text
from controller.port import LiveRig
from controller.text import chip_clock, printable
from controller.text import fan as led_fan
from controller.text import hashrate as rate_text
from controller.text import number as known_number
from drivers.boards.board import Channel, Protection
from drivers.errors import NoReply

_FIRST_WAIT_S: Final = 5.0


def add_arguments(parser: ArgumentParser) -> None:
    add_rig_option(parser)
    parser.add_argument("--board", metavar="NAME", help="this one alone, in full, where the rig has several")
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="one hashbridge.snapshot/1 object")
    shape.add_argument("--jsonl", action="store_true", help="follow: snapshots and events, one object a line")


def run(arguments: Namespace) -> int:
    return asyncio.run(_run(arguments))


async def _run(arguments: Namespace) -> int:
    async with await LiveRig.connect(choose_rig(arguments.rig, "--rig").socket) as rig:
        names = [board.name for board in rig.info]
        board = None if arguments.board is None else known_name(arguments.board, names)
        if arguments.jsonl:
            await _follow(rig, board)
            return Exit.OK
        snapshot = only(await newest(rig), board)
    if arguments.json:
        print(snapshot_line(snapshot))
    elif len(snapshot.boards) == 1:
        print(board_text(snapshot.boards[0]))
    else:
        print(boards_text(snapshot))
        Talk(arguments.quiet).say("one of them in full: --board NAME")
    return Exit.OK


def only(snapshot: Snapshot, board: str | None) -> Snapshot:
    """With this board alone; None: as it is."""
    return snapshot if board is None else snapshot.model_copy(update={"boards": (found_in(snapshot, board),)})


def boards_text(snapshot: Snapshot) -> str:
    """Several boards for people: a line each, then what is out of the ordinary."""
    rows = [
        (
            printable(board.board),
            board.state.value,
            known_number(board.point.achieved.frequency_mhz, 2, "MHz"),
            known_number(board.point.achieved.core_v, 3, "V"),
            known_number(value_of(board, Channel.CHIP_C), 1, "C"),
            known_number(value_of(board, Channel.POWER_W), 1, "W"),
            work_text(board),
        )
        for board in snapshot.boards
    ]
    lines = [table(rows, header=("board", "state", "clock", "core", "die", "power", "work"))]
    lines += [printable(f"{board.board}: {said}") for board in snapshot.boards for said in remarks(board)]
    counted = ", ".join(f"{count} {state.value}" for state, count in states(snapshot.boards))
    together = rate_hs(snapshot.boards)
    lines.append(f"{len(rows)} boards: {counted}{'' if together is None else f'; {rate_text(together)} together'}")
    return "\n".join(lines)


def limits_text(limits: Limits) -> tuple[str, ...]:
    """Each limit with whose it is."""

    def of(limit: Limit, digits: int) -> str:
        return f"{limit.value:.{digits}f} ({limit.layer.value})"

    return (
        f"unlocked as far as {limits.reach.value}",
        f"clock {of(limits.frequency_mhz_min, 2)} to {of(limits.frequency_mhz_max, 2)} MHz",
        f"core {of(limits.core_v_min, 3)} to {of(limits.core_v_max, 3)} V",
        f"power {of(limits.power_w_max, 1)} W",
        f"die {of(limits.chip_c_warn, 0)}, {of(limits.chip_c_throttle, 0)}, {of(limits.chip_c_trip, 0)} C",
        f"regulator {of(limits.vr_c_warn, 0)}, {of(limits.vr_c_throttle, 0)}, {of(limits.vr_c_trip, 0)} C",
    )


def fan_text(fan: FanStatus) -> str:
    follows = fan.mode is FanMode.AUTO
    led = led_fan(follows, fan.target_chip_c, fan.floor_ratio)
    led += f"; full now: {fan.why_full}" if follows and fan.why_full is not None else ""
    return f"{led}; DEGRADED: {fan.degraded}" if fan.degraded is not None else led


def capped(board: BoardSnapshot) -> tuple[str, ...]:
    """Each chip that has a cap: that, the clock that it was told and the one that it reads."""
    chips = {chip.index: chip for chain in board.chains for chip in chain.chips}
    said = []
    for index, cap_mhz in sorted(board.caps_mhz.items()):
        chip = chips.get(index)
        clocks = (None, None) if chip is None else (chip.frequency_mhz, chip.read_mhz)
        said.append(chip_clock(index, cap_mhz, *clocks))
    return tuple(said)


def found_in(snapshot: Snapshot, board: str) -> BoardSnapshot:
    """A board that the rig says it has."""
    found = snapshot.of(board)
    assert found is not None, board
    return found


async def newest(rig: LiveRig) -> Snapshot:
    """The first snapshot that comes: the rig sends its newest at once."""
    try:
        async with asyncio.timeout(_FIRST_WAIT_S):
            async for snapshot in rig.snapshots():
                return snapshot
    except TimeoutError:
        raise NoReply("the first snapshot of the rig", _FIRST_WAIT_S) from None
    raise rig.lost or NoReply("the first snapshot of the rig", _FIRST_WAIT_S)


async def _follow(rig: LiveRig, board: str | None) -> None:
    async def events() -> None:
        async for event in rig.events():
            if board is None or event.board == board:
                _put(event_line(event))

    async def snapshots() -> None:
        async for snapshot in rig.snapshots():
            _put(snapshot_line(only(snapshot, board)))

    await asyncio.gather(events(), snapshots())


def _put(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def board_text(board: BoardSnapshot) -> str:
    """A board for people: state first, then what was asked, granted and achieved, then every channel with its age."""
    emulated = f", emulated (seed {board.seed}, one hash stands for {board.dilution})" if board.emulated else ""
    rows = [("board", f"{board.board}{emulated}"), ("state", board.state.value)]
    if board.latched:
        sensor = f" ({board.latched.sensor})" if board.latched.sensor else ""
        rows.append(("latched", f"{board.latched.cause.value}{sensor}: {board.latched.detail}"))
    point = board.point
    for name, part in (("requested", point.requested), ("granted", point.granted), ("achieved", point.achieved)):
        rows.append((name, f"{number(part.frequency_mhz, 2, 'MHz')}, {number(part.core_v, 3, 'V')}"))
    rows += [("cap", said) for said in capped(board)]
    if board.retry is not None:
        retry = board.retry
        when = f"in {max(0.0, retry.due_s - board.at_s):.0f} s" if retry.due_s is not None else "runs"
        wanted = f"{number(retry.wanted.frequency_mhz, 2, 'MHz')}, {number(retry.wanted.core_v, 3, 'V')}"
        rows.append(("retry", f"{retry.number} of {retry.of} {when}, after {retry.cause.value}; wanted: {wanted}"))
    if board.limits is not None:
        rows += [("limits", text) for text in limits_text(board.limits)]
    if board.fan is not None:
        rows.append(("fan", fan_text(board.fan)))
    if board.supply is not None:
        s = board.supply
        text = f"{s.open_v:.2f} V behind {s.ohm:.3f} ohm{' (estimated)' if s.estimated else ''}"
        rows.append(("supply", f"{text}{': WEAK' if s.weak else ''}"))
    for channel, reading in board.channels.items():
        if channel is Channel.STATUS_WORD and reading.value is not None:
            text = f"{int(reading.value):#06x}"
        else:
            text = number(reading.value, 3)
        age_s = board.at_s - reading.at_s
        if reading.quality is not Quality.GOOD or age_s > 1.0:
            text += f"  {reading.quality.value}, {age_s:.1f} s old{f': {reading.evidence}' if reading.evidence else ''}"
        rows.append((channel.value, text))
    rows.append(("protected by", ", ".join(sorted(guard.value for guard in board.protections)) or "NOTHING"))
    missing = [guard.value for guard in Protection if guard not in board.protections]
    rows.append(("not protected by", ", ".join(missing) or "-"))
    if board.work:
        work = board.work
        state = "running" if work.running else "ended"
        rows.append(("work", f"{work.kind}, {state}, {work.jobs} jobs in {work.elapsed_s:.0f} s"))
        if work.hashrate_hs is not None:
            rows.append(("rate", f"{hashrate(work.hashrate_hs)}, expected {hashrate(work.expected_hs)}"))
        if work.answers_due is not None:
            rows.append(("answers", f"{work.answers_found} of {work.answers_due}"))
        rows.append(("nonces", f"{work.verified} verified of {work.nonces}, {work.hw_errors} wrong"))
        rows += [("remark", said) for said in work.remarks]
    return facts(rows)
