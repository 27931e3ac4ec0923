"""Which tests reach which functions of the safety code, learned in one run of all of them.

A rule that is taken out can be noticed only by a test that enters its function, and most tests enter few. So each
mutant is shown to those alone, the quickest first.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

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
        """The tests that may notice a rule of this function, the quickest first. No function: of the module, any."""
        key = key_of(path, function)
        whole = not function or key in self.at_import
        found = [test for test, entered in self.tests.items() if whole or key in entered]
        return sorted(found, key=lambda test: self.took_s[test])

    def write(self, path: Path) -> None:
        tests = {test: sorted(entered) for test, entered in self.tests.items()}
        path.write_text(json.dumps({"tests": tests, "took_s": self.took_s, "at_import": sorted(self.at_import)}))

    @classmethod
    def read(cls, paths: Iterable[Path]) -> Reach:
        """What several runs learned, in one."""
        whole = cls()
        for path in paths:
            said = json.loads(path.read_text())
            whole.tests |= {test: set(entered) for test, entered in said["tests"].items()}
            whole.took_s |= said["took_s"]
            whole.at_import |= set(said["at_import"])
        return whole
