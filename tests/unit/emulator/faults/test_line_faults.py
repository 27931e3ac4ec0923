"""Faults of the serial lines, at the byte and through the real drivers."""

from __future__ import annotations

import asyncio
import random

import pytest

from drivers.errors import HashbridgeError, NoReply
from drivers.transports.memory import memory_pair
from emulator.benches.bitaxe import BitaxeGamma
from emulator.device import Burst
from emulator.faults import BadArgument
from emulator.faults.line import Line
from emulator.ports.memory import plug_in
from tests.unit.boards.on_a_bench import OnBench, gamma
from tests.unit.emulator.faults.asking import FAN, byte, word

SENT = bytes(range(256)) * 40


class Source:
    """A device that says what it was given, at once, and keeps what it hears."""

    def __init__(self) -> None:
        self.says: list[Burst] = []
        self.heard = b""

    def receive(self, burst: Burst, at_s: float, previous_baud: int | None = None) -> None:
        self.heard += burst.data

    def transmit(self, at_s: float) -> list[Burst]:
        said, self.says = self.says, []
        return said

    def wakes_at(self) -> float | None:
        return 0.0 if self.says else None

    def line_rate_changed(self, baud: int, at_s: float) -> None: ...


def line(seed: int = 1) -> tuple[Line, Source]:
    source = Source()
    return Line(source, random.Random(seed)), source


def everything(of: Line, until_s: float = 10.0) -> list[tuple[float, bytes]]:
    """What comes out, and when."""
    out = []
    while (due_s := of.wakes_at()) is not None and due_s <= until_s:
        out += [(due_s, burst.data) for burst in of.transmit(due_s)]
    return out


@pytest.mark.parametrize("way", ["to_host", "to_board"])
def test_each_byte_is_lost_with_its_probability_and_the_rest_keeps_its_order(way: str) -> None:
    of, source = line()
    of.loss[way] = 0.1
    source.says = [Burst(0, SENT)]
    of.receive(Burst(0, SENT), 0.0)
    spoilt = source.heard if way == "to_board" else b"".join(data for _, data in everything(of))
    assert 0.08 < of.lost_bytes / len(SENT) < 0.12
    assert len(spoilt) == len(SENT) - of.lost_bytes
    rest = iter(SENT)
    assert all(one in rest for one in spoilt)
    whole = b"".join(data for _, data in everything(of)) if way == "to_board" else source.heard
    assert whole == SENT


def test_a_flipped_byte_differs_in_one_bit() -> None:
    of, source = line()
    of.flips["to_host"] = 0.05
    source.says = [Burst(0, SENT)]
    ((_, spoilt),) = everything(of)
    wrong = [(one ^ other).bit_count() for one, other in zip(SENT, spoilt, strict=True) if one != other]
    assert 0.04 < len(wrong) / len(SENT) < 0.06
    assert set(wrong) == {1}


def test_pieces_and_runs_carry_the_same_bytes_in_the_same_order() -> None:
    of, source = line()
    of.split_p = of.merge_p = 0.5
    out = []
    for frame in range(200):
        source.says = [Burst(0, bytes((frame,)) * 11)]
        out += [data for _, data in everything(of, frame * 0.001)]
    out += [data for _, data in everything(of)]
    assert b"".join(out) == b"".join(bytes((frame,)) * 11 for frame in range(200))
    assert any(len(data) < 11 for data in out)
    assert any(len(data) > 11 for data in out)


def test_a_late_line_delays_each_burst_by_the_same_and_one_that_is_healed_lets_out_what_it_holds() -> None:
    of, source = line()
    of.late_s = 0.25
    source.says = [Burst(0, b"one")]
    assert of.transmit(1.0) == []
    assert of.wakes_at() == 1.25
    of.clear()
    source.says = [Burst(0, b"two")]
    assert of.transmit(1.1) == []
    assert of.transmit(1.25) == [Burst(0, b"one"), Burst(0, b"two")]
    source.says = [Burst(0, b"three")]
    assert of.transmit(1.3) == [Burst(0, b"three")]


def test_the_same_seed_loses_the_same_bytes() -> None:
    found = []
    for seed in (7, 7, 8):
        of, source = line(seed)
        of.loss["to_host"] = 0.1
        source.says = [Burst(0, SENT)]
        found.append(everything(of))
    assert found[0] == found[1]
    assert found[0] != found[2]


async def test_a_line_stands_between_port_and_device_only_after_its_first_fault() -> None:
    bench = BitaxeGamma()
    (_, control), (_, data) = memory_pair("control"), memory_pair("data")
    ports = plug_in(bench, control, data)
    assert ports[0].device is bench.control
    bench.faults.lose_bytes(port="data")
    assert ports[0].device is bench.control
    assert ports[1].device is bench.faults.lines["data"]
    bench.faults.flip_bits(port="both")
    assert [port.device for port in ports] == [bench.faults.lines["control"], bench.faults.lines["data"]]
    assert bench.faults.lines["data"].loss == {"to_host": 0.01, "to_board": 0.0}
    bench.faults.heal()
    assert bench.faults.lines["data"].loss == {"to_host": 0.0, "to_board": 0.0}


def test_without_a_port_there_is_no_line_to_spoil() -> None:
    with pytest.raises(BadArgument, match="port: 'control' is not allowed; allowed: ports that carry the bench: none"):
        BitaxeGamma().faults.lose_bytes()


async def count_errors(on: OnBench, tries: int = 200) -> int:
    failed = 0
    for _ in range(tries):
        try:
            assert await byte(on, 0xFD) == 0x16
        except HashbridgeError:
            failed += 1
    return failed


@pytest.mark.parametrize("way", ["to_host", "to_board"])
async def test_lost_bytes_cost_replies_and_never_bring_a_wrong_one(way: str) -> None:
    async with gamma() as on:
        on.bench.faults.lose_bytes(p=0.01, port="control", way=way)
        failed = await count_errors(on)
        assert 2 <= failed <= 60
        on.bench.faults.lose_bytes(port="control", way=way, off=True)
        await asyncio.sleep(0.1)
        assert await count_errors(on) <= 1


async def test_replies_in_pieces_and_runs_are_understood() -> None:
    async with gamma() as on:
        on.bench.faults.chop(port="control")
        assert await count_errors(on) == 0


async def test_a_late_reply_is_no_answer_to_the_next_question() -> None:
    async with gamma() as on:
        on.bench.faults.late(0.1, port="control")
        began_s = asyncio.get_running_loop().time()
        assert await byte(on, 0xFD) == 0x16
        assert asyncio.get_running_loop().time() - began_s == pytest.approx(0.1, abs=0.03)
        on.bench.faults.late(0.4, port="control")
        with pytest.raises(NoReply):
            await byte(on, 0xFD)
        on.bench.faults.late(port="control", off=True)
        for _ in range(20):
            try:
                assert await byte(on, 0xFE) == 0x5D
            except NoReply:
                continue
        assert await byte(on, 0xFE) == 0x5D


async def test_a_reply_with_another_id_is_not_taken_and_only_so_many_are_wrong() -> None:
    async with gamma() as on:
        on.bench.faults.wrong_id(2)
        for _ in range(2):
            with pytest.raises(NoReply):
                await byte(on, 0xFD)
        assert await byte(on, 0xFD) == 0x16
        on.bench.faults.wrong_id(5)
        on.bench.faults.wrong_id(off=True)
        assert await byte(on, 0xFD) == 0x16


async def test_lost_replies_are_lost_although_their_requests_were_carried_out() -> None:
    async with gamma() as on:
        on.bench.faults.lose_replies(1)
        with pytest.raises(NoReply):
            await on.board.bridge.i2c().write(FAN, b"\x4c\x20")
        assert await byte(on, 0x4C) == 0x20


async def test_bit_flips_on_the_data_line_are_link_errors_and_the_control_port_is_spared() -> None:
    async with gamma() as on:
        await on.power_up(525.0, 1.150)
        on.bench.faults.flip_bits(p=0.02, port="data")
        for _ in range(60):
            try:
                await on.board.chain.read_clock()
            except NoReply:
                continue
        assert on.bench.faults.lines["data"].flipped_bytes > 5
        assert on.board.chain.counters.link_errors > 0
        assert await word(on, 0x79) == 0


async def test_two_faults_of_one_line_are_on_at_once() -> None:
    async with gamma() as on:
        on.bench.faults.chop(port="control")
        on.bench.faults.late(0.05, port="control")
        on.bench.faults.nak("tps546", p=0.5)
        began_s = asyncio.get_running_loop().time()
        assert await count_errors(on, 20) == 0
        assert asyncio.get_running_loop().time() - began_s > 20 * 0.05
