"""What BM1366 and later have in common."""

from __future__ import annotations

from typing import Final

from emulator.silicon import registers as reg

NEWER: Final[dict[int, int]] = {
    reg.PLL0_PARAMETER: 0xC0540165,
    reg.MISC_CONTROL: 0x0000C100,
    0x24: 0x00100000,
    reg.UART_BAUD: 0x01301A00,
    0x2C: 0x000F0000,
    0x58: 0x00012111,
    0x5C: 0x0000FFFF,
    0x60: 0x20500174,
    0x6C: 0x00010200,
    reg.MIDSTATE_CONFIG: 0x0000FFFF,
    reg.SOFT_RESET_CONTROL: 0x00070000,
    0xBC: 0x00003313,
    0xC0: 0x00002000,
}
"""Registers after reset."""
STAIRCASE_MV: Final = (0.0, -38.0, -100.0, -253.0)
"""Where the four domains of a BM1368 drop out, against the first [F]; of a BM1366 assumed [A]."""
