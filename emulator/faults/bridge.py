"""Faults of the bridge: ports that vanish, firmware that halts, hangs, stalls or starts anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from emulator.faults.actions import action
from emulator.faults.arguments import Choice, Flag, Number, Off
from emulator.faults.line import LineFaults
from emulator.faults.topic import FaultyBench

PortName = Annotated[str, Choice(("control", "data"), chooses=True)]
NewName = Annotated[bool, Flag()]


class BridgeFaults(LineFaults):
    """Bridge and ports

    A firmware that has halted or hangs holds its outputs as they were, and comes back with a power cycle or a reset of
    its MCU (`off`, `reboot`), which puts the chip in reset and leaves regulator and fan alone.
    """

    def __init__(self, bench: FaultyBench, parts: Mapping[str, int], seed: int) -> None:
        super().__init__(bench, parts, seed)
        self.wedged = False
        """The control task waits for ever: no replies until a power cycle."""
        self.panicked = False
        """The firmware has halted: both ports dead, outputs frozen, until a power cycle."""
        self.control_orphaned = False
        """The USB device was unplugged under a powered board: the control task never comes back [D]."""
        self.usb_starved = False
        """The MCU lived on USB, and the cable is out."""
        self.stalled_until_s = float("-inf")
        """The firmware stands still until then."""

    def _end_all(self) -> None:
        self._stall_over()
        if self.wedged or self.panicked or self.control_orphaned or self.usb_starved:
            self._restart()
        for port in self.ports.values():
            port.replug_later(0.0)
        super()._end_all()

    @action("a write of no bytes: docs/wire/bitaxe-raw.md")
    def wedge(self, *, off: Off = False) -> None:
        """The control task hangs; outputs stay as they are, the data port lives on."""
        if not off:
            self.wedged = True
        elif self.wedged:
            self.reboot()

    @action("a length below 5: docs/wire/bitaxe-raw.md")
    def panic(self, *, off: Off = False) -> None:
        """The firmware halts: both ports dead, outputs frozen."""
        if not off:
            self.panicked = True
        elif self.panicked:
            self.reboot()

    @action("pins go back to power-up levels, a PMBus regulator keeps its output: emberone-usbserial-fw c18de74")
    def reboot(self, back_s: Annotated[float, Number(0.0, 60.0, "s")] = 1.0) -> None:
        """The MCU starts anew: both ports vanish and come back, the chip is in reset, rail and fan stay as they are."""
        for port in self.ports.values():
            port.hang_up()
        self._restart()
        for port in self.ports.values():
            port.replug_later(back_s)

    @action("a firmware that is busy with something else")
    def stall_bridge(self, for_s: Annotated[float, Number(0.001, 600.0, "s")] = 1.0, *, off: Off = False) -> None:
        """The firmware stands still for so long: it answers nothing, then everything that came meanwhile."""
        if off:
            self._stall_over()
        else:
            self.stalled_until_s = self._bench.now_s() + for_s

    @action("driver unbound, hub error")
    def unplug(self, port: PortName, *, off: Off = False) -> None:
        """One port vanishes on the host's side; the firmware does not notice. `off`: it is back."""
        if off:
            self._port(port).replug()
        else:
            self._port(port).hang_up()

    @action("a device that enumerates again gets the next free number")
    def replug(self, port: PortName, new_name: NewName = False) -> None:
        """The port comes back; with `new_name` surely under another tty, and the published link moves."""
        self._port(port).replug(new_name=new_name)

    @action("driver unbound, hub error")
    def unplug_control(self, *, off: Off = False) -> None:
        """`unplug` of the control port."""
        self.unplug("control", off=off)

    @action("driver unbound, hub error")
    def unplug_data(self, *, off: Off = False) -> None:
        """`unplug` of the data port."""
        self.unplug("data", off=off)

    @action("a device that enumerates again gets the next free number")
    def replug_control(self, new_name: NewName = False) -> None:
        """`replug` of the control port."""
        self.replug("control", new_name)

    @action("a device that enumerates again gets the next free number")
    def replug_data(self, new_name: NewName = False) -> None:
        """`replug` of the data port."""
        self.replug("data", new_name)

    @action("the task joins a reader that has ended with one that never does: docs/wire/bitaxe-raw.md")
    def unplug_usb(self, *, off: Off = False) -> None:
        """The cable is pulled under a powered board: both ports vanish, and the control task never comes back. `off`:
        the cable is back, which is not enough. An MCU that lives on USB stops instead, drives no pin, and starts anew
        with the cable."""
        if off:
            self.replug_usb()
            return
        self.usb_starved = self._bench.lose_usb()
        self.control_orphaned = not self.usb_starved
        for port in self.ports.values():
            port.hang_up()

    @action("the cable is put back")
    def replug_usb(self, new_name: NewName = False) -> None:
        """Both ports come back."""
        if self.usb_starved:
            self._restart()
        for port in self.ports.values():
            port.replug(new_name=new_name)

    def _restart(self) -> None:
        self.wedged = self.panicked = self.control_orphaned = self.usb_starved = False
        self._stall_over()
        self._bench.restart_bridge()

    def _stall_over(self) -> None:
        """It goes on at this moment, not at the end that was foreseen."""
        if self.stalled_until_s > float("-inf"):
            self.stalled_until_s = min(self.stalled_until_s, self._bench.now_s())
            for port in self.ports.values():
                port.look()
