"""Faults of the I2C bus, and of what is written and read on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from emulator.faults.actions import action
from emulator.faults.arguments import Bytes, Count, Off, Part, Register, Share
from emulator.faults.topic import FaultyBench, Topic
from emulator.parts import BusTrouble, emc2101, tps546
from emulator.parts.trouble import Change

VOLT_COMMANDS: Final[Mapping[str, int]] = {
    "VOUT_COMMAND": tps546.VOUT_COMMAND,
    "VOUT_MAX": tps546.VOUT_MAX,
    "VOUT_MIN": tps546.VOUT_MIN,
}
REGISTERS: Final[Mapping[str, int]] = {
    "OPERATION": tps546.OPERATION,
    "ON_OFF_CONFIG": tps546.ON_OFF_CONFIG,
    "WRITE_PROTECT": tps546.WRITE_PROTECT,
    **VOLT_COMMANDS,
    "IOUT_OC_FAULT_LIMIT": tps546.OC_FAULT,
    "STATUS_WORD": tps546.STATUS_WORD,
    "FAN_CONFIG": emc2101.FAN_CONFIG,
    "FAN_SETTING": emc2101.FAN_SETTING,
}
"""The registers that have a name here; any other goes by its number."""

AnyRegister = Annotated[int | str, Register(REGISTERS)]
VoltRegister = Annotated[int | str, Register(VOLT_COMMANDS, by_name_alone=True)]


class BusFaults(Topic):
    """I2C bus

    A part is named by its name or by its address. The firmware has one error text for all that can go wrong on the bus.
    """

    def __init__(self, bench: FaultyBench, parts: Mapping[str, int], seed: int) -> None:
        super().__init__(bench, parts, seed)
        self.bus = BusTrouble(self._chance("bus"))

    def _end_all(self) -> None:
        self.bus.heal()
        super()._end_all()

    @action("ESP-Miner #78, #680; mujina board/bitaxe.rs")
    def nak(self, part: Part, p: Share = 1.0, *, off: Off = False) -> None:
        """The part does not acknowledge this share of its transfers."""
        address = _number(part)
        self.bus.silent.pop(address, None)
        if not off:
            self.bus.silent[address] = p
        self.bus.arm()

    @action("ESP-Miner-NerdQAxePlus #683")
    def stuck_bus(self, *, off: Off = False) -> None:
        """A part holds SDA low: every transfer fails until it is given nine clocks (`off`) or the supply goes. The
        bridge has no request that gives them."""
        self.bus.held_low = not off
        self.bus.arm()

    @action("ESP-Miner-NerdQAxePlus #683")
    def garbage(self, part: Part, *, off: Off = False) -> None:
        """Each read of the part gives noise."""
        self.bus.garbage.discard(_number(part))
        if not off:
            self.bus.garbage.add(_number(part))
        self.bus.arm()

    @action("AxeOS shows the last value after a failed read: ESP-Miner main/power")
    def freeze(self, part: Part, *, off: Off = False) -> None:
        """The part repeats the first answer that it gives to each question from now on."""
        self.bus.frozen.pop(_number(part), None)
        if not off:
            self.bus.frozen[_number(part)] = {}
        self.bus.arm()

    @action("docs/safety.md 3: not what was commanded, twice in a row")
    def deafen(self, part: Part, *, off: Off = False) -> None:
        """The part acknowledges writes and ignores them."""
        self.bus.deaf.discard(_number(part))
        if not off:
            self.bus.deaf.add(_number(part))
        self.bus.arm()

    @action("an unknown DEVICE_ID: ESP-Miner #1886")
    def stick(
        self,
        part: Part,
        register: AnyRegister,
        data: Annotated[bytes | str, Bytes()] = b"\xff\xff",
        *,
        off: Off = False,
    ) -> None:
        """Reads of one register give these bytes, whatever is true: a wrong identity, a limit that does not hold."""
        fixed = self.bus.stuck.setdefault(_number(part), {})
        fixed.pop(_number(register), None)
        if not off:
            assert isinstance(data, bytes)
            fixed[_number(register)] = data
        elif not fixed:
            del self.bus.stuck[_number(part)]
        self.bus.arm()

    @action("docs/safety.md 3: not what was commanded, twice in a row")
    def ignore_writes(self, command: AnyRegister, count: Count = 1, part: Part = "tps546", *, off: Off = False) -> None:
        """The next `count` writes of one register are acknowledged and change nothing."""
        self._change(part, command, lambda payload: None, 0 if off else count)

    @action("ESP-Miner PR#1923: asked for 950 mV, a board gave 1.41 V")
    def double_writes(
        self, command: VoltRegister = "VOUT_COMMAND", count: Count = 1, part: Part = "tps546", *, off: Off = False
    ) -> None:
        """The next `count` writes of a voltage set twice the value."""
        self._change(part, command, _twice, 0 if off else count)

    @action("docs/safety.md 1: what is said to be confirmed was read back")
    def answer_old(self, command: AnyRegister, part: Part = "tps546", *, off: Off = False) -> None:
        """Writes of one register act, but it reads as it was before the last of them."""
        place = (_number(part), _number(command))
        self.bus.behind.pop(place, None)
        if not off:
            self.bus.behind[place] = None
        self.bus.arm()

    def _change(self, part: int | str, command: int | str, change: Change, count: int) -> None:
        place = (_number(part), _number(command))
        self.bus.changed.pop(place, None)
        if count:
            self.bus.changed[place] = (change, count)
        self.bus.arm()


def _number(checked: int | str) -> int:
    """An argument that a check has made a number of."""
    assert isinstance(checked, int)
    return checked


def _twice(payload: bytes) -> bytes:
    return min(2 * int.from_bytes(payload, "little"), 0xFFFF).to_bytes(2, "little")
