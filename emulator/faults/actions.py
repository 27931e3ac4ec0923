"""An action: a method of `Faults` that can be asked for by name, with its arguments, what it emulates and who saw it.

`@action(source)` makes one of a method: the kinds are read from the signature, the text from the docstring. Calls are
checked whoever makes them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import (
    Annotated,
    Any,
    Concatenate,
    Final,
    ParamSpec,
    Protocol,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
)

from emulator.faults.arguments import MISSING, BadArgument, Kind, Wrong

P = ParamSpec("P")
OFF: Final = "off"


class Owner(Protocol):
    """What a checked method needs of its object."""

    @property
    def parts(self) -> Mapping[str, int]: ...


T = TypeVar("T", bound=Owner)
Also = Callable[[Mapping[str, Any]], None]
"""Looks at all arguments together, after each was checked alone. Raises `BadArgument`."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument. `default` is `MISSING` where it has to be given."""

    name: str
    kind: Kind
    default: object


@dataclass(frozen=True, slots=True)
class Action:
    """One action. `emulates` is the docstring of its method, on one line."""

    name: str
    arguments: tuple[Argument, ...]
    emulates: str
    source: str
    also: Also | None

    @property
    def lasting(self) -> bool:
        """Whether it can be ended with `off`. The others happen once."""
        return any(argument.name == OFF for argument in self.arguments)

    def identity(self, given: Mapping[str, Any]) -> tuple[object, ...]:
        """Which fault this is: the name, and the arguments that choose. `given` comes from `check`."""
        return (self.name, *(given[one.name] for one in self.arguments if one.kind.chooses))

    def check(self, given: Mapping[str, Any], parts: Mapping[str, int]) -> dict[str, Any]:
        """The arguments as the method wants them. `BadArgument` names the first that is not allowed."""
        known = {argument.name: argument for argument in self.arguments}
        for key, value in given.items():
            if key not in known:
                raise BadArgument(key, value, "its arguments: " + (", ".join(known) or "none"), self.name)
        checked: dict[str, Any] = {}
        for key, argument in known.items():
            value = given.get(key, argument.default)
            try:
                checked[key] = argument.kind.check(None if value is MISSING else value, parts)
            except Wrong as wrong:
                raise BadArgument(key, None if value is MISSING else value, str(wrong), self.name) from None
        if self.also is not None and not checked.get(OFF):
            try:
                self.also(checked)
            except BadArgument as bad:
                raise BadArgument(bad.key, bad.value, bad.allowed, self.name) from None
        return checked


_DECLARED: dict[Callable[..., None], Action] = {}


def action(
    source: str, also: Also | None = None
) -> Callable[[Callable[Concatenate[T, P], None]], Callable[Concatenate[T, P], None]]:
    """Make an action of a method. `source`: who saw it, or what the board's papers say."""

    def declare(method: Callable[Concatenate[T, P], None]) -> Callable[Concatenate[T, P], None]:
        signature = inspect.signature(method)
        hints = get_type_hints(method, include_extras=True)
        name = method.__name__
        arguments = tuple(
            Argument(
                parameter.name,
                _kind(hints[parameter.name], f"{name}, {parameter.name}"),
                MISSING if parameter.default is inspect.Parameter.empty else parameter.default,
            )
            for parameter in list(signature.parameters.values())[1:]
        )
        found = Action(name, arguments, " ".join((method.__doc__ or "").split()), source, also)
        call: Callable[..., None] = method

        @wraps(method)
        def checked(owner: T, /, *args: P.args, **kwargs: P.kwargs) -> None:
            bound = signature.bind(owner, *args, **kwargs).arguments
            given = {argument.name: bound[argument.name] for argument in arguments if argument.name in bound}
            call(owner, **found.check(given, owner.parts))

        _DECLARED[checked] = found
        return checked

    return declare


def declared(topics: Iterable[type]) -> dict[str, Action]:
    """The actions of these classes, by name, in the order in which they are written."""
    methods = (method for topic in topics for method in vars(topic).values() if inspect.isfunction(method))
    return {_DECLARED[method].name: _DECLARED[method] for method in methods if method in _DECLARED}


def _kind(hint: Any, where: str) -> Kind:
    if get_origin(hint) is not Annotated:
        raise TypeError(f"{where}: no kind in its annotation")
    kind: Kind = get_args(hint)[1]
    return kind
