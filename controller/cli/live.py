"""Joining a rig that runs: which of its boards, and its snapshots and events as lines."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Final

from controller.model import Event, Snapshot
from controller.port import LiveRig
from drivers.errors import UsageError

EVENT_SCHEMA: Final = "hashbridge.event/1"


def add_rig_option(parser: ArgumentParser) -> None:
    parser.add_argument("--rig", metavar="PID", help="process id of the rig, where several run: see `hashbridge list`")


def add_board_option(parser: ArgumentParser) -> None:
    parser.add_argument("--board", metavar="NAME", help="which board, where the rig has several")


def choose_board(rig: LiveRig, wanted: str | None) -> str:
    """The board that is meant. Raises `UsageError` with all their names where that is not clear."""
    names = [board.name for board in rig.info]
    if wanted is None and len(names) == 1:
        return names[0]
    return known_name(wanted, names)


def known_name(wanted: str | None, names: Sequence[str]) -> str:
    """One of these boards. Raises `UsageError` with all their names."""
    if wanted is not None and wanted in names:
        return wanted
    raise UsageError("--board", wanted, f"one of {', '.join(names)}, the boards of this rig")


def event_line(event: Event) -> str:
    """One line of a `--jsonl` stream."""
    return json.dumps({"schema": EVENT_SCHEMA, **event.model_dump(mode="json", by_alias=True)})


def snapshot_line(snapshot: Snapshot) -> str:
    """One line of a `--jsonl` stream. Its schema is a field of the snapshot itself."""
    return snapshot.model_dump_json(by_alias=True)
