"""Asks the plant socket of an emulator in another process: what is so, and what shall go wrong."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any


async def ask(socket: str | Path, **asked: object) -> dict[str, Any]:
    """`get="truth"` or `do=ACTION` with its arguments (docs/faults.md). The answer, which has to be a good one."""
    reader, writer = await asyncio.open_unix_connection(str(socket))
    writer.write(json.dumps(asked).encode() + b"\n")
    answer: dict[str, Any] = json.loads(await reader.readline())
    writer.close()
    assert answer["ok"], answer
    return answer
