"""BM1397: brought up frame by frame, versions rolled by the host, one walk a job, and a stop without a sweep window.

Sources of the frames: ESP-Miner components/asic/bm1397.c and a capture of an older revision; the job and its answer:
kanoi/cgminer driver-gekko.c, for the header of a share of a real Bitaxe Gamma.
"""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from hashlib import sha256 as whole

import pytest

from controller.work.sources import shipped_headers
from drivers.asics import AsicKind, pll
from drivers.asics.bm1397 import BM1397
from drivers.asics.chain import Chain, Find, Work
from drivers.asics.kind import window_ticks
from drivers.asics.partition import Partition
from drivers.codecs import sha256
from drivers.codecs.bm13xx import MidstateJob, NonceReply, encode
from drivers.codecs.header import ticket_target
from drivers.errors import UsageError, VerifyError
from tests.unit.asics.chip_on_a_wire import ChipOnAWire
from tests.vectors import frame, params, rows

# Without the ramp: the pauses of cgminer, the order of ESP-Miner.
BEFORE_THE_RAMP = """
    55 aa 52 05 00 00 0a
    55 aa 53 05 00 00 03
    55 aa 40 05 00 00 1c
    55 aa 51 09 00 80 00 00 00 00 1c
    55 aa 51 09 00 84 00 00 00 00 11
    55 aa 51 09 00 20 00 00 00 01 02
    55 aa 51 09 00 3c 80 00 80 74 10
    55 aa 51 09 00 14 00 00 00 ff 08
    55 aa 51 09 00 68 c0 70 01 11 00
    55 aa 51 09 00 28 06 00 00 0f 18
    55 aa 51 09 00 18 00 00 7a 31 15
"""
FIRST_STEP = """
    55 aa 51 09 00 70 0f 0f 0f 00 19
    55 aa 51 09 00 70 0f 0f 0f 00 19
    55 aa 51 09 00 08 40 3f 02 72 03
    55 aa 51 09 00 08 40 3f 02 72 03
"""
FAST = "55 aa 51 09 00 18 00 00 60 31 00"
SHARE = next(bytes.fromhex(row["hex"]) for row in rows("bm13xx", "header") if row["meaning"].startswith("15.1 header"))


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().splitlines()]


async def chain_on(chip: ChipOnAWire, kind: AsicKind = BM1397, *, dilution: int = 1) -> Chain:
    chain = Chain(chip.port, kind, expected_chips=1, dilution=dilution, name="max")
    chain.start()
    await chain.enumerate()
    await chain.initialise()
    return chain


def kept(chain: Chain) -> list[Find]:
    finds: list[Find] = []
    chain.on_finds = finds.extend
    return finds


async def test_the_bring_up_is_the_published_one_frame_by_frame() -> None:
    chip = ChipOnAWire(0x1397)
    chain = await chain_on(chip)
    await chain.set_frequency_step(56.25)
    await chain.set_window(56.25)  # has nothing to write
    await chain.fast_link()
    sent = [data.hex(" ") for data in chip.frames]
    before = [*lines(BEFORE_THE_RAMP), *lines(FIRST_STEP), FAST]
    assert sent[: len(before)] == before
    # What follows at the fast rate reads back and moves nothing: id, clock enables, clock.
    assert [line[:17] for line in sent[len(before) :]] == [
        "55 aa 42 05 00 00",
        "55 aa 42 05 00 20",
        "55 aa 42 05 00 08",
    ]
    assert chip.rates == [3_125_000]


async def test_every_published_frame_of_a_bring_up_is_sent_or_is_another_drivers_choice() -> None:
    chip = ChipOnAWire(0x1397)
    chain = await chain_on(chip)
    await chain.set_frequency_step(56.25)
    await chain.fast_link()
    published = {frame(row) for row in rows("bm13xx", "command") if row["chip"] == "BM1397"}
    published |= {frame(row) for row in rows("usb_miners", "command") if row["name"].startswith("bm1397_cmds.")}
    left = {data.hex(" ") for data in published - set(chip.frames)}
    assert left == {
        "55 aa 51 09 00 14 00 00 00 fc 07",  # ticket 64
        "55 aa 51 09 00 14 00 00 00 f0 1e",  # ticket 16
        "55 aa 51 09 00 3c 80 00 80 b4 19",  # core clock delay of a T17
        "55 aa 51 09 00 18 00 01 67 31 06",  # 6.25 MBd
        "55 aa 51 09 00 18 00 00 61 31 1c",  # 1.5625 MBd
        "55 aa 51 09 00 08 40 a0 02 25 16",  # 200 MHz by another rule
        "55 aa 41 09 28 3c 00 00 06 ff 0a",  # a core register read
        "55 aa 41 09 28 3c 80 00 85 01 13",  # and one written
        "55 aa 40 05 2a 00 19",  # the second of six chips, 42 apart
        "55 aa 52 05 00 08 07",  # PLL read of all
    }


async def test_divider_and_clock_go_out_twice_each_10_ms_apart() -> None:
    chip = ChipOnAWire(0x1397)
    chain = await chain_on(chip)
    at = len(chip.frames)
    for mhz in (56.25, 62.5):
        await chain.set_frequency_step(mhz)
    times = chip.frames_s[at:]
    assert [data[5] for data in chip.frames[at:]] == [0x70, 0x70, 0x08, 0x08] * 2
    assert [round(after - before, 4) for before, after in itertools.pairwise(times[:4])] == [0.01] * 3
    assert chain.frequency_mhz == 62.5


async def test_the_word_after_reset_is_50_mhz_because_it_is_divided_by_eight() -> None:
    chip = ChipOnAWire(0x1397)
    chain = await chain_on(chip)
    assert chain.frequency_mhz == 50.0
    assert await chain.read_clock() == 50.0
    await chain.set_frequency_step(56.25)
    assert await chain.read_clock() == 56.25
    chip.registers[0x08] = 0xC0600161
    assert await chain.read_clock() == 400.0  # it has lost its clock, and the divider too for all that is known


async def test_a_first_step_that_is_cut_short_leaves_the_clock_unknown() -> None:
    chain = await chain_on(ChipOnAWire(0x1397))
    task = asyncio.create_task(chain.set_frequency_step(56.25))
    await asyncio.sleep(0.015)  # the division is gone, the clock not written
    task.cancel()
    await asyncio.wait((task,))
    assert chain.frequency_mhz is None
    with pytest.raises(UsageError, match="before the chips are initialised"):
        await chain.set_frequency_step(56.25)


async def test_a_chip_that_answers_in_eleven_bytes_is_refused() -> None:
    chip = ChipOnAWire(0x1397)
    chip.reply_bytes = 11
    with pytest.raises(VerifyError, match="replies of 9 bytes"):
        await chain_on(chip)


# --- jobs and verdicts -----------------------------------------------------------------------------------------------


def rolled(header: bytes, field: int) -> bytes:
    return (int.from_bytes(header[:4], "little") | field << 13).to_bytes(4, "little") + header[4:]


async def test_a_job_carries_four_midstates_of_versions_counted_up_inside_the_mask() -> None:
    chip = ChipOnAWire(0x1397)
    chain = await chain_on(chip)
    header = shipped_headers()[80:160]
    await chain.send(Work(1, header))
    (job,) = chip.jobs
    assert isinstance(job, MidstateJob)
    assert job.job_byte == 0x04
    assert job.tail == header[64:76]
    assert job.midstates == tuple(sha256.midstate(rolled(header, field)[:64]) for field in range(4))
    assert len(chip.frames[-1]) == 152


@pytest.mark.parametrize(
    ("mask", "fields", "length_byte"),
    [
        (0x0000_0000, (0,), 0x36),
        (0x0000_2000, (0, 1), 0x56),
        (0x1000_0000, (0, 0x8000), 0x56),
        (0x0080_2000, (0, 1, 0x400, 0x401), 0x96),
        (0x1FFF_E000, (0, 1, 2, 3), 0x96),
    ],
)
async def test_a_job_has_as_many_midstates_as_the_mask_leaves_versions(
    mask: int, fields: tuple[int, ...], length_byte: int
) -> None:
    """Lengths: bm13xx frames of 1 to 4 midstates, 22 + 32 each."""
    chip = ChipOnAWire(0x1397)
    chain = await chain_on(chip)
    chain.version_mask = mask
    header = shipped_headers()[80:160]
    await chain.send(Work(1, header))
    sent = chip.frames[-1]
    assert sent[:6] == bytes((0x55, 0xAA, 0x21, length_byte, 0x04, len(fields)))
    assert len(sent) == length_byte + 2
    (job,) = chip.jobs
    assert isinstance(job, MidstateJob)
    assert job.midstates == tuple(sha256.midstate(rolled(header, field)[:64]) for field in fields)
    assert chain.midstates == len(fields)


async def test_a_job_whose_version_has_bits_set_is_rolled_from_there_and_its_find_has_them() -> None:
    chip = ChipOnAWire(0x1397)
    chain = await chain_on(chip, dilution=1 << 32)
    await chain.set_ticket(1)
    finds = kept(chain)
    chain.version_mask = 0x0000_6000
    await chain.send(Work(1, (0x2080_6000).to_bytes(4, "little") + bytes(72)))
    chip.answer(*(NonceReply(bytes((1, 2, 3, index)), 0, 0x04 | index, None) for index in range(4)))
    versions = [int.from_bytes(find.header[:4], "little") for find in finds]
    assert versions == [0x2080_6000, 0x2080_0000, 0x2080_2000, 0x2080_4000]
    assert [find.version_field << 13 for find in finds] == [0x6000, 0x0000, 0x2000, 0x4000]


async def test_a_nonce_of_a_midstate_that_was_not_sent_is_wrong_and_of_a_single_one_any_sub_core_is_right() -> None:
    chip = ChipOnAWire(0x1397)
    dilution = 1 << 32
    chain = await chain_on(chip, dilution=dilution)
    await chain.set_ticket(256)
    await asyncio.sleep(1.0)
    finds = kept(chain)
    header, target = shipped_headers()[80:160], ticket_target(256, dilution)

    def nonces(field: int) -> list[bytes]:
        made = (rolled(header, field)[:76] + number.to_bytes(4, "little") for number in range(4096))
        return [each[76:] for each in made if int.from_bytes(whole(whole(each).digest()).digest(), "little") <= target]

    chain.version_mask = 0x0000_2000
    await chain.send(Work(1, header))
    chip.answer(*(NonceReply(nonce, 0, 0x04 | 2, None) for nonce in nonces(2)))
    assert (len(finds), chain.counters.hw_errors + chain.counters.below_ticket) == (0, len(nonces(2)))
    chip.answer(*(NonceReply(nonce, 0, 0x04 | 1, None) for nonce in nonces(1)))
    assert len(finds) == len(nonces(1))
    finds.clear()
    chain.version_mask = 0
    await chain.send(Work(2, header))
    chip.answer(*(NonceReply(nonce, 0, 0x08 | at % 4, None) for at, nonce in enumerate(nonces(0))))
    assert [find.version_field for find in finds] == [0] * len(nonces(0))


async def test_a_nonce_of_the_job_before_is_found_again_although_the_mask_has_changed() -> None:
    """A corrupt id byte: the second look hashes it under the versions that its own job had."""
    chip = ChipOnAWire(0x1397)
    dilution = 1 << 32
    chain = await chain_on(chip, dilution=dilution)
    await chain.set_ticket(256)
    await asyncio.sleep(1.0)
    finds = kept(chain)
    header, target = shipped_headers()[80:160], ticket_target(256, dilution)
    chain.version_mask = 0x1000_0000
    await chain.send(Work(1, header))
    chain.version_mask = 0x1FFF_E000
    await chain.send(Work(2, bytes(76)))
    made = (rolled(header, 0x8000)[:76] + number.to_bytes(4, "little") for number in range(1 << 16))
    right = next(each for each in made if int.from_bytes(whole(whole(each).digest()).digest(), "little") <= target)
    chip.answer(NonceReply(right[76:], 0, 0x08 | 1, None))
    assert [(find.work.number, find.header, find.version_field) for find in finds] == [(1, right, 0x8000)]


async def test_the_one_midstate_job_of_a_share_is_cgminers_frame_and_its_answer_is_a_find() -> None:
    chip = ChipOnAWire(0x1397)
    chain = await chain_on(chip)
    finds = kept(chain)
    for _ in range(3):
        await chain.send(Work(0, bytes(76)))  # on to id 10
    chain.version_mask = 0
    await chain.send(Work(1, SHARE))
    (row,) = (row for row in rows("usb_miners", "job") if row["name"] == "bm1397_job_1mid")
    assert chip.frames[-1] == frame(row)
    (reply,) = (row for row in rows("usb_miners", "response") if row["name"] == "bm1397_job_1mid.reply")
    chip.noise(frame(reply))
    assert [find.header for find in finds] == [SHARE]
    assert finds[0].core == 0x4C


async def test_each_midstate_index_means_its_own_version_and_low_bits_alone_are_no_other_job() -> None:
    chip = ChipOnAWire(0x1397)
    dilution = 1 << 32
    chain = await chain_on(chip, dilution=dilution)
    await chain.set_ticket(256)
    await asyncio.sleep(1.0)
    finds = kept(chain)
    header = shipped_headers()[80:160]
    await chain.send(Work(5, header))
    wanted = []
    for index in range(4):
        for number in range(4096):
            whole_header = rolled(header, index)[:76] + number.to_bytes(4, "little")
            value = int.from_bytes(whole(whole(whole_header).digest()).digest(), "little")
            if value <= ticket_target(256, dilution):
                wanted.append((index, whole_header))
    assert {index for index, _ in wanted} == {0, 1, 2, 3}
    chip.answer(*(NonceReply(made[76:], 1, 0x04 | index, None) for index, made in wanted))
    assert [(find.version_field, find.header) for find in finds] == wanted
    assert chain.counters.verified == len(wanted)
    chip.answer(*(NonceReply(made[76:], 1, 0x04 | index, None) for index, made in wanted))
    assert chain.counters.duplicates == len(wanted)
    chip.answer(*(NonceReply(made[76:], 1, 0x08 | index, None) for index, made in wanted))
    assert chain.counters.stale == len(wanted)
    before = chain.counters.hw_errors + chain.counters.below_ticket
    chip.answer(*(NonceReply(made[76:], 1, 0x04 | index ^ 1, None) for index, made in wanted))
    wrong = chain.counters.hw_errors + chain.counters.below_ticket - before
    assert wrong >= 0.9 * len(wanted)


@pytest.mark.parametrize(
    "row", params([row for row in rows("bm13xx", "response") if row["chip"] == "BM1397" and "nonce" in row["meaning"]])
)
def test_published_nonces_are_taken_apart(row: dict[str, str]) -> None:
    data = bytes.fromhex(row["hex"])
    meant = row["meaning"]
    result = data[7]
    job = (result & BM1397.job_mask) >> BM1397.job_shift
    assert f"id byte {job:02X}" in meant or f"id byte {job:02x}" in meant
    assert f"midstate {result & BM1397.midstate_mask}" in meant
    if "core" in meant:
        assert f"core {data[2] >> 8 - BM1397.core_bits}," in meant


async def test_core_and_sub_core_of_a_find_are_those_of_its_nonce() -> None:
    chip = ChipOnAWire(0x1397)
    chain = await chain_on(chip, dilution=1 << 32)
    await chain.set_ticket(1)
    finds = kept(chain)
    await chain.send(Work(1, bytes(76)))
    chip.answer(*(NonceReply(bytes((167, sub << 6 | 1, 2, 3)), 0, 0x05, None) for sub in range(4)))
    assert [(find.core, find.sub_core, find.version_field) for find in finds] == [(167, sub, 1) for sub in range(4)]


def test_a_chain_is_shared_out_by_address_bits_21_to_14() -> None:
    six = Partition(BM1397, 6)
    assert [six.address(chip) for chip in range(6)] == [0x00, 0x20, 0x40, 0x60, 0x80, 0xA0]
    for chip in range(6):
        for low in (0, (1 << 19) - 1):
            number = 151 << 24 | 3 << 22 | (six.address(chip) << 14) + low
            assert six.owner(number.to_bytes(4, "big")) == (chip, 151)
    assert six.owner((151 << 24 | 0xC0 << 14).to_bytes(4, "big")) is None
    assert six.owner((168 << 24).to_bytes(4, "big")) is None


# --- how long a job lasts, and how it is stopped ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mhz", "chips", "midstates", "ms"),
    [(425.0, 1, 4, 39.4758), (450.0, 1, 4, 37.2827), (425.0, 6, 4, 4.9344), (425.0, 1, 1, 9.8689)],
)
def test_a_job_lasts_one_walk_over_the_share(mhz: float, chips: int, midstates: int, ms: float) -> None:
    """ESP-Miner: 2^32 / 256 / chips rounded up / f; its own test has 27.962 ms for three quarters at 450 MHz."""
    kind = replace(BM1397, midstates=midstates)
    clock = pll.dividers(pll.solve(mhz, kind.pll_rule, kind.pll_shape).word, kind.pll_shape)
    assert window_ticks(kind, clock, chips) / 25e3 == pytest.approx(ms, abs=1e-3)
    assert window_ticks(BM1397, clock, chips, midstates) == window_ticks(kind, clock, chips)


async def test_the_walk_follows_the_clock_and_nothing_is_written_for_it() -> None:
    chip = ChipOnAWire(0x1397)
    chain = await chain_on(chip)
    await chain.set_window(56.25)
    assert chain.window_s == pytest.approx((1 << 24) / 50e6, rel=1e-6)
    await chain.set_frequency_step(56.25)
    assert chain.window_s == chain.job_lasts_s == pytest.approx((1 << 24) / 56.25e6, rel=1e-6)
    for mask, midstates in ((0, 1), (0x4000, 2), (0x6000, 4)):
        chain.version_mask = mask
        assert chain.window_s == pytest.approx(midstates * (1 << 22) / 56.25e6, rel=1e-6)
    assert not any(data[5] == 0x10 for data in chip.frames)


async def test_a_window_of_0_takes_the_clocks_of_the_cores_away_and_one_above_gives_them_back() -> None:
    chip = ChipOnAWire(0x1397)
    chain = await chain_on(chip)
    await chain.set_frequency_step(56.25)
    await chain.fast_link()
    await chain.set_window(0.0)
    assert chip.registers[0x20] == 0
    await chain.set_window(56.25)
    assert chip.registers[0x20] == 1
    chip.deaf_to = {0x20}
    with pytest.raises(VerifyError, match="register 20 of chip 0: wrote 0, read back 1"):
        await chain.set_window(0.0)


async def test_it_is_stopped_through_the_data_port_by_its_clock_first_and_its_clock_enables_after() -> None:
    chip = ChipOnAWire(0x1397)
    chain = await chain_on(chip)
    await chain.set_frequency_step(56.25)
    await chain.fast_link()
    at = len(chip.frames)
    assert await chain.stop_hashing()
    assert [data.hex(" ") for data in chip.frames[at : at + 2]] == [
        "55 aa 51 09 00 08 40 3c 02 53 " + chip.frames[at][-1:].hex(),
        "55 aa 51 09 00 20 00 00 00 00 " + chip.frames[at + 1][-1:].hex(),
    ]
    assert pll.clock_mhz(chip.registers[0x08], BM1397.pll_shape) == 50.0
    assert chain.frequency_mhz == 50.0


@pytest.mark.parametrize("deaf_to", [0x08, 0x20])
async def test_one_that_does_not_take_both_is_not_called_stopped(deaf_to: int) -> None:
    chip = ChipOnAWire(0x1397)
    chain = await chain_on(chip)
    await chain.set_frequency_step(56.25)
    chip.deaf_to = {deaf_to}
    assert not await chain.stop_hashing()


async def test_one_that_was_found_hashing_at_the_fast_rate_is_stopped_too() -> None:
    chip = ChipOnAWire(0x1397)
    chip.chip_rate = 3_125_000
    chip.registers |= {0x20: 1, 0x08: 0xC0440221}
    chain = Chain(chip.port, BM1397, expected_chips=1, name="max")
    chain.start()
    assert await chain.stop_hashing()
    assert chip.registers[0x20] == 0
    assert chain.fast


async def test_its_own_count_of_hashes_is_not_asked_for_because_it_has_none() -> None:
    chip = ChipOnAWire(0x1397)
    chain = await chain_on(chip)
    chip.registers[0x4C] = 3
    assert await chain.read_hash_count() is None
    assert await chain.read_counters() == (None, 3)
    assert not any(data[5] == 0x8C for data in chip.frames)


def test_the_frames_of_the_bring_up_carry_no_address() -> None:
    for step in (*BM1397.after_addressing, *BM1397.before_clock):
        assert not step.per_chip
        assert encode(step.addressed(0x40)) == encode(step.message)
