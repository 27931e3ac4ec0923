"""Which board is behind a port: what its USB strings say, or else what a person says, and never a guess."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from controller import attach
from controller.attach import Target, Where
from controller.host import kind_of
from controller.port import BoardConfig
from drivers.boards import BOARDS, BoardKind
from drivers.boards.bridge_alone import BRIDGES_ALONE
from drivers.discovery import FoundBoard
from drivers.errors import UnknownPart, UsageError

ALIKE = (BOARDS["bitaxe-gamma"], BOARDS["bitaxe-hex"])


@pytest.fixture
def ports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    monkeypatch.setenv("HASHBRIDGE_RUNTIME_DIR", str(tmp_path / "r"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    paths = tmp_path / "ttyACM0", tmp_path / "ttyACM1"
    for path in paths:
        path.touch()
    return str(paths[0]), str(paths[1])


def plug_in(monkeypatch: pytest.MonkeyPatch, ports: tuple[str, str], *kinds: BoardKind) -> None:
    board = FoundBoard("bitaxe:984a7d04", kinds, "984a7d04", "1-1.2", *ports)
    monkeypatch.setattr(attach, "discover", lambda: [board])


async def attached(port: str, board: str | None = None) -> Target:
    async with AsyncExitStack() as stack:
        return await attach.attach(Where(port=port, board=board), "pattern", stack)


@pytest.mark.parametrize("said", ["bitaxe:984a7d04", "984a7d04", "path"])
async def test_strings_that_fit_one_board_name_it_and_its_data_port(
    said: str, ports: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plug_in(monkeypatch, ports, BOARDS["bitaxe-hex"])
    config = (await attached(ports[0] if said == "path" else said)).config
    assert (config.kind, config.control, config.data, config.emulated) == ("bitaxe-hex", *ports, False)


async def test_strings_that_fit_several_boards_are_not_guessed_at(
    ports: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plug_in(monkeypatch, ports, *ALIKE)
    with pytest.raises(UsageError, match=r"one of bitaxe-gamma, bitaxe-hex; the USB strings of .* fit all of these"):
        await attached(ports[0])
    config = (await attached(ports[0], "bitaxe-hex")).config
    assert (config.kind, config.control, config.data) == ("bitaxe-hex", *ports)


async def test_a_board_that_the_strings_do_not_fit_is_refused(
    ports: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plug_in(monkeypatch, ports, *ALIKE)
    with pytest.raises(
        UsageError, match="board: 'bitaxe-gt' is not allowed; allowed: one of bitaxe-gamma, bitaxe-hex,"
    ):
        await attached(ports[0], "bitaxe-gt")
    with pytest.raises(UsageError, match="'toaster' is not allowed"):
        await attached(ports[0], "toaster")


async def test_a_port_without_strings_is_what_a_person_says(
    ports: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attach, "discover", list)
    with pytest.raises(UsageError, match=r"the USB strings of .* name none"):
        await attached(",".join(ports))
    config = (await attached(",".join(ports), "bitaxe-gt")).config
    assert (config.kind, config.control, config.data) == ("bitaxe-gt", *ports)


def test_an_emulated_chip_that_hashes_from_midstates_is_diluted_eight_times_as_much() -> None:
    assert attach.synthetic_dilution("BM1397") == 8 * attach.synthetic_dilution("BM1370") == 2**27


@pytest.mark.parametrize("said", [None, "bitaxe-gamma"])
async def test_a_board_whose_chip_is_not_driven_is_refused_whatever_is_said(
    said: str | None, ports: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = BRIDGES_ALONE["bitaxe-bonanza"]
    board = FoundBoard("bitaxe-bonanza:984a7d04", (), "984a7d04", "1-1.2", *ports, alone.refusal, alone)
    monkeypatch.setattr(attach, "discover", lambda: [board])
    for port in (ports[0], "984a7d04", board.id):
        with pytest.raises(UnknownPart, match=r"port: 'bitaxe-bonanza' .* the BZM2 of a Bitaxe Bonanza is not driven"):
            await attached(port, said)


@pytest.mark.parametrize("said", [None, "emberone00"])
async def test_a_revision_that_is_not_driven_is_refused_whatever_is_said(
    said: str | None, ports: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    why = "revision 4 of this board is not driven"
    board = FoundBoard("emberone00:03666228", (), "03666228", "1-1.2", *ports, why, refused=why)
    monkeypatch.setattr(attach, "discover", lambda: [board])
    with pytest.raises(UsageError, match="revision 4 of this board is not driven"):
        await attached(ports[0], said)


@pytest.mark.parametrize("dialect", ["A", "C", None])
async def test_what_the_descriptor_says_of_the_firmware_reaches_the_rig_before_the_first_byte(
    dialect: str | None, ports: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = (BOARDS["emberone00"],)
    board = FoundBoard("emberone00:03666228", kinds, "03666228", "1-1.2", *ports, dialect=dialect)
    monkeypatch.setattr(attach, "discover", lambda: [board])
    config = (await attached(ports[0], None)).config
    assert (config.kind, config.dialect) == ("emberone00", dialect)
    assert kind_of(config).dialect == (dialect or "A")


async def test_a_dialect_can_be_asked_for_of_an_emulated_board_alone_and_of_one_that_speaks_it(
    ports: tuple[str, str],
) -> None:
    async with AsyncExitStack() as stack:
        with pytest.raises(UsageError, match="--dialect: 'C' is not allowed; allowed: only with --emulate"):
            await attach.attach(Where(port=ports[0], dialect="C"), "pattern", stack, keys="--")
        with pytest.raises(UsageError, match="dialect: 'C' is not allowed; allowed: A: those of bitaxe-gamma"):
            await attach.attach(Where(emulate="bitaxe-gamma", dialect="C"), "pattern", stack)


def test_a_rig_of_a_dialect_that_its_board_does_not_speak_does_not_start() -> None:
    with pytest.raises(UsageError, match="dialect: 'C'"):
        kind_of(target("bitaxe-gamma").config.model_copy(update={"dialect": "C"}))


async def test_an_emulated_one_is_refused_as_well() -> None:
    async with AsyncExitStack() as stack:
        with pytest.raises(UnknownPart, match="a board whose chip is driven; the BZM2"):
            await attach.attach(Where(emulate="bitaxe-bonanza"), "pattern", stack)


def target(name: str) -> Target:
    config = BoardConfig(name=name, kind="bitaxe-gamma", control="/dev/c", data="/dev/d")
    return Target(config)


def test_the_bytes_of_one_board_go_to_the_file_and_of_several_to_one_each_by_name(tmp_path: Path) -> None:
    path = str(tmp_path / "wire")
    one = [target("bitaxe-gamma")]
    assert attach.record_place(path, one, "--record") == path
    assert not (tmp_path / "wire").exists()
    (config,) = attach.host_config(*one, record=path).boards
    assert (config.control_tap, config.data_tap) == (path, path)
    two = attach.told_apart([target("bitaxe-gamma"), target("bitaxe-gamma")])
    assert attach.record_place(path, two, "--record") == path
    assert (tmp_path / "wire").is_dir()
    configs = attach.host_config(*two, record=path).boards
    places = [f"{path}/bitaxe-gamma.jsonl", f"{path}/bitaxe-gamma-2.jsonl"]
    assert [(config.control_tap, config.data_tap) for config in configs] == [(place, place) for place in places]
    with pytest.raises(UsageError, match=r"--record.*a directory that can be made \(File exists\)"):
        attach.record_place(path, two, "--record")


def test_nothing_is_recorded_where_nobody_asked_for_it() -> None:
    two = [target("left"), target("right")]
    assert attach.record_place(None, two, "--record") is None
    assert [config.data_tap for config in attach.host_config(*two).boards] == [None, None]
