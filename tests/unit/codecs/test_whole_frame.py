"""Dialects B and C, in what they have in common: every published frame, errors in pieces, strays, half replies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from drivers.codecs import bridge_system, dialect_b, dialect_c
from drivers.codecs.bitaxe_raw import (
    ERROR_TEXTS,
    UNPARSED_ID,
    HostEvent,
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
)
from drivers.codecs.whole_frame import WholeFrameCodec
from drivers.errors import UsageError
from tests.vectors import frame, params, rows

Row = dict[str, Any]
Device = dialect_b.DeviceCodec | dialect_c.DeviceCodec


@dataclass(frozen=True)
class Dialect:
    name: str
    host: Callable[[], WholeFrameCodec]
    device: Device
    before_payload: int
    asked: dict[str, Request]
    """Requests of the published replies, by case."""
    refused: Request
    """What the published errors refuse."""
    only_asked: dict[str, Request] = field(default_factory=dict)
    """Published requests without a published reply."""
    denied: tuple[str, ...] = ()
    """Replies of the vectors that are errors."""
    code: int = 0x11
    """Of an error without a text."""

    @property
    def errors(self) -> list[Row]:
        return [row for row in self._rows if row["kind"] == "error" or row["name"] in self.denied]

    @property
    def replies(self) -> list[Row]:
        return [row for row in self._rows if row not in self.errors]

    @property
    def requests(self) -> list[Row]:
        known, own = self.asked | self.only_asked, f"{self.name.lower()}."
        return [row for row in rows("bridge", "request") if row["case"] in known or row["case"].startswith(own)]

    @property
    def _rows(self) -> list[Row]:
        return [row for row in rows("bridge", "reply", "error") if row["dialect"] == self.name]

    def expecting(self, request: Request, id: int) -> WholeFrameCodec:
        codec = self.host()
        codec.expect(request, id)
        return codec


B = Dialect(
    "B",
    dialect_b.HostCodec,
    dialect_b.DeviceCodec(),
    before_payload=3,
    asked={
        "i2c.write.4f": i2c_write(0x4F, b"\xde"),
        "gpio.reset.high": gpio_set(0, True),
        "b.info": bridge_system.info(),
        "b.rxstats": bridge_system.rx_loss(),
        "b.status": bridge_system.status(),
        "b.status.controlled": bridge_system.status(),
        "b.5v_on": gpio_set(1, True),
        "b.fan50": fan_set(50),
        "b.tach": fan_tach(),
    },
    refused=gpio_set(1, True),
    only_asked={
        "b.arm": bridge_system.arm(),
        "b.heartbeat": bridge_system.heartbeat(),
        "b.clear fault": bridge_system.clear_fault(),
        "b.disarm": bridge_system.disarm(),
    },
    denied=("b.5v-on.reply.B.2",),
    code=dialect_b.ErrorCode.FAULT,
)
C = Dialect(
    "C",
    dialect_c.HostCodec,
    dialect_c.DeviceCodec(),
    before_payload=4,
    asked={
        "i2c.setfreq.400k": i2c_frequency(400_000),
        "i2c.write.4f": i2c_write(0x4F, b"\xde"),
        "i2c.read.4c": i2c_read(0x4C, 1),
        "i2c.wr.32": i2c_write_read(0x32, b"\xfe", 2),
        "gpio.reset.high": gpio_set(0, True),
        "gpio.reset.low": gpio_set(0, False),
        "adc.vdd": adc_read(0x50),
        "led.magenta": led_set(0xFF, 0x00, 0xFF),
    },
    refused=i2c_write(0x24, b"\x00"),
)
BOTH = (B, C)
both = pytest.mark.parametrize("dialect", BOTH, ids=lambda dialect: dialect.name)


def published(of: Callable[[Dialect], list[Row]]) -> pytest.MarkDecorator:
    found = [
        pytest.param(dialect, *each.values, id=f"{dialect.name}-{each.id}")
        for dialect in BOTH
        for each in params(of(dialect))
    ]
    return pytest.mark.parametrize(("dialect", "row"), found)


@both
def test_every_reply_of_the_vectors_has_its_request_here(dialect: Dialect) -> None:
    assert {row["case"] for row in dialect.replies} == dialect.asked.keys()


@published(lambda dialect: dialect.replies)
def test_a_published_reply_answers_its_request(dialect: Dialect, row: Row) -> None:
    data = frame(row)
    codec, payload = dialect.expecting(dialect.asked[row["case"]], data[2]), data[dialect.before_payload :]
    assert codec.feed(data) == [Reply(data[2], payload)]
    assert (codec.pending, codec.pending_quiet) == (0, False)
    assert dialect.device.encode_reply(data[2], payload) == data


@published(lambda dialect: dialect.errors)
def test_a_published_error_refuses_the_request(dialect: Dialect, row: Row) -> None:
    data = frame(row)
    text = data[4:].decode()
    codec = dialect.expecting(dialect.refused, 0x42 if data[2] == UNPARSED_ID else data[2])
    assert codec.feed(data) == [Refusal(data[2], data[3], text)]
    assert dialect.device.encode_error(data[2], data[3], text) == data


@published(lambda dialect: dialect.requests)
def test_a_published_request_is_built_byte_for_byte(dialect: Dialect, row: Row) -> None:
    data = frame(row)
    assert dialect.host().encode((dialect.asked | dialect.only_asked)[row["case"]], data[2]) == data


@both
@pytest.mark.parametrize("text", ["", *ERROR_TEXTS])
def test_an_error_in_pieces_is_one_error_whatever_was_due(dialect: Dialect, text: str) -> None:
    code = 0xFF if text else dialect.code
    error = dialect.device.encode_error(7, code, text)
    for count in (0, 1, 2, 4, len(text), len(text) + 1, 17):
        codec = dialect.expecting(Request(Page.GPIO, 1, b"", count), 7)
        pieces: list[HostEvent] = [event for byte in error for event in codec.feed(bytes((byte,)))]
        assert pieces == [Refusal(7, code, text)]
        assert not codec.pending_quiet


STRAYS = [
    (B, "05 00 07 01 02"),  # two bytes, where one was due
    (B, "01 00 07 01"),  # dialect A
    (B, "04 00 08 01"),
    (B, "04 00 FF 01"),
    (B, "07 00 07 FF 42 75 67"),  # "Bug"
    (B, "00 00 07"),
    (C, "01 00 07 01"),  # dialect A
    (C, "04 00 07 01"),  # dialect B
    (C, "05 00 07 01 01"),  # a status that is not one
    (C, "05 00 07 11 01"),  # an error has no payload
    (C, "05 00 08 00 01"),
    (C, "05 00 FF 00 01"),
    (C, "06 00 07 00 01 02"),
    (C, "13 00 07 FF 49 32 43 20 57 72 6F 74 65 20 45 72 72 6F 72"),  # "I2C Wrote Error"
    (C, "03 00 07"),
]


@pytest.mark.parametrize(("dialect", "data"), [pytest.param(d, data, id=f"{d.name}-{data}") for d, data in STRAYS])
def test_what_cannot_be_the_answer_is_discarded_until_quiet(dialect: Dialect, data: str) -> None:
    codec = dialect.expecting(gpio_get(1), 7)
    wrong = bytes.fromhex(data)
    (stray,) = codec.feed(wrong)
    assert isinstance(stray, Stray)
    assert stray.data == wrong
    assert codec.pending_quiet
    assert (codec.quiet(), codec.pending_quiet) == ([], False)
    assert codec.feed(dialect.device.encode_reply(7, b"\x01")) == [Reply(7, b"\x01")]


@both
def test_half_a_reply_is_given_up_after_silence_and_what_nobody_asked_for_is_stray(dialect: Dialect) -> None:
    codec = dialect.expecting(gpio_get(1), 7)
    half = dialect.device.encode_reply(7, b"\x01")[:-1]
    assert codec.feed(half) == []
    assert codec.quiet() == [Stray(half, "half a reply")]
    assert dialect.host().feed(b"\x01") == [Stray(b"\x01", "no request is outstanding")]


@both
@pytest.mark.parametrize("id", [-1, 0xFF, 0x100])
def test_the_id_of_unparsed_requests_is_never_used(dialect: Dialect, id: int) -> None:
    with pytest.raises(UsageError, match="id"):
        dialect.host().encode(gpio_get(0), id)
