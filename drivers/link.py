"""Link: the one place where bytes meet meaning. A transport, a codec, and the questions that wait for an answer.

Push-driven: the codec is fed in the turn of the loop in which the bytes were read, each message goes to the first
question that picks it, and what nobody asked for leaves as one list a read.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

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


class _Question(Generic[In, R]):
    """Somebody waits for answers. It is over at the first pause of `quiet_s` after an answer; None: not before time."""

    def __init__(
        self,
        pick: Callable[[In], R | None],
        quiet_s: float | None,
        loop: asyncio.AbstractEventLoop,
        due_s: float,
        task: asyncio.Task[Any] | None,
    ) -> None:
        self._pick, self._quiet_s, self._loop, self._task = pick, quiet_s, loop, task
        self._timer: asyncio.TimerHandle | None = None
        self._cancelled = False
        self.due_s = due_s
        self.written = False
        self.answers: list[R] = []
        self.over: asyncio.Future[None] = loop.create_future()

    def offer(self, message: In) -> bool:
        """Whether this question takes the message."""
        if self.over.done():
            return False
        picked = self._pick(message)
        if picked is None:
            return False
        self.answers.append(picked)
        if self._timer is not None:
            self._timer.cancel()
        if self._quiet_s is None:
            return True
        if self._quiet_s > 0:
            self._timer = self._loop.call_later(self._quiet_s, self.end)
        else:
            self.end()
        return True

    def fail(self, error: Exception) -> None:
        if not self.over.done():
            self.over.set_exception(error)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self.over.cancel() and not self.over.cancelled():
            self.over.exception()  # given up and failed at once: nobody else will ask

    def expire(self) -> None:
        """Its time is up. Only a write that does not end has to be cancelled."""
        if self.written or self._task is None:
            self.end()
        else:
            self._cancelled = True
            self._task.cancel()

    def gave_up(self) -> bool:
        """Whether a cancellation was `expire` and nothing else."""
        return self._cancelled and self._task is not None and self._task.uncancel() == 0

    def end(self) -> None:
        """No further answer is waited for."""
        if not self.over.done():
            self.over.set_result(None)


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
        self._questions: list[_Question[In, Any]] = []
        self._lost: Unplugged | None = None
        self._closed = False
        self._watcher: asyncio.TimerHandle | None = None
        self._watched_until_s = math.inf

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
            raise Unplugged(self._lost.port, self._lost.why) from self._lost
        data = self._codec.encode(message)
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug("%s > %s %r", self._transport.name, data.hex(" "), message)
        await self._transport.write(data)

    async def ask(self, message: Out, pick: Callable[[In], R | None], timeout_s: float, what: str) -> R:
        """Write a message and wait for its answer: the first for which `pick` returns something, which is returned.

        Several questions may wait at once; each message is offered to them in the order in which they were asked.
        Raises `NoReply(what)` after `timeout_s`, the time of the write included, and `Unplugged`. An answer that
        comes after that is an event.
        """
        answers = await self._exchange(message, pick, timeout_s, quiet_s=0.0)
        if not answers:
            raise NoReply(what, timeout_s)
        return answers[0]

    async def collect(
        self, message: Out, pick: Callable[[In], R | None], timeout_s: float, quiet_s: float | None = None
    ) -> list[R]:
        """Write a message and gather every answer that `pick` takes, for `timeout_s`.

        With `quiet_s` it ends earlier: that long after an answer, when no other came. Nobody answering is an empty
        list, not an error. Raises `Unplugged`.
        """
        return await self._exchange(message, pick, timeout_s, quiet_s)

    async def _exchange(
        self, message: Out, pick: Callable[[In], R | None], timeout_s: float, quiet_s: float | None
    ) -> list[R]:
        loop = asyncio.get_running_loop()
        question = _Question(pick, quiet_s, loop, loop.time() + timeout_s, asyncio.current_task(loop))
        self._questions.append(question)  # before the write: in memory the answer comes inside it
        self._watch(loop, question.due_s)
        try:
            await self.send(message)
            question.written = True
            await question.over
        except asyncio.CancelledError:
            if not question.gave_up():
                raise
        finally:
            self._questions.remove(question)
            question.close()
        return question.answers

    def _watch(self, loop: asyncio.AbstractEventLoop, due_s: float) -> None:
        """One timer for all questions. It is not taken back when they are answered: most never come near their limit,
        and a timer each costs as much as a whole exchange in memory."""
        if due_s < self._watched_until_s:
            if self._watcher is not None:
                self._watcher.cancel()
            self._watched_until_s = due_s
            self._watcher = loop.call_at(due_s, self._expire, loop)

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        due_s, self._watched_until_s, self._watcher = self._watched_until_s, math.inf, None
        waiting = [question for question in self._questions if not question.over.done()]
        for question in waiting:
            if question.due_s <= due_s:
                question.expire()
        next_s = min((question.due_s for question in waiting if question.due_s > due_s), default=math.inf)
        if next_s < math.inf:
            self._watch(loop, next_s)

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
        if self._watcher is not None:
            self._watcher.cancel()
            self._watcher, self._watched_until_s = None, math.inf
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
            question.fail(for_questions or Unplugged(lost.port, lost.why))
        if self._on_lost is not None and not self._closed:
            self._on_lost(lost)
