"""Feeds a chain, of a rig or without one: one work session at a time, and the task that sends its jobs."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable

from controller.tasks import end_tasks
from controller.work.planning import WorkPlan
from controller.work.session import WorkSession
from drivers.asics.chain import Chain
from drivers.errors import Unplugged

log = logging.getLogger(__name__)


class Feeder:
    """`failed` is called with what ended the work; not with the loss of the port, of which the chain tells."""

    def __init__(self, name: str, failed: Callable[[Exception], None]) -> None:
        self.session: WorkSession | None = None
        """The one that runs, or the last one."""
        self._name, self._failed = name, failed
        self._numbers = itertools.count(1)
        self._task: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        """Work was begun and nobody has stopped it."""
        return self._task is not None

    def begin(self, plan: WorkPlan, chain: Chain, watched: Callable[[], bool]) -> WorkSession:
        """`watched`: whether somebody looks at the chain. While it is false nothing is sent."""
        self.session = plan.begin(chain, self._numbers, asyncio.get_running_loop().time, watched)
        self._task = asyncio.create_task(self._run(self.session), name=f"{self._name} work")
        return self.session

    async def _run(self, session: WorkSession) -> None:
        try:
            await session.run()
        except Unplugged:
            log.info("%s: work ends with the data port", self._name)
        except Exception as error:
            log.exception("%s: work failed", self._name)
            self._failed(error)

    async def pause(self) -> bool:
        """The work stands still, and what was cut short is not due; False: none runs."""
        if self._task is None or self.session is None:
            return False
        self.session.hold()
        await end_tasks(self._task)
        return True

    def resume(self) -> None:
        """The same work goes on, with its counts."""
        if self._task is None or self.session is None:
            return  # it was stopped meanwhile
        self.session.resume()
        self._task = asyncio.create_task(self._run(self.session), name=f"{self._name} work")

    async def stop(self, *, abort: bool) -> None:
        """Ends the work, if any runs; without `abort` the last window may end."""
        task, self._task = self._task, None
        session = self.session
        if task is None or session is None:
            return
        try:
            # A safe-off may end this here and finds no task any more: the session has to end all the same.
            await end_tasks(task)
            if not abort:
                await session.finish()
        finally:
            session.abort()
