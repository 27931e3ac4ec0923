"""Lists of times, put into figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def spread(values: Sequence[float], shares: Mapping[str, float], digits: int) -> dict[str, float]:
    """For each name the value below which that share lies, then `max` and `count`; without values the count alone."""
    ordered = sorted(values)
    if not ordered:
        return {"count": 0}
    found = {name: ordered[min(len(ordered) - 1, int(share * len(ordered)))] for name, share in shares.items()}
    rounded = {name: round(value, digits) for name, value in {**found, "max": ordered[-1]}.items()}
    return {**rounded, "count": len(ordered)}
