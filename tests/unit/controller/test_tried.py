"""What was tried of the retries is found again by the next rig, and by nobody else's."""

from __future__ import annotations

import asyncio
import json
import os
import pty
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from controller.host import marks_of
from controller.safety.retry import WITHIN_S, Tried
from controller.tried import Kept
from controller.wire import BoardConfig
from drivers.errors import UsageError
from tests.scenarios.gamma import at_once
from tests.usb_tree import EMBER, UsbTree

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "retries", "a board", carry=at_once)


def of(directory: Path, marks: str) -> Kept:
    return Kept(directory / "retries", marks, carry=at_once)


async def test_it_is_read_back_as_old_as_it_is_by_then(kept: Kept, tmp_path: Path) -> None:
    assert kept.read(NOW) == Tried()
    await kept.write(Tried((3600.0, 0.0), 60.0), NOW)
    assert of(tmp_path, "a board").read(later(100.0)) == Tried((3700.0, 100.0), 160.0)
    assert of(tmp_path, "another").read(NOW) == Tried()
    assert kept.read(later(WITHIN_S - 3600.0)) == Tried((WITHIN_S - 3600.0,), WITHIN_S - 3600.0 + 60.0)
    await kept.write(Tried(), later(1.0))
    assert kept.read(later(1.0)) == Tried()


def test_the_file_says_which_board_it_is_of_and_when(kept: Kept) -> None:
    asyncio.run(kept.write(Tried((60.0,)), NOW))
    assert json.loads(Path(str(kept)).read_text()) == {
        "schema": "hashbridge.retries/1",
        "board": "a board",
        "planned": ["2026-03-01T11:59:00Z"],
        "input_lost": None,
    }


async def test_a_clock_that_was_set_back_makes_nothing_older_or_forgotten(kept: Kept) -> None:
    await kept.write(Tried((0.0, 0.0, 0.0), 0.0), NOW)
    assert kept.read(later(-30 * 24 * 3600.0)) == Tried((0.0, 0.0, 0.0), 0.0)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda said: said | {"schema": "hashbridge.retries/2"}, "schema: Input should be 'hashbridge.retries/1'"),
        (lambda said: said | {"more": 1}, "more: Extra inputs are not permitted"),
        (lambda said: said | {"planned": ["noon"]}, "planned: 0: "),
        (lambda said: said | {"planned": ["2026-03-01T11:59:00"]}, "planned: 0: Input should have timezone info"),
        (lambda said: {"planned": []}, "schema: Field required"),
        (lambda said: [], "Input should be an object"),
    ],
)
def test_what_no_rig_has_written_is_refused_by_name(
    kept: Kept, change: Callable[[dict[str, Any]], object], why: str
) -> None:
    asyncio.run(kept.write(Tried((0.0,)), NOW))
    path = Path(str(kept))
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(UsageError, match=why) as caught:
        kept.read(NOW)
    assert (caught.value.key, caught.value.value) == ("retries", str(path))


def test_a_file_that_cannot_be_read_is_refused_by_name(kept: Kept) -> None:
    Path(str(kept)).mkdir(parents=True)
    with pytest.raises(UsageError, match="Is a directory"):
        kept.read(NOW)
    with pytest.raises(OSError, match="Is a directory"):
        asyncio.run(kept.write(Tried((0.0,)), NOW))
    assert [path.name for path in Path(str(kept)).parent.iterdir()] == [Path(str(kept)).name], "nothing half-written"


async def test_what_counts_no_more_is_removed_with_the_next_write(kept: Kept, tmp_path: Path) -> None:
    old, new = of(tmp_path, "gone long ago"), of(tmp_path, "here yesterday")
    for each, ago_s in ((old, WITHIN_S + 1.0), (new, WITHIN_S - 1.0)):
        await each.write(Tried((0.0,)), NOW)
        os.utime(str(each), (later(-ago_s).timestamp(),) * 2)
    await kept.write(Tried((0.0,)), NOW)
    assert sorted(path.name for path in (tmp_path / "retries").iterdir()) == sorted(
        Path(str(each)).name for each in (kept, new)
    )


def test_a_board_is_told_by_what_its_usb_says_and_by_its_socket_where_that_does_not_suffice(tmp_path: Path) -> None:
    tree, (master, slave) = UsbTree(tmp_path), pty.openpty()
    node = os.ttyname(slave)

    def marks(name: str, where: str, strings: dict[str, str] | None = None) -> str:
        path = str(tree.plug(name, node, where, strings=strings))
        found = marks_of(
            BoardConfig(name="x", kind="bitaxe-gamma", control=path, data=path), str(tree.sysfs), str(tree.dev)
        )
        tree.unplug(name)
        return found

    first = marks("ttyACM0", "1-1.2")
    assert marks("ttyACM3", "3-2") == first, "under another name, in another socket"
    assert marks("ttyACM0", "1-1.3", {"serial": "03666228"}) != first
    for strings in ({"serial": ""}, EMBER):  # no number, or not a number of its own
        here = marks("ttyACM1", "2-1", strings)
        assert marks("ttyACM2", "2-1", strings) == here
        assert marks("ttyACM1", "2-2", strings) != here
    os.close(master)
    os.close(slave)


def test_a_port_that_is_no_usb_device_is_told_by_its_path() -> None:
    config = BoardConfig(name="x", kind="bitaxe-gamma", control="/nowhere/control", data="/nowhere/data")
    assert marks_of(config) == "/nowhere/control"
