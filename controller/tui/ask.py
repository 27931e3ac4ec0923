"""Short questions to a person: one line of text, a choice, yes or no. Esc always means no."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, TypeVar

from textual.app import ComposeResult
from textual.await_complete import AwaitComplete
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Label, OptionList, Static
from textual.widgets.option_list import Option

from controller.text import printable
from controller.tui.desk import ABSURD
from controller.tui.palette import Choices
from controller.tui.widgets.entry import Entry

R = TypeVar("R")


class Question(ModalScreen[R]):
    """Answered once: a second Enter that was on its way counts no more, nor one that comes after a stop."""

    def dismiss(self, result: R | None = None) -> AwaitComplete:
        return super().dismiss(result) if self.is_active else AwaitComplete()


class AskText(Question[str | None]):
    """One line. `check` says what is wrong with it, or None; a wrong line is not taken, and the reason stands below."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "leave it")]

    def __init__(
        self, title: str, hint: str = "", value: str = "", check: Callable[[str], str | None] | None = None
    ) -> None:
        super().__init__(classes="ask")
        self._title, self._hint, self._value, self._check = title, hint, value, check

    def compose(self) -> ComposeResult:
        with Vertical(classes="box") as box:
            box.border_title = Content(printable(self._title))
            yield Entry(self._value, id="answer", max_length=500)
            yield Static(self._hint, id="hint", markup=False)

    def on_input_changed(self) -> None:
        self._say(self._hint, wrong=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        wrong = self._check(event.value) if self._check is not None else None
        if wrong is None:
            self.dismiss(event.value)
        else:
            self._say(wrong, wrong=True)

    def _say(self, text: str, *, wrong: bool) -> None:
        hint = self.query_one("#hint", Static)
        hint.update(printable(text))
        hint.set_class(wrong, "wrong")


class AskChoice(Question[str | None]):
    """One of several, by arrows and enter."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "leave it")]

    def __init__(self, title: str, choices: Sequence[tuple[str, str]]) -> None:
        super().__init__(classes="ask")
        self._title, self._choices = title, choices

    def compose(self) -> ComposeResult:
        with Vertical(classes="box") as box:
            box.border_title = Content(printable(self._title))
            yield Choices(
                *(Option(printable(text), id=str(at)) for at, (_, text) in enumerate(self._choices)), markup=False
            )

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._choices[event.option_index][0])


class AskYesNo(Question[bool]):
    """No is what Esc, Enter and every other way out mean."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "dismiss(True)", "yes"),
        Binding("n,escape,enter", "dismiss(False)", "no"),
    ]

    def __init__(self, title: str, text: str) -> None:
        super().__init__(classes="ask")
        self._title, self._text = title, text

    def compose(self) -> ComposeResult:
        with Vertical(classes="box") as box:
            box.border_title = Content(printable(self._title))
            yield Static(printable(self._text), markup=False)
            yield Label("y yes    n no", markup=False)


class HelpScreen(Question[None]):
    """What the focused part of the screen is, and every key that works there."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,question_mark,f1,q,enter", "dismiss(None)", "close")]

    def __init__(self, title: str, text: str, keys: Sequence[tuple[str, str, bool]]) -> None:
        super().__init__(classes="ask")
        self._title, self._text, self._keys = title, text, keys

    def compose(self) -> ComposeResult:
        width = max((len(key) for key, _, _ in self._keys), default=0)
        table = "\n".join(f"{key:>{width}}  {what}{'' if now else '  (not now)'}" for key, what, now in self._keys)
        with Vertical(classes="box help") as box:
            box.border_title = Content(printable(self._title))
            box.border_subtitle = "esc closes this"
            yield Static(self._text, classes="words", markup=False)
            yield Static(table, classes="table", markup=False)


def quantity(text: str) -> float | None:
    """A positive, finite number; None for anything else."""
    try:
        value = float(text.strip().replace(",", "."))
    except ValueError:
        return None
    return value if 0.0 < value < ABSURD else None
