"""Which test shows the effect of which key. `test_bindings.py` holds the list against the keys that there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

F = TypeVar("F", bound=Callable[..., object])

SHOWN: Final[dict[str, list[str]]] = {}
"""Binding to the tests that show it."""


def shows(*bindings: str) -> Callable[[F], F]:
    """This test presses the keys of these bindings and sees what they do."""

    def mark(test: F) -> F:
        for binding in bindings:
            SHOWN.setdefault(binding, []).append(test.__name__)
        return test

    return mark
