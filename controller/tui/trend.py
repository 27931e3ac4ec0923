"""What a channel did in the last ten minutes, in buckets of one second. Plain Python; memory is fixed."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import Final

BUCKET_S: Final = 1.0
SPAN_S: Final = 600.0
SLOPE_S: Final = 30.0
_BUCKETS: Final = int(SPAN_S / BUCKET_S)
Range = tuple[float, float]


class Trend:
    """Lowest and highest value of each second. Times may jump forward; a time from before the newest is left out."""

    def __init__(self) -> None:
        self._oldest: int | None = None
        self._low = array("d", [math.nan]) * _BUCKETS
        self._high = array("d", [math.nan]) * _BUCKETS
        self._newest: int | None = None

    def add(self, at_s: float, value: float | None) -> None:
        """`None` leaves a gap."""
        if not math.isfinite(at_s):
            return
        bucket = math.floor(at_s / BUCKET_S)
        newest = self._newest
        if newest is None:
            self._newest = self._oldest = newest = bucket
        elif bucket < newest:
            return
        else:
            for skipped in range(max(newest + 1, bucket - _BUCKETS + 1), bucket + 1):
                self._low[skipped % _BUCKETS] = self._high[skipped % _BUCKETS] = math.nan
            self._newest = bucket
        if value is None or not math.isfinite(value):
            return
        slot = bucket % _BUCKETS
        if math.isnan(self._low[slot]):
            self._low[slot] = self._high[slot] = value
        else:
            self._low[slot] = min(self._low[slot], value)
            self._high[slot] = max(self._high[slot], value)

    @property
    def known_s(self) -> float:
        """How far back it reaches, at most SPAN_S."""
        if self._newest is None or self._oldest is None:
            return 0.0
        return min(SPAN_S, (self._newest - self._oldest + 1) * BUCKET_S)

    def slope_per_s(self) -> float | None:
        """How fast it rises, by least squares over the last seconds; None when less than half of them are known."""
        if self._newest is None:
            return None
        buckets = round(SLOPE_S / BUCKET_S)
        known = [
            (offset * BUCKET_S, (self._low[slot] + self._high[slot]) / 2)
            for offset in range(buckets)
            if not math.isnan(self._low[slot := (self._newest - buckets + 1 + offset) % _BUCKETS])
        ]
        if len(known) < buckets // 2:
            return None
        at_s = sum(at for at, _ in known) / len(known)
        level = sum(value for _, value in known) / len(known)
        return sum((at - at_s) * (value - level) for at, value in known) / sum((at - at_s) ** 2 for at, _ in known)

    def columns(self, count: int, span_s: float = SPAN_S) -> list[Range | None]:
        """The last `span_s` seconds cut into `count` equal parts, oldest first: lowest and highest, None for a gap."""
        found: list[Range | None] = [None] * count
        if self._newest is None or count <= 0:
            return found
        buckets = min(_BUCKETS, max(1, round(span_s / BUCKET_S)))
        first = self._newest - buckets + 1
        for offset in range(buckets):
            low = self._low[(first + offset) % _BUCKETS]
            if math.isnan(low):
                continue
            high = self._high[(first + offset) % _BUCKETS]
            column = offset * count // buckets
            before = found[column]
            found[column] = (low, high) if before is None else (min(before[0], low), max(before[1], high))
        if count > buckets:
            _stretch(found, buckets)
        return found


def _stretch(found: list[Range | None], buckets: int) -> None:
    """More columns than buckets: a bucket fills all of its columns."""
    count = len(found)
    source = [found[offset * count // buckets] for offset in range(buckets)]
    for column in range(count):
        found[column] = source[min(buckets - 1, column * buckets // count)]


def span_of(columns: Sequence[Range | None]) -> Range | None:
    """Lowest and highest of all that is known."""
    known = [part for part in columns if part is not None]
    return (min(low for low, _ in known), max(high for _, high in known)) if known else None
