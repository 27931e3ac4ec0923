"""Chain: chips found, clocked step by step, and every nonce judged in the order that the module promises."""

from __future__ import annotations

import asyncio
from hashlib import sha256

import pytest

from drivers.asics import ASICS, pll, records
from drivers.asics.chain import Chain, Find, Work
from drivers.codecs.bm13xx import NonceReply
from drivers.codecs.header import ticket_target
from drivers.errors import LimitError, NoReply, Unplugged, UsageError, VerifyError
from tests.unit.asics.chip_on_a_wire import ChipOnAWire
from tests.vectors import frame, rows

BM1370 = ASICS["BM1370"]
SHARE_HEADER = next(
    bytes.fromhex(row["hex"]) for row in rows("bm13xx", "header") if row["meaning"].startswith("15.1 header")
)
"""An accepted share of a real Bitaxe Gamma: rolled field 05A2, difficulty 29588."""
SHARE = NonceReply(SHARE_HEADER[76:], 0x0C, 0xD2, 0x05A2)
SHARE_WORK = Work(7, (0x2000_0000).to_bytes(4, "little") + SHARE_HEADER[4:76])


async def chain_on(chip: ChipOnAWire, *, dilution: int = 1, brought_up: bool = True) -> Chain:
    chain = Chain(chip.port, BM1370, expected_chips=1, dilution=dilution, name="gamma")
    chain.start()
    if brought_up:
        await chain.enumerate()
        await chain.initialise()
    return chain


def kept(chain: Chain) -> list[Find]:
    finds: list[Find] = []
    chain.on_finds = finds.extend
    return finds


async def send_until_job_byte(chain: Chain, work: Work, job_byte: int) -> None:
    """Send filler work until the next id is `job_byte`, then `work` under it."""
    filler = Work(0, bytes(76))
    for candidate in BM1370.job_bytes:
        if candidate == job_byte:
            break
        await chain.send(filler)
    await chain.send(work)


def counted(chain: Chain) -> dict[str, int]:
    c = chain.counters
    return {
        "verified": c.verified,
        "hw_errors": c.hw_errors,
        "duplicates": c.duplicates,
        "stale": c.stale,
        "below_ticket": c.below_ticket,
    }


NOTHING = {"verified": 0, "hw_errors": 0, "duplicates": 0, "stale": 0, "below_ticket": 0}


# --- bring-up --------------------------------------------------------------------------------------------------------


async def test_a_chip_is_found_and_initialised_with_its_clock_at_the_reset_value() -> None:
    chip = ChipOnAWire()
    chain = await chain_on(chip)
    assert [(found.index, found.address, found.chip_id) for found in chain.chips] == [(0, 0, 0x1370)]
    assert chain.frequency_mhz == 50.0
    assert chain.ticket_difficulty == 256
    assert chip.registers[0x18] == 0xF000C100
    assert chip.registers[0x10] == 0


@pytest.mark.parametrize("present", [0, 2])
async def test_a_wrong_number_of_chips_is_named(present: int) -> None:
    chip = ChipOnAWire()
    chip.present = present
    with pytest.raises(VerifyError, match=f"chips that answer: wrote 1, read back {present}"):
        await chain_on(chip)


async def test_a_chip_of_another_kind_is_refused() -> None:
    with pytest.raises(VerifyError, match="chip: wrote 'BM1370', read back 'BM1368'"):
        await chain_on(ChipOnAWire(0x1368))


async def test_a_chip_that_does_not_roll_versions_is_refused() -> None:
    chip = ChipOnAWire()
    chip.rolls = False
    chain = await chain_on(chip, brought_up=False)
    with pytest.raises(VerifyError, match="replies of 11 bytes"):
        await chain.enumerate()


async def test_noise_in_front_of_a_chip_id_does_not_hide_the_chip() -> None:
    chip = ChipOnAWire()
    chain = await chain_on(chip, brought_up=False)
    chip.noise(bytes.fromhex("00 ff aa"))
    await chain.enumerate()
    assert len(chain.chips) == 1
    assert chain.counters.link_errors > 0


# --- clock and window ------------------------------------------------------------------------------------------------


async def test_a_clock_moves_by_one_slew_step_and_says_what_it_became() -> None:
    chip = ChipOnAWire()
    chain = await chain_on(chip)
    assert await chain.set_frequency_step(56.25) == 56.25
    assert chip.registers[0x08] == 0x40A20255
    assert chain.frequency_mhz == 56.25
    assert chain.expected_hs == 56.25e6 * 2040


@pytest.mark.parametrize("mhz", [62.5, 525.0, 57.0])
async def test_a_jump_of_the_clock_is_refused_and_nothing_is_sent(mhz: float) -> None:
    chip = ChipOnAWire()
    chain = await chain_on(chip)
    sent = len(chip.frames)
    with pytest.raises(UsageError, match=r"at most 6\.25 MHz from the present 50 MHz"):
        await chain.set_frequency_step(mhz)
    assert len(chip.frames) == sent


@pytest.mark.parametrize("mhz", [49.0, 1000.1, float("nan"), float("inf")])
async def test_a_clock_outside_the_absolute_limits_is_refused(mhz: float) -> None:
    chain = await chain_on(ChipOnAWire())
    with pytest.raises(LimitError):
        await chain.set_frequency_step(mhz)


async def test_no_clock_is_written_before_the_chips_are_initialised() -> None:
    chip = ChipOnAWire()
    chain = await chain_on(chip, brought_up=False)
    with pytest.raises(UsageError, match="before the chips are initialised"):
        await chain.set_frequency_step(56.25)
    assert chip.frames == []


async def test_every_step_of_a_ramp_up_and_down_is_accepted() -> None:
    chain = await chain_on(ChipOnAWire())
    ramp = [50.0 + 6.25 * step for step in range(1, 90)]
    for mhz in [*ramp, *reversed(ramp), 50.0]:
        assert abs(await chain.set_frequency_step(mhz) - mhz) <= pll.MAX_ERROR_MHZ


async def test_the_window_fits_the_clock_and_says_how_long_a_sweep_takes() -> None:
    chip = ChipOnAWire()
    chain = await chain_on(chip)
    await chain.set_window(525.0)
    assert chip.registers[0x10] == 0x000C2FB7
    assert chain.window_s == pytest.approx(0.031946, abs=1e-6)
    await chain.set_window(0.0)
    assert chip.registers[0x10] == 0


async def test_the_ticket_mask_takes_powers_of_two_alone() -> None:
    chip = ChipOnAWire()
    chain = await chain_on(chip)
    await chain.set_ticket(1)
    assert (chip.registers[0x14], chain.ticket_difficulty) == (0, 1)
    for difficulty in (0, 3, 300, -1):
        with pytest.raises(UsageError, match="ticket_difficulty"):
            await chain.set_ticket(difficulty)


# --- the fast line ---------------------------------------------------------------------------------------------------


async def test_the_fast_line_is_confirmed_by_reading_id_window_and_clock() -> None:
    chip = ChipOnAWire()
    chain = await chain_on(chip)
    await chain.set_frequency_step(56.25)
    await chain.set_window(56.25)
    await chain.fast_link()
    assert chain.fast
    assert chip.rates == [1_000_000]
    asked = [sent[5] for sent in chip.frames if sent[2] == 0x42]
    assert asked == [0x00, 0x10, 0x08]


async def test_the_host_waits_until_the_baud_write_has_left_before_it_changes_its_rate() -> None:
    chip = ChipOnAWire()
    chain = await chain_on(chip)
    await chain.fast_link()
    (changed_s,) = chip.rate_changes_s
    before = [at_s for at_s in chip.frames_s if at_s < changed_s]
    assert changed_s - before[-1] >= 0.020


async def test_a_chip_that_stays_slow_is_named_and_the_host_goes_back() -> None:
    chip = ChipOnAWire()
    chain = await chain_on(chip)
    chip.deaf_to = {0x28}
    with pytest.raises(VerifyError, match="an answer at 115200 only"):
        await chain.fast_link()
    assert chip.rates == [1_000_000, 115_200]
    assert not chain.fast


async def test_a_chip_that_answers_at_no_rate_is_named() -> None:
    chip = ChipOnAWire()
    chain = await chain_on(chip)
    chip.mute = {0x00}
    with pytest.raises(VerifyError, match="no answer at all"):
        await chain.fast_link()


async def test_a_window_that_does_not_take_is_noticed_on_the_fast_line() -> None:
    chip = ChipOnAWire()
    chain = await chain_on(chip)
    await chain.fast_link()
    chip.deaf_to = {0x10}
    with pytest.raises(VerifyError, match="sweep window of chip 0"):
        await chain.set_window(56.25)


# --- reading ---------------------------------------------------------------------------------------------------------


async def test_a_register_that_stays_silent_is_asked_three_times() -> None:
    chip = ChipOnAWire()
    chain = await chain_on(chip)
    chip.mute = {0x4C}
    sent = len(chip.frames)
    with pytest.raises(NoReply, match="register 0x4c"):
        await chain.read_register(0x4C)
    assert len(chip.frames) == sent + 3


async def test_counters_that_are_not_answered_are_unknown_not_zero() -> None:
    chip = ChipOnAWire()
    chain = await chain_on(chip)
    chip.registers[0x8C] = 809
    chip.mute = {0x4C}
    assert await chain.read_counters() == (809, None)


async def test_the_clock_is_read_back_from_the_chip() -> None:
    chip = ChipOnAWire()
    chain = await chain_on(chip)
    chip.registers[0x08] = 0xC0A80230
    assert await chain.read_clock() == 525.0
    chip.registers[0x08] = 0
    assert await chain.read_clock() is None


# --- work and verdicts -----------------------------------------------------------------------------------------------


async def test_a_share_of_a_real_gamma_is_found_again() -> None:
    chip = ChipOnAWire()
    chain = await chain_on(chip)
    finds = kept(chain)
    await send_until_job_byte(chain, SHARE_WORK, 0x68)
    chip.answer(SHARE)
    assert len(finds) == 1
    find = finds[0]
    assert find.work is SHARE_WORK
    assert find.header == SHARE_HEADER
    assert (find.nonce, find.version_field) == (0x7552034C, 0x05A2)
    assert (find.chip, find.core, find.sub_core) == (0, 38, 2)
    assert find.difficulty == pytest.approx(29588.013980)
    assert chain.chips[0].finds == 1
    assert counted(chain) == NOTHING | {"verified": 1}


async def test_the_job_frame_of_that_share_is_the_captured_one() -> None:
    chip = ChipOnAWire()
    chain = await chain_on(chip)
    await send_until_job_byte(chain, SHARE_WORK, 0x68)
    captured = next(row for row in rows("bm13xx", "job") if row["meaning"].startswith("15.1 job, id 13"))
    assert chip.frames[-1] == frame(captured)


@pytest.mark.parametrize("field", [1, 0x8000, 0xFFFF])
async def test_a_header_with_rollable_version_bits_set_is_refused_by_number(field: int) -> None:
    chip = ChipOnAWire()
    chain = await chain_on(chip)
    version = 0x2000_0000 | field << 13
    with pytest.raises(UsageError, match="work 42: header version"):
        await chain.send(Work(42, version.to_bytes(4, "little") + bytes(76)))
    assert chip.jobs == []
    assert chain.counters.jobs == 0


async def test_the_same_nonce_again_is_a_duplicate() -> None:
    chip = ChipOnAWire()
    chain = await chain_on(chip)
    finds = kept(chain)
    await send_until_job_byte(chain, SHARE_WORK, 0x68)
    chip.answer(SHARE, SHARE)
    chip.answer(SHARE)
    assert len(finds) == 1
    assert counted(chain) == NOTHING | {"verified": 1, "duplicates": 2}


async def test_a_wrong_nonce_is_a_hardware_error_of_its_chip() -> None:
    chip = ChipOnAWire()
    chain = await chain_on(chip)
    finds = kept(chain)
    await send_until_job_byte(chain, SHARE_WORK, 0x68)
    chip.answer(SHARE._replace(nonce=b"\x00\x01\x02\x03"))
    assert finds == []
    assert counted(chain) == NOTHING | {"hw_errors": 1}
    assert chain.chips[0].hw_errors == 1


async def test_a_nonce_under_the_id_of_a_later_job_still_counts_for_its_own() -> None:
    chip = ChipOnAWire()
    chain = await chain_on(chip)
    finds = kept(chain)
    await send_until_job_byte(chain, SHARE_WORK, 0x68)
    for number in (8, 9, 10):
        await chain.send(Work(number, number.to_bytes(4, "little") + bytes(76)))
    # 0x68 is followed by 00, 18, 30: the last of them is three jobs later.
    chip.answer(SHARE._replace(result=0x30 << 1 | 2))
    assert [find.work for find in finds] == [SHARE_WORK]
    assert counted(chain) == NOTHING | {"verified": 1}
    chip.answer(SHARE)
    assert counted(chain) == NOTHING | {"verified": 1, "duplicates": 1}


async def test_an_id_that_no_job_has_is_stale() -> None:
    chip = ChipOnAWire()
    chain = await chain_on(chip)
    await chain.send(SHARE_WORK)  # id 18
    chip.answer(SHARE)
    assert counted(chain) == NOTHING | {"stale": 1}


async def test_a_hash_with_the_hard_wired_zeros_but_below_the_ticket_is_counted_apart() -> None:
    chip = ChipOnAWire()
    chain = await chain_on(chip)
    await chain.set_ticket(1 << 20)
    await send_until_job_byte(chain, SHARE_WORK, 0x68)
    await asyncio.sleep(1.0)  # past the grace for nonces of the old mask
    chip.answer(SHARE)
    assert counted(chain) == NOTHING | {"below_ticket": 1}


async def test_nonces_of_the_old_mask_still_count_right_after_a_new_one() -> None:
    chip = ChipOnAWire()
    chain = await chain_on(chip)
    await send_until_job_byte(chain, SHARE_WORK, 0x68)
    await chain.set_ticket(1 << 20)
    chip.answer(SHARE)
    assert counted(chain) == NOTHING | {"verified": 1}


async def test_noise_between_nonces_is_a_link_error_and_costs_no_nonce() -> None:
    chip = ChipOnAWire()
    chain = await chain_on(chip)
    await send_until_job_byte(chain, SHARE_WORK, 0x68)
    chip.noise(b"\x13\x37")
    chip.answer(SHARE)
    assert chain.counters.link_errors == 1
    assert counted(chain) == NOTHING | {"verified": 1}


async def test_each_nonce_is_in_exactly_one_count() -> None:
    chip = ChipOnAWire()
    chain = await chain_on(chip)
    await send_until_job_byte(chain, SHARE_WORK, 0x68)
    chip.answer(SHARE, SHARE, SHARE._replace(nonce=bytes(4)), SHARE._replace(result=0xA2))
    assert chain.counters.nonces == sum(counted(chain).values()) == 4


async def test_nonces_from_before_a_reset_are_not_counted_at_all() -> None:
    chip = ChipOnAWire()
    chain = await chain_on(chip)
    await send_until_job_byte(chain, SHARE_WORK, 0x68)
    await chain.reset_line()
    chip.reply_bytes = 9
    chip.answer(SHARE)
    assert chain.counters.nonces == 0
    assert counted(chain) == NOTHING
    assert chain.frequency_mhz is None


async def test_a_job_that_stays_keeps_its_duplicate_filter_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = 1024
    monkeypatch.setattr(records, "SEEN_PER_JOB", limit)
    chip = ChipOnAWire()
    chain = await chain_on(chip, dilution=1 << 32)
    await chain.set_ticket(1)
    await chain.send(Work(1, bytes(76)))
    for first in range(0, 3 * limit, 256):
        chip.answer(*(NonceReply(n.to_bytes(4, "big"), 0, 0x30, 0) for n in range(first, first + 256)))
    (job,) = chain._judge._jobs.values()
    assert len(job.seen) + len(job.before) <= 2 * limit
    assert chain.counters.verified == 3 * limit
    last = 3 * limit - 1
    chip.answer(NonceReply(last.to_bytes(4, "big"), 0, 0x30, 0))
    assert chain.counters.duplicates == 1


async def test_a_diluted_chain_accepts_what_the_dilution_says_and_no_more() -> None:
    chip = ChipOnAWire()
    dilution = 1 << 24
    chain = await chain_on(chip, dilution=dilution)
    await chain.set_ticket(2)
    await asyncio.sleep(1.0)
    finds = kept(chain)
    work = Work(1, bytes(range(4)) + bytes(72))
    work = Work(1, bytes(4) + work.header[4:])
    await chain.send(work)
    values = {}
    for nonce in range(4096):
        header = work.header + nonce.to_bytes(4, "little")
        values[nonce] = int.from_bytes(sha256(sha256(header).digest()).digest(), "little")
    chip.answer(*(NonceReply(n.to_bytes(4, "little"), 0, 0x30, 0) for n in values))
    good = {n for n, value in values.items() if value <= ticket_target(2, dilution)}
    low = {n for n, value in values.items() if ticket_target(2, dilution) < value <= ticket_target(1, dilution)}
    assert {find.nonce for find in finds} == good != set()
    assert chain.counters.below_ticket == len(low) > 0
    assert chain.counters.hw_errors == len(values) - len(good) - len(low)


# --- the last way out ------------------------------------------------------------------------------------------------


async def test_hashing_is_stopped_and_confirmed_through_the_data_port_alone() -> None:
    chip = ChipOnAWire()
    chain = await chain_on(chip)
    await chain.set_frequency_step(56.25)
    await chain.set_window(56.25)
    await chain.fast_link()
    assert await chain.stop_hashing()
    assert chip.registers[0x10] == 0
    assert pll.clock_mhz(chip.registers[0x08]) == 50.0
    assert chain.frequency_mhz == 50.0


async def test_a_chip_that_does_not_stop_is_not_called_stopped() -> None:
    chip = ChipOnAWire()
    chain = await chain_on(chip)
    await chain.set_window(525.0)
    chip.deaf_to = {0x10}
    assert not await chain.stop_hashing()
    assert chain.frequency_mhz is None


async def test_stopping_over_a_port_that_is_gone_is_false_and_no_error() -> None:
    chip = ChipOnAWire()
    lost: list[Unplugged] = []
    chain = await chain_on(chip)
    chain.on_lost = lost.append
    chip.hang_up()
    assert not await chain.stop_hashing()
    assert len(lost) == 1
    assert chain.lost is lost[0]


async def test_a_board_found_hashing_at_the_fast_rate_is_stopped_without_ever_having_been_brought_up() -> None:
    chip = ChipOnAWire()
    chip.reply_bytes, chip.chip_rate = 11, 1_041_667
    chip.registers |= {0x10: 0x000C2FB7, 0x08: 0xC0A80230}
    chain = await chain_on(chip, brought_up=False)
    assert await chain.stop_hashing()
    assert chip.registers[0x10] == 0
