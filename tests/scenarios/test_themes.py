"""A theme is of all screens, also of those that are not shown when it is chosen."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.style import Style
from textual.pilot import Pilot

from controller.model import RigPort
from controller.recording import RecordedRig
from controller.tui.app import HashbridgeApp
from controller.tui.widgets.panel import LOOKS, Panel
from emulator.virtual_time import virtual_run
from tests.scenarios.gamma import stand

pytestmark = pytest.mark.real_time  # Textual's timers are


async def _first_contact(journal: Path) -> None:
    async with stand(journal=journal) as s:
        await s.snapshot()


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("journal") / "run.jsonl"
    virtual_run(_first_contact(path))
    return path


def screens(journal: Path, theme: str) -> HashbridgeApp:
    async def opener() -> RigPort:
        return RecordedRig.open(journal)

    return HashbridgeApp(opener, theme=theme)


async def looks(pilot: Pilot[None], mode: str) -> list[Style]:
    """Every look of every panel of a screen, after switching to it."""
    await pilot.app.switch_mode(mode)
    await pilot.pause()
    return [panel.look(name) for panel in pilot.app.screen.query(Panel) for name in LOOKS]


@pytest.mark.parametrize("theme", ["solarized-light", "ansi-dark"])
async def test_a_theme_that_is_chosen_on_one_screen_is_that_of_the_others_too(journal: Path, theme: str) -> None:
    modes = ("tune", "log", "board")
    async with screens(journal, theme).run_test() as pilot:
        wanted = {mode: await looks(pilot, mode) for mode in modes}
    async with screens(journal, "hashbridge").run_test() as pilot:
        before = {mode: await looks(pilot, mode) for mode in modes}
        pilot.app.theme = theme
        await pilot.pause()
        found = {mode: await looks(pilot, mode) for mode in modes}
    assert found == wanted
    assert all(before[mode] != wanted[mode] for mode in modes)
