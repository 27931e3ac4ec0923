"""No key without a test: the tests that say which keys they show, held against the keys that there are."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

from textual.binding import Binding
from textual.dom import DOMNode

import controller.tui
from tests.tui.covering import SHOWN

SHOWING = (
    "test_stop_keys",
    "test_wish_keys",
    "test_log_keys",
    "test_screen_keys",
    "test_playback_keys",
    "test_profile_keys",
    "test_many_keys",
    "test_chip_keys",
)


def bound() -> Iterator[tuple[str, Binding]]:
    """Every binding that this project makes, by its id or by the class and its first key."""
    for found in pkgutil.walk_packages(controller.tui.__path__, "controller.tui."):
        module = importlib.import_module(found.name)
        for kind in vars(module).values():
            if isinstance(kind, type) and issubclass(kind, DOMNode) and kind.__module__ == module.__name__:
                for binding in vars(kind).get("BINDINGS", ()):
                    assert isinstance(binding, Binding), f"{kind.__name__}: {binding} is bound without a description"
                    yield binding.id or f"{kind.__name__}.{binding.key.partition(',')[0]}", binding


def test_every_key_has_a_test_that_shows_what_it_does() -> None:
    for name in SHOWING:
        importlib.import_module(f"tests.tui.{name}")
    assert set(SHOWN) == {name for name, _ in bound()}


def test_every_key_says_what_it_does() -> None:
    assert [name for name, binding in bound() if not binding.description] == []


def test_no_two_bindings_have_the_same_id() -> None:
    ids = [binding.id for _, binding in bound() if binding.id is not None]
    assert len(ids) == len(set(ids))
