"""Joining a rig that runs: which of its boards, and its snapshots and events as lines."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Final

from controller.model import Event, Snapshot
from controller.port import LiveRig
from drivers.errors import UsageError

EVENT_SCHEMA: Final = "hashbridge.event/1"


def add_rig_option(parser: ArgumentParser) -> None:
    parser.add_argument("--rig", metavar="PID", help="process id of the rig, where several run: see `hashbridge list`")


def choose_board(rig: LiveRig, wanted: str | None) -> str:
    """The board that is meant."""
    names = [board.name for board in rig.info]
    if wanted is None and len(names) == 1:
        return names[0]
    if wanted in names:
        return wanted
    raise UsageError("--board", wanted, f"one of {', '.join(names)}")


def event_line(event: Event) -> str:
    """One line of a `--jsonl` stream."""
    return json.dumps({"schema": EVENT_SCHEMA, **event.model_dump(mode="json", by_alias=True)})


def snapshot_line(snapshot: Snapshot) -> str:
    """One line of a `--jsonl` stream. Its schema is a field of the snapshot itself."""
    return snapshot.model_dump_json(by_alias=True)
