"""Screen 3: everything that has happened."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from controller.tui import words
from controller.tui.desk import Desk
from controller.tui.screens.base import RigScreen
from controller.tui.widgets.entry import Entry
from controller.tui.widgets.heading import Heading
from controller.tui.widgets.keybar import KeyBar
from controller.tui.widgets.log_view import Detail, LogView
from controller.tui.widgets.stop import StopPanel


class LogScreen(RigScreen):
    """The log above, the marked event below."""

    AUTO_FOCUS = "LogView"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "search", key_display="/", id="log.search"),
        Binding("l", "level", "level", id="log.level"),
        Binding("f", "follow", "follow", id="log.follow"),
        Binding("c", "chain", "cause chain", id="log.chain"),
        Binding("escape", "everything", "show everything", show=False, id="log.everything"),
    ]

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        # Here, not when the screen is composed: the first beat and the first key may come before that.
        self.view = LogView(desk)
        self._search = Entry(
            id="search",
            placeholder="words that a line has to have; enter keeps them, esc lifts them",
            select_on_focus=True,
        )
        self._detail = Detail(desk, self.view)

    def compose(self) -> ComposeResult:
        yield Heading(self.desk)
        yield self.view
        yield self._search
        yield self._detail
        yield StopPanel(self.desk)
        yield KeyBar(self.desk)

    def on_mount(self) -> None:
        self._search.display = False

    def freshen(self) -> None:
        if self.desk.paused_s is None:
            self.view.take()
        super().freshen()

    def on_log_view_moved(self) -> None:
        self._detail.freshen()

    def action_search(self) -> None:
        self._search.display = True
        self.set_focus(
            self._search
        )  # at once: what is typed ahead of a focus that comes later would be taken for commands

    def on_input_changed(self, event: Input.Changed) -> None:
        self.view.narrow(words=event.value)

    def on_input_submitted(self) -> None:
        self._leave_search()

    def action_level(self) -> None:
        at = words.LEVELS.index(self.view.level)
        self.view.narrow(level=words.LEVELS[(at + 1) % len(words.LEVELS)])

    def action_follow(self) -> None:
        self.view.follow()

    def action_chain(self) -> None:
        self.view.show_chain()

    def action_everything(self) -> None:
        """Esc: no words, no chain. But first it closes what lies over the log, as it does everywhere."""
        if self.desk.store.stop is not None:
            self.desk.store.dismiss_stop()
            self.freshen()
            return
        self._search.value = ""
        self._leave_search()
        self.view.narrow(words="")

    def _leave_search(self) -> None:
        self._search.display = bool(self._search.value)
        self.view.focus()
