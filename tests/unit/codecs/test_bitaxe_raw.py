"""bitaxe-raw, dialect A: every published frame, and the lengths that a success and an error share."""

from __future__ import annotations

from typing import Any

import pytest

from drivers.codecs.bitaxe_raw import (
    COLLIDING_LENGTHS,
    ERROR_TEXTS,
    MAX_READ_BYTES,
    DeviceCodec,
    ErrorCode,
    HostCodec,
    HostEvent,
    MalformedRequest,
    Page,
    Refusal,
    Reply,
    Request,
    Stray,
    adc_read,
    fan_set,
    fan_tach,
    gpio_get,
    gpio_set,
    i2c_frequency,
    i2c_read,
    i2c_write,
    i2c_write_read,
    led_set,
    reboot,
    safe_read_length,
    safe_read_lengths,
)
from drivers.codecs.dialects import DIALECTS, device_codec, host_codec
from drivers.errors import UsageError
from tests.vectors import frame, params, rows

Row = dict[str, Any]

TESTED_ELSEWHERE = {"B": "test_dialect_b.py", "C": "test_dialect_c.py"}

NO_REPLY_BYTES = {"system.reboot", "system.bootloader"}  # the bridge restarts instead of answering

BUILT: dict[str, Request] = {
    "i2c.setfreq.400k": i2c_frequency(400_000),
    "i2c.setfreq.100k": i2c_frequency(100_000),
    "i2c.write.4f": i2c_write(0x4F, b"\xde"),
    "i2c.read.4c": i2c_read(0x4C, 1),
    "i2c.wr.32": i2c_write_read(0x32, b"\xfe", 2),
    "i2c.tps546.status_word": i2c_write_read(0x24, b"\x79", 2),
    "i2c.tps546.clear_faults": i2c_write(0x24, b"\x03"),
    "i2c.tps546.vout1v15": i2c_write(0x24, b"\x21\x4c\x02"),
    "i2c.tps546.on": i2c_write(0x24, b"\x01\x80"),
    "i2c.emc2101.fan100": i2c_write(0x4C, b"\x4c\x3f"),
    "gpio.reset.high": gpio_set(0, True),
    "gpio.reset.low": gpio_set(0, False),
    "gpio.reset.get": gpio_get(0),
    "gpio.pwr_en.high": gpio_set(1, True),
    "gpio.pwr_en.get": gpio_get(1),
    "gpio.io_pwr_en.high": gpio_set(2, True),
    "gpio.pgood.get": gpio_get(3),
    "adc.vdd": adc_read(0x50),
    "adc.vin": adc_read(0x51),
    "led.magenta": led_set(0xFF, 0x00, 0xFF),
    "system.reboot": reboot(),
    "system.bootloader": reboot(into_loader=True),
    "b.info": Request(Page.BRIDGE, 0x01, b"", 9),
    "b.rxstats": Request(Page.BRIDGE, 0x02, b"", 9),
    "b.status": Request(Page.BRIDGE, 0x10, b"", 17),
    "b.arm": Request(Page.BRIDGE, 0x11, b"", 17),
    "b.heartbeat": Request(Page.BRIDGE, 0x12, b"", 17),
    "b.clear fault": Request(Page.BRIDGE, 0x13, b"", 17),
    "b.disarm": Request(Page.BRIDGE, 0x14, b"", 17),
    "b.5v_on": gpio_set(1, True),
    "b.fan50": fan_set(50),
    "b.tach": fan_tach(),
}
REQUESTS = rows("bridge", "request")
HAZARDS = {"hazard.zero_write", "short.len5"}  # requests that must never leave us; tests of their own below
REPLIES = [row for row in rows("bridge", "reply") if row["dialect"] == "A"]
ERRORS = [row for row in rows("bridge", "error") if row["dialect"] == "A"]


def asked(request: Request, id: int) -> HostCodec:
    codec = HostCodec()
    codec.expect(request, id)
    return codec


# --- published frames ------------------------------------------------------------------------------------------------


def test_every_request_of_the_vectors_is_built_or_refused_here() -> None:
    assert {row["case"] for row in REQUESTS} == BUILT.keys() | HAZARDS


def test_every_dialect_of_the_vectors_is_tested_here_or_beside() -> None:
    dialects = {row["dialect"] for row in rows("bridge") if "dialect" in row}
    assert dialects == {"A"} | TESTED_ELSEWHERE.keys() == set(DIALECTS)
    untested = [row for row in rows("bridge", "reply", "error") if row["dialect"] != "A"]
    assert len(untested) + len(REPLIES) + len(ERRORS) == len(rows("bridge", "reply", "error"))


@pytest.mark.parametrize("dialect", [*TESTED_ELSEWHERE, "a", ""])
def test_a_dialect_that_this_codec_does_not_speak_is_refused(dialect: str) -> None:
    for codec in (HostCodec, DeviceCodec):
        with pytest.raises(UsageError, match="dialect"):
            codec(dialect)


@pytest.mark.parametrize("dialect", ["D", "a", ""])
def test_a_dialect_that_no_codec_speaks_is_refused(dialect: str) -> None:
    for codec in (host_codec, device_codec):
        with pytest.raises(UsageError, match="allowed: A, B, C"):
            codec(dialect)


@pytest.mark.parametrize("row", params([row for row in REQUESTS if row["case"] not in HAZARDS]))
def test_a_published_request_is_built_byte_for_byte(row: Row) -> None:
    request, data = BUILT[row["case"]], frame(row)
    assert HostCodec().encode(request, data[2]) == data
    assert DeviceCodec().parse_request(data) == (data[2], request.page, request.command, request.data)


@pytest.mark.parametrize("row", params([row for row in REPLIES if row["case"] != "ambiguity.n4"]))
def test_a_published_reply_answers_its_request(row: Row) -> None:
    data = frame(row)
    request = BUILT[row["case"]]
    codec = asked(request, data[2])
    assert codec.feed(data) == [Reply(data[2], data[3:])]
    assert (codec.pending, codec.pending_quiet) == (0, False)
    assert DeviceCodec().encode_reply(data[2], data[3:]) == data


@pytest.mark.parametrize("row", params(ERRORS))
def test_a_published_error_refuses_the_request(row: Row) -> None:
    data = frame(row)
    text = data[4:].decode()
    id = 0x42 if data[2] == 0xFF else data[2]
    codec = asked(i2c_write(0x24, b"\x00"), id)
    assert codec.feed(data) == [Refusal(data[2], data[3], text)]
    assert not codec.pending_quiet
    assert DeviceCodec().encode_error(data[2], data[3], text) == data


@pytest.mark.parametrize("row", params(rows("bridge", "hazard") + [row for row in REQUESTS if row["case"] in HAZARDS]))
def test_a_frame_that_halts_or_wedges_the_bridge_cannot_be_made(row: Row) -> None:
    data = frame(row)
    if row["case"] == "hazard.zero_write":
        with pytest.raises(UsageError, match="wedges"):
            Request(data[4], data[5], data[6:], 1)
        assert DeviceCodec().parse_request(data) == (1, Page.I2C, 0x20, b"\x4f")
    else:  # shorter than any request: no builder can, and the firmware side knows it for what it is
        assert int.from_bytes(data[:2], "little") < len(HostCodec().encode(gpio_get(0), 0))
        with pytest.raises(MalformedRequest):
            DeviceCodec().parse_request(data)


@pytest.mark.parametrize("row", params(rows("bridge", "stream")))
def test_two_requests_in_one_packet_are_two_frames(row: Row) -> None:
    data = frame(row)
    first = int.from_bytes(data[:2], "little")
    firmware = DeviceCodec()
    assert firmware.parse_request(data[:first]) == (1, Page.GPIO, 0, b"")
    assert firmware.parse_request(data[first:]) == (2, Page.GPIO, 0, b"")
    with pytest.raises(MalformedRequest):
        firmware.parse_request(data)


# --- lengths that a success and an error share -----------------------------------------------------------------------

FOUR = Request(Page.I2C, 0x30, b"\x24\x04", 4)
AMBIGUOUS = frame(next(row for row in rows("bridge", "reply") if row["case"] == "ambiguity.n4"))


def test_the_colliding_lengths_are_those_of_the_errors() -> None:
    firmware = DeviceCodec()
    errors = [firmware.encode_error(1, ErrorCode.TEXT, text) for text in ERROR_TEXTS]
    errors.append(firmware.encode_error(0xFF, ErrorCode.INVALID))
    assert {error[0] for error in errors} == COLLIDING_LENGTHS == {4, 18, 19, 23, 27}


def test_three_more_bytes_turn_a_candidate_error_into_a_success() -> None:
    assert asked(FOUR, 0x42).feed(AMBIGUOUS) == [Reply(0x42, b"\x11\x22\x33\x44")]
    codec = asked(FOUR, 0x42)
    assert codec.feed(AMBIGUOUS[:4]) == []
    assert codec.pending_quiet
    assert codec.feed(AMBIGUOUS[4:6]) == []
    assert codec.feed(AMBIGUOUS[6:]) == [Reply(0x42, b"\x11\x22\x33\x44")]
    assert not codec.pending_quiet


def test_silence_turns_a_candidate_error_into_a_refusal() -> None:
    codec = asked(FOUR, 0x42)
    codec.feed(AMBIGUOUS[:4])
    assert codec.quiet() == [Refusal(0x42, 0x11, "")]
    assert (codec.pending, codec.pending_quiet) == (0, False)


def test_an_error_without_our_id_needs_no_silence() -> None:
    codec = asked(FOUR, 0x42)
    assert codec.feed(bytes.fromhex("04 00 FF 11")) == [Refusal(0xFF, 0x11, "")]


def test_a_success_that_does_not_look_like_an_error_needs_no_silence() -> None:
    codec = asked(FOUR, 0x42)
    assert codec.feed(bytes.fromhex("04 00 42 00")) == []
    assert not codec.pending_quiet
    assert codec.feed(bytes.fromhex("00 00 00")) == [Reply(0x42, bytes(4))]


@pytest.mark.parametrize("text", ERROR_TEXTS)
def test_a_text_error_collides_with_a_payload_of_its_length(text: str) -> None:
    error = DeviceCodec().encode_error(7, ErrorCode.TEXT, text)
    request = Request(Page.I2C, 0x30, bytes((0x24, len(error))), len(error))
    codec = asked(request, 7)
    assert codec.feed(error) == []
    assert codec.pending_quiet
    assert codec.quiet() == [Refusal(7, 0xFF, text)]
    codec.expect(request, 7)
    assert codec.feed(error + b"\x01\x02\x03") == [Reply(7, error[3:] + b"\x01\x02\x03")]
    codec.expect(request, 7)
    payload = bytes(len(error))
    assert codec.feed(DeviceCodec().encode_reply(7, payload)) == [Reply(7, payload)]


def test_the_echo_of_a_frequency_is_tested_to_the_letter() -> None:
    request = i2c_frequency(0x06_1A11)  # its low byte is an error code
    echo = bytes.fromhex("04 00 05 11 1A 06 00")
    codec = asked(request, 5)
    assert codec.feed(echo[:4]) == []
    assert codec.pending_quiet
    assert codec.feed(echo[4:]) == [Reply(5, request.data)]

    codec = asked(request, 5)
    assert codec.feed(bytes.fromhex("04 00 FF 11")) == [Refusal(0xFF, 0x11, "")]  # an echo would carry our id

    codec = asked(i2c_frequency(400_000), 5)
    assert codec.feed(bytes.fromhex("04 00 05 11")) == [Refusal(5, 0x11, "")]  # 400,000 Hz does not begin with 0x11

    codec = asked(i2c_frequency(400_000), 5)
    (stray,) = codec.feed(bytes.fromhex("04 00 05 80 1A 06 01"))
    assert isinstance(stray, Stray)


def test_bytes_short_of_a_success_behind_a_candidate_are_stray_after_silence() -> None:
    codec = asked(FOUR, 0x42)
    codec.feed(AMBIGUOUS[:5])
    assert codec.quiet() == [Refusal(0x42, 0x11, ""), Stray(b"\x22", "half a reply")]


# --- what does not belong --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        "05 00 07 01",
        "02 00 07 01",
        "00 10 07",
        "01 00 08 01",
        "01 00 FF 01",
        "04 00 08 11",
        "04 00 07 13",
        "04 00 07 FF",
    ],
)
def test_an_answer_that_cannot_be_ours_is_discarded_until_quiet(data: str) -> None:
    codec = asked(gpio_get(0), 7)
    wrong = bytes.fromhex(data)
    (stray,) = codec.feed(wrong)
    assert isinstance(stray, Stray)
    assert stray.data == wrong
    assert codec.pending_quiet
    assert codec.feed(b"\x01\x00\x07\x01") == [Stray(b"\x01\x00\x07\x01", stray.why)]
    assert (codec.quiet(), codec.pending_quiet) == ([], False)
    assert codec.feed(b"\x01\x00\x07\x01") == [Reply(7, b"\x01")]


def test_a_text_that_the_firmware_does_not_send_is_no_error() -> None:
    (stray,) = asked(gpio_get(0), 7).feed(DeviceCodec().encode_error(7, 0xFF, "I2C Wrote Error"))
    assert isinstance(stray, Stray)


def test_bytes_that_nobody_asked_for_are_stray() -> None:
    codec = HostCodec()
    assert codec.feed(b"\x01\x00") == [Stray(b"\x01\x00", "no request is outstanding")]
    codec.expect(gpio_get(0), 7)
    assert codec.feed(b"\x01\x00\x07\x01\x99") == [Reply(7, b"\x01"), Stray(b"\x99", "no request is outstanding")]


def test_half_a_reply_is_given_up_after_silence() -> None:
    codec = asked(adc_read(0x50), 7)
    assert codec.feed(b"\x02\x00\x07\x34") == []
    assert codec.quiet() == [Stray(b"\x02\x00\x07\x34", "half a reply")]
    assert codec.feed(b"\x02\x00\x07\x34\x02") == [Reply(7, b"\x34\x02")]


def test_a_new_request_starts_with_nothing_kept() -> None:
    codec = asked(gpio_get(0), 7)
    codec.feed(b"\x05\x05\x05\x05")
    codec.expect(gpio_get(0), 8)
    assert codec.feed(b"\x01\x00\x08\x00") == [Reply(8, b"\x00")]
    codec.expect(gpio_get(0), 9)
    codec.feed(b"\x01\x00")
    codec.expect(gpio_get(0), 10)
    assert codec.feed(b"\x01\x00\x0a\x00") == [Reply(10, b"\x00")]


def test_an_answer_in_pieces_is_the_answer() -> None:
    for request, data in (
        (gpio_get(0), bytes.fromhex("01 00 07 01")),
        (i2c_write_read(0x24, b"\xad", 7), bytes.fromhex("07 00 07 06 54 49 54 6D 24 41")),
        (gpio_get(0), DeviceCodec().encode_error(7, 0xFF, "I2C Read Error")),
        (i2c_frequency(400_000), bytes.fromhex("04 00 07 80 1A 06 00")),
    ):
        whole = asked(request, 7).feed(data)
        codec = asked(request, 7)
        pieces: list[HostEvent] = [event for byte in data for event in codec.feed(bytes((byte,)))]
        assert pieces == whole
        assert len(whole) == 1


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", [-1, 0x00, 0x07, 0x78, 0x7F, 0x80, 0x124])
def test_a_reserved_address_is_refused(address: int) -> None:
    with pytest.raises(UsageError, match="address"):
        i2c_write(address, b"\x00")
    with pytest.raises(UsageError, match="address"):
        i2c_read(address, 1)
    with pytest.raises(UsageError, match="address"):
        i2c_write_read(address, b"\x00", 1)


@pytest.mark.parametrize("address", [0x08, 0x77])
def test_the_first_and_last_address_are_allowed(address: int) -> None:
    assert i2c_read(address, 1).data == bytes((address, 1))


@pytest.mark.parametrize("count", [0, -1, 61, 256, *sorted(COLLIDING_LENGTHS)])
def test_a_read_that_would_be_lost_or_ambiguous_is_refused(count: int) -> None:
    with pytest.raises(UsageError, match="i2c read"):
        i2c_read(0x24, count)
    with pytest.raises(UsageError, match="i2c read"):
        i2c_write_read(0x24, b"\x00", count)


@pytest.mark.parametrize("count", [0, 257])
def test_a_write_of_none_or_too_many_bytes_is_refused(count: int) -> None:
    with pytest.raises(UsageError, match="i2c write"):
        i2c_write(0x24, bytes(count))
    with pytest.raises(UsageError, match="i2c write"):
        i2c_write_read(0x24, bytes(count), 1)


def test_a_reply_of_an_unknown_length_cannot_be_read_in_this_dialect() -> None:
    with pytest.raises(UsageError, match="known number of bytes in dialect A"):
        HostCodec().expect(Request(Page.BRIDGE, 0x01, b"", 5, 67), 7)


def test_256_bytes_may_be_written() -> None:
    request = i2c_write(0x24, bytes(256))
    assert len(HostCodec().encode(request, 0)) == 6 + 1 + 256
    assert asked(request, 0).feed(b"\x01\x00\x00\x00") == [Reply(0, b"\x00")]  # the count is modulo 256


@pytest.mark.parametrize("percent", [-1, 101])
def test_a_fan_that_no_percentage_says_is_refused(percent: int) -> None:
    with pytest.raises(UsageError, match=r"fan: .* 0 to 100 %"):
        fan_set(percent)


@pytest.mark.parametrize("rgb", [(-1, 0, 0), (0, 256, 0), (0, 0, 300)])
def test_a_colour_outside_a_byte_is_refused(rgb: tuple[int, int, int]) -> None:
    with pytest.raises(UsageError, match=r"led: .* 0 to 255"):
        led_set(*rgb)


@pytest.mark.parametrize("hertz", [0, -1, 1_149, 1_000_001, 1 << 32])
def test_a_frequency_that_the_bridge_cannot_make_is_refused(hertz: int) -> None:
    with pytest.raises(UsageError, match="1150 to 1000000 Hz"):
        i2c_frequency(hertz)


@pytest.mark.parametrize("data", [b"", bytes(4), bytes.fromhex("7D040000")])
def test_a_frequency_that_halts_the_bridge_cannot_be_made_by_hand_either(data: bytes) -> None:
    with pytest.raises(UsageError, match="1150 to 1000000 Hz"):
        Request(Page.I2C, 0x10, data, 4)


@pytest.mark.parametrize("id", [-1, 0xFF, 0x100])
def test_the_id_of_unparsed_requests_is_never_used(id: int) -> None:
    with pytest.raises(UsageError, match="id"):
        HostCodec().encode(gpio_get(0), id)
    with pytest.raises(UsageError, match="id"):
        HostCodec().expect(gpio_get(0), id)


@pytest.mark.parametrize("value", [-1, 256])
def test_a_pin_or_channel_is_one_byte(value: int) -> None:
    with pytest.raises(UsageError, match="pin"):
        gpio_get(value)
    with pytest.raises(UsageError, match="pin"):
        gpio_set(value, True)
    with pytest.raises(UsageError, match="adc command"):
        adc_read(value)


def test_a_request_is_not_longer_than_the_bridge_takes() -> None:
    with pytest.raises(UsageError, match="data"):
        Request(Page.LED, 0x10, bytes(259), 3)


@pytest.mark.parametrize("count", [1, 4, 5, 18, 19, 23, 27, 60, 61, 64, 78, 79, 124, 255, 1000])
def test_a_long_read_is_cut_where_no_part_looks_like_an_error(count: int) -> None:
    lengths = safe_read_lengths(count)
    assert sum(lengths) == count
    assert all(i2c_read(0x24, length) for length in lengths)
    assert len(lengths) <= -(-count // MAX_READ_BYTES) + 1


@pytest.mark.parametrize(("count", "length"), [(1, 1), (4, 5), (18, 20), (19, 20), (23, 24), (27, 28), (60, 60)])
def test_a_read_that_cannot_be_cut_is_made_longer(count: int, length: int) -> None:
    assert safe_read_length(count) == length


@pytest.mark.parametrize("count", [0, 61])
def test_no_single_read_holds_more_than_a_packet(count: int) -> None:
    with pytest.raises(UsageError):
        safe_read_length(count)


@pytest.mark.parametrize("data", ["", "06", "06 00", "00 00 00 00 00", "07 00 00 00 06 00", "06 00 00 00 06 00 01"])
def test_a_frame_that_is_not_as_long_as_it_says_is_malformed(data: str) -> None:
    with pytest.raises(MalformedRequest):
        DeviceCodec().parse_request(bytes.fromhex(data))
