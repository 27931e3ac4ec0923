"""What a board with several chips sends when some are to run slower than it, byte for byte."""

from __future__ import annotations

import asyncio

import pytest

from drivers.boards.board import Channel, Frequency, SweepWindow
from drivers.errors import LimitError, UsageError, VerifyError
from drivers.units import Megahertz
from tests.unit.boards.on_a_bench import OnBench, bitaxe

HEX = "bitaxe-hex"
MHZ = Megahertz(490.0)
CAPS = {3: Megahertz(485.0)}
READ = "55 aa 42"


def clocks(on: OnBench) -> list[float]:
    return [chip.frequency_mhz for chip in on.bench.chips]


def written(on: OnBench, since: int) -> list[str]:
    return [frame for frame in on.data_frames.frames[since:] if not frame.startswith(READ)]


async def test_a_chip_goes_apart_and_comes_back_by_writes_to_its_own_address() -> None:
    """Words as ESP-Miner and NerdQAxePlus have them, 50C20240 for 485 MHz and 50C40240 for 490. Windows: a slice of a
    BM1366 in eight slots, 2^32 / 128 / 8 nonces, at 2 f / 25 MHz of them a tick."""
    async with bitaxe(HEX) as on:
        await on.board.first_contact()
        await on.power_up(490.0, 1.2)
        sent = len(on.data_frames.frames)
        await on.apply(Frequency(MHZ, caps_mhz=CAPS), SweepWindow(MHZ, caps_mhz=CAPS))
        assert clocks(on) == [490.0] * 3 + [485.0] + [490.0] * 2
        assert written(on, sent) == [
            "55 aa 41 09 60 08 50 c2 02 40 1e",
            "55 aa 51 09 00 10 00 01 a1 f5 09",
            "55 aa 41 09 60 10 00 01 a6 44 15",
        ]
        asked = {frame[12:17] for frame in on.data_frames.frames[sent:] if frame.startswith(READ)}
        assert {f"{32 * chip:02x} {register}" for chip in range(6) for register in ("08", "10")} <= asked
        sent = len(on.data_frames.frames)
        await on.apply(SweepWindow(MHZ), Frequency(MHZ))
        assert clocks(on) == [490.0] * 6
        assert written(on, sent) == ["55 aa 51 09 00 10 00 01 a1 f5 09", "55 aa 51 09 00 08 50 c4 02 40 06"]


async def test_the_others_move_by_their_own_addresses_while_one_stays_and_a_cap_above_the_board_is_none() -> None:
    async with bitaxe(HEX) as on:
        await on.board.first_contact()
        await on.power_up(485.0, 1.2)
        sent = len(on.data_frames.frames)
        await on.apply(Frequency(MHZ, caps_mhz=CAPS))
        assert clocks(on) == [490.0] * 3 + [485.0] + [490.0] * 2
        heard = written(on, sent)
        assert [frame[:29] for frame in heard] == [
            f"55 aa 41 09 {32 * chip:02x} 08 50 c4 02 40" for chip in (0, 1, 2, 4, 5)
        ]
        sent = len(on.data_frames.frames)
        lower = Megahertz(483.75)
        await on.apply(Frequency(lower, caps_mhz=CAPS))
        assert clocks(on) == pytest.approx([483.75] * 6, abs=1.0)
        assert len(written(on, sent)) == 1
        assert written(on, sent)[0].startswith("55 aa 51 09 00 08 ")


@pytest.mark.parametrize(
    ("mhz", "caps", "error"),
    [
        (490.0, {3: 475.0}, UsageError),  # more than a slew step
        (500.0, {3: 490.0}, UsageError),
        (490.0, {0: float("nan")}, LimitError),
        (float("nan"), {0: 490.0}, LimitError),
        (490.0, {5: 1.0}, LimitError),
    ],
)
async def test_a_round_in_which_one_chip_would_jump_is_refused_before_a_byte_is_sent(
    mhz: float, caps: dict[int, Megahertz], error: type[Exception]
) -> None:
    async with bitaxe(HEX) as on:
        await on.board.first_contact()
        await on.power_up(490.0, 1.2)
        sent = len(on.data_frames.frames)
        with pytest.raises(error):
            await on.board.chain.set_frequency_round(mhz, caps)
        assert on.data_frames.frames[sent:] == []


async def test_the_board_reads_its_own_clock_by_every_chip_and_a_chip_astray_reads_its_own() -> None:
    async with bitaxe(HEX) as on:
        await on.board.first_contact()
        await on.power_up(490.0, 1.2)
        await on.apply(Frequency(MHZ, caps_mhz=CAPS), SweepWindow(MHZ, caps_mhz=CAPS))
        for _ in range(6):
            assert (await on.board.read()).channels[Channel.FREQUENCY_MHZ] == 490.0
            await asyncio.sleep(0.2)
        assert [chip.read_mhz for chip in on.board.chain.chips] == clocks(on)
        now_s = asyncio.get_running_loop().time()
        assert all(now_s - chip.read_at_s < 2.0 for chip in on.board.chain.chips)
        kept = on.bench.chips[3]._words[0x08]
        on.bench.chips[3]._write(0x08, on.bench.chips[1]._words[0x08], now_s)
        for _ in range(6):
            await on.board.read()
            await asyncio.sleep(0.2)
        assert on.board.chain.chips[3].read_mhz == 490.0
        assert on.board.chain.looks_at.index == 3, "it is asked again and again"
        with pytest.raises(VerifyError, match="PLL word of chip 3"):
            await on.board.apply(SweepWindow(MHZ, caps_mhz=CAPS))
        on.bench.chips[3]._write(0x08, kept, now_s)
        on.bench.chips[1]._write(0x08, kept, now_s)
        found = set()
        for _ in range(60):
            found.add((await on.board.read()).channels[Channel.FREQUENCY_MHZ])
            await asyncio.sleep(0.2)
        assert 485.0 in found, "that of chip 1, which has no cap"
