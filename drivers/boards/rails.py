"""What gives a Bitaxe its core volts and tells how many they are.

A kind of rail has the bytes that take it to its safest state and prove that, for the safe-off and for the sentinel, and
opens the parts. Volts are those of a chip: with domains in series the rail carries so many times as much.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, Self

from drivers.boards import own_limits
from drivers.boards.board import Channel
from drivers.boards.sweep import Sweep, again, close
from drivers.codecs import pmbus
from drivers.codecs.pmbus import Command, StatusWord
from drivers.errors import UnknownPart
from drivers.peripherals import tps546
from drivers.peripherals.tps546 import Profile, Tps546
from drivers.traits import I2c
from drivers.units import Volts

RAIL_DOWN_V: Final = 0.1
RAIL_OFF: Final = "rail off"

Adc = Callable[[], Awaitable[int]]
"""The bridge's conversion of the core rail, raw."""


@dataclass(frozen=True, slots=True)
class RailProof:
    """A register that shows where the rail is: its bytes under `mask`."""

    what: str
    register: int
    value: bytes
    mask: bytes


@dataclass(frozen=True, slots=True)
class RailDecay:
    """A voltage that has to fall, which takes a while. `proof`: the nearest to it that a mask can say. `by_adc`: its
    register is a command of the bridge's ADC."""

    proof: RailProof
    volts: Callable[[bytes], float]
    below_v: float
    by_adc: bool = False


@dataclass(frozen=True, slots=True)
class RailBytes:
    """Registers of the part at `address` that leave the rail at its safest."""

    address: int
    moves: tuple[bytes, ...]
    """Whole I2C writes, in order. Each may be repeated."""
    proofs: tuple[RailProof, ...]
    decay: RailDecay | None
    outcome: str = RAIL_OFF
    """What a safe-off calls it."""


class Rail(Protocol):
    """The parts, opened. Raises what the bus raises; `VerifyError` for what does not hold; `LimitError` for volts that
    this rail cannot be asked for, and then nothing is written."""

    name: str

    def over(self, i2c: I2c, adc: Adc) -> Self:
        """The same parts over another access to the bridge."""
        ...

    async def lock_down(self) -> str:
        """The rail at its safest, its own limits written and read back. Returns how it was found, for the log."""
        ...

    async def set_core(self, core_v: Volts) -> None: ...

    async def ready(self) -> None:
        """What has to be so before a pin lets it come up."""
        ...

    async def on(self) -> str:
        """Returns how it was found, for the log."""
        ...

    async def core_v(self) -> Volts: ...

    async def is_commanded_on(self) -> bool:
        """Somebody has switched it on. A rail that nobody can switch says nothing of that: False."""
        ...

    async def is_up(self) -> bool:
        """By its volts; False as well where they say nothing of who has switched it on."""
        ...

    async def is_locked(self) -> bool:
        """What `lock_down` and `set_core` wrote still holds: not after the supply went and came."""
        ...

    async def read(self, sweep: Sweep) -> None:
        """Every channel that it has, and why it has no others."""
        ...


@dataclass(frozen=True, slots=True)
class RailKind:
    parts: tuple[str, ...]
    """What they are, for docs."""
    bytes: RailBytes
    channels: tuple[Channel, ...]
    """What `Rail.read` measures."""
    own_limits: Mapping[Channel, str]
    """What it does by itself, with nobody there."""
    open: Callable[[I2c, Adc], Awaitable[Rail]]
    """Identifies the parts by reading alone; `UnknownPart` for others."""
    unusable: Callable[[I2c], Awaitable[str | None]]
    """What stands in their place when they cannot be opened."""


# --- one TPS546, or several stacked ----------------------------------------------------------------------------------

_VOUT_EXPONENT: Final = -9
_ENDS_A_RUN: Final = StatusWord.OFF | StatusWord.VOUT_OV | StatusWord.IOUT_OC | StatusWord.VIN_UV | StatusWord.TEMP
"""Each of them trips at once."""


def _says_the_same(first: int, second: int) -> bool:
    """All of it, not only what ends a run: in noise those five bits are alike once in 32 times."""
    return not (first ^ second) & ~StatusWord.BUSY


_READ_VOUT_LOW: Final = RailProof("READ_VOUT", Command.READ_VOUT, b"\x00\x00", b"\xc0\xff")
"""Fewer than 64 steps of 2**-9 V, so below 0.125 V: the nearest to 0.1 V that a mask can say."""


def _vout_v(payload: bytes) -> float:
    return pmbus.decode_ulinear16(pmbus.decode_word(payload), _VOUT_EXPONENT)


class Tps546Rail:
    def __init__(self, part: Tps546, domains: int, power_offset_w: float) -> None:
        self.name = part.part.value
        self._part, self._domains, self._power_offset_w = part, domains, power_offset_w
        self._status_word = 0

    def over(self, i2c: I2c, adc: Adc) -> Self:
        return type(self)(self._part.over(i2c), self._domains, self._power_offset_w)

    async def lock_down(self) -> str:
        return str(await self._part.lock_down())

    async def set_core(self, core_v: Volts) -> None:
        await self._part.set_output(Volts(core_v * self._domains))

    async def ready(self) -> None:
        """OPERATION holds it off, whatever its pin is."""

    async def on(self) -> str:
        return str(await self._part.on())

    async def core_v(self) -> Volts:
        return Volts(await self._part.output_v() / self._domains)

    async def is_commanded_on(self) -> bool:
        return await self._part.is_commanded_on()

    async def is_up(self) -> bool:
        return await self._part.output_v() > RAIL_DOWN_V

    async def is_locked(self) -> bool:
        return await self._part.is_locked()

    async def read(self, sweep: Sweep) -> None:
        part = self._part
        word = await sweep.ask((Channel.STATUS_WORD,), again(part.status_word, self._is_news, _says_the_same))
        if word is not None:
            sweep.put(Channel.STATUS_WORD, float(word))
        self._status_word = word or 0
        await sweep.take(Channel.INPUT_V, part.input_v)
        highest_v = part.profile.core_v[1]
        rail_v = await sweep.ask((Channel.CORE_V,), again(part.output_v, lambda rail_v: rail_v > highest_v, close))
        if rail_v is not None:
            sweep.put(Channel.CORE_V, rail_v / self._domains)
        core_a = await sweep.take(Channel.CORE_A, part.output_a)
        if rail_v is None or core_a is None:
            why = "needs core voltage and current"
            sweep.put(Channel.CORE_W, None, why)
            sweep.put(Channel.POWER_W, None, why)
        else:
            sweep.put(Channel.CORE_W, rail_v * core_a)
            sweep.put(Channel.POWER_W, rail_v * core_a + self._power_offset_w)
        await sweep.take(Channel.VR_C, part.die_c)
        sweep.put(Channel.INPUT_W, None, "this board does not measure its input current")

    def _is_news(self, word: int) -> bool:
        """Bits that end a run, unless the last sweep saw the same: the part keeps them until they are cleared."""
        return bool(word & _ENDS_A_RUN) and word != self._status_word


async def _unusable_tps546(i2c: I2c) -> str | None:
    try:
        return (await tps546.identify(i2c)).value
    except UnknownPart as error:
        return str(error)


def of_tps546(profile: Profile, *, domains: int = 1, power_offset_w: float = 5.0) -> RailKind:
    """`power_offset_w`: what AxeOS adds to the core power of this board for fan, bridge and losses; nothing here
    measures them."""

    async def open_parts(i2c: I2c, adc: Adc) -> Rail:
        return Tps546Rail(await Tps546.open(i2c, profile), domains, power_offset_w)

    return RailKind(
        parts=("stacked TPS546D24A/S" if profile.stack else "TPS546D24A/S",),
        bytes=RailBytes(
            tps546.ADDRESS,
            moves=(
                bytes([Command.OPERATION, 0x00]),
                # A part that was set up to ignore OPERATION obeys it from here on: off, and at once.
                bytes([Command.ON_OFF_CONFIG, profile.on_off_config]),
            ),
            proofs=(RailProof("OPERATION", Command.OPERATION, b"\x00", b"\xff"),),
            decay=RailDecay(_READ_VOUT_LOW, _vout_v, RAIL_DOWN_V),
        ),
        channels=(
            Channel.STATUS_WORD,
            Channel.INPUT_V,
            Channel.CORE_V,
            Channel.CORE_A,
            Channel.CORE_W,
            Channel.POWER_W,
            Channel.VR_C,
        ),
        own_limits=own_limits.of_tps546(profile),
        open=open_parts,
        unusable=_unusable_tps546,
    )
