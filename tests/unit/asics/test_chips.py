"""Every chip of ASICS: its numbers, and the frames of its bring-up one by one."""

from __future__ import annotations

import re
from typing import Any

import pytest

from drivers.asics import ASICS, AsicKind, pll
from drivers.asics.kind import next_power_of_two, ticket_mask_word, window_ticks
from drivers.boards import BOARDS
from drivers.codecs.bm13xx import WriteRegister, encode
from tests.unit.asics import ember_frames
from tests.vectors import frame, params, rows

EMBER = {bytes.fromhex(line) for line in (*ember_frames.BEFORE, *ember_frames.PER_CHIP)}
CHIPS = pytest.mark.parametrize("chip", ASICS.values(), ids=list(ASICS))


@pytest.mark.parametrize("row", params(rows("bm13xx", "ticket-mask")))
def test_the_ticket_mask_is_bit_reversed_in_each_byte(row: dict[str, Any]) -> None:
    difficulty = int(row["meaning"].split()[-1])
    assert encode(WriteRegister(0x14, ticket_mask_word(difficulty), None)) == frame(row)


def test_a_difficulty_between_two_powers_of_two_is_rounded_down() -> None:
    assert ticket_mask_word(300) == ticket_mask_word(256)


@pytest.mark.parametrize("row", params([row for row in rows("bm13xx", "hcn") if row["chip"] in ASICS]))
def test_the_sweep_window_is_that_of_the_formula(row: dict[str, Any]) -> None:
    meant = re.match(r"HCN (\d+) for (\d+) address slots at ([\d.]+) MHz guard (\d+)", row["meaning"])
    assert meant
    chip = ASICS[row["chip"]]
    ticks, slots, guard = int(meant[1]), int(meant[2]), int(meant[4])
    clock = pll.dividers(pll.solve(float(meant[3])).word)
    assert window_ticks(chip, clock, slots) == ticks + guard - chip.window_guard_ticks
    assert encode(WriteRegister(0x10, ticks, None)) == frame(row)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("BM1362", "08 10 18 20 28 30 38 40 48 50 58 60 68 70 78 00"),
        ("BM1366", "08 10 18 20 28 30 38 40 48 50 58 60 68 70 78 00"),
        ("BM1368", "18 30 48 60 78 10 28 40 58 70 08 20 38 50 68 00"),
        ("BM1370", "18 30 48 60 78 10 28 40 58 70 08 20 38 50 68 00"),
        ("BM1397", bytes((*range(4, 128, 4), 0)).hex(" ")),
    ],
)
def test_job_ids_follow_the_sequence_of_the_firmware(name: str, wanted: str) -> None:
    assert bytes(ASICS[name].job_bytes).hex(" ") == wanted


@CHIPS
def test_each_job_id_has_its_own_place_in_the_result_byte(chip: AsicKind) -> None:
    results = {job: {r for r in range(256) if (r & chip.job_mask) >> chip.job_shift == job} for job in chip.job_bytes}
    assert all(len(found) == chip.sub_core_mask + 1 for found in results.values())
    assert chip.job_mask & chip.sub_core_mask == 0
    assert chip.sub_core_mask == chip.sub_cores - 1


@pytest.mark.parametrize("row", params([row for row in rows("bm13xx", "response") if "id5" in row["meaning"]]))
def test_a_result_byte_of_a_bm1366_is_taken_apart(row: dict[str, Any]) -> None:
    chip, result = ASICS["BM1366"], frame(row)[7]
    job, sub_core = (result & chip.job_mask) >> chip.job_shift, result & chip.sub_core_mask
    assert f"id5 {job >> 3}, sub {sub_core}," in row["meaning"]


@CHIPS
def test_every_frame_of_the_bring_up_is_one_that_was_published(chip: AsicKind) -> None:
    kinds = ("init", "command", "ticket-mask")
    old = chip.name == "BM1397"
    published = {
        frame(row) for row in rows("bm13xx", *kinds) if (row["chip"] == "BM1397") == old or row["chip"] == "any"
    }
    published |= EMBER
    for steps in (chip.before_enumeration, chip.after_enumeration, chip.after_addressing):
        for step in steps:
            assert encode(step.addressed(0)) in published, step.what


@pytest.mark.parametrize("chip", [pytest.param(chip, id=name) for name, chip in ASICS.items() if name != "BM1397"])
def test_the_per_chip_frames_carry_the_address_of_the_chip(chip: AsicKind) -> None:
    published = {frame(row) for row in rows("bm13xx", "init")} | EMBER
    per_chip = [step for step in chip.after_addressing if step.per_chip]
    frames = [encode(step.addressed(0x40)) for step in per_chip]
    assert len([each for each in frames if each in published]) >= 4
    assert all(each[4] == 0x40 for each in frames)
    broadcast = next(step for step in chip.after_addressing if not step.per_chip)
    assert broadcast.addressed(0x40) is broadcast.message


@CHIPS
def test_the_host_rate_is_within_five_percent_of_the_chip_s_own(chip: AsicKind) -> None:
    divider = chip.fast_baud_word >> 8 & (0xFF if chip.baud_register == 0x28 else 0x1F)
    chip_baud = 25e6 / (8 * (divider + 1))
    assert abs(chip.fast_baud / chip_baud - 1) < 0.05


@CHIPS
def test_no_chip_is_clocked_beyond_what_every_row_of_boards_allows_it(chip: AsicKind) -> None:
    for board in BOARDS.values():
        if board.chip == chip.name:
            assert board.envelope.frequency_hard_mhz <= chip.clock_limits_mhz[1]


@pytest.mark.parametrize(("count", "power"), [(1, 1), (2, 2), (3, 4), (12, 16), (65, 128), (128, 128)])
def test_next_power_of_two(count: int, power: int) -> None:
    assert next_power_of_two(count) == power
