"""Where the cores of a chip stand in a job: which versions, and how far into their nonces.

All cores walk in step. A *batch* lasts HCN ticks of the 25 MHz crystal and tries a few versions, eight on a BM1370; in
it each core walks two nonces a clock from a starting counter, which is the same for all batches of a job. After 65,536
versions the chip begins again, with the same pairs of nonce and version (mujina REFERENCE.md; how many versions a batch
has follows from the known hash rate and from the epoch seen in ESP-Miner's BM1366 test log).

A chip that is sent midstates has no window: `Walk`.
"""

from __future__ import annotations

from typing import Final

from emulator.hashing import COUNTERS, VERSION_FIELDS
from emulator.silicon.registers import CRYSTAL_HZ

_A_NONCE_S: Final = 5e-9


class Sweep:
    """Position as a function of time, for a constant clock and window; `retime` when either changes."""

    __slots__ = (
        "_anchor_s",
        "_batch",
        "_elapsed_s",
        "_walked",
        "batches_per_epoch",
        "counters",
        "epoch_s",
        "span",
        "start",
        "versions",
        "versions_per_batch",
        "walks_per_s",
        "window_s",
    )

    def __init__(self, versions_per_batch: int, versions: int = VERSION_FIELDS, counters: int = COUNTERS) -> None:
        self.versions, self.counters = versions, counters
        """Versions in an epoch; nonces of one core."""
        self.versions_per_batch = versions_per_batch
        self.batches_per_epoch = versions // versions_per_batch
        self.start = 0
        """Counter at the beginning of each batch."""
        self.walks_per_s = 0.0
        """Nonces a second of each core."""
        self.window_s = 0.0
        """Duration of a batch; 0: no hashing."""
        self.span = 0.0
        """Nonces that a core walks in a whole batch; more than it has when the window is too long for the clock."""
        self.epoch_s = 0.0
        """From a nonce and version to the same again, if nothing changes."""
        self._anchor_s = 0.0
        self._batch = 0
        self._elapsed_s = 0.0
        self._walked = 0.0

    def load(self, at_s: float, start: int) -> None:
        """A new job: first versions, from counter `start`."""
        self.start = start
        self._anchor_s = at_s
        self._batch = 0
        self._elapsed_s = self._walked = 0.0

    def retime(self, at_s: float, frequency_mhz: float, ticks: int) -> None:
        """Go on from the present position with another clock (0: stand still) or another HCN."""
        self._batch, self._elapsed_s, self._walked = self.position(at_s)
        self._anchor_s = at_s
        self.walks_per_s = 2e6 * frequency_mhz
        self.window_s = ticks / CRYSTAL_HZ
        self.span = self.walks_per_s * self.window_s
        self.epoch_s = self.window_s * self.batches_per_epoch

    def position(self, at_s: float) -> tuple[int, float, float]:
        """Batch since the job was loaded, seconds into it, and nonces walked in it."""
        passed_s = at_s - self._anchor_s
        if not self.span or passed_s <= 0.0:
            return self._batch, self._elapsed_s, self._walked
        left_s = self.window_s - self._elapsed_s
        if passed_s < left_s:
            return self._batch, self._elapsed_s + passed_s, self._walked + passed_s * self.walks_per_s
        batches, elapsed_s = divmod(max(0.0, passed_s - max(0.0, left_s)), self.window_s)
        return self._batch + 1 + int(batches), elapsed_s, elapsed_s * self.walks_per_s

    def next_pass(self, field: int, counter: int, after_s: float, again: bool = False) -> float | None:
        """When the core that owns `counter` next tries it with version `field`, at or after `after_s`.

        `again`: it has just done so, at `after_s`. None: never with this clock and window.
        """
        if not self.span:
            return None
        if again:
            if self.span <= self.counters and not self._walked:  # once a batch, and none was cut by a change of clock
                return after_s + self.epoch_s
            after_s += _A_NONCE_S
        target = field // self.versions_per_batch
        distance = (counter - self.start) % self.counters
        if after_s == self._anchor_s and not target and not self._batch and distance >= self._walked:
            wait_s = (distance - self._walked) / self.walks_per_s  # the usual case: a new job
            if wait_s < self.window_s - self._elapsed_s:
                return after_s + wait_s
        batch, elapsed_s, walked = self.position(after_s)
        left_s = max(0.0, self.window_s - elapsed_s)
        ahead = (target - batch) % self.batches_per_epoch
        if ahead == 0:
            ahead = self.batches_per_epoch
            while distance < walked:
                distance += self.counters
            wait_s = (distance - walked) / self.walks_per_s
            if wait_s < left_s:
                return after_s + wait_s
            distance %= self.counters
        into_s = distance / self.walks_per_s
        return after_s + left_s + (ahead - 1) * self.window_s + into_s if into_s < self.window_s else None


class Walk(Sweep):
    """Of a chip that is sent midstates: each sub-core walks its nonces, one hash a clock, and tries every midstate of
    the job on each. The chip cannot know how many share them with it: it begins at its address and goes once round.

    Begins again at the end, as a chip does that rolls versions [inf]: ESP-Miner bm1397.c has to throw away nonces that
    come twice.
    """

    __slots__ = ("_frequency_mhz",)

    def __init__(self, counters: int) -> None:
        super().__init__(1, 1, counters)
        self._frequency_mhz = 0.0

    def load_midstates(self, at_s: float, start: int, midstates: int) -> None:
        """A new job, from counter `start`."""
        self.versions = self.versions_per_batch = midstates
        self.load(at_s, start)
        self.retime(at_s, self._frequency_mhz, 1)

    def retime(self, at_s: float, frequency_mhz: float, ticks: int) -> None:
        """As of a `Sweep`; of `ticks` only 0 means something: stand still."""
        self._batch, _, self._walked = self.position(at_s)
        self._anchor_s = at_s
        self._frequency_mhz = frequency_mhz if ticks else 0.0
        self.walks_per_s = 1e6 * self._frequency_mhz / self.versions_per_batch
        self.span = float(self.counters) if self.walks_per_s else 0.0
        self.window_s = self.epoch_s = self.span / self.walks_per_s if self.walks_per_s else 0.0
        self._elapsed_s = self._walked / self.walks_per_s if self.walks_per_s else 0.0
