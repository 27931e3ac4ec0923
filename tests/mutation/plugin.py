"""A pytest plugin that loads modules of the safety code otherwise than they are written.

HASHBRIDGE_MUTANT names a mutant: its module is loaded with its rule taken out. HASHBRIDGE_REACH names a file: modules
say which of their functions each test enters, and the file is written in the end. HASHBRIDGE_TESTS names a file with a
list of tests: these run alone, and in this order.
"""

from __future__ import annotations

import ast
import atexit
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from types import ModuleType

import pytest

from tests.mutation.mutants import MODULES, ROOT, mutated, parsed
from tests.mutation.reach import MARK, Reach, marked

MUTANT = "HASHBRIDGE_MUTANT"
REACH = "HASHBRIDGE_REACH"
TESTS = "HASHBRIDGE_TESTS"


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads the module of the file `path` by way of `load`."""

    def __init__(self, path: str, load: Callable[[ModuleType, str], None]) -> None:
        self._path, self._load = path, load
        self._module = path.removesuffix(".py").replace("/", ".")
        assert self._module not in sys.modules, f"{self._module} was loaded before it could be changed"

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        return importlib.util.spec_from_loader(fullname, self) if fullname == self._module else None

    def exec_module(self, module: ModuleType) -> None:
        self._load(module, self._path)


def _execute(tree: ast.Module, module: ModuleType, path: str) -> None:
    exec(compile(tree, str(ROOT / path), "exec"), module.__dict__)


class _Watch:
    """Notes what each test enters."""

    def __init__(self, file: Path) -> None:
        self._reach, self._file = Reach(), file

    def load(self, module: ModuleType, path: str) -> None:
        module.__dict__[MARK] = self._reach.mark
        module.__file__ = str(ROOT / path)
        _execute(marked(parsed(path), path), module, path)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        self._reach.begin(item.nodeid)
        began_s = time.perf_counter()
        try:
            return (yield)
        finally:
            self._reach.end(item.nodeid, time.perf_counter() - began_s)

    def pytest_sessionfinish(self) -> None:
        self._file.write_text(json.dumps(self._reach.said()), encoding="utf-8")


class _Chosen:
    """Runs these tests alone, in this order."""

    def __init__(self, tests: list[str]) -> None:
        self._order = {test: at for at, test in enumerate(tests)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        gone = [item for item in items if item.nodeid not in self._order]
        config.hook.pytest_deselected(items=gone)
        items[:] = sorted(
            (item for item in items if item.nodeid in self._order), key=lambda item: self._order[item.nodeid]
        )


def _load_mutant(module: ModuleType, path: str) -> None:
    tree = mutated(os.environ[MUTANT])
    # Some are run as scripts, in processes of their own, from where they say that they are.
    script = Path(tempfile.mkdtemp(prefix="hb-mutant-")) / Path(path).name
    atexit.register(shutil.rmtree, script.parent, ignore_errors=True)
    script.write_text(ast.unparse(tree), encoding="utf-8")
    module.__file__ = str(script)
    _execute(tree, module, path)


def pytest_configure(config: pytest.Config) -> None:
    if mutant := os.environ.get(MUTANT):
        sys.meta_path.insert(0, _Finder(mutant.rpartition(":")[0], _load_mutant))
    if file := os.environ.get(REACH):
        watch = _Watch(Path(file))
        config.pluginmanager.register(watch)
        sys.meta_path[:0] = [_Finder(path, watch.load) for path in MODULES]
    if file := os.environ.get(TESTS):
        config.pluginmanager.register(_Chosen(json.loads(Path(file).read_text(encoding="utf-8"))))
