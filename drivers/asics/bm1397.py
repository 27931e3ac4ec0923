"""BM1397 (S17, T17, Bitaxe Max, Compac F): facts and the frames of its bring-up.

It rolls no versions: the host does, and sends each as a midstate. It always answers in 9 bytes, keeps its post dividers
as they are, sets its line rate in register 18, and walks its nonces once a job instead of sweeping by a window.

Sources: ESP-Miner components/asic/bm1397.c (order, clocks, line rate), kanoi/cgminer driver-gekko.c (pauses; job ids
and midstate index), skot/BM1397 registers.md, GPTechinno/bm13xx-rs (nonce fields, values after reset). The line rate
follows the clock ramp as a step of its own (docs/wire/bm13xx.md).

Unverified: the limits of its VCO; and that 0 in register 20, the clock enables, stops the cores. That is inferred from
its name: bring-up writes 1 to it, nobody was seen to write 0. What is sure to cut the heat is the clock itself.
"""

from __future__ import annotations

from typing import Final

from drivers.asics import pll
from drivers.asics.kind import INIT_TICKET_DIFFICULTY, AsicKind, core_word, ticket_mask_word, to_all

_CLOCKS_ON: Final = 0x0000_0001

BM1397: Final = AsicKind(
    name="BM1397",
    chip_id=0x1397,
    cores=168,
    sub_cores=4,
    small_cores=672,
    midstates=4,
    job_ids=32,
    job_step=4,
    job_mask=0xFC,
    job_shift=0,
    core_bits=8,
    sub_core_bits=2,
    fast_baud=3_125_000,
    baud_register=0x18,
    fast_baud_word=0x0000_6031,
    clock_limits_mhz=(50.0, 650.0),
    pll_shape=pll.BM1397,
    pll_rule=pll.Rule.ESP,
    # The first of these takes the division by eight away that a chip has after reset: it runs at 400 MHz, without work,
    # until the clock is written 20 ms later. ESP-Miner and cgminer both do it in this order.
    before_clock=(
        to_all(0x70, 0x0F0F_0F00, "PLL0 divider: none"),
        to_all(0x70, 0x0F0F_0F00, "PLL0 divider, again"),
    ),
    clock_writes=2,
    stop_register=0x20,
    run_word=_CLOCKS_ON,
    hash_count_register=None,
    version_rolling=None,
    after_addressing=(
        to_all(0x80, 0x0000_0000, "clock order 0"),
        to_all(0x84, 0x0000_0000, "clock order 1", 0.100),
        to_all(0x20, _CLOCKS_ON, "clock enables", 0.050),
        to_all(0x3C, core_word(0x00, 0x74), "core clock delay, several midstates on", 0.100),
        to_all(0x14, ticket_mask_word(INIT_TICKET_DIFFICULTY), "ticket mask", 0.020),
        to_all(0x68, 0xC070_0111, "PLL3, for line rates above 3.125 MBd", 0.050),
        to_all(0x28, 0x0600_000F, "fast UART: PLL3 by 7", 0.100),
        to_all(0x18, 0x0000_7A31, "misc control: 115,740 Bd"),
    ),
)
