"""BM1366 (S19 XP, S19k Pro, Bitaxe Ultra and Hex): facts and the frames of its bring-up.

Sources: ESP-Miner components/asic/bm1366.c (order), GPTechinno/bm13xx-rs (captures of an S19 XP), ESP-Miner's BM1366
hardware test (job ids, address in the nonce). The clock ramp, the sweep window, a last version-rolling write and the
fast line rate follow as steps of their own (docs/wire/bm13xx.md). Unverified: the limits of its VCO.
"""

from __future__ import annotations

from typing import Final

from drivers.asics import pll
from drivers.asics.kind import (
    VERSION_ROLLING,
    AsicKind,
    InitStep,
    core_word,
    ticket_mask_word,
    to_all,
    to_each,
)
from drivers.units import Megahertz

_INIT_TICKET_DIFFICULTY: Final = 256

BM1366: Final = AsicKind(
    name="BM1366",
    chip_id=0x1366,
    cores=112,
    sub_cores=8,
    small_cores=894,
    job_length_byte=0x56,
    job_step=8,
    job_mask=0xF8,
    job_shift=0,
    core_bits=7,
    sub_core_mask=0x07,
    reset_baud=115_200,
    fast_baud=1_000_000,
    fast_baud_word=0x1130_0200,
    clock_limits_mhz=(50.0, 650.0),
    reset_clock_mhz=Megahertz(50.0),
    floor_clock_mhz=Megahertz(50.0),
    pll_shape=pll.BM1366,
    pll_rule=pll.Rule.STOCK,
    window_guard_ticks=0,
    init_ticket_difficulty=_INIT_TICKET_DIFFICULTY,
    version_rolling=VERSION_ROLLING,
    before_enumeration=(
        InitStep(VERSION_ROLLING, 0.005, "version rolling, 11-byte replies"),
        InitStep(VERSION_ROLLING, 0.005, "again: every known bring-up sends it three times or more"),
        InitStep(VERSION_ROLLING, 0.010, "and again"),
    ),
    after_enumeration=(
        to_all(0xA8, 0x0007_0000, "soft reset control: default"),
        to_all(0x18, 0xFF0F_C100, "misc control: nonces of all cores"),
    ),
    after_addressing=(
        to_all(0x3C, core_word(0x05, 0x40), "hash clock control"),
        to_all(0x3C, core_word(0x00, 0x20), "core clock delay"),
        to_all(0x14, ticket_mask_word(_INIT_TICKET_DIFFICULTY), "ticket mask"),
        to_all(0x54, 0x0000_0003, "analog mux: its default"),
        to_all(0x58, 0x0211_1111, "IO strength"),
        # The value of chip 0 of an S19 XP, which ESP-Miner sends to its only chip; on one chip it does nothing.
        to_each(0x2C, 0x007C_0003, "UART relay"),
        to_each(0xA8, 0x0007_01F0, "soft reset control"),
        to_each(0x18, 0xF000_C100, "misc control"),
        to_each(0x3C, core_word(0x05, 0x40), "hash clock control"),
        to_each(0x3C, core_word(0x00, 0x20), "core clock delay"),
        to_each(0x3C, core_word(0x02, 0xAA), "core enable"),
    ),
)
