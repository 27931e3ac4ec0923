"""The chip and the board of docs/adding-a-device.md, added to a copy of the tree in exactly the way that the page
says."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "adding-a-device.md"
BLOCK = re.compile(r"`(?P<path>[\w/.]+)` \((?P<kind>new|row)\)\n```\w+\n(?P<text>.*?)```", re.DOTALL)
LIMIT_S = 300.0


def add_row(file: Path, text: str) -> None:
    """An import below the last of its kind, and a line at the end of the only tuple of rows."""
    imported, row = text.splitlines()
    package = imported.split()[1].rpartition(".")[0] if imported.split()[1].count(".") > 1 else imported.split()[1]
    lines = file.read_text(encoding="utf-8").splitlines()
    last_row = max(at for at, line in enumerate(lines) if re.fullmatch(r"    \w+,", line))
    assert row.startswith("    ")
    lines.insert(last_row + 1, row)
    last_import = max(at for at, line in enumerate(lines) if line.startswith(f"from {package}"))
    lines.insert(last_import + 1, imported)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = tmp_path_factory.mktemp("added") / "tree"
    tree.mkdir()
    for name in ("controller", "drivers", "emulator", "tests"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tree)
    blocks = list(BLOCK.finditer(PAGE.read_text(encoding="utf-8")))
    assert [block["kind"] for block in blocks].count("row") == 4
    for block in blocks:
        file = tree / block["path"]
        if block["kind"] == "new":
            assert not file.exists(), block["path"]
            file.write_text(block["text"], encoding="utf-8")
        else:
            add_row(file, block["text"])
    return tree


def in_the_copy(copy: Path, *arguments: str) -> str:
    """Runs there, and nothing of here is imported."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=copy, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


THERE = """
import drivers
from drivers.asics import ASICS
from drivers.boards import BOARDS
from emulator.benches import BENCHES
from emulator.chips import MODELS

print("BM1999" in ASICS, "example-one" in BOARDS, "example-one" in BENCHES, "BM1999" in MODELS, drivers.__file__)
"""


def test_the_page_has_the_whole_device_and_every_table_has_its_row(copy: Path) -> None:
    told = in_the_copy(copy, "-c", THERE).split(maxsplit=4)
    assert told[:4] == ["True"] * 4
    assert Path(told[4].strip()).is_relative_to(copy)


def test_what_is_on_the_page_is_written_as_everything_here_is(copy: Path) -> None:
    new = [block["path"] for block in BLOCK.finditer(PAGE.read_text(encoding="utf-8")) if block["kind"] == "new"]
    python = [path for path in new if path.endswith(".py")]
    in_the_copy(copy, "-m", "ruff", "check", *python)
    in_the_copy(copy, "-m", "ruff", "format", "--check", *python)


def test_the_new_board_passes_what_every_board_has_to_pass(copy: Path) -> None:
    chosen = "example-one or bm1999 or every_board_has_a_bench or BM1999-every or every-BM1999"
    told = in_the_copy(
        copy,
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly"),
        *("tests/scenarios/test_every_board.py", "tests/unit/asics/test_bm1999.py", "tests/unit/asics/test_pll.py"),
        *("tests/unit/test_architecture.py", "tests/unit/boards/test_bitaxe_hex.py"),
        *("-k", f"{chosen} or table_of_imports or bm1999"),
    )
    assert re.search(r"\b(8|9|1\d) passed", told), told
