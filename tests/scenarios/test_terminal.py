"""The screens on real terminals: what a person does and reads there, and what the emulated board says of it."""

from __future__ import annotations

import asyncio
import itertools
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.emulators import child_command
from controller.model import StartWork
from emulator.benches import BenchSettings
from emulator.virtual_time import virtual_run
from tests.conftest import FAILED
from tests.processes import state_of, strike
from tests.scenarios.gamma import NAME, stand
from tests.scenarios.screen_stage import (
    BOARD,
    MOVES_OF_SAFE_OFF,
    POWER_UP_S,
    Stage,
    events_of,
    is_safe,
    type_number,
    until_live,
)
from tests.terminal import PATIENCE_S, Terminal, TmuxTerminal
from tests.waiting import until

pytestmark = pytest.mark.real_time
ON_TRIAL = re.compile(r"ON TRIAL +(\d+) s")
ENTERED = b"\x1b[?1049h"
CONFIRMED = "safe-off confirmed by rig: reset asserted, rail off, fan full"


@pytest.fixture
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    with Stage() as found:
        yield found
        if request.node.stash.get(FAILED, False):
            found.tell()


def stop_and_see_it_confirmed(terminal: Terminal | TmuxTerminal) -> None:
    terminal.press("ctrl+x")
    terminal.wait_for("SAFE, confirmed by read-back")
    for actuator in ("reset asserted", "rail off", "fan full"):
        terminal.wait_for(re.compile(rf"✓ {actuator} +confirmed"))


def leave_a_safe_board(terminal: Terminal | TmuxTerminal) -> None:
    """Safe by its readings too, a sweep later than by the report: until then leaving is asked about."""
    terminal.press("escape")
    terminal.wait_gone("esc closes this")
    terminal.wait_for("SAFE OFF")
    terminal.press("q")


def test_the_story_of_one_board_from_safe_off_through_a_trial_to_a_confirmed_stop(stage: Stage) -> None:
    terminal = stage.tui("--emulate", BOARD, "--keep-within", "3")
    terminal.wait_for("SAFE OFF")
    assert is_safe(stage.truth())

    terminal.press("2", "a")
    terminal.wait_for(" LIVE ", POWER_UP_S)
    assert stage.truth()["rail_on"]
    granted_v = stage.truth()["rail_set_v"]

    # Beyond stock: the guard says no when it is staged, and no again when it is asked for all the same.
    terminal.press("v")
    type_number(terminal, "1.2")
    terminal.wait_for("✗ refused")
    terminal.wait_for("core_v 1.2 V is outside 1 to 1.15 V")
    terminal.press("a")
    terminal.wait_for("command refused")
    assert stage.truth()["rail_set_v"] == granted_v
    terminal.press("u")
    terminal.wait_for("nothing is staged")

    # Unlocked on purpose, and shown from then on.
    terminal.press("ctrl+p")
    terminal.press(*"unlock", "enter")
    terminal.wait_for("Unlock what lies beyond stock?")
    terminal.press("y")
    terminal.wait_for("UNLOCKED")
    terminal.wait_for("1 to 1.25 (range)")

    # A step on trial that nobody keeps.
    terminal.press("+")
    terminal.wait_for("would be granted now")
    terminal.press("a")
    counted: list[int] = []

    def gone_back() -> bool:
        if found := ON_TRIAL.search(terminal.text):
            counted.append(int(found.group(1)))
        return terminal.shows("back: ")

    terminal.wait_until(gone_back, what="the way back after 3 s")
    assert len(set(counted)) > 1, "a countdown counts"
    assert counted == sorted(counted, reverse=True)
    terminal.wait_for(re.compile(r"↩ 525\.00 MHz 1\.160 V"))
    terminal.wait_gone("ON TRIAL")
    assert stage.truth()["rail_set_v"] == granted_v

    # The same again, kept.
    terminal.press("+")
    terminal.wait_for("would be granted now")
    terminal.press("a")
    terminal.wait_for("ON TRIAL")
    terminal.press("k")
    terminal.wait_for(re.compile(r"✓ 525\.00 MHz 1\.160 V"))
    terminal.wait_gone("ON TRIAL")

    terminal.press("w")
    terminal.wait_for("random headers")
    terminal.press("enter")
    terminal.wait_for(re.compile(r" LIVE +UNLOCKED +synthetic "))
    assert stage.truth()["hashing"]
    terminal.press("1")
    terminal.wait_for("TH/s")
    assert stage.truth()["rail_set_v"] == pytest.approx(granted_v + 0.01, abs=0.002)

    stop_and_see_it_confirmed(terminal)
    assert is_safe(stage.truth())
    leave_a_safe_board(terminal)
    assert terminal.wait() == 0
    assert CONFIRMED in terminal.said()
    assert terminal.left_as_it_was() == []


@pytest.mark.skipif(TmuxTerminal.missing() is not None, reason=str(TmuxTerminal.missing()))
def test_the_same_in_tmux_in_short(stage: Stage) -> None:
    terminal = stage.tui_in_tmux("--emulate", BOARD)
    terminal.wait_for("SAFE OFF")
    terminal.press("2", "v")
    type_number(terminal, "1.4")
    terminal.wait_for("core_v 1.4 V is outside 1 to 1.15 V")
    terminal.resize(80, 24)
    terminal.wait_for("✗ refused")
    terminal.press("3")
    terminal.wait_for("following")
    stop_and_see_it_confirmed(terminal)
    assert is_safe(stage.truth())
    leave_a_safe_board(terminal)
    assert terminal.wait() == 0
    assert CONFIRMED in terminal.text
    assert terminal.left_as_it_was() == []


# --- wrong command lines ---------------------------------------------------------------------------------------------

WRONG = {
    "an unknown board": (("--emulate", "toaster"), 2, ("--emulate", "toaster", BOARD)),
    "a file that is no journal": (("--open", "empty.txt"), 5, ("empty.txt", "not a journal of schema")),
    "a file that is not there": (("--open", "nowhere.jsonl"), 2, ("--open", "nowhere.jsonl", "a file")),
    "a rig of nobody": (("--rig", "1"), 3, ("rig 1", "running: none")),
    "no time to keep": (("--emulate", BOARD, "--keep-within", "0"), 2, ("--keep-within", "0", "1 s to 3600 s")),
    "ages to keep it": (("--emulate", BOARD, "--keep-within", "2h"), 2, ("--keep-within", "2h", "1 s to 3600 s")),
    "a journal that exists": (("--emulate", BOARD, "--journal", "empty.txt"), 2, ("--journal", "empty.txt")),
    "a theme of nobody": (("--emulate", BOARD, "--theme", "mauve"), 2, ("--theme", "mauve", "ansi-dark")),
}  # fmt: skip


@pytest.mark.parametrize("which", WRONG)
def test_a_wrong_command_line_gets_one_clear_error_and_leaves_the_terminal_alone(stage: Stage, which: str) -> None:
    arguments, code, words = WRONG[which]
    (stage.directory / "empty.txt").write_text("nothing of a journal\n")
    terminal = stage.tui(*arguments)
    assert terminal.wait() == code
    said = terminal.said()
    assert all(word in said for word in words), said
    assert said.count("hashbridge: ") == 1
    assert "Traceback" not in said
    assert terminal.modes == {}, "the terminal was touched"
    assert terminal.left_as_it_was() == []
    assert (stage.directory / "empty.txt").read_text() == "nothing of a journal\n"


def test_without_a_terminal_there_is_one_line_that_says_so(stage: Stage) -> None:
    done = subprocess.run(
        child_command("tui", "--emulate", BOARD),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=stage.environment,
        timeout=PATIENCE_S,
    )
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert "no terminal" in line
    assert "`hashbridge run`" in line


# --- more than one screen, and what dies under them ------------------------------------------------------------------


def test_a_viewer_comes_and_goes_and_the_rig_does_not_mind(stage: Stage) -> None:
    journal = stage.directory / "j.jsonl"
    owner = stage.tui("--emulate", BOARD, "--start", "--journal", str(journal))
    until_live(owner)
    viewer = stage.tui("--rig", str(stage.rig()), columns=80, rows=24)
    viewer.wait_for(" LIVE ")
    viewer.press("3")
    viewer.wait_for("work started")
    viewer.press("q")
    assert viewer.wait() == 0
    assert viewer.left_as_it_was() == []
    assert "safe-off" not in viewer.said(), "a viewer makes nothing safe, and does not say that it did"
    assert stage.truth()["hashing"]
    assert "work_stopped" not in [event["kind"] for event in events_of(journal)]
    owner.press("q")
    owner.wait_for("hashing ends")
    owner.press("y")
    assert owner.wait() == 0
    assert CONFIRMED in owner.said()


def test_a_rig_that_is_killed_is_told_as_lost_by_owner_and_viewer_and_the_sentinel_reports(stage: Stage) -> None:
    owner = stage.tui("--emulate", BOARD, "--start")
    until_live(owner)
    viewer = stage.tui()  # the only rig there is
    viewer.wait_for(" LIVE ")
    rig_pid = stage.rig()
    strike(rig_pid, signal.SIGKILL)
    for terminal in (owner, viewer):
        terminal.wait_for(" LOST ")
        terminal.wait_for("What is shown is the last that was known")
    owner.wait_until(lambda: is_safe(stage.truth()), what="the safe-off of the sentinel")
    for terminal in (owner, viewer):
        terminal.press("q")
    assert owner.wait() == 5
    assert "safe-off confirmed by sentinel: " in owner.said()
    assert "the rig process ended before the screen did" in owner.said()
    assert viewer.wait() == 5
    assert f"the rig {rig_pid} was lost: the rig process hung up" in viewer.said()
    for terminal in (owner, viewer):
        assert terminal.left_as_it_was() == []
    stage.sweep()


def test_an_emulator_that_is_killed_leaves_a_board_that_the_screen_calls_unprotected(stage: Stage) -> None:
    terminal = stage.tui("--emulate", BOARD, "--start")
    until_live(terminal)
    strike(stage.sidecar()["pid"], signal.SIGKILL)
    terminal.wait_for(" UNPROTECTED ")
    terminal.wait_for("nobody can cut the rail: PULL THE SUPPLY")
    terminal.press("ctrl+x")
    terminal.wait_for("NOT CONFIRMED")
    terminal.press("escape")
    terminal.wait_gone("esc closes this")
    terminal.press("q")
    assert terminal.wait() == 1
    assert "the safe-off could NOT be confirmed by read-back" in terminal.said()
    assert terminal.left_as_it_was() == []


def test_a_change_that_a_viewer_made_goes_back_by_itself_when_that_viewer_is_killed(stage: Stage) -> None:
    journal = stage.directory / "j.jsonl"
    owner = stage.tui("--emulate", BOARD, "--unlock", "range", "--start", "--journal", str(journal))
    until_live(owner)
    before_v = stage.truth()["rail_set_v"]
    viewer = stage.tui("--rig", str(stage.rig()), "--keep-within", "4")
    viewer.wait_for(" LIVE ")
    viewer.press("2", "v", "+")
    viewer.wait_for("would be granted now")
    viewer.press("a")
    viewer.wait_for("ON TRIAL")
    strike(viewer.pid, signal.SIGKILL)
    assert viewer.wait() == -signal.SIGKILL
    owner.wait_for("ON TRIAL")
    assert stage.truth()["rail_set_v"] == pytest.approx(before_v + 0.01, abs=0.002)
    owner.wait_for("point reverted")
    events = {event["kind"]: event for event in events_of(journal)}
    pending, reverted = events["point_pending"], events["point_reverted"]
    assert "point_kept" not in events
    assert reverted["at_s"] >= pending["at_s"] + 4.0
    assert reverted["point"] == pending["revert_to"]
    assert stage.truth()["rail_set_v"] == pytest.approx(before_v, abs=0.002)
    assert stage.truth()["hashing"], "going back is no stop"


# --- sizes, signals, recordings --------------------------------------------------------------------------------------


def test_a_live_screen_follows_its_window_down_to_20_by_5_and_back(stage: Stage) -> None:
    terminal = stage.tui("--emulate", BOARD, "--start")
    until_live(terminal)
    for screen in ("1", "2", "3"):
        terminal.resize(80, 24)
        terminal.press(screen)
        terminal.wait_until(lambda: terminal.lines()[-1].endswith("^X STOP"))
        assert len(terminal.lines()) == 24
        terminal.resize(20, 5)
        terminal.wait_until(lambda: terminal.lines()[-1].endswith("^X STOP"))
        terminal.resize(120, 40)
        terminal.wait_until(lambda: terminal.lines()[-1].endswith("^X STOP"))
        terminal.wait_for(" LIVE ")
    terminal.resize(20, 5)
    terminal.press("ctrl+x")
    terminal.wait_until(lambda: is_safe(stage.truth()), what="a stop from a window of 20 by 5")
    terminal.resize(120, 40)
    terminal.wait_for("SAFE, confirmed by read-back")
    leave_a_safe_board(terminal)
    assert terminal.wait() == 0
    assert terminal.left_as_it_was() == []


@pytest.mark.parametrize("by", ["others", "ctrl+z"])
def test_a_screen_that_was_stopped_and_goes_on_is_whole_and_leaves_the_terminal_as_it_was(
    stage: Stage, by: str
) -> None:
    terminal = stage.tui("--emulate", BOARD)
    terminal.wait_for("SAFE OFF")
    for key, title in (("1", "Readings"), ("2", "Guard rails"), ("3", "following")):
        terminal.press(key)
        terminal.wait_for(title)
        if by == "others":
            strike(terminal.pid, signal.SIGSTOP)
        else:
            terminal.press("ctrl+z")
        terminal.wait_until(lambda: state_of(terminal.pid) == "T", what="the stop")
        assert stage.rigs(), "a screen that stands still is nothing to its rig"
        entered = terminal.raw.count(ENTERED)
        strike(terminal.pid, signal.SIGCONT)
        terminal.wait_until(lambda before=entered: terminal.raw.count(ENTERED) > before)  # type: ignore[misc]
        terminal.wait_for(title)
        terminal.wait_for("^X STOP")
    terminal.press("q")
    assert terminal.wait() == 0
    assert terminal.left_as_it_was() == []


def test_sigterm_leaves_in_order_and_the_board_is_safe(stage: Stage) -> None:
    board = stage.emulator("--dilution", "16777216")
    terminal = stage.tui("--port", board.control, "--start")
    until_live(terminal)
    struck_s = strike(terminal.pid, signal.SIGTERM)
    assert terminal.wait() == 0
    assert CONFIRMED in terminal.said()
    assert terminal.left_as_it_was() == []
    after = [move["what"] for move in board.moves() if move["t_ns"] > struck_s * 1e9 and move["what"] != "fan duty"]
    assert after == MOVES_OF_SAFE_OFF
    assert is_safe(stage.truth(board.plant))


def test_a_terminal_that_is_closed_leaves_a_safe_board_behind(stage: Stage) -> None:
    board = stage.emulator("--dilution", "16777216")
    terminal = stage.tui("--port", board.control, "--start")
    until_live(terminal)
    closed_s = time.monotonic()
    terminal.hang_up()
    assert until(lambda: terminal.ended() is not None, PATIENCE_S), "it outlived its terminal"
    assert until(lambda: is_safe(stage.truth(board.plant)), PATIENCE_S)
    after = [move["what"] for move in board.moves() if move["t_ns"] > closed_s * 1e9 and move["what"] != "fan duty"]
    assert after == MOVES_OF_SAFE_OFF
    assert until(lambda: not stage.rigs(), PATIENCE_S)


FRAMEWORKS_QUEUE = 30


def fill(terminal: Terminal) -> None:
    """The terminal is not read, and the screen has written until it takes no more."""
    terminal.stop_reading()
    keys = itertools.cycle("123")

    def full_after_a_key() -> bool:
        terminal.press(next(keys))
        return until(terminal.is_full, 0.1)  # no faster than a loaded machine paints: keys must not pile up

    assert until(full_after_a_key, 30.0), "it never filled"
    for _ in range(FRAMEWORKS_QUEUE + 10):  # each a whole screen: the framework queues so many before it waits
        terminal.press_unread(next(keys))


def test_the_emergency_stop_works_on_a_terminal_that_takes_no_output(stage: Stage) -> None:
    board = stage.emulator("--dilution", "16777216")
    terminal = stage.tui("--port", board.control, "--start")
    until_live(terminal)
    fill(terminal)
    assert not is_safe(stage.truth(board.plant))
    terminal.press("ctrl+x")
    assert until(lambda: is_safe(stage.truth(board.plant)), 5.0), "the stop waited for the terminal"
    terminal.read_on()
    terminal.wait_for("SAFE, confirmed by read-back")
    terminal.wait_for("rail off")
    terminal.press("escape", "1")
    terminal.wait_for("Readings")
    terminal.wait_for("Operating point")
    terminal.press("q")
    assert terminal.wait() == 0
    assert terminal.left_as_it_was() == []


def test_sigterm_makes_safe_although_the_terminal_takes_no_output(stage: Stage) -> None:
    board = stage.emulator("--dilution", "16777216")
    terminal = stage.tui("--port", board.control, "--start")
    until_live(terminal)
    fill(terminal)
    strike(terminal.pid, signal.SIGTERM)
    assert until(lambda: is_safe(stage.truth(board.plant)), 10.0)
    terminal.read_on()
    assert terminal.wait() == 0


async def _run_of_two_minutes(journal: Path) -> None:
    async with stand(BenchSettings(seed=1, dilution=2**29), journal=journal) as s:
        await s.power_up()
        await s.rig.request(NAME, StartWork(work="synthetic", seed=1))
        await asyncio.sleep(108.0)


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two minutes of a board that is powered up and hashes."""
    path = tmp_path_factory.mktemp("journal") / "run.jsonl"
    virtual_run(_run_of_two_minutes(path))
    return path


def test_a_journal_is_played_to_its_end_and_sought_in(stage: Stage, journal: Path) -> None:
    count = len(events_of(journal))
    terminal = stage.tui("--open", str(journal))
    terminal.wait_for("RECORDING")
    terminal.wait_for(" STARTING ")
    terminal.press(">")
    terminal.wait_for(" LIVE ")
    terminal.press("s", "s", "s", "s")
    terminal.wait_for("×60")
    terminal.press("3")
    terminal.wait_for(f"of {count} ")
    terminal.wait_for(re.compile(r"▸.*(safe off done|state changed)"))
    terminal.press("space", "<", "<")
    terminal.wait_for(re.compile(r"‖ \d(\.\d)? s of"))
    terminal.wait_for(re.compile(r"Log +[1-9] of [1-9] "))
    terminal.press("q")
    assert terminal.wait() == 0
    assert terminal.left_as_it_was() == []


def test_words_with_brackets_are_searched_for_and_break_nothing(stage: Stage, journal: Path) -> None:
    terminal = stage.tui("--open", str(journal))
    terminal.wait_for(" STARTING ")
    terminal.press("3")
    terminal.wait_for("following")
    terminal.press("/")
    terminal.wait_for("words that a line has to have")
    terminal.press(*"[/x]")
    terminal.wait_for("/[/x]  following")
    terminal.wait_for("no event passes")
    terminal.press("escape")
    terminal.wait_gone("/[/x]")
    terminal.press("q")
    assert terminal.wait() == 0


@pytest.mark.parametrize("opens", ["/", "n", "e"])
def test_what_is_typed_ahead_of_a_question_is_no_command(stage: Stage, opens: str) -> None:
    terminal = stage.tui("--emulate", BOARD)
    terminal.wait_for("SAFE OFF")
    terminal.press("3")
    terminal.wait_for("following")
    terminal.press(opens, "a")  # which would power the board up
    terminal.wait_for({"/": "words that a line", "n": "A line of your own", "e": "Enter stages it"}[opens])
    terminal.press("escape")
    terminal.press("n")
    terminal.wait_for("A line of your own")
    terminal.press(*"seen", "enter")
    terminal.wait_for(re.compile(r"remark +seen"))
    assert not terminal.shows("power up")
    assert is_safe(stage.truth())


def test_a_screen_on_which_nothing_changes_writes_nothing(stage: Stage, journal: Path) -> None:
    terminal = stage.tui("--open", str(journal))
    terminal.wait_for(" STARTING ")
    terminal.press("space")
    terminal.wait_for("‖ ")
    for key, title in (("1", "Readings"), ("2", "Guard rails"), ("3", "following")):
        terminal.press(key)
        terminal.wait_for(title)
        time.sleep(1.0)  # the title is painted, the rest may not be: to wait for quiet would be the test itself
        written = len(terminal.raw)
        time.sleep(1.5)  # three repaints, for ages that would go on; that nothing comes can only be waited for
        assert len(terminal.raw) == written, f"screen {key}"
