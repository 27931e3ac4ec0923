"""What was written comes back, whatever happened to the disk or the process."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from controller.clock import LoopClock
from controller.feed import Feed
from controller.journal import Journal, JournalError, read_journal
from controller.model import BoardInfo, Note, Snapshot
from drivers.boards import BOARDS

NOW = datetime(2025, 1, 1, tzinfo=UTC)
INFO = BoardInfo(
    name="gamma",
    kind="bitaxe-gamma",
    title="Bitaxe Gamma",
    chip="BM1370",
    chips=1,
    emulated=True,
    dilution=1,
    seed=1,
    envelope=BOARDS["bitaxe-gamma"].envelope,
)


def note(seq: int) -> Note:
    return Note(seq=seq, at_s=float(seq), at_utc=NOW, board="gamma", level="info", text=f"näive {seq}")


def snapshot(at_s: float) -> Snapshot:
    return Snapshot(at_s=at_s, at_utc=NOW, boards=())


def written(path: Path, count: int = 3) -> list[Note | Snapshot]:
    journal = Journal(path, boards=[INFO])
    items: list[Note | Snapshot] = []
    for seq in range(1, count + 1):
        items += [note(seq), snapshot(seq + 0.5)]
        journal.event(note(seq))
        journal.snapshot(snapshot(seq + 0.5))
    journal.close()
    journal.close()
    return items


def test_a_journal_gives_back_what_was_written_in_order(tmp_path: Path) -> None:
    items = written(tmp_path / "j")
    recording = read_journal(tmp_path / "j")
    assert recording.items == items
    assert recording.boards == (INFO,)
    assert not recording.truncated
    assert (tmp_path / "j").read_text().startswith('{"kind": "header", "schema": "hashbridge.journal/1"')


def test_a_last_line_that_was_cut_off_is_dropped_and_told(tmp_path: Path) -> None:
    items = written(tmp_path / "j")
    whole = (tmp_path / "j").read_bytes()
    (tmp_path / "j").write_bytes(whole[:-20])
    recording = read_journal(tmp_path / "j")
    assert recording.items == items[:-1]
    assert recording.truncated


def test_a_broken_line_in_the_middle_is_an_error_that_names_it(tmp_path: Path) -> None:
    written(tmp_path / "j")
    lines = (tmp_path / "j").read_text().splitlines()
    lines[2] = lines[2][:10]
    (tmp_path / "j").write_text("\n".join(lines))
    with pytest.raises(JournalError, match="line 3"):
        read_journal(tmp_path / "j")


@pytest.mark.parametrize("last", ['{"kind": "weather"}', '{"kind": "event", "event": {"kind": "note"}}'])
def test_a_last_line_that_is_whole_and_wrong_was_not_cut_off(tmp_path: Path, last: str) -> None:
    written(tmp_path / "j", 1)
    with (tmp_path / "j").open("a") as file:
        file.write(f"{last}\n")
    with pytest.raises(JournalError, match="line 4"):
        read_journal(tmp_path / "j")


@pytest.mark.parametrize("text", ["", '{"kind": "header", "schema": "other/1"}\n', "not json\n"])
def test_a_file_that_is_no_journal_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "j").write_text(text)
    with pytest.raises(JournalError):
        read_journal(tmp_path / "j")


def test_a_journal_is_never_written_over(tmp_path: Path) -> None:
    written(tmp_path / "j")
    with pytest.raises(FileExistsError):
        Journal(tmp_path / "j")


async def test_a_full_disk_ends_the_journal_with_a_note_and_nothing_else() -> None:
    class Full:
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

        def close(self) -> None:
            return

    journal = Journal.__new__(Journal)
    journal.path, journal.broken, journal._file = Path("j"), None, Full()  # type: ignore[assignment]
    feed = Feed(LoopClock(), journal)
    feed.add(Note, "gamma", level="info", text="one")
    feed.add(Note, "gamma", level="info", text="two")
    feed.close()
    texts = [event.text async for event in feed.events() if isinstance(event, Note)]
    assert texts == ["one", "the journal j ends here: [Errno 28] No space left on device", "two"]


async def test_events_number_themselves_without_gaps_and_snapshots_never_queue() -> None:
    feed = Feed(LoopClock())
    seen: list[float] = []
    for index in range(5):
        assert feed.add(Note, "gamma", level="info", text=str(index)).seq == index + 1
    snapshots = feed.snapshots()
    for at_s in range(3):
        feed.publish(snapshot(float(at_s)))
    nobody_looks = not feed.wanted

    async def look() -> None:
        async for one in snapshots:
            seen.append(one.at_s)

    looking = asyncio.create_task(look())
    await asyncio.sleep(0)
    somebody_looks = feed.wanted
    for at_s in range(10, 13):
        feed.publish(snapshot(float(at_s)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    feed.close()
    await looking
    assert (nobody_looks, somebody_looks) == (True, True)
    assert seen == [12.0]
