"""Labels, digits, summaries: what the screens say of every event, command, channel and state there is."""

from __future__ import annotations

import math
import typing

import pytest

from controller.model import (
    AddRemark,
    CapChip,
    ClearFault,
    Command,
    Event,
    FanMode,
    GuardState,
    KeepPoint,
    LimitSession,
    Note,
    OperatingPoint,
    PowerDown,
    PowerUp,
    Protection,
    Reach,
    RevertPoint,
    SafeOff,
    SetFan,
    SetOperatingPoint,
    SetReach,
    StartWork,
    StateChanged,
    StopWork,
    WorkStopped,
)
from controller.text import duration, hashrate, number
from controller.tui import words
from drivers.boards.board import Channel
from tests.tui.telling import STOCK, Teller, one_of_each, record, utc, work

COMMANDS: dict[type, tuple[Command, str]] = {
    PowerUp: (PowerUp(frequency_mhz=525.0, core_v=1.15, note="cold"), "power up 525.00 MHz 1.150 V “cold”"),
    SetOperatingPoint: (SetOperatingPoint(core_v=1.2, keep_within_s=10.0), "set 1.200 V on trial 10 s"),
    CapChip: (CapChip(chip=3, frequency_mhz=437.5, note="weak"), "chip 3 at 437.5 MHz at most “weak”"),
    KeepPoint: (KeepPoint(), "keep point"),
    RevertPoint: (RevertPoint(), "revert point"),
    StartWork: (StartWork(work="pattern"), "start work pattern"),
    StopWork: (StopWork(), "stop work"),
    PowerDown: (PowerDown(), "power down"),
    SafeOff: (SafeOff(reason="smoke"), "safe-off: smoke"),
    ClearFault: (ClearFault(), "clear fault"),
    AddRemark: (AddRemark(text="new paste"), "add remark"),
    SetReach: (SetReach(reach=Reach.RANGE, note="a big fan"), "unlock as far as range “a big fan”"),
    LimitSession: (LimitSession(), "limit session"),
    SetFan: (
        SetFan(mode=FanMode.AUTO, target_chip_c=58.0, floor_ratio=0.6),
        "fan follows, die to 58 C, at least 60 %",
    ),
}
SUMMARIES = {
    "board_attached": "firmware bitaxe-raw, emulated, seed 1, one hash is 1, found powered",
    "board_lost": "control port: the cable is out",
    "state_changed": "safe_off → starting: a reason",
    "command_accepted": "power up (1 steps)",
    "command_refused": "keep point: no change is on trial",
    "step_applied": "core voltage 1.160 V",
    "chip_capped": "chip 3 at the board's clock, now 525 MHz: cured",
    "point_pending": "550.00 MHz 1.180 V, back to 525.00 MHz 1.150 V unless kept within 10 s",
    "point_kept": "550.00 MHz 1.180 V: kept",
    "point_reverted": "550.00 MHz 1.180 V → 525.00 MHz 1.150 V: not kept within 10 s",
    "point_limited": "500.00 MHz 1.150 V: chip_c 70.4 C is above the throttle level of 70 C",
    "limit_lifted": "525.00 MHz 1.150 V, after chip_temperature",
    "limits_changed": "at most 625 MHz (range), 1.25 V (range): reach range: on the screen",
    "remark": "new paste",
    "fault_recorded": "fan: /trips/fan.jsonl",
    "fault_latched": "fan (fan_rpm): 0 rpm",
    "fault_cleared": "fan, by a person",
    "retry_planned": "1 of 3 in 1 min 00 s, 425.00 MHz 1.150 V",
    "retry_ended": "1: cancelled, somebody asks for safe_off",
    "retry_refused": "fan: fan is left to a person",
    "safe_off_done": "NOT confirmed: rail off by rig; requested",
    "work_started": "pattern, ticket difficulty 1",
    "work_stopped": "synthetic: 1.000 TH/s, 0 verified in 10 s",
    "bare_hash_accepted": (
        "108 x BM1368 at 50 MHz for 60 s, nothing can cut their power but a hand: APW12, switch in hand"
    ),
    "chips_stopped": "NOT confirmed: cut the supply, 0.30 s; not every chip has said so",
    "note": "the machine slept",
}
LEVELS = {
    "retry_refused": "warn",
    "board_lost": "error",
    "fault_latched": "error",
    "chips_stopped": "error",
    "safe_off_done": "error",
    "command_refused": "warn",
    "point_reverted": "warn",
    "point_limited": "warn",
    "note": "warn",
    "step_applied": "detail",
}


def kinds_of(union: object) -> set[type]:
    return set(typing.get_args(typing.get_args(union)[0]))


def test_the_tables_of_this_file_know_every_kind_of_command_and_event() -> None:
    assert set(COMMANDS) == kinds_of(Command)
    assert {type(event) for event in one_of_each()} == kinds_of(Event)
    assert {event.kind for event in one_of_each()} == set(SUMMARIES)


@pytest.mark.parametrize("kind", COMMANDS, ids=lambda kind: kind.__name__)
def test_every_command_is_said_in_words(kind: type) -> None:
    given, said = COMMANDS[kind]
    assert words.command(given) == said


@pytest.mark.parametrize("event", one_of_each(), ids=lambda event: event.kind)
def test_every_event_has_a_summary_and_a_level(event: Event) -> None:
    assert words.summary(event) == SUMMARIES[event.kind]
    assert words.level(event) == LEVELS.get(event.kind, "info")
    assert words.kind(event) == event.kind.replace("_", " ")


def test_the_level_tells_bad_news_from_good() -> None:
    tell = Teller()
    assert words.level(tell.safe_off(confirmed=True)) == "info"
    for state, level in ((GuardState.LATCHED, "error"), (GuardState.UNPROTECTED, "error"), (GuardState.LIVE, "info")):
        assert words.level(tell(StateChanged, before=GuardState.LIVE, after=state, why="")) == level
    for level in ("info", "warn", "error"):
        assert words.level(tell(Note, level=level, text="")) == level


def test_a_safe_off_that_confirmed_nothing_says_so() -> None:
    done = Teller().safe_off()
    nothing = done.model_copy(update={"report": record().model_copy(update={"confirmed": False, "actions": ()})})
    assert words.summary(nothing) == "NOT confirmed: nothing by rig; requested"


def test_ended_work_is_summed_up_by_its_answers_where_answers_were_due() -> None:
    stopped = Teller()(WorkStopped, result=work(kind="pattern", answers_due=255, answers_found=254))
    assert words.summary(stopped) == "pattern: 254 of 255 answers in 10 s"


@pytest.mark.parametrize("channel", Channel)
@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf, 0.0, -1.0, 1e308])
def test_every_channel_can_be_shown_whatever_it_reads(channel: Channel, value: float | None) -> None:
    text = words.reading(channel, value)
    assert text
    assert (text == "—") == (value is None or math.isnan(value))


@pytest.mark.parametrize(
    ("channel", "value", "text"),
    [
        (Channel.CHIP_C, 45.25, "45.2 °C"),
        (Channel.CORE_V, 1.12345, "1.123 V"),
        (Channel.FAN_RATIO, 0.5, "50 %"),
        (Channel.FAN_RPM, 0.0, "0 rpm"),
        (Channel.STATUS_WORD, 2112.0, "0x0840"),
        (Channel.RESET_RELEASED, 1.0, "released"),
        (Channel.RESET_RELEASED, 0.0, "asserted"),
    ],
)
def test_readings_have_the_digits_and_the_unit_of_their_channel(channel: Channel, value: float, text: str) -> None:
    assert words.reading(channel, value) == text


def test_every_state_and_every_protection_has_a_name() -> None:
    assert set(words.STATES) == set(GuardState)
    assert set(words.PROTECTIONS) == set(Protection)
    assert set(words.CHANNELS) == set(Channel)


@pytest.mark.parametrize(("count", "text"), [(1, "1"), (2**24, "2^24"), (2**29, "2^29"), (3, "3"), (0, "0")])
def test_a_dilution_is_a_power_of_two_where_it_is_one(count: int, text: str) -> None:
    assert words.dilution(count) == text


def test_points_and_clocks_have_fixed_digits_and_unknown_parts_are_dashes() -> None:
    assert words.point(STOCK) == "525.00 MHz 1.150 V"
    assert words.point(OperatingPoint(core_v=1.15)) == "— MHz 1.150 V"
    assert words.clock(utc(3661.5)) == "01:01:01"
    assert words.clock(utc(3661.5), thousandths=True) == "01:01:01.500"


@pytest.mark.parametrize("value", [None, math.nan])
def test_what_is_not_a_number_is_unknown(value: float | None) -> None:
    assert (number(value, 1, "V"), hashrate(value), duration(value)) == ("—", "—", "—")
    assert duration(math.inf) == "—"
