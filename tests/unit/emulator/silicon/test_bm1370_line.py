"""BM1370 on its line: registers, addresses, rates, noise and resets, without any hashing."""

import pytest

from drivers.codecs import bm13xx
from drivers.codecs.bm13xx import ChainInactive, Noise, ReadRegister, RegisterReply, SetAddress, WriteRegister
from emulator.device import Burst
from emulator.physics import ChipSupply
from emulator.silicon import registers
from emulator.silicon.line import ChipLine
from tests.unit.emulator.silicon.chip_host import HEADERS, PLL_525, ChipHost, steady, ticket_word

DUMP = {
    0x00: 0x13700000, 0x04: 0, 0x08: 0xC0540165, 0x0C: 0, 0x10: 0, 0x14: 0, 0x18: 0x0000C100, 0x1C: 0, 0x20: 0x00000007,
    0x24: 0x00100000, 0x28: 0x01301A00, 0x2C: 0x000F0000, 0x30: 0x00000080, 0x38: 0, 0x3C: 0, 0x40: 0x08020100, 0x44: 0,
    0x48: 0, 0x4C: 0, 0x50: 0, 0x54: 0, 0x58: 0x00012111, 0x5C: 0x0000FFFF, 0x60: 0x20500174, 0x64: 0x20500174, 0x68: 0,
    0x6C: 0x00010200, 0x70: 0, 0x80: 0, 0x84: 0, 0x88: 0, 0x89: 0, 0x8A: 0, 0x8B: 0, 0x8C: 0, 0x90: 0, 0x9C: 0x00F70073,
    0xA0: 0, 0xA4: 0x0000FFFF, 0xA8: 0x00070000, 0xB4: 0, 0xB8: 0x20000000, 0xBC: 0x00003313, 0xC0: 0x00002000,
    0xC4: 0x0000B850,
}  # fmt: skip


def exchange(line: ChipLine, hexadecimal: str, at_s: float, baud: int = 115_200) -> str:
    line.receive(Burst(baud, bytes.fromhex(hexadecimal)), at_s)
    return b"".join(burst.data for burst in line.transmit(at_s + 0.01)).hex(" ").upper()


def test_registers_hold_after_reset_what_was_read_off_silicon() -> None:
    host = ChipHost()
    assert {number: host.read(number) for number in DUMP} == DUMP


def test_replies_equal_the_captured_frames() -> None:
    line = ChipHost().line
    assert exchange(line, "55 AA 52 05 00 00 0A", 1.0) == "AA 55 13 70 00 00 00 00 06"
    assert exchange(line, "55 AA 52 05 00 18" + f"{bm13xx.encode(ReadRegister(0x18, None))[-1]:02X}", 2.0) == (
        "AA 55 00 00 C1 00 00 18 02"
    )
    assert exchange(line, "55 AA 51 09 00 A4 90 00 FF FF 1C", 3.0) == ""
    assert exchange(line, "55 AA 52 05 00 00 0A", 4.0) == "AA 55 13 70 00 00 00 00 00 00 10"


def test_an_unknown_register_reads_0_and_keeps_what_is_written() -> None:
    host = ChipHost()
    assert host.read(0xF8) == 0
    host.write(0xF8, 0x12345678)
    assert host.read(0xF8) == 0x12345678
    host.write(0x89, 7)  # read-only
    host.write(0x00, 7)
    assert host.read(0x89) == 0
    assert host.read(0x00) == 0x13700000


def test_eleven_byte_replies_come_with_bit_31_of_a4_and_go_with_it() -> None:
    host = ChipHost()
    assert host.chip.reply_bytes == 9
    host.write(0xA4, 0x8000FFFF)
    assert host.chip.reply_bytes == 11
    host.codec.use_reply_bytes(11)
    assert host.read(0x00) == 0x13700000
    host.write(0xA4, 0x0000FFFF)
    assert host.chip.reply_bytes == 9


def test_a_broadcast_read_is_answered_after_its_time_on_the_line() -> None:
    line = ChipHost().line
    line.receive(Burst(115_200, bytes.fromhex("55AA520500000A")), 1.0)
    out_s = 1.0 + (7 + 9) * 10 / 115_741 + 20e-6
    assert line.wakes_at() == pytest.approx(out_s, abs=1e-6)
    assert line.transmit(out_s - 1e-5) == []
    (burst,) = line.transmit(out_s + 1e-6)
    assert burst.baud == 115_741
    assert line.wakes_at() is None


def test_an_address_is_taken_once_and_given_anew_after_chain_inactive() -> None:
    host = ChipHost()
    host.send(ChainInactive())
    host.send(SetAddress(0x40))
    host.send(SetAddress(0x80))
    assert host.read(0x00, address=0x40) == 0x13700040
    host.send(ReadRegister(0x00, 0x80))
    host.run(0.01)
    assert host.take() == []
    host.send(ChainInactive())
    assert host.chip.address == 0x40
    host.send(SetAddress(0x80))
    assert host.read(0x00) == 0x13700080
    assert not host.chip.truth.warnings


def test_a_unicast_write_reaches_only_its_address() -> None:
    host = ChipHost()
    host.write(0x58, 0x00011111, address=0x02)
    assert host.read(0x58) == 0x00012111
    host.write(0x58, 0x00011111, address=0x00)
    assert host.read(0x58) == 0x00011111


def test_a_broadcast_while_addresses_are_missing_is_noted() -> None:
    host = ChipHost()
    host.send(ChainInactive())
    host.write(0x58, 0x00011111)
    assert sum(host.chip.truth.warnings.values()) == 1
    assert host.chip.truth.warnings["broadcast between chain-inactive and the last address"] == 1


def test_core_registers_are_read_through_the_mailbox() -> None:
    host = ChipHost()

    def core_register(core: int, number: int) -> int:
        host.write(0x3C, 0x80000000 | core << 16 | number << 8 | 0xFF)
        host.run(0.01)
        ((_, reply),) = host.take()
        assert isinstance(reply, RegisterReply)
        assert reply.register == 0x40
        assert host.read(0x40) == reply.value
        return reply.value

    assert core_register(0, 0) == 0x00000152
    assert core_register(5, 2) == 0x00050155
    host.write(0x3C, 0x800082AA)
    assert core_register(127, 2) == 0x007F01AA
    assert core_register(128, 2) == 0x00800000  # no such core
    host.write(0x3C, 0x00008255)  # bit 31 clear: nothing happens
    assert core_register(1, 2) == 0x000101AA


@pytest.mark.parametrize(
    ("word", "mhz"),
    [
        (0xC0540165, 50.0),
        (0x40A20255, 56.25),
        (0x40A80230, 525.0),
        (0x50D20240, 525.0),
        (0x50C00230, 600.0),
        (0x40A20230, 506.25),
    ],
)
def test_the_pll_word_sets_the_clock(word: int, mhz: float) -> None:
    host = ChipHost()
    host.write(0x08, word)
    assert host.chip.frequency_mhz == mhz
    assert host.read(0x08) == word | 1 << 31
    host.write(0x70, 0x00000001)
    assert host.chip.frequency_mhz == mhz / 2
    assert not host.chip.truth.warnings


def test_a_pll_word_that_cannot_lock_stops_the_clock() -> None:
    host = ChipHost()
    for word in (0x00A80230, 0x40A80030, 0x40000230):
        host.write(0x08, word)
        assert host.chip.frequency_mhz == 0.0
        assert host.read(0x08) == word


def test_an_odd_pll_word_is_taken_and_noted() -> None:
    host = ChipHost()
    host.write(0x08, 0x40F00230)  # 3000 MHz without the VCO bit
    assert host.chip.frequency_mhz == 750.0
    assert host.chip.truth.warnings == {"VCO bit wrong for 3000 MHz": 1}


def test_bytes_more_than_5_percent_off_the_rate_are_noise() -> None:
    host = ChipHost()
    question = bm13xx.encode(ReadRegister(0, None))
    for baud in (9_600, 109_900, 121_600, 1_000_000):
        host.baud = baud
        host.send_raw(question)
        assert host.line.wakes_at() is None
    assert host.chip.truth.noise_bytes == 4 * len(question)
    for baud in (110_300, 121_500):
        host.baud = baud
        assert host.read(0x00) == 0x13700000


def test_the_chip_changes_its_rate_at_once() -> None:
    host = ChipHost()
    host.write(0x28, 0x11300200)
    assert host.chip.baud == 1_041_667
    host.send(ReadRegister(0, None))  # still at 115200
    assert host.line.wakes_at() is None
    assert host.chip.truth.noise_bytes == 7
    host.baud = 1_000_000
    assert host.read(0x00) == 0x13700000


def test_what_follows_a_change_of_rate_in_the_same_bytes_is_noise() -> None:
    host = ChipHost()
    host.send_raw(
        bm13xx.encode(WriteRegister(0x28, 0x11300200, None)) + bm13xx.encode(WriteRegister(0x08, PLL_525, None))
    )
    assert host.chip.truth.noise_bytes == 11
    assert host.chip.frequency_mhz == 50.0


def test_a_reply_on_its_way_keeps_the_rate_it_began_with() -> None:
    host = ChipHost()
    host.send_raw(bm13xx.encode(ReadRegister(0, None)) + bm13xx.encode(WriteRegister(0x28, 0x11300200, None)))
    assert [burst.baud for burst in host.line.transmit(1.0)] == [115_741]


def test_frames_at_the_previous_rate_are_accepted_within_the_grace_and_counted() -> None:
    host = ChipHost()
    host.baud = 1_000_000
    data = bm13xx.encode(WriteRegister(0x28, 0x11300200, None)) + bm13xx.encode(ReadRegister(0, None))
    host.send_raw(data, previous_baud=115_200)
    assert host.chip.truth.grace_frames == 1  # the second one was at the right rate
    assert host.chip.baud == 1_041_667
    assert sum(host.chip.truth.warnings.values()) == 1
    assert len(host.line.transmit(1.0)) == 1
    host.baud = 9_600
    host.send_raw(data, previous_baud=19_200)
    assert host.chip.truth.noise_bytes == len(data)


def test_a_bad_checksum_is_not_answered_but_counted() -> None:
    host = ChipHost()
    question = bytearray(bm13xx.encode(ReadRegister(0, None)))
    question[-1] ^= 1
    for _ in range(3):
        host.send_raw(bytes(question))
    assert host.line.wakes_at() is None
    job = bytearray(bm13xx.encode(bm13xx.Job(0x18, HEADERS[0][:76])))
    job[40] ^= 0x10
    host.send_raw(bytes(job))
    assert host.read(0x48) == 0x03010000
    assert host.chip.truth.bad_frames == 4


def test_garbage_between_frames_is_skipped() -> None:
    host = ChipHost()
    host.send_raw(b"\x00\xff\x55" + bm13xx.encode(WriteRegister(0x54, 2, None)) + b"\xaa")
    assert host.read(0x54) == 2
    assert not any(isinstance(event, Noise) for _, event in host.take())


def test_reset_restores_everything_and_holds_the_line_silent() -> None:
    host = ChipHost()
    host.bring_up()
    host.send(SetAddress(0x20))
    host.line.set_reset(True, host.now_s)
    host.send(ReadRegister(0, None))
    assert host.line.wakes_at() is None
    assert host.chip.frequency_mhz == 0.0
    host.line.set_reset(False, host.now_s + 0.1)
    assert host.chip.frequency_mhz == 50.0
    host.now_s += 0.2
    host.baud = 115_200
    host.codec.use_reply_bytes(9)
    assert {number: host.read(number) for number in DUMP} == DUMP


def test_losing_power_restores_everything() -> None:
    volts = [1.125]
    host = ChipHost(view=lambda at_s: ChipSupply(volts[0], 60.0, (1.0, 1.0, 1.0, 1.0), False))
    host.bring_up()
    volts[0] = 0.0
    host.send(ReadRegister(0, None))
    assert host.line.wakes_at() is None
    assert host.chip.frequency_mhz == 0.0
    volts[0] = 1.125
    host.baud = 115_200
    host.codec.use_reply_bytes(9)
    assert host.read(0x08) == 0xC0540165


def test_a_loss_of_power_between_two_looks_is_told_by_the_board() -> None:
    host = ChipHost()
    host.bring_up()
    host.chip.set_power(0.0, host.now_s)
    host.chip.set_power(1.125, host.now_s + 0.001)
    assert host.chip.frequency_mhz == 50.0
    assert host.chip.baud == 115_741


def test_below_three_quarters_of_the_nominal_voltage_the_pll_unlocks_until_reset() -> None:
    volts = [1.125]
    host = ChipHost(view=lambda at_s: ChipSupply(volts[0], 60.0, (1.0, 1.0, 1.0, 1.0), False))
    host.bring_up()
    volts[0] = 0.85
    assert host.read(0x08) == PLL_525
    assert host.chip.frequency_mhz == 0.0
    volts[0] = 1.125
    assert host.read(0x08) == PLL_525  # still unlocked
    host.line.set_reset(True, host.now_s)
    host.line.set_reset(False, host.now_s + 0.1)
    assert host.chip.frequency_mhz == 50.0


def test_a_rail_that_is_still_rising_is_no_loss_of_lock() -> None:
    volts = [0.0]
    host = ChipHost(view=lambda at_s: ChipSupply(volts[0], 25.0, (1.0, 1.0, 1.0, 1.0), False))
    for volts[0] in (0.2, 0.5, 0.8, 1.0, 1.125):
        host.line.transmit(volts[0])
    assert host.chip.frequency_mhz == 50.0


def test_a_burnt_chip_is_silent_for_ever() -> None:
    host = ChipHost(view=lambda at_s: ChipSupply(1.125, 60.0, (1.0, 1.0, 1.0, 1.0), True))
    host.send(ReadRegister(0, None))
    assert host.line.wakes_at() is None


def test_the_plant_is_told_of_clock_and_activity() -> None:
    host = ChipHost(view=steady())
    told: list[tuple[float, float]] = []
    host.chip.on_load = lambda mhz, activity, at_s: told.append((mhz, activity))
    host.bring_up()
    host.job(HEADERS[0])
    host.write(0x10, 0)
    host.line.set_reset(True, host.now_s)
    assert told == [(50.0, 0.0), (525.0, 0.0), (525.0, 1.0), (525.0, 0.0), (0.0, 0.0)]


@pytest.mark.parametrize(
    ("difficulty_bits", "word"), [(0, 0), (1, 0x80), (8, 0xFF), (9, 0x80FF), (13, 0xF8FF), (16, 0xFFFF)]
)
def test_a_ticket_word_asks_for_that_many_more_zero_bits(difficulty_bits: int, word: int) -> None:
    assert ticket_word(difficulty_bits) == word
    assert registers.zero_bits_asked(word) == (1 << 64) - (1 << 32 - difficulty_bits)


def test_nonce_enable_bits_stand_for_32_cores_each() -> None:
    four = (28, 29, 30, 31)
    assert registers.cores_that_answer(0xF000C100, 128, four) == (1 << 128) - 1
    assert registers.cores_that_answer(0x2000C100, 128, four) == 0xFFFF_FFFF << 32
    assert registers.cores_that_answer(0x0000C100, 128, four) == 0
    assert registers.cores_that_answer(0xB000C100, 65, (28, 29, 31)) == (1 << 65) - 1
