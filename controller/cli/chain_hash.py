"""`hashbridge chain --hash`: what it asks of a person first, what it prints, how it ends."""

from __future__ import annotations

import asyncio
from argparse import ArgumentParser, Namespace
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from controller.attach import synthetic_dilution
from controller.barehash import CLOCKS_MHZ, LONGEST_S, BareHash, BareOutcome, BareWish
from controller.barejournal import Accepted, BareJournal
from controller.cli.chips import CHIP_FREQUENCY, parse_chip_frequencies
from controller.cli.exits import Exit, exit_for, explain
from controller.cli.mask import add_mask_option, parse_mask
from controller.cli.quantities import parse_frequency, parse_seconds
from controller.cli.result import chip_object, trip_object, work_failure, work_fields, work_rows
from controller.cli.signals import Interrupts, on_signals
from controller.cli.talk import Talk, hashrate, number
from controller.clock import SystemClock
from controller.files import new_file
from controller.journal import Journal
from controller.model import Cause, StartWork, WorkSnapshot
from controller.paths import state_dir
from controller.safety.watcher_client import WatcherClient
from controller.work.meter import smallest_ticket_difficulty
from controller.work.planning import PATTERN_DIFFICULTY
from controller.work.verdicts import verdicts
from drivers.asics import AsicKind, pll
from drivers.asics.chain import Chain
from drivers.asics.survey import chips_named
from drivers.asics.versions import check_mask
from drivers.boards.hashboards import HashBoardKind
from drivers.errors import Refused, UsageError
from drivers.traits import Transport
from drivers.transports.descriptor import DescriptorTransport
from drivers.transports.memory import MemoryTransport
from drivers.units import HashesPerSecond, Megahertz

NOT_STOPPED: Final = "NOT STOPPED, cut the supply now"
_LONG_LINE_DILUTION: Final = 16
"""Times that of one chip: 126 at 200 MHz hash as much as twelve boards with one."""
_REMARKS_SHOWN: Final = 8
_DOMAINS_SHOWN: Final = 3
_ONLY_WITH_HASH: Final = (
    "supply",
    "accept_no_cutoff",
    "seconds",
    "frequency",
    "chip_frequency",
    "work",
    "version_mask",
    "journal",
)
_FEW: Final = 4
_ACCEPTED: Final = "said, because hashbridge cannot cut the power of this board and nothing measures its heat"


@dataclass(frozen=True, slots=True)
class HashWish:
    """What the command line asks for beyond the survey. `supply`: how a person named what only he can cut."""

    supply: str
    bare: BareWish
    dilution: int
    journal: str | None = None


def add_hash_options(parser: ArgumentParser) -> None:
    job = parser.add_argument_group(
        "hashing", "only when you can cut its supply yourself: all of the first four, or nothing but the survey happens"
    )
    job.add_argument("--hash", action="store_true", help="hash, if the survey finds nothing wrong")
    job.add_argument(
        "--supply", metavar="TEXT", help='what feeds the board and how you cut it: "APW12, switch in hand"'
    )
    job.add_argument(
        "--accept-no-cutoff", action="store_true", help="you know that hashbridge cannot cut the power of this board"
    )
    job.add_argument("--seconds", metavar="N", help=f"how long, {LONGEST_S:g} s at most")
    low, high = CLOCKS_MHZ
    job.add_argument("--frequency", metavar="F", help=f"MHz when bare, {low:g} (default) to {high:g}")
    job.add_argument(
        CHIP_FREQUENCY,
        metavar="N=F",
        action="append",
        help="another clock for chip N alone, within the same bounds; again for each",
    )
    job.add_argument("--work", metavar="WORK", help="pattern (default) or synthetic")
    add_mask_option(job)
    job.add_argument("--journal", metavar="FILE", help="keep what was accepted, steps, counts and the stop in FILE")


def hash_wish_of(arguments: Namespace, kind: AsicKind | None, chips: int, *, emulated: bool) -> HashWish | None:
    """None: the survey alone. Raises `UsageError` for the first thing that is missing or makes no sense."""
    if not arguments.hash:
        for option in _ONLY_WITH_HASH:
            if (value := getattr(arguments, option)) not in (None, False):
                raise UsageError(f"--{option.replace('_', '-')}", value, "only with --hash")
        return None
    supply = (arguments.supply or "").strip()
    if not supply:
        raise UsageError("--supply", arguments.supply, "what feeds the board and how you cut it, in your words")
    if not arguments.accept_no_cutoff:
        raise UsageError("--accept-no-cutoff", None, _ACCEPTED)
    if arguments.seconds is None:
        raise UsageError("--seconds", None, f"a time up to {LONGEST_S:g} s")
    seconds = parse_seconds(arguments.seconds)
    if seconds > LONGEST_S:
        raise UsageError("--seconds", arguments.seconds, f"a time up to {LONGEST_S:g} s")
    if arguments.baud is not None:
        raise UsageError("--baud", arguments.baud, "the rate of chips out of reset with --hash: reset them first")
    if kind is None:
        raise UsageError("--chip", None, "said with --hash: what is driven has to be known, not found")
    work = "pattern" if arguments.work is None else arguments.work
    if work not in ("pattern", "synthetic"):
        raise UsageError("--work", work, "pattern or synthetic")
    frequency_mhz = parse_frequency(f"{CLOCKS_MHZ[0]:g}" if arguments.frequency is None else arguments.frequency)
    _within_bounds("--frequency", arguments.frequency, frequency_mhz, kind)
    own_mhz = _own_clocks(arguments.chip_frequency or (), kind, chips)
    if work == "pattern" and not _fits_the_line(kind, chips, frequency_mhz):
        most = next(mhz for mhz in range(int(frequency_mhz), 0, -1) if _fits_the_line(kind, chips, mhz))
        why = f"above it the nonces of {chips} {kind.name} fill more than half of the line"
        raise UsageError("--frequency", arguments.frequency, f"{most} MHz at most with --work pattern: {why}")
    mean_mhz = (sum(own_mhz.values()) + (chips - len(own_mhz)) * frequency_mhz) / chips
    if work == "pattern" and not _fits_the_line(kind, chips, mean_mhz):
        why = "with them the nonces of all chips fill more than half of the line"
        raise UsageError(CHIP_FREQUENCY, " ".join(arguments.chip_frequency), f"less with --work pattern: {why}")
    mask = parse_mask(arguments.version_mask)
    if mask is not None:
        check_mask(kind, mask)
    dilution = synthetic_dilution(kind.name) * _LONG_LINE_DILUTION if emulated and work == "synthetic" else 1
    journal = None if arguments.journal is None else new_file(arguments.journal, "--journal")
    start = StartWork.model_validate({"work": work, "version_mask": mask})
    return HashWish(supply, BareWish(start, frequency_mhz, seconds, own_mhz), dilution, journal)


def _within_bounds(key: str, said: str | None, frequency_mhz: Megahertz, kind: AsicKind) -> None:
    low, high = CLOCKS_MHZ
    if not low <= frequency_mhz <= high:
        bound = f"{low:g} to {high:g} MHz: the bound of this command, since no temperature is measured"
        raise UsageError(key, said, bound)
    pll.solve(frequency_mhz, kind.pll_rule, kind.pll_shape)


def _own_clocks(said: Sequence[str], kind: AsicKind, chips: int) -> dict[int, Megahertz]:
    """By chip, from `N=F`."""
    own_mhz = parse_chip_frequencies(said, chips)
    for text, frequency_mhz in zip(said, own_mhz.values(), strict=True):
        _within_bounds(CHIP_FREQUENCY, text, frequency_mhz, kind)
    return own_mhz


def _fits_the_line(kind: AsicKind, chips: int, frequency_mhz: float) -> bool:
    """Whether known answers, which are worth difficulty 1, leave room for what the chips are asked beside them."""
    expected_hs = HashesPerSecond(frequency_mhz * 1e6 * kind.small_cores * chips)
    return smallest_ticket_difficulty(expected_hs, kind.fast_baud, kind.reply_bytes) <= PATTERN_DIFFICULTY


async def hash_on(
    port: Transport, name: str, kind: AsicKind, chips: int, board: HashBoardKind | None, wish: HashWish, talk: Talk
) -> BareOutcome:
    """One spell on a line that was found whole. `port`: opened, not started; closed at the end.

    Raises `Refused` for a real port that no child can inherit: nothing would stop the chips without this process.
    """
    ends = None if board is None else board.boundaries
    chain = Chain(port, kind, expected_chips=chips, dilution=wish.dilution, name=name, boundaries=ends)
    clock = SystemClock()
    watcher: WatcherClient | None = None
    try:
        journal = BareJournal(chain, clock, None if wish.journal is None else _opened(wish.journal))
        if not isinstance(port, DescriptorTransport | MemoryTransport):
            raise Refused("watcher", "on this system no other process can inherit the port and stop the chips")
        if isinstance(port, DescriptorTransport):
            watcher = WatcherClient(name, port.descriptor, chain.stop_frames(), directory=state_dir())
            await watcher.start()
    except BaseException:
        await port.aclose()
        raise
    loop = asyncio.get_running_loop()

    def look(phase: str, work: WorkSnapshot | None) -> None:
        talk.live(_live_parts(phase, work), loop.time())

    accepted = Accepted(
        supply=wish.supply,
        port=port.name if watcher is not None else None,
        board=None if board is None else board.name,
        seconds=wish.bare.seconds,
    )
    bare_wish = wish.bare
    journal.begun(
        accepted, bare_wish.work.work, bare_wish.frequency_mhz, bare_wish.own_mhz, watched=watcher is not None
    )
    bare = BareHash(chain, wish.bare, clock, watcher, look, journal)
    interrupts = Interrupts()

    def interrupted() -> None:
        talk.say("interrupted: stopping the chips (once more Ctrl+C leaves that to the watcher)")
        bare.interrupt()

    with on_signals(Interrupts.SIGNALS, interrupts.heard):
        interrupts.hand_to(interrupted)
        try:
            return await bare.run()
        finally:
            talk.settle()
            if journal.broken is not None:
                talk.warn(f"the journal {wish.journal} ends before the run: {journal.broken}")


def _opened(path: str) -> Journal:
    try:
        return Journal(path)
    except OSError as error:
        raise UsageError("--journal", path, f"a file that can be made ({error.strerror})") from error


def _live_parts(phase: str, work: WorkSnapshot | None) -> list[str]:
    if work is None:
        return [phase]
    parts = [f"{phase} {work.elapsed_s:.0f} s"]
    if work.answers_due is not None:
        parts.append(f"{work.answers_found}/{work.answers_due} answers")
    if work.hashrate_hs is not None:
        parts.append(hashrate(work.hashrate_hs))
    parts.append(f"{work.verified} verified")
    return [*parts, f"{work.hw_errors} wrong"] if work.hw_errors else parts


# --- what came of it --------------------------------------------------------------------------------------------------


def hash_object(board: HashBoardKind | None, wish: HashWish, outcome: BareOutcome, *, watched: bool) -> dict[str, Any]:
    """`hashing` of the object that `--json` prints, in the order of docs/cli.md."""
    work = outcome.work
    chips = work.chips if work is not None else ()
    return {
        "supply": wish.supply,
        "accepted_no_cutoff": True,
        "watched": watched,
        "dilution": wish.dilution,
        "work": wish.bare.work.work,
        "seconds": wish.bare.seconds,
        **work_fields(work),
        "frequency_mhz": outcome.frequency_mhz,
        "core_v": None,
        "chip_c": None,
        "bring_up_s": outcome.bring_up_s,
        "chips": [
            {
                "domain": None if board is None else board.domain_of(chip.index),
                "frequency_mhz": outcome.chips_mhz.get(chip.index, outcome.frequency_mhz),
                **chip_object(chip),
            }
            for chip in chips
        ],
        "remarks": list(work.remarks) if work is not None else [],
        "trip": None if outcome.trip is None else trip_object(outcome.trip),
        "failure": None if outcome.failure is None else str(outcome.failure),
        "interrupted": outcome.interrupted,
        "stop_confirmed": outcome.stopped,
        "stopped_by": outcome.stopped_by,
        "stop_s": round(outcome.stop_s, 3),
    }


def hash_rows(board: HashBoardKind | None, wish: HashWish, outcome: BareOutcome) -> Iterator[tuple[str, str]]:
    """The same for people."""
    yield "supply", wish.supply
    up = "" if outcome.bring_up_s is None else f", brought up in {outcome.bring_up_s:.1f} s"
    yield "point", f"{number(outcome.frequency_mhz, 2, 'MHz')}{up}; volts and heat are unknown"
    if outcome.chips_mhz:
        own = ", ".join(f"chip {chip}: {mhz:.2f} MHz" for chip, mhz in sorted(outcome.chips_mhz.items())[:_FEW])
        more = f", and {len(outcome.chips_mhz) - _FEW} more: --json has them" if len(outcome.chips_mhz) > _FEW else ""
        yield "clocks", f"{own}{more}"
    work = outcome.work
    if work is not None:
        rows = work_rows(wish.bare.work.work, work)
        said = [row for row in rows if row[0] == "remark"]
        yield from (row for row in rows if row[0] != "remark")
        yield from said[:_REMARKS_SHOWN]
        if len(said) > _REMARKS_SHOWN:
            yield "", f"and {len(said) - _REMARKS_SHOWN} more: --json has them"
        if board is not None:
            ill = {verdict.chip.index for verdict in verdicts(work.chips) if verdict.said}
            yield from domain_rows(board, ill, ill, "all of it: is its voltage right?")
    if outcome.trip is not None:
        yield "trip", f"{outcome.trip.cause.value}: {outcome.trip.detail}"
    if outcome.stopped:
        yield "stop", f"confirmed by read-back, by {outcome.stopped_by}, {outcome.stop_s:.2f} s after the decision"
    else:
        yield "stop", "NOT CONFIRMED"


def domain_rows(
    board: HashBoardKind, hit: Collection[int], lost: Collection[int], all_lost: str
) -> Iterator[tuple[str, str]]:
    """The voltage domains with chips that were `hit`, nearest the host first; where all of them are `lost`, that."""
    domains = sorted({board.domain_of(position) for position in hit})
    for domain in domains[:_DOMAINS_SHOWN]:
        chips = board.in_domain(domain)
        of_it = [position for position in chips if position in hit]
        what = all_lost if set(chips) <= set(lost) else f"{chips_named(of_it)} of it"
        yield "domain", f"{domain} (chips {chips[0]} to {chips[-1]}): {what}"
    if len(domains) > _DOMAINS_SHOWN:
        yield "domain", f"and {len(domains) - _DOMAINS_SHOWN} behind"


def verdict(outcome: BareOutcome, talk: Talk) -> Exit:
    """The exit code. What has to be done at once is said last."""
    if outcome.failure is not None:
        talk.warn(explain(outcome.failure))
    if outcome.trip is not None:
        talk.warn(f"TRIP {outcome.trip.cause.value}: {outcome.trip.detail}")
    if not outcome.stopped:
        talk.warn(NOT_STOPPED)
        lost = outcome.trip is not None and outcome.trip.cause is Cause.DATA_PORT_LOST
        return Exit.LINK if lost else Exit.FAILED
    if outcome.trip is not None:
        return Exit.TRIPPED
    if outcome.failure is not None:
        return exit_for(outcome.failure)
    if outcome.interrupted:
        return Exit.INTERRUPTED
    if (unproven := work_failure(outcome.work)) is not None:
        talk.warn(unproven)
        return Exit.FAILED
    return Exit.OK
