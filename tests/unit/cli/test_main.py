"""The top level: light, clear about what it does not know, and consistent with its manual."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from controller import __version__
from controller.__main__ import main
from controller.cli import VERBS, load
from controller.emulators import child_command, child_environment

ROOT = Path(__file__).parents[3]
HEAVY = ("pydantic", "serial", "usb", "textual", "asyncio", "platformdirs", "logging", "json")


def test_the_version_needs_no_heavy_import() -> None:
    probe = (
        "import sys, runpy\n"
        "sys.argv = ['hashbridge', '--version']\n"
        "try:\n    runpy.run_module('controller', run_name='__main__')\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True, env=child_environment(), cwd=ROOT
    )
    assert result.stdout.splitlines() == [f"hashbridge {__version__}", "[]"]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([verb, "--help"])
    assert end.value.code == 0
    assert f"usage: hashbridge {verb}" in capsys.readouterr().out


@pytest.mark.parametrize("line", [[], ["fly"], ["run", "--fast"], ["--colour", "list"]])
def test_a_line_that_makes_no_sense_is_a_usage_error_on_stderr(
    line: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(line)
    said = capsys.readouterr()
    assert end.value.code == 2
    assert said.out == ""
    assert "usage: hashbridge" in said.err


def test_the_manual_has_a_row_for_every_verb() -> None:
    manual = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    table = manual.split("| verb | does |")[1].split("\n\n")[0]
    assert re.findall(r"^\| `(\w+)", table, re.MULTILINE) == list(VERBS)


def test_each_verb_is_a_module_of_its_own() -> None:
    for verb in VERBS:
        module = load(verb)
        assert callable(module.run)
        assert callable(module.add_arguments)


def test_a_folder_of_our_name_in_the_working_directory_is_not_taken_for_ours(tmp_path: Path) -> None:
    (tmp_path / "controller").mkdir()
    (tmp_path / "controller" / "__main__.py").write_text("print('stranger')\n")
    result = subprocess.run(
        child_command("--version"), capture_output=True, text=True, check=True, env=child_environment(), cwd=tmp_path
    )
    assert result.stdout == f"hashbridge {__version__}\n"
