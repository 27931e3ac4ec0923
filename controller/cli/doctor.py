"""`hashbridge doctor`: what stands between this machine and a board. Reads descriptors and files; opens no device."""

from __future__ import annotations

import ctypes.util
import datetime
import json
import os
import stat
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from controller.cli.exits import Exit
from controller.cli.talk import paint, table
from controller.emulators import running_emulators
from controller.paths import list_rigs, runtime_dir
from drivers.discovery import RULES_FILE, STOCK_FIRMWARE, UsbPort, discover, usb_ports
from drivers.errors import UsageError

SCHEMA: Final = "hashbridge.doctor/1"
_BRIDGE_EXAMPLE_ID: Final = (0xC0DE, 0xCAFE)
_RULE_PLACES: Final = ("etc/udev/rules.d", "usr/lib/udev/rules.d", "lib/udev/rules.d")
_SOCKET_PATH_LIMIT: Final = 107
_RELEASED: Final = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)

_FLASH = (
    "AxeOS has no bridge to the chips. Flash bitaxe-raw for the ESP32-S3 (repository bitaxeorg/bitaxe-raw or "
    "korbin/bitaxe-raw, a commit whose README names the Bitaxe: the newest ones are for the bitaxeBonanza): hold BOOT "
    "while attaching power, then `cargo espflash flash --release --chip esp32s3`, then press RESET. To go back, flash "
    "the factory image of ESP-Miner the same way"
)


class Level(StrEnum):
    GOOD = "good"
    NOTE = "note"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `remedy` says what to do, where there is something to do."""

    about: str
    level: Level
    text: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class Machine:
    """Where to look. Tests point `root` elsewhere."""

    root: Path = Path("/")
    ports: Sequence[UsbPort] = ()
    groups: frozenset[str] = field(default_factory=frozenset)
    utc: datetime.datetime = _RELEASED
    linux: bool = True


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one object")


def run(arguments: Namespace) -> int:
    findings = list(examine(this_machine()))
    if arguments.json:
        print(json.dumps({"schema": SCHEMA, "findings": [asdict(finding) for finding in findings]}))
    else:
        print(as_text(findings))
    return Exit.FAILED if any(finding.level is Level.BAD for finding in findings) else Exit.OK


def as_text(findings: Iterable[Finding]) -> str:
    styles = {Level.GOOD: "good", Level.NOTE: "dim", Level.WARN: "warn", Level.BAD: "bad"}
    lines = []
    for finding in findings:
        lines.append(
            (paint(f"{finding.level.value:<4}", styles[finding.level], sys.stdout), finding.about, finding.text)
        )
        if finding.remedy:
            lines.append(("    ", "", f"-> {finding.remedy}"))
    return table(lines)


def this_machine() -> Machine:
    return Machine(
        ports=usb_ports(),
        groups=_own_groups(),
        utc=datetime.datetime.now(datetime.UTC),
        linux=sys.platform.startswith("linux"),
    )


def _own_groups() -> frozenset[str]:
    if not hasattr(os, "getgroups"):
        return frozenset()
    import grp

    names = set()
    for gid in {*os.getgroups(), os.getegid()}:
        try:
            names.add(grp.getgrgid(gid).gr_name)
        except KeyError:
            names.add(str(gid))
    return frozenset(names)


def examine(machine: Machine) -> Iterator[Finding]:
    """All findings, the machine first, then what is plugged in."""
    yield _python()
    yield from _clocks(machine)
    yield _runtime()
    if machine.linux:
        yield from _access(machine)
        yield _modem_manager(machine)
    yield _libusb()
    yield from _boards(machine)
    yield from _running()


def _python() -> Finding:
    return Finding("python", Level.GOOD, ".".join(map(str, sys.version_info[:3])))


def _clocks(machine: Machine) -> Iterator[Finding]:
    if machine.utc < _RELEASED:
        text = f"the wall clock says {machine.utc:%Y-%m-%d}: journals would carry wrong dates"
        yield Finding("clock", Level.WARN, text, "set the clock, or switch time synchronisation on")
    resolution_s = time.get_clock_info("monotonic").resolution
    if resolution_s > 0.001:
        text = f"the monotonic clock ticks every {resolution_s * 1e3:.1f} ms: too coarse for the watchdogs"
        yield Finding("clock", Level.BAD, text)
    elif not hasattr(time, "CLOCK_BOOTTIME"):
        yield Finding(
            "clock", Level.WARN, "no clock here counts sleep: a suspend goes unnoticed", "do not let it sleep"
        )
    else:
        yield Finding("clock", Level.GOOD, "monotonic, and one that counts sleep")


def _runtime() -> Finding:
    try:
        place = runtime_dir()
    except UsageError as error:
        return Finding("runtime", Level.BAD, str(error), "set HASHBRIDGE_RUNTIME_DIR to a directory of your own")
    longest = len(str(place / "emulators" / "bitaxe-gamma-4194304.sock"))
    if longest > _SOCKET_PATH_LIMIT:
        text = f"{place}: too long for the path of a socket"
        return Finding("runtime", Level.BAD, text, "set HASHBRIDGE_RUNTIME_DIR to a shorter path")
    return Finding("runtime", Level.GOOD, str(place))


def _access(machine: Machine) -> Iterator[Finding]:
    rule = next((place for place in _RULE_PLACES if (machine.root / place / RULES_FILE).is_file()), None)
    remedy = f"sudo cp udev/{RULES_FILE} /etc/udev/rules.d/ && sudo udevadm control --reload && sudo udevadm trigger"
    if rule:
        yield Finding("udev", Level.GOOD, f"/{rule}/{RULES_FILE}")
    else:
        yield Finding("udev", Level.NOTE, "no rule of hashbridge: access goes by group alone", remedy)
    for port in machine.ports:
        yield _port_access(port, machine)


def _port_access(port: UsbPort, machine: Machine) -> Finding:
    node = machine.root / port.path.lstrip("/")
    if os.access(node, os.R_OK | os.W_OK):
        return Finding("access", Level.GOOD, f"{port.path}: may be opened")
    try:
        owner = node.stat()
    except OSError as error:
        return Finding("access", Level.BAD, f"{port.path}: {error.strerror}")
    group = _group_name(owner.st_gid)
    if not owner.st_mode & stat.S_IRGRP or group == "root":
        return Finding("access", Level.BAD, f"{port.path}: for root alone", "install the udev rule, see udev/README.md")
    if group in machine.groups:
        return Finding("access", Level.BAD, f"{port.path}: no access, although you are in group {group}")
    remedy = f"sudo usermod -aG {group} $USER, then log in anew"
    return Finding("access", Level.BAD, f"{port.path}: belongs to group {group}, you do not", remedy)


def _group_name(gid: int) -> str:
    import grp

    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _modem_manager(machine: Machine) -> Finding:
    """ModemManager writes AT commands into new serial ports; on a data port they would reach the chips."""
    for comm in (machine.root / "proc").glob("[0-9]*/comm"):
        try:
            name = comm.read_text(errors="replace").strip()
        except OSError:
            continue  # the process has ended meanwhile
        if name == "ModemManager":
            break
    else:
        return Finding("modems", Level.GOOD, "ModemManager does not run")
    if any((machine.root / place / RULES_FILE).is_file() for place in _RULE_PLACES):
        return Finding("modems", Level.GOOD, "ModemManager runs, the udev rule tells it to leave our boards alone")
    return Finding(
        "modems",
        Level.WARN,
        "ModemManager runs and may write AT commands to a board's ports",
        f"install udev/{RULES_FILE}, or stop it: sudo systemctl stop ModemManager",
    )


def _libusb() -> Finding:
    if ctypes.util.find_library("usb-1.0"):
        return Finding("libusb", Level.GOOD, "present")
    return Finding(
        "libusb",
        Level.NOTE,
        "not found; revisions of boards are read from sysfs, and elsewhere than on Linux not at all",
        None,
    )


def _boards(machine: Machine) -> Iterator[Finding]:
    known = set()
    for board in discover(machine.ports):
        if board.alone is not None:
            known |= {board.control, board.data}
            text = f"{board.id}: {board.note}"
            remedy = (
                f"hashbridge bridge --port {board.control}; a Bitaxe Gamma needs a bitaxe-raw whose product is `Bitaxe`"
            )
            yield Finding("board", Level.WARN, text, remedy)
        if board.refused is not None:
            known |= {board.control, board.data}
            yield Finding("board", Level.WARN, f"{board.id}: {board.refused}")
        if board.kinds:
            known |= {board.control, board.data}
            if board.note:
                yield Finding("board", Level.WARN, f"{board.id}: {board.note}")
            else:
                yield Finding("board", Level.GOOD, f"{board.id}: control {board.control}, data {board.data}")
            if len(board.names) > 1:
                text = f"{board.id}: its USB strings fit {', '.join(board.names)}"
                yield Finding("board", Level.NOTE, text, "say which one it is: --board NAME")
    for port in machine.ports:
        ids = (port.vid, port.pid)
        named = f"{port.path}: {port.manufacturer or '?'} {port.product or '?'}"
        if port.path in known:
            continue
        if ids == STOCK_FIRMWARE:
            text = f"{port.path}: an ESP32-S3 on its own USB port: a Bitaxe that runs AxeOS, or a bare module"
            yield Finding("board", Level.WARN, text, _FLASH)
        elif ids == _BRIDGE_EXAMPLE_ID:
            yield Finding("board", Level.NOTE, f"{named}: an id that many share; not a board known here")
        else:
            yield Finding("board", Level.NOTE, f"{named} ({port.vid:04x}:{port.pid:04x}): not a board known here")
    if not known:
        text = "none that this version knows" if machine.ports else "none plugged in"
        yield Finding("board", Level.NOTE, text, "without one: hashbridge run --emulate bitaxe-gamma --seconds 20")


def _running() -> Iterator[Finding]:
    for rig in list_rigs():
        yield Finding("rig", Level.NOTE, f"process {rig.pid} holds {', '.join(rig.boards)}")
    for emulator in running_emulators():
        yield Finding("emulator", Level.NOTE, f"{emulator.name}: {emulator.board} at {emulator.control}")
