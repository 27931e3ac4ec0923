"""What a board has tried of its retries, on the disk: three in 24 hours stay three when its rig is started anew.

A small file for each board in `retries` of the state directory. Times are UTC, so that they outlive a start of the
computer. One that lies ahead, because the clock was set back or is not set yet, counts as now.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal

from pydantic import AwareDatetime, Field, ValidationError

from controller.files import write_whole
from controller.flight import Carry, in_thread
from controller.model import Model
from controller.safety.retry import WITHIN_S, Tried
from drivers.errors import UsageError

SCHEMA: Final = "hashbridge.retries/1"


class _Said(Model):
    """The file: which board, when each retry was planned, when its input was lost last."""

    schema_: Literal["hashbridge.retries/1"] = Field(alias="schema")
    board: str
    planned: tuple[AwareDatetime, ...]
    input_lost: AwareDatetime | None


class Kept:
    """The file of one board in `directory`. `marks`: what tells the board from others; `carry` runs what writes."""

    def __init__(self, directory: Path, marks: str, *, carry: Carry = in_thread) -> None:
        self._directory, self._marks, self._carry = directory, marks, carry
        self._path = directory / f"{sha256(marks.encode()).hexdigest()[:16]}.json"
        self._one_at_a_time = asyncio.Lock()

    def __str__(self) -> str:
        return str(self._path)

    def read(self, utc: datetime) -> Tried:
        """What counts at `utc`. Raises `UsageError` for a file that no rig has written: who may come back how often is
        not guessed."""
        try:
            said = _Said.model_validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return Tried()
        except (OSError, ValidationError) as error:
            why = error.strerror if isinstance(error, OSError) else _first(error)
            allowed = f"a file as a rig has written it ({why}); without the file they count anew"
            raise UsageError("retries", str(self._path), allowed) from error
        ages_s = [max(0.0, (utc - at).total_seconds()) for at in said.planned]
        lost_s = None if said.input_lost is None else max(0.0, (utc - said.input_lost).total_seconds())
        return Tried(tuple(age_s for age_s in ages_s if age_s < WITHIN_S), lost_s)

    async def write(self, tried: Tried, utc: datetime) -> None:
        """In one step, on the disk when this returns. Raises `OSError`."""
        lost_s = tried.input_lost_s_ago
        said = _Said(
            schema=SCHEMA,
            board=self._marks,
            planned=tuple(utc - timedelta(seconds=ago_s) for ago_s in tried.begun_s_ago),
            input_lost=None if lost_s is None else utc - timedelta(seconds=lost_s),
        )
        text = said.model_dump_json(by_alias=True) + "\n"
        async with self._one_at_a_time:
            await self._carry(lambda: self._write(text, utc))

    def _write(self, text: str, utc: datetime) -> None:
        write_whole(self._path, text.encode())
        self._forget(utc.timestamp() - WITHIN_S)

    def _forget(self, before_s: float) -> None:
        """Files of boards that have tried nothing since: nothing in them counts any more."""
        for path in self._directory.iterdir():
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < before_s:
                    path.unlink()


def _first(error: ValidationError) -> str:
    found = error.errors(include_url=False)[0]
    return ": ".join([*(str(part) for part in found["loc"]), found["msg"]])
