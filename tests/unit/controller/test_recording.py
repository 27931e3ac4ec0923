"""A journal opens like a rig: what it shows at a position is what a plain read of the file says of that moment."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import json
import math
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.journal import Journal, JournalError, Recording, read_journal
from controller.model import Event, Note, Playback, PowerUp, RigPort, SafeOff, Snapshot, StartWork
from controller.recording import RecordedRig
from drivers.errors import Refused, Unplugged, UsageError
from emulator.benches import BenchSettings
from emulator.virtual_time import Deadlock, virtual_run
from tests.scenarios.gamma import NAME, stand
from tests.unit.controller.test_journal import INFO, NOW, note, snapshot


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A power-up, some work and a stop on the emulated board: about 25 s, 300 lines."""
    path = tmp_path_factory.mktemp("recording") / "run.jsonl"

    async def record() -> None:
        async with stand(BenchSettings(dilution=2**29), journal=path) as s:
            await s.power_up()
            await s.rig.request(NAME, StartWork(work="synthetic"))
            await asyncio.sleep(12.0)
            await s.rig.request(NAME, SafeOff())
            await asyncio.sleep(0.5)

    virtual_run(record())
    return path


class Plain:
    """The same file, read in one go."""

    def __init__(self, path: Path) -> None:
        recording: Recording = read_journal(path)
        self.began_s = recording.items[0].at_s
        self.events, self.snapshots = recording.events, recording.snapshots
        self.duration_s = recording.items[-1].at_s - self.began_s

    def told(self, position_s: float) -> list[Event]:
        return [event for event in self.events if event.at_s - self.began_s <= position_s]

    def seen(self, position_s: float, span_s: float = math.inf) -> list[Snapshot]:
        return [
            one for one in self.snapshots if position_s - span_s <= one.at_s - self.began_s <= position_s
        ]  # fmt: skip


plain_of = functools.cache(Plain)


class Viewer:
    """A screen: begins anew whenever its iterators end."""

    def __init__(self, rig: RecordedRig) -> None:
        self.rig = rig
        self.told: list[Event] = []
        self.seen: list[Snapshot] = []

    async def listen(self) -> None:
        while True:
            self.told = []
            async for event in self.rig.events():
                self.told.append(event)

    async def look(self) -> None:
        while True:
            self.seen = []
            async for one in self.rig.snapshots():
                self.seen.append(one)


@contextlib.asynccontextmanager
async def viewed(path: Path) -> AsyncIterator[tuple[RecordedRig, Viewer]]:
    async with RecordedRig.open(path) as rig:
        viewer = Viewer(rig)
        tasks = [asyncio.create_task(viewer.listen()), asyncio.create_task(viewer.look())]
        try:
            yield rig, viewer
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def settle() -> None:
    await asyncio.sleep(0.01)


# --- what is shown ----------------------------------------------------------------------------------------------------

moves = st.one_of(
    st.tuples(st.just("seek"), st.floats(min_value=-5.0, max_value=40.0)),
    st.tuples(st.just("seek to an item"), st.integers(min_value=0, max_value=300)),
    st.tuples(st.just("speed"), st.sampled_from([0.1, 1.0, 3.7, 1000.0])),
    st.tuples(st.just("wait"), st.floats(min_value=0.0, max_value=8.0)),
    st.tuples(st.just("play"), st.none()),
    st.tuples(st.just("pause"), st.none()),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(moves, max_size=12))
def test_whatever_is_played_paused_and_sought_a_viewer_sees_what_the_file_says_of_the_position(
    run: Path, moves: list[tuple[str, float]]
) -> None:
    plain = plain_of(run)
    items = sorted([*plain.events, *plain.snapshots], key=lambda item: item.at_s)

    async def watch() -> None:
        async with viewed(run) as (rig, viewer):
            position_s, playing, speed = 0.0, False, 1.0
            for what, value in moves:
                if what == "seek":
                    rig.seek(value)
                    position_s = min(max(value, 0.0), plain.duration_s)
                elif what == "seek to an item":
                    item = items[int(value) % len(items)]
                    rig.seek(item.at_s - rig.began_s)
                    position_s = item.at_s - plain.began_s
                elif what == "speed":
                    rig.speed = speed = value
                elif what == "wait":
                    await asyncio.sleep(value)
                    position_s = min(position_s + (value * speed if playing else 0.0), plain.duration_s)
                else:
                    playing = what == "play"
                    rig.play() if playing else rig.pause()
                assert rig.position_s == pytest.approx(position_s, abs=1e-6)
                assert rig.playing == playing
            rig.pause()
            await settle()
            assert rig.generation == sum(what.startswith("seek") for what, _ in moves)
            assert viewer.told == plain.told(rig.position_s)
            assert viewer.seen[-1:] == plain.seen(rig.position_s)[-1:]
            order = [one.at_s for one in viewer.seen]
            assert order == sorted(set(order))

    virtual_run(watch())


async def test_a_recording_played_through_shows_every_snapshot_and_event_at_its_time(run: Path) -> None:
    plain = plain_of(run)
    loop = asyncio.get_running_loop()
    async with RecordedRig.open(run) as rig:
        assert (rig.position_s, rig.playing, rig.speed) == (0.0, False, 1.0)
        shown: list[tuple[float, Snapshot | Event]] = []

        async def keep(iterator: AsyncIterator[Snapshot] | AsyncIterator[Event]) -> None:
            async for item in iterator:
                shown.append((loop.time() - began_s, item))

        began_s = loop.time()
        rig.play()
        tasks = [asyncio.create_task(keep(rig.snapshots())), asyncio.create_task(keep(rig.events()))]
        await asyncio.sleep(plain.duration_s + 60.0)
        assert rig.position_s == rig.duration_s == plain.duration_s
        rig.seek(0.0)
        await asyncio.gather(*tasks)
    assert [item for _, item in shown if not isinstance(item, Snapshot)] == plain.events
    newest = {one.at_s: one for one in plain.snapshots}  # of several at one time the last
    assert [item for _, item in shown if isinstance(item, Snapshot)] == list(newest.values())
    assert all(0.0 <= at_s - (item.at_s - plain.began_s) < 0.002 for at_s, item in shown)


async def test_a_slow_reader_gets_the_newest_and_none_that_it_has_missed(run: Path) -> None:
    async with RecordedRig.open(run) as rig:
        plain = plain_of(run)
        rig.play()
        async for one in rig.snapshots():
            assert one == plain.seen(rig.position_s)[-1]
            await asyncio.sleep(2.0)
            if rig.position_s > 15.0:
                break


async def test_a_seek_ends_the_iterators_even_those_that_nobody_has_begun_to_read(run: Path) -> None:
    async with RecordedRig.open(run) as rig:
        rig.seek(rig.duration_s)
        events, snapshots = rig.events(), rig.snapshots()
        await anext(events)
        rig.seek(3.0)
        assert [event async for event in events] == []
        assert [one async for one in snapshots] == []
        assert (await anext(rig.snapshots())).at_s <= rig.began_s + 3.0


@pytest.mark.parametrize("playing", [False, True])
def test_who_waits_where_nothing_more_is_due_sets_no_timer(run: Path, playing: bool) -> None:
    async def wait() -> None:
        async with RecordedRig.open(run) as rig:
            rig.seek(rig.duration_s if playing else 5.0)
            rig.playing = playing
            async for _ in rig.snapshots():
                pass

    with pytest.raises(Deadlock):  # the loop says so: nothing is ready and nothing is scheduled
        virtual_run(wait())


async def test_pausing_and_another_speed_take_hold_of_who_waits_already(run: Path) -> None:
    async with viewed(run) as (rig, viewer):
        rig.speed = 0.1
        rig.play()
        await asyncio.sleep(10.0)
        assert rig.position_s == pytest.approx(1.0)
        rig.speed = 1000.0
        await asyncio.sleep(0.05)
        assert viewer.told == read_journal(run).events
        rig.pause()
        rig.seek(0.0)
        await asyncio.sleep(100.0)
        assert rig.position_s == 0.0


# --- the clock --------------------------------------------------------------------------------------------------------


def test_the_clock_may_be_another_and_no_loop_is_needed_for_it(run: Path) -> None:
    now_s = 1000.0
    rig = RecordedRig.open(run, now=lambda: now_s)
    assert isinstance(rig, Playback)
    port: RigPort = rig
    assert [board.kind for board in port.info] == ["bitaxe-gamma"]
    rig.play()
    now_s = 1002.0
    assert rig.position_s == 2.0
    rig.speed = 10.0
    now_s = 1002.5
    assert rig.position_s == 7.0
    rig.pause()
    now_s = 2000.0
    assert rig.position_s == 7.0
    rig.seek(math.inf)
    assert rig.position_s == rig.duration_s
    rig.seek(-1.0)
    assert (rig.position_s, rig.generation) == (0.0, 2)
    asyncio.run(rig.aclose())


@pytest.mark.parametrize("speed", [0.0, 0.09, 1000.1, -1.0, math.nan, math.inf])
def test_a_speed_out_of_range_is_refused_and_changes_nothing(run: Path, speed: float) -> None:
    rig = RecordedRig.open(run, now=lambda: 0.0)
    with pytest.raises(UsageError, match=r"speed.*0\.1 to 1000"):
        rig.speed = speed
    assert rig.speed == 1.0
    asyncio.run(rig.aclose())


async def test_a_position_that_is_no_number_is_refused_and_a_recording_cannot_be_moved(run: Path) -> None:
    async with RecordedRig.open(run) as rig:
        with pytest.raises(UsageError, match="position_s"):
            rig.seek(math.nan)
        assert rig.generation == 0
        with pytest.raises(Refused, match="recorded: a recording can be looked at, not moved"):
            await rig.request(NAME, PowerUp())


async def test_a_closed_recording_ends_its_iterators_and_shows_no_more(run: Path) -> None:
    rig = RecordedRig.open(run)
    rig.seek(1.0)
    told = asyncio.create_task(_count(rig.events()))
    seen = asyncio.create_task(_count(rig.snapshots()))
    rig.play()
    await asyncio.sleep(2.0)
    await rig.aclose()
    await rig.aclose()
    assert await told > 0
    assert await seen > 0
    assert [event async for event in rig.events()] == []
    with pytest.raises(Unplugged, match="closed"):
        rig.past(10.0, 10)


async def _count(iterator: AsyncIterator[object]) -> int:
    return len([item async for item in iterator])


# --- the past ---------------------------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    position_s=st.floats(min_value=0.0, max_value=40.0),
    span_s=st.one_of(st.floats(min_value=0.0, max_value=40.0), st.just(math.inf)),
    at_most=st.integers(min_value=0, max_value=200),
)
def test_the_past_is_an_even_choice_of_what_was_before_the_position(
    run: Path, position_s: float, span_s: float, at_most: int
) -> None:
    rig = RecordedRig.open(run, now=lambda: 0.0)
    rig.seek(position_s)
    found = list(rig.past(span_s, at_most))
    asyncio.run(rig.aclose())
    plain = plain_of(run).seen(rig.position_s, span_s)
    assert len(found) == min(at_most, len(plain))
    if not found:
        return
    assert found[-1] == plain[-1]
    if len(found) > 1:
        assert found[0] == plain[0]
    places = [plain.index(one) for one in found]
    gaps = {after - before for before, after in itertools.pairwise(places)}
    # Snapshots that are equal in all they say are found at the place of the first.
    assert not gaps or max(gaps) - min(gaps) <= 2


def test_a_past_below_zero_is_refused(run: Path) -> None:
    rig = RecordedRig.open(run, now=lambda: 0.0)
    for span_s, at_most, key in ((-1.0, 1, "span_s"), (math.nan, 1, "span_s"), (1.0, -1, "at_most")):
        with pytest.raises(UsageError, match=key):
            rig.past(span_s, at_most)
    asyncio.run(rig.aclose())


# --- files ------------------------------------------------------------------------------------------------------------


def written(path: Path, *lines: str) -> Path:
    """A journal of two boards with these lines behind its header."""
    journal = Journal(path, boards=[INFO, INFO.model_copy(update={"name": "other"})])
    journal.close()
    with path.open("a") as file:
        file.writelines(f"{line}\n" for line in lines)
    return path


def snapshot_line(at_s: float) -> str:
    return f'{{"kind":"snapshot","snapshot":{snapshot(at_s).model_dump_json(by_alias=True)}}}'


def event_line(seq: int) -> str:
    return f'{{"kind":"event","event":{note(seq).model_dump_json()}}}'


async def at_the_end(path: Path) -> tuple[list[Event], Snapshot | None, RecordedRig]:
    async with RecordedRig.open(path) as rig, viewed(path) as (other, viewer):
        other.seek(math.inf)
        await settle()
        return viewer.told, viewer.seen[-1] if viewer.seen else None, rig


async def test_several_boards_and_items_of_one_time_are_all_there(tmp_path: Path) -> None:
    path = written(tmp_path / "j", event_line(1), event_line(1), snapshot_line(1.0), snapshot_line(1.0), event_line(1))
    told, seen, rig = await at_the_end(path)
    assert [board.name for board in rig.info] == ["gamma", "other"]
    assert (told, seen, rig.duration_s, rig.began_s) == ([note(1)] * 3, snapshot(1.0), 0.0, 1.0)


async def test_a_recording_without_items_is_one_of_no_length(tmp_path: Path) -> None:
    told, seen, rig = await at_the_end(written(tmp_path / "j"))
    assert (told, seen, rig.duration_s, rig.truncated) == ([], None, 0.0, False)


@pytest.mark.parametrize("cut", [1, 5, 30])
async def test_the_broken_last_line_of_a_run_that_was_cut_off_is_dropped_and_told(tmp_path: Path, cut: int) -> None:
    for last in (event_line(2), snapshot_line(2.0)):
        path = written(tmp_path / f"{len(last)}", event_line(1), snapshot_line(1.5), last)
        path.write_bytes(path.read_bytes()[: -cut - 1])
        told, seen, rig = await at_the_end(path)
        assert (told, seen, rig.truncated) == ([note(1)], snapshot(1.5), True)


async def test_a_last_line_that_lacks_its_end_of_line_alone_is_whole(tmp_path: Path) -> None:
    path = written(tmp_path / "j", event_line(1), snapshot_line(2.0))
    path.write_bytes(path.read_bytes()[:-1])
    _, seen, rig = await at_the_end(path)
    assert (seen, rig.truncated) == (snapshot(2.0), False)


async def test_a_line_that_is_written_otherwise_is_read_all_the_same(tmp_path: Path) -> None:
    spaced = json.dumps(json.loads(snapshot_line(3.0)), indent=None, sort_keys=True)
    told, seen, rig = await at_the_end(written(tmp_path / "j", snapshot_line(1.0), event_line(2), spaced))
    assert (told, seen, rig.duration_s) == ([note(2)], snapshot(3.0), 2.0)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([event_line(1), event_line(2)[:-9], event_line(3)], "line 3: "),
        ([snapshot_line(1.0), snapshot_line(2.0)[:-9], snapshot_line(3.0)], "line 3: "),
        ([snapshot_line(1.0).replace('"boards":[]', '"boards":7')], "line 2: snapshot"),
        ([event_line(1), '{"kind":"weather"}'], "line 3: .*weather"),
        ([event_line(1), '{"kind":"\\u001b[2J"}'], "line 3: .*\u241b"),
        ([event_line(2), event_line(1)], "line 3: at_s goes back, from 2.0 to 1.0"),
        ([snapshot_line(2.0), snapshot_line(1.0)], "line 3: at_s goes back, from 2.0 to 1.0"),
        (["x" * (8 * 1024 * 1024)], "line 2: more than 8388608 bytes"),
    ],
)
def test_a_broken_line_is_one_error_that_names_it(tmp_path: Path, lines: list[str], says: str) -> None:
    with pytest.raises(JournalError, match=says):
        RecordedRig.open(written(tmp_path / "j", *lines))


@pytest.mark.parametrize(
    "data",
    [b"not json\n", b"\x7fELF\x00\xff", b'{"kind": "header", "schema": "hashbridge.tap/1"}\n', b"[1]\n", b'{"ki'],
)
def test_a_file_that_is_no_journal_is_one_clear_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "j"
    path.write_bytes(data)
    with pytest.raises(JournalError, match=r"line 1: not a journal of schema hashbridge\.journal/1"):
        RecordedRig.open(path)


def test_an_empty_file_a_missing_one_and_a_directory_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with pytest.raises(JournalError, match="empty"):
        RecordedRig.open(tmp_path / "empty")
    with pytest.raises(FileNotFoundError):
        RecordedRig.open(tmp_path / "none")
    with pytest.raises(IsADirectoryError):
        RecordedRig.open(tmp_path)


async def test_what_is_broken_inside_a_snapshot_is_told_with_its_line_to_whoever_looks_at_it(tmp_path: Path) -> None:
    broken = snapshot_line(2.0).replace('"boards":[]', '"boards":[7]')
    path = written(tmp_path / "j", snapshot_line(1.0), event_line(2), broken)
    async with RecordedRig.open(path) as rig:
        assert await anext(rig.snapshots()) == snapshot(1.0)
        rig.seek(1.0)
        with pytest.raises(JournalError, match="line 4: snapshot"):
            await anext(rig.snapshots())
        with pytest.raises(JournalError, match="line 4: snapshot"):
            rig.past(10.0, 10)


def test_opening_keeps_places_not_snapshots(run: Path, tmp_path: Path) -> None:
    longest = max(run.read_text().splitlines(), key=len)
    path = written(tmp_path / "j", *([longest] * 2000))
    tracemalloc.start()
    try:
        rig = RecordedRig.open(path)
        kept_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept_bytes < path.stat().st_size / 20
    assert len(rig.past(0.0, 3000)) == 2000
    asyncio.run(rig.aclose())


def test_the_message_of_an_event_keeps_its_letters(tmp_path: Path) -> None:
    rig = RecordedRig.open(written(tmp_path / "j", event_line(1)), now=lambda: 0.0)

    async def first() -> Event:
        return await anext(rig.events())

    event = asyncio.run(first())
    assert isinstance(event, Note)
    assert (event.text, event.at_utc) == ("näive 1", NOW)
    asyncio.run(rig.aclose())
