"""PMBus numbers and bits: the words that ESP-Miner and mujina put on the wire, and what TI's table says of them."""

from __future__ import annotations

import math
from typing import Any

import pytest

from drivers.codecs.pmbus import (
    Command,
    FaultResponse,
    Rounding,
    StatusCml,
    StatusInput,
    StatusIout,
    StatusMfr,
    StatusTemperature,
    StatusVout,
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
from drivers.errors import UnexpectedReply, UsageError
from tests.vectors import params, rows

Row = dict[str, Any]
ENCODED = rows("peripherals", "slinear11_encode")
INTEGERS = rows("peripherals", "slinear11_encode_int")
VOLTS = rows("peripherals", "ulinear16_encode", "ulinear16_encode_relative")
ON_THE_WIRE = [row for row in ENCODED + INTEGERS + VOLTS if "wire" in row]

BELONGS_ELSEWHERE = {"telemetry", "telemetry_temp", "vid_encode", "status", "ic_device_id"}
"""Kinds of the regulators' rows that need a part's own driver. `ic_device_id` is run here as a block too."""


@pytest.mark.parametrize("row", params(ENCODED))
def test_a_value_becomes_the_published_linear11_word(row: Row) -> None:
    word = encode_linear11(row["in"])
    assert word == int(row["out"], 16)
    if "decoded" in row:
        assert decode_linear11(word) == row["decoded"]


@pytest.mark.parametrize("row", params(INTEGERS))
def test_both_linear11_forms_of_an_integer_mean_the_same(row: Row) -> None:
    assert encode_linear11_integer(row["in"]) == int(row["out"], 16)
    if row["in"] != 650:  # above 511 the smallest exponent is 0 as well
        assert encode_linear11(row["in"]) == int(row["alt"], 16)
    assert decode_linear11(int(row["out"], 16)) == decode_linear11(int(row["alt"], 16)) == row["decoded"]


@pytest.mark.parametrize("row", params(rows("peripherals", "slinear11_decode")))
def test_a_linear11_word_is_signed(row: Row) -> None:
    assert decode_linear11(int(row["in"], 16)) == row["out"]


@pytest.mark.parametrize("row", params(VOLTS))
def test_a_voltage_or_ratio_is_cut_down_or_rounded(row: Row) -> None:
    exponent = VoutMode.from_byte(0x97).exponent
    assert encode_ulinear16(row["in"], exponent, "down") == int(row["out"], 16)
    assert encode_ulinear16(row["in"], exponent) == int(row["rounded"], 16)


@pytest.mark.parametrize("row", params(rows("peripherals", "ulinear16_decode")))
def test_an_output_voltage_is_decoded_with_the_exponent_of_the_mode(row: Row) -> None:
    assert decode_ulinear16(int(row["in"], 16), -9) == row["out"]


@pytest.mark.parametrize("row", params(ON_THE_WIRE))
def test_a_word_goes_out_low_byte_first_behind_its_command(row: Row) -> None:
    wire = bytes.fromhex(row["wire"])
    name = row["meaning"].split()[0].rstrip(",")
    assert bytes((Command[name],)) + encode_word(int(row["out"], 16)) == wire
    assert decode_word(wire[1:]) == int(row["out"], 16)


@pytest.mark.parametrize("row", params(rows("peripherals", "vout_mode")))
def test_the_mode_byte_holds_exponent_and_reference(row: Row) -> None:
    mode = VoutMode.from_byte(int(row["in"], 16))
    assert (mode.exponent, mode.relative, mode.step_v) == tuple(row["out"].values())
    assert mode.to_byte() == int(row["in"], 16)


@pytest.mark.parametrize("byte", [0x37, 0x57, 0x77, 0xB7, 0x197, -1])
def test_a_mode_that_is_not_linear_is_no_mode_for_us(byte: int) -> None:
    with pytest.raises(UnexpectedReply):
        VoutMode.from_byte(byte)


@pytest.mark.parametrize("row", params(rows("peripherals", "status_word")))
def test_a_status_word_is_read_out_by_name(row: Row) -> None:
    word = decode_word(int(row["in"], 16).to_bytes(2, "little"))
    assert status_names(word) == status_names(StatusWord(word)) == row["out"]


def test_the_other_status_registers_are_read_out_by_name() -> None:
    assert status_names(StatusVout(0xFC)) == ["OV_FAULT", "OV_WARN", "UV_WARN", "UV_FAULT", "VOUT_MIN_MAX", "TON_MAX"]
    assert status_names(StatusIout(0xA0)) == ["OC_FAULT", "OC_WARN"]
    assert status_names(StatusInput(0xA8)) == ["OV_FAULT", "UV_WARN", "BELOW_VIN_ON"]
    assert status_names(StatusTemperature(0xC0)) == ["OT_FAULT", "OT_WARN"]
    assert status_names(StatusCml(0xFA))[:2] == ["UNSUPPORTED_COMMAND", "BAD_DATA"]
    assert status_names(StatusMfr(0xCE)) == ["POWER_ON_RESET", "SELF_CHECK", "RESET", "STACK", "SYNC"]


def test_a_bit_without_a_name_is_shown_all_the_same() -> None:
    assert status_names(StatusVout(0x82)) == ["OV_FAULT", "bit 0x02"]


@pytest.mark.parametrize("row", params(rows("peripherals", "fault_response")))
def test_a_fault_response_has_three_fields(row: Row) -> None:
    response = FaultResponse.from_byte(int(row["in"], 16))
    assert (response.action, response.retries, response.delay) == tuple(row["out"].values())
    assert response.to_byte() == int(row["in"], 16)


@pytest.mark.parametrize(
    ("command", "byte", "words", "stays_off"),
    [
        (Command.VOUT_OV_FAULT_RESPONSE, 0x80, "shut down, stay off", True),
        (Command.VOUT_OV_FAULT_RESPONSE, 0x00, "ignore", False),
        (Command.VOUT_UV_FAULT_RESPONSE, 0x80, "shut down, stay off", True),
        (Command.IOUT_OC_FAULT_RESPONSE, 0xC0, "shut down, stay off", True),
        (Command.OT_FAULT_RESPONSE, 0xFF, "shut down until cool, retry forever", False),
        (Command.OT_FAULT_RESPONSE, 0x80, "shut down, stay off", True),
        (Command.VIN_OV_FAULT_RESPONSE, 0xB7, "action 2, retry 6 times", False),
        (Command.TON_MAX_FAULT_RESPONSE, 0x3B, "ignore", False),
    ],
)
def test_a_fault_response_says_what_the_part_will_do(command: Command, byte: int, words: str, stays_off: bool) -> None:
    response = FaultResponse.from_byte(byte)
    assert response.describe(command) == words
    assert response.stays_off is stays_off


@pytest.mark.parametrize("row", params(rows("peripherals", "ic_device_id")))
def test_a_device_id_is_a_block(row: Row) -> None:
    data = bytes.fromhex(row["in"])
    assert decode_block(data) == decode_block(data + b"\xff") == data[1:]


@pytest.mark.parametrize("data", [b"", b"\x06", b"\x06\x54\x49"])
def test_a_block_cut_short_is_no_block(data: bytes) -> None:
    with pytest.raises(UnexpectedReply, match="cut short"):
        decode_block(data)


def test_every_regulator_row_of_the_vectors_has_its_place() -> None:
    here = {
        *("slinear11_encode", "slinear11_encode_int", "slinear11_decode", "ulinear16_encode"),
        *("ulinear16_encode_relative", "ulinear16_decode", "vout_mode", "status_word", "fault_response"),
    }
    found = {row["kind"] for row in rows("peripherals") if row["part"].startswith("TPS5")}
    assert found - here <= BELONGS_ELSEWHERE


def test_an_upper_limit_cut_down_never_exceeds_the_request() -> None:
    for millivolts in range(500, 2000):
        volts = millivolts / 1000
        assert decode_ulinear16(encode_ulinear16(volts, -9, "down"), -9) <= volts
        assert abs(decode_ulinear16(encode_ulinear16(volts, -9), -9) - volts) <= 2**-10
        assert decode_linear11(encode_linear11(volts, "down")) <= volts


@pytest.mark.parametrize("rounding", ["nearest", "down"])
@pytest.mark.parametrize("value", [-0.01, 128.0, math.nan, math.inf, -math.inf])
def test_a_voltage_that_no_word_holds_is_refused(value: float, rounding: Rounding) -> None:
    with pytest.raises(UsageError):
        encode_ulinear16(value, -9, rounding)


@pytest.mark.parametrize("value", [33_538_048.0, -33_587_200.0, math.nan, math.inf])
def test_a_value_that_no_linear11_word_holds_is_refused(value: float) -> None:
    with pytest.raises(UsageError):
        encode_linear11(value)


def test_the_ends_of_linear11() -> None:
    assert decode_linear11(encode_linear11(1023 * 2.0**15)) == 1023 * 2.0**15
    assert decode_linear11(encode_linear11(-1024 * 2.0**15)) == -1024 * 2.0**15
    assert encode_linear11(0.0) == encode_linear11(1e-9) == 0


@pytest.mark.parametrize("word", [-1, 0x10000])
def test_a_word_has_16_bits(word: int) -> None:
    with pytest.raises(UsageError):
        decode_linear11(word)
    with pytest.raises(UsageError):
        decode_ulinear16(word, -9)
    with pytest.raises(UsageError):
        encode_word(word)


@pytest.mark.parametrize("value", [-1025, 1024])
def test_the_integer_form_has_11_bits(value: int) -> None:
    with pytest.raises(UsageError):
        encode_linear11_integer(value)


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x00\x00\x00"])
def test_a_word_is_two_bytes(data: bytes) -> None:
    with pytest.raises(UnexpectedReply):
        decode_word(data)


def test_fields_out_of_range_are_refused() -> None:
    with pytest.raises(UsageError):
        VoutMode(16, True).to_byte()
    with pytest.raises(UsageError):
        FaultResponse(0, 8, 0).to_byte()
    with pytest.raises(UsageError):
        FaultResponse.from_byte(256)


def test_the_command_that_can_ruin_the_part_has_no_name_here() -> None:
    assert not {0x11, 0x13, 0x15, 0x17} & {int(command) for command in Command}
