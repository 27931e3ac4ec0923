"""BM1370: what it finds, when, how often, and what it gets wrong."""

import math
from itertools import pairwise

import pytest

from drivers.codecs.bm13xx import NonceReply
from drivers.codecs.header import double_sha256, hash_difficulty, leading_zero_bits, with_nonce
from emulator.hashing import COUNTERS
from emulator.physics import Plant, PlantSettings, domain_yields
from tests.unit.emulator.silicon.chip_host import (
    FULL_WINDOW_525,
    HEADERS,
    PERFECT,
    RATE_525_HS,
    STOCK_WINDOW,
    WINDOW_S,
    ChipHost,
    steady,
    unsolved,
    zero_bits_of,
)

JOB_S = WINDOW_S + 0.001

BATCHES_PER_EPOCH = 8192


def core_of(header: bytes) -> int:
    return header[76] >> 1


def even_over_domains(count: int) -> list[bytes]:
    """Headers drawn evenly from the four domains: their cores are not uniform."""
    by_domain = [[header for header in HEADERS if core_of(header) % 4 == d] for d in range(4)]
    return [by_domain[k % 4][k // 4] for k in range(count)]


def pattern(host: ChipHost, headers: list[bytes]) -> tuple[int, int]:
    """One job a window. Returns the known answers found, and the nonces that do not verify."""
    found = wrong = 0
    for number, header in enumerate(headers):
        host.job(header, number)
        host.run(JOB_S)
        for nonce in host.nonces():
            if nonce.nonce == header[76:] and nonce.version_field == 0:
                assert leading_zero_bits(double_sha256(header)) >= 32
                found += 1
            else:
                assert zero_bits_of(header, nonce) < 32
                wrong += 1
    return found, wrong


def within(count: float, mean: float, sigmas: float = 4.0) -> bool:
    """Whether a Poisson count is near its mean: outside with a probability of 6e-5."""
    return abs(count - mean) <= sigmas * math.sqrt(max(1.0, mean))


# --- solved work


def test_nearly_every_solved_header_is_answered_within_its_window() -> None:
    host = ChipHost()
    host.bring_up()
    found, wrong = pattern(host, HEADERS[:5000])
    assert found >= 0.999 * 5000
    assert wrong == 0
    assert host.chip.truth.answers == host.chip.truth.answers_due == found
    assert host.chip.truth.solved_jobs == 5000


def test_an_answer_carries_job_id_sub_core_version_and_excess() -> None:
    host = ChipHost()
    host.bring_up()
    for number, header in enumerate(HEADERS[:200]):
        host.job(header, number)
        host.run(JOB_S)
        (nonce,) = host.nonces()
        assert nonce.nonce == header[76:]
        assert nonce.version_field == 0
        assert (nonce.result & 0xF0) >> 1 == (number % 16) << 3
        assert nonce.result & 0x0F == 0
        assert nonce.excess == 2 * (leading_zero_bits(double_sha256(header)) - 32)


def test_the_answer_comes_at_the_moment_at_which_its_core_gets_there() -> None:
    host = ChipHost()
    host.bring_up()
    host.write(0x0C, 0x80000000 | 0x4000)  # the counter starts at 0x4000 << 9
    begun_s = host.now_s
    header = HEADERS[3]
    host.job(header)
    host.run(JOB_S)
    ((at_s, _),) = host.take()
    counter = int.from_bytes(header[76:], "big") % COUNTERS
    way = (counter - (0x4000 << 9)) % COUNTERS
    assert at_s - begun_s == pytest.approx(way / 1.05e9 + 110 / 1_041_667, abs=1e-7)


def test_without_a_nonce_offset_the_start_floats_from_job_to_job() -> None:
    host = ChipHost()
    host.bring_up()
    waits = []
    for number in range(60):
        begun_s = host.now_s
        host.job(HEADERS[3], number)
        host.run(JOB_S)
        waits += [at_s - begun_s for at_s, _ in host.take()]
    assert len(waits) >= 59
    assert min(waits) < 0.15 * WINDOW_S
    assert max(waits) > 0.85 * WINDOW_S
    assert max(waits) < WINDOW_S + 0.0002


def test_a_stock_window_covers_one_percent() -> None:
    host = ChipHost()
    host.bring_up(window=STOCK_WINDOW)
    found, _ = pattern(host, HEADERS[:1500])
    assert within(found, 1500 * 2 * STOCK_WINDOW * 21 / COUNTERS)


def test_jobs_that_come_too_fast_lose_their_answers() -> None:
    host = ChipHost()
    host.bring_up()
    found = 0
    for number, header in enumerate(HEADERS[:2000]):
        host.job(header, number)
        host.run(0.004)
        found += sum(nonce.nonce == header[76:] for nonce in host.nonces())
    assert found == pytest.approx(2000 * 0.004 / WINDOW_S, rel=0.2)


def test_only_answers_that_pass_the_ticket_mask_come() -> None:
    host = ChipHost()
    host.bring_up(ticket_bits=2)
    headers = HEADERS[:400]
    good = [header for header in headers if leading_zero_bits(double_sha256(header)) >= 34]
    assert 50 < len(good) < 350
    found, _ = pattern(host, headers)
    assert found == len(good)
    assert host.chip.truth.answers_due == found


def test_an_answer_comes_again_after_an_epoch() -> None:
    host = ChipHost()
    host.bring_up(window=STOCK_WINDOW)
    header = HEADERS[7]
    counter = int.from_bytes(header[76:], "big") % COUNTERS
    host.write(0x0C, 0x80000000 | counter >> 9)
    host.job(header)
    epoch_s = BATCHES_PER_EPOCH * STOCK_WINDOW / 25e6
    host.run(3.5 * epoch_s)
    times = [at_s for at_s, _ in host.take()]
    assert len(times) == 4
    assert [b - a for a, b in pairwise(times)] == pytest.approx([epoch_s] * 3, abs=1e-6)


def test_work_that_nobody_has_solved_is_answered_by_silence_without_dilution() -> None:
    host = ChipHost()
    host.bring_up()
    host.job(unsolved(1))
    host.run(60.0)
    assert host.take() == []
    assert host.chip.truth.trials == 0


# --- what it takes to hash


def test_a_window_of_0_stops_hashing_and_another_starts_it_again() -> None:
    host = ChipHost()
    host.bring_up()
    host.job(HEADERS[0])
    host.write(0x10, 0)
    host.run(1.0)
    assert host.take() == []
    assert host.chip.hash_activity == 0.0
    assert host.chip.frequency_mhz == 525.0
    host.write(0x10, FULL_WINDOW_525)
    host.run(JOB_S)
    assert len(host.nonces()) == 1


@pytest.mark.parametrize("missing", ["rolling", "enables", "core enable", "clock", "job"])
def test_each_condition_of_hashing_is_needed(missing: str) -> None:
    host = ChipHost()
    host.bring_up()
    if missing == "rolling":
        host.write(0xA4, 0x0000FFFF)
    if missing == "enables":
        host.write(0x18, 0x0000C100)
    if missing == "core enable":
        host.write(0x3C, 0x80008255)
    if missing == "clock":
        host.write(0x08, 0x00A80230)
    if missing != "job":
        host.job(HEADERS[0])
    host.run(1.0)
    assert host.take() == []
    assert host.chip.hash_activity == (1.0 if missing == "enables" else 0.0)  # masked cores burn power all the same


def test_it_takes_a_job_before_it_has_an_address() -> None:
    host = ChipHost()
    host.bring_up()
    assert host.chip.address == 0
    host.job(HEADERS[0])
    host.run(JOB_S)
    assert len(host.nonces()) == 1


def test_it_keeps_hashing_its_last_job_when_the_host_is_gone() -> None:
    host = ChipHost()
    host.bring_up()
    host.job(HEADERS[0])
    host.run(3600.0)
    assert host.chip.hash_activity == 1.0
    epochs = 3600.0 / (BATCHES_PER_EPOCH * WINDOW_S)
    assert len(host.nonces()) == pytest.approx(epochs, abs=1.0)


def test_a_core_reset_through_a8_ends_the_job() -> None:
    host = ChipHost()
    host.bring_up()
    host.write(0xA8, 0x000701F0)
    host.job(HEADERS[0])
    assert host.chip.hash_activity == 1.0
    host.write(0xA8, 0x0007000F)
    assert host.chip.hash_activity == 0.0


@pytest.mark.parametrize("group", range(4))
def test_only_enabled_groups_of_cores_answer(group: int) -> None:
    host = ChipHost(dilution=1 << 30)
    host.bring_up()
    host.write(0x18, 1 << 28 + group | 0xC100)
    host.job(unsolved(1))
    host.run(4.0)
    nonces = host.nonces()
    assert within(len(nonces), 4.0 * RATE_525_HS / 4 / 2**32)
    assert {nonce.nonce[0] >> 1 for nonce in nonces} <= set(range(32 * group, 32 * group + 32))


# --- the diluted search


def test_diluted_nonces_come_at_the_true_rate_and_all_verify() -> None:
    host = ChipHost(dilution=1 << 24)
    host.bring_up()
    seconds, count = 6.0, 0
    cores, low_fields = set(), set()
    for number in range(6):
        header = unsolved(number)
        host.job(header, number)
        host.run(seconds / 6)
        for nonce in host.nonces():
            bits = zero_bits_of(header, nonce)
            assert bits >= 8
            assert nonce.version_field is not None
            assert nonce.result & 0xF == nonce.version_field & 0xF
            assert nonce.excess == 2 * (bits - 8)
            assert nonce.version_field < 8 * (seconds / 6 / WINDOW_S + 1)
            cores.add(nonce.nonce[0] >> 1)
            low_fields.add(nonce.version_field & 0xF)
            count += 1
    assert within(count, seconds * RATE_525_HS / 2**32)
    assert cores == set(range(128))
    assert low_fields == set(range(16))


def test_the_ticket_mask_thins_the_diluted_nonces() -> None:
    host = ChipHost(dilution=1 << 30)
    host.bring_up(ticket_bits=4)
    header = unsolved(1)
    host.job(header)
    host.run(40.0)
    nonces = host.nonces()
    assert within(len(nonces), 40.0 * RATE_525_HS / 2**36)
    assert all(zero_bits_of(header, nonce) >= 6 for nonce in nonces)
    host.write(0x14, 0)
    host.run(4.0)
    assert within(len(host.nonces()), 4.0 * RATE_525_HS / 2**32)


def test_a_solved_job_with_dilution_gives_its_answer_and_about_eight_more() -> None:
    host = ChipHost(dilution=1 << 28)
    host.bring_up()
    answers = others = 0
    for number in range(300):
        host.job(HEADERS[number], number)
        host.run(JOB_S)
        for nonce in host.nonces():
            on_the_line_before = nonce.result >> 4 != number % 16  # when the job came
            header = HEADERS[number - on_the_line_before]
            assert zero_bits_of(header, nonce) >= 4
            if nonce.nonce == header[76:] and nonce.version_field == 0:
                answers += 1
            else:
                others += 1
    assert answers >= 298
    assert within(others, 300 * JOB_S * RATE_525_HS / 2**32)


def test_the_same_pairs_of_nonce_and_version_come_again_after_an_epoch() -> None:
    host = ChipHost(dilution=1 << 30)
    host.bring_up(window=STOCK_WINDOW)
    begun_s = host.now_s
    host.job(unsolved(4))
    epoch_s = BATCHES_PER_EPOCH * STOCK_WINDOW / 25e6
    host.run(3 * epoch_s)
    epochs: list[list[tuple[bytes, int | None]]] = [[], [], []]
    for at_s, event in host.take():
        assert isinstance(event, NonceReply)
        epochs[min(2, int((at_s - 0.0002 - begun_s) / epoch_s))].append((event.nonce, event.version_field))
    assert len(epochs[0]) > 500
    assert len(set(epochs[0])) == len(epochs[0])
    assert sorted(map(str, epochs[0])) == sorted(map(str, epochs[1])) == sorted(map(str, epochs[2]))


def test_a_window_too_long_for_the_clock_repeats_nonces_in_the_same_batch() -> None:
    host = ChipHost(dilution=1 << 28)
    host.bring_up(pll=0x50C00230)  # 600 MHz with the window of 525
    host.job(unsolved(4))
    host.run(3.0)
    pairs = [(nonce.nonce, nonce.version_field) for nonce in host.nonces()]
    repeated = len(pairs) - len(set(pairs))
    assert repeated / len(pairs) == pytest.approx(1 - 525 / 600, abs=0.04)
    assert within(len(pairs), 3.0 * RATE_525_HS * 600 / 525 / 2**32, 5.0)


def test_a_change_of_clock_changes_the_rate_at_once() -> None:
    host = ChipHost(dilution=1 << 28)
    host.bring_up()
    host.job(unsolved(4))
    host.run(1.013)
    host.take()
    host.write(0x08, 0x40A00241)  # 200 MHz
    host.run(3.0)
    assert within(len(host.nonces()), 3.0 * RATE_525_HS * 200 / 525 / 2**32)


def test_five_minute_rates_at_difficulty_256_spread_by_5_8_percent() -> None:
    # At K = 2^39 a nonce has but one zero bit to verify: enough for a rate, meaningless as a proof of work.
    host = ChipHost(dilution=1 << 39)
    host.bring_up(ticket_bits=8)
    counts = []
    for window in range(420):
        count = 0
        for part in range(2):  # an epoch of one job is 262 s: after it the same nonces would come again
            host.job(unsolved(2 * window + part))
            host.run(150.0)
            count += len(host.nonces())
        counts.append(count)
    mean = sum(counts) / len(counts)
    spread = (sum((count - mean) ** 2 for count in counts) / (len(counts) - 1)) ** 0.5 / mean
    assert within(sum(counts), 420 * 300 * RATE_525_HS / 2**40)
    assert spread == pytest.approx(0.058, abs=0.004)


# --- errors


def test_on_the_cliff_yield_and_wrong_nonces_agree_with_the_model() -> None:
    yields = domain_yields(1000.0, 525.0, 54.6, PlantSettings())
    host = ChipHost(view=steady(yields, core_v=0.975))
    host.bring_up()
    headers = HEADERS[:3000]
    found, wrong = pattern(host, headers)
    due = [yields[core_of(header) % 4] for header in headers]
    sigma = sum(y * (1 - y) for y in due) ** 0.5
    assert abs(found - 0.99966 * sum(due)) < 4 * sigma
    eps = 1 - sum(yields) / 4
    assert within(wrong, eps * 3000 * JOB_S * RATE_525_HS / 2**32)
    assert wrong == host.chip.truth.corrupted
    assert found + host.chip.truth.answers_lost == host.chip.truth.answers_due


def test_point_p008_yields_0_70_over_headers_drawn_evenly_from_the_domains() -> None:
    host = ChipHost(view=steady(domain_yields(1000.0, 525.0, 54.6, PlantSettings()), core_v=0.975))
    host.bring_up()
    found, _ = pattern(host, even_over_domains(1200))
    assert found / 1200 == pytest.approx(0.70, abs=0.06)


def test_on_a_warming_board_the_yield_follows_the_plant() -> None:
    plant = Plant(PlantSettings(ambient_c=36.0))
    host = ChipHost(view=plant.chip_supply)
    host.chip.on_load = plant.set_load
    plant.set_fan_duty(0.4, 0.0)
    plant.set_rail(1.000, True, 0.0)
    host.now_s = 0.1
    host.bring_up()
    found, due, yields = 0, [], []
    for number, header in enumerate(even_over_domains(3000)):
        host.job(header, number)
        host.run(JOB_S)
        found += sum(nonce.nonce == header[76:] for nonce in host.nonces())
        yields.append(sum(plant.yields(host.now_s)) / 4)
        due.append(plant.yields(host.now_s)[core_of(header) % 4])
    assert plant.die_c > 50.0
    assert yields[-1] > yields[100] + 0.1
    assert abs(found - 0.99966 * sum(due)) < 4 * sum(y * (1 - y) for y in due) ** 0.5


def test_a_rail_that_goes_takes_the_work_with_it() -> None:
    plant = Plant()
    host = ChipHost(view=plant.chip_supply)
    host.chip.on_load = plant.set_load
    plant.rail_watchers.append(host.chip.set_power)
    plant.set_rail(1.150, True, 0.0)
    host.now_s = 0.1
    host.bring_up()
    host.job(HEADERS[0])
    assert plant.chip_w > 5.0
    plant.set_rail(1.150, False, host.now_s)
    plant.set_rail(1.150, True, host.now_s + 0.0001)
    assert host.chip.hash_activity == 0.0
    assert host.chip.frequency_mhz == 50.0
    host.run(JOB_S)
    assert host.take() == []


def test_in_the_search_a_marginal_domain_spoils_its_finds() -> None:
    host = ChipHost(dilution=1 << 27, view=steady((0.5, 1.0, 1.0, 1.0)))
    host.bring_up(ticket_bits=4)
    header = unsolved(9)
    host.job(header)
    host.run(60.0)
    good = wrong = 0
    for nonce in host.nonces():
        if zero_bits_of(header, nonce) >= 9:
            good += 1
        else:
            assert zero_bits_of(header, nonce) < 5
            assert nonce.nonce[0] >> 1 & 3 == 0
            wrong += 1
    nominal = 60.0 * RATE_525_HS / 2**36
    assert within(good, 0.875 * nominal)
    assert within(wrong, 0.125 * nominal)


def test_a_dead_domain_loses_nonces_without_errors() -> None:
    host = ChipHost(view=steady((0.0, 1.0, 1.0, 1.0)))
    host.bring_up()
    host.chip.set_dead_domains({0}, host.now_s)
    found, wrong = pattern(host, even_over_domains(400))
    assert wrong == 0
    assert found == pytest.approx(300, abs=2)
    assert host.chip.yields == (0.0, 1.0, 1.0, 1.0)


def test_errors_are_rarer_behind_a_higher_ticket() -> None:
    host = ChipHost(view=steady((0.5, 0.5, 0.5, 0.5)))
    host.bring_up(ticket_bits=8)
    host.job(unsolved(1))
    host.run(300.0)
    assert within(len(host.nonces()), 0.5 * 300 * RATE_525_HS / 2**40)


# --- counters


def test_hash_counters_grow_by_one_for_2_32_hashes_in_each_domain() -> None:
    host = ChipHost(view=steady((0.5, 1.0, 1.0, 1.0)))
    host.bring_up(ticket_bits=8)
    host.job(unsolved(1))
    before = {number: host.read(number) for number in (0x8C, 0x88, 0x89, 0x8A, 0x8B, 0x4C)}
    host.run(100.0)
    grown = {number: host.read(number) - value for number, value in before.items()}
    each = 100.0 * RATE_525_HS / 4 / 2**32
    assert within(grown[0x88], 0.5 * each)
    assert all(within(grown[number], each) for number in (0x89, 0x8A, 0x8B))
    assert within(grown[0x8C], 3.5 * each)
    assert within(grown[0x4C], 0.5 * each)
    assert host.chip.truth.hashes == pytest.approx(100.0 * RATE_525_HS, rel=0.001)


def test_the_counter_at_90_can_be_cleared() -> None:
    host = ChipHost()
    host.bring_up()
    host.job(unsolved(1))
    host.run(10.0)
    assert host.read(0x90) > 2000
    host.write(0x90, 0)
    assert host.read(0x90) < 20
    assert host.read(0x8C) > 2000


def test_counters_start_again_after_reset() -> None:
    host = ChipHost()
    host.bring_up()
    host.job(unsolved(1))
    host.run(10.0)
    host.line.set_reset(True, host.now_s)
    host.line.set_reset(False, host.now_s + 0.1)
    host.now_s += 0.2
    host.baud = 115_200
    host.codec.use_reply_bytes(9)
    assert host.read(0x8C) == 0


# --- the line under load


def test_a_slow_line_loses_nonces_and_counts_them() -> None:
    host = ChipHost(dilution=1 << 32)
    host.bring_up()
    host.write(0x28, 0x0130FF00)  # 12,207 Bd: 111 frames a second for 249 nonces
    host.baud = 12_207
    host.job(unsolved(1))
    host.run(20.0)
    assert within(len(host.nonces()), 20 * 12_207 / 110, 2.0)
    assert host.chip.truth.overflowed > 1000
    host.write(0x10, 0)
    host.run(3.0)
    assert host.read(0x50) == host.chip.truth.overflowed


# --- chance


def trace(seed: int, step_s: float | None) -> list[tuple[bytes, int | None]]:
    host = ChipHost(dilution=1 << 28, seed=seed, view=steady((0.5, 1.0, 1.0, 0.9)))
    host.bring_up()
    out: list[tuple[bytes, int | None]] = []
    for number in range(12):
        host.job(HEADERS[number] if number % 2 else unsolved(number), number)
        end_s = host.now_s + 0.1
        while step_s is not None and host.now_s < end_s:
            host.run(min(step_s, end_s - host.now_s))
        host.run(end_s - host.now_s)
        out += [(nonce.nonce, nonce.version_field) for nonce in host.nonces()]
    return out


def test_same_seed_same_trace_however_often_it_is_asked() -> None:
    assert trace(5, None) == trace(5, None) == trace(5, 0.0007)
    assert trace(5, None) != trace(6, None)


def test_nonces_have_the_difficulty_of_real_work_when_nothing_is_diluted() -> None:
    host = ChipHost()
    host.bring_up()
    host.job(HEADERS[170])
    host.run(JOB_S)
    (nonce,) = host.nonces()
    assert hash_difficulty(double_sha256(with_nonce(HEADERS[170], nonce.nonce, 0))) >= 1.0
    assert host.chip.yields == PERFECT
