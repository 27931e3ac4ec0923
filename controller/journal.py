"""A rig's life on disk, one JSON object a line: a header, then snapshots and events as they happened.

Every line has a `kind`: `header` (the first; schema `hashbridge.journal/1`), `event`, `snapshot`. Events are flushed as
they are written; a snapshot waits for the next event or for the operating system. A run that was cut off leaves at most
one broken last line, which the readers drop. A full disk ends the journal, never the rig.

`read_journal` reads all of it at once; `controller/recording.py` opens it like a rig. Both read lines as they are read
here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Annotated, Any, BinaryIO, Final, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from controller import __version__
from controller.model import BoardInfo, Event, Model, Snapshot
from controller.text import printable
from drivers.errors import ProtocolError

SCHEMA: Final = "hashbridge.journal/1"
LINE_BYTES: Final = 8 * 1024 * 1024
"""A longer line is none of a journal: whatever file was named, no more of it than this is held in memory."""


class JournalError(ProtocolError):
    """A file that is no journal, or a broken line that is not the last."""

    def __init__(self, path: Path, line: int, why: str) -> None:
        super().__init__(f"{path}, line {line}: {why}")
        self.path, self.line, self.why = path, line, why


class CutOff(JournalError):
    """A line that is no whole JSON: what a run that was cut off leaves behind, as its last line."""


class Journal:
    """Appends to one file. `broken` says why it stopped, None while it works."""

    def __init__(self, path: str | Path, *, boards: Sequence[BoardInfo] = ()) -> None:
        """Creates the file; raises `OSError` when it cannot. `boards` go into the header, with their limits."""
        self.path = Path(path)
        self.broken: str | None = None
        self._file: IO[str] | None = self.path.open("x", encoding="utf-8")
        header = {
            "kind": "header",
            "schema": SCHEMA,
            "created": datetime.now(UTC).isoformat(),
            "hashbridge": __version__,
            "boards": [board.model_dump(mode="json") for board in boards],
        }
        self._write(json.dumps(header), flush=True)

    def event(self, event: Event) -> None:
        self.line(event_line(event), flush=True)

    def snapshot(self, snapshot: Snapshot) -> None:
        self.line(snapshot_line(snapshot))

    def line(self, line: str, *, flush: bool = False) -> None:
        """One that `event_line` or `snapshot_line` has made."""
        self._write(line, flush=flush)

    @property
    def descriptor(self) -> int | None:
        """Of the open file."""
        return None if self._file is None else self._file.fileno()

    def flush(self) -> None:
        """To the operating system. Never raises; `broken` tells."""
        if self._file is not None:
            try:
                self._file.flush()
            except OSError as error:
                self.broken = str(error)
                self.close()

    def close(self) -> None:
        """Flushes and closes. May be called twice, never raises."""
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError as error:
                self.broken = self.broken or str(error)

    def _write(self, line: str, *, flush: bool) -> None:
        if self._file is None:
            return
        try:
            self._file.write(line + "\n")
            if flush:
                self._file.flush()
        except OSError as error:
            self.broken = str(error)
            self.close()


def event_line(event: Event) -> str:
    return f'{{"kind":"event","event":{event.model_dump_json()}}}'


def snapshot_line(snapshot: Snapshot) -> str:
    return f'{{"kind":"snapshot","snapshot":{snapshot.model_dump_json(by_alias=True)}}}'


class SnapshotLines:
    """A snapshot as one line of all its boards, and as one of each: a board is put into words once."""

    def __init__(self, snapshot: Snapshot) -> None:
        bare = snapshot_line(snapshot.model_copy(update={"boards": ()}))
        self._before, _, self._after = bare.rpartition("[]")
        self._boards = {board.board: board.model_dump_json(by_alias=True) for board in snapshot.boards}

    def whole(self) -> str:
        return f"{self._before}[{','.join(self._boards.values())}]{self._after}"

    def of(self, board: str) -> str:
        """As if the rig had this board alone."""
        return f"{self._before}[{self._boards[board]}]{self._after}"


@dataclass(slots=True)
class Recording:
    """A journal read back. `items` are in the order of the file."""

    boards: tuple[BoardInfo, ...]
    items: list[Event | Snapshot] = field(default_factory=list)
    truncated: bool = False

    @property
    def events(self) -> list[Event]:
        return [item for item in self.items if not isinstance(item, Snapshot)]

    @property
    def snapshots(self) -> list[Snapshot]:
        return [item for item in self.items if isinstance(item, Snapshot)]


def read_journal(path: str | Path) -> Recording:
    """Everything a journal holds. Raises `OSError`, or `JournalError` for a file that is none."""
    path = Path(path)
    items: list[Event | Snapshot] = []
    with path.open("rb") as file:
        boards, truncated = read_lines(path, file, lambda line: items.append(line.item()))
    return Recording(boards, items, truncated)


# --- lines ------------------------------------------------------------------------------------------------------------


class _Header(Model):
    """What the readers need of a header; a later one may say more."""

    kind: Literal["header"]
    schema_: Literal["hashbridge.journal/1"] = Field(alias="schema")
    boards: tuple[BoardInfo, ...]

    model_config = ConfigDict(frozen=True, extra="ignore")


class _EventLine(Model):
    kind: Literal["event"]
    event: Event


class _SnapshotLine(Model):
    kind: Literal["snapshot"]
    snapshot: Snapshot


_ITEM: Final[TypeAdapter[_EventLine | _SnapshotLine]] = TypeAdapter(
    Annotated[_EventLine | _SnapshotLine, Field(discriminator="kind")]
)
_HEADER: Final = TypeAdapter(_Header)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a journal. `number` counts from 1; `offset` is its place in the file, in bytes."""

    path: Path
    number: int
    offset: int
    data: bytes

    def item(self) -> Event | Snapshot:
        """Raises `CutOff` when it is no whole JSON, `JournalError` when it is no event and no snapshot."""
        found = self._parse(_ITEM)
        return found.event if isinstance(found, _EventLine) else found.snapshot

    def boards(self) -> tuple[BoardInfo, ...]:
        """Of a header. Raises `JournalError` when it is none."""
        try:
            json_ = json.loads(self.data)
        except ValueError:
            json_ = None
        if not isinstance(json_, dict) or json_.get("kind") != "header" or json_.get("schema") != SCHEMA:
            raise JournalError(self.path, self.number, f"not a journal of schema {SCHEMA}")
        header: _Header = self._parse(_HEADER)
        return header.boards

    def _parse(self, kind: TypeAdapter[Any]) -> Any:
        try:
            return kind.validate_json(self.data.decode("utf-8", "replace"))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            why = printable(f"{where}: {first['msg']}" if where else first["msg"])
            broken = CutOff if first["type"] == "json_invalid" else JournalError
            raise broken(self.path, self.number, why) from None


def read_lines(path: Path, file: BinaryIO, take: Callable[[Line], None]) -> tuple[tuple[BoardInfo, ...], bool]:
    """The boards of the header, and whether the last line was cut off. `take` is given each line behind the header.

    A `CutOff` that it raises is forgiven for the last line of the file; other errors are those of the journal.
    """
    boards: tuple[BoardInfo, ...] | None = None
    cut: CutOff | None = None
    number = offset = 0
    while data := file.readline(LINE_BYTES + 1):
        number += 1
        if cut is not None:
            raise cut
        if len(data) > LINE_BYTES:
            raise JournalError(path, number, f"more than {LINE_BYTES} bytes in one line")
        line = Line(path, number, offset, data)
        offset += len(data)
        if boards is None:
            boards = line.boards()
            continue
        try:
            take(line)
        except CutOff as error:
            cut = error
    if boards is None:
        raise JournalError(path, 1, "empty")
    return boards, cut is not None
