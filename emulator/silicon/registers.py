"""Registers of the BM1370: values after reset, what is read-only, and what the words mean.

The emulator's own table: it shares nothing with the drivers, so that the two can disagree. Values after reset were
read off silicon (GPTechinno/bm13xx-rs bm1370); layouts: mujina REFERENCE.md, skot/BM1397 registers.md. Register
addresses are eight bits, each the name of one 32-bit word: 88, 89, 8A and 8B are four registers.
"""

from __future__ import annotations

from typing import Final

CHIP_ID: Final = 0x00
PLL0_PARAMETER: Final = 0x08
CHIP_NONCE_OFFSET: Final = 0x0C
HASH_COUNTING_NUMBER: Final = 0x10
TICKET_MASK: Final = 0x14
MISC_CONTROL: Final = 0x18
UART_BAUD: Final = 0x28
CORE_MAILBOX: Final = 0x3C
CORE_REGISTER_VALUE: Final = 0x40
ERROR_FLAG: Final = 0x48
NONCE_ERROR_COUNTER: Final = 0x4C
NONCE_OVERFLOW_COUNTER: Final = 0x50
PLL0_DIVIDER: Final = 0x70
HASH_COUNT_DOMAIN: Final = (0x88, 0x89, 0x8A, 0x8B)
HASH_COUNT_TOTAL: Final = 0x8C
TICKET_NONCE_COUNTER: Final = 0x90
MIDSTATE_CONFIG: Final = 0xA4
SOFT_RESET_CONTROL: Final = 0xA8

CORES: Final = 128
CRYSTAL_HZ: Final = 25_000_000

BM1370_RESET: Final[dict[int, int]] = {
    CHIP_ID: 0x13700000,
    PLL0_PARAMETER: 0xC0540165,
    MISC_CONTROL: 0x0000C100,
    0x20: 0x00000007,
    0x24: 0x00100000,
    UART_BAUD: 0x01301A00,
    0x2C: 0x000F0000,
    0x30: 0x00000080,
    CORE_REGISTER_VALUE: 0x08020100,
    0x58: 0x00012111,
    0x5C: 0x0000FFFF,
    0x60: 0x20500174,
    0x64: 0x20500174,
    0x6C: 0x00010200,
    0x9C: 0x00F70073,
    MIDSTATE_CONFIG: 0x0000FFFF,
    SOFT_RESET_CONTROL: 0x00070000,
    0xB8: 0x20000000,
    0xBC: 0x00003313,
    0xC0: 0x00002000,
    0xC4: 0x0000B850,
}
"""Words after reset; every register that is not named here holds 0."""

BM1370_CORE_RESET: Final[dict[int, int]] = {0x00: 0x52, 0x02: 0x55, 0x06: 0x08}
"""Core registers after reset, of which only these are known; the rest holds 0."""

CORE_ENABLE: Final = 0x02
CORE_ENABLED: Final = 0xAA

READ_ONLY: Final = frozenset(
    (
        CHIP_ID,
        0x04,
        CORE_REGISTER_VALUE,
        ERROR_FLAG,
        NONCE_ERROR_COUNTER,
        NONCE_OVERFLOW_COUNTER,
        *HASH_COUNT_DOMAIN,
        HASH_COUNT_TOTAL,
    )
)
"""Writes to these are ignored; for 00 and the counters that is inferred from their names."""

LOCKED: Final = 1 << 31
ROLLING: Final = 1 << 31
OFFSET_VALID: Final = 1 << 31
COMMAND: Final = 1 << 31
"""Bit 31 of registers 08 (read), A4, 0C and 3C."""


def pll_mhz(parameter: int, divider: int) -> float:
    """The hash clock that the words of 08 and 70 ask for, in MHz; 0 when the PLL is off or a divider is impossible.

    25 MHz * FB / (REF * (P1 + 1) * (P2 + 1)) / (PLLDIV0 + 1). The chip decodes what it is given: a VCO out of range is
    not refused here.
    """
    feedback, reference = parameter >> 16 & 0xFFF, parameter >> 8 & 0x3F
    if not parameter >> 30 & 1 or not feedback or not reference:
        return 0.0
    post = ((parameter >> 4 & 7) + 1) * ((parameter & 7) + 1)
    return 25.0 * feedback / (reference * post) / ((divider & 0xF) + 1)


def pll_misfit(parameter: int) -> str | None:
    """What is odd about a PLL word that the chip takes all the same; None: nothing.

    VCO of 1600 to 3200 MHz, and the VCO bit 28 from 2400 MHz up (mujina REFERENCE.md).
    """
    feedback, reference = parameter >> 16 & 0xFFF, parameter >> 8 & 0x3F
    if not feedback or not reference:
        return "a PLL divider of 0"
    vco_mhz = 25.0 * (feedback & 0xFF) / reference
    if not 1600.0 <= vco_mhz <= 3200.0:
        return f"VCO at {vco_mhz:.0f} MHz"
    if (vco_mhz >= 2400.0) != bool(parameter >> 28 & 1):
        return f"VCO bit wrong for {vco_mhz:.0f} MHz"
    return None


def line_baud(word: int) -> int:
    """The line rate of a word of 28, rounded to 1 Bd: 25 MHz / 8 / (bits 15 to 8, plus 1)."""
    return round(CRYSTAL_HZ / (8 * ((word >> 8 & 0xFF) + 1)))


def zero_bits_asked(ticket_word: int) -> int:
    """The bits of a hash that must be 0, as a mask over its 64 most significant bits, the highest first.

    32 are hard-wired; byte k of the ticket word (0 the lowest) is laid over hash byte 27 - k in SHA order.
    """
    return 0xFFFF_FFFF << 32 | int.from_bytes(ticket_word.to_bytes(4, "big"), "little")


def cores_that_answer(misc_word: int) -> int:
    """Cores whose nonces are returned, as a set of 128 bits: bit 28 of 18 stands for cores 0 to 31, and so on."""
    return sum(0xFFFF_FFFF << 32 * group for group in range(4) if misc_word >> 28 + group & 1)
