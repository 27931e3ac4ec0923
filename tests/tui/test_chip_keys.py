"""The chips of a chain on the screen: the dead one is seen at once, and what is said of it is all there."""

from __future__ import annotations

import re

import pytest

from controller.model import CapChip, Cause, FaultRecord, GuardState
from controller.tui.widgets.chips import Chips
from controller.tui.widgets.entry import Entry
from drivers.errors import Refused
from tests.tui.covering import shows
from tests.tui.driving import NARROW, Seat, seat
from tests.tui.ports import ScriptedPort, scripted
from tests.tui.recorded import Run
from tests.tui.scenes import answered, chips, few_chips, long_chain, with_chips

pytestmark = pytest.mark.real_time


def listed(s: Seat) -> list[str]:
    """The rows of the list, without the map."""
    lines = s.panel("chips").splitlines()
    (head,) = [at for at, line in enumerate(lines) if "95 %" in line]
    return [line for line in lines[head + 1 :] if line]


def positions(s: Seat) -> list[int]:
    return [int(line[2:].split()[0]) for line in listed(s)]


def marked(s: Seat) -> int:
    (row,) = [line for line in listed(s) if line.startswith("▸")]
    return int(row[2:].split()[0])


@shows("screen.chips")
async def test_4_shows_each_of_126_chips_as_a_letter_and_the_worst_first(run: Run) -> None:
    async with seat(with_chips(run, *long_chain()), size=NARROW) as s:
        assert "4 chips" in s.panel("keys")
        await s.press("4")
        await s.until_it_is("chips", lambda: s.app.current_mode)
        await s.settle()
        lines = s.panel("chips").splitlines()
        letters = "".join("".join(line[5:].split()) for line in lines[:3])
        assert len(letters) == 126
        assert {at: letter for at, letter in enumerate(letters) if letter != "o"} == {
            25: "X",
            40: "s",
            41: "w",
            97: "w",
        }
        assert [line.split()[0] for line in lines[:3]] == ["0", "60", "120"]
        assert lines[3].split() == ["X", "1", "silent", "w", "2", "weak", "s", "1", "slow", "o", "122", "ok"]
        assert positions(s) == [25, 41, 97, 40, 0, 1, 2, 3]
        assert re.search(r"25  0x32  silent +0 +0\.0 % +0\.0 to 1\.0 +0$", listed(s)[0])
        assert re.search(r"41  0x52  weak +390 +97\.4 % +88\.2 to 107\.6 +64 \(14\.1 %\)$", listed(s)[1])
        assert "1 to 8 of 126" in s.text()
        assert "chip 25 is silent: no find, the others have" in s.panel("chip")
        assert all(len(line) <= 76 and "…" not in line for line in lines)


async def test_known_answers_are_counted_against_those_that_were_due_by_domain_too(run: Run) -> None:
    async with few_chips(run) as s:
        assert positions(s) == [4, 2, 0, 1, 3, 5]
        assert re.search(r"4  0x80  dead domain +180 of 240 +75\.0 % +69\.2 to 80\.1 +0$", listed(s)[0])
        assert "chip 4, domain 1 is dead: none of 60 known answers" in s.panel("chip")
        assert "domains in it (core mod 4, assumed)  60/60  0/60  60/60  60/60" in s.panel("chip")


@shows("chips.order", "Chips.right", "Chips.left")
async def test_o_turns_to_the_order_of_the_line_and_arrows_go_to_neighbours(run: Run) -> None:
    async with chips(NARROW)(run) as s:
        assert marked(s) == 40
        await s.press("o")
        assert marked(s) == 40
        assert positions(s) == sorted(positions(s))
        assert "in the order of the line" in s.app.screen.query_one(Chips).name_shown
        await s.press("right")
        assert marked(s) == 41
        assert "chip 41 is weak: 14.1 % of its nonces are wrong" in s.panel("chip")
        await s.press("left", "left")
        assert marked(s) == 39
        assert "nothing that chance does not explain" in s.panel("chip")
        await s.press("o", "home")
        assert marked(s) == 25
        await s.press("left")
        assert marked(s) == 24


async def test_the_mark_stays_on_a_chip_that_a_person_chose_and_else_on_the_worst(run: Run) -> None:
    healthy = [answered(index, 60, 60, 60, 60) for index in range(6)]
    ill = [*healthy[:5], answered(5, 0, 0, 0, 0)]
    port = with_chips(run, *healthy, kind="pattern")
    async with seat(port, mode="chips", size=NARROW) as s:
        assert marked(s) == 0
        work = port.newest.boards[0].work
        assert work is not None
        port.change(work=work.model_copy(update={"chips": tuple(ill)}))
        await s.until(lambda: "1 silent" in s.panel("chips"))
        assert (marked(s), positions(s)) == (5, [5, 0, 1, 2, 3, 4])
        await s.press("down")
        assert marked(s) == 0
        port.change(work=work)
        await s.until(lambda: "silent" not in s.panel("chips"))
        assert (marked(s), positions(s)) == (0, [0, 1, 2, 3, 4, 5])


async def test_a_single_chip_has_no_such_screen_and_other_boards_of_the_rig_say_so(run: Run) -> None:
    async with seat(scripted(run, run.live_s)) as s:
        await s.press("4")
        assert s.app.current_mode == "board"
        assert "4 chips" not in s.panel("keys")
    one, six = scripted(run, run.live_s), with_chips(run, *[answered(index, 60, 60, 60, 60) for index in range(6)])
    board = six.newest.boards[0].model_copy(update={"board": "hex"})
    both = one.newest.model_copy(update={"boards": (board, *one.newest.boards)})
    info = six.info[0].model_copy(update={"name": "hex"})
    async with seat(ScriptedPort([info, *one.info], (), [both]), size=NARROW) as s:
        await s.press("4")
        await s.until_it_is("chips", lambda: s.app.current_mode)
        await s.press("right_square_bracket")
        await s.until(lambda: "a single chip: screen 1 has all there is of it" in s.panel("chips"))
        assert "4 chips" not in s.panel("keys")


async def test_before_any_work_and_before_any_chip_answered_nothing_is_claimed(run: Run) -> None:
    port = with_chips(run, *long_chain()[:6])
    async with seat(port, mode="chips", size=NARROW) as s:
        port.change(work=None)
        await s.until(lambda: "- not counted" in s.panel("chips"))
        assert all(re.search(r"not counted +— +— +— +—$", row) for row in listed(s))
        (chain,) = port.newest.boards[0].chains
        missing = "3: chip 3, counted from 0 at the host, is the first that is missing"
        fault = FaultRecord(cause=Cause.ACTUATION, sensor=None, detail=missing, at_s=1.0, at_utc=port.newest.at_utc)
        none = chain.model_copy(update={"chips": ()})
        port.change(chains=(none,), state=GuardState.LATCHED, latched=fault)
        await s.until(lambda: "6 chips are expected" in s.panel("chips"))
        assert f"actuation: {missing}" in " ".join(s.panel("chips").split())


async def test_too_few_counts_are_no_ok(run: Run) -> None:
    few = [chip.model_copy(update={"verified": 3, "hw_errors": 0}) for chip in long_chain()]
    async with seat(with_chips(run, *few), mode="chips") as s:
        assert "· 126 too few" in s.panel("chips")
        assert "so little was counted that even silence could be chance" in s.panel("chip")


async def test_y_copies_all_chips_as_a_table(run: Run) -> None:
    async with chips(NARROW)(run) as s:
        await s.press("y")
        await s.until(lambda: "copied" in s.toasts)
        rows = [line.split("\t") for line in s.app.clipboard.splitlines()]
        assert rows[0] == [
            "chip", "address", "state", "counted", "share", "low", "high", "wrong", "mhz", "cap_mhz", "read_mhz",
        ]  # fmt: skip
        assert len(rows) == 127
        assert rows[26][:4] == ["25", "0x32", "silent", "0"]
        assert rows[42][:4] == ["41", "0x52", "weak", "390"]
        assert float(rows[42][4]) == pytest.approx(0.974, abs=0.001)


def slowed(port: ScriptedPort, caps: dict[int, float], mhz: float = 485.0) -> None:
    """The chips have gone to the clock of the board, or to their caps."""
    (chain,) = port.newest.boards[0].chains
    clocks = [min(mhz, caps.get(chip.index, mhz)) for chip in chain.chips]
    chips = tuple(
        chip.model_copy(update={"frequency_mhz": own, "read_mhz": own, "read_at_s": 1.0})
        for chip, own in zip(chain.chips, clocks, strict=True)
    )
    port.change(chains=(chain.model_copy(update={"chips": chips}),), caps_mhz=caps)


async def test_where_a_chip_is_slower_the_clock_of_each_is_in_sight_in_80_columns_and_its_cap_is_said(run: Run) -> None:
    port = with_chips(run, *[answered(index, 60, 60, 60, 60) for index in range(6)], kind="pattern")
    async with seat(port, mode="chips", size=NARROW) as s:
        slowed(port, {})
        await s.settle()
        assert "chip  addr  state" in s.panel("chips")
        slowed(port, {3: 437.5})
        await s.until(lambda: "chip   MHz  state" in s.panel("chips"))
        assert [line[2:].split()[:3] for line in listed(s)] == [
            [str(at), "438" if at == 3 else "485", "ok"] for at in range(6)
        ]
        assert all(len(line) <= 76 and "…" not in line for line in s.panel("chips").splitlines())
        assert "at most" not in s.panel("chip")
        await s.press("right", "right", "right")
        said = " ".join(s.panel("chip").split())
        assert "chip 3 at 437.5 MHz at most, now 437.50 MHz, reads 437.50 MHz; address 0x60" in said
        await s.press("y")
        await s.until(lambda: "copied" in s.toasts)
        assert s.app.clipboard.splitlines()[4].split("\t")[-3:] == ["437.50", "437.50", "437.50"]
        slowed(port, {})
        await s.until(lambda: "chip  addr  state" in s.panel("chips"))


@shows("chips.cap")
async def test_c_caps_the_marked_chip_and_an_empty_line_takes_the_cap_away(run: Run) -> None:
    port = with_chips(run, *[answered(index, 60, 60, 60, 60) for index in range(6)], kind="pattern")
    async with seat(port, mode="chips", size=NARROW) as s:
        assert "c cap" in s.panel("keys")
        await s.press("right", "right", "c")
        await s.until(lambda: "Chip 2: at most so many MHz" in s.text())
        assert "50 MHz at once at most" in s.text()
        await s.press(*"fast", "enter")
        await s.until(lambda: "'fast' is no number of MHz; allowed: " in s.text())
        assert port.asked == []
        await s.press(*["backspace"] * 4, *"450", "enter")
        await s.until(lambda: port.asked != [])
        (command,) = port.asked_of(port.info[0].name)
        assert command == CapChip(chip=2, frequency_mhz=450.0, note="on the screen")
        slowed(port, {2: 450.0})
        port.answer = lambda _board, _command: Refused("throttle", "chip_c: 71.0 C is above the throttle level")
        await s.until(lambda: "450 MHz at most" in s.panel("chip"))
        await s.press("c")
        await s.until(lambda: "Chip 2: at most so many MHz" in s.text())
        assert s.app.screen.query_one(Entry).value == "450.00"
        await s.press(*["backspace"] * 6, "enter")
        await s.until(lambda: len(port.asked) == 2)
        assert port.asked_of(port.info[0].name)[-1] == CapChip(chip=2, note="on the screen")
        await s.until(lambda: "throttle: chip_c: 71.0 C is above the throttle level" in s.toasts)


async def test_c_is_grey_where_nothing_can_be_asked(run: Run) -> None:
    port = with_chips(run, *[answered(index, 60, 60, 60, 60) for index in range(6)])
    async with seat(port, mode="chips", size=NARROW) as s:
        port.change(state=GuardState.LATCHED)
        await s.until(lambda: s.app.screen.check_action("cap", ()) is None)
        await s.press("c")
        await s.settle()
        assert "at most so many MHz" not in s.text()


async def test_a_rig_that_is_gone_leaves_its_chips_in_grey(run: Run) -> None:
    port = with_chips(run, *long_chain())
    async with seat(port, mode="chips") as s:
        port.hang_up()
        await s.until(lambda: "LOST" in s.panel("heading"))
        looks = {look for line in s.app.screen.query_one(Chips)._shown[:2] for _, look in line}
        assert looks <= {"label", "stale", "title", ""}
        assert positions(s)[:4] == [25, 41, 97, 40]


async def test_a_list_in_which_nothing_changes_is_not_painted_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async with chips(NARROW)(run) as s:
        painted: list[object] = []
        view = s.app.screen.query_one(Chips)
        assert view.border_subtitle == "1 to 8 of 126"
        monkeypatch.setattr(view, "refresh", lambda *regions, **_how: painted.append(regions))
        s.app.freshen()
        s.app.freshen()
        assert painted == []
        await s.press("home")
        assert painted


@pytest.mark.parametrize("size", [(20, 5), (40, 12), (79, 23), (200, 60)])
async def test_it_is_drawn_in_any_window(run: Run, size: tuple[int, int]) -> None:
    async with seat(with_chips(run, *long_chain()), mode="chips", size=size) as s:
        await s.press("end", "home", "pagedown", "o", "right")
        assert "^X STOP" in s.text()
