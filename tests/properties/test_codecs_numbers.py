"""Numbers on the wire and in headers go there and back."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.codecs.header import (
    Header,
    bits_to_target,
    hash_difficulty,
    hash_value,
    leading_zero_bits,
    target_to_bits,
    ticket_target,
)
from drivers.codecs.pmbus import (
    FaultResponse,
    StatusWord,
    VoutMode,
    decode_block,
    decode_linear11,
    decode_ulinear16,
    decode_word,
    encode_linear11,
    encode_linear11_integer,
    encode_ulinear16,
    encode_word,
    status_names,
)

CODECS = settings(derandomize=True, deadline=None, database=None, max_examples=120)
WORD = st.integers(0, 0xFFFF)
DIGEST = st.binary(min_size=32, max_size=32)


@CODECS
@given(WORD)
def test_a_linear11_word_means_the_same_after_a_round_trip(word: int) -> None:
    value = decode_linear11(word)
    assert decode_linear11(encode_linear11(value)) == decode_linear11(encode_linear11(value, "down")) == value


@CODECS
@given(st.floats(-1e6, 1e6))
def test_linear11_is_off_by_half_a_step_at_most(value: float) -> None:
    word = encode_linear11(value)
    step = math.ldexp(1, (word >> 11 ^ 0x10) - 0x10 if word else -16)
    assert abs(decode_linear11(word) - value) <= step / 2
    below = decode_linear11(encode_linear11(value, "down"))
    assert below <= value < below + 2 * step


@CODECS
@given(st.integers(-1024, 1023))
def test_the_integer_form_is_exact(value: int) -> None:
    assert decode_linear11(encode_linear11_integer(value)) == value


@CODECS
@given(WORD, st.integers(-12, -4))
def test_a_ulinear16_word_comes_back(word: int, exponent: int) -> None:
    value = decode_ulinear16(word, exponent)
    assert encode_ulinear16(value, exponent) == encode_ulinear16(value, exponent, "down") == word


@CODECS
@given(st.floats(0, 15.9), st.integers(-12, -4))
def test_ulinear16_is_off_by_half_a_step_at_most_and_down_never_above(value: float, exponent: int) -> None:
    step = math.ldexp(1, exponent)
    assert abs(decode_ulinear16(encode_ulinear16(value, exponent), exponent) - value) <= step / 2
    below = decode_ulinear16(encode_ulinear16(value, exponent, "down"), exponent)
    assert below <= value < below + step


@CODECS
@given(st.integers(0, 0xFF))
def test_response_and_mode_bytes_come_back(byte: int) -> None:
    assert FaultResponse.from_byte(byte).to_byte() == byte
    if not byte & 0x60:
        assert VoutMode.from_byte(byte).to_byte() == byte


@CODECS
@given(WORD)
def test_a_status_word_has_as_many_names_as_bits(word: int) -> None:
    assert len(status_names(word)) == word.bit_count()
    assert decode_word(encode_word(word)) == int(StatusWord(word)) == word


@CODECS
@given(st.binary(max_size=255), st.binary(max_size=4))
def test_a_block_comes_back_without_what_follows(content: bytes, behind: bytes) -> None:
    assert decode_block(bytes((len(content),)) + content + behind) == content


@CODECS
@given(
    st.integers(0, 2**32 - 1),
    DIGEST,
    DIGEST,
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
)
def test_a_header_comes_back(version: int, previous: bytes, root: bytes, time_s: int, bits: int, nonce: int) -> None:
    header = Header(version, previous, root, time_s, bits, nonce)
    assert Header.unpack(header.pack()) == header
    assert len(header.pack()) == 80


@CODECS
@given(st.integers(0, 2**256 - 1), st.integers(0, 255))
def test_the_compact_form_of_a_target_is_the_next_one_down(target: int, shift: int) -> None:
    target >>= shift
    compact = bits_to_target(target_to_bits(target))
    assert compact <= target
    assert target - compact <= target >> 15
    assert bits_to_target(target_to_bits(compact)) == compact


@CODECS
@given(DIGEST, st.integers(0, 31), st.integers(0, 32), st.integers(0, 63))
def test_a_ticket_is_a_count_of_zero_bits(digest: bytes, log2_difficulty: int, log2_dilution: int, shift: int) -> None:
    small = (hash_value(digest) >> shift).to_bytes(32, "little")
    passes = hash_value(small) <= ticket_target(1 << log2_difficulty, 1 << log2_dilution)
    assert passes == (leading_zero_bits(small) >= 32 + log2_difficulty - log2_dilution)
    if passes and log2_dilution == 0:
        assert hash_difficulty(small) >= (1 << log2_difficulty) * (1 - 2**-16)
