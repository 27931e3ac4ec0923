"""Faults that strike a bench while it runs. All chance in them comes from the seed of the bench.

`Faults` is the one place a test, a demo or the plant socket turns to. Each public method that takes plain values is
listed in `ACTIONS`, under the name by which the plant socket calls it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from emulator.parts import BusTrouble


class Pluggable(Protocol):
    """A port that can be pulled out and put back."""

    def hang_up(self) -> None: ...

    def replug(self) -> None: ...


class FaultyBench(Protocol):
    """What the faults need of the bench that they strike."""

    def set_diode(self, state: str) -> None:
        """`ok`, `open` or `short`."""
        ...

    def set_fan_stalled(self, stalled: bool) -> None: ...

    def set_source_ohm(self, ohm: float) -> None: ...

    def set_source_v(self, volts: float) -> None: ...

    def set_ambient_c(self, celsius: float) -> None: ...

    def set_heatsink(self, resistance_factor: float) -> None: ...

    def set_regulation_error_v(self, volts: float) -> None: ...

    def power_cycle(self) -> None: ...


class Faults:
    """Run-time faults of one bench."""

    def __init__(self, bench: FaultyBench, parts: Mapping[str, int], seed: int) -> None:
        self._bench = bench
        self._parts = dict(parts)
        self.bus = BusTrouble(random.Random(f"{seed}/bus"))
        self.lost_replies = 0
        """How many of the next control replies vanish."""
        self.wedged = False
        """The control task waits for ever: no replies until a power cycle."""
        self.panicked = False
        """The firmware has halted: both ports dead, outputs frozen, until a power cycle."""
        self.control_orphaned = False
        """The USB device was unplugged under a powered board: the control task never comes back [D]."""
        self.ports: dict[str, Pluggable] = {}
        """The ports that carry this bench, by `control` and `data`; a port enters itself."""

    # --- the I2C bus: a part is named by address or by name

    def nak(self, part: int | str) -> None:
        """The part stops acknowledging."""
        self.bus.silent.add(self._address(part))
        self.bus.arm()

    def garbage(self, part: int | str) -> None:
        """Each read of the part gives noise."""
        self.bus.garbage.add(self._address(part))
        self.bus.arm()

    def freeze(self, part: int | str) -> None:
        """The part repeats the first answer it gives to each question from now on."""
        self.bus.frozen.setdefault(self._address(part), {})
        self.bus.arm()

    def deafen(self, part: int | str) -> None:
        """The part acknowledges writes and ignores them."""
        self.bus.deaf.add(self._address(part))
        self.bus.arm()

    def stick(self, part: int | str, register: int, data: bytes | str) -> None:
        """Reads of one register give these bytes (hex when text), whatever is true."""
        fixed = bytes.fromhex(data) if isinstance(data, str) else bytes(data)
        self.bus.stuck.setdefault(self._address(part), {})[register] = fixed
        self.bus.arm()

    def heal(self, part: int | str | None = None) -> None:
        """End all bus trouble of one part, or of all."""
        self.bus.heal(None if part is None else self._address(part))

    # --- sensors, fan, supply

    def open_diode(self) -> None:
        self._bench.set_diode("open")

    def short_diode(self) -> None:
        self._bench.set_diode("short")

    def restore_diode(self) -> None:
        self._bench.set_diode("ok")

    def stall_fan(self, stalled: bool = True) -> None:
        """The rotor is blocked: no air, no tachometer pulses."""
        self._bench.set_fan_stalled(stalled)

    def source_ohm(self, ohm: float) -> None:
        """Step the resistance of the supply and its cable."""
        self._bench.set_source_ohm(ohm)

    def source_v(self, volts: float) -> None:
        """Step the no-load voltage of the supply."""
        self._bench.set_source_v(volts)

    def ambient_c(self, celsius: float) -> None:
        self._bench.set_ambient_c(celsius)

    def loosen_heatsink(self, factor: float = 5.0) -> None:
        """Multiply the thermal resistance from die to sink; 1 restores it."""
        self._bench.set_heatsink(factor)

    def regulation_error(self, volts: float) -> None:
        """The rail leaves its set point by this much: a regulator that no longer regulates."""
        self._bench.set_regulation_error_v(volts)

    # --- the bridge and its ports

    def lose_replies(self, count: int = 1) -> None:
        """The next `count` control replies vanish; their requests are carried out."""
        self.lost_replies += count

    def wedge(self) -> None:
        """The control task hangs as after a zero-length write. Outputs stay; only a power cycle helps."""
        self.wedged = True

    def panic(self) -> None:
        """The firmware halts: both ports dead, outputs frozen, until a power cycle."""
        self.panicked = True

    def unplug(self, port: str) -> None:
        """One port vanishes on the host's side (driver unbound, hub error); the firmware does not notice."""
        self.ports[port].hang_up()

    def replug(self, port: str) -> None:
        """The port comes back."""
        self.ports[port].replug()

    def unplug_usb(self) -> None:
        """The cable is pulled: both ports vanish, and the control task never comes back while the board has power."""
        self.control_orphaned = True
        for port in self.ports.values():
            port.hang_up()

    def replug_usb(self) -> None:
        for port in self.ports.values():
            port.replug()

    def power_cycle(self) -> None:
        """The supply goes and comes: every part at its reset values, firmware alive again. Other faults stay."""
        self.wedged = self.panicked = self.control_orphaned = False
        self._bench.power_cycle()

    # --- by name

    def do(self, action: str, arguments: Mapping[str, Any] | None = None) -> None:
        """Call an action of `ACTIONS` by name. ValueError names what is wrong with the name or the arguments."""
        call = ACTIONS.get(action)
        if call is None:
            raise ValueError(f"unknown action {action!r}; known: {', '.join(sorted(ACTIONS))}")
        try:
            call(self, **(arguments or {}))
        except TypeError as error:
            raise ValueError(f"{action}: {error}") from error
        except KeyError as error:
            raise ValueError(f"{action}: there is no {error}") from error

    def _address(self, part: int | str) -> int:
        if isinstance(part, int):
            return part
        if part not in self._parts:
            raise ValueError(f"unknown part {part!r}; known: {', '.join(sorted(self._parts))}")
        return self._parts[part]


ACTIONS: Final[Mapping[str, Callable[..., None]]] = {
    "nak": Faults.nak,
    "garbage": Faults.garbage,
    "freeze": Faults.freeze,
    "deafen": Faults.deafen,
    "stick": Faults.stick,
    "heal": Faults.heal,
    "open_diode": Faults.open_diode,
    "short_diode": Faults.short_diode,
    "restore_diode": Faults.restore_diode,
    "stall_fan": Faults.stall_fan,
    "source_ohm": Faults.source_ohm,
    "source_v": Faults.source_v,
    "ambient_c": Faults.ambient_c,
    "loosen_heatsink": Faults.loosen_heatsink,
    "regulation_error": Faults.regulation_error,
    "lose_replies": Faults.lose_replies,
    "wedge": Faults.wedge,
    "panic": Faults.panic,
    "unplug": Faults.unplug,
    "replug": Faults.replug,
    "unplug_control": lambda faults: faults.unplug("control"),
    "replug_control": lambda faults: faults.replug("control"),
    "unplug_data": lambda faults: faults.unplug("data"),
    "replug_data": lambda faults: faults.replug("data"),
    "unplug_usb": Faults.unplug_usb,
    "replug_usb": Faults.replug_usb,
    "power_cycle": Faults.power_cycle,
}
