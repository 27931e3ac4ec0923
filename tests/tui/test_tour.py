"""docs/tour.md and its pictures are of the screens as they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.tour import PICTURES, TOUR, picture
from tests.tui.pictures import ROOT, VERSIONS, compare
from tests.tui.recorded import Run

TEXT = (ROOT / "docs" / "tour.md").read_text(encoding="utf-8")


@pytest.mark.real_time
@pytest.mark.parametrize("name", TOUR)
async def test_a_picture_of_the_docs_is_fresh_and_if_not_make_pictures_makes_it_so(
    run: Run, name: str, tmp_path: Path
) -> None:
    compare(await picture(run, name), PICTURES / f"{name}.svg", tmp_path, accept=False, renew="make pictures")


def test_the_tour_shows_each_picture_once_in_order_and_no_other() -> None:
    assert re.findall(r"!\[[^]]+\]\(pictures/([a-z]+)\.svg\)", TEXT) == list(TOUR)
    assert {path.name for path in PICTURES.iterdir()} == {*(f"{name}.svg" for name in TOUR), VERSIONS}


def test_the_tour_has_one_section_for_each_picture() -> None:
    assert len(re.findall(r"^## ", TEXT, re.MULTILINE)) == len(TOUR)
