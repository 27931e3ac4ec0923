"""Screen 1: one board as it is."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from controller.model import Channel
from controller.tui.screens.base import RigScreen
from controller.tui.trend import Trend
from controller.tui.widgets.chart import Curve, TrendPanel
from controller.tui.widgets.facts import Counters, Latest, Point, Protections, Work
from controller.tui.widgets.heading import Heading
from controller.tui.widgets.keybar import KeyBar
from controller.tui.widgets.readings import Readings
from controller.tui.widgets.stop import StopPanel


class BoardScreen(RigScreen):
    """Readings, work, point, trends, counters, protections, events."""

    def compose(self) -> ComposeResult:
        yield Heading(self.desk)
        with Horizontal(id="now"):
            yield Readings(self.desk)
            with Vertical(id="aside"):
                yield Work(self.desk)
                yield Point(self.desk)
        yield TrendPanel(self._curves(), id="trends")
        with Horizontal(id="below"):
            yield Counters(self.desk)
            yield Protections(self.desk)
            yield Latest(self.desk)
        yield StopPanel(self.desk)
        yield KeyBar(self.desk)

    def _curves(self) -> list[Curve]:
        def of(channel: Channel) -> Trend | None:
            view = self.desk.store.views.get(self.desk.selected)
            return None if view is None else view.trends.get(channel)

        def rate() -> Trend | None:
            view = self.desk.store.views.get(self.desk.selected)
            return None if view is None else view.rate

        return [
            Curve("die °C", 1, 4.0, lambda: of(Channel.CHIP_C)),
            Curve("power W", 1, 2.0, lambda: of(Channel.POWER_W)),
            Curve("rate TH/s", 3, 0.05, rate, scale=1e-12),
            Curve("input V", 2, 0.2, lambda: of(Channel.INPUT_V)),
        ]
