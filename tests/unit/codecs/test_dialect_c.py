"""Dialect C alone: no length and no byte of it reads two ways. What it shares with B: test_whole_frame.py."""

from __future__ import annotations

import pytest

from drivers.codecs import bridge_system
from drivers.codecs.bitaxe_raw import COLLIDING_LENGTHS, ERROR_TEXTS, Page, Reply, Request, i2c_read, i2c_write_read
from drivers.codecs.dialect_c import MAX_READ_BYTES, DeviceCodec, HostCodec
from drivers.errors import UsageError
from tests.vectors import rows


def test_every_text_and_the_code_without_one_have_a_published_error() -> None:
    errors = [row["case"] for row in rows("bridge", "error") if row["dialect"] == "C"]
    assert {case.removeprefix("err.v1.") for case in errors} == {*ERROR_TEXTS, "invalid"}


@pytest.mark.parametrize("code", [0x10, 0x11, 0x12, 0xFF])
def test_a_payload_that_begins_like_an_error_is_a_success_at_once(code: int) -> None:
    for count in (1, 4, *COLLIDING_LENGTHS):
        payload = bytes((code,)) * count
        codec = HostCodec()
        codec.expect(Request(Page.I2C, 0x30, b"\x24", count), 7)
        assert codec.feed(DeviceCodec().encode_reply(7, payload)) == [Reply(7, payload)]


def test_an_answer_that_would_not_fit_a_packet_is_refused() -> None:
    assert DeviceCodec().encode_reply(7, bytes(MAX_READ_BYTES))[0] == 63
    for request in (i2c_read(0x24, 60), i2c_write_read(0x24, b"\x01", 60), bridge_system.info()):
        for call in (HostCodec().encode, HostCodec().expect):
            with pytest.raises(UsageError, match="0 to 59 bytes in dialect C"):
                call(request, 7)
    HostCodec().expect(i2c_read(0x24, MAX_READ_BYTES), 7)
