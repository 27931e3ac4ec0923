"""Operating profiles: points with names, one TOML file for each kind of board. Moves nothing.

```toml
schema = "hashbridge.profiles/1"

[quiet]
frequency_mhz = 450.0
core_v = 1.100
note = "fan barely audible"
saved = 2026-11-25T22:10:00Z
```

The files are for people too: what else they have written in one, comments above all, stays as it is. A profile goes to
a board as a command like any other, and the guard judges it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

import tomlkit
from pydantic import AwareDatetime, Field, ValidationError, field_validator
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Comment, Item, Null, Table, Whitespace

from controller import arguments, paths
from controller.files import write_whole
from controller.model import (
    NOTE_CHARACTERS,
    Command,
    GuardState,
    Model,
    PowerUp,
    SetOperatingPoint,
)
from controller.text import printable
from drivers.asics import ASICS, pll
from drivers.boards import BOARDS, known_board
from drivers.errors import Refused, UsageError, one_of

SCHEMA: Final = "hashbridge.profiles/1"

_NAME: Final = re.compile(r"[A-Za-z0-9_.-](?:[A-Za-z0-9 _.-]{0,38}[A-Za-z0-9_.-])?")
_KEYS: Final = "frequency_mhz, core_v, note, saved"
_ALLOWED: Final[Mapping[str, str]] = {
    "name": "1 to 40 letters, digits, blanks or - _ . with no blank at either end, and not schema",
    "frequency_mhz": "a number of MHz above 0",
    "core_v": "a number of volts above 0",
    "note": f"text of at most {NOTE_CHARACTERS} characters",
    "saved": "a date and time with its offset, such as 2026-11-25T22:10:00Z",
}


class Profile(Model):
    """One named point. `saved`: when, in UTC or with its offset; None when nobody has said."""

    name: str
    frequency_mhz: float = Field(gt=0.0, allow_inf_nan=False)
    core_v: float = Field(gt=0.0, allow_inf_nan=False)
    note: str = Field(default="", max_length=NOTE_CHARACTERS)
    saved: AwareDatetime | None = None

    @field_validator("name")
    @classmethod
    def _speakable(cls, name: str) -> str:
        if not _NAME.fullmatch(name) or name == "schema":
            raise ValueError(_ALLOWED["name"])
        return name

    @classmethod
    def make(cls, name: str, frequency_mhz: float, core_v: float, note: str = "") -> Self:
        """As the constructor, but with one `UsageError` for what is wrong."""
        return cls.of({"name": name, "frequency_mhz": frequency_mhz, "core_v": core_v, "note": note})

    @classmethod
    def of(cls, fields: Mapping[str, object], where: str = "") -> Self:
        """Raises one `UsageError` for what is wrong; `where` goes before its key."""
        try:
            return cls.model_validate(fields, strict=True)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = str(first["loc"][0])
            value = None if first["type"] == "missing" else first["input"]
            raise UsageError(f"{where}{printable(key)}", value, _ALLOWED.get(key, f"one of {_KEYS}")) from None


def check_point(kind: str, profile: Profile, where: str = "") -> None:
    """Raises `UsageError` for a point that a board of this kind can never be given: outside its range or its PLL."""
    board = BOARDS[known_board(kind)]
    e = board.envelope
    for key, value, span, hard, unit in (
        ("frequency_mhz", profile.frequency_mhz, e.frequency_mhz, e.frequency_hard_mhz, "MHz"),
        ("core_v", profile.core_v, e.core_v, e.core_v_hard, "V"),
    ):
        if value not in span or value > hard:
            raise UsageError(f"{where}{key}", value, f"{span.low:g} to {min(span.high, hard):g} {unit} for {kind}")
    chip = ASICS[board.chip]
    try:
        pll.solve(profile.frequency_mhz, chip.pll_rule, chip.pll_shape)
    except UsageError as error:
        raise UsageError(f"{where}frequency_mhz", profile.frequency_mhz, f"{error.allowed}: {board.chip}") from None


def command_for(profile: Profile, state: GuardState, keep_within_s: float | None = None) -> Command:
    """What applies a profile to a board in this state; the guard has the last word.

    A live board moves, on trial for `keep_within_s` (1 to 3600 s) unless that is None. A board that is safe off powers
    up; that has no trial, for there is no point to go back to. Raises `Refused` for any other state.
    """
    keep_within_s = arguments.keep_within_s(keep_within_s)
    frequency_mhz, core_v, note = profile.frequency_mhz, profile.core_v, f"profile {profile.name}"
    match state:
        case GuardState.SAFE_OFF:
            return PowerUp(frequency_mhz=frequency_mhz, core_v=core_v, note=note)
        case GuardState.LIVE:
            return SetOperatingPoint(
                frequency_mhz=frequency_mhz, core_v=core_v, preset=True, keep_within_s=keep_within_s, note=note
            )
        case _:
            raise Refused("state", f"a profile goes to a board that is live or safe_off, this one is {state.value}")


class Profiles:
    """The profiles of this user. All of it reads and writes files at once; nothing is kept in memory.

    Every method raises `UnknownPart` for a kind that there is not, `UsageError` for a file that is not as it should be,
    with file, key, value and what is allowed, and `OSError`.
    """

    def __init__(self, directory: Path | None = None, *, utc: Callable[[], datetime] | None = None) -> None:
        """`directory` instead of the user's own; `utc` is the clock of `saved`."""
        self._directory = directory
        self._utc = utc or (lambda: datetime.now(UTC))

    def path(self, kind: str) -> Path:
        """The file of a kind, which need not exist."""
        directory = self._directory or paths.config_dir() / "profiles"
        # Resolved, so that a link stays one when its file is written anew.
        return (directory / f"{known_board(kind)}.toml").resolve()

    def list(self, kind: str) -> tuple[Profile, ...]:
        """In the order of the file. They are not held against the range of the board: `check_point` does that."""
        path = self.path(kind)
        return tuple(_parse(path, _read(path)).values())

    def load(self, kind: str, name: str) -> Profile:
        """One that can be given to a board. The file may have been edited, so its point is checked again."""
        path = self.path(kind)
        profile = _known(_parse(path, _read(path)), name)
        check_point(kind, profile, f"{path}: {name}.")
        return profile

    def save(self, kind: str, profile: Profile, *, replace: bool = False) -> Profile:
        """Stores it and returns it as stored: with the present time when it has none.

        Raises `UsageError` for a point outside the range of the board, and for a name that is taken unless `replace`.
        """
        path = self.path(kind)
        check_point(kind, profile)
        text = _read(path)
        known = _parse(path, text)
        if profile.name in known and not replace:
            raise UsageError(
                "name", profile.name, "a name that is not taken, unless it is to replace the old one (--replace)"
            )
        if profile.saved is None:
            profile = profile.model_copy(update={"saved": self._utc().replace(microsecond=0)})
        document = tomlkit.document() if text is None else _document(path, text)
        if text is None:
            document["schema"] = SCHEMA
        _put(document, profile)
        self._write(path, document, {**known, profile.name: profile})
        return profile

    def delete(self, kind: str, name: str) -> None:
        """Forgets one. Comments behind it stay, since they may be about the next."""
        path = self.path(kind)
        text = _read(path)
        known = _parse(path, text)
        _known(known, name)
        assert text is not None  # `_known` has found the name in it
        document = _document(path, text)
        _take_out(document, name)
        self._write(path, document, {key: value for key, value in known.items() if key != name})

    def _write(self, path: Path, document: tomlkit.TOMLDocument, expected: Mapping[str, Profile]) -> None:
        """In one step, and only what reads back as it is meant."""
        text = document.as_string()
        if _parse(path, text) != expected:
            raise UsageError(str(path), ", ".join(expected), "a file of plain tables; edit this one by hand")
        write_whole(path, text.encode())


def _known(profiles: Mapping[str, Profile], name: str) -> Profile:
    if name not in profiles:
        raise UsageError("profile", name, one_of(profiles, name) if profiles else "none: no profile is saved")
    return profiles[name]


# --- the file ---------------------------------------------------------------------------------------------------------


def _read(path: Path) -> str | None:
    """None when there is no file."""
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise UsageError(str(path), error.object[error.start : error.end], "UTF-8") from None


def _parse(path: Path, text: str | None) -> dict[str, Profile]:
    """All of it, or one `UsageError`."""
    if text is None:
        return {}
    try:
        fields: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(str(path), str(error), "TOML") from None
    schema = fields.pop("schema", None)
    if schema != SCHEMA:
        raise UsageError(f"{path}: schema", schema, repr(SCHEMA))
    profiles = {}
    for name, table in fields.items():
        where = f"{path}: {printable(name)}"
        if not isinstance(table, dict):
            raise UsageError(where, table, f"a table of {_KEYS}")
        if "name" in table:
            raise UsageError(f"{where}.name", table["name"], f"one of {_KEYS}")
        profiles[name] = Profile.of({"name": name, **table}, f"{where}.")
    return profiles


def _document(path: Path, text: str) -> tomlkit.TOMLDocument:
    try:
        return tomlkit.parse(text)
    except TOMLKitError as error:
        raise UsageError(str(path), str(error), "TOML") from None


def _put(document: tomlkit.TOMLDocument, profile: Profile) -> None:
    """A new table at the end, or other values in the old one."""
    table = document.get(profile.name)
    behind: list[Item] = []
    if table is None:
        table = document[profile.name] = tomlkit.table()
    elif isinstance(table, Table):
        behind = _cut_tail(table)
    table["frequency_mhz"] = profile.frequency_mhz
    table["core_v"] = profile.core_v
    if profile.note:
        table["note"] = profile.note
    elif "note" in table:
        del table["note"]
    table["saved"] = profile.saved
    if isinstance(table, Table):
        table.value.body.extend((None, item) for item in behind)


def _take_out(document: tomlkit.TOMLDocument, name: str) -> None:
    table = document[name]
    tail = _cut_tail(table) if isinstance(table, Table) else []
    names = list(document)
    del document[name]
    following = [document[key] for key in names[names.index(name) + 1 :]]
    if following and isinstance(following[0], Table):
        next_one = following[0]
        next_one.trivia.indent = "".join(item.as_string() for item in tail) + next_one.trivia.indent
    else:
        document.body.extend((None, item) for item in tail)


def _cut_tail(table: Table) -> list[Item]:
    """Takes out the comments and blank lines behind the last value: the parser counts them to this table."""
    body, tail = table.value.body, []
    while body and isinstance(body[-1][1], Comment | Whitespace | Null):
        tail.append(body.pop()[1])
    return tail[::-1]
