"""The lists to choose from, where there is no room for them: on a screen of five lines a page is nothing."""

from __future__ import annotations

from contextlib import suppress
from typing import Literal

from textual.command import CommandPalette
from textual.widgets import OptionList


class Choices(OptionList):
    """Page up and page down wait until the list has been laid out, which in no room at all it never is."""

    def _move_page(self, direction: Literal[-1, 1]) -> None:
        with suppress(KeyError, IndexError):  # the library looks up the line of an option that has none yet
            super()._move_page(direction)


class Palette(CommandPalette):
    """The same for the list of commands."""

    def _action_command_list(self, action: str) -> None:
        with suppress(KeyError, IndexError):  # as above
            super()._action_command_list(action)
