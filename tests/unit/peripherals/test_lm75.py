"""LM75 and its kin: as many bits as the part has, awake, and a TMP75 with all of its twelve."""

from __future__ import annotations

import pytest

from drivers.errors import Nack, VerifyError
from drivers.peripherals.lm75 import LM75, LM75B, TMP75, Kind, Lm75, decode_bits
from emulator.parts import lm75 as emulated
from tests.fakes import BusLog
from tests.unit.peripherals.part_on_a_bus import PartOnABus
from tests.vectors import params, rows

ADDRESS = 0x48
every_product = pytest.mark.parametrize(
    ("product", "kind"), [("LM75", LM75), ("LM75A", LM75), ("LM75B", LM75B), ("TMP75", TMP75)]
)


class Bench:
    def __init__(self, product: str) -> None:
        self.celsius = 40.3
        self.part = emulated.Lm75(look=lambda at_s: self.celsius, seed=1, product=product, address=ADDRESS)
        self.bus = PartOnABus(lm75=self.part)


@pytest.mark.parametrize("row", params(rows("peripherals", "lm75_C")))
def test_words_are_those_of_the_vectors_as_far_as_a_board_can_be_so_warm(row: dict[str, object]) -> None:
    bits = int(str(row["part"]).split()[1])
    found = decode_bits(bytes.fromhex(str(row["in"]).removeprefix("0x")), bits)
    if row["out"] is None:
        assert found == (None, "reads ffff, as a bus without a part does")
    elif float(str(row["out"])) < -40.0:
        assert found.celsius is None
        assert f"reads {row['out']:g} C" in str(found.note)
    else:
        assert found == (row["out"], None)


async def test_two_bytes_are_read_from_pointer_0() -> None:
    bus = BusLog({0x00: "32 7f"})
    assert (await Lm75(bus, ADDRESS, LM75).read()).celsius == 50.0
    assert bus.log == ["48 00 > 32 7f"]


@pytest.mark.parametrize(("kind", "written"), [(LM75, "48 01 00"), (LM75B, "48 01 00"), (TMP75, "48 01 60")])
async def test_set_up_is_one_byte_read_back(kind: Kind, written: str) -> None:
    bus = BusLog(registers=True)
    await Lm75(bus, ADDRESS, kind).configure()
    assert bus.written == [written]
    with pytest.raises(VerifyError, match=f"{kind.name} configuration"):
        await Lm75(BusLog({0x01: "01"}), ADDRESS, kind).configure()


@every_product
@pytest.mark.parametrize("celsius", [-25.2, 0.1, 40.3, 99.9])
async def test_on_the_emulated_part_it_is_as_warm_as_it_is_to_one_step(
    product: str, kind: Kind, celsius: float
) -> None:
    bench = Bench(product)
    thermometer = Lm75(bench.bus, ADDRESS, kind)
    await thermometer.configure()
    bench.celsius = celsius
    bench.bus.now_s += 1.0
    found = await thermometer.read()
    assert found.celsius == pytest.approx(celsius, abs=2.0 ** (8 - kind.bits) / 2 + 0.2)
    assert found.celsius is not None
    assert found.celsius * 2 ** (kind.bits - 8) % 1 == 0


@every_product
async def test_a_part_that_was_sent_to_sleep_wakes(product: str, kind: Kind) -> None:
    bench = Bench(product)
    thermometer = Lm75(bench.bus, ADDRESS, kind)
    await thermometer.read()
    await bench.bus.write(ADDRESS, b"\x01\x01")
    bench.celsius = 80.0
    bench.bus.now_s += 10.0
    assert (await thermometer.read()).celsius == pytest.approx(40.3, abs=0.5), "the last one, for ever"
    await thermometer.configure()
    bench.bus.now_s += 0.5
    assert (await thermometer.read()).celsius == pytest.approx(80.0, abs=0.5)


@every_product
async def test_the_faults_of_a_bus_are_told(product: str, kind: Kind) -> None:
    bench = Bench(product)
    thermometer = Lm75(bench.bus, ADDRESS, kind)
    bench.part.off_the_bus = True
    assert (await thermometer.read()).celsius is None
    bench.part.off_the_bus = False
    bench.part.tap = lambda celsius: 127.5
    assert (await thermometer.read()).celsius is None
    bench.part.tap = None
    bench.bus.faults.freeze("lm75")
    before = await thermometer.read()
    bench.celsius = 90.0
    bench.bus.now_s += 1.0
    assert await thermometer.read() == before
    bench.bus.faults.freeze("lm75", off=True)
    assert (await thermometer.read()).celsius == pytest.approx(90.0, abs=0.5)
    bench.bus.faults.garbage("lm75")
    found = [(await thermometer.read()).celsius for _ in range(100)]
    assert None in found
    assert all(-40.0 <= celsius <= 125.0 for celsius in found if celsius is not None)
    bench.bus.faults.nak("lm75")
    for question in (thermometer.read(), thermometer.configure()):
        with pytest.raises(Nack):
            await question


async def test_another_access_reaches_the_same_part() -> None:
    bus = BusLog({0x00: "19 00"})
    assert (await Lm75(BusLog(), 0x4C, TMP75).over(bus).read()).celsius == 25.0
    assert bus.log == ["4c 00 > 19 00"]
