"""TMP1075: sixteenths of a degree, and what is no temperature."""

from __future__ import annotations

import pytest

from drivers.peripherals.tmp1075 import Tmp1075, decode
from tests.fakes import BusLog
from tests.vectors import params, rows

KNOWN = [row for row in rows("peripherals", "temp_C") if str(row["part"]).startswith("TMP1075")]


@pytest.mark.parametrize("row", params(KNOWN))
def test_words_are_those_of_the_vectors_as_far_as_a_board_can_be_so_warm(row: dict[str, object]) -> None:
    found = decode(bytes.fromhex(str(row["in"]).removeprefix("0x")))
    wanted = float(str(row["out"]))
    if -40.0 <= wanted <= 125.0:
        assert found == (wanted, None)
    else:
        assert found.celsius is None
        assert f"reads {wanted:g} C" in str(found.note)


def test_a_bus_without_a_part_is_no_temperature_although_its_word_would_be_one() -> None:
    assert decode(b"\xff\xff") == (None, "reads ffff, as a bus without a part does")


async def test_two_bytes_are_read_from_pointer_0() -> None:
    bus = BusLog({0x00: "32 00"})
    assert (await Tmp1075(bus, 0x4A).read()).celsius == 50.0
    assert bus.log == ["4a 00 > 32 00"]
