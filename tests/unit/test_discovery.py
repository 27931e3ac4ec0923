"""Discovery: boards by ids and strings, their two ports by interface number, and nothing opened on the way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import usb.core
from serial.tools import list_ports

from drivers import discovery
from drivers.boards import BOARDS
from drivers.boards.bridge_alone import BRIDGES_ALONE
from drivers.discovery import FoundBoard, UsbPort, discover, usb_ports

ALIKE = tuple(kind for kind in BOARDS.values() if any(match.product == "Bitaxe" for match in kind.matches))
"""Every Bitaxe shows the same strings."""


def port(path: str, interface: int | None, **changes: Any) -> UsbPort:
    values: dict[str, Any] = {
        "path": path,
        "vid": 0xC0DE,
        "pid": 0xCAFE,
        "manufacturer": "OSMU",
        "product": "Bitaxe",
        "serial": "984a7d04",
        "location": "1-1.2",
        "interface": interface,
    }
    return UsbPort(**values | changes)


def test_a_board_is_found_with_its_control_and_data_port() -> None:
    (board,) = discover([port("/dev/ttyACM0", 0), port("/dev/ttyACM1", 2)])
    place = "984a7d04", "1-1.2", "/dev/ttyACM0", "/dev/ttyACM1"
    assert board == FoundBoard("bitaxe:984a7d04", ALIKE, *place, dialect="A")


def test_the_order_of_the_names_proves_nothing() -> None:
    (board,) = discover([port("/dev/ttyACM9", 2), port("/dev/ttyACM10", 0)])
    assert (board.control, board.data) == ("/dev/ttyACM10", "/dev/ttyACM9")


@pytest.mark.parametrize(
    "changes",
    [{"manufacturer": "256F"}, {"product": "EmberOne00"}, {"manufacturer": None}, {"vid": 0x1209}, {"pid": 0xB17D}],
)
def test_the_unassigned_id_alone_is_not_a_board(changes: dict[str, Any]) -> None:
    assert discover([port("/dev/ttyACM0", 0, **changes)]) == []


def test_a_board_whose_bridge_alone_can_be_talked_to_says_so() -> None:
    (board,) = discover(
        [port("/dev/ttyACM0", 0, product="BitaxeBonanza"), port("/dev/ttyACM1", 2, product="BitaxeBonanza")]
    )
    assert (board.id, board.kinds, board.names) == ("bitaxe-bonanza:984a7d04", (), ())
    assert (board.control, board.data) == ("/dev/ttyACM0", "/dev/ttyACM1")
    assert board.alone is BRIDGES_ALONE["bitaxe-bonanza"]
    assert board.note == "the BZM2 of a Bitaxe Bonanza is not driven, its bridge alone is: hashbridge bridge"


@pytest.mark.parametrize(
    ("strings", "name", "why"),
    [
        ({"product": "Ember One"}, "ember-one", "firmware of January 2025 is not driven"),
        ({"pid": 0xB17D, "product": "BitaxeBonanza"}, "bitaxe-raw-rp2040", "its fan begins at 0 %"),
        ({"product": "bitcrane3"}, "bitcrane", "it has four ports"),
        ({"manufacturer": "256F", "product": "bitcrane-S19jpro"}, "bitcrane-s19j-pro", "it has four ports"),
    ],
)
def test_a_board_of_which_too_little_is_known_is_named_and_refused(
    strings: dict[str, Any], name: str, why: str
) -> None:
    (board,) = discover([port("/dev/ttyACM0", 0, **strings), port("/dev/ttyACM1", 2, **strings)])
    assert (board.id, board.kinds, board.alone) == (f"{name}:984a7d04", (), None)
    assert board.refused == board.note
    assert why in (board.refused or "")


def test_a_missing_port_is_named() -> None:
    (board,) = discover([port("/dev/ttyACM0", 0)])
    assert board.data is None
    assert board.note == "no data port found"


def test_two_boards_with_one_serial_number_are_told_apart_by_where_they_are() -> None:
    here = [port("/dev/ttyACM0", 0), port("/dev/ttyACM1", 2)]
    there = [port("/dev/ttyACM2", 0, location="1-1.3"), port("/dev/ttyACM3", 2, location="1-1.3")]
    boards = discover([*here, *there])
    assert [board.id for board in boards] == ["bitaxe:1-1.2", "bitaxe:1-1.3"]
    assert all("not unique" in (board.note or "") for board in boards)


def test_on_macos_the_suffix_of_the_name_is_the_port() -> None:
    ports = [port(f"/dev/cu.usbmodem984a7d04{suffix}", None, location="20-3") for suffix in (3, 1)]
    (board,) = discover(ports)
    assert board.control is not None
    assert board.data is not None
    assert (board.control[-1], board.data[-1]) == ("1", "3")


def test_a_board_that_shows_espressif_s_own_port_is_pointed_out_but_not_claimed() -> None:
    jtag = port(
        "/dev/ttyACM0", 0, vid=0x303A, pid=0x1001, manufacturer="Espressif", product="USB JTAG/serial debug unit"
    )
    (board,) = discover([jtag])
    assert board.kinds == ()
    assert (board.control, board.data) == (None, None)
    assert "AxeOS" in (board.note or "")


def test_strings_that_fit_several_boards_name_none_and_those_of_one_name_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = [port("/dev/ttyACM0", 0), port("/dev/ttyACM1", 2)]
    (board,) = discover(ports)
    assert board.kind is None
    assert board.names == tuple(sorted(kind.name for kind in ALIKE))
    monkeypatch.setattr(discovery, "BOARDS", {"bitaxe-hex": BOARDS["bitaxe-hex"]})
    (board,) = discover(ports)
    assert (board.kind, board.id) == (BOARDS["bitaxe-hex"], "bitaxe-hex:984a7d04")


def test_the_system_s_list_is_read_with_the_interface_from_sysfs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def entry(device: str, location: str | None, vid: int | None = 0xC0DE) -> SimpleNamespace:
        return SimpleNamespace(
            device=device,
            vid=vid,
            pid=0xCAFE,
            manufacturer="OSMU",
            product="Bitaxe",
            serial_number="984a7d04",
            location=location,
        )

    listed = [entry("/dev/ttyACM1", "1-1.2:1.2"), entry("/dev/ttyACM0", None), entry("/dev/ttyS0", None, vid=None)]
    monkeypatch.setattr(list_ports, "comports", lambda: listed)
    interface = tmp_path / "class/tty/ttyACM0/device"
    interface.mkdir(parents=True)
    (interface / "bInterfaceNumber").write_text("00\n", encoding="ascii")
    found = usb_ports(tmp_path)
    assert [(each.path, each.location, each.interface) for each in found] == [
        ("/dev/ttyACM0", None, 0),
        ("/dev/ttyACM1", "1-1.2", 2),
    ]


def test_nothing_plugged_in_is_an_empty_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_ports, "comports", list)
    assert discover() == []


# --- revisions, from bcdDevice


def ember(bcd_device: int | None) -> list[UsbPort]:
    strings = {"vid": 0x1209, "pid": 0x256F, "manufacturer": "256F", "product": "EmberOne00"}
    return [port(f"/dev/ttyACM{at}", interface, **strings, bcd_device=bcd_device) for at, interface in ((0, 0), (1, 2))]


REVISIONS = {2: "emberone00-v2", 3: "emberone00-v3", 4: "emberone00-v4", 5: "emberone00", 6: "emberone00"}


@pytest.mark.parametrize("patch", [0, 1])
@pytest.mark.parametrize("revision", sorted(REVISIONS))
def test_an_emberone_of_a_revision_that_is_driven_is_that_board(revision: int, patch: int) -> None:
    (board,) = discover(ember(revision << 8 | patch))
    assert board.kind is BOARDS[REVISIONS[revision]]
    assert (board.note, board.dialect) == (None, "A")


@pytest.mark.parametrize("bcd_device", [0x0310, 0x0410, 0x0510, 0x0512, 0x0620])
def test_an_emberone_whose_firmware_answers_in_c_is_that_board_and_says_so(bcd_device: int) -> None:
    (board,) = discover(ember(bcd_device))
    assert board.kind is BOARDS[REVISIONS[bcd_device >> 8]]
    assert (board.dialect, board.refused) == ("C", None)
    assert board.kind.behind(board.dialect).dialect == "C"


@pytest.mark.parametrize(("bcd_device", "dialect"), [(0x0001, "A"), (None, None)])
@pytest.mark.parametrize("ids", [(0x1209, 0x256F), (0xC0DE, 0xCAFE)])
def test_firmware_that_does_not_tell_its_board_leaves_all_to_be_named(
    ids: tuple[int, int], bcd_device: int | None, dialect: str | None
) -> None:
    """0001 is what all firmware before March 2026 says, under two ids, on every board."""
    vid, pid = ids
    (board,) = discover([replace(each, vid=vid, pid=pid) for each in ember(bcd_device)])
    assert board.id == "emberone00:984a7d04"
    assert board.kind is None
    assert board.names == tuple(sorted(set(REVISIONS.values())))
    assert (board.refused, board.dialect) == (None, dialect)


def test_a_board_none_of_whose_firmwares_answers_so_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    deaf = replace(BOARDS["emberone00"], other_dialects={})
    monkeypatch.setattr(discovery, "BOARDS", {"emberone00": deaf})
    (board,) = discover(ember(0x0510))
    assert board.kinds == ()
    assert board.refused is not None
    assert board.refused.startswith("its firmware answers in dialect C")


@pytest.mark.parametrize(
    ("bcd_device", "why"),
    [
        (0x0100, "revision 1 of this board is not driven"),
        (0x0700, "revision 7 of this board is not driven"),
        (0x0710, "revision 7 of this board is not driven"),
    ],
)
def test_one_of_another_is_named_with_the_reason_and_never_driven(bcd_device: int, why: str) -> None:
    (board,) = discover(ember(bcd_device))
    assert board.kinds == ()
    assert board.note is not None
    assert board.note.startswith(why)
    assert "hashbridge bridge" in board.note


def fake_usb(monkeypatch: pytest.MonkeyPatch, *devices: Any) -> None:
    monkeypatch.setattr(usb.core, "find", lambda find_all: iter(devices))


def test_bcd_device_comes_from_libusb_by_topology_path_and_from_sysfs_without_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ports = [
        SimpleNamespace(
            device=f"/dev/ttyACM{at}",
            vid=0x1209,
            pid=0x256F,
            manufacturer="256F",
            product="EmberOne00",
            serial_number="00",
            location=location,
        )
        for at, location in enumerate(("1-1.2:1.0", "1-1.3:1.0"))
    ]
    monkeypatch.setattr(list_ports, "comports", lambda: ports)
    (tmp_path / "bus/usb/devices/1-1.3").mkdir(parents=True)
    (tmp_path / "bus/usb/devices/1-1.3/bcdDevice").write_text("0510\n", encoding="ascii")
    fake_usb(
        monkeypatch,
        SimpleNamespace(bus=1, port_numbers=(1, 2), bcdDevice=0x0500),
        SimpleNamespace(bus=1, port_numbers=None, bcdDevice=0x0409),  # a root hub
    )
    assert [each.bcd_device for each in usb_ports(tmp_path)] == [0x0500, 0x0510]

    def without_libusb(find_all: bool) -> None:
        raise usb.core.NoBackendError("No backend available")

    monkeypatch.setattr(usb.core, "find", without_libusb)
    assert [each.bcd_device for each in usb_ports(tmp_path)] == [None, 0x0510]
