"""Kinds of arguments that a fault takes, each with its range; and the one error for a value that is not allowed.

A kind stands in the signature of the method: `ratio: Annotated[float, Number(0, 1)]`. The method, the plant socket and
a script are held to the same range.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Protocol


class BadArgument(ValueError):
    """Names the key, the value and what is allowed. `of`: the action that was asked for, empty when there is none."""

    def __init__(self, key: str, value: object, allowed: str, of: str = "") -> None:
        super().__init__(f"{of}{', ' if of else ''}{key}: {value!r} is not allowed; allowed: {allowed}")
        self.key, self.value, self.allowed = key, value, allowed


class Wrong(Exception):
    """Inside this package: a value is not of its kind. Carries what is allowed."""


class Kind(Protocol):
    """What values an argument takes. `parts`: name to address of what hangs on the bench's bus."""

    def check(self, value: object, parts: Mapping[str, int]) -> Any:
        """The value as the method wants it. `Wrong` with what is allowed."""
        ...

    def allowed(self, parts: Mapping[str, int]) -> str: ...

    @property
    def chooses(self) -> bool:
        """Whether it says *which* fault it is (a part, a channel), not how bad: two of them can be on at once."""
        ...


@dataclass(frozen=True, slots=True)
class Number:
    """A finite number from `low` to `high`."""

    low: float
    high: float
    unit: str = ""
    chooses: bool = False

    def check(self, value: object, parts: Mapping[str, int]) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
            raise Wrong(self.allowed(parts))  # a NaN is not inside either
        return float(value)

    def allowed(self, parts: Mapping[str, int]) -> str:
        return f"{self.low:g} to {self.high:g}{' ' if self.unit else ''}{self.unit}"


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number from `low` to `high`."""

    low: int
    high: int
    chooses: bool = False

    def check(self, value: object, parts: Mapping[str, int]) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not self.low <= value <= self.high:
            raise Wrong(self.allowed(parts))
        return value

    def allowed(self, parts: Mapping[str, int]) -> str:
        return f"whole, {self.low} to {self.high}"


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    chooses: bool = False

    def check(self, value: object, parts: Mapping[str, int]) -> bool:
        if not isinstance(value, bool):
            raise Wrong(self.allowed(parts))
        return value

    def allowed(self, parts: Mapping[str, int]) -> str:
        return "true, false"


@dataclass(frozen=True, slots=True)
class Choice:
    """One of these words."""

    words: tuple[str, ...]
    chooses: bool = False

    def check(self, value: object, parts: Mapping[str, int]) -> str:
        if not isinstance(value, str) or value not in self.words:
            raise Wrong(self.allowed(parts))
        return value

    def allowed(self, parts: Mapping[str, int]) -> str:
        return ", ".join(self.words)


@dataclass(frozen=True, slots=True)
class PartName:
    """A part on the I2C bus, by name or by its 7-bit address. The method gets the address."""

    or_all: bool = False
    """Whether none at all is a choice too."""
    chooses: bool = True

    def check(self, value: object, parts: Mapping[str, int]) -> int | None:
        if value is None and self.or_all:
            return None
        if isinstance(value, str) and value in parts:
            return parts[value]
        if isinstance(value, int) and not isinstance(value, bool) and value in parts.values():
            return value
        raise Wrong(self.allowed(parts))

    def allowed(self, parts: Mapping[str, int]) -> str:
        return ", ".join(sorted(parts)) or "a part of the board"


@dataclass(frozen=True, slots=True)
class Register:
    """A register or PMBus command, by number or by one of these names. The method gets the number."""

    names: Mapping[str, int]
    by_name_alone: bool = False
    chooses: bool = True

    def check(self, value: object, parts: Mapping[str, int]) -> int:
        if isinstance(value, str) and value in self.names:
            return self.names[value]
        known = range(256) if not self.by_name_alone else self.names.values()
        if isinstance(value, int) and not isinstance(value, bool) and value in known:
            return value
        raise Wrong(self.allowed(parts))

    def allowed(self, parts: Mapping[str, int]) -> str:
        return ("" if self.by_name_alone else "0 to 255, ") + ", ".join(self.names)


@dataclass(frozen=True, slots=True)
class Bytes:
    """1 to 32 bytes, as such or as hex text."""

    chooses: bool = False

    def check(self, value: object, parts: Mapping[str, int]) -> bytes:
        if isinstance(value, str):
            try:
                value = bytes.fromhex(value)
            except ValueError:
                raise Wrong(self.allowed(parts)) from None
        if not isinstance(value, bytes) or not 1 <= len(value) <= 32:
            raise Wrong(self.allowed(parts))
        return value

    def allowed(self, parts: Mapping[str, int]) -> str:
        return "1 to 32 bytes in hex"


Off = Annotated[bool, Flag()]
"""True ends the fault; other arguments then only say which."""
Part = Annotated[int | str, PartName()]
PartOrAll = Annotated[int | str | None, PartName(or_all=True)]
Share = Annotated[float, Number(0.0, 1.0)]
Count = Annotated[int, Whole(1, 100_000)]

MISSING: Final = object()
