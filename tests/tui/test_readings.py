"""Readings: what a board cannot measure has no line; what it should measure and does not has one, and says so."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from controller.model import Channel, Quality, Reading
from controller.tui.widgets.readings import Readings
from drivers.boards import BOARDS


def labels(board: str, unread: Channel) -> list[str]:
    """Labels of the lines of a board on which this channel has never been read."""
    channels = {
        channel: Reading(value=1.0, at_s=100.0, quality=Quality.GOOD) for channel in Channel if channel is not unread
    }
    channels[unread] = Reading(value=None, at_s=0.0, quality=Quality.INVALID, evidence="no answer; never measured")
    store = SimpleNamespace(
        is_stale=lambda info, channel, reading: reading.value is None,
        age_s=lambda reading: 100.0 - reading.at_s,
        line=SimpleNamespace(up=True),
    )
    snapshot = SimpleNamespace(channels=channels, fan=None)
    desk = SimpleNamespace(board=snapshot, info=SimpleNamespace(envelope=BOARDS[board].envelope), store=store)
    panel = Readings(cast(Any, desk))
    return ["".join(text for text, _ in line) for line in panel.lines(80, 20)]


@pytest.mark.parametrize(
    ("board", "channel", "shown"),
    [
        ("bitaxe-gamma", Channel.VR_C, True),
        ("bitaxe-gamma", Channel.STATUS_WORD, True),
        ("bitaxe-gamma", Channel.INPUT_W, False),
        ("bitaxe-ultra-205", Channel.INPUT_W, True),
        ("bitaxe-ultra-205", Channel.CORE_V, True),
        ("bitaxe-ultra-205", Channel.VR_C, False),
        ("bitaxe-ultra-205", Channel.CORE_A, False),
        ("bitaxe-ultra-205", Channel.STATUS_WORD, False),
        ("emberone00", Channel.FAN_RPM, False),
        ("emberone00", Channel.FAN_RATIO, False),
        ("emberone00", Channel.CHIP_C, True),
    ],
)
def test_a_dash_is_for_what_should_be_known(board: str, channel: Channel, shown: bool) -> None:
    lines = labels(board, channel)
    assert len(lines) == (13 if shown else 12)
    assert any("never measured" in line for line in lines) is shown
