"""Files that options name."""

from __future__ import annotations

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
