"""Dialect C: every published frame of it, and that no length and no byte of it reads two ways."""

from __future__ import annotations

from typing import Any

import pytest

from drivers.codecs import bridge_system
from drivers.codecs.bitaxe_raw import (
    COLLIDING_LENGTHS,
    ERROR_TEXTS,
    ErrorCode,
    HostEvent,
    Page,
    Refusal,
    Reply,
    Request,
    Stray,
    adc_read,
    gpio_get,
    gpio_set,
    i2c_frequency,
    i2c_read,
    i2c_write,
    i2c_write_read,
    led_set,
)
from drivers.codecs.dialect_c import MAX_READ_BYTES, DeviceCodec, HostCodec
from drivers.errors import UsageError
from tests.vectors import frame, params, rows

Row = dict[str, Any]

ASKED: dict[str, Request] = {
    "i2c.setfreq.400k": i2c_frequency(400_000),
    "i2c.write.4f": i2c_write(0x4F, b"\xde"),
    "i2c.read.4c": i2c_read(0x4C, 1),
    "i2c.wr.32": i2c_write_read(0x32, b"\xfe", 2),
    "gpio.reset.high": gpio_set(0, True),
    "gpio.reset.low": gpio_set(0, False),
    "adc.vdd": adc_read(0x50),
    "led.magenta": led_set(0xFF, 0x00, 0xFF),
}
ALL = [row for row in rows("bridge", "reply", "error") if row["dialect"] == "C"]
ERRORS = [row for row in ALL if row["kind"] == "error"]
REPLIES = [row for row in ALL if row["kind"] == "reply"]


def asked(request: Request, id: int) -> HostCodec:
    codec = HostCodec()
    codec.expect(request, id)
    return codec


def test_every_reply_of_the_vectors_has_its_request_here_and_every_text_its_error() -> None:
    assert {row["case"] for row in REPLIES} == ASKED.keys()
    assert {row["case"].removeprefix("err.v1.") for row in ERRORS} == {*ERROR_TEXTS, "invalid"}


@pytest.mark.parametrize("row", params(REPLIES))
def test_a_published_reply_answers_its_request(row: Row) -> None:
    data = frame(row)
    codec = asked(ASKED[row["case"]], data[2])
    assert codec.feed(data) == [Reply(data[2], data[4:])]
    assert (codec.pending, codec.pending_quiet) == (0, False)
    assert DeviceCodec().encode_reply(data[2], data[4:]) == data


@pytest.mark.parametrize("row", params(ERRORS))
def test_a_published_error_refuses_the_request(row: Row) -> None:
    data = frame(row)
    text = data[4:].decode()
    codec = asked(i2c_write(0x24, b"\x00"), 0x42)
    assert codec.feed(data) == [Refusal(data[2], data[3], text)]
    assert DeviceCodec().encode_error(data[2], data[3], text) == data


@pytest.mark.parametrize("row", params([row for row in rows("bridge", "request") if row["case"] in ASKED]))
def test_a_published_request_is_built_byte_for_byte(row: Row) -> None:
    data = frame(row)
    assert HostCodec().encode(ASKED[row["case"]], data[2]) == data


@pytest.mark.parametrize("code", [0x10, 0x11, 0x12, 0xFF])
def test_a_payload_that_begins_like_an_error_is_a_success_at_once(code: int) -> None:
    for count in (1, 4, *COLLIDING_LENGTHS):
        payload = bytes((code,)) * count
        reply = DeviceCodec().encode_reply(7, payload)
        assert asked(Request(Page.I2C, 0x30, b"\x24", count), 7).feed(reply) == [Reply(7, payload)]


@pytest.mark.parametrize("text", ["", *ERROR_TEXTS])
def test_an_error_in_pieces_is_one_error_whatever_was_due(text: str) -> None:
    code = ErrorCode.TEXT if text else ErrorCode.INVALID
    error = DeviceCodec().encode_error(7, code, text)
    for count in (0, 1, 4, len(text), 17):
        codec = asked(Request(Page.GPIO, 1, b"", count), 7)
        pieces: list[HostEvent] = [event for byte in error for event in codec.feed(bytes((byte,)))]
        assert pieces == [Refusal(7, code, text)]
        assert not codec.pending_quiet


@pytest.mark.parametrize(
    "data",
    [
        "01 00 07 01",  # dialect A
        "04 00 07 01",  # dialect B
        "05 00 07 01 01",  # a status that is not one
        "05 00 07 11 01",  # an error has no payload
        "05 00 08 00 01",
        "05 00 FF 00 01",
        "06 00 07 00 01 02",
        "13 00 07 FF 49 32 43 20 57 72 6F 74 65 20 45 72 72 6F 72",  # "I2C Wrote Error"
        "03 00 07",
    ],
)
def test_what_cannot_be_the_answer_is_discarded_until_quiet(data: str) -> None:
    codec = asked(gpio_get(1), 7)
    wrong = bytes.fromhex(data)
    (stray,) = codec.feed(wrong)
    assert isinstance(stray, Stray)
    assert stray.data == wrong
    assert codec.pending_quiet
    assert (codec.quiet(), codec.pending_quiet) == ([], False)
    assert codec.feed(bytes.fromhex("05 00 07 00 01")) == [Reply(7, b"\x01")]


def test_half_a_reply_is_given_up_after_silence_and_what_nobody_asked_for_is_stray() -> None:
    codec = asked(gpio_get(1), 7)
    assert codec.feed(b"\x05\x00\x07\x00") == []
    assert codec.quiet() == [Stray(b"\x05\x00\x07\x00", "half a reply")]
    assert HostCodec().feed(b"\x01") == [Stray(b"\x01", "no request is outstanding")]


def test_an_answer_that_would_not_fit_a_packet_is_refused() -> None:
    assert DeviceCodec().encode_reply(7, bytes(MAX_READ_BYTES))[0] == 63
    for request in (i2c_read(0x24, 60), i2c_write_read(0x24, b"\x01", 60), bridge_system.info()):
        for call in (HostCodec().encode, HostCodec().expect):
            with pytest.raises(UsageError, match="0 to 59 bytes in dialect C"):
                call(request, 7)
    HostCodec().expect(i2c_read(0x24, MAX_READ_BYTES), 7)


@pytest.mark.parametrize("id", [-1, 0xFF, 0x100])
def test_the_id_of_unparsed_requests_is_never_used(id: int) -> None:
    with pytest.raises(UsageError, match="id"):
        HostCodec().encode(gpio_get(0), id)
