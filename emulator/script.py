"""A script of faults: what happens to an emulated board, and when. TOML, checked whole before anything starts.

schema = "hashbridge.faults/1"
[[at]]            # s seconds after the ports were published: an action of `emulator.faults.ACTIONS`, its arguments
s = 30.0
do = "stall_fan"
[[between]]       # begins at from_s and ends by itself at to_s
from_s = 60.0
to_s = 65.0
do = "lose_bytes"
p = 0.01
"""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from emulator.faults import ACTIONS, BadArgument, Faults, look_up
from emulator.faults.actions import OFF

SCHEMA: Final = "hashbridge.faults/1"
LONGEST_S: Final = 1e7
_TABLES: Final = {"at": ("s",), "between": ("from_s", "to_s")}


class ScriptError(ValueError):
    """A script that cannot be played: file, entry (empty: the file as a whole), key, value, and what is allowed."""

    def __init__(self, file: str, entry: str, key: str, value: object, allowed: str) -> None:
        where = f"{file}, {entry}" if entry else file
        super().__init__(f"{where}, {key}: {value!r} is not allowed; allowed: {allowed}")
        self.file, self.entry, self.key, self.value, self.allowed = file, entry, key, value, allowed


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens. `at_s`: seconds after the ports were published."""

    at_s: float
    do: str
    arguments: Mapping[str, Any]
    entry: str
    """Where it stands: `at 2` is the second [[at]]."""


@dataclass(frozen=True, slots=True)
class Script:
    """A script that was checked against the bench it is for."""

    name: str
    steps: tuple[Step, ...]
    """In the order of time; what ends goes before what begins at the same moment."""

    @classmethod
    def load(cls, path: Path, faults: Faults) -> Script:
        """Read a file. OSError, or `ScriptError` for the first thing in it that is not allowed."""
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise ScriptError(path.name, "", f"byte {error.start}", error.object[error.start], "UTF-8") from None
        return cls.parse(text, faults, path.name)

    @classmethod
    def parse(cls, text: str, faults: Faults, name: str = "script") -> Script:
        """As `load`, of a text. `name` is what errors call it."""
        try:
            content = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ScriptError(name, "", "text", str(error), "TOML") from None
        if content.get("schema") != SCHEMA:
            raise ScriptError(name, "", "schema", content.get("schema"), repr(SCHEMA))
        for key, value in content.items():
            if key != "schema" and key not in _TABLES:
                raise ScriptError(name, "", key, value, "schema, [[at]], [[between]]")
        return cls(name, _Reader(name, faults).steps(content))

    def play(self, faults: Faults, origin_s: float | None = None) -> Player:
        """Begin, on the running loop. `origin_s`: the time of the loop from which the script counts; None: now."""
        loop = asyncio.get_running_loop()
        return Player(self, faults, loop, loop.time() if origin_s is None else origin_s)


class _Reader:
    """Turns the tables of one script into steps."""

    def __init__(self, name: str, faults: Faults) -> None:
        self._name, self._faults = name, faults

    def steps(self, content: Mapping[str, Any]) -> tuple[Step, ...]:
        steps: list[tuple[float, int, Step]] = []
        lasts: dict[tuple[object, ...], list[tuple[float, float, str]]] = {}
        for table, times in _TABLES.items():
            entries = content.get(table, [])
            if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
                raise ScriptError(self._name, "", table, entries, f"[[{table}]], any number of them")
            for number, given in enumerate(entries, 1):
                entry = f"{table} {number}"
                at_s = [self._time(entry, key, given) for key in times]
                do, arguments, identity = self._action(entry, {k: v for k, v in given.items() if k not in times})
                steps.append((at_s[0], 1, Step(at_s[0], do, arguments, entry)))
                if table == "between":
                    if at_s[1] <= at_s[0]:
                        raise ScriptError(self._name, entry, "to_s", at_s[1], f"later than from_s, {at_s[0]:g}")
                    for begun_s, over_s, other in lasts.setdefault(identity, []):
                        if at_s[0] < over_s and begun_s < at_s[1]:
                            free = f"a time outside {begun_s:g} to {over_s:g} s, when {other} has the same fault on"
                            raise ScriptError(self._name, entry, "from_s", at_s[0], free)
                    lasts[identity].append((at_s[0], at_s[1], entry))
                    steps.append((at_s[1], 0, Step(at_s[1], do, {**arguments, OFF: True}, entry)))
        steps.sort(key=lambda step: step[:2])
        return tuple(step for _, _, step in steps)

    def _time(self, entry: str, key: str, given: Mapping[str, Any]) -> float:
        value = given.get(key)
        good = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LONGEST_S
        if not good or value is None:
            raise ScriptError(self._name, entry, key, value, f"0 to {LONGEST_S:g} s")
        return float(value)

    def _action(self, entry: str, given: dict[str, Any]) -> tuple[str, dict[str, Any], tuple[object, ...]]:
        do = given.pop("do", None)
        try:
            action = look_up(do)
            if entry.startswith("between") and (not action.lasting or OFF in given):
                if OFF in given:
                    raise BadArgument(OFF, given[OFF], "no such key: it ends at to_s")
                lasting = ", ".join(sorted(name for name, one in ACTIONS.items() if one.lasting))
                raise BadArgument("do", do, f"what can be ended: {lasting}")
            checked = action.check(given, self._faults.parts)
        except BadArgument as bad:
            raise ScriptError(self._name, entry, bad.key, bad.value, bad.allowed) from None
        return action.name, given, action.identity(checked)


class Player:
    """A script under way. `stop` when the bench goes; a fault that cannot be done is kept in `failed`, and the rest
    goes on."""

    def __init__(self, script: Script, faults: Faults, loop: asyncio.AbstractEventLoop, origin_s: float) -> None:
        self.script = script
        self.done = 0
        """Steps so far."""
        self.failed: list[str] = []
        self._faults, self._loop, self._origin_s = faults, loop, origin_s
        self._timer: asyncio.TimerHandle | None = None
        self._wait()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def as_dict(self) -> dict[str, Any]:
        """For the plant socket: step k of n, and what comes next."""
        following = self._next()
        return {
            "name": self.script.name,
            "step": self.done,
            "of": len(self.script.steps),
            "next": None if following is None else {"s": following.at_s, "do": following.do, "entry": following.entry},
            "failed": list(self.failed),
        }

    def _next(self) -> Step | None:
        steps = self.script.steps
        return steps[self.done] if self.done < len(steps) else None

    def _wait(self) -> None:
        step = self._next()
        self._timer = None if step is None else self._loop.call_at(self._origin_s + step.at_s, self._fire)

    def _fire(self) -> None:
        step = self._next()
        assert step is not None
        self.done += 1
        try:
            self._faults.do(step.do, step.arguments, by=f"{self.script.name} {self.done}/{len(self.script.steps)}")
        except ValueError as error:
            # Only the moment can tell: a port in memory that nobody brings a new wire for.
            self.failed.append(f"{step.entry}: {error}")
        self._wait()
