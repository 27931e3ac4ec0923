"""Dialect B alone: the requests whose success could pass for an error. What it shares with C: test_whole_frame.py."""

from __future__ import annotations

import pytest

from drivers.codecs import bridge_system
from drivers.codecs.bitaxe_raw import Refusal, Reply, Request, gpio_get, i2c_read, i2c_write, i2c_write_read
from drivers.codecs.dialect_b import DeviceCodec, ErrorCode, HostCodec
from drivers.errors import UsageError


def asked(request: Request, id: int) -> HostCodec:
    codec = HostCodec()
    codec.expect(request, id)
    return codec


def test_an_answer_to_what_was_not_parsed_carries_no_id_of_ours() -> None:
    assert asked(gpio_get(1), 7).feed(bytes.fromhex("04 00 FF 10")) == [Refusal(0xFF, ErrorCode.TIMEOUT, "")]


def test_a_version_of_any_length_is_taken_whole() -> None:
    for version in ("1", "1.2.3", "v" * 63):
        payload = bridge_system.FirmwareInfo(1, 0, version).encode()
        assert asked(bridge_system.info(), 7).feed(DeviceCodec().encode_reply(7, payload)) == [Reply(7, payload)]


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
