"""`hashbridge chain --hash`: what has to be said first, what is printed, how it ends. The spell itself: scenarios."""

from __future__ import annotations

import asyncio
import json
import signal
from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from controller.__main__ import main
from controller.barehash import BareWish
from controller.cli import chain
from controller.cli.chain import Asked, look
from controller.cli.chain_hash import NOT_STOPPED, HashWish
from controller.cli.exits import Exit
from controller.cli.tui import _check_board
from controller.journal import read_journal
from controller.library import open_recording
from controller.model import BareHashAccepted, ChipsStopped, StartWork
from controller.recording import RecordedRig
from drivers.asics import ASICS
from drivers.boards.hashboards import HASHBOARDS
from drivers.errors import UsageError
from drivers.units import Megahertz, Seconds
from emulator.benches.hashboard import HashBoard
from emulator.ports.memory import MemoryPort

ALL = ["--hash", "--supply", "APW12, switch in hand", "--accept-no-cutoff", "--seconds", "20"]


def emulated(name: str = "antminer-s21-pro") -> Asked:
    board = HASHBOARDS[name]
    return Asked(None, board, board.chips, ASICS[board.chip], 115_200)


def wish(mhz: float = 50.0, seconds: float = 5.0) -> HashWish:
    return HashWish("APW12, switch in hand", BareWish(StartWork(work="pattern"), Megahertz(mhz), Seconds(seconds)), 1)


class Bench:
    """The emulated board of a test, as the command makes it."""

    def __init__(self) -> None:
        self.how: dict[str, Any] = {}
        self.made: HashBoard | None = None
        self.port: MemoryPort | None = None

    @property
    def board(self) -> HashBoard:
        assert self.made is not None
        return self.made

    def make(self, model: Any, **given: Any) -> HashBoard:
        self.made = HashBoard(model, **given, **self.how)
        return self.made

    def carry(self, *given: Any) -> MemoryPort:
        self.port = MemoryPort(*given)
        return self.port

    def once_hashing(self, seconds: float, what: Callable[[], None]) -> None:
        """So long after its chips have begun to."""
        loop = asyncio.get_running_loop()
        if self.made is not None and self.made.hashing:
            loop.call_later(seconds, what)
        else:
            loop.call_later(0.1, self.once_hashing, seconds, what)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    made = Bench()
    monkeypatch.setattr(chain, "HashBoard", made.make)
    monkeypatch.setattr(chain, "MemoryPort", made.carry)
    return made


def without(option: str, values: int) -> list[str]:
    at = ALL.index(option)
    return ALL[:at] + ALL[at + 1 + values :]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (without("--supply", 1), "--supply is missing; needed: what feeds the board and how you cut it"),
        ([*without("--supply", 1), "--supply", "  "], "--supply: '  ' is not allowed"),
        (
            without("--accept-no-cutoff", 0),
            "--accept-no-cutoff is missing; needed: said, because hashbridge",
        ),
        (without("--hash", 0), "--supply: 'APW12, switch in hand' is not allowed; allowed: only with --hash"),
        (["--accept-no-cutoff"], "--accept-no-cutoff: True is not allowed; allowed: only with --hash"),
        (["--chip-frequency", "3=100"], "--chip-frequency: ['3=100'] is not allowed; allowed: only with --hash"),
        (
            [*ALL, "--chip-frequency", "108=100"],
            "--chip-frequency: '108=100' is not allowed; allowed: N=F: a chip, 0 to",
        ),
        ([*ALL, "--chip-frequency=-1=100"], "--chip-frequency: '-1=100' is not allowed"),
        ([*ALL, "--chip-frequency", "3"], "--chip-frequency: '3' is not allowed"),
        ([*ALL, "--chip-frequency", "3=x"], "--chip-frequency: 'x' is not allowed"),
        ([*ALL, "--chip-frequency", "3=200.5"], "--chip-frequency: '3=200.5' is not allowed; allowed: 50 to 200 MHz"),
        ([*ALL, "--chip-frequency", "3=49"], "--chip-frequency: '3=49' is not allowed; allowed: 50 to 200 MHz"),
        (
            [*ALL, "--chip-frequency", "3=60", "--chip-frequency", "3=70"],
            "--chip-frequency: '3=70' is not allowed; allowed: one clock for each chip; chip 3 has one already",
        ),
        (
            [*ALL, "--frequency", "141", *(each for chip in range(9) for each in ("--chip-frequency", f"{chip}=200"))],
            "allowed: less with --work pattern: with them the nonces of all chips fill more than half",
        ),
        (["--journal", "new"], "--journal: 'new' is not allowed; allowed: only with --hash"),
        (
            [*ALL, "--journal", "/dev/null"],
            "--journal: '/dev/null' is not allowed; allowed: a file that does",
        ),
        (["--frequency", "100"], "--frequency: '100' is not allowed; allowed: only with --hash"),
        (without("--seconds", 1), "--seconds is missing; needed: a time up to 600 s"),
        ([*ALL, "--seconds", "601"], "--seconds: '601' is not allowed; allowed: a time up to 600 s"),
        (
            [*ALL, "--frequency", "49.9"],
            "--frequency: '49.9' is not allowed; allowed: 50 to 200 MHz: the bound of this",
        ),
        ([*ALL, "--frequency", "201"], "--frequency: '201' is not allowed"),
        (
            [*ALL, "--frequency", "150"],
            "--frequency: '150' is not allowed; allowed: 141 MHz at most with --work pattern",
        ),
        ([*ALL, "--work", "headers:x"], "--work: 'headers:x' is not allowed; allowed: pattern or synthetic"),
        ([*ALL, "--baud", "1000000"], "--baud: '1000000' is not allowed; allowed: the rate of chips out of reset"),
    ],
)
def test_what_was_not_said_is_one_line_before_a_port_is_opened(
    line: list[str], says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def opened(*_: object, **__: object) -> None:
        raise AssertionError("a port was opened")

    monkeypatch.setattr(chain, "open_serial", opened)
    assert main(["chain", "--port", "/dev/null", "--board", "antminer-s21", *line]) == Exit.USAGE
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert says in said.err


def test_chips_of_no_named_kind_are_not_driven(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chain", "--port", "/dev/null", "--chips", "12", *ALL]) == Exit.USAGE
    assert "--chip is missing; needed: said with --hash" in capsys.readouterr().err


async def test_a_whole_board_hashes_and_is_told_with_its_supply(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await look(emulated(), wish(seconds=10.0)) == Exit.OK
    said = capsys.readouterr()
    out = " ".join(said.out.split())
    assert "chips 65 of 65 answer: whole" in out
    assert "supply APW12, switch in hand" in out
    assert "point 50.00 MHz, brought up in 11.3 s; volts and heat are unknown" in out
    assert "stop confirmed by read-back, by this process, 0.0" in out
    assert "remark" not in out
    assert max(map(len, said.out.splitlines())) <= 80
    assert "its volts and the heat of the chips are unknown. Stay with its switch" in said.err
    assert not bench.board.hashing


async def test_json_has_every_field_of_the_manual(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert await look(emulated(), wish(100.0), as_json=True) == Exit.OK
    found = json.loads(capsys.readouterr().out)
    hashing = found["hashing"]
    assert (hashing["supply"], hashing["accepted_no_cutoff"], hashing["watched"]) == (
        "APW12, switch in hand", True, False,
    )  # fmt: skip
    assert (hashing["frequency_mhz"], hashing["core_v"], hashing["chip_c"]) == (100.0, None, None)
    assert (hashing["trip"], hashing["failure"], hashing["interrupted"]) == (None, None, False)
    assert (hashing["stop_confirmed"], hashing["stopped_by"]) == (True, "this process")
    assert hashing["answers_due"] > 100
    assert [chip["domain"] for chip in hashing["chips"][4:6]] == [0, 1]
    manual = (Path(__file__).parents[3] / "docs" / "cli.md").read_text(encoding="utf-8")
    section = manual.split("#### `hashing`")[1].split("\n## ")[0]
    told = [
        name for line in section.splitlines() if line.startswith("| `") for name in line.split("|")[1].split("`")[1::2]
    ]
    assert told == list(hashing)


async def test_a_board_with_a_fault_is_refused_and_nothing_is_started(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.how["silent_chips"] = [40]
    assert await look(emulated(), wish()) == Exit.REFUSED
    said = capsys.readouterr()
    assert "FAULT" in said.out
    assert "supply" not in said.out.replace("Keep\n           its supply", "")
    assert said.err.splitlines()[-1] == ("hashbridge: refused: survey: chip 40 does not answer, chips behind do")
    assert all(chip._read(0x10, 0.0) == 0 for chip in bench.board.chips)
    assert not bench.board.hashing


async def test_a_domain_whose_chips_all_compute_wrongly_is_named(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    def sag() -> None:
        for position in range(25, 30):
            bench.board.weaken(position, 0.9, asyncio.get_running_loop().time())

    bench.once_hashing(0.0, sag)
    assert await look(emulated(), wish(seconds=29.0)) == Exit.OK
    out = " ".join(capsys.readouterr().out.split())
    assert "domain 5 (chips 25 to 29): all of it: is its voltage right?" in out
    assert out.count("remark chip 2") == 5


async def test_ctrl_c_stops_the_chips_and_is_exit_130(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.once_hashing(3.0, lambda: signal.raise_signal(signal.SIGINT))
    assert await look(emulated(), wish(seconds=600.0)) == Exit.INTERRUPTED
    said = capsys.readouterr()
    assert "interrupted: stopping the chips" in said.err
    assert "stop confirmed by read-back" in " ".join(said.out.split()).replace("  ", " ")
    assert not bench.board.hashing


async def test_chips_with_clocks_of_their_own_are_told_with_them(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    own = {3: Megahertz(75.0), 64: Megahertz(56.25)}
    bare = BareWish(StartWork(work="pattern"), Megahertz(50.0), Seconds(5.0), own)
    assert await look(emulated(), replace(wish(), bare=bare), as_json=True) == Exit.OK
    said = capsys.readouterr()
    hashing = json.loads(said.out)["hashing"]
    assert hashing["frequency_mhz"] == 50.0
    assert {chip["index"]: chip["frequency_mhz"] for chip in hashing["chips"] if chip["frequency_mhz"] != 50.0} == own
    assert hashing["expected_hs"] == pytest.approx((63 * 50.0 + 75.0 + 56.25) * 1e6 * 2040)
    assert "hashing at 50 MHz, 2 chips at clocks of their own, for 5 s" in said.err
    assert await look(emulated(), replace(wish(), bare=bare)) == Exit.OK
    assert "clocks chip 3: 75.00 MHz, chip 64: 56.25 MHz" in " ".join(capsys.readouterr().out.split())


async def test_a_journal_is_kept_and_is_none_of_a_rig(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "run.jsonl"
    assert await look(emulated(), replace(wish(), journal=str(kept))) == Exit.OK
    recorded = read_journal(kept)
    assert isinstance(recorded.events[0], BareHashAccepted)
    assert recorded.events[0].supply == "APW12, switch in hand"
    assert isinstance(recorded.events[-1], ChipsStopped)
    assert recorded.events[-1].confirmed
    with pytest.raises(UsageError, match=r"--open: .* the journal of a rig; this one, of a bare hash board, has none"):
        _check_board(Namespace(board=None, rig=None), RecordedRig.open(kept))
    with pytest.raises(UsageError, match="this rig has no board"):
        open_recording(kept)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_so_do_sigterm_and_sighup(bench: Bench, number: signal.Signals) -> None:
    bench.once_hashing(1.0, lambda: signal.raise_signal(number))
    assert await look(emulated(), wish(seconds=600.0)) == Exit.INTERRUPTED
    assert not bench.board.hashing


async def test_a_lost_port_is_exit_5_and_the_last_line_says_what_to_do(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    def pull() -> None:
        assert bench.port is not None
        bench.port.hang_up()

    bench.once_hashing(2.0, pull)
    assert await look(emulated(), wish(seconds=600.0)) == Exit.LINK
    said = capsys.readouterr()
    assert said.err.splitlines()[-1] == NOT_STOPPED == "NOT STOPPED, cut the supply now"
    assert "NOT CONFIRMED" in said.out


async def test_a_chip_that_dies_is_exit_1_since_those_behind_it_may_hash_on(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.once_hashing(2.0, lambda: bench.board.cut(60, asyncio.get_running_loop().time()))
    assert await look(emulated(), wish(seconds=600.0)) == Exit.FAILED
    said = capsys.readouterr()
    assert said.err.splitlines()[-1] == NOT_STOPPED
    assert "TRIP chip_silent: chip 6" in said.err


async def test_a_trip_with_a_confirmed_stop_is_exit_7(bench: Bench) -> None:
    def stray() -> None:
        bench.board.chips[3]._write(0x08, 0x50A0_0241, asyncio.get_running_loop().time())

    bench.once_hashing(1.0, stray)
    assert await look(emulated(), wish(seconds=600.0)) == Exit.TRIPPED
    assert not bench.board.hashing
