"""The cores of a chip: what they hash, what they find and when, what they get wrong, and what they count.

Finds come from three sources. The *known answer* of a solved header, when its core reaches it. The *diluted search*
of `emulator.hashing`, whose finds are a Poisson process at the chip's own rate. *Wrong nonces* of domains that are
short of volts: with a search they are spoilt finds, without one (K = 1) a Poisson process of their own.
"""

from __future__ import annotations

import heapq
import math
import random
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final

from emulator.hashing import (
    Answer,
    DilutedSearch,
    Hit,
    MidstateSearch,
    SolvedHeaders,
    check_dilution,
    poisson,
)
from emulator.physics import DOMAINS
from emulator.silicon.model import ChipModel
from emulator.silicon.sweep import Sweep, Walk

NEVER: Final = math.inf
_ONE_BATCH: Final = 1e300
_SHORTEST_JOB_S: Final = 0.005
_LONGEST_LOOK_S: Final = 0.32
_FEW_TRIALS: Final = 256.0
_MANY_TRIALS: Final = 384.0
_MANY_FROM_MIDSTATES: Final = 5.0
"""In one look: about half a millisecond. What arrives meanwhile is heard late, and a window that is cut short by more
than the host's margin of half a millisecond loses answers."""
_SHORTEST_LOOK_S: Final = 1e-6
_DIFFICULTY_1: Final = float(1 << 32)
_ALL_64: Final = (1 << 64) - 1


@dataclass(slots=True)
class Truth:
    """What really happened in the chip; tests hold the host's counters against it."""

    jobs: int = 0
    solved_jobs: int = 0
    hashes: float = 0.0
    """By the cores that had a clock, right or wrong, as of the last change of rate or read of a counter."""
    answers_due: int = 0
    """Known answers whose core reached them, ticket and nonce enables permitting; repeats after an epoch among them."""
    answers: int = 0
    answers_lost: int = 0
    """Due, but miscomputed: the domain's voltage was too low, or it had no clock."""
    other_finds: int = 0
    """Right nonces of the diluted search."""
    corrupted: int = 0
    """Wrong nonces returned."""
    overflowed: int = 0
    """Nonces lost because the line was busy."""
    trials: int = 0
    """Double SHA-256 done for the diluted search."""
    noise_bytes: int = 0
    """Bytes at a foreign rate, or in no frame."""
    grace_frames: int = 0
    """Frames accepted at the host's previous rate: it changed its rate too early."""
    bad_frames: int = 0
    warnings: Counter[str] = field(default_factory=Counter)
    """What a host should not do although the chip bears it."""

    @property
    def nonces(self) -> int:
        """Nonce frames put on the line."""
        return self.answers + self.other_finds + self.corrupted


class Cores:
    """All cores of one chip. `send` takes nonce, version field, excess (byte 6) and time; False: the line is full.

    Times never run backwards. The owner calls `live_until` before it changes anything.
    """

    def __init__(
        self,
        model: ChipModel,
        seed_rng: random.Random,
        solved: SolvedHeaders,
        dilution: int,
        truth: Truth,
        send: Callable[[int, int, int, float], bool],
    ) -> None:
        self._start_rng, self._search_rng, self._yield_rng, self._wrong_rng, self._count_rng, self._fault_rng = (
            random.Random(seed_rng.getrandbits(64)) for _ in range(6)
        )
        self._model = model
        self._solved = solved
        self._dilution = dilution
        self._dilution_bits = check_dilution(dilution)
        self._truth = truth
        self._send = send
        self._core_shift, self._counter_bits = 32 - model.core_bits, model.counter_bits
        self._counter_mask = (1 << model.counter_bits) - 1
        self._cores_searched = 1 << model.core_bits
        """By the search, whose trials on cores that a chip does not have cost nothing."""
        self._many_trials = _MANY_FROM_MIDSTATES if model.midstates else _MANY_TRIALS
        self.sweep = Walk(1 << model.counter_bits) if model.midstates else Sweep(model.versions_per_batch)
        self.dead_domains: frozenset[int] = frozenset()
        self.wrong_share = 0.0
        """Fault: of the right nonces, this share is spoilt on its way out."""
        self.yields: tuple[float, ...] = (0.0,) * DOMAINS
        self.rate_hs = 0.0
        """Hashes per second by design, right or wrong; 0: standing still."""
        self._counted_s = 0.0
        self.reset(0.0)

    def reset(self, at_s: float) -> None:
        """No job, no clock, ticket of difficulty 1, nobody answers who has to be told to, counters at 0."""
        self._count_up(at_s)
        self.rate_hs = 0.0
        self.sweep.retime(at_s, 0.0, 0)
        self._answering = 0 if self._model.enable_bits else self._model.all_cores
        self._answer: Answer | None = None
        self._search: DilutedSearch | MidstateSearch | None = None
        self._epoch: list[Hit] = []
        self._hits: list[tuple[float, Hit]] = []
        self._answer_s = self._wrong_s = NEVER
        self.look_at_s = NEVER
        """When the search must go on; infinite: there is none."""
        self._look_s = self._first_look_s = _SHORTEST_JOB_S
        self._taken_s = NEVER
        self._error_left = self._wrong_rng.expovariate(1.0)
        self._error_rate = 0.0
        self._error_since_s = at_s
        self._right = [0.0] * DOMAINS
        self._wrong = 0.0
        self._right_counts = [0] * DOMAINS
        self.wrong_count = 0
        self._take_ticket(_ALL_64 ^ 0xFFFF_FFFF)

    # --- what the registers ask for

    def take(self, header: bytes, at_s: float, start: int | None) -> None:
        """A new job of 76 bytes in place of the old: first versions, from counter `start`, or from anywhere."""
        floating = self._start_rng.getrandbits(25)
        self.sweep.load(at_s, floating if start is None else start)
        search = None
        if self._dilution_bits:
            search = DilutedSearch(header, self._search_rng, self._model.versions_per_batch)
        self._begin(self._solved.answer(header), search, at_s)

    def take_midstates(self, midstates: Sequence[bytes], tail: bytes, at_s: float, start: int) -> None:
        """A new job of midstates and header bytes 64 to 75 in place of the old."""
        assert isinstance(self.sweep, Walk)
        self.sweep.load_midstates(at_s, start, len(midstates))
        search = None
        if self._dilution_bits:
            search = MidstateSearch(midstates, tail, self._search_rng, self._model.core_bits, self._counter_bits)
        self._begin(self._solved.answer_from(midstates, tail), search, at_s)

    def _begin(self, answer: Answer | None, search: DilutedSearch | MidstateSearch | None, at_s: float) -> None:
        self._answer = answer
        self._truth.jobs += 1
        if answer is not None:
            self._truth.solved_jobs += 1
        if search is not None:
            self._search = search
            self._epoch = []
            lived_s = at_s - self._taken_s
            self._taken_s = at_s
            self._first_look_s = min(max(1.02 * lived_s, _SHORTEST_JOB_S), _LONGEST_LOOK_S)
        self._plan_finds(at_s)

    def drop(self, at_s: float) -> None:
        """Forget the job."""
        self._answer = self._search = None
        self._epoch = []
        self._plan_finds(at_s)

    def retime(self, at_s: float, clock_mhz: float, ticks: int) -> None:
        """Another clock or window; either of them 0: stand still."""
        self._count_up(at_s)
        self.rate_hs = clock_mhz * 1e6 * self._model.small_cores if ticks else 0.0
        self.sweep.retime(at_s, clock_mhz, ticks)
        self._plan_finds(at_s)
        self.plan_errors(at_s)

    def set_ticket(self, asked: int, at_s: float) -> None:
        """The bits of a hash, among its 64 highest, that must be 0."""
        self._take_ticket(asked)
        self._look_again(at_s)
        self.plan_errors(at_s)

    def set_answering(self, cores: int, at_s: float) -> None:
        """The cores that return nonces, one bit each. The others hash all the same."""
        self._answering = cores
        self._look_again(at_s)
        self.plan_errors(at_s)

    def set_yields(self, yields: tuple[float, ...], at_s: float) -> None:
        self._count_up(at_s)
        self.yields = yields
        self.plan_errors(at_s)

    # --- time

    def due_s(self) -> float:
        """When the next nonce is found; infinite: not to be foreseen."""
        due_s = self._answer_s if self._answer_s < self._wrong_s else self._wrong_s
        if self._hits and self._hits[0][0] < due_s:
            due_s = self._hits[0][0]
        return due_s

    def live_until(self, to_s: float) -> None:
        """Send everything that is found up to `to_s`, in order."""
        while True:
            due_s = self.due_s()
            if self.look_at_s < due_s:
                if self.look_at_s > to_s:
                    return
                self._look()
            elif due_s > to_s:
                return
            elif self._answer_s == due_s:
                self._reach_answer(due_s)
            elif self._wrong_s == due_s:
                self._make_error(due_s)
            else:
                self._report(heapq.heappop(self._hits)[1], due_s)

    # --- counters

    def counts(self, at_s: float) -> list[int]:
        """Right results of difficulty 1 since the reset, by domain; `wrong_count` is brought up to date with them.

        So wrong over right can pass 100 %, as it does in ESP-Miner#1380 [inf]. Each count is a Poisson variate of its
        mean.
        """
        self._count_up(at_s)
        for d in range(DOMAINS):
            self._right_counts[d] += poisson(self._count_rng, self._right[d] / _DIFFICULTY_1)
            self._right[d] = 0.0
        self.wrong_count += poisson(self._count_rng, self._wrong / _DIFFICULTY_1)
        self._wrong = 0.0
        return self._right_counts

    def _count_up(self, at_s: float) -> None:
        """Book the hashes since the last time, at the rate and yields that held until now."""
        passed_s = at_s - self._counted_s
        self._counted_s = at_s
        if passed_s <= 0.0 or not self.rate_hs:
            return
        share = self.rate_hs * passed_s / DOMAINS
        for d in range(DOMAINS):
            if d not in self.dead_domains:
                right = share * self.yields[d]
                self._truth.hashes += share
                self._right[d] += right
                self._wrong += share - right

    # --- known answers

    def _plan_finds(self, at_s: float) -> None:
        """When the known answer comes, and where the search goes on."""
        answer = self._answer
        self._answer_s = NEVER
        if answer is not None and self.rate_hs:
            due_s = self.sweep.next_pass(answer.field, answer.nonce & self._counter_mask, at_s)
            if due_s is not None:
                self._answer_s = due_s
        if self._dilution_bits:
            self._look_again(at_s)

    def _reach_answer(self, due_s: float) -> None:
        """The core whose nonce is the known one tries it with the right version."""
        answer = self._answer
        assert answer is not None
        core = answer.nonce >> self._core_shift
        next_s = self.sweep.next_pass(answer.field, answer.nonce & self._counter_mask, due_s, again=True)
        self._answer_s = NEVER if next_s is None else next_s
        if answer.top & self._test_bits or not self._answering >> core & 1:
            return
        self._truth.answers_due += 1
        domain = core % DOMAINS
        if domain in self.dead_domains or self._yield_rng.random() >= self.yields[domain]:
            self._truth.answers_lost += 1
        elif self._spoils():
            self._truth.answers_lost += 1
            if self._send(self._spoilt(answer.field, answer.nonce), answer.field, self._excess(answer.top), due_s):
                self._truth.corrupted += 1
        elif self._send(answer.nonce, answer.field, self._excess(answer.top), due_s):
            self._truth.answers += 1

    # --- the search

    def _take_ticket(self, asked: int) -> None:
        """Dilution takes log2(K) of the bits asked for away, the highest first."""
        self._ticket_bits = asked.bit_count() - 32
        self._test_bits = asked << self._dilution_bits & _ALL_64
        self._bits_to_pass = self._test_bits.bit_count()

    def _excess(self, top: int) -> int:
        """Byte 6: zero bits beyond those asked for, times two."""
        return min(255, 2 * max(0, 64 - top.bit_length() - self._bits_to_pass))

    def _look_again(self, at_s: float) -> None:
        """Throw away what was found beyond `at_s`, and search from there."""
        if self._search is None or not self.rate_hs:
            self.look_at_s = NEVER
            self._hits.clear()
            return
        self._hits.clear()
        batch, _, walked = self.sweep.position(at_s)
        while self._epoch and (self._epoch[-1].batch, self._epoch[-1].walked) > (batch, walked):
            self._epoch.pop()
        self.look_at_s = at_s
        self._look_s = self._first_look_s

    def _look(self) -> None:
        """Search the next stretch of time: at first as long as the last job lived, then longer ones."""
        search, sweep = self._search, self.sweep
        assert search is not None
        from_s = self.look_at_s
        batch, elapsed_s, walked = sweep.position(from_s)
        per_s = self.rate_hs / self._dilution
        length_s = min(self._look_s, self._many_trials / per_s)
        self._look_s = min(2.0 * self._look_s, max(_LONGEST_LOOK_S, _FEW_TRIALS / per_s))
        epoch, batch_of_epoch = divmod(batch, sweep.batches_per_epoch)
        window_s, span = sweep.window_s, sweep.span
        begun_s = from_s - elapsed_s
        length_s = min(length_s, (sweep.batches_per_epoch - batch_of_epoch) * window_s - elapsed_s)
        if abs(walked - elapsed_s * sweep.walks_per_s) > 1.0:  # the clock has changed in this batch: finish it alone
            length_s = min(length_s, window_s - elapsed_s)
            span = _ONE_BATCH
        length_s = max(length_s, _SHORTEST_LOOK_S)
        self.look_at_s = from_s + length_s
        if epoch:
            self._find_again(begun_s, batch_of_epoch, from_s, self.look_at_s)
            return
        density = per_s / sweep.walks_per_s * self._cores_searched / self._model.cores
        walks = sweep.walks_per_s * length_s
        before = search.trials
        hits = search.run(density, walked, walks, span, batch, sweep.start, self._test_bits, self._answering)
        self._truth.trials += search.trials - before
        self._epoch.extend(hits)
        for hit in hits:
            self._expect(from_s + (hit.walk - walked) / sweep.walks_per_s, hit)

    def _expect(self, due_s: float, hit: Hit) -> None:
        """A find, and again each time that its counter comes round in the same batch: when the window is too long."""
        walked, span, lap_s = hit.walked, self.sweep.span, self.sweep.counters / self.sweep.walks_per_s
        while True:
            heapq.heappush(self._hits, (due_s, hit))
            walked += self.sweep.counters
            due_s += lap_s
            if walked >= span:
                return

    def _find_again(self, begun_s: float, batch: int, from_s: float, to_s: float) -> None:
        """After an epoch the versions come again, and with them the finds of the first time."""
        epoch = self._epoch
        for at in range(bisect_left(epoch, batch, key=attrgetter("batch")), len(epoch)):
            hit = epoch[at]
            due_s = begun_s + (hit.batch - batch) * self.sweep.window_s + hit.walked / self.sweep.walks_per_s
            if due_s > to_s:
                return
            if due_s > from_s:
                self._expect(due_s, hit)

    def _report(self, hit: Hit, due_s: float) -> None:
        """A find of the search: right, or spoilt on its way by a core that is short of volts."""
        core = hit.nonce >> self._core_shift
        domain = core % DOMAINS
        if domain in self.dead_domains or not self._answering >> core & 1 or hit.top & self._test_bits:
            return
        if self._yield_rng.random() < self.yields[domain] and not self._spoils():
            if self._send(hit.nonce, hit.field, self._excess(hit.top), due_s):
                self._truth.other_finds += 1
            return
        if self._send(self._spoilt(hit.field, hit.nonce), hit.field, self._excess(hit.top), due_s):
            self._truth.corrupted += 1

    def _spoils(self) -> bool:
        """Whether the fault strikes this nonce."""
        return self.wrong_share > 0.0 and self._fault_rng.random() < self.wrong_share

    def _spoilt(self, version_field: int, nonce: int) -> int:
        """A nonce of the same core that does not hash. Without a search it does so with a probability of 2^-32."""
        hard = max(1, 32 - self._dilution_bits)
        while True:
            nonce ^= 1 << self._wrong_rng.randrange(self._counter_bits)
            if self._search is None or self._search.top(version_field, nonce) >> 64 - hard:
                return nonce

    # --- wrong nonces without a search

    def plan_errors(self, at_s: float) -> None:
        """At K = 1 wrong nonces come by themselves, at their share of the nominal rate. Nothing is hashed for them: one
        is right by chance with a probability of 2^-32."""
        self._error_left -= self._error_rate * (at_s - self._error_since_s)
        self._error_since_s = at_s
        self._error_rate = 0.0
        self._wrong_s = NEVER
        if self._dilution_bits or not self.rate_hs:
            return
        short = sum(1.0 - self.yields[d] for d in range(DOMAINS) if d not in self.dead_domains) / DOMAINS
        answering = self._answering.bit_count() / self._model.cores
        self._error_rate = self.rate_hs * answering * short / (_DIFFICULTY_1 * (1 << self._ticket_bits))
        if self._error_rate > 0.0:
            self._wrong_s = at_s + max(0.0, self._error_left) / self._error_rate

    def _make_error(self, due_s: float) -> None:
        rng = self._wrong_rng
        self._error_left = rng.expovariate(1.0)
        self._error_since_s = due_s
        self._wrong_s = due_s + self._error_left / self._error_rate
        weights = [0.0 if d in self.dead_domains else 1.0 - self.yields[d] for d in range(DOMAINS)]
        domain = rng.choices(range(DOMAINS), weights)[0]
        while True:  # ends: enables go by a quarter of the cores, so that every domain has some that answer
            core = rng.randrange(self._model.cores // DOMAINS) * DOMAINS + domain
            if self._answering >> core & 1:
                break
        batch, _, walked = self.sweep.position(due_s)
        versions = self.sweep.versions_per_batch
        version_field = (batch * versions + rng.randrange(versions)) % self.sweep.versions
        nonce = core << self._core_shift | self.sweep.start + int(walked) & self._counter_mask
        if self._model.sub_core_bits:
            nonce |= rng.getrandbits(self._model.sub_core_bits) << self._counter_bits
        beyond = min(15, int(rng.expovariate(math.log(2.0))))
        if self._send(nonce, version_field, 2 * beyond, due_s):
            self._truth.corrupted += 1
