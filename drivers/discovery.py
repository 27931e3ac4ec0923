"""What is plugged in, held against `BOARDS`, by USB descriptors alone: nothing is opened and nothing is sent.

Also writes the udev rules from the same table: `python -m drivers.discovery` prints the rules, `--readme` the page
beside them, `--write udev` both files. Sources: korbin/bitaxe-raw (ids and strings, interface 0 is the control port
and 2 the data port), mujina transport/usb (matching by strings), systemd udev rules 60-serial and 73-seat-late.
"""

from __future__ import annotations

import re
import sys
from argparse import ArgumentParser
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import usb.core
from serial.tools import list_ports

from drivers.boards import BOARDS
from drivers.boards.board import BoardKind, UsbMatch
from drivers.boards.bridge_alone import BRIDGES_ALONE, BridgeAlone
from drivers.boards.not_driven import NOT_DRIVEN
from drivers.bridges.firmware import Release, dialect_of

CONTROL_INTERFACE: Final = 0
DATA_INTERFACE: Final = 2
STOCK_FIRMWARE: Final = (0x303A, 0x1001)
"""Espressif's own USB port: what a Bitaxe shows while it runs AxeOS (ESP-Miner), but also any bare ESP32-S3."""
RULES_FILE: Final = "71-hashbridge.rules"
README_FILE: Final = "README.md"

_LOCATION = re.compile(r"^(?P<device>.*):[^.:]+\.(?P<interface>\d+)$")
_MAC_SUFFIX = re.compile(r"usbmodem.*?(?P<port>[13])$")


@dataclass(frozen=True, slots=True)
class UsbPort:
    """A serial port and what the descriptors of its USB device say. `location`: the topology path of the device."""

    path: str
    vid: int
    pid: int
    manufacturer: str | None
    product: str | None
    serial: str | None
    location: str | None
    interface: int | None
    bcd_device: int | None = None
    """Revisions of board and firmware, 0xJJMN; None: not known."""


@dataclass(frozen=True, slots=True)
class FoundBoard:
    """A device with the strings of one or more rows of `BOARDS`; without `kinds`, one that could be a board with other
    firmware, or (`alone`) one whose bridge alone can be talked to.

    `id` is stable: kind (or what the strings say, where they fit several) and serial number, or the USB path where two
    devices share a serial number (or have none). `control` and `data` are None when that port was not found; `note`
    says what a person should know.
    """

    id: str
    kinds: tuple[BoardKind, ...]
    serial: str | None
    location: str | None
    control: str | None
    data: str | None
    note: str | None = None
    alone: BridgeAlone | None = None
    refused: str | None = None
    """Why a device with the strings of a board is none that is driven, whoever names it."""
    dialect: str | None = None
    """In which its firmware answers, by its descriptor; None: nothing says."""

    @property
    def kind(self) -> BoardKind | None:
        """The board, where its strings say which one it is."""
        return self.kinds[0] if len(self.kinds) == 1 else None

    @property
    def names(self) -> tuple[str, ...]:
        """Of the boards that it can be."""
        return tuple(sorted(kind.name for kind in self.kinds))


def usb_ports(sysfs: Path = Path("/sys")) -> list[UsbPort]:
    """Every serial port that hangs on USB, sorted by path."""
    found: list[UsbPort] = []
    releases = _releases()
    for port in list_ports.comports():
        if port.vid is None or port.pid is None:
            continue
        device, interface = _split(port.location)
        known = _interface_in_sysfs(port.device, sysfs)
        found.append(
            UsbPort(
                path=port.device,
                vid=port.vid,
                pid=port.pid,
                manufacturer=port.manufacturer,
                product=port.product,
                serial=port.serial_number,
                location=device,
                interface=interface if known is None else known,
                bcd_device=releases.get(device) if device in releases else _release_in_sysfs(device, sysfs),
            )
        )
    return sorted(found, key=lambda port: port.path)


def _split(location: str | None) -> tuple[str | None, int | None]:
    """`1-1.2:1.0` is interface 0 of the device at 1-1.2."""
    found = _LOCATION.match(location or "")
    return (location, None) if found is None else (found["device"], int(found["interface"]))


def _releases() -> dict[str | None, int]:
    """`bcdDevice` of every USB device, by topology path, from the descriptors that libusb has at hand; empty without
    libusb. No device is opened."""
    try:
        devices = list(usb.core.find(find_all=True))
    except (usb.core.NoBackendError, usb.core.USBError):  # there is no libusb, or it is not allowed to look
        return {}
    return {
        f"{device.bus}-{'.'.join(map(str, device.port_numbers))}": int(device.bcdDevice)
        for device in devices
        if device.port_numbers
    }


def _release_in_sysfs(location: str | None, sysfs: Path) -> int | None:
    """The same as Linux has it."""
    try:
        text = (sysfs / "bus/usb/devices" / (location or "none") / "bcdDevice").read_text(encoding="ascii")
        return int(text, 16)
    except (OSError, ValueError):
        return None


def _interface_in_sysfs(path: str, sysfs: Path) -> int | None:
    """The interface number that Linux has for a tty; the order of ttyACM numbers proves nothing."""
    try:
        text = (sysfs / "class/tty" / Path(path).name / "device/bInterfaceNumber").read_text(encoding="ascii")
    except (OSError, UnicodeError):
        return None
    try:
        return int(text, 16)
    except ValueError:
        return None


def discover(ports: Iterable[UsbPort] | None = None) -> list[FoundBoard]:
    """The boards that are plugged in, in the order of their USB paths."""
    devices: dict[tuple[str, int, int], list[UsbPort]] = {}
    for port in usb_ports() if ports is None else ports:
        where = port.location or port.serial or port.path
        devices.setdefault((where, port.vid, port.pid), []).append(port)
    found = [board for group in devices.values() if (board := _recognise(group)) is not None]
    ids = [board.id for board in found]
    return [_told_apart(board) if ids.count(board.id) > 1 else board for board in found]


def _told_apart(board: FoundBoard) -> FoundBoard:
    """Old firmware has one serial number for all units: two on one host are told apart by where they are plugged in."""
    what = board.id.partition(":")[0]
    note = f"serial number {board.serial} is not unique: named by its USB path"
    return replace(board, id=f"{what}:{board.location or board.control or '?'}", note=note)


def _recognise(group: Sequence[UsbPort]) -> FoundBoard | None:
    first = group[0]
    own_id = first.serial or first.location or first.path
    alike = [kind for kind in BOARDS.values() if any(_matches(first, match) for match in kind.matches)]
    dialect = dialect_of(first.manufacturer, first.product, first.bcd_device)
    fitting = tuple(kind for kind in alike if any(_is_revision(first, match) for match in kind.matches))
    kinds = tuple(kind for kind in fitting if dialect is None or dialect in kind.dialects)
    roles = {_role(port): port.path for port in group}
    control, data = roles.get(CONTROL_INTERFACE), roles.get(DATA_INTERFACE)
    if alike and not kinds:
        why = _not_driven(first, fitting, dialect)
        what = (first.product or "").lower().replace(" ", "-")
        return FoundBoard(f"{what}:{own_id}", (), first.serial, first.location, control, data, why, refused=why)
    if kinds:
        missing = [name for name, path in (("control", control), ("data", data)) if path is None]
        note = f"no {' and no '.join(missing)} port found" if missing else None
        what = kinds[0].name if len(kinds) == 1 else (first.product or "").lower().replace(" ", "-")
        place = first.serial, first.location, control, data
        return FoundBoard(f"{what}:{own_id}", kinds, *place, note, dialect=dialect)
    for alone in BRIDGES_ALONE.values():
        if _matches(first, alone.match):
            own_id = f"{alone.name}:{own_id}"
            return FoundBoard(own_id, (), first.serial, first.location, control, data, alone.refusal, alone)
    for other in NOT_DRIVEN:
        if _matches(first, other.match):
            place = first.serial, first.location, control, data
            return FoundBoard(f"{other.name}:{own_id}", (), *place, other.why, refused=other.why)
    if (first.vid, first.pid) == STOCK_FIRMWARE:
        note = "an ESP32-S3 without bridge firmware, perhaps a Bitaxe that runs AxeOS: see `hashbridge doctor`"
        return FoundBoard(f"esp32:{own_id}", (), first.serial, first.location, None, None, note)
    return None


def _matches(port: UsbPort, match: UsbMatch) -> bool:
    """Ids and both strings: c0de:cafe is not an assigned id, and others use it too."""
    return (port.vid, port.pid, port.manufacturer, port.product) == (
        match.vid,
        match.pid,
        match.manufacturer,
        match.product,
    )


def _is_revision(port: UsbPort, match: UsbMatch) -> bool:
    """The strings fit, and the revision of the board as far as it is known."""
    if not _matches(port, match):
        return False
    return not match.revisions or port.bcd_device is None or Release.of(port.bcd_device).hardware in match.revisions


def _not_driven(port: UsbPort, fitting: tuple[BoardKind, ...], dialect: str | None) -> str:
    """Why a device with the strings of a board is none that is driven: its revision, or the dialect of its firmware."""
    if fitting:
        return f"its firmware answers in dialect {dialect}, in which it is not driven; hashbridge bridge talks to it"
    release = Release.of(port.bcd_device or 0)
    return f"revision {release.hardware} of this board is not driven; its bridge is: hashbridge bridge"


def _role(port: UsbPort) -> int | None:
    """The interface number; on macOS from the suffix 1 or 3 of the port's name."""
    if port.interface is not None:
        return port.interface
    found = _MAC_SUFFIX.search(port.path)
    return None if found is None else int(found["port"]) - 1


# --- udev ------------------------------------------------------------------------------------------------------------


def udev_rules(kinds: Iterable[BoardKind] = tuple(BOARDS.values())) -> str:
    """The rules file. Its number must lie after 70-uaccess and before 73-seat-late, which carries `uaccess` out."""
    lines = [
        "# Written by `make udev` from the table of boards (drivers/boards). Edits are lost: change the table.",
        "# The person at the seat may open the ports (uaccess); without a seat, members of group hashbridge may.",
        "# ModemManager must not probe: what it sends to the data port reaches the chips.",
        "",
        'ACTION=="remove", GOTO="hashbridge_end"',
        "",
    ]
    for match, titles in _by_match(kinds).items():
        device = (
            f'ATTR{{idVendor}}=="{match.vid:04x}", ATTR{{idProduct}}=="{match.pid:04x}", '
            f'ATTR{{manufacturer}}=="{match.manufacturer}", ATTR{{product}}=="{match.product}"'
        )
        lines += [
            f"# {', '.join(titles)}",
            f'SUBSYSTEM=="usb", ENV{{DEVTYPE}}=="usb_device", {device}, ENV{{ID_MM_DEVICE_IGNORE}}="1"',
            f'SUBSYSTEM=="tty", {device.replace("ATTR{", "ATTRS{")}, GOTO="hashbridge_port"',
            "",
        ]
    lines += [
        'GOTO="hashbridge_end"',
        "",
        'LABEL="hashbridge_port"',
        'MODE="0660", GROUP="hashbridge", TAG+="uaccess", ENV{ID_MM_DEVICE_IGNORE}="1", ENV{ID_MM_PORT_IGNORE}="1"',
        'ENV{ID_SERIAL_SHORT}=="?*", ENV{ID_USB_INTERFACE_NUM}=="?*", '
        'SYMLINK+="hashbridge/$env{ID_SERIAL_SHORT}-$env{ID_USB_INTERFACE_NUM}"',
        "",
        'LABEL="hashbridge_end"',
    ]
    return "\n".join(lines) + "\n"


def _by_match(kinds: Iterable[BoardKind]) -> dict[UsbMatch, list[str]]:
    """Several boards may carry the same firmware, and then the same ids and strings; revisions open no port."""
    matches: dict[UsbMatch, list[str]] = {}
    for kind in kinds:
        for match in kind.matches:
            matches.setdefault(replace(match, revisions=()), []).append(kind.title)
    for alone in BRIDGES_ALONE.values():
        matches.setdefault(alone.match, []).append(f"{alone.title} (its bridge alone)")
    return matches


def udev_readme(kinds: Iterable[BoardKind] = tuple(BOARDS.values())) -> str:
    """The page beside the rules."""
    rows = [
        f"| {', '.join(titles)} | `{match.vid:04x}:{match.pid:04x}` | `{match.manufacturer}` / `{match.product}` |"
        for match, titles in _by_match(kinds).items()
    ]
    return f"""# udev rules

`{RULES_FILE}` lets the person at the machine open the ports of a board without root, keeps ModemManager away from
them, and gives both ports of a board a stable name. Both files here are written by `make udev` from the table of
boards; a test compares them.

Install, as root:

    cp udev/{RULES_FILE} /etc/udev/rules.d/
    udevadm control --reload && udevadm trigger --subsystem-match=tty --subsystem-match=usb

Then unplug the board and plug it in again.

- With a seat (a desktop login), `uaccess` gives the ports to whoever sits there. The number 71 matters: `uaccess` tags
  are carried out by `73-seat-late.rules`.
- Without a seat (a server, ssh): `groupadd --system hashbridge`, then `usermod -aG hashbridge NAME` and a new login. A
  group that does not exist is a line in the log of udev and no more.

| Board | USB id | Manufacturer / product |
|---|---|---|
{chr(10).join(rows)}

The id `c0de:cafe` is not an assigned one, so the rules ask for both strings as well.

`/dev/hashbridge/SERIAL-{CONTROL_INTERFACE:02d}` is the control port; `/dev/hashbridge/SERIAL-{DATA_INTERFACE:02d}` is
the data port, the serial line of the chips.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = ArgumentParser(prog="python -m drivers.discovery", description="udev rules from the table of boards")
    parser.add_argument("--readme", action="store_true", help="the page beside the rules instead of the rules")
    parser.add_argument("--write", metavar="DIRECTORY", type=Path, help="write both files there and print nothing")
    chosen = parser.parse_args(arguments)
    if chosen.write is not None:
        (chosen.write / RULES_FILE).write_text(udev_rules(), encoding="ascii")
        (chosen.write / README_FILE).write_text(udev_readme(), encoding="ascii")
    else:
        sys.stdout.write(udev_readme() if chosen.readme else udev_rules())
    return 0


if __name__ == "__main__":
    sys.exit(main())
