"""The page of the library is what its docstrings say, and its six lines run."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.library import AsyncRig
from controller.sync import SyncRig
from tests.api_page import SIX_LINES, page
from tests.scenarios.blocking import blocking_stand

PAGE = Path(__file__).parents[2] / "docs" / "api.md"


def test_the_committed_page_is_the_one_that_make_api_writes() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make api`"


def test_the_readme_shows_the_six_lines_that_are_run_here() -> None:
    assert f"```python\n{SIX_LINES}```" in (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_every_verb_is_on_the_page_with_words_of_its_own() -> None:
    verbs = [name for name in vars(AsyncRig) if not name.startswith("_")]
    assert len(verbs) > 20
    for name in verbs:
        _, found, rest = PAGE.read_text(encoding="utf-8").partition(f"### {name}\n")
        assert found, name
        assert len(rest.split("```")[2].split("\n### ")[0].strip()) > 20, name


def test_the_six_lines_are_six_and_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert len([line for line in SIX_LINES.splitlines() if line]) == 6
    with blocking_stand() as (rig, _):
        monkeypatch.setattr(SyncRig, "connect", lambda emulate: rig)
        exec(SIX_LINES, {})
    assert capsys.readouterr().out.startswith("0.99")
