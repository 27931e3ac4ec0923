"""BM1368 (S21, Bitaxe Supra, NerdQAxe+): facts and the frames of its bring-up.

Sources: ESP-Miner components/asic/bm1368.c (order), ESP-Miner-NerdQAxePlus components/bm1397/bm1368.cpp. One
thing differs from ESP-Miner's order: chain-inactive goes out right before the addresses, not before the broadcasts. The
clock ramp, the sweep window, a last version-rolling write and the fast line rate follow as steps of their own
(docs/wire/bm13xx.md).

Unverified: no register dump and no capture of a chain is public. The address in its nonces is taken to stand where the
BM1366 has it, and the limits of its VCO are not known. Its own thermometer (registers B0, B4) is read as
ESP-Miner-NerdQAxePlus and emberone-miner do; nobody has published how true it is.
"""

from __future__ import annotations

from typing import Final

from drivers.asics import pll
from drivers.asics.kind import (
    INIT_TICKET_DIFFICULTY,
    AsicKind,
    DieThermometer,
    core_word,
    rolling_on,
    ticket_mask_word,
    to_all,
    to_each,
)

_TICKET_WORD: Final = ticket_mask_word(INIT_TICKET_DIFFICULTY)

BM1368: Final = AsicKind(
    name="BM1368",
    chip_id=0x1368,
    cores=80,
    sub_cores=16,
    small_cores=1276,
    job_step=24,
    job_mask=0xF0,
    job_shift=1,
    clock_limits_mhz=(50.0, 800.0),
    pll_shape=pll.BM1366,
    window_guard_ticks=0,
    thermometer=DieThermometer(
        start=(
            to_all(0xB0, 0x8000_0000, "thermometer: stop"),
            to_all(0xB0, 0x0002_0000, "thermometer"),
            to_all(0xB0, 0x0102_0000, "thermometer"),
            to_all(0xB0, 0x1002_0000, "thermometer: measure"),
        ),
        result=0xB4,
        c_per_step=0.171342,
        zero_c=-299.5144,
    ),
    before_enumeration=rolling_on(4),
    after_enumeration=(
        to_all(0xA8, 0x0007_0000, "soft reset control: default"),
        to_all(0x18, 0xFF0F_C100, "misc control: nonces of all cores"),
        to_all(0x3C, core_word(0x0B, 0x00), "core clock select"),
        to_all(0x3C, core_word(0x00, 0x18), "core clock delay"),
        to_all(0x14, _TICKET_WORD, "ticket mask"),
        to_all(0x54, 0x0000_0003, "analog mux: its default"),
        to_all(0x58, 0x0211_1111, "IO strength"),
    ),
    after_addressing=(
        to_each(0xA8, 0x0007_01F0, "soft reset control"),
        to_each(0x18, 0xF000_C100, "misc control"),
        to_each(0x3C, core_word(0x0B, 0x00), "core clock select"),
        to_each(0x3C, core_word(0x00, 0x18), "core clock delay"),
        to_each(0x3C, core_word(0x02, 0xAA), "core enable", 0.5),
        to_all(0x14, _TICKET_WORD, "ticket mask, again"),
    ),
)
