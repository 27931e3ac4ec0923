"""Sweep: bounded, honest about what did not answer, and clear about what was not asked."""

from __future__ import annotations

import asyncio

import pytest

from drivers.boards.board import Channel
from drivers.boards.sweep import LIMIT_S, Sweep, again, close
from drivers.errors import Nack, NoReply, UnexpectedReply, Unplugged


async def good() -> float:
    return 1.5


async def silent() -> float:
    raise NoReply("the part", 0.25)


async def absent() -> float:
    raise Nack(0x24, "I2C WriteRead Error")


async def test_an_answer_is_a_value_without_a_note() -> None:
    sweep = Sweep()
    assert await sweep.take(Channel.CORE_V, good) == 1.5
    reading = sweep.reading()
    assert reading.channels == {Channel.CORE_V: 1.5}
    assert reading.notes == {}
    assert not reading.bus_silent


async def test_a_part_that_does_not_answer_reads_none_with_the_reason() -> None:
    sweep = Sweep()
    await sweep.take(Channel.CORE_V, absent)
    reading = sweep.reading()
    assert reading.channels == {Channel.CORE_V: None}
    assert "0x24" in reading.notes[Channel.CORE_V]
    assert not reading.bus_silent, "a bridge that reports an error is not silent"


@pytest.mark.parametrize(
    ("answers", "counts", "asked"),
    [
        ((1.1, 1.7), 1.1, 1),
        ((1.7, 1.1), 1.1, 2),
        ((1.7, 1.6), 1.6, 2),
        ((1.7, NoReply("the part", 0.25)), 1.7, 2),
        ((1.7, Nack(0x24, "I2C WriteRead Error")), 1.7, 2),
        ((1.7, UnexpectedReply("of 3 bytes")), 1.7, 2),
        ((NoReply("the part", 0.25), 1.1), None, 1),
    ],
)
async def test_a_doubtful_answer_is_asked_for_again_and_the_second_counts_if_one_comes(
    answers: tuple[float | Exception, ...], counts: float | None, asked: int
) -> None:
    left = list(answers)

    async def question() -> float:
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    sweep = Sweep()
    assert await sweep.take(Channel.CORE_V, again(question, lambda volts: volts > 1.4, lambda *_: True)) == counts
    assert len(answers) - len(left) == asked
    assert sweep.reading().channels == {Channel.CORE_V: counts}


@pytest.mark.parametrize(
    ("words", "counts"),
    [((0x20, 0x20), 0x20), ((0x20, 0x00), 0x00), ((0x20, 0x10), None), ((0x20, 0x8820), 0x8820)],
)
async def test_two_doubtful_answers_that_are_not_alike_are_none(words: tuple[int, int], counts: int | None) -> None:
    left = list(words)

    async def question() -> int:
        return left.pop(0)

    sweep = Sweep()
    asked = again(question, lambda word: word & 0xFF != 0, lambda first, second: first & 0xFF == second & 0xFF)
    assert await sweep.ask((Channel.STATUS_WORD,), asked) == counts
    notes = sweep.reading().notes
    assert notes == ({} if counts is not None else {Channel.STATUS_WORD: "32 and, asked again, 16"})


@pytest.mark.parametrize(("second", "alike"), [(1.45, True), (1.59, True), (1.44, False), (1.61, False), (0.0, False)])
def test_two_readings_of_a_rail_are_close_within_5_percent(second: float, alike: bool) -> None:
    assert close(1.52, second) is alike


async def test_two_silences_in_a_row_end_the_sweep() -> None:
    sweep = Sweep()
    asked = []

    async def counted() -> float:
        asked.append(1)
        return await silent()

    for channel in (Channel.CORE_V, Channel.CORE_A, Channel.VR_C, Channel.CHIP_C):
        await sweep.take(channel, counted)
    assert len(asked) == 2
    assert sweep.over
    reading = sweep.reading()
    assert reading.bus_silent
    assert set(reading.channels.values()) == {None}


async def test_an_answer_between_two_silences_keeps_the_sweep_going() -> None:
    sweep = Sweep()
    for question in (silent, good, silent, absent, silent, good):
        await sweep.take(Channel.CORE_V, question)
    assert not sweep.over
    assert not sweep.reading().bus_silent


async def test_questions_that_take_too_long_end_the_sweep_in_time() -> None:
    sweep = Sweep()

    async def slow() -> float:
        await asyncio.sleep(0.4)
        return 1.0

    loop = asyncio.get_running_loop()
    began_s = loop.time()
    for channel in (Channel.CORE_V, Channel.CORE_A, Channel.VR_C):
        await sweep.take(channel, slow)
    assert loop.time() - began_s <= LIMIT_S + 1e-6
    reading = sweep.reading()
    assert reading.channels == {Channel.CORE_V: 1.0, Channel.CORE_A: None, Channel.VR_C: None}


async def test_one_question_may_cost_several_channels() -> None:
    sweep = Sweep()
    assert await sweep.ask((Channel.CORE_V, Channel.CORE_A), absent) is None
    assert sweep.reading().channels == {Channel.CORE_V: None, Channel.CORE_A: None}


async def test_what_is_left_out_is_marked_as_blanked() -> None:
    sweep = Sweep()
    sweep.leave_out(Channel.VR_C, "the regulator was just switched on")
    assert sweep.reading().notes[Channel.VR_C] == "blanked: the regulator was just switched on"


async def test_a_port_that_is_gone_is_not_a_reading() -> None:
    sweep = Sweep()

    async def gone() -> float:
        raise Unplugged("control", "unplugged")

    with pytest.raises(Unplugged):
        await sweep.take(Channel.CORE_V, gone)


async def test_an_answer_that_makes_no_sense_is_none_with_the_reason() -> None:
    sweep = Sweep()

    async def odd() -> float:
        raise UnexpectedReply("a word of 1 bytes: 05")

    await sweep.take(Channel.CORE_V, odd)
    assert sweep.reading().notes[Channel.CORE_V] == "a word of 1 bytes: 05"
