"""Faults of the two serial lines: bytes that are lost, flipped, late, cut in pieces or run together."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from random import Random
from typing import Annotated, Final

from emulator.device import Burst, Device
from emulator.faults.actions import action
from emulator.faults.arguments import BadArgument, Choice, Count, Number, Off, Share
from emulator.faults.topic import FaultyBench, Pluggable, Topic

PIECE_GAP_S: Final = 0.003
"""Longest pause between the pieces of a burst."""
MERGE_S: Final = 0.005
"""Longest that a burst is held back, so that the next can run into it."""

Port = Annotated[str, Choice(("both", "control", "data"), chooses=True)]
Way = Annotated[str, Choice(("to_host", "to_board", "both"), chooses=True)]


class Line:
    """A `Device` around a device: what a bad cable, hub or driver makes of its bytes. Order is kept."""

    def __init__(self, device: Device, chance: Random) -> None:
        self._device, self._chance = device, chance
        self.loss = {"to_host": 0.0, "to_board": 0.0}
        self.flips = {"to_host": 0.0, "to_board": 0.0}
        self.late_s = 0.0
        self.split_p = self.merge_p = 0.0
        self.lost_bytes = self.flipped_bytes = 0
        self._queue: deque[tuple[float, Burst]] = deque()
        self._last_s = float("-inf")

    def clear(self) -> None:
        """What is under way arrives; nothing new is spoilt."""
        for share in (self.loss, self.flips):
            share.update(to_host=0.0, to_board=0.0)
        self.late_s = self.split_p = self.merge_p = 0.0

    # --- as a device

    def receive(self, burst: Burst, at_s: float, previous_baud: int | None = None) -> None:
        data = self._spoil(burst.data, "to_board")
        if data:
            self._device.receive(Burst(burst.baud, data), at_s, previous_baud)

    def transmit(self, at_s: float) -> list[Burst]:
        queue = self._queue
        for baud, data in self._device.transmit(at_s):
            spoilt = self._spoil(data, "to_host")
            if spoilt:
                self._pace(baud, spoilt, at_s)
        out: list[Burst] = []
        while queue and queue[0][0] <= at_s:
            burst = queue.popleft()[1]
            if self.merge_p and out and out[-1].baud == burst.baud:
                out[-1] = Burst(burst.baud, out[-1].data + burst.data)
            else:
                out.append(burst)
        return out

    def wakes_at(self) -> float | None:
        own_s = self._device.wakes_at()
        if not self._queue:
            return own_s
        return self._queue[0][0] if own_s is None else min(own_s, self._queue[0][0])

    def line_rate_changed(self, baud: int, at_s: float) -> None:
        self._device.line_rate_changed(baud, at_s)

    # --- what happens to the bytes

    def _spoil(self, data: bytes, way: str) -> bytes:
        chance = self._chance.random
        loss, flips = self.loss[way], self.flips[way]
        if loss:
            kept = bytes(byte for byte in data if chance() >= loss)
            self.lost_bytes += len(data) - len(kept)
            data = kept
        if flips:
            flipped = bytes(byte ^ 1 << self._chance.randrange(8) if chance() < flips else byte for byte in data)
            self.flipped_bytes += sum(one != other for one, other in zip(data, flipped, strict=True))
            data = flipped
        return data

    def _pace(self, baud: int, data: bytes, at_s: float) -> None:
        due_s = max(at_s + self.late_s, self._last_s)
        if self.merge_p and self._chance.random() < self.merge_p:
            due_s += self._chance.uniform(0.0, MERGE_S)
        while self.split_p and len(data) > 1 and self._chance.random() < self.split_p:
            cut = self._chance.randrange(1, len(data))
            self._queue.append((due_s, Burst(baud, data[:cut])))
            data = data[cut:]
            due_s += self._chance.uniform(0.0, PIECE_GAP_S)
        self._queue.append((due_s, Burst(baud, data)))
        self._last_s = due_s


class LineFaults(Topic):
    """Serial lines

    `port`: control, data or both. `way`: what goes to the host, to the board, or both. Each line has one value of each
    kind for each way: the last word counts.
    """

    def __init__(self, bench: FaultyBench, parts: Mapping[str, int], seed: int) -> None:
        super().__init__(bench, parts, seed)
        self.ports: dict[str, Pluggable] = {}
        """The ports that carry this bench, by `control` and `data`; a port enters itself."""
        self.lines: dict[str, Line] = {}
        """What stands between a port and its device; put there by the first fault that needs it."""
        self.lost_replies = 0
        """How many of the next control replies vanish."""
        self.foreign_replies = 0
        """How many of the next control replies carry another id."""

    def _end_all(self) -> None:
        self.lost_replies = self.foreign_replies = 0
        for line in self.lines.values():
            line.clear()
        super()._end_all()

    @action("a buffer of 64 bytes that overruns without a word: emberone-usbserial-fw")
    def lose_bytes(self, p: Share = 0.01, port: Port = "both", way: Way = "to_host", *, off: Off = False) -> None:
        """Each byte is lost with this probability."""
        for line in self._lines(port):
            line.loss.update(dict.fromkeys(_ways(way), 0.0 if off else p))

    @action("frames with a wrong checksum on a noisy line: docs/wire/bm13xx.md")
    def flip_bits(self, p: Share = 0.001, port: Port = "both", way: Way = "to_host", *, off: Off = False) -> None:
        """One bit of a byte is wrong, in each byte with this probability."""
        for line in self._lines(port):
            line.flips.update(dict.fromkeys(_ways(way), 0.0 if off else p))

    @action("USB packets say nothing about frames; docs/wire/bitaxe-raw.md")
    def chop(self, split_p: Share = 0.5, merge_p: Share = 0.5, port: Port = "both", *, off: Off = False) -> None:
        """Replies arrive in pieces, up to 3 ms apart, and run together: each with its probability."""
        for line in self._lines(port):
            line.split_p, line.merge_p = (0.0, 0.0) if off else (split_p, merge_p)

    @action("a hub, or a busy host")
    def late(
        self, by_s: Annotated[float, Number(0.0, 60.0, "s")] = 0.1, port: Port = "both", *, off: Off = False
    ) -> None:
        """What the board sends arrives so much later."""
        for line in self._lines(port):
            line.late_s = 0.0 if off else by_s

    @action("replies above 64 bytes vanish; docs/wire/bitaxe-raw.md")
    def lose_replies(self, count: Count = 1, *, off: Off = False) -> None:
        """The next `count` control replies vanish; their requests are carried out."""
        self.lost_replies = 0 if off else count

    @action("replies of an earlier session come after a reopen; docs/wire/bitaxe-raw.md")
    def wrong_id(self, count: Count = 1, *, off: Off = False) -> None:
        """The next `count` control replies carry the id of another request."""
        self.foreign_replies = 0 if off else count

    def _lines(self, which: str) -> list[Line]:
        return [self._line(name) for name in (("control", "data") if which == "both" else (which,))]

    def _line(self, name: str) -> Line:
        if name not in self.lines:
            port = self._port(name)
            self.lines[name] = port.device = Line(port.device, self._chance(f"{name} line"))
        return self.lines[name]

    def _port(self, name: str) -> Pluggable:
        if name not in self.ports:
            raise BadArgument("port", name, "ports that carry the bench: " + (", ".join(self.ports) or "none"))
        return self.ports[name]


def _ways(way: str) -> tuple[str, ...]:
    return ("to_host", "to_board") if way == "both" else (way,)
