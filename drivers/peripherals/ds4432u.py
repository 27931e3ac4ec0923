"""DS4432U: a current DAC of two outputs. Its current into the feedback node of a buck regulator moves the regulator's
output.

Sources: DS4432 datasheet as quoted by three independent drivers (w3irdrobot/ds4432: registers, 0.997 V / 16 / R_FS a
step, R_FS 40 to 160 kohm; the Linux driver ds4424.c of the sister parts: F8 + output, bit 7 sources; ESP-Miner
main/power/DS4432U.c), resistors of the boards as named below. Unverified on a board.

One byte an output: bit 7 set sources current, which *lowers* the output, clear sinks, which raises it; bits 6:0 count
steps. After power-up 00: no current, and the regulator gives what its two resistors say, 1.458 V on a Bitaxe, more than
a BM1366 or BM1368 may have. So the DAC guards nothing: write it before the regulator is enabled.

What this driver does otherwise than ESP-Miner and emberone-miner, each time for the chip's sake:

- A voltage beyond either end is refused. ESP-Miner at 5c27713 lets the magnitude run into bit 7: asked for 0.95 V it
  writes 8A, 1.421 V. At 05e4c1d it refuses as well.
- Which way the current flows is decided by the voltage without any, 1.4584 V. ESP-Miner decides by 1.451 V, and between
  the two it raises what it was to lower.
- Never above the request. Both sources round the magnitude up in both directions, which above 1.4584 V is one step
  (3.7 mV) too much.

No identity: whether 48 is this part or a TMP1075 is known by the board's row alone. All volts are nominal: the
tolerances of resistors and references are not in them [U].
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Self

from drivers.errors import LimitError, VerifyError
from drivers.traits import I2c
from drivers.units import Amps, Volts

ADDRESS: Final = 0x48
STEPS: Final = 127
"""In each direction."""
SOURCE: Final = 0x80
"""Bit 7: current flows out of the part, and the regulator's output goes down."""
FULL_SCALE_OHM: Final = (40_000.0, 160_000.0)
"""What the datasheet wants R_FS to be: 200 to 50 uA."""
_REFERENCE_V: Final = 0.997 / 16
"""Over R_FS: one step of current."""


class Output(IntEnum):
    """The registers."""

    OUT0 = 0xF8
    OUT1 = 0xF9


@dataclass(frozen=True, slots=True)
class Feedback:
    """The regulator's feedback node, to which an output of the DAC is wired."""

    name: str
    fb_v: float
    """V_FB: where the regulator holds the node."""
    top_ohm: float
    """R_A: from the output to the node."""
    bottom_ohm: float
    """R_B: from the node to ground."""
    full_scale_ohm: float
    """R_FS: at the DAC."""

    @property
    def step_a(self) -> Amps:
        return Amps(_REFERENCE_V / self.full_scale_ohm)

    @property
    def step_v(self) -> Volts:
        """What one step of the DAC moves the output."""
        return Volts(self.top_ohm * self.step_a)

    @property
    def idle_v(self) -> Volts:
        """Without current, as after power-up."""
        return Volts(self.fb_v * (1.0 + self.top_ohm / self.bottom_ohm))

    @property
    def reach_v(self) -> tuple[Volts, Volts]:
        """Lowest and highest that the DAC can ask for."""
        return self._at(-STEPS), self._at(STEPS)

    def encode(self, output_v: Volts) -> int:
        """The byte of the highest voltage that is not above this one. `LimitError` outside `reach_v`."""
        low_v, high_v = self.reach_v
        if not low_v <= output_v <= high_v:  # a NaN is not inside either
            raise LimitError("output_v", output_v, f"{low_v:.4f} to {high_v:.4f} V ({self.name})")
        # The ladder itself is searched, so that no rounding in a division can choose the step above.
        steps = bisect_right(range(-STEPS, STEPS + 1), output_v, key=self._at) - 1 - STEPS
        return SOURCE | -steps if steps < 0 else steps

    def decode(self, code: int) -> Volts:
        """The voltage that a byte asks for. 00 and 80 are both no current. `LimitError` for what is no byte."""
        if not 0 <= code <= 0xFF:
            raise LimitError("DAC code", code, "0 to 255")
        magnitude = code & STEPS
        return self._at(-magnitude if code & SOURCE else magnitude)

    def _at(self, steps: int) -> Volts:
        return Volts(self.idle_v + steps * self.step_v)


BITAXE: Final = Feedback("Bitaxe, TPS40305", fb_v=0.6, top_ohm=4750.0, bottom_ohm=3320.0, full_scale_ohm=80_000.0)
"""Max, Ultra 0.11 to 205, Supra 400 and 401: R14, R15, R16 (ESP-Miner main/power/DS4432U.c), on OUT0."""
EMBERONE_V2: Final = Feedback(
    "EmberOne v2, LM25119", fb_v=0.8, top_ohm=3570.0, bottom_ohm=1020.0, full_scale_ohm=80_600.0
)
"""R6, R7, R11 (256-Foundation/emberone00-pcb v2), on OUT0: 3.250 to 3.950 V. skot/emberone-miner has 39 kohm for a v2:
some were changed by hand, which the board does not tell (its issue 21)."""
EMBERONE_V3: Final = Feedback(
    "EmberOne v3 and v4, LM25119", fb_v=0.8, top_ohm=3570.0, bottom_ohm=1020.0, full_scale_ohm=39_000.0
)
"""R6, R7, R11 (256-Foundation/emberone00-pcb v3, v4), on OUT0. R_FS is *below* the datasheet's range: nobody promises
that a step is 1.6 uA there [U]."""


class Ds4432u:
    """One output and the regulator behind it. All methods raise what the bus raises; a write is never sent twice."""

    def __init__(
        self,
        i2c: I2c,
        feedback: Feedback,
        allowed_v: tuple[float, float],
        *,
        output: Output = Output.OUT0,
        address: int = ADDRESS,
    ) -> None:
        """`allowed_v`: lowest and highest volts at the regulator's output that the board may ever be asked for.
        `LimitError` when the DAC does not reach them."""
        low_v, high_v = feedback.reach_v
        if not low_v <= allowed_v[0] <= allowed_v[1] <= high_v:
            raise LimitError("allowed_v", allowed_v, f"rising, within {low_v:.4f} to {high_v:.4f} V ({feedback.name})")
        self.feedback, self.allowed_v, self.output, self.address = feedback, allowed_v, output, address
        self._i2c = i2c

    def over(self, i2c: I2c) -> Self:
        """The same part over another access to its bus."""
        return type(self)(i2c, self.feedback, self.allowed_v, output=self.output, address=self.address)

    async def set_volts(self, output_v: Volts) -> Volts:
        """Ask for the regulator's output, on or off; returns what the byte stands for, at most a step below.
        `LimitError` outside `allowed_v`, and nothing is written. `VerifyError` when the byte does not hold."""
        low_v, high_v = self.allowed_v
        if not low_v <= output_v <= high_v:
            raise LimitError("output_v", output_v, f"{low_v:.3f} to {high_v:.3f} V")
        code = self.feedback.encode(output_v)
        await self._i2c.write(self.address, bytes([self.output, code]))
        found = await self.read()
        if found != code:
            raise VerifyError(f"DS4432U {self.output.name}", f"{code:#04x}", f"{found:#04x}")
        return self.feedback.decode(code)

    async def read(self) -> int:
        """The byte as the part holds it."""
        return (await self._i2c.write_read(self.address, bytes([self.output]), 1))[0]

    async def commanded_v(self) -> Volts:
        """What the part asks the regulator for. Not a measurement, and not whether the regulator is on."""
        return self.feedback.decode(await self.read())
