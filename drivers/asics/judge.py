"""The jobs that a chain of chips was sent, and the verdict on every nonce that comes back. The hot path.

The order of judgement for a nonce: broken frames never get here (the codec reports noise: a link error); an unknown job
id is stale; a nonce seen before under the same version is a duplicate; a hash that fails is tried with the three jobs
before (a corrupt id byte is commoner than a corrupt nonce) and is a hardware error if they fail too; one with the 32
hard-wired zero bits but too few for the ticket is below the ticket; the rest are finds. Sources: kanoi/cgminer
driver-gekko.c (retry, ticket check), ESP-Miner components/asic, mujina bm13xx/thread.rs.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Final

from drivers.asics.kind import AsicKind
from drivers.asics.partition import Partition
from drivers.asics.records import Chip, Counters, Find, Sent, Work
from drivers.asics.versions import ROLLED_VERSION_BITS
from drivers.codecs import header as block_header
from drivers.codecs.bm13xx import HostEvent, Noise, NonceReply

_OLD_MASK_S: Final = 0.1
"""For so long after a new ticket mask, nonces that only pass the old one may still be under way."""
_DIFFICULTY_1: Final = float(block_header.DIFFICULTY_1_TARGET)
_RETRIED_JOBS: Final = 3
_FILTER_CHECK_NONCES: Final = 1024
"""How often the duplicate filters are held to their bound."""


class Judge:
    """Pure but for the loop's clock. `dilution` as in `Chain`."""

    def __init__(self, kind: AsicKind, partition: Partition, dilution: int) -> None:
        self.chips: list[Chip] = []
        """Credited with their finds and wrong nonces."""
        self.counters = Counters()
        self.on_finds: Callable[[list[Find]], None] | None = None
        """Called once a read, with all finds in it."""
        self.ticket_difficulty = kind.init_ticket_difficulty
        self._kind, self._partition, self._dilution = kind, partition, dilution
        self._jobs: dict[int, Sent] = {}
        self._job_order: list[int] = []
        self._job_bytes = kind.job_bytes
        self._by_result: list[Sent | None] = [None] * 256
        """The job that a nonce names, by its whole result byte: one look-up instead of a mask and a shift."""
        self._results: dict[int, list[int]] = {}
        for result in range(256):
            self._results.setdefault((result & kind.job_mask) >> kind.job_shift, []).append(result)
        self._next_job = 0
        self._hard_target = block_header.ticket_target(1, dilution)
        self._target = self._old_target = block_header.ticket_target(kind.init_ticket_difficulty, dilution)
        self._old_target_until_s = -math.inf

    def enter(self, work: Work, versions: Sequence[int] = (), mask: int = ROLLED_VERSION_BITS) -> int:
        """Put a job into the table, in place of the oldest. Returns the byte that names it on the wire.

        `versions`: of its midstates, each rolled inside `mask`."""
        job_byte = self._job_bytes[self._next_job % len(self._job_bytes)]
        self._next_job += 1
        if job_byte in self._jobs:
            self._job_order.remove(job_byte)
        self._jobs[job_byte] = sent = Sent(work, self._by_index(versions, mask))
        for result in self._results[job_byte]:
            self._by_result[result] = sent
        self._job_order.append(job_byte)
        return job_byte

    def _by_index(self, versions: Sequence[int], mask: int) -> list[tuple[bytes, int]]:
        """Of one midstate alone the index is the sub-core's. An index that was not sent means the first one: its nonce
        is right for no version, and is judged so."""
        rolled = [(version.to_bytes(4, "little"), (version & mask) >> 13) for version in versions]
        return rolled and rolled + rolled[:1] * (self._kind.midstate_mask + 1 - len(rolled))

    def forget_jobs(self) -> None:
        """After a reset: what still comes is of nobody's job."""
        self._jobs.clear()
        self._job_order.clear()
        self._by_result = [None] * 256

    def set_ticket(self, difficulty: int) -> None:
        """What a find has to reach from now on; the mask before counts for a moment longer."""
        target = block_header.ticket_target(difficulty, self._dilution)
        self.ticket_difficulty, self._old_target, self._target = difficulty, max(target, self._target), target
        self._old_target_until_s = asyncio.get_running_loop().time() + _OLD_MASK_S

    def take(self, events: list[HostEvent]) -> None:
        """Everything of one read that no question asked for. Nonces by the thousand pass here."""
        by_result, counters = self._by_result, self.counters
        at_s = asyncio.get_running_loop().time()
        target = self._old_target if at_s < self._old_target_until_s else self._target
        kind, single = self._kind, self._partition.chips == 1
        core_shift, sub_core_mask, midstate_mask = 8 - kind.core_bits, kind.sub_core_mask, kind.midstate_mask
        in_nonce, sub_core_shift = kind.sub_core_bits > 0, 8 - kind.sub_core_bits
        finds: list[Find] = []
        add_find, make, from_bytes, hashed = finds.append, tuple.__new__, int.from_bytes, sha256
        nonces = duplicates = stale = 0
        for event in events:
            if type(event) is not NonceReply:
                if type(event) is Noise:
                    counters.link_errors += 1
                continue
            nonces += 1
            nonce, _, result, field = event
            job = by_result[result]
            if job is None:
                stale += 1
                continue
            if field is None:
                version, field = job.rolled[result & midstate_mask]
            else:
                version = (job.version | field << 13).to_bytes(4, "little")
            key = version + nonce
            seen = job.seen
            if key in seen or (job.before and key in job.before):
                duplicates += 1
                continue
            seen.add(key)
            header = version + job.tail + nonce
            value = from_bytes(hashed(hashed(header).digest()).digest(), "little")
            if value > target:
                judged = self._second_look(event, value, target)
                if judged is None:
                    continue
                job, header, value, field = judged
            find = (
                job.work,
                header,
                from_bytes(nonce, "little"),
                field,
                0 if single else self._partition.chip_of(nonce),
                nonce[0] >> core_shift,
                (nonce[1] >> sub_core_shift if in_nonce else result) & sub_core_mask,
                _DIFFICULTY_1 / value if value else math.inf,
                at_s,
            )
            add_find(make(Find, find))
        if nonces and not self._jobs:
            return  # left over from before a reset: not ours to count
        counters.nonces += nonces
        counters.duplicates += duplicates
        counters.stale += stale
        counters.verified += len(finds)
        if counters.nonces % _FILTER_CHECK_NONCES < nonces:
            for sent in self._jobs.values():
                sent.forget_old()
        if finds:
            self._credit(finds)
            if self.on_finds is not None:
                self.on_finds(finds)

    def _second_look(self, reply: NonceReply, value: int, target: int) -> tuple[Sent, bytes, int, int] | None:
        """A nonce that fails under the job it names: the jobs before, then the verdict. None: not a find.
        Otherwise job, header, hash and version field."""
        job_byte = (reply.result & self._kind.job_mask) >> self._kind.job_shift
        at = self._job_order.index(job_byte)
        for earlier in reversed(self._job_order[max(0, at - _RETRIED_JOBS) : at]):
            job = self._jobs[earlier]
            version, field = job.version_of(reply)
            header = version + job.tail + reply.nonce
            other = block_header.hash_value(block_header.double_sha256(header))
            if other <= target:
                key = header[:4] + reply.nonce
                if key in job.seen or key in job.before:
                    self.counters.duplicates += 1
                    return None
                job.seen.add(key)
                return job, header, other, field
        if value <= self._hard_target:
            self.counters.below_ticket += 1
            return None
        self.counters.hw_errors += 1
        chip = 0 if self._partition.chips == 1 else self._partition.chip_of(reply.nonce)
        if chip < len(self.chips):
            self.chips[chip].hw_errors += 1
        return None

    def _credit(self, finds: list[Find]) -> None:
        chips = self.chips
        if len(chips) == 1:
            chips[0].finds += len(finds)
            return
        for find in finds:
            if find.chip < len(chips):
                chips[find.chip].finds += 1
