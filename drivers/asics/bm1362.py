"""BM1362 (S19j Pro, EmberOne00): facts and the frames of its bring-up.

Sources: mujina REFERENCE.md (captures of an S19j Pro with 126 chips: order, values), kanoi/cgminer driver-gekko.c
(pauses of a working driver). Both pass over each chip; stock does so after the clock ramp, cgminer before it, as here.
Chips of an EmberOne stand in series at about 0.3 V each. Unverified: any address interval but 2.
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

BM1362: Final = AsicKind(
    name="BM1362",
    chip_id=0x1362,
    cores=65,
    sub_cores=8,
    small_cores=512,
    job_length_byte=0x36,
    job_step=8,
    job_mask=0xF8,
    job_shift=0,
    clock_limits_mhz=(50.0, 600.0),
    pll_shape=pll.BM1370,
    window_guard_ticks=200,
    before_enumeration=rolling_on(3),
    after_enumeration=(
        to_all(0xA8, 0x0000_0000, "soft reset control: default"),
        to_all(0x18, 0xB000_C100, "misc control: nonces of all cores"),
    ),
    after_addressing=(
        to_all(0x3C, core_word(0x05, 0x40), "hash clock control"),
        to_all(0x3C, core_word(0x00, 0x08), "core clock delay", 0.100),
        to_all(0x14, ticket_mask_word(INIT_TICKET_DIFFICULTY), "ticket mask", 0.020),
        to_all(0x54, 0x0000_0003, "analog mux: its default", 0.050),
        to_all(0x58, 0x0001_1111, "IO strength", 0.100),
        to_each(0xA8, 0x0000_0002, "soft reset control: cores"),
        to_each(0x18, 0xB000_C100, "misc control"),
        to_each(0x3C, core_word(0x05, 0x40), "hash clock control"),
        to_each(0x3C, core_word(0x00, 0x08), "core clock delay"),
        to_each(0x3C, core_word(0x02, 0xAA), "core enable"),
    ),
)
