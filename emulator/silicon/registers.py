"""Registers of the chips: their names, what is read-only, and what the words mean.

The emulator's own table: it shares nothing with the drivers, so that the two can disagree. Layouts: mujina
REFERENCE.md, skot/BM1397 registers.md. Values after reset are in `model.py`. Register addresses are eight bits, each
the name of one 32-bit word: 88, 89, 8A and 8B are four registers.
"""

from __future__ import annotations

from typing import Final

CHIP_ID: Final = 0x00
HASH_RATE: Final = 0x04
PLL0_PARAMETER: Final = 0x08
CHIP_NONCE_OFFSET: Final = 0x0C
HASH_COUNTING_NUMBER: Final = 0x10
TICKET_MASK: Final = 0x14
MISC_CONTROL: Final = 0x18
ORDERED_CLOCK_ENABLE: Final = 0x20
UART_BAUD: Final = 0x28
CORE_NUMBER: Final = 0x30
CORE_MAILBOX: Final = 0x3C
CORE_REGISTER_VALUE: Final = 0x40
ERROR_FLAG: Final = 0x48
NONCE_ERROR_COUNTER: Final = 0x4C
NONCE_OVERFLOW_COUNTER: Final = 0x50
PLL3_PARAMETER: Final = 0x68
PLL0_DIVIDER: Final = 0x70
HASH_COUNT_DOMAIN: Final = (0x88, 0x89, 0x8A, 0x8B)
HASH_COUNT_TOTAL: Final = 0x8C
TICKET_NONCE_COUNTER: Final = 0x90
MIDSTATE_CONFIG: Final = 0xA4
SOFT_RESET_CONTROL: Final = 0xA8

TEMPERATURE_CONTROL: Final = 0xB0
TEMPERATURE_RESULT: Final = 0xB4
MEASURES: Final = (0x8000_0000, 0x0002_0000, 0x0102_0000, 0x1002_0000)
"""Written to B0 in this order they begin a measurement; what each of them does is not known."""
MEASURED: Final = 1 << 31

CRYSTAL_HZ: Final = 25_000_000

CLOCK_DELAY: Final = 0x00
MANY_MIDSTATES: Final = 1 << 2
"""Core register 0 of a chip that is sent midstates: without this bit only the first of a job is hashed [inf]."""
CORE_ENABLE: Final = 0x02
CORE_ENABLED: Final = 0xAA

READ_ONLY: Final = frozenset(
    (
        CHIP_ID,
        HASH_RATE,
        CORE_REGISTER_VALUE,
        ERROR_FLAG,
        NONCE_ERROR_COUNTER,
        NONCE_OVERFLOW_COUNTER,
        *HASH_COUNT_DOMAIN,
        HASH_COUNT_TOTAL,
        TEMPERATURE_RESULT,
    )
)
"""Writes to these are ignored; for 00 and the counters that is inferred from their names."""

LOCKED: Final = 1 << 31
ROLLING: Final = 1 << 31
OFFSET_VALID: Final = 1 << 31
COMMAND: Final = 1 << 31
"""Bit 31 of registers 08 (read), A4, 0C and 3C."""


def pll_mhz(parameter: int, divider: int, less: int = 1) -> float:
    """The hash clock that the words of 08 and 70 ask for, in MHz; 0 when the PLL is off or a divider is impossible.

    25 MHz * FB / (REF * (P1 + less) * (P2 + less)) / (PLLDIV0 + 1); `less` is 0 on a BM1397, which stores its post
    dividers as they are. The chip decodes what it is given: a VCO out of range is not refused here.
    """
    feedback, reference = parameter >> 16 & 0xFFF, parameter >> 8 & 0x3F
    post = ((parameter >> 4 & 7) + less) * ((parameter & 7) + less)
    if not parameter >> 30 & 1 or not feedback or not reference or not post:
        return 0.0
    return 25.0 * feedback / (reference * post) / ((divider & 0xF) + 1)


def pll_misfit(parameter: int, vco_limits_mhz: tuple[float, float] | None, vco_bit: bool = True) -> str | None:
    """What is odd about a PLL word that the chip takes all the same; None: nothing.

    VCO within the chip's limits, where they are known, and the VCO bit 28 from 2400 MHz up (mujina REFERENCE.md), or
    never (`vco_bit` false: BM1397).
    """
    feedback, reference = parameter >> 16 & 0xFFF, parameter >> 8 & 0x3F
    if not feedback or not reference:
        return "a PLL divider of 0"
    vco_mhz = 25.0 * (feedback & 0xFF) / reference
    if vco_limits_mhz is not None and not vco_limits_mhz[0] <= vco_mhz <= vco_limits_mhz[1]:
        return f"VCO at {vco_mhz:.0f} MHz"
    if (vco_bit and vco_mhz >= 2400.0) != bool(parameter >> 28 & 1):
        return f"VCO bit wrong for {vco_mhz:.0f} MHz"
    return None


def line_baud(word: int) -> int:
    """The line rate of a word of 28, rounded to 1 Bd: 25 MHz / 8 / (bits 15 to 8, plus 1)."""
    return round(CRYSTAL_HZ / (8 * ((word >> 8 & 0xFF) + 1)))


def line_baud_of_misc(misc: int, fast_uart: int, pll3: int) -> int:
    """The line rate of a BM1397, from its words of 18, 28 and 68, rounded to 1 Bd; 0: PLL3 is wanted and is off.

    Base / 8 / (BT8D + 1). BT8D has its upper four bits in 27 to 24 of 18, the lower five in 12 to 8. Base: 25 MHz, or
    with bit 16 PLL3 by the divider in 27 to 24 of 28, plus 1.
    """
    base_hz = float(CRYSTAL_HZ)
    if misc >> 16 & 1:
        base_hz = 1e6 * pll_mhz(pll3, fast_uart >> 24, less=0)
    return round(base_hz / (8 * ((misc >> 24 & 0xF) << 5 | misc >> 8 & 0x1F) + 8))


def zero_bits_asked(ticket_word: int) -> int:
    """The bits of a hash that must be 0, as a mask over its 64 most significant bits, the highest first.

    32 are hard-wired; byte k of the ticket word (0 the lowest) is laid over hash byte 27 - k in SHA order.
    """
    return 0xFFFF_FFFF << 32 | int.from_bytes(ticket_word.to_bytes(4, "big"), "little")


def cores_that_answer(misc_word: int, cores: int, bits: tuple[int, ...]) -> int:
    """Cores whose nonces are returned, as a set of bits: each of these bits of 18 stands for an equal share of them.

    Seen on the BM1370, where bit 28 is cores 0 to 31; of the others only all together are known [inf].
    """
    edges = [cores * group // len(bits) for group in range(len(bits) + 1)]
    groups = zip(bits, edges, edges[1:], strict=False)
    return sum((1 << high) - (1 << low) for bit, low, high in groups if misc_word >> bit & 1)
