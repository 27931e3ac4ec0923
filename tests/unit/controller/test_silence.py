"""Chips that return nothing: a warning, one initialisation, then a trip."""

from __future__ import annotations

from typing import Any

import pytest

from controller.model import Cause, ChipSnapshot, FaultRecord, GuardState
from controller.safety.silence import Silence
from drivers.boards.board import (
    AssertReset,
    BringUp,
    FanDuty,
    FastLink,
    Frequency,
    ReleaseReset,
    Step,
    SweepWindow,
    TicketDifficulty,
    VerifyRail,
)
from drivers.errors import Latched, Refused
from drivers.units import Ratio
from tests.unit.controller.guarding import START, Scene, working

GAP_256_S = 2**32 * 256 / 1.071e12


def fed(**more: Any) -> Scene:
    """Live, with work that has begun to answer."""
    scene = Scene().live()
    for nonces in range(5):
        scene.work = working(nonces, **more)
        assert scene.look() is None
    return scene


def until(scene: Scene, what: str, limit_s: float = 120.0) -> tuple[str, float]:
    """Looks on until there is an `ask`, some `news` or a `trip`: its text, and how long it took."""
    taken_s = 0.0
    while taken_s < limit_s:
        fault = scene.look()
        taken_s += 0.2
        silence = scene.guard.silence
        found = {"trip": None if fault is None else fault.detail, "ask": silence.ask(), "news": silence.news()}[what]
        if found is not None:
            return found, round(taken_s, 1)
        assert fault is None or what == "trip", fault
    raise AssertionError(f"no {what} in {limit_s} s")


def again(scene: Scene) -> tuple[Step, ...]:
    """The chips through reset and back, in a world that obeys."""
    steps = scene.guard.chips_again(scene.now())
    scene.follow(steps)
    scene.guard.reached()
    return steps


def test_a_slow_chip_is_waited_for_by_its_own_clock() -> None:
    """Two chips, 500 and 100 MHz: the gaps of the second are six times those of both together."""
    chips = [
        ChipSnapshot(index=at, address=0, chip_id=0x1370, finds=0, hw_errors=0, frequency_mhz=mhz)
        for at, mhz in enumerate((500.0, 100.0))
    ]
    gap_s = 2**32 / 1e9
    for clocks, limit_s in (((500.0, 100.0), 25 * 6 * gap_s), ((None, 100.0), 25 * 2 * gap_s)):
        silence, at_s, said = Silence(), 0.0, None
        known = [chip.model_copy(update={"frequency_mhz": mhz}) for chip, mhz in zip(chips, clocks, strict=True)]
        while said is None:
            at_s += 1.0
            fed = [known[0].model_copy(update={"finds": int(at_s)}), known[1]]
            work = working(int(at_s)).model_copy(update={"expected_hs": 1e9, "ticket_difficulty": 1})
            said = silence.listen(at_s, work, fed)
            assert at_s < 2000.0
        assert "chip 1 of 0 to 1" in said
        assert at_s == pytest.approx(limit_s + 1.0, abs=1.0)


def test_a_chip_that_finds_nothing_for_10_s_is_initialised_again_before_it_is_a_trip() -> None:
    scene = fed()
    text, took_s = until(scene, "ask")
    assert took_s == 10.0
    assert "no nonce for 10.0 s" in text
    assert scene.guard.fault is None
    assert scene.guard.silence.ask() is None, "once"
    again(scene)
    assert scene.guard.state is GuardState.LIVE
    text, took_s = until(scene, "trip")
    assert 9.0 <= took_s <= 10.0, "counted from when the window was written"
    assert "no nonce for 10.0 s" in text
    assert "initialised again" in text


@pytest.mark.parametrize(
    ("difficulty", "warn_s", "ask_s"), [(1, 2.0, 10.0), (64, 15 * GAP_256_S / 4, 60 * GAP_256_S / 4)]
)
def test_a_warning_comes_after_2_s_and_15_gaps_and_the_rest_after_10_s_and_60(
    difficulty: int, warn_s: float, ask_s: float
) -> None:
    scene = fed(ticket_difficulty=difficulty)
    _, took_s = until(scene, "news")
    assert warn_s - 0.01 <= took_s < warn_s + 0.2
    _, more_s = until(scene, "ask")
    assert ask_s - 0.01 <= took_s + more_s < ask_s + 0.3


def test_a_chip_that_stutters_warns_once_a_minute() -> None:
    scene = fed()
    told: list[float] = []
    for step in range(400):  # 80 s, a nonce every 4 s
        scene.work = working(10 + step // 20)
        assert scene.look() is None
        if scene.guard.silence.news() is not None:
            told.append(scene.at_s)
    assert len(told) == 2
    assert told[1] - told[0] >= 60.0


def test_one_chip_of_a_chain_is_silent_after_25_of_its_own_gaps_and_is_named() -> None:
    scene = Scene().live()
    scene.finds = [0, 0, 0, 0]
    gap_s = 4 * 2**32 * 16 / 1.071e12  # of one chip of four
    taken_s, asked, warned = 0.0, None, None
    while asked is None and taken_s < 60.0:
        scene.finds = [count + 1 if chip != 2 else 0 for chip, count in enumerate(scene.finds)]
        scene.work = working(sum(scene.finds), ticket_difficulty=16)
        assert scene.look() is None
        taken_s += 0.2
        asked, warned = scene.guard.silence.ask(), warned or scene.guard.silence.news()
    assert asked is not None
    assert warned is not None
    assert asked.startswith("chip 2 of 0 to 3, address 0x80: no nonce for ")
    assert warned.startswith("chip 2 of 0 to 3, address 0x80: no nonce for ")
    assert max(10.0, 25 * gap_s) <= taken_s <= max(10.0, 25 * gap_s) + 0.5


def test_two_chips_of_a_chain_are_both_named_and_a_whole_chain_is_not_taken_apart() -> None:
    scene = Scene().live()
    scene.finds = [0, 0, 0, 0]
    for _ in range(60):
        scene.finds = [scene.finds[0] + 1, 0, 0, scene.finds[3] + 1]
        scene.work = working(sum(scene.finds), ticket_difficulty=1)
        scene.look()
    text = scene.guard.silence.ask()
    assert text is not None
    assert [part[:6] for part in text.split("; ")] == ["chip 1", "chip 2"]
    scene = Scene().live()
    scene.finds, scene.work = [0, 0, 0, 0], working(0)
    text, _ = until(scene, "ask")
    assert text.startswith("no nonce for ")


def test_a_chip_without_work_may_be_silent() -> None:
    scene = Scene().live()
    for _ in range(600):
        assert scene.look() is None
        assert scene.guard.silence.ask() is None
    scene = fed()
    for _ in range(600):
        scene.work = working(4).model_copy(update={"running": False})
        assert scene.look() is None
        assert scene.guard.silence.ask() is None
        assert scene.guard.silence.news() is None


def test_a_nonce_in_time_takes_the_wish_back() -> None:
    scene = fed()
    for _ in range(50):
        assert scene.look() is None
    scene.work = working(5)
    assert scene.look() is None
    assert scene.guard.silence.ask() is None
    for _ in range(49):
        assert scene.look() is None
    assert scene.guard.silence.ask() is None


def test_a_wish_that_nobody_follows_is_a_trip_within_5_s() -> None:
    scene = fed()
    text, took_s = until(scene, "trip")
    assert took_s == 15.0
    assert text.endswith("not initialised again within 5 s")


def test_silent_again_within_the_hour_is_a_trip_later_it_is_not() -> None:
    for wait_s, trips in ((3500.0, True), (3700.0, False)):
        scene = fed()
        until(scene, "ask")
        again(scene)
        scene.work = working(100)
        assert scene.look(wait_s) is None
        scene.work = working(101)
        scene.look()
        text, took_s = until(scene, "trip" if trips else "ask")
        assert took_s == 10.0
        assert ("initialised again" in text) is trips


def test_a_new_start_has_its_own_initialisation() -> None:
    scene = fed()
    until(scene, "ask")
    again(scene)
    scene.guard.went_safe(scene.at_s)
    scene.safe_values()
    scene.work = None
    scene.look(10.0)
    scene.live()
    scene.work = working(0)
    assert until(scene, "ask")[1] == pytest.approx(10.2, abs=0.21)


def test_an_initialisation_that_does_not_end_is_a_trip_after_60_s() -> None:
    scene = fed()
    until(scene, "ask")
    steps = scene.guard.chips_again(scene.now())
    scene.follow(steps[:4])  # fan, reset, rail, reset released: and no more
    assert isinstance(steps[3], ReleaseReset)
    text, took_s = until(scene, "trip")
    assert 57.0 <= took_s <= 60.0
    assert text == "not initialised again after 60 s (limit 60 s)"


def test_the_order_is_reset_rail_read_back_release_bring_up_ticket_ramp_window() -> None:
    scene = fed(ticket_difficulty=32)
    until(scene, "ask")
    steps = scene.guard.chips_again(scene.now())
    kinds = [type(step) for step in steps]
    assert kinds[:6] == [FanDuty, AssertReset, VerifyRail, ReleaseReset, BringUp, TicketDifficulty]
    assert set(kinds[6:-2]) == {Frequency}
    assert kinds[-2:] == [SweepWindow, FastLink]
    assert steps[0] == FanDuty(Ratio(1.0))
    assert steps[5] == TicketDifficulty(32)
    assert steps[-3].frequency_mhz == 525.0  # type: ignore[union-attr]


def test_the_board_counts_as_being_started_and_reset_as_asserted_meanwhile() -> None:
    scene = fed()
    until(scene, "ask")
    steps = scene.guard.chips_again(scene.now())
    assert scene.guard.state.value == "starting"
    scene.follow(steps[:2])
    c = scene.guard.commanded
    assert (c.rail_on, c.reset_released, c.brought_up) == (True, False, False)
    assert (c.frequency_mhz, c.window_mhz) == (None, None)
    with pytest.raises(Refused, match="no chip was brought up"):
        scene.guard.permit(Frequency(steps[-3].frequency_mhz), scene.now())  # type: ignore[union-attr]
    scene.follow(steps[2:])
    scene.guard.reached()
    assert scene.guard.state is GuardState.LIVE
    assert scene.guard.requested.frequency_mhz == 525.0


def test_a_reset_line_that_does_not_follow_is_found_meanwhile() -> None:
    scene = fed()
    until(scene, "ask")
    steps = scene.guard.chips_again(scene.now())
    for step in steps[:2]:
        scene.take(step)
    scene.values.update({})  # the world does not obey: reset reads released
    fault = None
    for _ in range(5):
        fault = fault or scene.look(core_a=0.5)
    assert fault is not None
    assert (fault.cause, fault.sensor) == (Cause.ACTUATION, "reset_released")


def test_only_a_live_board_without_a_latch_is_initialised_again() -> None:
    scene = Scene().safe()
    with pytest.raises(Refused, match="only chips of a live board"):
        scene.guard.chips_again(scene.now())
    scene = fed()
    scene.guard.latch(FaultRecord(cause=Cause.FAN, sensor=None, detail="x", at_s=scene.at_s, at_utc=START))
    with pytest.raises(Latched):
        scene.guard.chips_again(scene.now())


def test_reset_is_not_asserted_by_a_stray_step() -> None:
    scene = Scene().live()
    with pytest.raises(Refused, match="at the beginning of a start"):
        scene.guard.permit(AssertReset(), scene.now())
    scene = Scene().safe()
    with pytest.raises(Refused, match="on a board that is safe_off"):
        scene.guard.permit(AssertReset(), scene.now())
    scene.guard.started()
    with pytest.raises(Refused, match="the rail is not on"):
        scene.guard.permit(AssertReset(), scene.now())


def test_what_a_board_has_given_way_from_is_not_forgotten() -> None:
    scene = fed()
    for _ in range(40):
        scene.look(chip_c=71.0)
        give = scene.guard.give_way(scene.now())
        if give is not None:
            break
    assert give is not None
    scene.values["chip_c"] = 60.0  # type: ignore[index]
    for step in scene.guard.steps_of(give):
        scene.take(step)
    scene.obey()
    scene.look()
    scene.guard.stopped_short()
    until(scene, "ask")
    steps = scene.guard.chips_again(scene.now())
    assert steps[-3].frequency_mhz == 518.75  # type: ignore[union-attr]
    for step in steps:
        scene.follow((step,))
        assert scene.guard.give_way(scene.now()) is None
    scene.guard.reached()
    assert scene.guard.limited is not None
    assert scene.guard.requested.frequency_mhz == 525.0
    assert scene.guard.give_way(scene.now()) is not None, "the way back goes on"
