"""The bridge firmware at its control port: what it answers, what it forgets, and what it dies of."""

from __future__ import annotations

import pytest

from emulator.device import Burst
from tests.unit.emulator.bridge_rig import Rig


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.mark.parametrize(
    ("request_hex", "answer"),
    [
        ("0A 00 01 00 05 10 80 1A 06 00", "04 00 01 80 1A 06 00"),
        ("08 00 01 00 05 20 4C DE", "01 00 01 01"),
        ("0A 00 09 00 05 20 4C 21 4C 02", "01 00 09 03"),
        ("08 00 01 00 05 30 4C 02", "02 00 01 00 01"),
        ("09 00 01 00 05 40 4C FE 02", "02 00 01 FE FF"),
        ("07 00 00 00 06 00 01", "01 00 00 01"),
        ("06 00 00 00 06 00", "01 00 00 00"),
        ("06 00 00 00 07 50", "02 00 00 34 02"),
    ],
)
def test_a_request_is_answered_in_dialect_a(rig: Rig, request_hex: str, answer: str) -> None:
    assert rig.ask(request_hex) == answer


@pytest.mark.parametrize(
    ("request_hex", "answer"),
    [
        ("08 00 42 00 05 20 4F DE", "13 00 42 FF" + b"I2C Write Error".hex(" ")),
        ("08 00 42 00 05 30 4F 01", "12 00 42 FF" + b"I2C Read Error".hex(" ")),
        ("08 00 42 00 05 30 4C 00", "12 00 42 FF" + b"I2C Read Error".hex(" ")),
        ("09 00 42 00 05 40 4F FE 02", "17 00 42 FF" + b"I2C WriteRead Error".hex(" ")),
        ("0A 00 42 00 05 10 01 00 00 00", "1B 00 42 FF" + b"I2C Set Frequency Error".hex(" ")),
    ],
)
def test_an_error_in_carrying_out_echoes_the_id_and_says_which(rig: Rig, request_hex: str, answer: str) -> None:
    assert bytes.fromhex(rig.ask(request_hex)) == bytes.fromhex(answer)


@pytest.mark.parametrize(
    "request_hex",
    [
        "06 00 07 00 06 7F",  # no such pin
        "06 00 07 00 07 51",  # in the README, not in the code
        "06 00 07 00 0B 00",  # no such page
        "06 00 07 00 05 99",  # no such command
        "09 00 07 00 05 10 80 1A 06",  # a rate of three bytes
        "08 00 07 00 06 00 01 01",  # a level of two bytes
        "05 00 07 00 05",  # no command byte
    ],
)
def test_what_cannot_be_parsed_is_refused_under_id_ff(rig: Rig, request_hex: str) -> None:
    assert rig.ask(request_hex) == "04 00 FF 11"


def test_a_write_of_more_than_256_bytes_is_refused_as_too_long(rig: Rig) -> None:
    for count, answer in ((256, "01 00 07 00"), (257, "04 00 FF 12")):
        frame = (7 + count).to_bytes(2, "little") + bytes((7, 0, 5, 0x20, 0x4C)) + bytes(count)
        assert rig.ask(frame.hex(), 1.0 + count) == answer
    frame = (8 + 257).to_bytes(2, "little") + bytes((7, 0, 5, 0x40, 0x4C)) + bytes(257) + b"\x01"
    assert rig.ask(frame.hex(), 300.0) == "04 00 FF 12"


def test_a_write_of_nothing_before_a_read_is_a_read(rig: Rig) -> None:
    assert rig.ask("08 00 01 00 05 40 4C 02") == "02 00 01 00 01"


def test_an_answer_takes_the_time_of_its_bits_on_the_bus(rig: Rig) -> None:
    rig.send("09 00 01 00 05 40 4C FE 02", 1.0)
    due = rig.firmware.control.wakes_at()
    assert due == pytest.approx(1.0 + 0.0003 + 5 * 9 / 100_000)  # address, FE, address again, two bytes
    assert due is not None
    assert rig.answers(1.0007) == ""
    assert rig.answers(due) == "02 00 01 FE FF"
    rig.ask("0A 00 01 00 05 10 80 1A 06 00", 2.0)
    rig.send("09 00 01 00 05 40 4C FE 02", 3.0)
    assert rig.firmware.control.wakes_at() == pytest.approx(3.0 + 0.0003 + 5 * 9 / 400_000)


def test_half_a_frame_is_forgotten_after_4_ms(rig: Rig) -> None:
    rig.send("06 00 00 00", 1.000)
    rig.send("06 00", 1.0035)
    assert rig.answers(1.1) == "01 00 00 00"
    rig.send("06 00 00 00", 2.000)
    rig.send("06 00", 2.0045)  # a new half frame now, and too short to be looked at
    assert rig.answers(2.1) == ""
    assert rig.ask("06 00 00 00 06 00", 3.0) == "01 00 00 00"


def test_only_one_frame_of_a_packet_is_looked_at(rig: Rig) -> None:
    two = "06 00 01 00 06 00 06 00 02 00 06 00"
    rig.send(two, 1.0)
    assert rig.answers(1.1) == "01 00 01 00"
    rig.send(two, 2.0)
    rig.send("06 00 03 00 06 00", 2.002)  # within 4 ms the rest is looked at again, and the newcomer waits
    assert rig.answers(2.1) == "01 00 01 00 01 00 02 00"


def test_a_frame_longer_than_a_packet_is_put_together(rig: Rig) -> None:
    frame = (7 + 100).to_bytes(2, "little") + bytes((7, 0, 5, 0x20, 0x4C)) + bytes(range(100))
    assert rig.ask(frame.hex()) == "01 00 07 64"
    assert rig.part.written[0][1] == bytes(range(100))


@pytest.mark.parametrize("length", range(5))
def test_a_length_below_5_halts_the_firmware_with_its_outputs_frozen(rig: Rig, length: int) -> None:
    rig.ask("07 00 00 00 06 00 01")
    rig.send(f"{length:02X} 00 00 00 00", 2.0)
    assert rig.ask("06 00 00 00 06 00", 3.0) == ""
    assert rig.firmware.control.wakes_at() is None
    assert [(pin, high) for pin, high, _ in rig.driven] == [("RST_N", True)]
    rig.firmware.data.receive(Burst(115200, b"x"), 4.0)
    assert rig.chip.heard == []


def test_a_length_that_no_buffer_holds_never_completes_and_overruns_it(rig: Rig) -> None:
    rig.send("FF FF 00 00 05 20", 1.0)
    for step in range(60):
        rig.send("00" * 64, 1.001 + step * 0.001)
    assert not rig.faults.panicked
    for step in range(5):
        rig.send("00" * 64, 1.061 + step * 0.001)
    assert rig.faults.panicked


def test_a_write_of_nothing_wedges_the_control_port_for_good(rig: Rig) -> None:
    assert rig.ask("07 00 07 00 05 20 4C") == ""
    assert rig.ask("06 00 00 00 06 00", 2.0) == ""
    rig.firmware.data.receive(Burst(115200, b"x"), 3.0)
    assert len(rig.chip.heard) == 1, "the data port lives on"


def test_an_answer_above_64_bytes_is_lost_and_one_of_64_waits_for_the_next(rig: Rig) -> None:
    assert len(bytes.fromhex(rig.ask("08 00 01 00 05 30 4C 3C"))) == 63
    assert rig.ask("08 00 02 00 05 30 4C 3E", 2.0) == ""
    assert rig.ask("08 00 03 00 05 30 4C 3D", 3.0) == ""
    both = bytes.fromhex(rig.ask("06 00 04 00 06 00", 4.0))
    assert len(both) == 64 + 4
    assert both[:3] == bytes((61, 0, 3))


def test_requests_are_carried_out_in_order_and_eight_may_wait(rig: Rig) -> None:
    for ident in range(12):
        rig.send(f"08 00 {ident:02X} 00 05 20 4C {ident:02X}", 1.0 + ident * 1e-5)
    assert rig.answers(2.0).split(" ")[2::4] == [f"{ident:02X}" for ident in range(12)]
    assert [data[0] for _, data in rig.part.written] == list(range(12))


def test_a_lost_reply_was_still_carried_out(rig: Rig) -> None:
    rig.faults.lose_replies(1)
    assert rig.ask("08 00 01 00 05 20 4C DE") == ""
    assert rig.part.written[0][1] == b"\xde"
    assert rig.ask("06 00 02 00 06 00", 2.0) == "01 00 02 00"


def test_a_part_can_fall_silent_freeze_babble_and_go_deaf(rig: Rig) -> None:
    question = "09 00 01 00 05 40 4C 10 02"
    rig.faults.nak("memory")
    assert bytes.fromhex(rig.ask(question))[3] == 0xFF
    rig.faults.heal("memory")
    assert rig.ask(question, 2.0) == "02 00 01 10 11"
    rig.faults.stick(0x4C, 0x10, "7F E0")
    assert rig.ask(question, 3.0) == "02 00 01 7F E0"
    rig.faults.heal()
    rig.faults.garbage(0x4C)
    assert rig.ask(question, 4.0) != rig.ask(question, 5.0)
    rig.faults.heal()
    rig.faults.deafen("memory")
    assert rig.ask("08 00 01 00 05 20 4C DE", 6.0) == "01 00 01 01"
    assert rig.part.written == []


def test_the_data_port_is_a_pipe_at_the_rate_of_the_host(rig: Rig) -> None:
    data = rig.firmware.data
    assert data.baud == 9600, "what Linux sets before anybody opens the port"
    data.line_rate_changed(1_000_000, 1.0)
    data.receive(Burst(1_000_000, b"\x55\xaa"), 1.0, 115200)
    assert rig.chip.heard == [(Burst(1_000_000, b"\x55\xaa"), 115200)]
    rig.chip.says.append(Burst(1_041_667, b"\xaa\x55"))
    assert data.transmit(1.1) == [Burst(1_041_667, b"\xaa\x55")]


def test_actions_of_the_plant_socket_name_what_is_wrong(rig: Rig) -> None:
    with pytest.raises(ValueError, match="do: 'burn' is not allowed; allowed: ambient_c, "):
        rig.faults.do("burn")
    with pytest.raises(ValueError, match="nak, part: 'tmp451' is not allowed; allowed: memory"):
        rig.faults.do("nak", {"part": "tmp451"})
    with pytest.raises(ValueError, match="stall_fan, speed: 3 is not allowed; allowed: its arguments: off"):
        rig.faults.do("stall_fan", {"speed": 3})
    with pytest.raises(ValueError, match="port: 'control' is not allowed; allowed: ports that carry the bench: none"):
        rig.faults.do("unplug_control")
