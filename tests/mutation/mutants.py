"""The rules of the safety code, found in its syntax, and the same modules with one of them taken out.

A rule is a statement that refuses, demands or finds a fault, one that returns a reason for less than was asked (a text,
an ended lease), or one row of the tables of trip levels and of steps.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
MODULES: Final = (
    "controller/safety/envelope.py",
    "controller/safety/guard.py",
    "controller/safety/interlocks.py",
    "controller/safety/trips.py",
    "controller/safety/ordering.py",
    "controller/safety/throttle.py",
    "controller/safety/dynamics.py",
    "controller/safety/silence.py",
    "controller/safety/derate.py",
    "controller/safety/fan.py",
    "controller/safety/retry.py",
    "controller/safety/supply.py",
    "controller/lease.py",
)
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
        "_permit_less_fan_while_off",
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
    tree = _parse(path)
    list(_rules(tree, path))[int(number)].apply(tree)
    return ast.fix_missing_locations(tree)


@dataclass(frozen=True, slots=True)
class _Rule:
    """A statement (`at` None), or the element `at` of a table, taken out or swapped with the next."""

    node: ast.AST
    function: str
    at: int | None = None
    swap: bool = False

    @property
    def shown(self) -> ast.AST:
        return self.node if self.at is None else self.node.elts[self.at]  # type: ignore[attr-defined]

    def apply(self, tree: ast.Module) -> None:
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
    for number, rule in enumerate(_rules(_parse(path), path)):
        text = " ".join((ast.get_source_segment(source, rule.shown) or "").split())
        if rule.swap:
            text += "  <-> the next"
        yield Mutant(path, number, getattr(rule.shown, "lineno", 0), rule.function, text)


def _parse(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), filename=path)


def _rules(tree: ast.Module, path: str) -> Iterator[_Rule]:
    seen: set[int] = set()
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for node in ast.walk(function):
            if id(node) in seen:
                continue
            seen.add(id(node))
            if _demands(node):
                yield _Rule(node, function.name)
            elif isinstance(node, ast.Tuple | ast.List) and isinstance(node.ctx, ast.Load):
                yield from _table(node, function.name, ordered=path.endswith("ordering.py"))


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
        for field in ("body", "orelse"):
            children = getattr(node, field, None)
            if isinstance(children, list) and gone in children:
                children[children.index(gone)] = ast.copy_location(ast.Pass(), gone)
                return
    raise LookupError(f"no such statement: {ast.dump(gone)}")
