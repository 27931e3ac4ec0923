"""A pytest plugin: the module of the mutant that HASHBRIDGE_MUTANT names is loaded with its rule taken out."""

from __future__ import annotations

import ast
import atexit
import importlib.abc
import importlib.machinery
import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from tests.mutation.mutants import ROOT, mutated

VARIABLE = "HASHBRIDGE_MUTANT"


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, mutant: str) -> None:
        self._mutant, self._path = mutant, mutant.rpartition(":")[0]
        self.module = self._path.removesuffix(".py").replace("/", ".")

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        return importlib.util.spec_from_loader(fullname, self) if fullname == self.module else None

    def exec_module(self, module: ModuleType) -> None:
        tree = mutated(self._mutant)
        # Some are run as scripts, in processes of their own, from where they say that they are.
        script = Path(tempfile.mkdtemp(prefix="hb-mutant-")) / Path(self._path).name
        atexit.register(shutil.rmtree, script.parent, ignore_errors=True)
        script.write_text(ast.unparse(tree), encoding="utf-8")
        module.__file__ = str(script)
        exec(compile(tree, str(ROOT / self._path), "exec"), module.__dict__)


def pytest_configure() -> None:
    mutant = os.environ.get(VARIABLE)
    if mutant:
        finder = _Finder(mutant)
        assert finder.module not in sys.modules, f"{finder.module} was loaded before it could be mutated"
        sys.meta_path.insert(0, finder)
