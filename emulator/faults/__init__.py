"""Faults that strike a bench while it runs. All chance in them comes from the seed of the bench.

`Faults` is the one place a test, a demo, a script or the plant socket turns to. Each action is a method, checked
whoever calls it, and has the same name and the same arguments everywhere: docs/faults.md, made of `ACTIONS`. Any number
of them may be on at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from emulator.faults.actions import Action, action, declared
from emulator.faults.arguments import BadArgument, PartOrAll
from emulator.faults.bridge import BridgeFaults
from emulator.faults.bus import BusFaults
from emulator.faults.chip import ChipFaults
from emulator.faults.line import LineFaults
from emulator.faults.power import PowerFaults
from emulator.faults.regulator import RegulatorFaults
from emulator.faults.sensors import SensorFaults
from emulator.faults.topic import FaultyBench, Topic

__all__ = ["ACTIONS", "TOPICS", "BadArgument", "Faults"]


class Faults(BusFaults, SensorFaults, PowerFaults, RegulatorFaults, ChipFaults, BridgeFaults):
    """Whole board"""

    def __init__(self, bench: FaultyBench, parts: Mapping[str, int], seed: int) -> None:
        super().__init__(bench, parts, seed)
        self.on_action: Callable[[str, Mapping[str, Any], str], None] | None = None
        """Told each action asked for by name, before what follows from it: name, arguments as given, who asked."""

    @action("the plug is pulled and put back")
    def power_cycle(self) -> None:
        """The supply goes and comes: every part at its reset values, firmware alive again, the bus free. Other faults
        stay."""
        self.wedged = self.panicked = self.control_orphaned = False
        self.stalled_until_s = float("-inf")
        self.bus.held_low = False
        self.bus.arm()
        self._bench.power_cycle()

    @action("the board as it was built")
    def heal(self, part: PartOrAll = None) -> None:
        """End all bus trouble of one part; without one, end every fault: ports are back, a halted firmware is reset."""
        if part is None:
            self._end_all()
        else:
            self.bus.heal(int(part))

    def do(self, name: object, arguments: Mapping[str, Any] | None = None, by: str = "plant") -> None:
        """Call an action by name. `BadArgument` names what is wrong with the name or with an argument."""
        given = dict(arguments or {})
        found = look_up(name)
        found.check(given, self.parts)
        if self.on_action is not None:
            self.on_action(found.name, given, by)
        getattr(self, found.name)(**given)


TOPICS: Final[tuple[type[Topic], ...]] = (
    BusFaults,
    SensorFaults,
    PowerFaults,
    RegulatorFaults,
    ChipFaults,
    LineFaults,
    BridgeFaults,
    Faults,
)
ACTIONS: Final[Mapping[str, Action]] = MappingProxyType(declared(TOPICS))


def look_up(name: object) -> Action:
    """The action of this name. `BadArgument` names those that there are."""
    found = ACTIONS.get(name) if isinstance(name, str) else None
    if found is None:
        raise BadArgument("do", name, ", ".join(sorted(ACTIONS)))
    return found
