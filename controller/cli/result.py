"""The result of a run: one JSON object (`hashbridge.run/1`, fields in docs/cli.md) and one table for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from controller.cli.status import capped
from controller.cli.talk import facts, hashrate, number
from controller.model import BoardSnapshot, ChipWork, FaultLatched, FaultRecord, Reading, SafeOffRecord, WorkSnapshot
from drivers.boards.board import Channel
from drivers.errors import HashbridgeError

SCHEMA = "hashbridge.run/1"
YIELD_WANTED = 0.995
"""A known-answer test fails when even the upper end of the 95 % interval of its yield is below this."""
ERROR_SHARE_ALLOWED = 0.02
"""A known-answer test fails when more than this share of the nonces was wrong."""
_FEW_CHIPS = 8


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that a run leaves behind."""

    board: str
    emulated: bool
    dilution: int
    seed: int | None
    work_kind: str
    snapshot: BoardSnapshot | None
    """The newest one while the work ran; where none ran, the newest of all."""
    work: WorkSnapshot | None
    self_test: WorkSnapshot | None
    trips: tuple[FaultLatched, ...]
    safe_off: SafeOffRecord | None
    failure: HashbridgeError | None = None
    """What ended the run before its time, after the board had been energised."""
    overcome: int = 0
    """So many of the trips the board has come back from by itself."""
    retries: int = 0

    @property
    def tripped(self) -> bool:
        """A trip stands at the end."""
        return len(self.trips) > self.overcome

    @property
    def safe_off_confirmed(self) -> bool:
        return self.safe_off is not None and self.safe_off.confirmed


def work_failure(work: WorkSnapshot | None) -> str | None:
    """Why nothing is proven by what the chips did; None when it is."""
    if work is None or work.verified == 0:
        return "no verified nonce came back"
    unverified = _counted_unverified(work)
    return f"{unverified} nonces were counted without having been verified" if unverified else None


def _counted_unverified(work: WorkSnapshot) -> int:
    """How many nonces went into the yield or the rate without having been verified. Must be 0."""
    answers = (work.answers_found or 0) + work.extra
    tickets = 0
    if work.hashrate_hs is not None:
        tickets = round(work.hashrate_hs * work.elapsed_s / (work.ticket_difficulty * 2.0**32))
    return max(0, answers - work.verified, tickets - work.verified)


def self_test_failure(test: WorkSnapshot) -> str | None:
    """Why a known-answer test failed; None when it passed."""
    if not test.answers_due or test.yield_ci95 is None:
        return "no answer was due: the chip was fed no known work"
    if test.yield_ci95[1] < YIELD_WANTED:
        return (
            f"{test.answers_found} of {test.answers_due} known answers came back: even the upper end of the interval, "
            f"{test.yield_ci95[1]:.4f}, is below {YIELD_WANTED}"
        )
    if test.hw_errors > ERROR_SHARE_ALLOWED * test.nonces:
        return f"{test.hw_errors} of {test.nonces} nonces were wrong: more than {ERROR_SHARE_ALLOWED:.0%}"
    return None


def _value(reading: Reading | None) -> float | None:
    return None if reading is None else reading.value


def run_object(outcome: Outcome) -> dict[str, object]:
    """The object that `hashbridge run --json` prints, in the order of docs/cli.md."""
    work, snapshot = outcome.work, outcome.snapshot

    def channel(name: Channel) -> float | None:
        return _value(snapshot.channels.get(name)) if snapshot else None

    rpm = channel(Channel.FAN_RPM)
    result: dict[str, object] = {
        "schema": SCHEMA,
        "board": outcome.board,
        "emulated": outcome.emulated,
        "dilution": outcome.dilution,
        "seed": outcome.seed,
        "work": outcome.work_kind,
        **work_fields(work),
        "frequency_mhz": snapshot.point.achieved.frequency_mhz if snapshot else None,
        "core_v_set": snapshot.point.granted.core_v if snapshot else None,
        "core_v": channel(Channel.CORE_V),
        "core_w": channel(Channel.CORE_W),
        "input_v": channel(Channel.INPUT_V),
        "input_w": channel(Channel.INPUT_W),
        "power_w": channel(Channel.POWER_W),
        "chip_c": channel(Channel.CHIP_C),
        "vr_c": channel(Channel.VR_C),
        "fan_rpm": None if rpm is None else round(rpm),
        "chips": [chip_object(chip) for chip in work.chips] if work else [],
        "caps_mhz": dict(snapshot.caps_mhz) if snapshot else {},
        "remarks": list(work.remarks) if work else [],
        "trips": [trip_object(trip) for trip in outcome.trips],
        "retries": outcome.retries,
        "safe_off_confirmed": outcome.safe_off_confirmed,
    }
    if outcome.self_test is not None:
        test = outcome.self_test
        result["self_test"] = {
            "passed": self_test_failure(test) is None,
            "jobs": test.jobs,
            "answers_due": test.answers_due,
            "answers_found": test.answers_found,
            "yield": test.yield_ratio,
            "yield_ci95": list(test.yield_ci95) if test.yield_ci95 else None,
            "hw_errors": test.hw_errors,
            "remarks": list(test.remarks),
        }
    return result


def work_fields(work: WorkSnapshot | None) -> dict[str, object]:
    """What is counted of a spell of work, for every object that tells of one."""
    return {
        "jobs": work.jobs if work else 0,
        "answers_due": work.answers_due if work else None,
        "answers_found": work.answers_found if work else None,
        "yield": work.yield_ratio if work else None,
        "yield_ci95": list(work.yield_ci95) if work and work.yield_ci95 else None,
        "nonces": work.nonces if work else 0,
        "verified": work.verified if work else 0,
        "extra": work.extra if work else 0,
        "hw_errors": work.hw_errors if work else 0,
        "duplicates": work.duplicates if work else 0,
        "stale": work.stale if work else 0,
        "link_errors": work.link_errors if work else 0,
        "hashrate_hs": work.hashrate_hs if work else None,
        "hashrate_ci95_hs": list(work.hashrate_ci95_hs) if work and work.hashrate_ci95_hs else None,
        "expected_hs": work.expected_hs if work else None,
    }


def chip_object(chip: ChipWork) -> dict[str, object]:
    known = bool(chip.due_by_domain)
    return {
        "index": chip.index,
        "verified": chip.verified,
        "hw_errors": chip.hw_errors,
        "answers_due": sum(chip.due_by_domain) if known else None,
        "answers_found": sum(chip.found_by_domain) if known else None,
    }


def trip_object(trip: FaultLatched | FaultRecord) -> dict[str, object]:
    return {"cause": trip.cause.value, "sensor": trip.sensor, "detail": trip.detail, "at_s": trip.at_s}


def run_table(outcome: Outcome) -> str:
    """The same for people, within 80 columns."""
    snapshot, work = outcome.snapshot, outcome.work
    rows: list[tuple[str, str]] = [("board", _board_line(outcome))]
    if snapshot:
        rows += _point_rows(snapshot)
    if outcome.self_test is not None:
        why_not = self_test_failure(outcome.self_test)
        rows.append(("self-test", _answers(outcome.self_test) + (": passed" if why_not is None else ": FAILED")))
        rows += [("", said) for said in outcome.self_test.remarks]
    if work:
        rows += work_rows(outcome.work_kind, work)
    rows += [("trip", f"{trip.cause.value}: {trip.detail}") for trip in outcome.trips]
    if outcome.retries:
        stands = "; the last trip stands" if outcome.tripped else ""
        often = "once" if outcome.retries == 1 else f"{outcome.retries} times"
        rows.append(("retries", f"the board came back by itself {often}{stands}"))
    rows.append(("safe-off", _safe_off_line(outcome.safe_off)))
    return facts(rows)


def _board_line(outcome: Outcome) -> str:
    if not outcome.emulated:
        return outcome.board
    return f"{outcome.board}, emulated (seed {outcome.seed}, one hash stands for {outcome.dilution})"


def _point_rows(snapshot: BoardSnapshot) -> list[tuple[str, str]]:
    def channel(name: Channel, digits: int, unit: str) -> str:
        return number(_value(snapshot.channels.get(name)), digits, unit)

    point = snapshot.point
    return [
        (
            "point",
            f"{number(point.achieved.frequency_mhz, 2, 'MHz')}, core set {number(point.granted.core_v, 3, 'V')}, "
            f"read {channel(Channel.CORE_V, 3, 'V')}",
        ),
        *(("cap", said) for said in capped(snapshot)),
        (
            "power",
            f"core {channel(Channel.CORE_W, 1, 'W')}, as AxeOS reports it {channel(Channel.POWER_W, 1, 'W')}, "
            f"input {channel(Channel.INPUT_V, 2, 'V')}",
        ),
        (
            "heat",
            f"chip {channel(Channel.CHIP_C, 1, 'C')}, regulator {channel(Channel.VR_C, 1, 'C')}, "
            f"fan {channel(Channel.FAN_RPM, 0, 'rpm')}",
        ),
    ]


def work_rows(kind: str, work: WorkSnapshot) -> list[tuple[str, str]]:
    """A spell of work, for people."""
    rows = [("work", f"{kind}, {work.jobs} jobs in {work.elapsed_s:.1f} s, ticket difficulty {work.ticket_difficulty}")]
    if work.answers_due is not None:
        rows.append(("answers", _answers(work)))
    extra = "" if work.answers_due is None else f", {work.extra} beyond the known answers"
    rows.append(("nonces", f"{work.nonces} in, {work.verified} verified by double SHA-256{extra}"))
    rows.append(
        (
            "errors",
            f"{work.hw_errors} wrong, {work.duplicates} duplicate, {work.stale} stale, {work.link_errors} on the link",
        )
    )
    if work.hashrate_hs is not None:
        interval = work.hashrate_ci95_hs
        between = f" ({interval[0] / 1e12:.3f} to {interval[1] / 1e12:.3f}, 95 %)" if interval else ""
        rows.append(("rate", f"{hashrate(work.hashrate_hs)}{between}, expected {hashrate(work.expected_hs)}"))
    if len(work.chips) > 1:
        rows.append(("chips", _chips(work.chips)))
    return rows + [("remark", said) for said in work.remarks]


def _chips(chips: Sequence[ChipWork]) -> str:
    """Verified nonces by chip; of many chips the fewest and the most."""
    if len(chips) <= _FEW_CHIPS:
        return "verified " + ", ".join(f"{chip.index}: {chip.verified}" for chip in chips)
    low, high = min(chips, key=lambda chip: chip.verified), max(chips, key=lambda chip: chip.verified)
    return f"{len(chips)}, verified from {low.verified} (chip {low.index}) to {high.verified} (chip {high.index})"


def _answers(work: WorkSnapshot) -> str:
    text = f"{work.answers_found} of {work.answers_due} known answers"
    if work.yield_ratio is not None and work.yield_ci95:
        low, high = work.yield_ci95
        text += f", yield {work.yield_ratio:.4f} ({low:.4f} to {high:.4f}, 95 %)"
    return text


def _safe_off_line(record: SafeOffRecord | None) -> str:
    if record is None:
        return "NOT DONE"
    unconfirmed: Sequence[str] = [action.name for action in record.actions if not action.confirmed]
    if record.confirmed:
        return f"confirmed by read-back ({', '.join(action.name for action in record.actions)}), by the {record.by}"
    return f"NOT CONFIRMED: {', '.join(unconfirmed) or 'nothing was tried'}, by the {record.by}"
