"""Many boards at a glance: what of each a person should know."""

from __future__ import annotations

import pytest

from controller.model import (
    Cause,
    Channel,
    FaultRecord,
    GuardState,
    Limited,
    OperatingPoint,
    PendingPoint,
    Quality,
    Reading,
)
from controller.overview import rate_hs, remarks, states, work_text
from tests.unit.cli.fakes import ZERO, board_snapshot, work_snapshot

POINT = OperatingPoint(frequency_mhz=525.0, core_v=1.15)
FAULT = FaultRecord(cause=Cause.CHIP_TEMPERATURE, sensor="chip_c", detail="76.0 C for 1.0 s", at_s=1.0, at_utc=ZERO)
HASHES = work_snapshot("synthetic", answers_due=None, answers_found=None, yield_ratio=None, hashrate_hs=1.071e12)


def test_of_a_board_that_works_nothing_is_said() -> None:
    assert remarks(board_snapshot(work=HASHES)) == ()
    assert remarks(board_snapshot(state=GuardState.SAFE_OFF)) == ()


def test_the_gravest_is_said_first_and_nothing_is_left_out() -> None:
    work = work_snapshot(remarks=("chip 3 is silent: none of 8 known answers",))
    pending = PendingPoint(until_s=8.0, revert_to=POINT, keep_within_s=10.0)
    limited = Limited(cause=Cause.CHIP_TEMPERATURE, sensor="chip_c", detail="71.0 C", since_s=0.0, point=POINT)
    board = board_snapshot(
        at_s=3.0, state=GuardState.UNPROTECTED, latched=FAULT, pending=pending, limited=limited, work=work
    )
    assert remarks(board) == (
        "nobody can cut the rail: PULL THE SUPPLY",
        "chip_temperature (chip_c): 76.0 C for 1.0 s",
        "on trial, 5 s left",
        "gives way: chip_c 71.0 C",
        "chip 3 is silent: none of 8 known answers",
    )


def test_readings_that_are_not_to_be_trusted_are_named_while_the_board_is_live() -> None:
    bad = Reading(value=5.0, at_s=0.0, quality=Quality.INVALID, evidence="no answer from 0x24")
    never = Reading(
        value=None, at_s=0.0, quality=Quality.INVALID, evidence="not measured on this board; never measured"
    )
    channels = {**board_snapshot().channels, Channel.VR_C: bad, Channel.INPUT_V: bad, Channel.CORE_A: never}
    assert remarks(board_snapshot(work=HASHES, channels=channels)) == ("doubtful: vr_c, input_v: no answer from 0x24",)
    assert remarks(board_snapshot(state=GuardState.SAFE_OFF, channels=channels)) == ()


def test_a_channel_without_a_sensor_is_no_doubt() -> None:
    never = Reading(value=None, at_s=0.0, quality=Quality.INVALID, evidence="this board does not measure it")
    assert remarks(board_snapshot(work=HASHES, channels={Channel.INPUT_W: never})) == ()


def test_a_live_board_that_does_nothing_is_worth_a_word() -> None:
    assert remarks(board_snapshot()) == ("live without work",)
    assert remarks(board_snapshot(work=HASHES.model_copy(update={"running": False}))) == ("live without work",)


def test_work_is_a_rate_or_a_yield_and_unknown_when_it_has_ended() -> None:
    assert work_text(board_snapshot(work=HASHES)) == "1.071 TH/s"
    assert work_text(board_snapshot(work=work_snapshot())) == "yield 1.000"
    for board in (board_snapshot(), board_snapshot(work=HASHES.model_copy(update={"running": False}))):
        assert work_text(board) == "—"


def test_boards_are_counted_by_state_and_their_rates_are_added() -> None:
    off, live = board_snapshot(state=GuardState.SAFE_OFF), board_snapshot(work=HASHES)
    assert states([off, live, live]) == [(GuardState.LIVE, 2), (GuardState.SAFE_OFF, 1)]
    assert rate_hs([off, live, live]) == pytest.approx(2.142e12)
    assert rate_hs([off]) is None
