"""Solved headers, the diluted search, and the arithmetic of chance."""

import random
from pathlib import Path

import pytest

from drivers.codecs.header import double_sha256, leading_zero_bits, with_nonce
from emulator.hashing import (
    COUNTERS,
    DilutedSearch,
    SolvedHeaders,
    SolvedHeadersError,
    check_dilution,
    poisson,
    top_bits,
)
from tests.unit.emulator.silicon.chip_host import HEADERS, unsolved

ALL_CORES = (1 << 128) - 1


def test_the_8000_headers_that_come_with_the_package_are_found_by_their_76_bytes() -> None:
    solved = SolvedHeaders.load()
    assert len(solved) == 8000
    for header in HEADERS[::397]:
        answer = solved.answer(header[:76])
        assert answer is not None
        assert answer.field == 0
        assert answer.nonce.to_bytes(4, "big") == header[76:]
        assert answer.top == top_bits(double_sha256(header))
    assert solved.answer(unsolved(1)) is None


def test_a_record_that_is_not_solved_is_named() -> None:
    broken = bytearray(b"".join(HEADERS[:10]))
    broken[3 * 80 + 77] ^= 1
    with pytest.raises(SolvedHeadersError, match="record 3: its hash does not meet difficulty 1") as caught:
        SolvedHeaders(bytes(broken), "mine.bin")
    assert caught.value.record == 3


@pytest.mark.parametrize("size", [0, 79, 161])
def test_a_file_that_is_not_whole_records_is_refused(size: int, tmp_path: Path) -> None:
    path = tmp_path / "headers.bin"
    path.write_bytes(HEADERS[0][:1] * size)
    with pytest.raises(SolvedHeadersError, match="records of 80") as caught:
        SolvedHeaders.load(path)
    assert caught.value.record is None


def test_other_headers_can_be_loaded_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "headers.bin"
    path.write_bytes(b"".join(HEADERS[5:7]))
    solved = SolvedHeaders.load(path)
    assert len(solved) == 2
    assert solved.answer(HEADERS[5][:76]) is not None
    assert solved.answer(HEADERS[0][:76]) is None


def test_rolled_version_bits_of_a_header_become_the_field_of_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emulator.hashing.DIFFICULTY_1_TARGET", 1 << 256)  # nobody can solve a header for a test
    header = (0x20000000 | 0x0155 << 13).to_bytes(4, "little") + bytes(range(76))
    solved = SolvedHeaders(header)
    plain = solved.answer((0x20000000).to_bytes(4, "little") + header[4:76])
    assert plain is not None
    assert plain.field == 0x0155
    partly = solved.answer((0x20000000 | 0x0005 << 13).to_bytes(4, "little") + header[4:76])
    assert partly is not None
    assert partly.field == 0x0150
    assert solved.answer((0x20000000 | 0x0002 << 13).to_bytes(4, "little") + header[4:76]) is None
    assert solved.answer((0x30000000).to_bytes(4, "little") + header[4:76]) is None


@pytest.mark.parametrize(("span", "density"), [(3.0e7, 2.7e-4), (1.0e4, 2.7e-4)], ids=["crowded", "scattered"])
def test_every_hit_of_the_search_hashes_to_what_it_says(span: float, density: float) -> None:
    header = unsolved(2)
    search = DilutedSearch(header, random.Random(5))
    asked = 0xFF << 56
    hits = search.run(density, 1.0e3, 7.5e7, span, 40, 0x1FFFFF0, asked, ALL_CORES)
    assert 40 < len(hits) < 130
    assert search.trials == pytest.approx(20_250, rel=0.03)
    for hit in hits:
        nonce = hit.nonce.to_bytes(4, "big")
        digest = double_sha256(with_nonce(header, nonce, hit.field << 13))
        assert leading_zero_bits(digest) >= 8
        assert top_bits(digest) == hit.top == search.top(hit.field, hit.nonce)
        assert hit.field // 8 == hit.batch == 40 + int(hit.walk / span)
        assert ((hit.nonce & COUNTERS - 1) - 0x1FFFFF0) % COUNTERS == hit.walked
    assert [hit.walk for hit in hits] == sorted(hit.walk for hit in hits)
    assert {hit.field % 8 for hit in hits} == set(range(8))


def test_cores_that_may_not_answer_find_nothing() -> None:
    search = DilutedSearch(unsolved(3), random.Random(5))
    hits = search.run(2.7e-4, 0.0, 3e7, 3e7, 0, 0, 0xF0 << 56, 0xFFFF_FFFF << 64)
    assert hits
    assert all(64 <= hit.nonce >> 25 < 96 for hit in hits)


def test_nonces_beyond_a_lap_of_the_counter_are_not_tried_twice() -> None:
    search = DilutedSearch(unsolved(3), random.Random(5))
    assert search.run(1e-3, float(COUNTERS), 1e6, 4e7, 0, 0, 0, ALL_CORES) == []
    assert search.trials > 800


@pytest.mark.parametrize("mean", [0.0, 0.3, 5.0, 11.9, 12.1, 60.0, 2000.0])
def test_poisson_variates_have_the_mean_and_variance_of_their_law(mean: float) -> None:
    rng = random.Random(11)
    count = 20_000
    drawn = [poisson(rng, mean) for _ in range(count)]
    found = sum(drawn) / count
    variance = sum((value - found) ** 2 for value in drawn) / count
    assert found == pytest.approx(mean, abs=4.5 * (mean / count) ** 0.5)
    assert variance == pytest.approx(mean, rel=0.06)


@pytest.mark.parametrize("dilution", [0, 3, -4, 1 << 41])
def test_a_dilution_that_is_no_power_of_two_is_refused(dilution: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        check_dilution(dilution)
