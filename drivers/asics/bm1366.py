"""BM1366 (S19 XP, S19k Pro, Bitaxe Ultra and Hex): facts and the frames of its bring-up.

Sources: ESP-Miner components/asic/bm1366.c (order), GPTechinno/bm13xx-rs (captures of an S19 XP), ESP-Miner's BM1366
hardware test (job ids, address in the nonce). The clock ramp, the sweep window, a last version-rolling write and the
fast line rate follow as steps of their own (docs/wire/bm13xx.md). Unverified: the limits of its VCO.
"""

from __future__ import annotations

from typing import Final

from drivers.asics import pll
from drivers.asics.kind import (
    INIT_TICKET_DIFFICULTY,
    AsicKind,
    core_word,
    rolling_on,
    ticket_mask_word,
    to_all,
    to_each,
)

BM1366: Final = AsicKind(
    name="BM1366",
    chip_id=0x1366,
    cores=112,
    sub_cores=8,
    small_cores=894,
    job_step=8,
    job_mask=0xF8,
    job_shift=0,
    clock_limits_mhz=(50.0, 650.0),
    pll_shape=pll.BM1366,
    window_guard_ticks=0,
    before_enumeration=rolling_on(3),
    after_enumeration=(
        to_all(0xA8, 0x0007_0000, "soft reset control: default"),
        to_all(0x18, 0xFF0F_C100, "misc control: nonces of all cores"),
    ),
    after_addressing=(
        to_all(0x3C, core_word(0x05, 0x40), "hash clock control"),
        to_all(0x3C, core_word(0x00, 0x20), "core clock delay"),
        to_all(0x14, ticket_mask_word(INIT_TICKET_DIFFICULTY), "ticket mask"),
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
