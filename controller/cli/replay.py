"""`hashbridge replay`: the frames of a wire recording."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections import Counter
from pathlib import Path
from typing import Final

from controller.cli.exits import Exit
from controller.cli.frames import Frame, frames
from controller.cli.talk import Talk
from drivers.errors import UsageError
from drivers.transports.tap import read_tap

SCHEMA: Final = "hashbridge.frame/1"
_ARROWS: Final = {"tx": "->", "rx": "<-", "baud": "--", "lost": "XX"}
_HEX_SHOWN: Final = 24
"""Bytes of a frame that a line for people shows; a job has 88."""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="a recording of `hashbridge record` or `run --record`")
    parser.add_argument("--port", choices=("data", "control"), help="only this port")
    parser.add_argument("--kind", action="append", metavar="KIND", help="only this kind: job, nonce, read, noise ...")
    parser.add_argument("--hex", action="store_true", help="show every byte of long frames")
    parser.add_argument("--json", action="store_true", help="one object a line")


def run(arguments: Namespace) -> int:
    _check_one(arguments.file)
    kinds: Counter[str] = Counter()
    first_ns: int | None = None
    for frame in frames(read_tap(arguments.file)):
        first_ns = frame.t_ns if first_ns is None else first_ns
        if arguments.port and not frame.port.endswith(arguments.port):
            continue
        if arguments.kind and frame.kind not in arguments.kind:
            continue
        kinds[frame.kind] += 1
        print(as_json(frame, first_ns) if arguments.json else as_line(frame, first_ns, whole=arguments.hex))
    count = sum(kinds.values())
    by_kind = ", ".join(f"{number} {kind}" for kind, number in kinds.most_common())
    Talk(quiet=arguments.quiet).say(f"{count} frames: {by_kind}" if count else "no frames")
    return Exit.OK


def _check_one(path: str) -> None:
    """Not the directory that a run of several boards has made. Raises `UsageError` with the recordings in it."""
    if Path(path).is_dir():
        names = ", ".join(sorted(str(found) for found in Path(path).glob("*.jsonl")))
        raise UsageError(
            "FILE", path, f"one recording: {names}" if names else "a recording, and this directory has none"
        )


def as_json(frame: Frame, first_ns: int) -> str:
    return json.dumps(
        {
            "schema": SCHEMA,
            "t_s": round((frame.t_ns - first_ns) * 1e-9, 9),
            "t_ns": frame.t_ns,
            "port": frame.port,
            "dir": frame.direction,
            "kind": frame.kind,
            "hex": frame.data.hex(),
            "meaning": frame.meaning,
        }
    )


def as_line(frame: Frame, first_ns: int, *, whole: bool = False) -> str:
    shown = frame.data if whole else frame.data[:_HEX_SHOWN]
    more = f" .. {len(frame.data)} bytes" if len(shown) < len(frame.data) else ""
    time_s = (frame.t_ns - first_ns) * 1e-9
    port = "data   " if frame.port.endswith("data") else "control"
    return f"{time_s:11.6f} {port} {_ARROWS[frame.direction]} {frame.meaning}  [{shown.hex(' ')}{more}]".replace(
        "  []", ""
    )
