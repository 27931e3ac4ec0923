"""Link: the one place where bytes meet meaning. A transport, a codec, and the questions that wait for an answer.

Push-driven: the codec is fed in the turn of the loop in which the bytes were read, each message goes to the first
question that picks it, and what nobody asked for leaves as one list a read.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from drivers.errors import NoReply, Unplugged
from drivers.traits import Transport

Out = TypeVar("Out")
Out_contra = TypeVar("Out_contra", contravariant=True)
In = TypeVar("In")
R = TypeVar("R")

_log = logging.getLogger(__name__)


class Codec(Protocol[Out_contra, In]):
    """Turns messages into bytes and back. Opens nothing and waits for nothing."""

    def encode(self, message: Out_contra, /) -> bytes: ...

    def feed(self, data: bytes, /) -> list[In]: ...


class _Question(Generic[In]):
    """Somebody waits. `offer` says whether it took the message."""

    def __init__(self, offer: Callable[[In], bool], done: asyncio.Future[None]) -> None:
        self.offer, self.done = offer, done


class Link(Generic[Out, In]):
    """Questions and answers over one transport.

    `on_events` gets what no question picked, one call a read. `on_lost` is called once when the port is gone, after
    all pending questions have been told. A codec, a `pick` or an `on_events` that raises ends the link: pending
    questions raise that very error, the link counts as lost, and the error goes on to the loop's exception handler.
    """

    def __init__(
        self,
        transport: Transport,
        codec: Codec[Out, In],
        *,
        on_events: Callable[[list[In]], None] | None = None,
        on_lost: Callable[[Unplugged], None] | None = None,
    ) -> None:
        self._transport, self._codec = transport, codec
        self._on_events, self._on_lost = on_events, on_lost
        self._questions: list[_Question[In]] = []
        self._lost: Unplugged | None = None
        self._closed = False

    @property
    def transport(self) -> Transport:
        return self._transport

    @property
    def lost(self) -> Unplugged | None:
        """Why the link is dead; None while it lives."""
        return self._lost

    def start(self) -> None:
        """Begin to read. Needs a running loop."""
        self._transport.start(self)

    async def send(self, message: Out) -> None:
        """Write one message. Raises `Unplugged`."""
        if self._lost is not None:
            raise self._lost
        data = self._codec.encode(message)
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug("%s > %s %r", self._transport.name, data.hex(" "), message)
        await self._transport.write(data)

    async def ask(self, message: Out, pick: Callable[[In], R | None], timeout_s: float, what: str) -> R:
        """Write a message and wait for its answer: the first for which `pick` returns something, which is returned.

        Several questions may wait at once; each message is offered to them in the order in which they were asked.
        Raises `NoReply(what)` after `timeout_s`, the time of the write included, and `Unplugged`.
        """
        answers: list[R] = []

        def offer(candidate: In) -> bool:
            if done.done():
                return False
            picked = pick(candidate)
            if picked is None:
                return False
            answers.append(picked)
            done.set_result(None)
            return True

        done = asyncio.get_running_loop().create_future()
        question = _Question(offer, done)
        self._questions.append(question)
        limit = asyncio.timeout(timeout_s)
        try:
            async with limit:
                await self.send(message)
                await done
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise NoReply(what, timeout_s) from error
        finally:
            self._questions.remove(question)
            _forget(done)
        return answers[0]

    async def collect(
        self, message: Out, pick: Callable[[In], R | None], timeout_s: float, quiet_s: float | None = None
    ) -> list[R]:
        """Write a message and gather every answer that `pick` takes, for `timeout_s`.

        With `quiet_s` it ends earlier: that long after an answer, when no other came. Nobody answering is an empty
        list, not an error. Raises `Unplugged`.
        """
        loop = asyncio.get_running_loop()
        answers: list[R] = []
        done: asyncio.Future[None] = loop.create_future()
        timer: asyncio.TimerHandle | None = None

        def finish() -> None:
            if not done.done():
                done.set_result(None)

        def offer(candidate: In) -> bool:
            nonlocal timer
            picked = None if done.done() else pick(candidate)
            if picked is None:
                return False
            answers.append(picked)
            if quiet_s is not None:
                if timer is not None:
                    timer.cancel()
                timer = loop.call_later(quiet_s, finish)
            return True

        question = _Question(offer, done)
        self._questions.append(question)
        limit = asyncio.timeout(timeout_s)
        try:
            async with limit:
                await self.send(message)
                await done
        except TimeoutError:
            if not limit.expired():
                raise
        finally:
            if timer is not None:
                timer.cancel()
            self._questions.remove(question)
            _forget(done)
        return answers

    def dispatch(self, messages: list[In]) -> None:
        """Hand out messages as if they had just been read: for codecs that release some after a silence."""
        questions = self._questions
        if questions:
            messages = [message for message in messages if not any(question.offer(message) for question in questions)]
        if messages and self._on_events is not None:
            self._on_events(messages)

    async def aclose(self) -> None:
        """Close the transport. Questions that still wait raise `Unplugged`. May be called twice, never raises."""
        self._closed = True
        self._end(Unplugged(self._transport.name, "closed"))
        await self._transport.aclose()

    # --- ByteSink ---

    def data_received(self, data: bytes) -> None:
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug("%s < %s", self._transport.name, data.hex(" "))
        if self._lost is not None:
            return
        try:
            self.dispatch(self._codec.feed(data))
        except Exception as error:
            lost = Unplugged(self._transport.name, f"what came in could not be handled: {error!r}")
            lost.__cause__ = error
            self._end(lost, error)
            raise

    def connection_lost(self, error: Exception) -> None:
        self._end(error if isinstance(error, Unplugged) else Unplugged(self._transport.name, str(error)))

    def _end(self, lost: Unplugged, for_questions: Exception | None = None) -> None:
        if self._lost is not None:
            return
        self._lost = lost
        _log.debug("%s lost: %s", self._transport.name, lost.why)
        for question in self._questions:
            if not question.done.done():
                question.done.set_exception(for_questions or lost)
        if self._on_lost is not None and not self._closed:
            self._on_lost(lost)


def _forget(done: asyncio.Future[None]) -> None:
    """A question that was given up may have been answered with an error as well; nobody will ask for it."""
    if done.done() and not done.cancelled():
        done.exception()
    else:
        done.cancel()
