"""A command line is understood, or refused, before a port is touched."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

import pytest

from controller.__main__ import main
from controller.cli import run as run_verb
from controller.cli.exits import Exit
from controller.cli.run import Wish, gravest, understand
from controller.model import FanMode, SetFan
from controller.work.sources import shipped_headers
from drivers.errors import UsageError


def _wish(*line: str) -> Wish:
    parser = ArgumentParser()
    run_verb.add_arguments(parser)
    return understand(parser.parse_args(["--emulate", "bitaxe-gamma", *line]))


def test_without_options_it_is_known_answer_work_at_the_stock_point_until_interrupted() -> None:
    wish = _wish()
    assert wish.work.work == "pattern"
    assert (wish.frequency_mhz, wish.core_v, wish.seconds, wish.self_test_s) == (None, None, None, None)


def test_quantities_become_base_units() -> None:
    wish = _wish("--frequency", "0.525GHz", "--voltage", "1150mV", "--seconds", "1min", "--self-test", "4")
    assert (wish.frequency_mhz, wish.core_v, wish.seconds, wish.self_test_s) == pytest.approx((525.0, 1.15, 60.0, 4.0))


def test_the_chips_that_are_to_run_slower_are_told_by_number_and_clock() -> None:
    assert _wish().caps == ()
    caps = _wish("--chip-frequency", "3=450", "--chip-frequency", " 11 = 0.4GHz").caps
    assert [(cap.chip, cap.frequency_mhz, cap.note) for cap in caps] == [
        (3, 450.0, "--chip-frequency"),
        (11, 400.0, "--chip-frequency"),
    ]


def test_the_fan_is_left_to_the_rig_unless_somebody_says_how() -> None:
    assert _wish().fan is None
    assert _wish("--fan", "auto", "--fan-target", "58").fan == SetFan(mode=FanMode.AUTO, target_chip_c=58.0)
    with pytest.raises(UsageError, match=r"--fan-target.*together with --fan auto"):
        _wish("--fan-target", "58")


def test_a_board_comes_back_by_itself_only_where_somebody_says_so() -> None:
    assert [where.retry for where in _wish().wheres] == [False]
    assert [where.retry for where in _wish("--retry").wheres] == [True]


def _wheres(*line: str) -> list[tuple[str | None, str | None, int | None]]:
    parser = ArgumentParser()
    run_verb.add_arguments(parser)
    return [(where.emulate, where.port, where.seed) for where in understand(parser.parse_args(list(line))).wheres]


def test_one_board_is_asked_for_as_ever() -> None:
    assert _wheres("--emulate", "bitaxe-gamma") == [("bitaxe-gamma", None, None)]
    assert _wheres("--emulate", "bitaxe-gamma", "--seed", "5") == [("bitaxe-gamma", None, 5)]
    assert _wheres("--port", "/dev/x") == [(None, "/dev/x", None)]


def test_several_boards_are_asked_for_by_number_and_again_with_seeds_of_their_own() -> None:
    assert _wheres("--emulate", "bitaxe-gamma*2", "--emulate", "bitaxe-hex", "--seed", "5") == [
        ("bitaxe-gamma", None, 5),
        ("bitaxe-gamma", None, 6),
        ("bitaxe-hex", None, 7),
    ]
    assert _wheres("--port", "/dev/a,/dev/b", "--port", "/dev/c") == [
        (None, "/dev/a,/dev/b", None),
        (None, "/dev/c", None),
    ]


def test_a_board_is_named_once_for_all_ports_or_once_for_each() -> None:
    parser = ArgumentParser()
    run_verb.add_arguments(parser)

    def boards(*line: str) -> list[str | None]:
        asked = parser.parse_args(["--port", "/dev/a", "--port", "/dev/b", *line])
        return [where.board for where in understand(asked).wheres]

    assert boards() == [None, None]
    assert boards("--board", "bitaxe-hex") == ["bitaxe-hex", "bitaxe-hex"]
    assert boards("--board", "bitaxe-hex", "--board", "bitaxe-gt") == ["bitaxe-hex", "bitaxe-gt"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (["--emulate", "bitaxe-gamma*0"], r"NAME\*1 to NAME\*32"),
        (["--emulate", "bitaxe-gamma*33"], r"NAME\*1 to NAME\*32"),
        (["--emulate", "bitaxe-gamma*"], "one of bitaxe-gamma"),
        (["--emulate", "toaster*2"], "one of bitaxe-gamma"),
        (["--emulate", "bitaxe-gamma*20", "--emulate", "bitaxe-hex*20"], "at most 32 in one rig"),
        (["--emulate", "bitaxe-gamma*2", "--record", "no/such/place"], "in a directory that exists"),
        (["--port", "/dev/a", "--port", "/dev/b", "--envelope", "x"], "only with a single board"),
        (["--port", "/dev/a", "--board", "bitaxe-gamma", "--board", "bitaxe-hex"], "once for all, or for each --port"),
    ],
)
def test_what_cannot_be_asked_of_several_boards_is_said(line: list[str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        _wheres(*line)


def test_the_gravest_end_of_several_decides() -> None:
    assert gravest([Exit.OK, Exit.OK]) is Exit.OK
    assert gravest([Exit.OK, Exit.TRIPPED, Exit.INTERRUPTED]) is Exit.TRIPPED
    assert gravest([Exit.TRIPPED, Exit.FAILED, Exit.LINK]) is Exit.FAILED
    assert all(gravest([code, Exit.OK]) is code for code in Exit)


@pytest.mark.parametrize("work", ["mine", "headers", "headers:", "pattern:x"])
def test_work_that_does_not_exist_is_refused(work: str) -> None:
    with pytest.raises(UsageError, match=r"--work"):
        _wish("--work", work)


@pytest.mark.parametrize(
    ("text", "mask"), [("1fffe000", 0x1FFF_E000), ("0x6000", 0x6000), ("0", 0), (" 00800000 ", 0x0080_0000)]
)
def test_a_version_mask_is_said_as_a_pool_says_it(text: str, mask: int) -> None:
    assert _wish("--version-mask", text).work.version_mask == mask
    assert _wish().work.version_mask is None


@pytest.mark.parametrize("text", ["", "xyz", "20000000", "1000", "-2000", "100000000"])
def test_a_version_mask_with_other_bits_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"--version-mask: .* bits of 1fffe000"):
        _wish(f"--version-mask={text}")


def test_own_headers_are_read_before_a_board_is_energised_for_them(tmp_path: Path) -> None:
    path = tmp_path / "headers.bin"
    good = shipped_headers()[:80]
    rolled = (0x2000_2000).to_bytes(4, "little") + good[4:]
    with pytest.raises(UsageError, match="a file that exists"):
        _wish("--work", f"headers:{path}")
    path.write_bytes(good + good[:40])
    with pytest.raises(UsageError, match="80"):
        _wish("--work", f"headers:{path}")
    path.write_bytes(good * 3)
    assert _wish("--work", f"headers:{path}").work.headers == str(path)
    path.write_bytes(good * 3 + rolled)
    with pytest.raises(UsageError, match="record 3, version 0x20002000"):
        _wish("--work", f"headers:{path}")


def test_files_are_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "there"
    path.touch()
    for option in ("--record", "--journal"):
        with pytest.raises(UsageError, match=f"{option}.*does not exist yet"):
            _wish(option, str(path))
        with pytest.raises(UsageError, match=f"{option}.*directory that exists"):
            _wish(option, str(tmp_path / "no" / "where"))


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (["run", "--emulate", "bitaxe-gama"], "one of bitaxe-gamma"),
        (["run", "--emulate", "bitaxe-gamma", "--voltage", "1.15"], "did you mean 1.15V?"),
        (["run", "--emulate", "bitaxe-gamma", "--dilution", "3"], "a power of two"),
        (["run", "--emulate", "bitaxe-gamma", "--board", "x"], "only with --port"),
        (["run", "--port", "/dev/null", "--seed", "3"], "only with --emulate"),
        (["run", "--port", "/dev/null", "--dilution", "2"], "only with an emulated board"),
        (["run", "--port", "/dev/null"], "--board"),
        (["run", "--port", "/dev/null", "--board", "bitaxe-gamma"], "CONTROL,DATA"),
        (["run", "--port", "/dev/null,/dev/null", "--board", "toaster"], "one of bitaxe-gamma"),
        (["record", "wire.jsonl", "list"], "FILE run OPTIONS"),
        (["record", "wire.jsonl", "run", "--emulate", "bitaxe-gamma", "--record", "x"], "only one recording"),
        (["emulate", "toaster"], "one of bitaxe-bonanza, bitaxe-gamma, "),
        (["emulate", "bitaxe-gamma", "--name", "../x"], "letters, digits"),
        (["emulate", "bitaxe-gamma", "--ambient", "90"], "-20 to 60 C"),
        (["set"], "--frequency, --voltage or both, --chip, --fan, or --unlock"),
        (["set", "--uncap"], "with --chip N: which chip"),
        (["set", "--chip", "3"], "--chip: '3' is not allowed; allowed: with one of --frequency F"),
        (["set", "--chip", "3", "--uncap", "--frequency", "450"], "with one of --frequency F"),
        (["set", "--chip", "-1", "--uncap"], "--chip"),
        (["set", "--chip", "x", "--frequency", "450"], "--chip: 'x' is not allowed; allowed: a chip, counted from 0"),
        (["set", "--chip", "3", "--frequency", "fast"], "--frequency: 'fast' is not allowed"),
        (
            ["set", "--chip", "3", "--frequency", "450", "--voltage", "1150"],
            "--voltage: '1150' is not allowed; allowed",
        ),
        (
            ["set", "--chip", "3", "--uncap", "--keep-within", "9"],
            "--keep-within: '9' is not allowed; allowed: not with",
        ),
        (["set", "--chip", "3", "--uncap", "--fan", "auto"], "--fan: 'auto' is not allowed; allowed: not with --chip"),
        (
            ["run", "--emulate", "bitaxe-hex", "--chip-frequency", "3"],
            "--chip-frequency: '3' is not allowed; allowed: N=F",
        ),
        (
            ["run", "--emulate", "bitaxe-hex", "--chip-frequency", "a=450"],
            "N=F: a chip, counted from the host, and its",
        ),
        (
            ["run", "--emulate", "bitaxe-hex", "--chip-frequency", "3=450", "--chip-frequency", "3=460"],
            "one clock for each chip; chip 3 has one already",
        ),
        (["set", "--unlock", "all"], "--unlock: 'all' is not allowed; allowed: stock, range, hard"),
        (["set", "--unlock", "range", "--dry-run"], "not with --dry-run"),
        (["run", "--emulate", "bitaxe-gamma", "--unlock", "no"], "--unlock: 'no' is not allowed"),
        (["run", "--emulate", "bitaxe-gamma", "--envelope", "/no/such"], "--envelope"),
        (["set", "--voltage", "hot"], "1150mV"),
    ],
)
def test_a_line_that_can_never_be_right_ends_with_2_and_says_what_is_allowed(
    line: list[str], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert word in said.err


def test_a_port_that_does_not_exist_ends_with_3(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--port", "/dev/serial/by-id/no-such-board-if00"]) == 3
    assert "no such port" in capsys.readouterr().err


def test_without_a_running_rig_there_is_none_to_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HASHBRIDGE_RUNTIME_DIR", str(tmp_path / "r"))
    for line in (["status"], ["status", "--rig", "1"], ["set", "--frequency", "500"]):
        assert main(line) == 3
    assert "none runs" in capsys.readouterr().err
    assert main(["list"]) == 0
    assert main(["list", "--json"]) == 0
