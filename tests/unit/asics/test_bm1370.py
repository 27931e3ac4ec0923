"""BM1370: its numbers, and the frames of its bring-up one by one."""

from __future__ import annotations

import re
from typing import Any

import pytest

from drivers.asics import ASICS, pll
from drivers.asics.kind import next_power_of_two, ticket_mask_word, window_ticks
from drivers.codecs.bm13xx import WriteRegister, encode
from tests.vectors import frame, params, rows

BM1370 = ASICS["BM1370"]


@pytest.mark.parametrize("row", params(rows("bm13xx", "ticket-mask")))
def test_the_ticket_mask_is_bit_reversed_in_each_byte(row: dict[str, Any]) -> None:
    difficulty = int(row["meaning"].split()[-1])
    assert encode(WriteRegister(0x14, ticket_mask_word(difficulty), None)) == frame(row)


def test_a_difficulty_between_two_powers_of_two_is_rounded_down() -> None:
    assert ticket_mask_word(300) == ticket_mask_word(256)


@pytest.mark.parametrize("row", params([row for row in rows("bm13xx", "hcn") if row["chip"] == "BM1370"]))
def test_the_sweep_window_is_that_of_the_formula(row: dict[str, Any]) -> None:
    meant = re.match(r"HCN (\d+) for (\d+) address slots at ([\d.]+) MHz guard (\d+)", row["meaning"])
    assert meant
    ticks, slots, guard = int(meant[1]), int(meant[2]), int(meant[4])
    clock = pll.dividers(pll.solve(float(meant[3])).word)
    assert window_ticks(BM1370, clock, slots) == ticks + guard - BM1370.window_guard_ticks
    assert encode(WriteRegister(0x10, ticks, None)) == frame(row)


def test_job_ids_follow_the_sequence_that_was_captured() -> None:
    wanted = "18 30 48 60 78 10 28 40 58 70 08 20 38 50 68 00"
    assert bytes(BM1370.job_bytes).hex(" ") == wanted


def test_every_frame_of_the_bring_up_is_one_that_was_published() -> None:
    published = {frame(row) for row in rows("bm13xx", "init", "command") if row["chip"] != "BM1397"}
    lists = (BM1370.before_enumeration, BM1370.after_enumeration, BM1370.after_addressing)
    for step in (step for steps in lists for step in steps):
        assert encode(step.addressed(0)) in published, step.what


def test_the_per_chip_frames_carry_the_address_of_the_chip() -> None:
    published = {frame(row) for row in rows("bm13xx", "init")}
    per_chip = [step for step in BM1370.after_addressing if step.per_chip]
    assert len(per_chip) == 5
    for address in (0x00, 0x40, 0x80, 0xC0):
        frames = {encode(step.addressed(address)) for step in per_chip}
        assert frames <= published
    broadcast = BM1370.after_addressing[0]
    assert broadcast.addressed(0x40) is broadcast.message


def test_the_host_rate_is_within_five_percent_of_the_chip_s_own() -> None:
    divider = BM1370.fast_baud_word >> 8 & 0xFF
    chip_baud = 25e6 / (8 * (divider + 1))
    assert abs(BM1370.fast_baud / chip_baud - 1) < 0.05


@pytest.mark.parametrize(("count", "power"), [(1, 1), (2, 2), (3, 4), (12, 16), (65, 128), (128, 128)])
def test_next_power_of_two(count: int, power: int) -> None:
    assert next_power_of_two(count) == power
