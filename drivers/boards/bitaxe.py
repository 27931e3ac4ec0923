"""Bitaxes behind bitaxe-raw: one chip or several, with their rail, fan and thermometers.

The bridge lends RST_N (GPIO 0, low is reset, low after power-up), I2C and one ADC; the input cannot be switched. Its
USB strings are the same on every Bitaxe with this firmware: what is really there says first contact (regulator, fan
controller) and the chip id. Sources: ESP-Miner main/device_config.h, main/power/vcore.c, main/thermal; mujina
mujina-miner/src/board/bitaxe.rs; korbin/bitaxe-raw; docs/safety.md for the limits.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from drivers.asics import ASICS
from drivers.asics.chain import Chain
from drivers.boards.bitaxe_safe_off import SafeOff, Wiring, make_safe
from drivers.boards.board import (
    FAULTY,
    AssertReset,
    Attached,
    BoardIdentity,
    BoardKind,
    BoardReading,
    BringUp,
    Channel,
    CoreVoltage,
    Envelope,
    FanDuty,
    FanTable,
    FastLink,
    Frequency,
    LockDown,
    PlausibilityLimits,
    Protection,
    RailOn,
    ReleaseReset,
    SafeOffReport,
    Step,
    SweepWindow,
    TicketDifficulty,
    UsbMatch,
    VerifyRail,
    below,
)
from drivers.boards.cooling import Cooling, CoolingKind
from drivers.boards.rails import Rail, RailKind
from drivers.boards.sweep import Sweep
from drivers.bridges.bitaxe_raw import BitaxeRawBridge
from drivers.bridges.lease import HostLease
from drivers.errors import (
    BridgeRefused,
    DeviceError,
    LimitError,
    NoReply,
    ProtocolError,
    TransportError,
    UnknownPart,
    Unplugged,
    UsageError,
    VerifyError,
)
from drivers.traits import I2c, Transport
from drivers.units import Megahertz, Ratio, Volts

_log = logging.getLogger(__name__)
T = TypeVar("T")

_FAN_CHANNELS: Final = (Channel.CHIP_C, Channel.FAN_RPM, Channel.FAN_RATIO)


_WIRING: Final = Wiring()
BITAXE_RAW_MATCHES: Final = (UsbMatch(vid=0xC0DE, pid=0xCAFE, manufacturer="OSMU", product="Bitaxe"),)


@dataclass(frozen=True, slots=True)
class Parts:
    """What differs from one of these boards to the next, beside its chip and its limits."""

    rail: RailKind
    cooling: CoolingKind
    wiring: Wiring = _WIRING

    def safe_off(self) -> SafeOff:
        return SafeOff(self.wiring, self.rail.bytes, self.cooling.bytes)


_SLOW_SWEEPS: Final = 5
"""Fan, reset latch and clock are read once in so many sweeps, each in a turn of its own."""
_CLOCK_FRESH_S: Final = 2.0
"""For so long after a clock write every sweep reads the clock back; later one in five does."""
_SAME_MHZ: Final = 1e-6
_DIODE_BLANK_S: Final = 0.5 + 2 / 16
"""0.5 s of nonsense after reset release or rail enable, and what was converted in them: the part shows its last
conversion, 16 a second."""
_VR_BLANK_S: Final = 0.1
_RESET_PULSE_S: Final = 0.1
_IO_SETTLES_S: Final = 0.005
_NO_FAN: Final = "no fan of this board can be reached"
_RAIL_POLL_S: Final = 0.05
_RAIL_READS: Final = 4


# --- the board -------------------------------------------------------------------------------------------------------


class Bitaxe:
    """A `Board`. Made by `open_board`. Nothing moves before `first_contact`, `apply` or `safe_off` is called."""

    lease: HostLease | None = None
    """bitaxe-raw has none: whatever the host does or leaves, the outputs stay as they are."""

    def __init__(self, kind: BoardKind, parts: Parts, bridge: BitaxeRawBridge, chain: Chain) -> None:
        self.kind, self._parts = kind, parts
        self._wiring, self._plan = parts.wiring, parts.safe_off()
        self.chain = chain
        self.chains: Sequence[Chain] = (chain,)
        self.bridge = bridge
        self._retired: list[BitaxeRawBridge] = []
        self._rail: Rail | None = None
        self._cooling: Cooling | None = None
        self._limits_hold = False
        self._table_written = False
        self._table_in_command = False
        self._sweep = 0
        self._drop_vr = False
        self._enabled_at_s: float | None = None
        self._released_at_s: float | None = None
        self._clocked_at_s: float | None = None
        self._making_safe, self._turning_fan = asyncio.Lock(), asyncio.Lock()

    async def aclose(self) -> None:
        """Close both ports. The board keeps doing what it does: safe-off comes before."""
        for bridge in (*self._retired, self.bridge):
            await bridge.aclose()
        await self.chain.aclose()

    def replace_control(self, control: Transport) -> None:
        """From now on over this port. The parts are identified anew; the limits in the regulator still hold."""
        self._retired.append(self.bridge)
        self.bridge = BitaxeRawBridge(control, dialect=self._wiring.dialect)
        self.bridge.start()
        self._rail = self._cooling = None

    async def replace_data(self, data: Transport) -> None:
        """From now on over this port. The chip is as it was left."""
        await self.chain.replace_port(data)

    def protections(self) -> frozenset[Protection]:
        held = set()
        if self._limits_hold and self._parts.rail.own_limits:
            held.add(Protection.REGULATOR_LIMITS)
        if self._table_in_command:
            held.add(Protection.FAN_TABLE)
        return frozenset(held)

    # --- contact ------------------------------------------------------------------------------------------------------

    async def first_contact(self) -> BoardIdentity:
        """Fan up, then read only. Raises `NoReply` when nothing at all answers on the control port, `UnknownPart` when
        its firmware answers in another dialect than it is driven in."""
        await self.bridge.open()
        contact = _Contact()
        try:
            return await self._contact(contact)
        except NoReply:
            await self._refuse_other_dialect()
            raise

    async def _contact(self, contact: _Contact) -> BoardIdentity:
        pin = self.bridge.gpio(self._wiring.reset_pin)
        if self._parts.cooling.bytes is not None:
            await contact.ask(self._fan_up)
        cooling = await contact.ask(self._open_cooling)
        rail = await contact.ask(self._open_rail)
        part = rail.name if rail else await contact.ask(self._unusable_part)
        released = await contact.ask(pin.get)
        if released is None:  # errors look the same in A and C: what answers with them alone may speak either
            await self._refuse_other_dialect()
        on = await contact.ask(rail.is_commanded_on) if rail else None
        up = await contact.ask(rail.is_up) if rail else None
        return BoardIdentity(
            board=self.kind.name,
            firmware=await self._firmware(),
            parts={"regulator": part, self._parts.cooling.told: cooling.name if cooling else None},
            hashing_suspected=bool(released) or bool(on) or bool(up),
        )

    async def _refuse_other_dialect(self) -> None:
        bridge, promised = self.bridge, self._wiring.dialect
        try:
            found = await bridge.learn_dialect()
        except (NoReply, BridgeRefused):
            return
        finally:
            bridge.speak(promised)
        if found != promised:
            raise UnknownPart("reply dialect", found, f"{promised}, as its USB descriptor says; unseen: as most do")

    async def _firmware(self) -> str:
        return f"{self._wiring.firmware}, reply dialect {self._wiring.dialect}"

    async def _fan_up(self) -> bool:
        i2c = self.bridge.i2c()
        fan = self._parts.cooling.bytes
        if fan is not None:
            for register, value in fan.full:
                await i2c.write(fan.address, bytes([register, value]))
        self._table_in_command = False
        return True

    async def _open_cooling(self, i2c: I2c | None = None) -> Cooling:
        if self._cooling is None:
            retrying = self.bridge.i2c()
            self._cooling = (await self._parts.cooling.open(i2c or retrying)).over(retrying)
        return self._cooling

    async def _open_rail(self, i2c: I2c | None = None) -> Rail:
        if self._rail is None:
            retrying = self.bridge.i2c()
            opened = await self._parts.rail.open(i2c or retrying, self.bridge.adc)
            self._rail = opened.over(retrying, self.bridge.adc)
        return self._rail

    async def _unusable_part(self) -> str | None:
        """What stands in the regulator's place when it is not one that can be used."""
        return await self._parts.rail.unusable(self.bridge.i2c())

    # --- steps --------------------------------------------------------------------------------------------------------

    async def apply(self, step: Step) -> None:
        match step:
            case FanDuty(ratio=ratio):
                async with self._turning_fan:  # two at once would each read back what the other has written
                    await self._set_duty(ratio)
                    self._table_in_command = False
            case FanTable():
                cooling = await self._open_cooling()
                if cooling.table is None:
                    raise UsageError("fan table", "on", f"nothing: the {cooling.name} of this board has none")
                if not self._table_written:
                    raise UsageError("fan table", "on", "only after lock-down has written it")
                await cooling.table.table_on()
                self._table_in_command = True
            case LockDown():
                await self._lock_down()
            case CoreVoltage(core_v=core_v):
                await (await self._open_rail()).set_core(core_v)
            case RailOn():
                await self._rail_on()
            case VerifyRail():
                await self._verify_rail(step)
            case AssertReset():
                await self._assert_reset()
            case ReleaseReset():
                await self._release_reset()
            case BringUp():
                await self.chain.enumerate()
                await self.chain.initialise()
            case Frequency(frequency_mhz=frequency_mhz, caps_mhz=caps_mhz):
                await self.chain.set_frequency_round(frequency_mhz, below(frequency_mhz, caps_mhz))
                self._clocked_at_s = asyncio.get_running_loop().time()
            case SweepWindow(frequency_mhz=frequency_mhz, caps_mhz=caps_mhz):
                await self.chain.set_window(frequency_mhz, below(frequency_mhz, caps_mhz))
            case FastLink():
                await self.chain.fast_link()
            case TicketDifficulty(difficulty=difficulty):
                await self.chain.set_ticket(difficulty)

    async def _set_duty(self, ratio: Ratio) -> None:
        fan = (await self._open_cooling()).fan
        if fan is not None:
            await fan.set_duty(ratio)
        elif ratio != 1.0:  # somebody else sees to it that it runs: full is what it is taken to be
            raise LimitError("fan duty", ratio, f"1: {_NO_FAN}")

    async def _lock_down(self) -> None:
        self._limits_hold = self._table_written = self._table_in_command = False
        rail, cooling = await self._open_rail(), await self._open_cooling()
        found = await rail.lock_down()
        _log.info("%s: regulator before lock-down: %s", self.kind.name, found)
        self._limits_hold = True
        await cooling.configure()
        self._table_written = cooling.table is not None

    async def _rail_on(self) -> None:
        if not self._limits_hold:
            raise UsageError("rail", "on", "only after lock-down: the regulator's limits must hold first")
        rail = await self._open_rail()
        # Before as well: a sweep may ask between write and answer, or the write may work and its answer be lost.
        self._drop_vr, self._enabled_at_s = True, asyncio.get_running_loop().time()
        if self._wiring.io_pin is not None:
            await self.bridge.gpio(self._wiring.io_pin).set(True)
            await asyncio.sleep(_IO_SETTLES_S)
        if self._wiring.rail_pin is not None:
            await rail.ready()
            await self.bridge.gpio(self._wiring.rail_pin).set(True)
        found = await rail.on()
        self._enabled_at_s = asyncio.get_running_loop().time()
        self._drop_vr = True
        _log.info("%s: regulator before it was switched on: %s", self.kind.name, found)

    async def _verify_rail(self, step: VerifyRail) -> None:
        rail = await self._open_rail()
        tolerance_v = max(step.tolerance_ratio * step.core_v, step.tolerance_v)
        found_v = Volts(0.0)
        for attempt in range(_RAIL_READS):
            if attempt:
                await asyncio.sleep(_RAIL_POLL_S)
            found_v = await rail.core_v()
            if abs(found_v - step.core_v) <= tolerance_v:
                return
        raise VerifyError("core rail", f"{step.core_v:.3f} V +- {tolerance_v:.3f} V", f"{found_v:.3f} V")

    async def _assert_reset(self) -> None:
        pin = self.bridge.gpio(self._wiring.reset_pin)
        await pin.set(False)
        self._released_at_s = self._clocked_at_s = None
        if await pin.get():
            raise VerifyError("reset latch", "asserted", "released")
        await self.chain.reset_line()

    async def _release_reset(self) -> None:
        pin = self.bridge.gpio(self._wiring.reset_pin)
        if await pin.get():  # a chip that is not in reset has a past: give it a clean start
            await pin.set(False)
            await asyncio.sleep(_RESET_PULSE_S)
        await self.chain.reset_line()
        await pin.set(True)
        self._released_at_s = asyncio.get_running_loop().time()
        if not await pin.get():
            raise VerifyError("reset latch", "released", "asserted")

    # --- readings -----------------------------------------------------------------------------------------------------

    async def read(self) -> BoardReading:
        """One sweep: 7 requests, and the slow channels in turn. What a sweep leaves out on purpose has no value and a
        note that begins with "blanked". Raises `Unplugged` alone."""
        sweep, turn, first = Sweep(), self._sweep % _SLOW_SWEEPS, self._sweep == 0
        self._sweep += 1
        bridge = self.bridge
        i2c = bridge.i2c(read_tries=1)
        await self._read_rail(sweep, i2c)
        await self._read_fan(sweep, i2c, fan_speed=first or turn == 0, fan_duty=first or turn == 2)
        if first or turn == 4:
            await sweep.take(Channel.RESET_RELEASED, lambda: bridge.gpio(self._wiring.reset_pin).get(tries=1))
        else:
            sweep.leave_out(Channel.RESET_RELEASED)
        if turn == 1:
            await self._review_protections(sweep, i2c)
        await self._read_clock(sweep, turn)
        return sweep.reading()

    async def _read_rail(self, sweep: Sweep, i2c: I2c) -> None:
        rail = self._rail or await sweep.ask(self._parts.rail.channels, lambda: self._open_rail(i2c))
        if rail is None:
            return
        await rail.over(i2c, self._adc_once).read(sweep)
        if Channel.VR_C not in self._parts.rail.channels:
            return
        # The first value after switching on may be 127.88 C, whenever it is read: read it, and drop it.
        if self._drop_vr or self._since(self._enabled_at_s, sweep.at_s) < _VR_BLANK_S:
            if sweep.channels[Channel.VR_C] is not None:
                self._drop_vr = False
            sweep.leave_out(Channel.VR_C, "the regulator was just switched on")

    async def _adc_once(self) -> int:
        return await self.bridge.adc(tries=1)

    async def _read_fan(self, sweep: Sweep, i2c: I2c, *, fan_speed: bool, fan_duty: bool) -> None:
        cooling = self._cooling or await sweep.ask(_FAN_CHANNELS, lambda: self._open_cooling(i2c))
        if cooling is None:
            return
        cooling = cooling.over(i2c)
        if self._since(self._released_at_s, sweep.at_s) < _DIODE_BLANK_S:
            sweep.leave_out(Channel.CHIP_C, "the diode settles after reset release")
        elif self._since(self._enabled_at_s, sweep.at_s) < _DIODE_BLANK_S:
            sweep.leave_out(Channel.CHIP_C, "the diode settles after the rail was switched on")
        else:
            die = await sweep.ask((Channel.CHIP_C,), cooling.chip)
            if die is not None:
                sweep.put(Channel.CHIP_C, die.chip_c, die.note and f"{FAULTY}: {die.note}")
        fan = cooling.fan
        if fan is None:
            sweep.put(Channel.FAN_RPM, None, _NO_FAN)
            sweep.put(Channel.FAN_RATIO, None, _NO_FAN)
            return
        if fan_speed:
            await sweep.take(Channel.FAN_RPM, fan.rpm)
        else:
            sweep.leave_out(Channel.FAN_RPM)
        if fan_duty:
            await sweep.take(Channel.FAN_RATIO, fan.duty)
        else:
            sweep.leave_out(Channel.FAN_RATIO)

    async def _review_protections(self, sweep: Sweep, i2c: I2c) -> None:
        """Limits and table are registers: a supply that went and came has wiped them, and then they protect nothing."""
        rail, cooling = self._rail, self._cooling
        if (
            self._limits_hold
            and rail is not None
            and await sweep.ask((), rail.over(i2c, self._adc_once).is_locked) is False
        ):
            self._limits_hold = self._table_written = False
            _log.warning("%s: the regulator has lost its limits", self.kind.name)
        table = cooling and cooling.over(i2c).table
        if self._table_in_command and table and await sweep.ask((), table.is_host_set):
            self._table_in_command = False

    async def _read_clock(self, sweep: Sweep, turn: int) -> None:
        """The chip's own word for its clock, and once a second its count of hashes, over the data port. Only on the
        fast line: bring-up is left alone."""
        due = turn == 3 or self._since(self._clocked_at_s, sweep.at_s) < _CLOCK_FRESH_S
        if not self.chain.fast or self.chain.frequency_mhz is None:
            sweep.put(Channel.FREQUENCY_MHZ, None, "the chip is not up")
        elif not due or sweep.over:
            sweep.leave_out(Channel.FREQUENCY_MHZ)
        else:
            try:
                sweep.put(Channel.FREQUENCY_MHZ, await self._board_clock())
            except (NoReply, Unplugged) as error:
                sweep.put(Channel.FREQUENCY_MHZ, None, str(error))
        if turn == 2 and self.chain.fast and not sweep.over:
            try:
                await self.chain.read_die()
            except Unplugged as error:
                _log.debug("%s: thermometers of the chips: %s", self.kind.name, error)  # as below
        if turn == 0 and self.chain.fast and not sweep.over:
            try:
                await self.chain.read_hash_count()
            except Unplugged as error:
                _log.debug("%s: hash count: %s", self.kind.name, error)  # the chain says that the port is gone

    async def _board_clock(self) -> Megahertz | None:
        """That of the board, by the next chip: of one whose clock is capped, and is what it was told, as well. What a
        chip reads that has another one is its own."""
        chain = self.chain
        told_mhz = chain.clock_of(chain.looks_at.index) if chain.chips else None
        found_mhz = await chain.read_clock()
        as_told = found_mhz is not None and told_mhz is not None and abs(found_mhz - told_mhz) < _SAME_MHZ
        return chain.frequency_mhz if as_told else found_mhz

    @staticmethod
    def _since(then_s: float | None, now_s: float) -> float:
        return math.inf if then_s is None else now_s - then_s

    # --- the way out --------------------------------------------------------------------------------------------------

    async def safe_off(self) -> SafeOffReport:
        """Reset asserted, rail off, fan full, each tried whatever failed before, then read back. Never raises."""
        async with self._making_safe:
            outcomes = await make_safe(self.bridge, self._plan)
            self._table_in_command = False
            self._enabled_at_s = self._released_at_s = self._clocked_at_s = None
            if outcomes[0].confirmed:
                await self._line_to_reset()
            return SafeOffReport(asyncio.get_running_loop().time(), outcomes)

    async def _line_to_reset(self) -> None:
        """The chip is in reset: the data port follows, so that nothing of the chip's past is counted. A lost data port
        takes nothing from a safe-off."""
        try:
            await self.chain.reset_line()
        except TransportError as error:
            _log.warning("%s: data port after safe-off: %s", self.kind.name, error)

    async def stop_hashing(self) -> bool:
        return await self.chain.stop_hashing()


class _Contact:
    """Questions of a first contact: what is missing reads None, but a port that says nothing at all is an error."""

    def __init__(self) -> None:
        self.heard = False
        self._silence: NoReply | None = None

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T | None:
        """Raises `NoReply` at the second silence when nothing was heard before."""
        try:
            answer = await question()
        except NoReply as error:
            if self._silence is not None and not self.heard:
                raise
            self._silence = error
            return None
        except (DeviceError, ProtocolError, UnknownPart):
            self.heard = True
            return None
        self.heard = True
        return answer


def open_ports(attached: Attached, chip: str, wiring: Wiring, chips: int = 1) -> tuple[BitaxeRawBridge, Chain]:
    """Begin to read both ports. Nothing is sent and nothing moves."""
    bridge = BitaxeRawBridge(attached.control, dialect=wiring.dialect)
    chain = Chain(attached.data, ASICS[chip], expected_chips=chips, dilution=attached.dilution, name=attached.name)
    bridge.start()
    chain.start()
    return bridge, chain


def row(
    *,
    name: str,
    title: str,
    chip: str,
    chips: int = 1,
    envelope: Envelope,
    plausibility: PlausibilityLimits,
    parts: Parts,
    unswitchable: tuple[str, ...] = ("the 5 V input", "the supply of fan and bridge"),
    matches: tuple[UsbMatch, ...] = BITAXE_RAW_MATCHES,
    other_dialects: tuple[str, ...] = (),
) -> BoardKind:
    """The row of BOARDS for one of these boards. `other_dialects`: in which some of its firmwares answer, beside that
    of `parts.wiring`."""

    async def open_board(attached: Attached) -> Bitaxe:
        return Bitaxe(kind, parts, *open_ports(attached, chip, parts.wiring, chips))

    def behind(dialect: str) -> BoardKind:
        return row(
            name=name,
            title=title,
            chip=chip,
            chips=chips,
            envelope=envelope,
            plausibility=plausibility,
            parts=replace(parts, wiring=replace(parts.wiring, dialect=dialect)),
            unswitchable=unswitchable,
            matches=matches,
        )

    kind = BoardKind(
        name=name,
        title=title,
        matches=matches,
        envelope=envelope,
        chip=chip,
        chips=chips,
        safe_off_recipe=parts.safe_off().recipe(),
        open=open_board,
        plausibility=plausibility,
        own_limits=parts.rail.own_limits,
        unswitchable=unswitchable,
        parts=(*parts.rail.parts, *parts.cooling.parts),
        dialect=parts.wiring.dialect,
        other_dialects={dialect: behind(dialect) for dialect in other_dialects},
    )
    return kind
