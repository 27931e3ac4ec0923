"""Headers, hashes and targets: real blocks and shares, and the Stratum job one of them came from."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest

from drivers.codecs.header import (
    DIFFICULTY_1_TARGET,
    HEADER_BYTES,
    Header,
    bits_to_target,
    double_sha256,
    hash_difficulty,
    hash_value,
    leading_zero_bits,
    target_difficulty,
    target_to_bits,
    ticket_target,
    with_nonce,
)
from drivers.errors import UsageError
from tests.vectors import frame, params, rows

Row = dict[str, Any]
GENESIS = bytes.fromhex(
    "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f617fc81bc3"
    "888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c"
)


@pytest.mark.parametrize("row", params(rows("bm13xx", "header")))
def test_a_solved_header_hashes_to_the_published_hash_and_difficulty(row: Row) -> None:
    stated = re.search(r"hash ([0-9a-f]{64}), difficulty ([0-9.]+)", row["meaning"])
    assert stated is not None
    digest = double_sha256(frame(row))
    assert digest[::-1].hex() == stated[1]
    assert hash_difficulty(digest) == pytest.approx(float(stated[2]), rel=1e-6)
    assert Header.unpack(frame(row)).pack() == frame(row)


@pytest.mark.parametrize("row", params([row for row in rows("bm13xx", "header") if "nonce" in row["meaning"]]))
def test_a_header_holds_the_version_and_nonce_that_were_submitted(row: Row) -> None:
    stated = re.search(r"nonce ([0-9A-F]{8}) version ([0-9A-F]{8})", row["meaning"])
    assert stated is not None
    header = Header.unpack(frame(row))
    assert (header.nonce, header.version) == (int(stated[1], 16), 0x2000_0000 | int(stated[2], 16))


def test_a_stratum_job_gives_the_header_that_the_pool_accepted() -> None:
    job = {row["meaning"].split()[1]: frame(row) for row in rows("bm13xx", "stratum")}
    root = double_sha256(job["coinb1"] + job["extranonce1"] + job["extranonce2"] + job["coinb2"])
    for branch in rows("bm13xx", "merkle-branch"):
        root = double_sha256(root + frame(branch))
    previous = b"".join(job["prevhash-stratum"][at : at + 4][::-1] for at in range(0, 32, 4))
    version, time_s, bits = (int.from_bytes(job[key], "big") for key in ("version", "ntime", "nbits"))
    header = Header(version, previous, root, time_s, bits, 0).pack()
    share = with_nonce(header, bytes.fromhex("4c035275"), 0x05A2 << 13)
    assert share == frame(rows("bm13xx", "header")[0])
    assert leading_zero_bits(double_sha256(share)) == 46


def test_the_first_block_meets_the_target_that_it_states() -> None:
    header = Header.unpack(GENESIS)
    digest = double_sha256(GENESIS)
    assert digest[::-1].hex() == "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"
    assert hash_value(digest) <= bits_to_target(header.bits) == DIFFICULTY_1_TARGET
    assert hash_difficulty(digest) == pytest.approx(2536.4266, rel=1e-6)


def test_with_nonce_takes_76_bytes_as_well_as_80_and_leaves_them_alone() -> None:
    whole = with_nonce(GENESIS, b"\x01\x02\x03\x04", 0x1FFF_E000)
    assert whole == with_nonce(GENESIS[:76], b"\x01\x02\x03\x04", 0x1FFF_E000)
    assert len(whole) == HEADER_BYTES
    assert whole == b"\x01\xe0\xff\x1f" + GENESIS[4:76] + b"\x01\x02\x03\x04"


@pytest.mark.parametrize(
    ("bits", "target"),
    [
        (0x1D00FFFF, 0xFFFF << 208),
        (0x1B0404CB, 0x0404CB << 192),
        (0x05009234, 0x92340000),
        (0x04123456, 0x12345600),
        (0x03123456, 0x123456),
        (0x02123456, 0x1234),
        (0x01123456, 0x12),
        (0x00123456, 0),
        (0x04923456, None),
        (0xFF123456, None),
        (-1, None),
    ],
)
def test_compact_targets_are_those_of_the_reference_client(bits: int, target: int | None) -> None:
    if target is None:
        with pytest.raises(UsageError):
            bits_to_target(bits)
    else:
        assert bits_to_target(bits) == target


@pytest.mark.parametrize("bits", [0x1D00FFFF, 0x1B0404CB, 0x17023A04, 0x05009234, 0x03123456, 0x02123400, 0x01120000])
def test_a_target_goes_back_to_the_bits_it_came_from(bits: int) -> None:
    assert target_to_bits(bits_to_target(bits)) == bits


def test_a_target_beyond_256_bits_is_refused() -> None:
    with pytest.raises(UsageError, match="2\\*\\*256"):
        target_to_bits(1 << 256)


def test_difficulty_counts_from_the_first_target() -> None:
    assert target_difficulty(DIFFICULTY_1_TARGET) == 1.0
    assert target_difficulty(bits_to_target(0x1B0404CB)) == pytest.approx(16307.420938523983)
    assert hash_difficulty(bytes(32)) == math.inf
    assert leading_zero_bits(bytes(32)) == 256


@pytest.mark.parametrize(
    ("difficulty", "dilution", "zero_bits"),
    [(1, 1, 32), (2, 1, 33), (256, 1, 40), (300, 1, 40), (1, 1 << 24, 8), (256, 1 << 24, 16), (1, 1 << 32, 0)],
)
def test_a_ticket_asks_for_whole_zero_bits(difficulty: int, dilution: int, zero_bits: int) -> None:
    target = ticket_target(difficulty, dilution)
    assert leading_zero_bits(target.to_bytes(32, "little")) == zero_bits
    assert target + 1 == 1 << (256 - zero_bits)


@pytest.mark.parametrize(("difficulty", "dilution"), [(0, 1), (-1, 1), (1, 0), (1, 3), (1, 1 << 33), (1 << 225, 1)])
def test_an_impossible_ticket_is_refused(difficulty: int, dilution: int) -> None:
    with pytest.raises(UsageError):
        ticket_target(difficulty, dilution)


def test_a_header_with_a_part_of_the_wrong_size_is_refused() -> None:
    with pytest.raises(UsageError, match="previous"):
        Header(1, bytes(31), bytes(32), 0, 0, 0).pack()
    with pytest.raises(UsageError, match="nonce"):
        Header(1, bytes(32), bytes(32), 0, 0, 1 << 32).pack()
    with pytest.raises(UsageError, match="80 bytes"):
        Header.unpack(bytes(79))
