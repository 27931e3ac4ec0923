"""A bare line that hashes, in virtual time: brought up, fed, watched, and whatever ends it, stopped."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from controller.barehash import LOOK_S
from controller.journal import Journal, read_journal
from controller.model import (
    BareHashAccepted,
    Cause,
    StepApplied,
)
from drivers.asics import ASICS, pll
from drivers.asics.chain import SLEW_STEP_MHZ
from drivers.codecs.bm13xx import (
    DeviceCodec,
    HostCodec,
    Job,
    MidstateJob,
    NonceReply,
    ReadRegister,
    WriteRegister,
)
from drivers.errors import NoReply, Unplugged, VerifyError
from emulator.virtual_time import VirtualTimeLoop
from tests.scenarios.bare_line import Spell

CLOCK, WINDOW = 0x08, 0x10


@pytest.mark.parametrize("kind", sorted(ASICS))
async def test_a_line_of_every_kind_hashes_for_its_time_and_stands_still_afterwards(kind: str) -> None:
    s = Spell(kind, mhz=100.0, seconds=10.0)
    outcome = await s.run()
    assert (outcome.trip, outcome.failure, outcome.interrupted) == (None, None, False)
    assert outcome.work is not None
    assert outcome.work.answers_due is not None
    assert outcome.work.answers_due > 100
    assert outcome.work.yield_ratio == pytest.approx(1.0, abs=0.02)
    assert outcome.work.remarks == ()
    assert outcome.frequency_mhz == pytest.approx(100.0, abs=1.0)
    assert (outcome.stopped, outcome.stopped_by) == (True, "this process")
    assert outcome.stop_s < 0.1
    assert s.still
    with pytest.raises(Unplugged, match="closed"):
        await s.port.write(b"x")


async def test_the_clock_is_written_at_its_floor_and_climbs_by_slew_steps_and_no_job_goes_out_before_it_is_there() -> (
    None
):
    s = Spell("BM1370", 65, mhz=200.0, seconds=3.0)
    outcome = await s.run()
    heard = s.heard()
    clocks = [
        pll.clock_mhz(each.value, s.kind.pll_shape)
        for each in heard
        if isinstance(each, WriteRegister) and each.register == CLOCK
    ]
    assert clocks[0] == clocks[-1] == 50.0
    assert max(clocks) == pytest.approx(200.0, abs=1.0)
    assert all(after - before < SLEW_STEP_MHZ + 0.5 for before, after in pairwise(clocks))
    jobs = [at for at, each in enumerate(heard) if isinstance(each, Job | MidstateJob)]
    top = next(at for at, each in enumerate(heard) if isinstance(each, WriteRegister) and each.register == WINDOW)
    assert min(jobs) > top
    assert outcome.work is not None
    assert sum(chip.verified for chip in outcome.work.chips) == outcome.work.verified > 50
    assert s.still


# --- clocks of their own


@pytest.mark.parametrize("kind", sorted(ASICS))
async def test_chips_with_clocks_of_their_own_find_by_them_and_nobody_is_called_slow_or_silent(
    kind: str, tmp_path: Path
) -> None:
    own = {2: 50.0, 5: 200.0}
    s = Spell(
        kind,
        6,
        mhz=100.0,
        own_mhz=own,
        work="synthetic",
        dilution=1 << 30,
        seconds=40.0,
        journal=Journal(tmp_path / "run"),
    )
    seen: list[tuple[float, ...]] = []
    s.on_look = lambda: seen.append(tuple(chip.frequency_mhz for chip in s.bench.chips))
    outcome = await s.run()
    assert (outcome.trip, outcome.failure) == (None, None)
    assert (100.0, 100.0, 50.0, 100.0, 100.0, 200.0) in seen
    assert (outcome.frequency_mhz, dict(outcome.chips_mhz)) == (100.0, own)
    recorded = read_journal(tmp_path / "run").events
    assert isinstance(recorded[0], BareHashAccepted)
    assert recorded[0].own_mhz == own
    ramp = [each.detail for each in recorded if isinstance(each, StepApplied) and each.step == "frequency"]
    assert ramp[:2] == ["50.00 MHz", "56.25 MHz, chips 0, 1, 3 to 5 by address"]
    assert ramp[-1] == "200.00 MHz, chip 5 by address"
    work = outcome.work
    assert work is not None
    assert work.remarks == ()
    assert work.expected_hs == pytest.approx(650e6 * s.kind.small_cores)
    mean = 650.0 / 6
    assert [chip.clock_ratio for chip in work.chips] == pytest.approx(
        [100 / mean, 100 / mean, 50 / mean, 100 / mean, 100 / mean, 200 / mean]
    )
    finds = [chip.verified for chip in work.chips]
    total = sum(finds)
    assert total > 300
    for chip, ratio in enumerate([100, 100, 50, 100, 100, 200]):
        due = total * ratio / 650
        assert abs(finds[chip] - due) < 5.0 * due**0.5, finds
    assert s.still


async def test_a_slow_chip_among_chips_with_clocks_of_their_own_is_named_by_its_own() -> None:
    s = Spell("BM1370", 6, mhz=100.0, own_mhz={2: 50.0}, work="synthetic", dilution=1 << 30, seconds=20.0)
    s.after(0.1, lambda: s.bench.chips[2]._cores.set_answering(0xFFFF, s.now_s()))  # an eighth of its cores answers
    outcome = await s.run()
    assert outcome.work is not None
    (said,) = outcome.work.remarks
    assert said.startswith("chip 2 is slow: ")
    assert "of what the others find at its clock" in said
    assert s.still


async def test_every_clock_of_their_own_is_reached_by_slew_steps_and_read_back_and_a_chip_that_strays_is_the_end() -> (
    None
):
    s = Spell("BM1370", 6, mhz=100.0, own_mhz={4: 137.5}, seconds=60.0)
    word = pll.solve(100.0, s.kind.pll_rule, s.kind.pll_shape).word  # that of all, but not its own
    s.after(2.0, lambda: s.bench.chips[4]._write(CLOCK, word, s.now_s()))
    outcome = await s.run()
    mine = s.chain.partition.address(4)
    clocks = [
        pll.clock_mhz(each.value, s.kind.pll_shape)
        for each in s.heard()
        if isinstance(each, WriteRegister) and each.register == CLOCK and each.address in (None, mine)
    ]
    assert (clocks[0], max(clocks), clocks[-1]) == (50.0, 137.5, 50.0)
    assert all(after - before < SLEW_STEP_MHZ + 0.5 for before, after in pairwise(clocks))
    assert outcome.trip is not None
    assert outcome.trip.cause is Cause.ACTUATION
    assert outcome.trip.detail == f"chip 4, address {mine:#04x}: 100 MHz where 137.5 was written, 3 times"
    assert outcome.stopped
    assert s.still


# --- the journal


async def test_open_work_tells_the_rate_of_the_line() -> None:
    s = Spell(mhz=100.0, work="synthetic", dilution=1 << 27, seconds=10.0)
    outcome = await s.run()
    assert outcome.work is not None
    assert outcome.work.hashrate_hs == pytest.approx(12 * 512 * 100e6, rel=0.05)
    assert s.still


async def test_a_weak_chip_is_named_and_the_line_goes_on() -> None:
    s = Spell(seconds=25.0)
    s.after(1.0, lambda: s.bench.weaken(5, 0.4, s.now_s()))
    outcome = await s.run()
    assert outcome.trip is None
    assert outcome.work is not None
    (said,) = outcome.work.remarks
    assert said.startswith("chip 5 is weak: ")
    assert s.still


async def test_a_tenth_of_the_nonces_wrong_is_the_end() -> None:
    s = Spell(seconds=60.0)

    def sag() -> None:
        for chip in range(12):
            s.bench.weaken(chip, 0.2, s.now_s())

    s.after(1.0, sag)
    outcome = await s.run()
    assert outcome.trip is not None
    assert outcome.trip.cause is Cause.ERROR_RATE
    assert outcome.trip.at_s - s.decided_s < 31.0
    assert outcome.stopped
    assert s.still


async def test_a_chip_that_dies_is_named_at_once_and_those_behind_it_that_hash_on_are_not_called_stopped() -> None:
    s = Spell()
    s.after(3.0, lambda: s.bench.cut(7, s.now_s()))
    outcome = await s.run()
    assert outcome.trip is not None
    assert outcome.trip.cause is Cause.CHIP_SILENT
    assert outcome.trip.detail.startswith("chip ")
    assert outcome.trip.detail.endswith("did not answer 3 questions in a row; chip 0 does")
    assert outcome.trip.at_s - s.decided_s < 4.0  # twelve chips are asked in 2.4 s
    assert s.bench.hashing
    assert (outcome.stopped, outcome.stopped_by) == (False, "nobody")


async def test_a_line_that_is_cut_at_the_host_is_told_as_the_whole_chain() -> None:
    s = Spell()
    s.after(3.0, lambda: s.bench.cut(0, s.now_s()))
    outcome = await s.run()
    assert outcome.trip is not None
    assert outcome.trip.cause is Cause.CHIP_SILENT
    assert "the whole chain is silent" in outcome.trip.detail or "it is the first of the line" in outcome.trip.detail
    assert outcome.trip.at_s - s.decided_s < 2.0
    assert not outcome.stopped


async def test_the_first_chip_of_a_line_is_named_as_such_and_not_asked_once_more() -> None:
    s = Spell(chips=1)
    s.after(3.0, lambda: s.bench.cut(0, s.now_s()))
    outcome = await s.run()
    assert outcome.trip is not None
    assert outcome.trip.detail.endswith("did not answer 3 questions in a row; it is the first of the line")


async def test_nobody_looks_at_the_clocks_while_the_stop_takes_them_away() -> None:
    """A line that answers late: its stop lasts longer than the looks are apart."""
    s = Spell(seconds=4.0)

    def slow_down() -> None:
        for chip in s.bench.chips:
            say = chip.say
            chip.say = lambda data, baud, ready_s, say=say: say(data, baud, ready_s + 0.03)  # type: ignore[misc]

    s.after(3.0, slow_down)
    outcome = await s.run()
    heard = s.heard()
    stop = next(
        at
        for at, each in enumerate(heard)
        if isinstance(each, WriteRegister) and (each.register, each.value) == (WINDOW, 0)
    )
    asked = [each for each in heard[stop:] if isinstance(each, ReadRegister)]
    assert outcome.stop_s > 2 * LOOK_S
    assert len(asked) == 2 * 12
    assert outcome.trip is None
    assert outcome.stopped


async def test_a_chip_whose_clock_is_not_the_one_that_was_written_is_the_end() -> None:
    s = Spell(mhz=100.0)
    word = pll.solve(150.0, s.kind.pll_rule, s.kind.pll_shape).word
    s.after(2.0, lambda: s.bench.chips[3]._write(CLOCK, word, s.now_s()))
    outcome = await s.run()
    assert outcome.trip is not None
    assert outcome.trip.cause is Cause.ACTUATION
    assert outcome.trip.detail == "chip 3, address 0x30: 150 MHz where 100 was written, 3 times"
    assert outcome.stopped
    assert s.still


async def test_a_port_that_is_lost_ends_it_at_once_and_nothing_is_called_stopped() -> None:
    s = Spell()
    s.after(3.0, s.wire.hang_up)
    outcome = await s.run()
    assert outcome.trip is not None
    assert outcome.trip.cause is Cause.DATA_PORT_LOST
    assert s.ended_s - s.decided_s < 0.1
    assert s.bench.hashing
    assert not outcome.stopped


async def test_an_interruption_stops_the_chips_and_keeps_what_was_counted() -> None:
    s = Spell(mhz=100.0, seconds=600.0)
    s.after(5.0, s.hash.interrupt)
    outcome = await s.run()
    assert outcome.interrupted
    assert outcome.trip is None
    assert outcome.work is not None
    assert outcome.work.verified > 50
    assert s.ended_s - s.decided_s < 0.2
    assert outcome.stopped
    assert s.still


@pytest.mark.parametrize("after_s", [0.05, 0.5, 1.0, 1.9, 2.2, 2.4, 2.9, 3.2])
async def test_an_interruption_of_the_bring_up_leaves_no_chip_above_its_floor(after_s: float) -> None:
    s = Spell(mhz=100.0)
    asyncio.get_running_loop().call_later(after_s, s.hash.interrupt)
    outcome = await s.run()
    assert outcome.interrupted
    assert outcome.work is None
    assert outcome.stopped
    assert s.still


async def test_who_cancels_it_waits_for_the_stop() -> None:
    s = Spell(mhz=100.0)
    running = asyncio.create_task(s.run())
    s.after(2.0, running.cancel)
    with pytest.raises(asyncio.CancelledError):
        await running
    assert s.still


async def test_an_exception_in_the_work_or_in_the_look_is_the_end() -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("out of its mind")

    s = Spell()
    s.after(2.0, lambda: setattr(s.chain, "send", fail))
    outcome = await s.run()
    assert outcome.trip is not None
    assert (outcome.trip.cause, outcome.trip.detail) == (Cause.INTERNAL, "work failed: RuntimeError: out of its mind")
    assert outcome.stopped
    assert s.still
    s = Spell()
    s.after(2.0, lambda: setattr(s, "on_look", fail))
    outcome = await s.run()
    assert outcome.trip is not None
    assert (outcome.trip.cause, outcome.trip.detail) == (Cause.INTERNAL, "RuntimeError: out of its mind")
    assert outcome.stopped
    assert s.still


async def test_a_machine_that_has_slept_is_the_end() -> None:
    s = Spell()
    s.after(2.0, lambda: setattr(s.clock, "sleeps_s", 30.0))
    outcome = await s.run()
    assert outcome.trip is not None
    assert (outcome.trip.cause, outcome.stopped) == (Cause.SUSPENDED, True)
    assert s.still


async def test_a_line_that_is_not_what_it_was_starts_nothing() -> None:
    s = Spell(chips=11, expected=12)
    outcome = await s.run()
    assert isinstance(outcome.failure, VerifyError)
    assert "chip 11, counted from 0 at the host, is the first that is missing" in str(outcome.failure)
    assert outcome.stopped
    assert not any(isinstance(each, WriteRegister) and each.register != 0xA4 for each in s.heard())


async def test_a_bring_up_that_fails_half_way_is_stopped_and_read_back() -> None:
    s = Spell(mhz=100.0)

    async def fail() -> None:
        raise VerifyError("bench: line rate", "1000000 baud", "no answer at all")

    s.chain.fast_link = fail  # type: ignore[method-assign]
    outcome = await s.run()
    assert isinstance(outcome.failure, VerifyError)
    assert outcome.stopped
    assert s.still


# --- limits and order, one by one ------------------------------------------------------------------------------------


async def hang() -> None:
    await asyncio.Event().wait()


async def test_it_begins_at_the_rate_of_chips_out_of_reset_whatever_the_port_had() -> None:
    s = Spell(chips=3, seconds=3.0)
    await s.port.set_baud(s.kind.fast_baud)
    outcome = await s.run()
    assert outcome.failure is None
    assert outcome.work is not None
    assert outcome.work.verified > 0
    assert s.still


async def test_each_step_of_the_clock_stands_for_its_time() -> None:
    s = Spell("BM1370", 4, mhz=100.0, seconds=1.0)
    outcome = await s.run()
    codec = DeviceCodec(full_header_jobs=not s.kind.midstates)
    heard = [(at_s, each) for at_s, data in s.port.writes for each in codec.feed(data)]
    writes = [(at_s, each.register) for at_s, each in heard if isinstance(each, WriteRegister)]
    up = next(at for at, (_, register) in enumerate(writes) if register == WINDOW)
    climb = [at_s for at_s, register in writes[:up] if register == CLOCK]
    assert len(climb) == 9  # 50 to 100 in steps of 6.25 MHz
    assert min(after - before for before, after in pairwise(climb)) > 0.1 - 1e-6
    assert outcome.stopped


async def test_a_bring_up_that_does_not_end_is_ended_and_stopped() -> None:
    s = Spell(mhz=100.0)
    s.chain.fast_link = hang  # type: ignore[method-assign]
    outcome = await s.run()
    assert isinstance(outcome.failure, NoReply)
    assert s.ended_s < 121.0  # 120 s, whatever the module says
    assert outcome.stopped
    assert s.still


async def test_a_stop_that_does_not_end_is_given_up_and_called_what_it_is() -> None:
    s = Spell(seconds=2.0)

    async def never() -> bool:
        await hang()
        return True

    s.chain.stop_hashing = never  # type: ignore[method-assign]
    outcome = await s.run()
    assert (outcome.stopped, outcome.stopped_by) == (False, "nobody")
    assert outcome.stop_s == pytest.approx(30.0, abs=0.5)


async def test_a_program_that_wakes_from_a_freeze_looks_before_it_feeds() -> None:
    s = Spell(seconds=10.0)
    woke: list[int] = []

    def freeze() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        loop.skip(3.0)
        woke.append(len(s.port.writes))

    s.after(2.05, freeze)
    await s.run()
    codec = DeviceCodec(full_header_jobs=not s.kind.midstates)
    first = next(each for _, data in s.port.writes[woke[0] :] for each in codec.feed(data))
    assert isinstance(first, ReadRegister)
    assert first.register == CLOCK


async def test_answers_that_are_lost_now_and_then_are_no_silent_chip() -> None:
    s = Spell(chips=3, seconds=30.0)
    deliver, asked = s.wire.deliver, iter(range(10**6))

    def lose_every_other(data: bytes) -> None:
        if s.bench.hashing and re.search(rb"\xaa\x55.{4}.\x08", data, re.DOTALL) and next(asked) % 2:
            return
        deliver(data)

    s.wire.deliver = lose_every_other  # type: ignore[method-assign]
    outcome = await s.run()
    assert next(asked) > 50, "it was looked at all the time"
    assert outcome.trip is None


async def test_a_clock_that_strays_for_a_moment_is_forgiven_and_not_counted_with_the_next() -> None:
    s = Spell(mhz=100.0, seconds=20.0)
    wrong = pll.solve(150.0, s.kind.pll_rule, s.kind.pll_shape).word
    strays = iter((3, 5, 7))
    at: list[int] = []
    counted = 0

    def look() -> None:
        nonlocal counted
        if not s.bench.hashing:
            return
        if not at and (chip := next(strays, None)) is not None:
            at.append(chip)
            counted = s.hash._strayed
            s.bench.chips[chip]._write(CLOCK, wrong, s.now_s())
        elif at and s.hash._strayed == counted + 2:
            right = pll.solve(100.0, s.kind.pll_rule, s.kind.pll_shape).word
            s.bench.chips[at.pop()]._write(CLOCK, right, s.now_s())

    s.on_look = look
    outcome = await s.run()
    assert next(strays, None) is None, "three chips strayed twice each"
    assert not at
    assert outcome.trip is None
    assert outcome.stopped


async def test_a_chip_that_answers_and_brings_no_nonce_is_the_end() -> None:
    s = Spell(mhz=100.0, seconds=600.0)
    chip = s.kind

    def mute() -> None:
        deaf = s.bench.chips[5]
        say = deaf.say

        def no_nonces(data: bytes, baud: int, ready_s: float) -> None:
            codec = HostCodec(chip.reply_bytes)
            if not any(isinstance(each, NonceReply) for each in codec.feed(data)):
                say(data, baud, ready_s)

        deaf.say = no_nonces

    s.after(5.0, mute)
    outcome = await s.run()
    assert outcome.trip is not None
    assert (outcome.trip.cause, outcome.stopped) == (Cause.CHIP_SILENT, True)
    assert s.ended_s - s.decided_s < 120.0
    assert s.still


@pytest.mark.parametrize("how", ["its time", "a person", "a trip"])
async def test_no_job_follows_the_stop_and_the_chips_run_at_their_fast_rate_until_then(how: str) -> None:
    s = Spell(mhz=100.0, seconds=6.0)
    rates: set[int] = set()
    ends: dict[str, Callable[[], None]] = {
        "a person": s.hash.interrupt,
        "a trip": lambda: s.hash.trip(Cause.INTERNAL, "of this test"),
    }

    def look() -> None:
        if s.bench.hashing:
            rates.update(chip.baud for chip in s.bench.chips)
            if how in ends and s.now_s() > 5.0:
                ends[how]()

    s.on_look = look
    outcome = await s.run()
    heard = s.heard()
    writes = [at for at, each in enumerate(heard) if isinstance(each, WriteRegister) and each.register == WINDOW]
    stop = next(at for at in writes if heard[at].value == 0)
    assert not any(isinstance(each, Job) for each in heard[stop:])
    assert any(isinstance(each, Job) for each in heard[:stop])
    assert all(rate == pytest.approx(s.kind.fast_baud, rel=0.05) for rate in rates)
    assert rates
    assert outcome.stopped
    assert s.still
