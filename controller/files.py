"""Files that options name, and files that are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from drivers.errors import UsageError


def readable_file(path: str, key: str) -> Path:
    """An absolute path to a file that can be read."""
    found = Path(path).absolute()
    if not found.is_file():
        raise UsageError(key, path, "a file that exists")
    return found


def new_file(path: str, key: str) -> str:
    """An absolute path to a file that does not exist yet, in a directory that does."""
    found = Path(path).absolute()
    if found.exists():
        raise UsageError(key, path, "a file that does not exist yet")
    if not found.parent.is_dir():
        raise UsageError(key, path, "a file in a directory that exists")
    return str(found)


def write_whole(path: Path, data: bytes) -> None:
    """In one step, on the disk when this returns; the directory is made, for its user alone. Raises `OSError`, and then
    what was there before is there still."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    number, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(number, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(part)
        raise
