"""The vectors themselves: each row has a name of its own, and each kind has a place where it is tested."""

from __future__ import annotations

import pytest

from tests.vectors import FOLDER, frame, rows

FILES = sorted(path.stem for path in FOLDER.glob("*.jsonl"))
TESTED_IN = {
    "codecs/test_crc.py": ["crc5", "crc16", "command-old", "response-old"],
    "codecs/test_bm13xx.py": ["command", "response", "job", "hash", "ticket-mask", "init", "hcn"],
    "codecs/test_header.py": ["header", "stratum", "merkle-branch"],
    "asics/test_pll.py": ["pll", "pll-ramp", "pll-captured"],
}


@pytest.mark.parametrize("name", FILES)
def test_each_row_has_a_name_of_its_own(name: str) -> None:
    names = [row["name"] for row in rows(name)]
    assert len(set(names)) == len(names) > 0


@pytest.mark.parametrize("name", ["bm13xx", "bridge", "usb_miners"])
def test_each_row_with_bytes_has_whole_ones(name: str) -> None:
    assert all(frame(row) for row in rows(name) if "hex" in row)


def test_each_kind_of_chip_vector_is_tested_somewhere() -> None:
    kinds = {row["kind"] for name in ("bm13xx", "usb_miners") for row in rows(name)}
    assert kinds == {kind for tested in TESTED_IN.values() for kind in tested}
    for file, tested in TESTED_IN.items():
        text = (FOLDER.parent / "unit" / file).read_text(encoding="utf-8")
        assert [kind for kind in tested if f'"{kind}"' not in text] == []


def test_asking_for_a_kind_that_is_not_there_gives_nothing() -> None:
    assert rows("bm13xx", "no such kind") == []
