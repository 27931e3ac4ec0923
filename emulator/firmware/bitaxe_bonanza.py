"""bitaxe-raw for the Bitaxe Bonanza: an ESP32-S3 that speaks USB, and hands pins and fan to an RP2040 behind a UART.

The RP2040 runs bonanza-bridge and wants a lease; the ESP32 takes it when something unsafe is asked for, renews it every
250 ms whether or not its host still lives, and makes the board safe when the RP2040 refuses anything. Facts:
bitaxeorg/bitaxe-raw 140cd33 src/control/bridge.rs, src/control/gpio.rs, src/control/fan.rs, src/control/system.rs. That
closing the port makes the board safe as well is not here: what carries an emulated port does not tell it. [A] =
assumption.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from drivers.codecs.bridge_system import State, SystemCommand
from drivers.codecs.dialect_b import ErrorCode
from drivers.units import Volts
from emulator.faults import Faults
from emulator.faults.topic import UartChip
from emulator.firmware.bitaxe_raw import FAN_SET, FAN_TACH, PAGE_BRIDGE, PAGE_FAN, PAGE_GPIO, BitaxeRaw, Refused
from emulator.firmware.bonanza_bridge import BYTE_S, PIN_FIVE_VOLT, PIN_RESET, TACH_S, Board, BonanzaBridge
from emulator.firmware.profiles import BITAXE_BONANZA
from emulator.parts import I2cBus

RENEW_S: Final = 0.25
UART_S: Final = 40 * BYTE_S
"""One request and its answer on the UART to the RP2040, a heartbeat before it [A]: at most 6 + 20 and 7 + 7 bytes."""
_ALIAS: Final = 0x00
"""Pin 00 is another name of the reset pin."""


class _Behind(BonanzaBridge):
    """The RP2040. A halt of the ESP32 is none of its own."""

    @property
    def halted(self) -> bool:
        return False

    def stands_still(self, at_s: float) -> bool:
        return False


class BitaxeBonanza(BitaxeRaw):
    """The firmware of both. `rp2040` has the outputs and the safety policy."""

    def __init__(
        self,
        bus: I2cBus,
        chip: UartChip,
        faults: Faults,
        board: Board,
        *,
        drive: Callable[[str, bool | None, float], None],
        pin_v: Callable[[str, float], Volts],
        sense: Callable[[str, float], bool],
    ) -> None:
        """`drive` and `sense` of VR_EN and VR_PGOOD, which are the ESP32's own; `board` for what the RP2040 drives."""
        super().__init__(bus, chip, faults, drive=drive, pin_v=pin_v, sense=sense, profile=BITAXE_BONANZA)
        self._board = board
        self.rp2040 = _Behind(bus, chip, faults, board)
        self._leased = False
        self._starts = 0

    def power_up(self, at_s: float) -> None:
        self._leased = False
        self._starts += 1
        self.rp2040.power_up(at_s)
        super().power_up(at_s)

    # --- pages

    def seconds(self, page: int, command: int) -> float:
        return UART_S + (TACH_S if (page, command) == (PAGE_FAN, FAN_TACH) else 0.0)

    def pin(self, number: int, data: bytes, at_s: float) -> bool:
        if not self.profile.pins[number].behind:
            return super().pin(number, data, at_s)
        command = PIN_RESET if number == _ALIAS else number
        self._board.bring(at_s)  # heartbeats that were due come first
        self._renew(at_s)
        if data and data[0]:
            self._take_lease(at_s)
            # Asked for once more, what is so already is no error; the RP2040 would refuse it.
            if self._strictly(PAGE_GPIO, command, b"", at_s) == b"\x01":
                return True
        found = self._strictly(PAGE_GPIO, command, bytes((data[0] != 0,)) if data else b"", at_s)
        if data and not data[0] and command == PIN_FIVE_VOLT:
            self._give_back(at_s)
        return found == b"\x01"

    def proxied(self, page: int, command: int, data: bytes, at_s: float) -> bytes:
        self._board.bring(at_s)
        self._renew(at_s)
        if page == PAGE_BRIDGE:
            try:
                return self.rp2040.carry_out(page, command, data, at_s)
            except Refused:
                if self._leased:
                    self._make_safe(at_s)
                raise
        if command == FAN_SET and data[0] < 100:
            self._take_lease(at_s)
        return self._strictly(page, command, data, at_s)

    def _strictly(self, page: int, command: int, data: bytes, at_s: float) -> bytes:
        """The RP2040's answer; when it refuses, the board is made safe."""
        try:
            return self.rp2040.carry_out(page, command, data, at_s)
        except Refused:
            self._make_safe(at_s)
            raise

    # --- the lease

    def _take_lease(self, at_s: float) -> None:
        """An old fault is cleared without a word, unless the trip input is active."""
        if self._leased:
            return
        policy = self.rp2040.policy
        try:
            self.rp2040.serve(at_s)
            if policy.state is State.FAULT_LATCHED:
                if policy.tripped:
                    raise Refused(ErrorCode.FAULT)
                self._system(SystemCommand.CLEAR_FAULT, at_s)
            if policy.state is not State.CONTROLLED:
                self._system(SystemCommand.ARM, at_s)
        except Refused:
            self._make_safe(at_s)
            raise
        self._leased = True
        self._tick(self._starts, at_s)

    def _tick(self, start: int, at_s: float) -> None:
        if start != self._starts or not self._leased:
            return
        if not self.faults.panicked and at_s >= self.faults.stalled_until_s:  # a task of its own: no host, no matter
            self._renew(at_s)
        self._board.at(at_s + RENEW_S, lambda: self._tick(start, at_s + RENEW_S))

    def _renew(self, at_s: float) -> None:
        if not self._leased:
            return
        try:
            self._system(SystemCommand.HEARTBEAT, at_s)
        except Refused:
            self._make_safe(at_s)

    def _give_back(self, at_s: float) -> None:
        self._leased = False
        self._system(SystemCommand.DISARM, at_s)

    def _make_safe(self, at_s: float) -> None:
        self.rp2040.carry_out(PAGE_GPIO, PIN_RESET, b"\x00", at_s)
        self.rp2040.carry_out(PAGE_GPIO, PIN_FIVE_VOLT, b"\x00", at_s)
        self.rp2040.carry_out(PAGE_FAN, FAN_SET, b"\x64", at_s)
        self._give_back(at_s)

    def _system(self, command: SystemCommand, at_s: float) -> None:
        self.rp2040.carry_out(PAGE_BRIDGE, command, b"", at_s)
