"""The chips of a board on one UART: commands go from chip to chip away from the host, answers come back through them.

Facts: mujina REFERENCE.md, GPTechinno/bm13xx-rs, skot/BM1397 protocol.md; collected in docs/wire/bm13xx.md. A chip
without an address keeps the first one that passes; answers to a broadcast come in chain order, nearest first, one after
the other. Which of two frames that are ready at once goes first is not documented: the nearer chip's [inf].
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Iterable
from functools import partial

from drivers.codecs.bm13xx import DeviceCodec
from emulator.device import Burst
from emulator.silicon.chip import MiningChip
from emulator.silicon.cores import NEVER


class ChipLine:
    """All chips of one line, chip 0 next to the host, in the shape of a `Device`."""

    def __init__(self, chips: Iterable[MiningChip]) -> None:
        self.chips = tuple(chips)
        self._reach = len(self.chips)
        self._codec = DeviceCodec(full_header_jobs=not self.chips[0].model.midstates)
        self._ready: list[tuple[float, int, int, Burst]] = []
        """When a frame is ready to go, the chip that sends it, its turn, and the frame."""
        self._turns = itertools.count()
        self._under_way: deque[tuple[float, int, Burst]] = deque()
        """When a frame is out, the chip, and the frame."""
        self._free_s = 0.0
        for index, chip in enumerate(self.chips):
            chip.say, chip.hush = partial(self._say, index), partial(self._hush, index)

    # --- as a device

    def receive(self, burst: Burst, at_s: float, previous_baud: int | None = None) -> None:
        """Bytes from the host, at `burst.baud`. More than 5 % off a chip's rate they are noise to it; `previous_baud`
        as in `Device.receive`: what is heard at that rate alone counts in `truth.grace_frames`."""
        self.advance(at_s)
        baud, data = burst
        listening = [chip for chip in self.chips[: self._reach] if chip.listens]
        if not any(chip.hears(baud, previous_baud) is not None for chip in listening):
            for chip in listening:
                chip.truth.noise_bytes += len(data)
            self._codec.reset()
            return
        for command in self._codec.feed(data):
            for chip in listening:
                if chip.hear(command, baud, previous_baud, at_s):
                    break
        if not any(chip.hears(baud, previous_baud) is not None for chip in listening):
            self._codec.reset()

    def transmit(self, at_s: float) -> list[Burst]:
        """Frames that have been on the line in full by `at_s`, each at the rate its chip had for it."""
        self.advance(at_s)
        ready, under_way = self._ready, self._under_way
        while ready and ready[0][0] <= at_s:
            ready_s, index, _, burst = heapq.heappop(ready)
            self._free_s = max(ready_s, self._free_s) + len(burst.data) * 10 / burst.baud
            under_way.append((self._free_s, index, burst))
        out: list[Burst] = []
        while under_way and under_way[0][0] <= at_s:
            _, index, burst = under_way.popleft()
            self.chips[index].queued -= 1
            if index < self._reach:
                out.append(burst)
        return out

    def wakes_at(self) -> float | None:
        """When the next frame will be out, or the search of a chip must go on."""
        wake_s = min(chip.due_s() for chip in self.chips)
        if self._under_way:
            wake_s = min(wake_s, self._under_way[0][0])
        if self._ready:
            ready_s, _, _, burst = self._ready[0]
            wake_s = min(wake_s, max(ready_s, self._free_s) + len(burst.data) * 10 / burst.baud)
        return None if wake_s == NEVER else wake_s

    def line_rate_changed(self, baud: int, at_s: float) -> None:
        """Nothing: the rate travels with the bytes."""

    def advance(self, at_s: float) -> None:
        for chip in self.chips:
            chip.advance(at_s)

    # --- pins and faults

    def set_reset(self, asserted: bool, at_s: float) -> None:
        """The reset line of all chips."""
        for chip in self.chips:
            chip.set_reset(asserted, at_s)

    def break_at(self, index: int | None, at_s: float) -> None:
        """Fault: this chip and those behind it hear nothing and are not heard, and hash on. None: mended."""
        self.advance(at_s)
        self._reach = len(self.chips) if index is None else index

    # --- what the chips say

    def _say(self, index: int, data: bytes, baud: int, ready_s: float) -> None:
        self.chips[index].queued += 1
        heapq.heappush(self._ready, (ready_s, index, next(self._turns), Burst(baud, data)))

    def _hush(self, index: int, at_s: float) -> None:
        """A chip has lost its state, and with it what it was about to say: what it was saying is cut off."""
        if self.chips[index].queued:
            self._ready = [frame for frame in self._ready if frame[1] != index]
            heapq.heapify(self._ready)
            self._under_way = deque(frame for frame in self._under_way if frame[1] != index)
            self.chips[index].queued = 0
        if not self._ready and not self._under_way:
            self._free_s = min(self._free_s, at_s)
        if index == 0:
            self._codec.reset()
