"""A board in one line and in one small table of HTML, for interactive use. Pure.

Unknown is a dash. Whatever comes from a board or a file is made printable, then escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from controller.model import BoardInfo, BoardSnapshot, Channel, OperatingPoint, Quality, Reading
from controller.text import UNKNOWN, duration, hashrate, number, printable

_UNITS: Final = {"c": "C", "v": "V", "a": "A", "w": "W", "rpm": "rpm", "mhz": "MHz", "ratio": ""}
"""By the end of a channel's name."""


def point(given: OperatingPoint) -> str:
    return f"{number(given.frequency_mhz, 2, 'MHz')} at {number(given.core_v, 3, 'V')}"


def line(info: BoardInfo, snapshot: BoardSnapshot | None) -> str:
    """State, what was asked for, what is read back, how warm."""
    if snapshot is None:
        return f"{printable(info.name)}: not read yet"
    chip = snapshot.channels.get(Channel.CHIP_C)
    return ", ".join(
        (
            f"{printable(info.name)}: {snapshot.state.value}",
            f"requested {point(snapshot.point.requested)}",
            f"achieved {point(snapshot.point.achieved)}",
            f"chip {number(None if chip is None else chip.value, 1, 'C')}",
        )
    )


def board_table(info: BoardInfo, snapshot: BoardSnapshot | None) -> str:
    """State, the three fields of the point, work, then every channel with its age and quality."""
    emulated = f", emulated, one hash stands for {info.dilution}" if info.emulated else ""
    caption = f"{info.title} ({info.name}{emulated})"
    if snapshot is None:
        return _table(caption, [("state", UNKNOWN)])
    rows: list[Sequence[str]] = [("state", snapshot.state.value)]
    if snapshot.latched is not None:
        rows.append(("latched", f"{snapshot.latched.cause.value}: {snapshot.latched.detail}"))
    for name in ("requested", "granted", "achieved"):
        rows.append((name, point(getattr(snapshot.point, name))))
    if snapshot.pending is not None:
        left_s = max(0.0, snapshot.pending.until_s - snapshot.at_s)
        rows.append(("on trial", f"goes back to {point(snapshot.pending.revert_to)} in {duration(left_s)}"))
    work = snapshot.work
    if work is not None:
        rate = f", {hashrate(work.hashrate_hs)}" if work.hashrate_hs is not None else ""
        verb = "runs" if work.running else "ended"
        rows.append(("work", f"{work.kind} {verb}, {duration(work.elapsed_s)}, {work.verified} verified{rate}"))
    rows += [_channel(name, reading, snapshot.at_s) for name, reading in snapshot.channels.items()]
    rows.append(("at", snapshot.at_utc.isoformat(sep=" ", timespec="milliseconds")))
    return _table(caption, rows)


def held_table(elapsed_s: float, reason: str | None, snapshots: int, last: BoardSnapshot) -> str:
    rows = [
        ("held", duration(elapsed_s)),
        ("stopped because", UNKNOWN if reason is None else reason),
        ("snapshots", str(snapshots)),
        ("state", last.state.value),
        ("achieved", point(last.point.achieved)),
    ]
    return _table(f"hold of {last.board}", rows)


def _channel(channel: Channel, reading: Reading, at_s: float) -> Sequence[str]:
    if channel is Channel.STATUS_WORD and reading.value is not None:
        value = f"{int(reading.value):#06x}"
    else:
        value = number(reading.value, 3, _UNITS.get(channel.value.rpartition("_")[2], ""))
    quality = reading.quality.value
    if reading.quality is not Quality.GOOD and reading.evidence is not None:
        quality = f"{quality}: {reading.evidence}"
    return channel.value, value, f"{max(0.0, at_s - reading.at_s):.1f} s old", quality


def _table(caption: str, rows: Iterable[Sequence[str]]) -> str:
    parts = [f"<table><caption>{_safe(caption)}</caption>"]
    for name, *cells in rows:
        last = len(cells) - 1
        parts.append(f'<tr><th style="text-align:left">{_safe(name)}</th>')
        for index, cell in enumerate(cells):
            span = f' colspan="{3 - last}"' if index == last and last < 2 else ""
            parts.append(f'<td style="text-align:left"{span}>{_safe(cell)}</td>')
        parts.append("</tr>")
    parts.append("</table>")
    return "".join(parts)


def _safe(foreign: str) -> str:
    return escape(printable(foreign))
