"""`hashbridge profile` as a person types it; the loading on an emulated board, in virtual time."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from controller.__main__ import main
from controller.cli.profile import apply, kind_of, requested
from controller.cli.status import found_in
from controller.cli.talk import Talk
from controller.model import GuardState, OperatingPoint
from controller.profiles import Profile, Profiles
from drivers.errors import Refused, UsageError
from tests.scenarios.gamma import NAME, Stand, stand

KIND = "bitaxe-gamma"
QUIET = ("profile", "save", "quiet", "--board", KIND, "--frequency", "450", "--voltage", "1100")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASHBRIDGE_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("HASHBRIDGE_RUNTIME_DIR", str(tmp_path / "r"))


def run(*line: str) -> int:
    return main(line)


def test_a_profile_is_saved_listed_and_deleted(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("profile", "list") == 0
    assert "none; `hashbridge profile save NAME`" in capsys.readouterr().err
    assert run(*QUIET, "--note", "fan\tbarely audible") == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "bitaxe-gamma: quiet is saved: 450.00 MHz at 1.100 V\n")
    assert run("profile", "list") == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header.split() == ["board", "name", "frequency", "core", "voltage", "saved", "note"]
    assert row.startswith("bitaxe-gamma  quiet  450.00 MHz  1.100 V")
    assert row.endswith("fan\u2409barely audible")
    assert run("profile", "list", KIND, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    (profile,) = found["profiles"]
    assert found["schema"] == "hashbridge.profiles/1"
    assert profile.pop("saved").endswith("Z")
    assert profile == {
        "board": KIND,
        "name": "quiet",
        "frequency_mhz": 450.0,
        "core_v": 1.1,
        "note": "fan\tbarely audible",
        "refused": None,
    }
    assert run("profile", "delete", "quiet", "--board", KIND) == 0
    assert Profiles().list(KIND) == ()


def test_a_name_that_is_taken_needs_a_word_to_be_replaced(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*QUIET) == 0
    assert run(*QUIET[:-1], "1120") == 2
    assert "--replace" in capsys.readouterr().err
    assert run(*QUIET[:-1], "1120", "--replace") == 0
    assert [profile.core_v for profile in Profiles().list(KIND)] == [1.12]


def test_an_edited_profile_that_cannot_be_loaded_says_so_in_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*QUIET) == 0
    path = Profiles().path(KIND)
    path.write_text(path.read_text().replace("core_v = 1.1", "core_v = 1.3"))
    capsys.readouterr()
    assert run("profile", "list") == 0
    assert "CANNOT BE LOADED: core_v: 1.3 is not allowed; allowed: 1 to 1.25 V" in capsys.readouterr().out
    assert run("profile", "list", "--json") == 0
    assert json.loads(capsys.readouterr().out)["profiles"][0]["refused"].startswith("core_v: 1.3")


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (("list", "toaster"), "one of bitaxe-gamma"),
        (("save", "x", "--frequency", "450"), "--voltage"),
        (("save", "x", "--voltage", "1100"), "--frequency"),
        (("save", "x", "--frequency", "450", "--voltage", "1100"), "--board"),
        (("save", "x", "--frequency", "450", "--voltage", "1100", "--board", "toaster"), "one of bitaxe-gamma"),
        (("save", "x", "--frequency", "450", "--voltage", "1100", "--board", KIND, "--rig", "1"), "--rig"),
        (("save", "x", "--frequency", "700", "--voltage", "1100", "--board", KIND), "400 to 625 MHz"),
        (("save", "x/y", "--frequency", "450", "--voltage", "1100", "--board", KIND), "1 to 40 letters"),
        (("save", "x", "--frequency", "450", "--voltage", "1100", "--board", KIND, "--note", "n" * 501), "500"),
        (("load", "x", "--keep-within", "0.1"), "1 s to 3600 s"),
        (("delete", "x", "--board", KIND), "no profile is saved"),
    ],
)
def test_a_line_that_can_never_be_right_ends_with_2_and_says_what_is_allowed(
    line: tuple[str, ...], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("profile", *line) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert word in said.err


@pytest.mark.parametrize("line", [(), ("eat",), ("delete", "x"), ("save",)])
def test_a_line_that_lacks_a_word_shows_the_usage(line: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run("profile", *line)
    assert end.value.code == 2
    assert "usage: hashbridge profile" in capsys.readouterr().err


@pytest.mark.parametrize("line", [("save", "x"), ("load", "x")])
def test_without_a_running_rig_there_is_no_point_to_save_and_no_board_to_load(
    line: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("profile", *line) == 3
    assert "none runs" in capsys.readouterr().err


def test_quiet_is_understood_on_either_side_of_the_action(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("profile", "-q", "list") == 0
    assert run("profile", "list", "-q") == 0
    assert run("-q", "profile", "list") == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "")


# --- to and from a board ----------------------------------------------------------------------------------------------


async def load(s: Stand, profile: Profile, keep_within_s: float | None = None) -> tuple[int, str]:
    said = io.StringIO()
    state = found_in(await s.snapshot(), NAME).state
    return await apply(s.rig, NAME, state, profile, keep_within_s, Talk(stream=said)), said.getvalue()


async def test_a_profile_powers_up_a_board_that_is_off_and_moves_one_that_is_live(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with stand() as s:
        assert kind_of(s.rig, NAME) == KIND
        assert (await load(s, Profile.make("quiet", 450.0, 1.1)))[0] == 0
        assert requested(found_in(await s.snapshot(), NAME)) == (450.0, 1.1)
        assert (await load(s, Profile.make("fast", 550.0, 1.2)))[0] == 0
        assert requested(found_in(await s.snapshot(), NAME)) == (550.0, 1.2)
    assert "gamma: requested 550.00 MHz at 1.200 V, achieved 550.00 MHz at 1.17" in capsys.readouterr().out


async def test_a_profile_on_trial_that_nobody_keeps_goes_back_and_ends_with_1(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with stand() as s:
        await s.power_up()
        code, said = await load(s, Profile.make("quiet", 450.0, 1.1), 5.0)
        assert code == 1
        assert "gone back to 525.00 MHz at 1.150 V: not kept within 5 s" in said
        assert (await s.snapshot()).boards[0].point.requested == OperatingPoint(frequency_mhz=525.0, core_v=1.15)
    assert "requested 525.00 MHz" in capsys.readouterr().out


async def test_a_power_up_on_trial_is_refused_before_anything_moves() -> None:
    async with stand() as s:
        moves = len(s.moves())
        with pytest.raises(UsageError, match="--keep-within: '5' is not allowed; allowed: only for a live board"):
            await load(s, Profile.make("quiet", 450.0, 1.1), 5.0)
        assert [what for what, _ in s.moves()[moves:] if what == "rail on"] == []
        with pytest.raises(Refused, match="gamma is safe_off: it has no point to be saved"):
            requested(found_in(await s.snapshot(), NAME))


async def test_a_latched_board_takes_no_profile() -> None:
    async with stand() as s:
        await s.power_up()
        s.bench.faults.stall_fan()
        await s.fault()
        assert (await s.snapshot()).boards[0].state is GuardState.LATCHED
        with pytest.raises(Refused, match="this one is latched"):
            await load(s, Profile.make("quiet", 450.0, 1.1))
