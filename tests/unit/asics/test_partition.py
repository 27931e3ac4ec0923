"""Which chip finds a nonce: starts, offsets and shares, against the words of captures."""

from __future__ import annotations

import pytest

from drivers.asics import ASICS
from drivers.asics.partition import Partition


def word(chip: int, of: int) -> str:
    return f"{Partition(ASICS['BM1370'], of).offset_word(chip):08x}"


def test_offsets_of_an_s21_pro_are_those_of_its_capture() -> None:
    assert [word(chip, 65) for chip in range(6)] == [
        "80000000", "800003f1", "800007e1", "80000bd1", "80000fc1", "800013b2",
    ]  # fmt: skip
    assert word(64, 65) == "8000fc10"


@pytest.mark.parametrize(
    ("chips", "apart"), [(1, 0), (2, 128), (3, 64), (4, 64), (6, 32), (12, 16), (33, 4), (77, 2), (126, 2)]
)
def test_addresses_are_even_and_a_power_of_two_apart(chips: int, apart: int) -> None:
    partition = Partition(ASICS["BM1366"], chips)
    assert [partition.address(chip) for chip in range(chips)] == [chip * apart for chip in range(chips)]


@pytest.mark.parametrize(("nonce", "core", "address"), [("178560d2", 11, 0xC2)])
def test_captured_nonces_tell_core_and_address(nonce: str, core: int, address: int) -> None:
    """ESP-Miner's BM1366 test log; addresses two apart, as on a chain of 65 to 128 chips."""
    partition = Partition(ASICS["BM1366"], 128)
    owner = partition.owner(bytes.fromhex(nonce))
    assert owner is not None
    assert (partition.address(owner[0]), owner[1]) == (address, core)


@pytest.mark.parametrize("chip", ["BM1366", "BM1370"])
@pytest.mark.parametrize("chips", [1, 2, 3, 4, 6, 12, 65, 126])
def test_the_first_and_the_last_nonce_of_each_share_are_its_chips_own(chip: str, chips: int) -> None:
    partition = Partition(ASICS[chip], chips)
    slots = 1 << max(0, chips - 1).bit_length()
    width = (1 << 25) // slots
    for index in range(chips):
        start = (partition.offset_word(index) & 0xFFFF) << 9 if ASICS[chip].starts_at_offset else index * width
        for counter in (start, start + width - 1):
            assert partition.owner(((5 << 25) + counter).to_bytes(4, "big")) == (index, 5), (index, counter)


def test_nobody_owns_what_lies_beyond_the_last_core_or_the_last_chip() -> None:
    six = Partition(ASICS["BM1366"], 6)
    assert six.owner((112 << 25).to_bytes(4, "big")) is None
    assert six.owner((7 * (1 << 22)).to_bytes(4, "big")) is None
    three = Partition(ASICS["BM1370"], 3)  # a third each, of which a window walks a quarter
    assert three.owner(((1 << 23) + 5).to_bytes(4, "big")) is None
    assert three.chip_of(((1 << 23) + 5).to_bytes(4, "big")) == 0
