"""Who may import whom, held against every import in the tree; and a few habits that a reviewer cannot see at a glance.

The labels D1 to D9 are the rows of `TABLE`; A3 says that time is the loop's time. Lazy imports count like any other.
Imports under `if TYPE_CHECKING` count for the direction, not for loops: a type may point back, running code not.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("controller", "drivers", "emulator")
MAX_LINES: Final = 600


@dataclass(frozen=True)
class Row:
    """One row of the table: modules under `who` may import modules under `may`, and their own package."""

    label: str
    who: str
    may: tuple[str, ...]


_VALUES: Final = ("drivers.units", "drivers.errors")
_PARTS: Final = (*_VALUES, "drivers.traits", "drivers.codecs")
_JUDGEMENT: Final = (*_VALUES, "drivers.boards.board", "controller.model")

TABLE: Final = (  # the longest `who` that fits a module decides
    Row("D1", "drivers.units", ()),
    Row("D1", "drivers.errors", ()),
    Row("D1", "drivers.traits", _VALUES),
    Row("D1", "drivers.codecs", _VALUES),
    Row("D2", "drivers.transports", ("drivers.errors", "drivers.traits")),
    Row("D3", "drivers.peripherals", _PARTS),
    Row("D4", "drivers.link", _PARTS),
    Row("D4", "drivers.bridges", (*_PARTS, "drivers.link")),
    Row("D4", "drivers.asics", (*_PARTS, "drivers.link")),
    Row("D5", "drivers", ("drivers",)),
    Row("D6", "controller.safety", _JUDGEMENT),
    Row("D6", "controller.safety.sentinel", ("controller.safety.port_identity",)),
    Row("D6", "controller.safety.port_identity", ()),
    Row("D6", "controller.safety.watcher", ()),
    # The rig's end of the sentinel starts a process and opens its ports: hands, not judgement. So does the watcher's.
    Row("D6", "controller.safety.sentinel_client", ("controller", "drivers")),
    Row("D6", "controller.safety.watcher_client", ("controller", "drivers")),
    Row("D6", "controller.work.meter", (*_JUDGEMENT, "controller.work.statistics")),
    Row("D6", "controller.work.verdicts", (*_JUDGEMENT, "controller.work.statistics")),
    Row("D6", "controller.work.statistics", _VALUES),
    Row("D6", "controller.tuning", _JUDGEMENT),
    # Words, arithmetic and a file of named points have no hands either.
    Row(
        "D7",
        "controller.tui",
        (
            *_VALUES,
            "controller.model",
            "controller.text",
            "controller.prediction",
            "controller.profiles",
            "controller.overview",
            "controller.work.verdicts",
        ),
    ),
    Row("D7", "controller.overview", (*_VALUES, "controller.model", "controller.text")),
    Row("D8", "emulator", ("emulator", "drivers.codecs", "drivers.units")),
    Row("D9", "controller", ("controller", "drivers")),
    Row("D9", "controller.cli", PACKAGES),
    Row("D9", "controller.__main__", PACKAGES),
)

STANDARD_LIBRARY_ONLY: Final = {
    "controller.safety.sentinel": "it runs as `python -I -S`, and has to outlive whatever breaks the rest",
    "controller.safety.port_identity": "a part of the sentinel, in a file beside its own",
    "controller.safety.watcher": "as the sentinel",
}
"""Of each other they may import what their row says."""

CLOCKS: Final = {"monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "sleep"}
OWN_CLOCK: Final = {
    "controller.safety.sentinel": "a process without an event loop, standard library only",
    "controller.safety.watcher": "a process without an event loop, standard library only",
    "drivers.transports.tap": "recordings of several processes are laid side by side by CLOCK_MONOTONIC",
}


@dataclass(frozen=True)
class Import:
    importer: str
    imported: str
    line: int
    for_types: bool


def modules(root: Path) -> dict[str, Path]:
    """Dotted name to file, of everything in the three packages."""
    found: dict[str, Path] = {}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(importer: str, path: Path, known: dict[str, Path]) -> Iterator[Import]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = {
        id(node)
        for guard in ast.walk(tree)
        if isinstance(guard, ast.If) and "TYPE_CHECKING" in ast.dump(guard.test)
        for statement in guard.body
        for node in ast.walk(statement)
    }
    package = importer if path.name == "__init__.py" else importer.rpartition(".")[0]
    for node in ast.walk(tree):
        match node:
            case ast.Import(names):
                named = [alias.name for alias in names]
            case ast.ImportFrom(module, names, level):
                base = ".".join(package.split(".")[: len(package.split(".")) - level + 1]) if level else ""
                base = ".".join(part for part in (base, module) if part)
                named = [f"{base}.{alias.name}" if f"{base}.{alias.name}" in known else base for alias in names]
            case ast.Call(
                ast.Name(id="__import__") | ast.Attribute(attr="import_module"), [ast.Constant(str(name)), *_]
            ):
                named = [name]
            case _:
                continue
        for name in dict.fromkeys(named):
            yield Import(importer, name, node.lineno, id(node) in for_types)


def under(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def row_of(module: str) -> Row:
    return max((row for row in TABLE if under(module, row.who)), key=lambda row: len(row.who))


def direction_faults(found: list[Import]) -> Iterator[str]:
    for one in found:
        where = f"{one.importer}:{one.line} imports {one.imported}"
        if one.importer in STANDARD_LIBRARY_ONLY:
            may = row_of(one.importer).may
            part = one.imported in STANDARD_LIBRARY_ONLY and any(under(one.imported, allowed) for allowed in may)
            as_script = f"{one.importer.rpartition('.')[0]}.{one.imported}" in STANDARD_LIBRARY_ONLY
            if not (part or as_script or one.imported.partition(".")[0] in sys.stdlib_module_names):
                yield f"{where}: standard library only, {STANDARD_LIBRARY_ONLY[one.importer]}"
            continue
        if under(one.imported, "tests"):
            yield f"{where}: what ships does not import tests"
        if one.imported.partition(".")[0] not in PACKAGES:
            continue
        row = row_of(one.importer)
        if not any(under(one.imported, allowed) for allowed in (row.who, *row.may)):
            yield f"[{row.label}] {where}: {row.who} may import {', '.join(row.may) or 'nothing of the project'}"
        for door in ("controller.cli", "controller.__main__"):
            if under(one.imported, door) and not (under(one.importer, door) or one.importer == "controller.__main__"):
                yield f"[D9] {where}: only controller.__main__ imports controller.cli, and nothing imports that"


def loops(found: list[Import], known: dict[str, Path]) -> Iterator[str]:
    after: dict[str, list[str]] = {module: [] for module in known}
    for one in found:
        if one.imported in known and not one.for_types and one.imported != one.importer:
            after[one.importer].append(one.imported)
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> Iterator[str]:
        if module in path:
            yield "loop: " + " -> ".join([*path[path.index(module) :], module])
        elif module not in done:
            for following in after[module]:
                yield from visit(following, [*path, module])
            done.add(module)

    for module in known:
        yield from visit(module, [])


def clock_uses(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Attribute(ast.Name(id="time"), name) if name in CLOCKS:
                yield node.lineno, name
            case ast.ImportFrom("time", names):
                yield from ((node.lineno, alias.name) for alias in names if alias.name in CLOCKS)


def clock_faults(known: dict[str, Path]) -> Iterator[str]:
    for module, path in known.items():
        uses = list(clock_uses(path))
        if module in OWN_CLOCK:
            if not uses:
                yield f"{module}: its exception from the loop's time is no longer used; take it out of OWN_CLOCK"
        else:
            yield from (f"{module}:{line}: time.{name}; time is the loop's time [A3]" for line, name in uses)


def faults(root: Path) -> list[str]:
    """Everything in the tree under `root` that is against the rules."""
    known = modules(root)
    found = [one for module, path in known.items() for one in imports(module, path, known)]
    long = (
        f"{path.relative_to(root)}: {length} lines, more than {MAX_LINES}"
        for path in [*known.values(), *sorted((root / "tests").rglob("*.py"))]
        if (length := path.read_text(encoding="utf-8").count("\n")) > MAX_LINES
    )
    return [*direction_faults(found), *loops(found, known), *clock_faults(known), *long]


def test_the_tree_keeps_to_the_table_of_imports_without_loops_private_clocks_or_endless_files() -> None:
    assert faults(ROOT) == []


def test_every_exception_names_its_reason() -> None:
    assert all({**OWN_CLOCK, **STANDARD_LIBRARY_ONLY}.values())


def plant(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


ONE_BAD_FILE = [
    ("drivers/codecs/crc.py", "import drivers.traits\n", "[D1]"),
    ("drivers/transports/memory.py", "from drivers.codecs import crc\n", "[D2]"),
    ("drivers/peripherals/tps546.py", "from drivers import link\n", "[D3]"),
    ("drivers/peripherals/tps546.py", "from ..link import Link\n", "[D3]"),
    ("drivers/bridges/bitaxe_raw.py", "from drivers.boards.board import Step\n", "[D4]"),
    ("drivers/asics/chain.py", "from drivers.transports.serial import open_serial\n", "[D4]"),
    ("drivers/boards/gamma.py", "from controller.model import Reading\n", "[D5]"),
    ("drivers/boards/gamma.py", "def open():\n    import emulator.device\n", "[D5]"),
    ("controller/safety/guard.py", "from drivers.transports.serial import open_serial\n", "[D6]"),
    ("controller/work/meter.py", "from drivers.asics.chain import Find\n", "[D6]"),
    ("controller/tui/app.py", "from drivers.boards.board import Step\n", "[D7]"),
    ("emulator/silicon/chip.py", "from drivers.asics.bm1370 import BM1370\n", "[D8]"),
    ("emulator/device.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import drivers.errors\n", "[D8]"),
    ("emulator/benches/gamma.py", "import importlib\nimportlib.import_module('drivers.errors')\n", "[D8]"),
    ("controller/rig.py", "from emulator.benches import BENCHES\n", "[D9]"),
    ("controller/rig.py", "from controller.cli import run\n", "[D9]"),
    ("controller/cli/run.py", "from controller.__main__ import main\n", "[D9]"),
    ("controller/safety/sentinel.py", "import serial\n", "standard library only"),
    ("controller/safety/sentinel.py", "from drivers.errors import Unplugged\n", "standard library only"),
    ("drivers/link.py", "from tests.fakes import BusLog\n", "does not import tests"),
    ("drivers/link.py", "import time\nprint(time.monotonic())\n", "[A3]"),
    ("controller/rig.py", "from time import sleep\n", "[A3]"),
    ("drivers/transports/tap.py", "x = 1\n", "no longer used"),
    ("emulator/physics.py", "x = 1\n" * 601, "601 lines"),
    ("tests/unit/test_x.py", "x = 1\n" * 601, "601 lines"),
]


@pytest.mark.parametrize(("name", "text", "says"), ONE_BAD_FILE)
def test_a_bad_file_is_found_and_the_rule_named(tmp_path: Path, name: str, text: str, says: str) -> None:
    neighbours = {"drivers/link.py": "", "drivers/traits.py": "", "drivers/codecs/crc.py": "", name: text}
    found = faults(plant(tmp_path, neighbours))
    assert len([fault for fault in found if says in fault]) == 1, found


GOOD = {
    "drivers/codecs/__init__.py": "",
    "drivers/codecs/pmbus.py": "from drivers.units import Volts\nfrom . import crc\n",
    "drivers/codecs/crc.py": "import struct\n",
    "drivers/boards/__init__.py": "from drivers.boards.gamma import GAMMA\n",
    "drivers/boards/gamma.py": "from drivers.boards.board import Board\nimport emulators_of_others\n",
    "drivers/boards/board.py": "from typing import TYPE_CHECKING\n"
    "if TYPE_CHECKING:\n    from drivers.boards.gamma import GAMMA\n",
    "controller/cli/run.py": "import emulator.device\n",
    "emulator/device.py": "from drivers.codecs import crc\n",
}


def test_a_good_tree_has_no_faults_and_a_type_may_point_back(tmp_path: Path) -> None:
    assert faults(plant(tmp_path, GOOD)) == []


def test_a_loop_is_found_and_spelled_out(tmp_path: Path) -> None:
    plant(tmp_path, {**GOOD, "drivers/codecs/crc.py": "def late():\n    from drivers.codecs.pmbus import Command\n"})
    assert faults(tmp_path) == ["loop: drivers.codecs.crc -> drivers.codecs.pmbus -> drivers.codecs.crc"]
