"""Hard contains operator contains session: what each layer may say, and who is named for a limit."""

from __future__ import annotations

import itertools
import math
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from controller.envelope_file import load, operator_limits, usual_file
from controller.model import (
    Layer,
    Limit,
    LimitSession,
    OperatorLimits,
    PowerUp,
    Protection,
    Reach,
    SessionLimits,
    SetOperatingPoint,
    SetReach,
)
from controller.safety.envelope import Envelopes, fits
from drivers.errors import Refused, UsageError
from tests.unit.controller.guarding import ENVELOPE, Scene

WATCHED = frozenset({Protection.SENTINEL})
LEASED = frozenset({Protection.HOST_LEASE})
NOBODY = frozenset({Protection.SOFTWARE_TRIPS, Protection.REGULATOR_LIMITS})


def envelopes(**operator: Any) -> Envelopes:
    return Envelopes(ENVELOPE, OperatorLimits(**operator))


@pytest.mark.parametrize(
    ("reach", "core_v", "frequency_mhz", "layer"),
    [
        (Reach.STOCK, 1.150, 525.0, Layer.STOCK),
        (Reach.RANGE, 1.250, 625.0, Layer.RANGE),
        (Reach.HARD, 1.350, 1000.0, Layer.HARD),
    ],
)
def test_each_reach_goes_so_far_and_says_whose_limit_it_is(
    reach: Reach, core_v: float, frequency_mhz: float, layer: Layer
) -> None:
    found = envelopes(unlock=reach).limits(WATCHED)
    assert found.reach is reach
    assert found.core_v_max == Limit(value=core_v, layer=layer)
    assert found.frequency_mhz_max == Limit(value=frequency_mhz, layer=layer)
    assert found.core_v_min == Limit(value=1.0, layer=Layer.HARD)
    assert found.frequency_mhz_min == Limit(value=400.0, layer=Layer.HARD)


def test_without_a_word_nothing_beyond_stock_is_open() -> None:
    assert Envelopes(ENVELOPE).limits(WATCHED).reach is Reach.STOCK


def test_the_innermost_layer_is_the_one_that_holds_and_is_named() -> None:
    found = envelopes(unlock=Reach.RANGE, core_v_max=1.2, frequency_mhz_min=450.0)
    found.do(LimitSession(limits=SessionLimits(frequency_mhz_max=550.0)))
    limits = found.limits(WATCHED)
    assert limits.core_v_max == Limit(value=1.2, layer=Layer.OPERATOR)
    assert limits.frequency_mhz_min == Limit(value=450.0, layer=Layer.OPERATOR)
    assert limits.frequency_mhz_max == Limit(value=550.0, layer=Layer.SESSION)
    found.do(SetReach(reach=Reach.STOCK))
    assert found.limits(WATCHED).core_v_max == Limit(value=1.15, layer=Layer.STOCK)
    assert found.limits(WATCHED).frequency_mhz_max == Limit(value=525.0, layer=Layer.STOCK)


@pytest.mark.parametrize(("protections", "capped"), [(WATCHED, False), (LEASED, False), (NOBODY, True)])
def test_stock_is_the_most_where_nothing_outlives_this_program(
    protections: frozenset[Protection], capped: bool
) -> None:
    most = envelopes(unlock=Reach.HARD).limits(protections)
    assert (most.core_v_max.layer is Layer.PROTECTION) is capped
    assert (most.core_v_max.value, most.frequency_mhz_max.value) == ((1.15, 525.0) if capped else (1.35, 1000.0))


def test_a_board_that_nobody_attends_goes_beyond_stock_only_with_a_lease() -> None:
    alone = Envelopes(ENVELOPE, OperatorLimits(unlock=Reach.RANGE, retry=True))
    assert alone.limits(WATCHED).core_v_max == Limit(value=1.15, layer=Layer.PROTECTION)
    assert alone.limits(WATCHED | LEASED).core_v_max == Limit(value=1.25, layer=Layer.RANGE)


def test_a_narrower_limit_of_the_operator_is_not_hidden_by_a_missing_protection() -> None:
    found = envelopes(unlock=Reach.RANGE, core_v_max=1.1).limits(NOBODY)
    assert found.core_v_max == Limit(value=1.1, layer=Layer.OPERATOR)


@pytest.mark.parametrize(
    ("operator", "says"),
    [
        ({"core_v_max": 1.2}, "core_v_max: 1.2 is not allowed; allowed: 1 to 1.15 V, the stock limit; `unlock`"),
        ({"unlock": Reach.RANGE, "core_v_max": 1.3}, "core_v_max: 1.3 is not allowed; allowed: 1 to 1.25 V, the range"),
        ({"unlock": Reach.HARD, "core_v_max": 1.36}, "core_v_max: 1.36 is not allowed; allowed: 1 to 1.35 V"),
        ({"core_v_min": 0.98}, "core_v_min: 0.98"),
        ({"unlock": Reach.HARD, "frequency_mhz_max": 1000.5}, "frequency_mhz_max: 1000.5"),
        ({"frequency_mhz_min": 399.0}, "frequency_mhz_min: 399.0"),
        ({"core_v_min": 1.12, "core_v_max": 1.1}, "core_v_min: 1.12 is not allowed; allowed: at most core_v_max"),
        ({"power_w_max": 30.0}, "power_w_max: 30.0 is not allowed; allowed: 5 to 28 W"),
        ({"unlock": Reach.HARD, "power_w_max": 40.5}, "power_w_max: 40.5 is not allowed; allowed: 5 to 40 W"),
        ({"chip_c_trip": 76.0}, "chip_c_trip: 76.0 is not allowed; allowed: 40 to 75 C"),
        ({"vr_c_warn": 87.0}, "vr_c_warn: 87.0"),
        ({"chip_c_warn": 39.0}, "chip_c_warn: 39.0"),
        ({"chip_c_trip": 70.0}, "chip_c_trip: 70.0 is not allowed; allowed: above chip_c_throttle, which is 70 C"),
        ({"chip_c_throttle": 66.0}, "chip_c_throttle: 66.0 is not allowed; allowed: above chip_c_warn"),
    ],
)
def test_what_is_outside_the_layer_around_it_is_refused_by_its_key(operator: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        envelopes(**operator)
    assert str(caught.value).startswith(says)


def test_lower_levels_are_levels_of_the_trips() -> None:
    found = envelopes(chip_c_warn=60.0, chip_c_throttle=64.0, chip_c_trip=68.0, vr_c_trip=100.0, power_w_max=20.0)
    row = found.row
    assert (row.chip_c_warn, row.chip_c_throttle, row.chip_c_trip) == (60.0, 64.0, 68.0)
    assert (row.vr_c_trip, row.power_operator_w) == (100.0, 20.0)
    changed = {"chip_c_warn", "chip_c_throttle", "chip_c_trip", "vr_c_trip", "power_operator_w"}
    assert {f.name for f in fields(row) if getattr(row, f.name) != getattr(ENVELOPE, f.name)} == changed
    limits = found.limits(WATCHED)
    assert limits.chip_c_trip == Limit(value=68.0, layer=Layer.OPERATOR)
    assert limits.vr_c_warn == Limit(value=86.0, layer=Layer.HARD)


@pytest.mark.parametrize(
    "session",
    [{"core_v_max": 1.16}, {"core_v_min": 0.9}, {"frequency_mhz_max": 526.0}, {"core_v_min": 1.1, "core_v_max": 1.05}],
)
def test_a_session_beyond_the_operator_is_refused_and_changes_nothing(session: dict[str, float]) -> None:
    found = envelopes()
    before = found.limits(WATCHED)
    with pytest.raises(UsageError):
        found.do(LimitSession(limits=SessionLimits(**session)))
    assert found.limits(WATCHED) == before


def test_no_layer_and_no_order_of_commands_reaches_beyond_the_hard_envelope() -> None:
    values = (None, 1.0, 1.1, 1.15, 1.2, 1.25, 1.35)
    for reach, operator, session, protections in itertools.product(Reach, values, values, (WATCHED, NOBODY)):
        try:
            found = envelopes(unlock=reach, core_v_max=operator)
            found.do(LimitSession(limits=SessionLimits(core_v_max=session)))
        except UsageError:
            continue
        for later in Reach:
            found.do(SetReach(reach=later))
            most = found.limits(protections).core_v_max.value
            ends = [value for value in (operator, session) if value is not None]
            assert most <= min([1.35, *ends])
            assert later is not Reach.STOCK or most <= 1.15


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_no_limit(value: float) -> None:
    with pytest.raises(ValidationError):
        SessionLimits(core_v_max=value)


def test_a_point_is_held_against_both_ends_and_the_refusal_names_whose_they_are() -> None:
    limits = envelopes(core_v_min=1.1).limits(WATCHED)
    fits(limits, 1.15, 525.0)
    fits(limits, None, None)
    with pytest.raises(Refused, match=r"core_v 1\.05 V is outside 1\.1 to 1\.15 V, the operator's limit"):
        fits(limits, 1.05, None)
    with pytest.raises(Refused, match="frequency_mhz 600 MHz is outside 400 to 525 MHz, which is stock; unlocking"):
        fits(limits, None, 600.0)


# --- in the guard -----------------------------------------------------------------------------------------------------


def test_a_locked_board_starts_at_stock_and_not_above() -> None:
    scene = Scene(reach=Reach.STOCK).safe()
    with pytest.raises(Refused, match="which is stock"):
        scene.guard.judge(PowerUp(core_v=1.16), scene.now())
    scene.live()
    with pytest.raises(Refused, match="which is stock"):
        scene.guard.judge(SetOperatingPoint(frequency_mhz=550.0), scene.now())
    scene.guard.envelopes.do(SetReach(reach=Reach.RANGE))
    assert scene.guard.judge(SetOperatingPoint(frequency_mhz=550.0), scene.now())


def test_what_was_locked_between_judgement_and_step_stops_the_step() -> None:
    scene = Scene().live()
    steps = scene.guard.judge(SetOperatingPoint(core_v=1.180), scene.now())
    scene.guard.envelopes.do(SetReach(reach=Reach.STOCK))
    with pytest.raises(Refused, match=r"core_v 1\.16 V is outside 1 to 1\.15 V"):
        scene.guard.permit(steps[0], scene.now())
    clock = Scene().live()
    steps = clock.guard.judge(SetOperatingPoint(frequency_mhz=550.0), clock.now())
    clock.guard.envelopes.do(SetReach(reach=Reach.STOCK))
    clock.take(steps[0])  # the window
    with pytest.raises(Refused, match="is above 525 MHz"):
        clock.guard.permit(steps[1], clock.now())


def test_a_voltage_above_the_limits_can_still_be_lowered() -> None:
    scene = Scene().live(core_v=1.2)
    steps = scene.guard.judge(SetOperatingPoint(core_v=1.16), scene.now())
    scene.protections = NOBODY
    scene.follow(steps)
    assert scene.guard.commanded.core_v == 1.16


def test_limits_that_leave_the_board_outside_are_refused() -> None:
    scene = Scene().live(core_v=1.2)
    for wish in (SetReach(reach=Reach.STOCK), LimitSession(limits=SessionLimits(core_v_max=1.18))):
        with pytest.raises(Refused, match=r"core_v 1\.2 V is outside"):
            scene.guard.judge(wish, scene.now())
    assert scene.guard.judge(LimitSession(limits=SessionLimits(core_v_max=1.2)), scene.now()) == ()


# --- the file ---------------------------------------------------------------------------------------------------------


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_says_what_is_unlocked_and_what_is_taken_away(tmp_path: Path) -> None:
    file = write(
        tmp_path / "x.toml",
        'schema = "hashbridge.envelope/1"\nunlock = "range"\ncore_v_max = 1.2\nfrequency_mhz_max = 575\n',
    )
    found = operator_limits("bitaxe-gamma", str(file))
    assert found == OperatorLimits(unlock=Reach.RANGE, core_v_max=1.2, frequency_mhz_max=575.0)
    assert operator_limits("bitaxe-gamma", str(file), Reach.HARD).unlock is Reach.HARD


def test_the_file_of_the_kind_is_taken_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASHBRIDGE_CONFIG_DIR", str(tmp_path / "config"))
    assert operator_limits("bitaxe-gamma") == OperatorLimits()
    write(usual_file("bitaxe-gamma"), 'schema = "hashbridge.envelope/1"\ncore_v_max = 1.1\n')
    assert operator_limits("bitaxe-gamma").core_v_max == 1.1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "schema is missing; needed: hashbridge.envelope/1"),
        ('schema = "hashbridge.envelope/2"', "schema: 'hashbridge.envelope/2'"),
        ("= 1", "TOML ("),
        (
            'schema = "hashbridge.envelope/1"\nvoltage = 1.2',
            "voltage: 1.2 is not allowed; allowed: one of schema, c",
        ),
        ('schema = "hashbridge.envelope/1"\ncore_v_max = "1.2"', "core_v_max: '1.2' is not allowed; allowed: a number"),
        ('schema = "hashbridge.envelope/1"\ncore_v_max = true', "core_v_max: True is not allowed; allowed: a number"),
        ('schema = "hashbridge.envelope/1"\ncore_v_max = nan', "core_v_max: nan is not allowed; allowed: a number"),
        (
            'schema = "hashbridge.envelope/1"\nunlock = "all"',
            "unlock: 'all' is not allowed; allowed: stock, range, hard",
        ),
        ('schema = "hashbridge.envelope/1"\nunlock = 3', "unlock: 3 is not allowed"),
        ('schema = "hashbridge.envelope/1"\nunlock = "hard"\ncore_v_max = 1.4', "core_v_max: 1.4"),
    ],
)
def test_a_file_that_is_not_as_it_should_be_is_named_with_key_value_and_what_is_allowed(
    tmp_path: Path, text: str, says: str
) -> None:
    file = write(tmp_path / "x.toml", text)
    with pytest.raises(UsageError) as caught:
        operator_limits("bitaxe-gamma", str(file))
    assert says in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_file_that_is_not_there_is_an_error_where_it_was_asked_for(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a file that can be read"):
        load(tmp_path / "none.toml")
