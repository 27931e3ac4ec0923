"""Benches that no other test drives measure what they say, if little of it: one that measures nothing has been run for
nothing, and a whole `make bench` is rarely run."""

from __future__ import annotations

import pytest

from tests.bench.trip import trips

pytestmark = pytest.mark.real_time


async def test_one_false_reading_is_one_trip_measured_from_its_arrival_to_the_reset() -> None:
    found = await trips(rigs=1, boards_each=1, rounds=1)
    assert found["trips"] == 1
    assert found["to_written_ms"]["count"] == found["to_reset_asserted_ms"]["count"] == 1
    assert 0.0 < found["to_written_ms"]["max"] < found["to_reset_asserted_ms"]["max"]
