"""BM1370 (S21 Pro, S21 XP, Bitaxe Gamma): facts and the frames of its bring-up.

Sources: mujina mujina-miner/src/asic/bm13xx/REFERENCE.md and test_data.rs (captures of a Bitaxe Gamma and an S21 Pro),
ESP-Miner components/asic/bm1370.c. The order is that of the captured Bitaxe Gamma; the clock ramp, the sweep window,
a last version-rolling write and the fast line rate follow as steps of their own (docs/wire/bm13xx.md).
"""

from __future__ import annotations

from typing import Final

from drivers.asics import pll
from drivers.asics.kind import (
    INIT_TICKET_DIFFICULTY,
    SETTLE_S,
    VERSION_ROLLING,
    AsicKind,
    InitStep,
    core_word,
    rolling_on,
    ticket_mask_word,
    to_all,
    to_each,
)

BM1370: Final = AsicKind(
    name="BM1370",
    chip_id=0x1370,
    cores=128,
    sub_cores=16,
    small_cores=2040,
    job_step=24,
    job_mask=0xF0,
    job_shift=1,
    clock_limits_mhz=(50.0, 1000.0),
    pll_shape=pll.BM1370,
    starts_at_offset=True,
    window_guard_ticks=268,
    before_enumeration=rolling_on(3),
    after_enumeration=(
        InitStep(VERSION_ROLLING, SETTLE_S, "version rolling"),
        to_all(0xA8, 0x0007_0000, "soft reset control: default"),
        to_all(0x18, 0xF000_C100, "misc control: nonces of all cores"),
    ),
    after_addressing=(
        to_all(0x3C, core_word(0x0B, 0x00), "core clock select"),
        to_all(0x3C, core_word(0x00, 0x0C), "core clock delay"),
        to_all(0x14, ticket_mask_word(INIT_TICKET_DIFFICULTY), "ticket mask"),
        to_all(0x58, 0x0001_1111, "IO strength"),
        to_each(0xA8, 0x0007_01F0, "soft reset control"),
        to_each(0x18, 0xF000_C100, "misc control"),
        to_each(0x3C, core_word(0x0B, 0x00), "core clock select"),
        to_each(0x3C, core_word(0x00, 0x0C), "core clock delay"),
        to_each(0x3C, core_word(0x02, 0xAA), "core enable"),
        to_all(0xB9, 0x0000_4480, "diode control: what its bits mean is not known"),
        to_all(0x54, 0x0000_0002, "temperature diode on the analog mux"),
        to_all(0xB9, 0x0000_4480, "diode control"),
        to_all(0x3C, core_word(0x0D, 0xEE), "nonce bin overflow control"),
    ),
)
