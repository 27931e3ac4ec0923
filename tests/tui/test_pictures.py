"""The screens, picture by picture, against those that somebody has looked at."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.tui.pictures import SNAPSHOTS as BASELINES
from tests.tui.pictures import VERSIONS, Versions, compare, svg_of
from tests.tui.recorded import Run
from tests.tui.scenes import SNAPSHOTS, latched


@pytest.mark.real_time
@pytest.mark.parametrize("name", SNAPSHOTS)
async def test_a_screen_looks_as_it_looked(run: Run, name: str, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    async with SNAPSHOTS[name](run) as s:
        await s.settle()
        picture = svg_of(s.app, f"hashbridge, {name}")
    compare(picture, BASELINES / f"{name}.svg", tmp_path, accept=pytestconfig.getoption("--hb-accept"))


def test_every_baseline_is_of_a_scene_and_every_scene_has_one() -> None:
    assert {path.stem for path in BASELINES.glob("*.svg")} == set(SNAPSHOTS)


@pytest.mark.real_time
async def test_a_picture_is_the_same_twice_and_fetches_nothing(run: Run) -> None:
    pictures = []
    for _ in range(2):
        async with latched(run) as s:
            await s.settle()
            pictures.append(svg_of(s.app, "twice"))
    assert pictures[0] == pictures[1]
    links = [link for link in re.findall(r"[a-z]+://[^\"' )]*", pictures[0]) if "w3.org" not in link]
    assert links == []


@pytest.mark.real_time
async def test_a_theme_that_is_chosen_while_the_program_runs_looks_as_if_it_had_begun_with_it(run: Run) -> None:
    name = "tune-120x40-{}"
    async with SNAPSHOTS[name.format("hashbridge")](run) as s:
        s.app.theme = "ansi-dark"
        await s.settle()
        changed = svg_of(s.app, "theme")
    async with SNAPSHOTS[name.format("ansi-dark")](run) as s:
        await s.settle()
        assert svg_of(s.app, "theme") == changed


def test_a_picture_that_differs_is_written_beside_and_the_message_says_how_to_accept_it(tmp_path: Path) -> None:
    baseline, beside = tmp_path / "known" / "a.svg", tmp_path / "new"
    compare("one", baseline, beside, accept=True)
    compare("one", baseline, beside, accept=False)
    with pytest.raises(pytest.fail.Exception, match=r"a\.svg differs from .*--hb-accept"):
        compare("two", baseline, beside, accept=False)
    with pytest.raises(pytest.fail.Exception, match=r"a\.svg differs from .*when it is right: make pictures"):
        compare("two", baseline, beside, accept=False, renew="make pictures")
    assert (beside / "a.svg").read_text() == "two"
    assert baseline.read_text() == "one"


def test_on_other_versions_nothing_is_compared_and_both_are_named(tmp_path: Path) -> None:
    baseline = tmp_path / "a.svg"
    compare("one", baseline, tmp_path, accept=True)
    Versions("3.99", "1.2.3", "4.5.6").write(tmp_path)
    with pytest.raises(pytest.skip.Exception, match=rf"Python 3\.99, textual 1\.2\.3.*here are {Versions.here()}"):
        compare("two", baseline, tmp_path, accept=False)
    assert (tmp_path / VERSIONS).exists()
