"""The recorded run, made once for all tests of the screens."""

from __future__ import annotations

import pytest

from tests.tui.recorded import Run, record


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The recorded run of tests/tui/recorded.py."""
    return Run.read(record(tmp_path_factory.mktemp("recorded") / "run.jsonl"))
