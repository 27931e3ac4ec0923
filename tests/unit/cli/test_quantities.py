"""Quantities as people type them."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.cli.quantities import (
    parse_dilution,
    parse_frequency,
    parse_number,
    parse_seconds,
    parse_seed,
    parse_voltage,
)
from drivers.errors import UsageError


@pytest.mark.parametrize("text", ["525", "525MHz", "525 mhz", "0.525GHz", "525.0", " 525 "])
def test_a_clock_is_in_mhz_when_bare_and_may_carry_its_unit(text: str) -> None:
    assert parse_frequency(text) == pytest.approx(525.0)


@pytest.mark.parametrize("text", ["1150", "1150mV", "1150 MV", "1.15V", "1.150 v"])
def test_a_voltage_is_in_millivolts_when_bare_and_may_carry_its_unit(text: str) -> None:
    assert parse_voltage(text) == pytest.approx(1.15)


def test_a_bare_voltage_that_looks_like_volts_is_a_slip_that_is_named() -> None:
    with pytest.raises(UsageError, match=r"--voltage: '1.15' is not allowed.*did you mean 1.15V\?"):
        parse_voltage("1.15")


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (parse_frequency, "fast", r"--frequency: 'fast' .*0.525GHz"),
        (parse_frequency, "525V", r"--frequency: '525V' .*525MHz"),
        (parse_frequency, "-525", "--frequency"),
        (parse_frequency, "nan", "--frequency"),
        (parse_frequency, "inf", "--frequency"),
        (parse_frequency, "0", "--frequency"),
        (parse_frequency, "1e3", "--frequency"),
        (parse_frequency, "٥٢٥", "--frequency"),
        (parse_voltage, "", r"--voltage: '' .*1150mV"),
        (parse_voltage, "1.15kV", "--voltage"),
        (parse_voltage, "1,15V", "--voltage"),
        (parse_seconds, "soon", "--seconds"),
        (parse_seconds, "0", "--seconds"),
        (parse_dilution, "3", "--dilution: '3' .*power of two"),
        (parse_dilution, "0", "--dilution"),
        (parse_dilution, "2**40", "--dilution"),
        (parse_seed, "-1", "--seed"),
        (parse_seed, "1.5", "--seed"),
    ],
)
def test_what_is_no_quantity_is_refused_with_key_value_and_what_is_allowed(
    parse: Callable[[str], object], text: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        parse(text)


def test_times_may_carry_their_unit() -> None:
    assert [parse_seconds(text) for text in ("20", "20s", "1500ms", "5min", "1h")] == pytest.approx(
        [20, 20, 1.5, 300, 3600]
    )


def test_a_dilution_may_be_written_as_a_power() -> None:
    assert [parse_dilution(text) for text in ("1", "16777216", "2**24", "2^24", "2**0", "2**32")] == [
        1,
        1 << 24,
        1 << 24,
        1 << 24,
        1,
        1 << 32,
    ]


def test_plain_numbers_keep_to_their_bounds() -> None:
    assert parse_number("-10", "--ambient", -20, 60, "C") == -10
    for text in ("61", "nan", "warm"):
        with pytest.raises(UsageError, match=r"--ambient.*-20 to 60 C"):
            parse_number(text, "--ambient", -20, 60, "C")


@given(st.text())
def test_any_text_is_either_a_positive_number_or_a_usage_error(text: str) -> None:
    for parse in (parse_frequency, parse_voltage, parse_seconds):
        try:
            value = parse(text)
        except UsageError:
            continue
        assert 0 < value < float("inf")
