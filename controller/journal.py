"""A rig's life on disk, one JSON object a line: a header, then snapshots and events as they happened.

Every line has a `kind`: `header` (the first; schema `hashbridge.journal/1`), `event`, `snapshot`. Events are flushed as
they are written; a snapshot waits for the next event or for the operating system. A run that was cut off leaves at most
one broken last line, which the reader drops. A full disk ends the journal, never the rig.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final

from pydantic import TypeAdapter, ValidationError

from controller import __version__
from controller.model import BoardInfo, Event, Snapshot
from drivers.errors import ProtocolError

SCHEMA: Final = "hashbridge.journal/1"
_EVENT: Final[TypeAdapter[Event]] = TypeAdapter(Event)


class JournalError(ProtocolError):
    """A file that is no journal, or a broken line that is not the last."""

    def __init__(self, path: Path, line: int, why: str) -> None:
        super().__init__(f"{path}, line {line}: {why}")
        self.path, self.line, self.why = path, line, why


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
        self._write(f'{{"kind":"event","event":{event.model_dump_json()}}}', flush=True)

    def snapshot(self, snapshot: Snapshot) -> None:
        self._write(f'{{"kind":"snapshot","snapshot":{snapshot.model_dump_json(by_alias=True)}}}', flush=False)

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
    recording: Recording | None = None
    broken: JournalError | None = None
    for number, line in _lines(path):
        if broken is not None:
            raise broken
        try:
            record = json.loads(line)
            if recording is None:
                if record["kind"] != "header" or record["schema"] != SCHEMA:
                    raise JournalError(path, number, f"not a journal of schema {SCHEMA}")
                recording = Recording(tuple(BoardInfo.model_validate(board) for board in record["boards"]))
            elif record["kind"] == "event":
                recording.items.append(_EVENT.validate_python(record["event"], strict=False))
            elif record["kind"] == "snapshot":
                recording.items.append(Snapshot.model_validate(record["snapshot"]))
            else:
                raise JournalError(path, number, f"unknown kind {record['kind']!r}")
        except (json.JSONDecodeError, ValidationError, KeyError, TypeError) as error:
            broken = JournalError(path, number, str(error).splitlines()[0])
    if recording is None:
        raise broken or JournalError(path, 1, "empty")
    recording.truncated = broken is not None
    return recording


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    with path.open(encoding="utf-8", errors="replace") as file:
        yield from enumerate(file, 1)
