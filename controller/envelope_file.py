"""What an operator of a kind of board has unlocked or taken away: one TOML file for each kind. Moves nothing.

```toml
schema = "hashbridge.envelope/1"
unlock = "range"            # stock (default), range, or hard: how far the limits below, and commands, may go
core_v_max = 1.200
frequency_mhz_max = 575.0
chip_c_trip = 72.0          # levels of the trips: lower than shipped, never higher
retry = true                # after a trip that a lower point may cure the board comes back by itself
```

It is read when a rig starts: `--envelope FILE`, else `envelopes/KIND.toml` of the config directory when there is one.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from controller.model import OperatorLimits, Reach
from controller.paths import config_dir
from controller.safety.envelope import Envelopes
from controller.text import printable
from drivers.boards import BOARDS
from drivers.errors import UsageError

SCHEMA: Final = "hashbridge.envelope/1"
_REACHES: Final = ", ".join(reach.value for reach in Reach)
_KEYS: Final = f"one of schema, {', '.join(OperatorLimits.model_fields)}"


def usual_file(kind: str) -> Path:
    """Where the limits of this kind of board are kept. It need not exist."""
    return config_dir() / "envelopes" / f"{kind}.toml"


def operator_limits(
    kind: str, file: str | None = None, unlock: Reach | None = None, *, retry: bool = False
) -> OperatorLimits:
    """What holds for a board of this kind, a row of BOARDS: the file, and `unlock` instead of what it says of that.

    `retry`: it may come back by itself, whatever the file says.

    Raises `UsageError` with file, key, value and what is allowed.
    """
    usual = usual_file(kind)
    path = Path(file) if file is not None else usual if usual.exists() else None
    limits = OperatorLimits() if path is None else load(path)
    if unlock is not None:
        limits = limits.model_copy(update={"unlock": unlock})
    if retry:
        limits = limits.model_copy(update={"retry": True})
    Envelopes(BOARDS[kind].envelope, limits, where="" if path is None else f"{path}: ")
    return limits


def load(path: Path) -> OperatorLimits:
    """Raises `UsageError` with file, key, value and what is allowed. What fits a board is not known here."""
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("envelope", str(path), f"a file that can be read ({error})") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError("envelope", str(path), f"TOML ({error})") from error
    schema = found.pop("schema", None)
    if schema != SCHEMA:
        raise UsageError(f"{path}: schema", schema, SCHEMA)
    try:
        if "unlock" in found:
            found["unlock"] = _reach(found["unlock"], f"{path}: unlock")
        return OperatorLimits.model_validate(found, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = str(first["loc"][0])
        allowed = "a number" if key in OperatorLimits.model_fields else _KEYS
        allowed = "true or false" if key == "retry" else allowed
        raise UsageError(f"{path}: {printable(key)}", first["input"], allowed) from None


def parse_reach(text: str, key: str = "unlock") -> Reach:
    """Raises `UsageError`."""
    return _reach(text.strip(), key)


def _reach(said: object, key: str) -> Reach:
    if isinstance(said, str) and said in tuple(Reach):
        return Reach(said)
    raise UsageError(key, said, _REACHES)
