"""The result of a run: the JSON that scripts rely on, and the table that fits a terminal."""

from __future__ import annotations

import json
import re
from pathlib import Path

from controller.cli.result import Outcome, run_object, run_table, self_test_failure
from controller.model import ActionRecord, Cause, ChipWork, FaultLatched
from tests.unit.cli.fakes import BOARD, CONFIRMED, ZERO, board_snapshot, work_snapshot

ROOT = Path(__file__).parents[3]
FIELDS = [
    "schema", "board", "emulated", "dilution", "seed", "work", "jobs", "answers_due", "answers_found", "yield",
    "yield_ci95", "nonces", "verified", "extra", "hw_errors", "duplicates", "stale", "link_errors", "hashrate_hs",
    "hashrate_ci95_hs", "expected_hs", "frequency_mhz", "core_v_set", "core_v", "core_w", "input_v", "input_w",
    "power_w", "chip_c", "vr_c", "fan_rpm", "chips", "caps_mhz", "remarks", "trips", "retries", "safe_off_confirmed",
]  # fmt: skip
TRIP = FaultLatched(
    seq=9,
    at_s=8.0,
    at_utc=ZERO,
    board=BOARD,
    cause=Cause.FAN,
    sensor="fan_rpm",
    detail="0 rpm for 3.0 s",
    snapshot=None,
)


def _outcome(**changes: object) -> Outcome:
    values: dict[str, object] = {
        "board": BOARD,
        "emulated": True,
        "dilution": 1,
        "seed": 1,
        "work_kind": "pattern",
        "snapshot": board_snapshot(),
        "work": work_snapshot(),
        "self_test": None,
        "trips": (),
        "safe_off": CONFIRMED,
    }
    return Outcome(**(values | changes))  # type: ignore[arg-type]


def test_the_object_has_its_fields_in_their_order() -> None:
    found = run_object(_outcome())
    assert list(found) == FIELDS
    assert found["schema"] == "hashbridge.run/1"


def test_the_manual_explains_every_field() -> None:
    manual = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    section = manual.split("### `hashbridge.run/1`")[1].split("###")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == [field for field in FIELDS if field != "schema"] + [
        "self_test"
    ]


def test_measured_and_wanted_are_kept_apart() -> None:
    found = run_object(_outcome())
    assert (found["core_v_set"], found["core_v"], found["frequency_mhz"]) == (1.15, 1.125, 525.0)


def test_unknown_is_null_and_never_zero() -> None:
    found = run_object(_outcome(snapshot=None, work=None, safe_off=None))
    for field in ("core_v", "chip_c", "fan_rpm", "frequency_mhz", "yield", "hashrate_hs", "input_w"):
        assert found[field] is None
    assert found["safe_off_confirmed"] is False
    assert found["nonces"] == 0


def test_a_trip_is_told_with_cause_sensor_and_numbers() -> None:
    found = run_object(_outcome(trips=(TRIP,)))
    assert found["trips"] == [{"cause": "fan", "sensor": "fan_rpm", "detail": "0 rpm for 3.0 s", "at_s": 8.0}]


def test_the_object_survives_json() -> None:
    outcome = _outcome(trips=(TRIP,), self_test=work_snapshot())
    found = json.loads(json.dumps(run_object(outcome)))
    assert found["yield_ci95"] == [0.941, 1.0]
    assert found["self_test"]["passed"] is True
    assert found["fan_rpm"] == 5217


def test_the_table_fits_into_eighty_columns() -> None:
    work = work_snapshot("synthetic", answers_due=None, hashrate_hs=1.07e12, hashrate_ci95_hs=(1.05e12, 1.09e12))
    for outcome in (_outcome(), _outcome(trips=(TRIP,), work=work, safe_off=None), _outcome(self_test=work_snapshot())):
        text = run_table(outcome)
        assert max(map(len, text.splitlines())) <= 80
    assert "NOT DONE" in run_table(_outcome(safe_off=None))


def test_an_action_that_was_not_confirmed_is_named() -> None:
    actions = (ActionRecord(name="core rail off", sent=True, confirmed=False, detail="reads 1.1 V"),)
    record = CONFIRMED.model_copy(update={"confirmed": False, "actions": actions})
    assert "NOT CONFIRMED: core rail off" in run_table(_outcome(safe_off=record))


def test_a_known_answer_test_passes_by_its_interval_not_by_its_luck() -> None:
    assert self_test_failure(work_snapshot(answers_found=60, yield_ci95=(0.912, 0.9996))) is None
    failure = self_test_failure(work_snapshot(answers_found=55, yield_ci95=(0.798, 0.963)))
    assert failure is not None
    assert "55 of 61" in failure
    assert "none" not in (self_test_failure(work_snapshot(hw_errors=100)) or "none")
    assert self_test_failure(work_snapshot(answers_due=0, yield_ci95=None)) is not None


def test_chips_and_remarks_are_told_in_both() -> None:
    chips = tuple(
        ChipWork(index=at, verified=300 + at, hw_errors=at, due_by_domain=(5, 5, 5, 5), found_by_domain=(5, 5, 5, 0))
        for at in range(2)
    )
    said = "chip 1 is weak: 18.0 % of its nonces are wrong; more voltage or a lower clock"
    outcome = _outcome(work=work_snapshot(chips=chips, remarks=(said,)))
    found = run_object(outcome)
    assert found["chips"] == [
        {"index": 0, "verified": 300, "hw_errors": 0, "answers_due": 20, "answers_found": 15},
        {"index": 1, "verified": 301, "hw_errors": 1, "answers_due": 20, "answers_found": 15},
    ]
    assert found["remarks"] == [said]
    text = run_table(outcome)
    assert "verified 0: 300, 1: 301" in text
    assert "chip 1 is weak" in text
    many = tuple(ChipWork(index=at, verified=50 + at, hw_errors=0) for at in range(12))
    assert "12, verified from 50 (chip 0) to 61 (chip 11)" in run_table(_outcome(work=work_snapshot(chips=many)))
    assert run_object(_outcome(work=work_snapshot(chips=many)))["chips"][0]["answers_due"] is None  # type: ignore[index]


def test_a_chip_that_ran_slower_stands_in_object_and_table() -> None:
    outcome = _outcome(snapshot=board_snapshot(caps_mhz={3: 437.5}))
    assert run_object(outcome)["caps_mhz"] == {3: 437.5}
    (row,) = [line for line in run_table(outcome).splitlines() if line.startswith("cap ")]
    assert row.split(maxsplit=1)[1] == "chip 3 at 437.5 MHz at most, from the next power-up on"
    assert run_object(_outcome())["caps_mhz"] == {}
