"""What a script may say to the library, checked in one place, before anything is asked of a rig.

Each check gives the value back in the type the vocabulary wants, or raises `UsageError` with the key, the value and
what is allowed, units included. Numbers may come from elsewhere (numpy has numbers of its own); true is not a number.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Final

from controller.files import new_file, readable_file
from controller.model import (
    FAN_TARGET_MAX_C,
    FAN_TARGET_MIN_C,
    KEEP_WITHIN_MAX_S,
    KEEP_WITHIN_MIN_S,
    NOTE_CHARACTERS,
    BoardInfo,
    CapChip,
    Envelope,
    FanMode,
    OperatingPoint,
    Reach,
    SetFan,
    StartWork,
)
from drivers.asics.versions import ROLLED_VERSION_BITS
from drivers.boards.board import Span
from drivers.errors import UsageError, one_of

MAX_SECONDS: Final = 31 * 86400.0
_MAX_SEED: Final = 10**18 - 1
_MAX_LOG2: Final = 32


def _number(value: object, kind: type) -> Any:
    """The value, if it is a number of this kind (`numbers.Real`, `numbers.Integral`)."""
    return value if isinstance(value, kind) and not isinstance(value, bool) else None


def number(key: str, value: object, span: Span, unit: str) -> float:
    """A number within an inclusive range. NaN is in none."""
    found = _number(value, Real)
    if found is not None and span.low <= found <= span.high:
        return float(found)
    raise UsageError(key, value, f"{span.low:g} to {span.high:g} {unit}")


def point(envelope: Envelope, frequency_mhz: object, core_v: object) -> OperatingPoint:
    """Within the hard envelope of the board. None stays None. What is allowed now is for the guard to say."""
    e = envelope
    clock, core = Span(e.frequency_mhz.low, e.frequency_hard_mhz), Span(e.core_v.low, e.core_v_hard)
    return OperatingPoint(
        frequency_mhz=None if frequency_mhz is None else number("frequency_mhz", frequency_mhz, clock, "MHz"),
        core_v=None if core_v is None else number("core_v", core_v, core, "V"),
    )


def seconds(key: str, value: object) -> float:
    """A time that ends, longer than nothing."""
    found = _number(value, Real)
    if found is not None and 0.0 < found <= MAX_SECONDS:
        return float(found)
    raise UsageError(key, value, f"more than 0, at most {MAX_SECONDS:g} s")


def keep_within_s(value: object) -> float | None:
    return None if value is None else number("keep_within_s", value, Span(KEEP_WITHIN_MIN_S, KEEP_WITHIN_MAX_S), "s")


def whole(key: str, value: object, low: int, high: int) -> int:
    found = _number(value, Integral)
    if found is not None and low <= found <= high:
        return int(found)
    raise UsageError(key, value, f"a whole number from {low} to {high}")


def seed(value: object) -> int | None:
    return None if value is None else whole("seed", value, 0, _MAX_SEED)


def version_mask(value: object) -> int | None:
    """Header version bits that may roll."""
    if value is None:
        return None
    found = _number(value, Integral)
    if found is not None and not int(found) & ~ROLLED_VERSION_BITS:
        return int(found)
    raise UsageError("version_mask", value, f"bits of {ROLLED_VERSION_BITS:#010x}, or None")


def power_of_two(key: str, value: object) -> int | None:
    """A dilution or a ticket difficulty."""
    if value is None:
        return None
    found = _number(value, Integral)
    if found is not None and 1 <= found <= 2**_MAX_LOG2 and int(found) & (int(found) - 1) == 0:
        return int(found)
    raise UsageError(key, value, f"a power of two from 1 to {2**_MAX_LOG2}")


def text(key: str, value: object, *, empty: bool = True) -> str:
    """Words of a person, for the history."""
    if isinstance(value, str) and len(value) <= NOTE_CHARACTERS and (value or empty):
        return value
    raise UsageError(key, value, f"a text of {'0' if empty else '1'} to {NOTE_CHARACTERS} characters")


def name(key: str, value: object) -> str | None:
    """The name of a port, a board or a rig."""
    if value is None or (isinstance(value, str) and value and "\0" not in value):
        return value
    raise UsageError(key, value, "a name")


def choice(key: str, value: object, allowed: Collection[str]) -> str:
    if isinstance(value, str) and value in allowed:
        return value
    raise UsageError(key, value, one_of(allowed, value))


def reach(value: object) -> Reach | None:
    """How far to unlock, by its name."""
    return None if value is None else Reach(choice("unlock", value, tuple(Reach)))


def fan(mode: object, target_chip_c: object, floor_ratio: object, note: object) -> SetFan:
    """How the fan is to be led."""
    targets = Span(FAN_TARGET_MIN_C, FAN_TARGET_MAX_C)
    return SetFan(
        mode=FanMode(choice("mode", mode, tuple(FanMode))),
        target_chip_c=number("target_chip_c", target_chip_c, targets, "C"),
        floor_ratio=number("floor_ratio", floor_ratio, Span(0.0, 1.0), "of full duty"),
        note=text("note", note),
    )


def cap(board: BoardInfo, chip: object, frequency_mhz: object, preset: object, note: object) -> CapChip:
    """How fast a chip of this board may be at most. None: as fast as the board."""
    return CapChip(
        chip=whole("chip", chip, 0, board.chips - 1),
        frequency_mhz=point(board.envelope, frequency_mhz, None).frequency_mhz,
        preset=flag("preset", preset),
        note=text("note", note),
    )


def work(kind: object, headers: object, ticket_difficulty: object, its_seed: object, its_mask: object) -> StartWork:
    """What the chips are to be fed with."""
    chosen = choice("kind", kind, ("pattern", "synthetic", "headers"))
    if (chosen == "headers") is not (headers is not None):
        raise UsageError("headers", headers, 'a path for work "headers", None for other work')
    return StartWork.model_validate(
        {
            "work": chosen,
            "headers": present_file("headers", headers),
            "ticket_difficulty": power_of_two("ticket_difficulty", ticket_difficulty),
            "seed": seed(its_seed),
            "version_mask": version_mask(its_mask),
        }
    )


def flag(key: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise UsageError(key, value, "True or False")


def call(key: str, value: object) -> None:
    """A callback, or none."""
    if value is not None and not callable(value):
        raise UsageError(key, value, "a function, or None")


def path(key: str, value: object) -> Path:
    if isinstance(value, str | os.PathLike):
        found = os.fspath(value)
        if isinstance(found, str) and found and "\0" not in found:
            return Path(found)
    raise UsageError(key, value, "a path")


def fresh_file(key: str, value: object) -> str | None:
    """An absolute path where there is no file yet."""
    return None if value is None else new_file(str(path(key, value)), key)


def present_file(key: str, value: object) -> str | None:
    """An absolute path of a file: the rig is another process, which may live in another directory."""
    return None if value is None else str(readable_file(str(path(key, value)), key))
