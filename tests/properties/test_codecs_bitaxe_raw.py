"""bitaxe-raw, dialect A: any request comes through, any answer is found in any pieces, and no bytes raise."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.codecs.bitaxe_raw import (
    COLLIDING_LENGTHS,
    ERROR_TEXTS,
    DeviceCodec,
    ErrorCode,
    HostCodec,
    HostEvent,
    MalformedRequest,
    Refusal,
    Reply,
    Request,
    Stray,
    gpio_get,
    i2c_read,
    i2c_write_read,
    safe_read_lengths,
)

CODECS = settings(derandomize=True, deadline=None, database=None, max_examples=100)
ID = st.integers(0, 0xFE)
SAFE = st.integers(0, 60).filter(lambda count: count not in COLLIDING_LENGTHS)
COLLIDING = st.sampled_from(sorted(COLLIDING_LENGTHS))


def cut(data: bytes, draw: st.DataObject) -> list[bytes]:
    places = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=6), label="cut at"))
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


def fed(codec: HostCodec, pieces: list[bytes]) -> list[HostEvent]:
    return [event for piece in pieces for event in codec.feed(piece)]


@CODECS
@given(ID, st.integers(0x0A, 0xFF), st.integers(0, 0xFF), st.binary(max_size=258))
def test_a_request_reaches_the_firmware_whole(id: int, page: int, command: int, data: bytes) -> None:
    frame = HostCodec().encode(Request(page, command, data), id)
    assert DeviceCodec().parse_request(frame) == (id, page, command, data)


@CODECS
@given(ID, SAFE, st.data())
def test_a_success_of_a_safe_length_is_found_in_any_pieces(id: int, count: int, draw: st.DataObject) -> None:
    payload = draw.draw(st.binary(min_size=count, max_size=count))
    codec = HostCodec()
    codec.expect(Request(0x05, 0x30, b"\x24", count), id)
    assert fed(codec, cut(DeviceCodec().encode_reply(id, payload), draw)) == [Reply(id, payload)]
    assert (codec.pending, codec.pending_quiet) == (0, False)


@CODECS
@given(ID, SAFE, st.sampled_from(["", *ERROR_TEXTS]), st.booleans(), st.data())
def test_an_error_in_place_of_a_safe_length_is_found_in_any_pieces(
    id: int, count: int, text: str, echoed: bool, draw: st.DataObject
) -> None:
    code = ErrorCode.TEXT if text else draw.draw(st.sampled_from([0x10, 0x11, 0x12]))
    wire_id = id if echoed else 0xFF
    codec = HostCodec()
    codec.expect(Request(0x05, 0x30, b"\x24", count), id)
    assert fed(codec, cut(DeviceCodec().encode_error(wire_id, code, text), draw)) == [Refusal(wire_id, code, text)]
    assert not codec.pending_quiet


@CODECS
@given(ID, COLLIDING, st.booleans(), st.data())
def test_a_colliding_length_is_settled_by_the_next_bytes_or_by_silence(
    id: int, count: int, succeeds: bool, draw: st.DataObject
) -> None:
    texts = {4 + len(text): text for text in ERROR_TEXTS}
    text = texts.get(count, "")
    error = DeviceCodec().encode_error(id, ErrorCode.TEXT if text else ErrorCode.INVALID, text)
    codec = HostCodec()
    codec.expect(Request(0x05, 0x30, b"\x24", count), id)
    if succeeds:
        frame = error + draw.draw(st.binary(min_size=3, max_size=3))
        assert fed(codec, cut(frame, draw)) + codec.quiet() == [Reply(id, frame[3:])]
    else:
        assert fed(codec, cut(error, draw)) == []
        assert codec.pending_quiet
        assert codec.quiet() == [Refusal(id, error[3], text)]


@CODECS
@given(ID, st.integers(0, 60), st.lists(st.binary(max_size=40) | st.none(), max_size=10))
def test_no_input_raises_and_no_byte_is_lost(id: int, count: int, steps: list[bytes | None]) -> None:
    codec = HostCodec()
    codec.expect(Request(0x05, 0x30, b"\x24", count), id)
    events: list[HostEvent] = []
    for step in steps:
        events += codec.quiet() if step is None else codec.feed(step)
    seen = 0
    for event in events:
        match event:
            case Reply(_, payload):
                seen += 3 + len(payload)
            case Refusal(_, _, text):
                seen += 4 + len(text)
            case Stray(data, _):
                seen += len(data)
    assert seen + codec.pending == sum(len(step) for step in steps if step is not None)
    assert sum(not isinstance(event, Stray) for event in events) <= 1


@CODECS
@given(st.binary(max_size=40))
def test_after_silence_and_a_new_question_everything_is_forgotten(junk: bytes) -> None:
    codec = HostCodec()
    codec.expect(gpio_get(0), 1)
    codec.feed(junk)
    codec.quiet()
    codec.expect(gpio_get(0), 2)
    assert codec.feed(b"\x01\x00\x02\x01") == [Reply(2, b"\x01")]


@CODECS
@given(st.binary(max_size=40))
def test_a_frame_is_parsed_or_malformed(frame: bytes) -> None:
    try:
        id, page, command, data = DeviceCodec().parse_request(frame)
    except MalformedRequest:
        assert len(frame) < 6 or int.from_bytes(frame[:2], "little") != len(frame)
    else:
        assert frame == len(frame).to_bytes(2, "little") + bytes((id, frame[3], page, command)) + data


@CODECS
@given(st.integers(1, 5000))
def test_a_read_of_any_length_can_be_cut_into_safe_ones(count: int) -> None:
    lengths = safe_read_lengths(count)
    assert sum(lengths) == count
    for length in set(lengths):
        assert i2c_read(0x50, length).reply_bytes == i2c_write_read(0x50, b"\x00", length).reply_bytes == length
