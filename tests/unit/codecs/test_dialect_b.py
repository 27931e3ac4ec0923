"""Dialect B: every published frame of it, and the requests whose success could pass for an error."""

from __future__ import annotations

from typing import Any

import pytest

from drivers.codecs import bridge_system
from drivers.codecs.bitaxe_raw import (
    ERROR_TEXTS,
    HostEvent,
    Page,
    Refusal,
    Reply,
    Request,
    Stray,
    fan_set,
    fan_tach,
    gpio_get,
    gpio_set,
    i2c_read,
    i2c_write,
    i2c_write_read,
)
from drivers.codecs.dialect_b import DeviceCodec, ErrorCode, HostCodec
from drivers.errors import UsageError
from tests.vectors import frame, params, rows

Row = dict[str, Any]

ASKED: dict[str, Request] = {
    "i2c.write.4f": i2c_write(0x4F, b"\xde"),
    "gpio.reset.high": gpio_set(0, True),
    "b.info": bridge_system.info(),
    "b.rxstats": bridge_system.rx_loss(),
    "b.status": bridge_system.status(),
    "b.status.controlled": bridge_system.status(),
    "b.5v_on": gpio_set(1, True),
    "b.fan50": fan_set(50),
    "b.tach": fan_tach(),
}
ALL = [row for row in rows("bridge", "reply", "error") if row["dialect"] == "B"]
DENIED = "b.5v-on.reply.B.2"
ERRORS = [row for row in ALL if row["kind"] == "error" or row["name"] == DENIED]
REPLIES = [row for row in ALL if row not in ERRORS]


def asked(request: Request, id: int) -> HostCodec:
    codec = HostCodec()
    codec.expect(request, id)
    return codec


def test_every_reply_of_the_vectors_has_its_request_here() -> None:
    assert {row["case"] for row in REPLIES} == ASKED.keys()


@pytest.mark.parametrize("row", params(REPLIES))
def test_a_published_reply_answers_its_request(row: Row) -> None:
    data = frame(row)
    codec = asked(ASKED[row["case"]], data[2])
    assert codec.feed(data) == [Reply(data[2], data[3:])]
    assert (codec.pending, codec.pending_quiet) == (0, False)
    assert DeviceCodec().encode_reply(data[2], data[3:]) == data


@pytest.mark.parametrize("row", params(ERRORS))
def test_a_published_error_refuses_the_request(row: Row) -> None:
    data = frame(row)
    text = data[4:].decode()
    codec = asked(gpio_set(1, True), data[2])
    assert codec.feed(data) == [Refusal(data[2], data[3], text)]
    assert DeviceCodec().encode_error(data[2], data[3], text) == data


@pytest.mark.parametrize(
    "row", params([row for row in rows("bridge", "request") if row["case"] in ASKED or row["case"].startswith("b.")])
)
def test_a_published_request_is_built_byte_for_byte(row: Row) -> None:
    data = frame(row)
    page_00 = {
        "b.arm": bridge_system.arm(),
        "b.heartbeat": bridge_system.heartbeat(),
        "b.clear fault": bridge_system.clear_fault(),
        "b.disarm": bridge_system.disarm(),
    }
    assert HostCodec().encode((ASKED | page_00)[row["case"]], data[2]) == data


@pytest.mark.parametrize("text", ["", *ERROR_TEXTS])
def test_an_error_in_pieces_is_one_error_whatever_was_due(text: str) -> None:
    code = ErrorCode.TEXT if text else ErrorCode.FAULT
    error = DeviceCodec().encode_error(7, code, text)
    for count in (1, 2, 4, len(text) + 1, 17):
        codec = asked(Request(Page.GPIO, 1, b"", count), 7)
        pieces: list[HostEvent] = [event for byte in error for event in codec.feed(bytes((byte,)))]
        assert pieces == [Refusal(7, code, text)]


def test_an_answer_to_what_was_not_parsed_carries_no_id_of_ours() -> None:
    assert asked(gpio_get(1), 7).feed(bytes.fromhex("04 00 FF 10")) == [Refusal(0xFF, ErrorCode.TIMEOUT, "")]


def test_a_version_of_any_length_is_taken_whole() -> None:
    for version in ("1", "1.2.3", "v" * 63):
        payload = bridge_system.FirmwareInfo(1, 0, version).encode()
        assert asked(bridge_system.info(), 7).feed(DeviceCodec().encode_reply(7, payload)) == [Reply(7, payload)]


@pytest.mark.parametrize(
    "data",
    [
        "05 00 07 01 02",
        "01 00 07 01",
        "04 00 08 01",
        "04 00 FF 01",
        "07 00 07 FF 42 75 67",
        "00 00 07",
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
    assert codec.feed(bytes.fromhex("04 00 07 01")) == [Reply(7, b"\x01")]


def test_half_a_reply_is_given_up_after_silence_and_what_nobody_asked_for_is_stray() -> None:
    codec = asked(gpio_get(1), 7)
    assert codec.feed(b"\x04\x00\x07") == []
    assert codec.quiet() == [Stray(b"\x04\x00\x07", "half a reply")]
    assert HostCodec().feed(b"\x01") == [Stray(b"\x01", "no request is outstanding")]


@pytest.mark.parametrize("request_", [i2c_read(0x24, 1), i2c_write_read(0x24, b"\x01", 1)])
def test_a_read_of_one_byte_is_refused_since_it_may_look_like_an_error(request_: Request) -> None:
    for call in (HostCodec().encode, HostCodec().expect):
        with pytest.raises(UsageError, match="2 bytes or more"):
            call(request_, 7)


@pytest.mark.parametrize("count", [15, 16, 17, 18, 19, 20])
def test_a_write_whose_count_looks_like_an_error_is_refused(count: int) -> None:
    request = i2c_write(0x24, bytes(count))
    if 16 <= count <= 19:
        with pytest.raises(UsageError, match="not 16 to 19 bytes"):
            HostCodec().encode(request, 7)
    else:
        assert asked(request, 7).feed(bytes((4, 0, 7, count))) == [Reply(7, bytes((count,)))]


@pytest.mark.parametrize("id", [-1, 0xFF, 0x100])
def test_the_id_of_unparsed_requests_is_never_used(id: int) -> None:
    with pytest.raises(UsageError, match="id"):
        HostCodec().encode(gpio_get(0), id)
