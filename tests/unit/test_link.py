"""Link: who gets which message, when a question ends, and that nothing which goes wrong stays silent."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from drivers.errors import NoReply, Unplugged, UsageError
from drivers.link import Link
from drivers.transports.memory import MemoryWire, memory_pair


class Words:
    """A codec of words with a space behind each. `!` cannot be encoded, `?` cannot be decoded."""

    def __init__(self) -> None:
        self._rest = b""

    def encode(self, message: str) -> bytes:
        if message == "!":
            raise UsageError("word", message, "words")
        return message.encode() + b" "

    def feed(self, data: bytes) -> list[str]:
        if b"?" in data:
            raise ArithmeticError("cannot decode")
        *words, self._rest = (self._rest + data).split(b" ")
        return [word.decode() for word in words]


class Bench:
    """A link over a memory pair; what the host says is kept in `heard`."""

    def __init__(self) -> None:
        transport, self.wire = memory_pair("bench")
        self.heard: list[bytes] = []
        self.wire.attach(lambda _baud, data: self.heard.append(data), lambda _baud: None)
        self.events: list[list[str]] = []
        self.lost: list[Unplugged] = []
        self.link: Link[str, str] = Link(transport, Words(), on_events=self.events.append, on_lost=self.lost.append)
        self.link.start()

    def echo(self, answer: bytes) -> None:
        """Answer every write at once, inside the write."""
        self.wire.attach(lambda _baud, _data: self.wire.deliver(answer), lambda _baud: None)


def is_word(word: str) -> Any:
    return lambda candidate: candidate if candidate == word else None


def later(seconds: float, wire: MemoryWire, data: bytes) -> None:
    asyncio.get_running_loop().call_later(seconds, wire.deliver, data)


async def test_an_answer_inside_the_write_is_not_missed() -> None:
    bench = Bench()
    bench.echo(b"yes ")
    assert await bench.link.ask("q", is_word("yes"), 1.0, "q") == "yes"


async def test_ask_returns_what_pick_made_of_the_message() -> None:
    bench = Bench()
    bench.echo(b"value:42 ")
    answer = await bench.link.ask("q", lambda word: int(word[6:]) if word.startswith("value:") else None, 1.0, "q")
    assert answer == 42


async def test_a_false_answer_is_an_answer() -> None:
    bench = Bench()
    bench.echo(b"low ")
    assert await bench.link.ask("q", lambda word: word == "high", 1.0, "q") is False


async def test_what_nobody_asked_for_comes_as_one_list_a_read() -> None:
    bench = Bench()
    later(0.1, bench.wire, b"a b yes c ")
    later(0.2, bench.wire, b"d e ")
    assert await bench.link.ask("q", is_word("yes"), 1.0, "q") == "yes"
    await asyncio.sleep(0.5)
    assert bench.events == [["a", "b", "c"], ["d", "e"]]


async def test_a_read_that_held_only_the_answer_is_no_event() -> None:
    bench = Bench()
    bench.echo(b"yes ")
    await bench.link.ask("q", is_word("yes"), 1.0, "q")
    bench.wire.deliver(b"half")
    assert bench.events == []


async def test_a_link_without_listeners_drops_what_nobody_asked_for() -> None:
    transport, wire = memory_pair()
    link: Link[str, str] = Link(transport, Words())
    link.start()
    wire.deliver(b"a ")
    wire.hang_up()
    assert link.lost is not None


async def test_an_answer_may_come_in_pieces() -> None:
    bench = Bench()
    later(0.1, bench.wire, b"y")
    later(0.2, bench.wire, b"es")
    later(0.3, bench.wire, b" ")
    assert await bench.link.ask("q", is_word("yes"), 1.0, "q") == "yes"
    assert asyncio.get_running_loop().time() == pytest.approx(0.3)


async def test_silence_is_no_reply_after_exactly_the_timeout_and_names_the_question() -> None:
    bench = Bench()
    with pytest.raises(NoReply, match=r"chip id within 0\.250 s") as caught:
        await bench.link.ask("q", is_word("yes"), 0.25, "chip id")
    assert (caught.value.what, caught.value.waited_s) == ("chip id", 0.25)
    assert asyncio.get_running_loop().time() == 0.25


async def test_an_answer_that_comes_too_late_is_an_event() -> None:
    bench = Bench()
    later(0.3, bench.wire, b"yes ")
    with pytest.raises(NoReply):
        await bench.link.ask("q", is_word("yes"), 0.25, "q")
    await asyncio.sleep(0.1)
    assert bench.events == [["yes"]]


async def test_several_questions_wait_at_once_and_each_gets_its_own_answer() -> None:
    bench = Bench()
    later(0.1, bench.wire, b"two one ")
    async with asyncio.TaskGroup() as tasks:
        one = tasks.create_task(bench.link.ask("q1", is_word("one"), 1.0, "one"))
        two = tasks.create_task(bench.link.ask("q2", is_word("two"), 1.0, "two"))
    assert (one.result(), two.result()) == ("one", "two")
    assert bench.heard == [b"q1 ", b"q2 "]


async def test_equal_questions_are_answered_in_the_order_in_which_they_were_asked() -> None:
    bench = Bench()
    later(0.1, bench.wire, b"7 8 ")
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(bench.link.ask("q", lambda word: word, 1.0, "first"))
        second = tasks.create_task(bench.link.ask("q", lambda word: word, 1.0, "second"))
    assert (first.result(), second.result()) == ("7", "8")
    assert bench.events == []


async def test_a_cancelled_question_leaves_its_answer_to_the_events() -> None:
    bench = Bench()
    asking = asyncio.create_task(bench.link.ask("q", is_word("yes"), 1.0, "q"))
    await asyncio.sleep(0.1)
    asking.cancel()
    await asyncio.wait([asking])
    bench.wire.deliver(b"yes ")
    assert bench.events == [["yes"]]


async def test_collect_gathers_until_the_line_is_quiet() -> None:
    bench = Bench()
    for moment_s in (0.10, 0.13, 0.16, 0.30):
        later(moment_s, bench.wire, f"chip{moment_s} other ".encode())
    found = await bench.link.collect("q", lambda word: word if word.startswith("chip") else None, 1.0, quiet_s=0.05)
    assert found == ["chip0.1", "chip0.13", "chip0.16"]
    assert asyncio.get_running_loop().time() == pytest.approx(0.21)
    assert bench.events == [["other"]] * 3


async def test_collect_without_a_pause_lasts_its_whole_time() -> None:
    bench = Bench()
    later(0.1, bench.wire, b"a ")
    later(0.9, bench.wire, b"b ")
    assert await bench.link.collect("q", lambda word: word, 1.0) == ["a", "b"]
    assert asyncio.get_running_loop().time() == 1.0


async def test_collect_of_nobody_is_empty_after_its_whole_time() -> None:
    bench = Bench()
    assert await bench.link.collect("q", lambda word: word, 0.5, quiet_s=0.01) == []
    assert asyncio.get_running_loop().time() == 0.5


async def test_a_lost_port_ends_every_question_and_is_reported_once() -> None:
    bench = Bench()
    asking = [
        asyncio.create_task(bench.link.ask("q", is_word("yes"), 5.0, "a")),
        asyncio.create_task(bench.link.ask("q", is_word("no"), 5.0, "b")),
        asyncio.create_task(bench.link.collect("q", is_word("no"), 5.0)),
    ]
    await asyncio.sleep(0.1)
    bench.wire.hang_up("unplugged")
    ends = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(end) for end in ends] == [Unplugged] * 3
    assert asyncio.get_running_loop().time() == 0.1
    assert [str(error) for error in bench.lost] == ["bench: unplugged"]
    assert bench.link.lost is bench.lost[0]


async def test_a_lost_link_refuses_to_send_and_to_ask() -> None:
    bench = Bench()
    bench.wire.hang_up("unplugged")
    with pytest.raises(Unplugged, match="unplugged"):
        await bench.link.send("q")
    with pytest.raises(Unplugged, match="unplugged"):
        await bench.link.ask("q", is_word("yes"), 1.0, "q")
    assert bench.heard == []


async def test_close_ends_the_questions_and_is_not_reported_as_a_loss() -> None:
    bench = Bench()
    asking = asyncio.create_task(bench.link.ask("q", is_word("yes"), 5.0, "q"))
    await asyncio.sleep(0.1)
    await bench.link.aclose()
    await bench.link.aclose()
    with pytest.raises(Unplugged, match="closed"):
        await asking
    assert bench.lost == []


async def test_a_codec_that_raises_ends_the_link_loudly() -> None:
    bench = Bench()
    asking = asyncio.create_task(bench.link.ask("q", is_word("yes"), 5.0, "q"))
    await asyncio.sleep(0.1)
    with pytest.raises(ArithmeticError, match="cannot decode"):
        bench.wire.deliver(b"?")
    with pytest.raises(ArithmeticError, match="cannot decode"):
        await asking
    assert bench.link.lost is not None
    assert isinstance(bench.link.lost.__cause__, ArithmeticError)
    assert bench.lost == [bench.link.lost]
    bench.wire.deliver(b"yes ")
    assert bench.events == []


async def test_a_listener_that_raises_ends_the_link_loudly() -> None:
    transport, wire = memory_pair()

    def listen(_words: list[str]) -> None:
        raise LookupError("no such chip")

    link: Link[str, str] = Link(transport, Words(), on_events=listen)
    link.start()
    with pytest.raises(LookupError):
        wire.deliver(b"a ")
    with pytest.raises(Unplugged, match="no such chip"):
        await link.send("q")


async def test_a_message_that_cannot_be_encoded_is_the_callers_error_and_sends_nothing() -> None:
    bench = Bench()
    with pytest.raises(UsageError):
        await bench.link.ask("!", is_word("yes"), 1.0, "q")
    assert bench.heard == []
    assert bench.link.lost is None


async def test_a_timeout_from_outside_is_not_taken_for_ours() -> None:
    bench = Bench()
    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(0.1):
            await bench.link.ask("q", is_word("yes"), 1.0, "q")
    assert not isinstance(caught.value, NoReply)


async def test_the_timeout_covers_a_write_that_hangs() -> None:
    class Wedged:
        name = "wedged"

        def start(self, sink: object) -> None: ...

        async def write(self, data: bytes) -> None:
            await asyncio.sleep(1e9)

        async def set_baud(self, baud: int) -> None: ...

        async def discard_input(self) -> None: ...

        async def aclose(self) -> None: ...

    link: Link[str, str] = Link(Wedged(), Words())
    with pytest.raises(NoReply):
        await link.ask("q", is_word("yes"), 0.5, "q")
    assert asyncio.get_running_loop().time() == 0.5


async def test_messages_released_by_silence_go_the_same_way_as_read_ones() -> None:
    bench = Bench()
    loop = asyncio.get_running_loop()
    loop.call_later(0.05, bench.link.dispatch, ["yes", "stray"])
    assert await bench.link.ask("q", is_word("yes"), 1.0, "q") == "yes"
    assert bench.events == [["stray"]]


async def test_every_frame_is_logged_in_hex_when_somebody_wants_to_know(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    bench.echo(b"yes ")
    with caplog.at_level(logging.DEBUG, logger="drivers.link"):
        await bench.link.ask("q", is_word("yes"), 1.0, "q")
    assert [record.getMessage() for record in caplog.records] == ["bench > 71 20 'q'", "bench < 79 65 73 20"]


async def test_nothing_is_formatted_for_the_log_when_nobody_does() -> None:
    class Unprintable(str):
        def __repr__(self) -> str:
            raise AssertionError("formatted for nobody")

    bench = Bench()
    await bench.link.send(Unprintable("q"))
    assert bench.heard == [b"q "]
