"""Which tests reach which functions of the safety code, learned in one run of all of them.

A rule that is taken out can be noticed only by a test that enters its function, and most tests enter few. So each
mutant is shown to those alone, the quickest first.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

MARK: Final = "_hb_reached"
"""The name under which a module that is looked at finds `Reach.mark`."""


def key_of(path: str, function: str) -> str:
    """What stands for a function. Those of one name in one file are one: too many tests rather than too few."""
    return f"{path}:{function}"


def marked(tree: ast.Module, path: str) -> ast.Module:
    """The same module; each function says first that it was entered."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            call = ast.Call(ast.Name(MARK, ast.Load()), [ast.Constant(key_of(path, node.name))], [])
            node.body.insert(0, ast.Expr(call))
    return ast.fix_missing_locations(tree)


@dataclass
class Reach:
    """Functions entered, by test, and how long each test took. `at_import`: entered while no test ran, which any test
    may notice."""

    tests: dict[str, set[str]] = field(default_factory=dict)
    took_s: dict[str, float] = field(default_factory=dict)
    at_import: set[str] = field(default_factory=set)
    _now: str | None = None

    def begin(self, test: str) -> None:
        self._now = test
        self.tests.setdefault(test, set())

    def end(self, test: str, took_s: float) -> None:
        self._now, self.took_s[test] = None, took_s

    def mark(self, key: str) -> None:
        (self.at_import if self._now is None else self.tests[self._now]).add(key)

    def of(self, path: str, function: str) -> list[str]:
        """The tests that may notice a rule of this function, or, with no name, of this file; the quickest first."""
        key = key_of(path, function)

        def sought(entered: set[str]) -> bool:
            return key in entered if function else any(each.startswith(key) for each in entered)

        found = self.tests if sought(self.at_import) else [test for test in self.tests if sought(self.tests[test])]
        return sorted(found, key=lambda test: self.took_s[test])

    def said(self) -> dict[str, Any]:
        """As JSON says it; `told` is the way back."""
        tests = {test: sorted(entered) for test, entered in self.tests.items()}
        return {"tests": tests, "took_s": self.took_s, "at_import": sorted(self.at_import)}

    @classmethod
    def told(cls, *said: Mapping[str, Any]) -> Reach:
        """What one run has learned, or several."""
        whole = cls()
        for each in said:
            whole.tests |= {test: set(entered) for test, entered in each["tests"].items()}
            whole.took_s |= each["took_s"]
            whole.at_import |= set(each["at_import"])
        return whole
