"""The rules of the safety code, found in its syntax, and the same modules with one of them taken out.

A rule is a statement that refuses, demands or finds a fault, one that returns a reason for less than was asked (a text,
an ended lease), or one row of the tables of trip levels and of steps. Of what has no guard (a bare line and its
watcher), and of what says which reading is to be believed, it is also what `EXTRA` names: calls, assignments, returns,
limits, choices.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
MODULES: Final = (
    "controller/safety/envelope.py",
    "controller/safety/guard.py",
    "controller/safety/caps.py",
    "controller/safety/interlocks.py",
    "controller/safety/trips.py",
    "controller/safety/ordering.py",
    "controller/safety/throttle.py",
    "controller/safety/dynamics.py",
    "controller/safety/silence.py",
    "controller/safety/derate.py",
    "controller/safety/fan.py",
    "controller/safety/retry.py",
    "controller/safety/plausibility.py",
    "controller/safety/tracker.py",
    "controller/safety/crosschecks.py",
    "controller/safety/supply.py",
    "controller/lease.py",
    "controller/barehash.py",
    "controller/safety/watcher.py",
    "drivers/asics/stop.py",
)


@dataclass(frozen=True, slots=True)
class Extra:
    """Rules of one file beside those of every file. `calls`: functions called as a statement, if need be
    in one function; `returns`: those whose result is returned, and functions that return nothing early;
    `raises`: exceptions;
    `assigns`: attributes and tables that are given something outside of `__init__`; `limits`: a module's numbers, and
    what each is when it limits nothing; `rows`: elements of tables, each also in another order;
    `choices`: functions in which of the two values of an expression it is the first, always."""

    calls: frozenset[str] = frozenset()
    raises: frozenset[str] = frozenset()
    returns: frozenset[str] = frozenset()
    assigns: frozenset[str] = frozenset()
    limits: Mapping[str, float] = field(default_factory=dict)
    rows: frozenset[str] = frozenset()
    choices: frozenset[str] = frozenset()


EXTRA: Final[Mapping[str, Extra]] = {
    "controller/barehash.py": Extra(
        calls=frozenset(
            {"trip", "set", "reset_line", "enumerate", "initialise", "set_window", "fast_link", "set_ticket"}
            | {"set_frequency_step", "_wind_up.stop", "release", "aclose", "beat"}
        ),
        assigns=frozenset({"on_lost", "on_acted", "_started", "_missed", "_strayed", "_live", "_looked_s"}),
        limits={"BRING_UP_LIMIT_S": 1200.0, "STOP_LIMIT_S": 300.0, "WATCHED_S": 1e6, "MISSES": 10**6, "_SAME_MHZ": 1e6}
        | {"LONGEST_S": 1e6, "SLEW_S": 0.0},
    ),
    "controller/safety/watcher.py": Extra(
        calls=frozenset(
            {
                "condemn",
                "tell",
                "ask.write",
                "try_once.write",
                "stand_by.write",
                "set_rate",
                "tcflush",
                "judge",
                "publish",
                "signal",
            }
        ),
        raises=frozenset({"BadJob", "PortGone"}),
        assigns=frozenset({"gone", "released", "patience_s", "last_beat_s", "slept_s", "why", "confirmed", "proven"}),
        limits={"SUSPEND_S": 1e6, "ROUNDS": 1, "REPEATS": 1, "TRIES": 1, "ROOM_S": 1e6, "LONGEST_LINE": 10**9},
    ),
    "controller/safety/retry.py": Extra(calls=frozenset({"append"}), assigns=frozenset({"_begun_s"})),
    "controller/safety/plausibility.py": Extra(assigns=frozenset({"found", "readings", "doubt"})),
    "controller/safety/tracker.py": Extra(
        returns=frozenset({"reject", "_kept", "_doubted", "_blanked"}),
        assigns=frozenset({"hot", "trusted", "jumped_s", "quality", "unchanged", "unchanged_since_s"})
        | {"_invalid", "_bad_run", "_recent", "_agreed", "_candidate"},
    ),
    "controller/safety/crosschecks.py": Extra(
        calls=frozenset({"look", "setdefault", "clear", "_begin", "_note_asked", "_follow", "_learn", "feed"}),
        returns=frozenset({"look", "_begin"}),
        assigns=frozenset({"doubts", "accused", "_fair", "_own_k", "die_c", "fair"}),
    ),
    "controller/safety/caps.py": Extra(choices=frozenset({"steps"})),
    "drivers/asics/stop.py": Extra(
        assigns=frozenset({"mask"}),
        rows=frozenset({"WriteRegister", "stop", "clock", "baud"}),
        choices=frozenset({"stop_writes"}),
    ),
}
_DEMANDS: Final = frozenset(
    {
        "need",
        "permit",
        "fresh",
        "cool_enough",
        "input_inside",
        "chips_complete",
        "room_above_stock",
        "_no_latch",
        "_cool_for_less_fan",
        "_at_stock_for_less_fan",
        "_full_fan_above_stock",
        "_small_enough",
        "power_of_two",
        "_check_clear",
        "_permit_voltage",
        "_permit_rail",
        "_permit_reset_release",
        "_permit_clock_rise",
        "_permit_rise_of",
        "even",
        "fits",
        "_settable",
        "_not_limited",
        "_permit_less_fan_while_off",
        "_permit_while_on",
    }
)
"""Calls that raise when something does not hold."""
_FINDS: Final = frozenset({"append"})
_REASONS: Final = frozenset({"Ended", "_latched", "_given_up"})
_ROWS: Final = frozenset({"Level", "over"})
_STEPS: Final = frozenset(
    {
        "FanDuty",
        "LockDown",
        "CoreVoltage",
        "RailOn",
        "VerifyRail",
        "AssertReset",
        "ReleaseReset",
        "BringUp",
        "SweepWindow",
        "FastLink",
    }
)


@dataclass(frozen=True, slots=True)
class Mutant:
    """`path` with the rule at `line` taken out; `number` counts the rules of that file."""

    path: str
    number: int
    line: int
    function: str
    text: str

    @property
    def name(self) -> str:
        return f"{self.path}:{self.number}"


def mutants() -> list[Mutant]:
    """Every rule of every module, in the order of the source."""
    return [mutant for path in MODULES for mutant in _of(path)]


def mutated(name: str) -> ast.Module:
    """The module of a mutant, its rule taken out."""
    path, _, number = name.rpartition(":")
    tree = parsed(path)
    list(_rules(tree, path))[int(number)].apply(tree)
    return ast.fix_missing_locations(tree)


@dataclass(frozen=True, slots=True)
class _Rule:
    """A statement (`at` None), or the element `at` of a table, taken out or swapped with the next. `instead`: a limit
    that is this, or a choice that is always its first."""

    node: ast.AST
    function: str
    at: int | None = None
    swap: bool = False
    instead: float | None = None

    @property
    def shown(self) -> ast.AST:
        return self.node if self.at is None else self.node.elts[self.at]  # type: ignore[attr-defined]

    def apply(self, tree: ast.Module) -> None:
        if isinstance(self.node, ast.IfExp):
            self.node.test = ast.copy_location(ast.Constant(True), self.node.test)
            return
        if self.instead is not None:
            self.node.value = ast.copy_location(ast.Constant(self.instead), self.node)  # type: ignore[attr-defined]
            return
        if self.at is None:
            _replace(tree, self.node)
            return
        elements: list[ast.expr] = self.node.elts  # type: ignore[attr-defined]
        if self.swap:
            elements[self.at], elements[self.at + 1] = elements[self.at + 1], elements[self.at]
        else:
            del elements[self.at]


def _of(path: str) -> Iterator[Mutant]:
    source = (ROOT / path).read_text(encoding="utf-8")
    for number, rule in enumerate(_rules(parsed(path), path)):
        text = " ".join((ast.get_source_segment(source, rule.shown) or "").split())
        if rule.swap:
            text += "  <-> the next"
        if rule.instead is not None:
            text += f"  -> {rule.instead:g}"
        yield Mutant(path, number, getattr(rule.shown, "lineno", 0), rule.function, text)


def parsed(path: str) -> ast.Module:
    """The module of this file as it is."""
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), filename=path)


def _rules(tree: ast.Module, path: str) -> Iterator[_Rule]:
    seen: set[int] = set()
    extra = EXTRA.get(path, Extra())
    yield from _limits(tree, extra)
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for node in ast.walk(function):
            if id(node) in seen:
                continue
            seen.add(id(node))
            chooses = isinstance(node, ast.IfExp) and function.name in extra.choices
            if chooses or _demands(node) or (function.name != "__init__" and _is_extra(node, extra, function.name)):
                yield _Rule(node, function.name)
            elif isinstance(node, ast.Tuple | ast.List) and isinstance(node.ctx, ast.Load):
                ordered = path.endswith("ordering.py")
                yield from _table(node, function.name, ordered=ordered)
                if extra.rows:
                    yield from _rows(node, function.name, extra.rows)


def _limits(tree: ast.Module, extra: Extra) -> Iterator[_Rule]:
    for node in tree.body:
        match node:
            case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
                if name in extra.limits:
                    yield _Rule(node, "", instead=extra.limits[name])


def _is_extra(node: ast.AST, extra: Extra, function: str) -> bool:
    match node:
        case ast.Raise(exc=ast.Call(func=ast.Name(id=name))):
            return name in extra.raises
        case ast.Return(value=None):
            return function in extra.returns
        case ast.Return(value=ast.Call(func=ast.Attribute(attr=name))):
            return name in extra.returns
        case ast.Assign(targets=[ast.Attribute(attr=name) | ast.Name(id=name)]) if name in extra.assigns:
            return True
        case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=name))]):
            return name in extra.assigns
        case ast.AugAssign(target=ast.Attribute(attr=name) | ast.Name(id=name)):
            return name in extra.assigns
        case ast.Assign(value=ast.Await(value=call)) | ast.Expr(value=ast.Await(value=call)) | ast.Expr(value=call):
            match call:
                case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
                    return name in extra.calls or f"{function}.{name}" in extra.calls
    return False


def _rows(node: ast.Tuple | ast.List, function: str, known: frozenset[str]) -> Iterator[_Rule]:
    """Each taken out, and each swapped with the next."""
    rows = [at for at, element in enumerate(node.elts) if _named(element) in known]
    for at in rows:
        yield _Rule(node, function, at)
    yield from (_Rule(node, function, at, swap=True) for at in rows if at + 1 in rows)


def _named(element: ast.expr) -> str:
    match element:
        case ast.Call(func=ast.Name(id=name)):
            return name
        case ast.Tuple(elts=[ast.Name(id=name), _, _]) | ast.Tuple(elts=[ast.Constant(value=str(name)), _, _]):
            return name
        case ast.Attribute(attr=name):
            return name.rpartition("_")[2]
    return ""


def _demands(node: ast.AST) -> bool:
    match node:
        case ast.Raise(exc=ast.Call(func=ast.Name(id="Refused" | "Latched"))):
            return True
        case ast.Return(value=ast.JoinedStr()) | ast.Return(value=ast.Constant(value=str())):
            return True
        case ast.Return(value=ast.Call(func=ast.Name(id=name))):
            return name in _REASONS
        case ast.Expr(value=ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=args)):
            return name in _DEMANDS or (name in _FINDS and bool(args) and isinstance(args[0], ast.Tuple))
    return False


def _table(node: ast.Tuple | ast.List, function: str, *, ordered: bool) -> Iterator[_Rule]:
    rows = [at for at, element in enumerate(node.elts) if _is_row(element, ordered=ordered)]
    for at in rows:
        yield _Rule(node, function, at)
    if ordered:
        yield from (_Rule(node, function, at, swap=True) for at in rows if at + 1 in rows)


def _is_row(element: ast.expr, *, ordered: bool) -> bool:
    match element:
        case ast.Call(func=ast.Name(id=name)):
            return name in _ROWS or name in _STEPS
        case ast.Tuple(elts=[_, ast.Call(func=ast.Name(id="Gate"))]):
            return True
        case ast.Starred():
            return ordered
    return False


def _replace(tree: ast.Module, gone: ast.AST) -> None:
    """A statement becomes `pass`."""
    for node in ast.walk(tree):
        for branch in ("body", "orelse"):
            children = getattr(node, branch, None)
            if isinstance(children, list) and gone in children:
                children[children.index(gone)] = ast.copy_location(ast.Pass(), gone)
                return
    raise LookupError(f"no such statement: {ast.dump(gone)}")
