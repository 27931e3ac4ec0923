"""Dialects B and C: any request comes through, any answer is found in any pieces, and no bytes raise."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.codecs import dialect_b, dialect_c
from drivers.codecs.bitaxe_raw import (
    DeviceCodec,
    HostEvent,
    Refusal,
    Reply,
    Request,
    Stray,
    gpio_get,
)
from drivers.codecs.dialects import device_codec, host_codec
from drivers.codecs.whole_frame import WholeFrameCodec

CODECS = settings(derandomize=True, deadline=None, database=None, max_examples=100)
ID = st.integers(0, 0xFE)
KINDS: dict[str, type[WholeFrameCodec]] = {"B": dialect_b.HostCodec, "C": dialect_c.HostCodec}
both = pytest.mark.parametrize("dialect", KINDS)


def asked(dialect: str, count: int, id: int, most: int | None = None) -> WholeFrameCodec:
    """Of page 0B, which nobody has: a request that no dialect has anything against."""
    codec = KINDS[dialect]()
    codec.expect(Request(0x0B, 0x30, b"\x24", count, most), id)
    return codec


def cut(data: bytes, draw: st.DataObject) -> list[bytes]:
    places = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=6), label="cut at"))
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


def fed(codec: WholeFrameCodec, pieces: list[bytes]) -> list[HostEvent]:
    return [event for piece in pieces for event in codec.feed(piece)]


def looks_like_an_error(dialect: str, payload: bytes) -> bool:
    """What dialect B cannot tell from an error, and C can."""
    if dialect == "C" or not payload:
        return False
    if len(payload) == 1:
        return payload[0] in dialect_b.HostCodec.codes
    return payload[0] == 0xFF and payload[1:].decode("ascii", "replace") in dialect_b.TEXTS


@both
@CODECS
@given(ID, st.integers(0x0A, 0xFF), st.integers(0, 0xFF), st.binary(max_size=258))
def test_a_request_reaches_the_firmware_whole(dialect: str, id: int, page: int, command: int, data: bytes) -> None:
    frame = host_codec(dialect).encode(Request(page, command, data), id)
    assert DeviceCodec().parse_request(frame) == (id, page, command, data)


@both
@CODECS
@given(ID, st.binary(max_size=59), st.data())
def test_a_success_of_any_length_is_found_in_any_pieces(
    dialect: str, id: int, payload: bytes, draw: st.DataObject
) -> None:
    codec = asked(dialect, len(payload), id)
    found = fed(codec, cut(device_codec(dialect).encode_reply(id, payload), draw))
    if looks_like_an_error(dialect, payload):
        assert found == [Refusal(id, payload[0], payload[1:].decode())]
    else:
        assert found == [Reply(id, payload)]
    assert (codec.pending, codec.pending_quiet) == (0, False)


@both
@CODECS
@given(ID, st.integers(0, 59), st.booleans(), st.data())
def test_an_error_is_found_in_any_pieces_whatever_was_due(
    dialect: str, id: int, count: int, echoed: bool, draw: st.DataObject
) -> None:
    kind = KINDS[dialect]
    text = draw.draw(st.sampled_from(["", *kind.texts]))
    code = 0xFF if text else draw.draw(st.sampled_from(sorted(kind.codes)))
    wire_id = id if echoed else 0xFF
    codec = asked(dialect, count, id)
    error = device_codec(dialect).encode_error(wire_id, code, text)
    assert fed(codec, cut(error, draw)) == [Refusal(wire_id, code, text)]
    assert not codec.pending_quiet


@both
@CODECS
@given(ID, st.integers(0, 59), st.lists(st.binary(max_size=40) | st.none(), max_size=10))
def test_no_input_raises_and_no_byte_is_lost(dialect: str, id: int, count: int, steps: list[bytes | None]) -> None:
    codec = asked(dialect, count, id, 59)
    events: list[HostEvent] = []
    for step in steps:
        events += codec.quiet() if step is None else codec.feed(step)
    seen = 0
    for event in events:
        match event:
            case Reply(_, payload):
                seen += codec.overhead_bytes + len(payload)
            case Refusal(_, _, text):
                seen += 4 + len(text)
            case Stray(data, _):
                seen += len(data)
    assert seen + codec.pending == sum(len(step) for step in steps if step is not None)
    assert sum(not isinstance(event, Stray) for event in events) <= 1


@both
@CODECS
@given(st.binary(max_size=40))
def test_after_a_new_question_everything_is_forgotten(dialect: str, junk: bytes) -> None:
    codec = KINDS[dialect]()
    codec.expect(gpio_get(0), 1)
    codec.feed(junk)
    codec.expect(gpio_get(0), 2)
    assert codec.feed(device_codec(dialect).encode_reply(2, b"\x01")) == [Reply(2, b"\x01")]
