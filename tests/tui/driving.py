"""An app under a pilot: a clock that stands still until a test moves it, and waiting for what the screen should do."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from textual.pilot import Pilot
from textual.widget import Widget

from controller.model import RigPort
from controller.profiles import Profiles
from controller.tui.app import HashbridgeApp
from controller.tui.widgets.panel import Panel

NARROW: Final = (80, 24)
USUAL: Final = (120, 40)
WITHIN_TURNS: Final = 400
"""About ten seconds on a slow machine: longer than anything here takes, shorter than a person waits for a test."""


@dataclass
class StillClock:
    """The screen's clock, in the hands of the test."""

    now_s: float = 1000.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Seat:
    """Somebody sits before the screen."""

    app: HashbridgeApp
    pilot: Pilot[None]
    clock: StillClock
    opened: list[RigPort] = field(default_factory=list)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def type(self, text: str) -> None:
        await self.pilot.press(*text)

    async def until(self, what: Callable[[], object], why: str = "") -> None:
        """Until it is so. The screen gets its beats meanwhile."""
        for _ in range(WITHIN_TURNS):
            if what():
                return
            self.app.beat()
            await self.pilot.pause(0.01)
        raise AssertionError(f"it never came to that: {why or what.__name__}\n{self.text()}")

    async def until_it_is(self, wanted: object, what: Callable[[], object], why: str = "") -> None:
        """Until `what` gives this."""
        await self.until(lambda: what() == wanted, why or f"{wanted!r}, it is {what()!r}")

    async def settle(self) -> None:
        """Everything that came is on the screen."""
        await self.pilot.pause()
        self.app.freshen()
        await self.pilot.pause()

    # --- what is seen -------------------------------------------------------------------------------------------------

    def text(self) -> str:
        """The whole screen as it is painted, modals included, line by line."""
        size = self.app.size
        return "\n".join(strip.text for strip in self.app.screen._compositor.render_strips(size))

    def panel(self, name: str) -> str:
        """The text of one panel, by its id."""
        return text_of(self.app.screen.query_one(f"#{name}", Panel))

    @property
    def toasts(self) -> list[str]:
        return [str(notification.message) for notification in self.app._notifications]

    @property
    def modal(self) -> str:
        """The name of the modal screen that lies over the others; empty when none does."""
        return type(self.app.screen).__name__ if self.app.screen.is_modal else ""


def text_of(widget: Widget) -> str:
    return "\n".join(
        "".join(segment.text for segment in widget.render_line(y)).rstrip() for y in range(widget.content_size.height)
    )


@contextlib.asynccontextmanager
async def seat(
    *ports: RigPort | Exception,
    size: tuple[int, int] = USUAL,
    mode: str = "board",
    profiles: Profiles | None = None,
    clock: StillClock | None = None,
    **options: Any,
) -> AsyncIterator[Seat]:
    """The app over these rigs: the first joining gets the first, the second the second, and so on."""
    waiting = iter(ports)
    opened: list[RigPort] = []

    async def open_port() -> RigPort:
        port = next(waiting)
        if isinstance(port, Exception):
            raise port
        opened.append(port)
        return port

    clock = clock or StillClock()
    app = HashbridgeApp(open_port, profiles=profiles, clock=clock, **options)
    async with app.run_test(size=size) as pilot:
        sitting = Seat(app, pilot, clock, opened)
        await sitting.until(lambda: app.desk.board is not None or not app.desk.store.line.up, "the first readings")
        if mode != "board":
            app.switch_mode(mode)
        await sitting.settle()
        yield sitting
