"""The checksums, held against published frames and against an independent implementation."""

from __future__ import annotations

import re
from typing import Any

import anycrc
import pytest

from drivers.codecs.crc import crc5, crc5_bits, crc16
from tests.vectors import frame, params, rows

Row = dict[str, Any]
OLD_COMMANDS = rows("bm13xx", "command-old") + rows("usb_miners", "command-old")


@pytest.mark.parametrize("row", params(rows("bm13xx", "crc5")))
def test_crc5_is_that_of_the_published_frame(row: Row) -> None:
    stated = re.match(r"CRC5 = (0x[0-9A-F]{2})(?: after appending the three type bits ([01]{3}))?", row["meaning"])
    assert stated is not None
    if stated[2]:
        assert crc5_bits(frame(row), int(stated[2], 2), 3) == int(stated[1], 16)
    else:
        assert crc5(frame(row)) == int(stated[1], 16)


@pytest.mark.parametrize("row", params(rows("bm13xx", "crc16")))
def test_crc16_is_that_of_the_published_check_string(row: Row) -> None:
    assert crc16(frame(row)) == int(row["meaning"].removeprefix("CRC16 = "), 16)


@pytest.mark.parametrize("row", params([row for row in OLD_COMMANDS if row["chip"] == "BM1387"]))
def test_a_bm1387_command_ends_in_the_crc5_of_its_other_bytes(row: Row) -> None:
    data = frame(row)
    assert crc5(data[:-1]) == data[-1]


@pytest.mark.parametrize("row", params([row for row in OLD_COMMANDS if row["chip"] == "BM1384"]))
def test_a_bm1384_command_ends_in_the_crc5_of_its_first_27_bits(row: Row) -> None:
    data = frame(row)
    assert crc5_bits(data[:3], data[3] >> 5, 3) == data[3] & 0x1F


@pytest.mark.parametrize("row", params(rows("usb_miners", "response-old")))
def test_a_reply_without_preamble_leaves_no_remainder(row: Row) -> None:
    assert crc5(frame(row)) == 0


def test_every_old_chip_of_the_vectors_has_its_own_crc_test() -> None:
    assert {row["chip"] for row in OLD_COMMANDS} == {"BM1384", "BM1387"}


def test_crc5_of_every_short_message_is_that_of_anycrc() -> None:
    oracle = anycrc.CRC(width=5, poly=0x05, init=0x1F, refin=False, refout=False, xorout=0)
    for first in range(256):
        assert crc5(bytes((first,))) == oracle.calc(bytes((first,)))
        assert crc5(bytes((first, 0x55, 255 - first))) == oracle.calc(bytes((first, 0x55, 255 - first)))


def test_crc5_of_whole_bytes_is_crc5_of_their_bits() -> None:
    assert crc5_bits(b"\x52\x05\x00", 0x00, 8) == crc5(b"\x52\x05\x00\x00") == 0x0A


def test_crc5_takes_a_view_without_copying() -> None:
    assert crc5(memoryview(b"\x00\x52\x05\x00\x00")[1:]) == 0x0A
