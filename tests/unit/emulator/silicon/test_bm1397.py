"""BM1397: registers, clock and line rate of its own, midstates that are truly hashed, one walk over nonces a job."""

from __future__ import annotations

import math
import random
from collections import Counter
from hashlib import sha256 as whole

import pytest

from drivers.codecs import sha256
from drivers.codecs.bm13xx import ChainInactive, DeviceCodec, MidstateJob, NonceReply, SetAddress, encode
from drivers.codecs.header import double_sha256, leading_zero_bits
from emulator.chips import bm1397
from emulator.hashing import MidstateSearch, SolvedHeaders, top_bits
from emulator.silicon import registers as reg
from emulator.silicon.sweep import Walk
from tests.unit.emulator.silicon.chip_host import HEADERS, PERFECT, ChipHost, steady, ticket_word, unsolved
from tests.vectors import frame, rows

COUNTERS = 1 << 22
MHZ = 425.0
WALK_S = 4 * COUNTERS / 425e6
DUMP = {
    0x00: 0x13971800, 0x04: 0x80000000, 0x08: 0xC0600161, 0x0C: 0, 0x10: 0, 0x14: 0, 0x18: 0x00003A01, 0x1C: 0x01000000,
    0x20: 0x0000FFFF, 0x28: 0x0600000F, 0x2C: 0x000F0000, 0x38: 0, 0x3C: 0x00004000, 0x40: 0, 0x44: 0x00000100,
    0x48: 0xFF000000, 0x4C: 0, 0x50: 0, 0x54: 0, 0x58: 0x02112111, 0x5C: 0x0000FFFF, 0x60: 0x00640111, 0x64: 0x00680111,
    0x68: 0x00700111, 0x6C: 0, 0x70: 0x03040607, 0x74: 0x03040506, 0x78: 0x03040506, 0x7C: 0x03040506, 0x80: 0xD95C8410,
    0x84: 0xFB73EA62, 0x8C: 0, 0x90: 0x00000070, 0x94: 0x00376400, 0x98: 0x30303030, 0x9C: 0x0000FFFF, 0xA0: 0,
}  # fmt: skip


class Host(ChipHost):
    def __init__(self, dilution: int = 1, yields: tuple[float, float, float, float] = PERFECT) -> None:
        super().__init__(dilution, view=steady(yields, core_v=1.4), model=bm1397.MODEL)

    def up(self, ticket_bits: int = 0, clock_delay: int = 0x74) -> None:
        """What a chip needs to hash, and the fast line."""
        self.write(0x20, 1)
        self.write(0x3C, 0x80008000 | clock_delay)
        self.write(0x14, ticket_word(ticket_bits))
        self.write(0x70, 0x0F0F0F00)
        self.write(0x08, 0x40440221)
        self.write(0x18, 0x00006031)
        self.baud = 3_125_000

    def work(self, header: bytes, job_byte: int = 4, count: int = 4, first: int = 0) -> None:
        """Versions `first` to `first + count - 1`, as a driver rolls them."""
        versions = [int.from_bytes(header[:4], "little") | field << 13 for field in range(first, first + count)]
        states = tuple(sha256.midstate(version.to_bytes(4, "little") + header[4:64]) for version in versions)
        self.send(MidstateJob(job_byte, states, header[64:76]))


def zero_bits(header: bytes, nonce: NonceReply) -> int:
    """Of the header that the nonce names by its midstate."""
    version = int.from_bytes(header[:4], "little") | (nonce.result & 3) << 13
    return leading_zero_bits(double_sha256(version.to_bytes(4, "little") + header[4:76] + nonce.nonce))


def reachable(count: int) -> list[bytes]:
    """Headers whose nonce a core of this chip walks over: 168 of 256."""
    return [header for header in HEADERS if header[76] < 168][:count]


def counter_of(header: bytes) -> int:
    return int.from_bytes(header[76:], "big") % COUNTERS


# --- registers and line


def test_registers_hold_after_reset_what_was_read_off_silicon() -> None:
    host = Host()
    assert {number: host.read(number) for number in DUMP} == DUMP


def test_the_answer_to_the_question_for_its_id_is_the_captured_one() -> None:
    host = Host()
    sent: list[bytes] = []
    host.chip.say = lambda data, baud, ready_s: sent.append(data)
    host.send_raw(bytes.fromhex("55AA520500000A"))
    (captured,) = (row for row in rows("bm13xx", "response") if row["name"] == "response.bm1397.chip-id-reply-9-bytes")
    assert sent == [frame(captured)]


def test_it_answers_in_nine_bytes_whatever_is_written_to_a4() -> None:
    host = Host()
    host.write(0xA4, 0x9000FFFF)
    assert host.chip.reply_bytes == 9
    assert host.read(0x00) == 0x13971800
    assert host.read(0xA4) == 0x9000FFFF


@pytest.mark.parametrize(
    ("words", "baud"),
    [
        ([(0x18, 0x00007A31)], 115_741),
        ([(0x18, 0x00006131)], 1_562_500),
        ([(0x18, 0x00006031)], 3_125_000),
        ([(0x68, 0xC0700111), (0x28, 0x0600000F), (0x18, 0x00016731)], 6_250_000),
        ([(0x18, 0x00016731)], 115_741),  # PLL3 is off: nothing that could be slower or faster [inf]
        ([(0x18, 0x0F007A31)], round(25e6 / (8 * (0x1E0 + 0x1A + 1)))),
    ],
)
def test_its_line_rate_is_made_of_18_28_and_68(words: list[tuple[int, int]], baud: int) -> None:
    host = Host()
    for register, value in words:
        host.write(register, value)
    assert host.chip.baud == baud


def test_its_clock_is_divided_by_eight_until_70_says_otherwise_and_its_dividers_are_stored_as_they_are() -> None:
    host = Host()
    host.run(0.001)
    clocks = [host.chip.frequency_mhz]
    for register, value in ((0x70, 0x0F0F0F00), (0x08, 0x403F0272), (0x08, 0x40440221), (0x08, 0x40440201)):
        host.write(register, value)
        clocks.append(host.chip.frequency_mhz)
    assert clocks == [50.0, 400.0, 56.25, 425.0, 0.0]
    assert not host.chip.truth.warnings


@pytest.mark.parametrize("row", [row for row in rows("bm13xx", "pll-captured") if row["chip"] == "BM1397"], ids=str)
def test_captured_pll_words_are_the_clocks_that_their_sources_name(row: dict[str, str]) -> None:
    divider = 7 if "(7+1)" in row["meaning"] else 0
    wanted = {"200-mhz": 200.0, "450-mhz": 450.0}.get("-".join(row["name"].split(".")[-1].split("-")[:2]), 50.0)
    assert reg.pll_mhz(int(row["hex"].replace(" ", ""), 16), divider, less=0) == wanted


def test_a_vco_bit_is_noted_because_it_never_has_one() -> None:
    host = Host()
    host.write(0x08, 0x50C80221)
    assert list(host.chip.truth.warnings) == ["VCO bit wrong for 2500 MHz"]


# --- jobs


def test_every_solved_header_of_a_core_that_it_has_is_answered_within_one_walk() -> None:
    host = Host()
    host.up()
    for number, header in enumerate(reachable(2000)):
        host.work(header, number * 4 % 128)
        host.run(WALK_S + 4e-5)
        nonce = next(nonce for nonce in host.nonces() if nonce.result & 0xFC == number * 4 % 128)
        assert nonce.nonce == header[76:]
        assert nonce.result == number * 4 % 128  # midstate 0: version bits clear, as in the header
        assert nonce.version_field is None
    assert host.chip.truth.answers == host.chip.truth.answers_due <= 2010  # a few have begun their second walk


def test_a_nonce_above_the_last_core_is_never_found() -> None:
    host = Host()
    host.up()
    header = next(header for header in HEADERS if header[76] >= 168)
    host.work(header)
    host.run(5 * WALK_S)
    assert host.nonces() == []


@pytest.mark.parametrize("index", [0, 1, 2, 3])
def test_the_result_names_the_midstate_that_was_right(index: int) -> None:
    host = Host()
    host.up()
    header = reachable(1)[0]
    states = [sha256.midstate(bytes(60) + bytes((number, 0, 0, 0))) for number in range(4)]
    states[index] = sha256.midstate(header[:64])
    host.send(MidstateJob(0x18, tuple(states), header[64:76]))
    host.run(WALK_S)
    (nonce,) = host.nonces()
    assert (nonce.nonce, nonce.result) == (header[76:], 0x18 | index)


@pytest.mark.parametrize(
    ("count", "index"),
    [(count, index) for count in (2, 3, 4) for index in range(count)],
    ids=lambda number: str(number),
)
def test_a_job_of_so_many_midstates_is_walked_in_as_many_quarters_and_each_is_hashed(count: int, index: int) -> None:
    host = Host()
    host.up()
    header = max(reachable(200), key=counter_of)
    begun_s = host.now_s
    host.work(header, count=count, first=0 if index == 0 else 0x100)  # others first, to see that they do not answer
    if index:
        states = [sha256.midstate(bytes(60) + bytes((number, 0, 0, 0))) for number in range(count)]
        states[index] = sha256.midstate(header[:64])
        begun_s = host.now_s
        host.send(MidstateJob(4, tuple(states), header[64:76]))
    host.run(count * WALK_S / 4)
    ((at_s, nonce),) = host.take()
    assert isinstance(nonce, NonceReply)
    assert (nonce.nonce, nonce.result) == (header[76:], 4 | index)
    assert at_s - begun_s == pytest.approx(count * counter_of(header) / 425e6 + 90 / 3_125_000, abs=1e-7)
    assert not host.chip.truth.warnings


def test_of_a_single_midstate_the_result_has_the_sub_core_and_the_walk_is_a_quarter() -> None:
    host = Host()
    host.up()
    seen = set()
    for header in reachable(60):
        host.work(header, count=1)
        host.run(WALK_S / 4 + 4e-5)
        nonce = host.nonces()[0]
        assert nonce.nonce == header[76:]
        assert nonce.result == 4 | header[77] >> 6
        seen.add(nonce.result & 3)
    assert seen == {0, 1, 2, 3}


def test_the_answer_comes_when_the_walk_from_the_chips_address_gets_there() -> None:
    header = reachable(1)[0]
    for address in (0x00, 0x80, 0xC1):
        host = Host()
        host.send(ChainInactive())
        host.send(SetAddress(address))
        host.up()
        begun_s = host.now_s
        host.work(header)
        host.run(WALK_S)
        ((at_s, _),) = host.take()
        walked = (counter_of(header) - (address << 14)) % COUNTERS
        assert at_s - begun_s == pytest.approx(4 * walked / 425e6 + 90 / 3_125_000, abs=1e-7)


def test_a_job_says_one_midstate_with_room_for_four_as_esp_miner_sends_it_without_a_mask() -> None:
    host = Host()
    host.up()
    header = reachable(1)[0]
    states = (sha256.midstate(header[:64]), bytes(32), bytes(32), bytes(32))
    host.send(MidstateJob(4, states, header[64:76], count=1))
    host.run(WALK_S / 4 + 0.0002)
    (nonce,) = host.nonces()
    assert nonce.result == 4 | header[77] >> 6


def test_without_the_bit_for_several_midstates_only_the_first_is_hashed() -> None:
    host = Host()
    host.up(clock_delay=0x70)
    header = reachable(1)[0]
    host.send(MidstateJob(4, (bytes(32), sha256.midstate(header[:64])), header[64:76]))
    host.run(2 * WALK_S)
    assert host.nonces() == []
    assert host.chip.truth.warnings


def test_a_job_with_a_wrong_checksum_is_counted_and_not_answered() -> None:
    host = Host()
    host.up()
    header = reachable(1)[0]
    states = tuple(sha256.midstate(header[:64]) for _ in range(4))
    data = bytearray(encode(MidstateJob(4, states, header[64:76])))
    data[-1] ^= 1
    host.send_raw(bytes(data))
    host.run(2 * WALK_S)
    assert host.nonces() == []
    assert host.read(0x48) == 0xFF010000
    assert host.chip.truth.jobs == 0


def test_a_job_id_between_two_multiples_of_four_is_not_taken() -> None:
    host = Host()
    host.up()
    host.work(reachable(1)[0], job_byte=5)
    host.run(2 * WALK_S)
    assert host.nonces() == []
    assert host.chip.truth.warnings


@pytest.mark.parametrize("missing", ["clock enables", "clock", "job"])
def test_each_condition_of_hashing_is_needed(missing: str) -> None:
    host = Host()
    host.up()
    if missing == "clock enables":
        host.write(0x20, 0)
    if missing == "clock":
        host.write(0x08, 0x00440221)
    if missing != "job":
        host.work(reachable(1)[0])
    host.run(2 * WALK_S)
    assert host.nonces() == []
    assert host.chip.hash_activity == 0.0


def test_clock_enables_stop_it_in_the_middle_of_a_walk_and_let_it_go_on() -> None:
    host = Host()
    host.up()
    header = max(reachable(50), key=counter_of)
    host.work(header)
    host.run(0.5 * WALK_S)
    host.write(0x20, 0)
    host.run(10.0)
    assert (host.nonces(), host.chip.hash_activity) == ([], 0.0)
    host.write(0x20, 1)
    host.run(0.5 * WALK_S + 0.001)
    (nonce,) = host.nonces()
    assert nonce.nonce == header[76:]


def test_with_its_last_job_it_begins_again() -> None:
    host = Host()
    host.up()
    header = reachable(1)[0]
    host.work(header)
    host.run(5.5 * WALK_S)
    assert [nonce.nonce for nonce in host.nonces()] in ([header[76:]] * 5, [header[76:]] * 6)


# --- midstates that are hashed


def test_the_published_midstate_and_nonce_hash_to_what_was_published() -> None:
    (row,) = (row for row in rows("bm13xx", "job") if row["meaning"].startswith("15.3 job"))
    (job,) = DeviceCodec(full_header_jobs=False).feed(frame(row))
    assert isinstance(job, MidstateJob)
    (published,) = rows("bm13xx", "hash")
    search = MidstateSearch(job.midstates, job.tail, random.Random(1), 8, 22)
    assert search.top(2, 0x9B044C0A) == top_bits(frame(published)[::-1])
    assert all(search.top(index, 0x9B044C0A) >> 32 for index in (0, 1, 3))


def test_from_a_midstate_every_hash_is_that_of_the_whole_header() -> None:
    rng = random.Random(1)
    for _ in range(50):
        header = rng.randbytes(80)
        search = MidstateSearch((sha256.midstate(header[:64]),), header[64:76], rng, 8, 22)
        digest = whole(whole(header).digest()).digest()
        assert search.top(0, int.from_bytes(header[76:], "big")) == top_bits(digest)


def test_a_solved_header_is_known_by_any_of_its_midstates_and_only_with_its_own_tail() -> None:
    solved = SolvedHeaders.load()
    header = HEADERS[7]
    states = (bytes(32), sha256.midstate(header[:64]))
    answer = solved.answer_from(states, header[64:76])
    assert answer is not None
    assert (answer.field, answer.nonce.to_bytes(4, "big")) == (1, header[76:])
    assert solved.answer_from(states[:1], header[64:76]) is None
    assert solved.answer_from(states, HEADERS[8][64:76]) is None


def test_diluted_nonces_come_at_the_true_rate_from_every_midstate_core_and_sub_core_and_all_verify() -> None:
    host = Host(dilution=1 << 30)
    host.up(ticket_bits=0)
    seen: list[NonceReply] = []
    jobs = 500
    for number in range(jobs):
        header, job_byte = unsolved(number), number * 4 % 128
        host.work(header, job_byte)
        host.run(0.9 * WALK_S)
        nonces = host.nonces()
        assert all(zero_bits(header, nonce) >= 2 for nonce in nonces if nonce.result & 0xFC == job_byte)
        seen += nonces
    expected = jobs * 0.9 * WALK_S * MHZ * 1e6 * 672 / 2**32
    assert abs(len(seen) - expected) < 4 * math.sqrt(expected)
    truth = host.chip.truth
    assert truth.other_finds == truth.nonces
    cores = {nonce.nonce[0] for nonce in seen}
    assert cores <= set(range(168))
    assert len(cores) > 160
    for counts in (Counter(nonce.result & 3 for nonce in seen), Counter(nonce.nonce[1] >> 6 for nonce in seen)):
        mean = len(seen) / 4
        assert sorted(counts) == [0, 1, 2, 3]
        assert sum((count - mean) ** 2 / mean for count in counts.values()) < 16.3  # p = 0.001, 3 degrees


def test_in_a_chain_each_chip_walks_all_from_its_own_address_so_that_jobs_must_come_sooner() -> None:
    walk = Walk(COUNTERS)
    walk.retime(0.0, 400.0, 1)
    walk.load_midstates(1.0, 0x20 << 14, 4)
    assert walk.window_s == pytest.approx(4 * COUNTERS / 400e6)
    own = walk.next_pass(3, 0x20 << 14, 1.0)
    neighbour = walk.next_pass(3, 0x40 << 14, 1.0)
    assert own == 1.0
    assert neighbour == pytest.approx(1.0 + walk.window_s / 8)


def test_a_change_of_clock_goes_on_where_the_walk_is() -> None:
    walk = Walk(COUNTERS)
    walk.retime(0.0, 400.0, 1)
    walk.load_midstates(0.0, 0, 4)
    walk.retime(0.01, 200.0, 1)
    batch, elapsed_s, walked = walk.position(0.01)
    assert batch == 0
    assert elapsed_s == pytest.approx(0.02)
    assert walked == pytest.approx(1e6)
    due_s = walk.next_pass(0, 2_000_000, 0.01)
    assert due_s == pytest.approx(0.03)
    walk.retime(0.02, 0.0, 1)
    assert walk.next_pass(0, 2_000_000, 0.02) is None
    walk.retime(1.0, 200.0, 1)
    assert walk.next_pass(0, 2_000_000, 1.0) == pytest.approx(1.01)


def test_a_marginal_chip_returns_wrong_nonces_at_the_share_of_its_yield() -> None:
    host = Host(1 << 30, yields=(0.5, 0.5, 0.5, 0.5))
    host.up(ticket_bits=1)
    for number in range(600):
        host.work(unsolved(number), number * 4 % 128)
        host.run(0.9 * WALK_S)
    truth = host.chip.truth
    assert truth.corrupted / truth.nonces == pytest.approx(0.5, abs=0.06)


# --- what it counts


def test_its_hash_rate_is_in_04_in_units_of_2_20_and_there_is_no_counter_at_8c() -> None:
    host = Host()
    host.up()
    assert host.read(0x04) == 0x80000000
    host.work(reachable(1)[0])
    host.run(1.0)
    assert host.read(0x04) * 2**20 == pytest.approx(285.6e9, rel=1e-5)
    assert [host.read(register) for register in (0x88, 0x8C, 0x90)] == [0, 0, 0x70]
