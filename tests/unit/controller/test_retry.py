"""Which trips a board may come back from by itself, when, and how low."""

from __future__ import annotations

from typing import Any

import pytest

from controller.model import Cause, FaultRecord, OperatingPoint
from controller.safety.retry import RETRIED, WAITS_S, Plan, Retries
from drivers.boards.board import Channel
from tests.unit.controller.guarding import ENVELOPE, START, Scene

STOCK = OperatingPoint(frequency_mhz=525.0, core_v=1.150)


def fault(cause: Cause = Cause.CHIP_SILENT, at_s: float = 100.0, sensor: str | None = None) -> FaultRecord:
    return FaultRecord(cause=cause, sensor=sensor, detail="x", at_s=at_s, at_utc=START)


def planned(
    cause: Cause = Cause.CHIP_SILENT, was: OperatingPoint = STOCK, retries: Retries | None = None, **more: Any
) -> Plan | str:
    scene = Scene().live()
    scene.values.update(more.pop("values", {}))
    return (retries or Retries(ENVELOPE)).plan(fault(cause, **more), scene.now(), was)


@pytest.mark.parametrize("cause", Cause)
def test_only_what_a_lower_point_may_cure_is_retried(cause: Cause) -> None:
    found = planned(cause)
    assert isinstance(found, Plan) is (cause in RETRIED)
    if isinstance(found, str):
        assert found == f"{cause.value} is left to a person"


@pytest.mark.parametrize(
    ("cause", "values", "sensor", "why"),
    [
        (Cause.CHIP_TEMPERATURE, {Channel.CHIP_C: 85.0}, "chip_c", "emergency level, 85 C"),
        (Cause.VR_TEMPERATURE, {Channel.VR_C: 121.0}, "vr_c", "emergency level, 120 C"),
        (Cause.CHIP_SILENT, {Channel.CHIP_C: 90.0}, None, "emergency level"),
        (Cause.VR_TEMPERATURE, {Channel.VR_C: 100.0}, "status_word", "switched itself off"),
    ],
)
def test_an_emergency_is_left_to_a_person(cause: Cause, values: dict[Channel, float], sensor: str, why: str) -> None:
    found = planned(cause, values=values, sensor=sensor)
    assert isinstance(found, str)
    assert why in found


def test_three_times_in_24_hours_with_growing_waits() -> None:
    retries = Retries(ENVELOPE)
    for number, wait_s in enumerate(WAITS_S, 1):
        found = planned(retries=retries, at_s=1000.0 * number)
        assert isinstance(found, Plan)
        assert (found.number, found.wait_s) == (number, wait_s)
    assert planned(retries=retries, at_s=5000.0) == "3 retries within 24 hours"
    again = planned(retries=retries, at_s=1000.0 + 24 * 3600.0)
    assert isinstance(again, Plan)
    assert again.number == 3
    assert planned(retries=retries, at_s=1001.0 + 24 * 3600.0) == "3 retries within 24 hours"


def test_two_losses_of_the_input_within_ten_minutes_are_left_to_a_person() -> None:
    retries = Retries(ENVELOPE)
    assert isinstance(planned(Cause.INPUT_LOW, retries=retries, at_s=100.0), Plan)
    assert planned(Cause.INPUT_LOW, retries=retries, at_s=700.0) == "the input was lost twice within 10 minutes"
    assert isinstance(planned(Cause.INPUT_LOW, retries=retries, at_s=1301.0), Plan)


@pytest.mark.parametrize(
    ("cause", "was", "point"),
    [
        (Cause.CHIP_SILENT, (525.0, 1.150), (425.0, 1.150)),
        (Cause.CHIP_TEMPERATURE, (625.0, 1.250), (525.0, 1.150)),
        (Cause.CHIP_TEMPERATURE, (600.0, 1.100), (500.0, 1.100)),
        (Cause.INPUT_LOW, (525.0, 1.150), (418.75, 1.150)),
        (Cause.INPUT_LOW, (625.0, 1.200), (500.0, 1.150)),
        (Cause.CHIP_SILENT, (450.0, 1.050), (400.0, 1.050)),
        (Cause.CHIP_SILENT, (425.0, 1.000), (400.0, 1.000)),
    ],
)
def test_the_point_is_lower_in_the_clock_and_higher_in_nothing(
    cause: Cause, was: tuple[float, float], point: tuple[float, float]
) -> None:
    found = planned(cause, OperatingPoint(frequency_mhz=was[0], core_v=was[1]))
    assert isinstance(found, Plan)
    assert (found.point.frequency_mhz, found.point.core_v) == pytest.approx(point)
    assert found.point.frequency_mhz is not None
    assert found.point.core_v is not None
    assert found.point.frequency_mhz < was[0]
    assert found.point.core_v <= was[1]


@pytest.mark.parametrize("was", [(400.0, 1.150), (350.0, 1.150), (None, 1.150), (525.0, None), (525.0, 0.950)])
def test_where_nothing_lower_may_be_asked_for_nothing_is(was: tuple[float | None, float | None]) -> None:
    assert planned(was=OperatingPoint(frequency_mhz=was[0], core_v=was[1])) == "nothing lower may be asked for"
