"""Golden bytes, one JSONL a protocol: `name` (unique in its file), `kind`, bytes or numbers, `meaning`, `origin`.

`origin` names the public source; its short names are spelled out in docs/wire/bm13xx.md.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent


def rows(protocol: str, *kinds: str) -> list[dict[str, Any]]:
    """All rows of a file, or those of the given kinds."""
    lines = (FOLDER / f"{protocol}.jsonl").read_text(encoding="utf-8").splitlines()
    found: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return [row for row in found if not kinds or row["kind"] in kinds]


def params(selected: list[dict[str, Any]]) -> list[Any]:
    """The rows as pytest parameters, each named as in its file. No rows are an error: a test must not vanish."""
    if not selected:
        raise ValueError("no vectors selected")
    return [pytest.param(row, id=row["name"]) for row in selected]


def frame(row: dict[str, Any], key: str = "hex") -> bytes:
    """The bytes of a row."""
    return bytes.fromhex(row[key])
