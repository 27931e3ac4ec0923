"""`hashbridge bridge`: what the bridge of a board says of itself. Reads, and moves nothing but the fan, if told to."""

from __future__ import annotations

import asyncio
import json
import os
from argparse import ArgumentParser, Namespace
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from typing import Any, Final, TypeVar

from controller.cli.exits import Exit
from controller.cli.quantities import parse_number
from controller.cli.talk import facts, number
from controller.emulators import EmulatorChild, emulator_behind
from drivers.boards import BOARDS
from drivers.boards.bridge_alone import BRIDGES_ALONE
from drivers.bridges.bitaxe_raw import BitaxeRawBridge
from drivers.bridges.bonanza import BridgePage, safety_text
from drivers.bridges.firmware import FIRMWARES, BridgeFirmware, firmware_of
from drivers.codecs.bridge_system import FirmwareInfo, RxLoss, SafetyStatus
from drivers.discovery import FoundBoard, discover
from drivers.errors import BridgeRefused, NotInFirmware, PortMissing, Refused, UnknownPart, UsageError, one_of
from drivers.transports.serial import open_serial

SCHEMA: Final = "hashbridge.bridge/1"
FAN_SETTLES_S: Final = 3.0
_FULL: Final = 100
_FIVE_VOLT: Final = "5V_EN"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PinRow:
    """`high` is None where this firmware does not have the pin."""

    name: str
    number: int
    output: bool
    high: bool | None


@dataclass(frozen=True, slots=True)
class AdcRow:
    """`raw` is None where this firmware does not have the channel, `pin_v` where its counts mean no volts."""

    name: str
    raw: int | None
    pin_v: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """All that was read. None: this firmware does not have it."""

    port: str
    firmware: str
    dialect: str
    info: FirmwareInfo | None
    lost: RxLoss | None
    safety: SafetyStatus | None
    pins: tuple[PinRow, ...]
    adc: tuple[AdcRow, ...]
    fan_rpm: float | None


def add_arguments(parser: ArgumentParser) -> None:
    where = parser.add_mutually_exclusive_group(required=True)
    names = ", ".join(sorted({*BOARDS, *BRIDGES_ALONE}))
    where.add_argument("--emulate", metavar="NAME", help=f"the bridge of an emulated board: {names}")
    where.add_argument("--port", "-p", metavar="CONTROL", help="the control port, or the name of the board in `list`")
    parser.add_argument(
        "--firmware", metavar="NAME", help=f"where its USB strings do not say which: {', '.join(FIRMWARES)}"
    )
    help_text = f"set the fan, wait {FAN_SETTLES_S:g} s, read its speed, and back to full"
    parser.add_argument("--fan", metavar="PERCENT", help=help_text)
    parser.add_argument("--json", action="store_true", help=f"one {SCHEMA} object")


def run(arguments: Namespace) -> int:
    fan = (
        None if arguments.fan is None else round(parse_number(arguments.fan.removesuffix("%"), "--fan", 0, _FULL, "%"))
    )
    report = asyncio.run(_run(arguments, fan))
    print(json.dumps(as_object(report)) if arguments.json else as_text(report))
    return Exit.OK


async def _run(arguments: Namespace, fan: int | None) -> Report:
    async with AsyncExitStack() as stack:
        port, firmware = await _find(arguments, stack)
        if fan is not None and not firmware.fan:
            raise UsageError("--fan", arguments.fan, f"a bridge with a fan; {firmware.name} has none")
        bridge = BitaxeRawBridge(await open_serial(port), firmware=firmware)
        stack.push_async_callback(bridge.aclose)
        bridge.start()
        await bridge.learn_dialect()
        return await read(bridge, fan)


async def _find(arguments: Namespace, stack: AsyncExitStack) -> tuple[str, BridgeFirmware]:
    """The control port that is meant, and the firmware behind it."""
    told = None
    if arguments.firmware is not None:
        if arguments.firmware not in FIRMWARES:
            raise UnknownPart("--firmware", arguments.firmware, one_of(FIRMWARES, arguments.firmware))
        told = FIRMWARES[arguments.firmware]
    if arguments.emulate is None:
        return _given(arguments.port, told)
    known = {*BOARDS, *BRIDGES_ALONE}
    if arguments.emulate not in known:
        raise UnknownPart("--emulate", arguments.emulate, one_of(sorted(known), arguments.emulate))
    child = await EmulatorChild.start([arguments.emulate, "--name", f"{arguments.emulate}-{os.getpid()}"], "--emulate")
    stack.push_async_callback(child.aclose)
    return child.sidecar.control, told or _of_board(child.sidecar.board)


def _given(port: str, told: BridgeFirmware | None) -> tuple[str, BridgeFirmware]:
    sidecar = emulator_behind(port)
    if sidecar is not None:
        return port, told or _of_board(sidecar.board)
    found = [board for board in discover() if port in (board.id, board.serial) or _same(board.control, port)]
    plugged = found[0] if len(found) == 1 else None
    if plugged is not None and plugged.control is None:
        raise PortMissing(port, plugged.note or "its control port was not found")
    if plugged is not None:
        port, told = plugged.control or port, told or _of_plugged(plugged)
    elif not os.path.exists(port):
        raise PortMissing(port, "no such port, and no board of that name is plugged in")
    if told is None:
        refused = None if plugged is None else plugged.refused
        why = refused or f"the USB strings of {port} name none"
        raise UsageError("--firmware", None, f"one of {', '.join(FIRMWARES)}; {why}")
    return port, told


def _same(one: str | None, other: str) -> bool:
    return one is not None and os.path.realpath(one) == os.path.realpath(other)


def _of_plugged(board: FoundBoard) -> BridgeFirmware | None:
    """Boards that show the same strings have the same firmware."""
    if board.alone is not None:
        return board.alone.firmware
    return _of_board(board.names[0]) if board.names else None


def _of_board(name: str) -> BridgeFirmware:
    if name in BRIDGES_ALONE:
        return BRIDGES_ALONE[name].firmware
    match = BOARDS[name].matches[0]
    firmware = firmware_of(match.manufacturer, match.product)
    assert firmware is not None, f"{name}: the table of firmwares lacks {match}"
    return firmware


async def read(bridge: BitaxeRawBridge, fan: int | None = None) -> Report:
    """Everything that the firmware of this bridge offers. `fan`, percent: set it first, and leave it at full."""
    firmware = bridge.firmware
    assert firmware is not None
    page = BridgePage(bridge)
    info = await _if_there(page.firmware()) if firmware.bridge_page else None
    lost = await _if_there(page.rx_loss()) if firmware.bridge_page else None
    safety = await _if_there(page.safety()) if firmware.bridge_page else None
    pins = []
    for pin in firmware.pins:
        high = await _if_there(bridge.pin(pin.name).get())
        pins.append(PinRow(pin.name, pin.number, pin.output, high))
    if fan is not None and fan < _FULL and any(pin.high for pin in pins if pin.name == _FIVE_VOLT):
        raise Refused("fan", "5 V is on: the firmware would switch the board off")
    adc = []
    for name, command in firmware.adc.items():
        raw = await _if_there(bridge.adc(command))
        step_v = firmware.adc_step_v
        adc.append(AdcRow(name, raw, None if raw is None or step_v is None else raw * step_v))
    rpm = await _fan(bridge, fan) if firmware.fan else None
    return Report(bridge.name, firmware.name, bridge.dialect, info, lost, safety, tuple(pins), tuple(adc), rpm)


async def _fan(bridge: BitaxeRawBridge, percent: int | None) -> float | None:
    """Its speed; None: the firmware does not find it plausible."""
    try:
        if percent is not None:
            await bridge.set_fan(percent)
            await asyncio.sleep(FAN_SETTLES_S)
        return await bridge.fan_rpm()
    except BridgeRefused:
        if percent is not None:
            raise
        return None
    finally:
        if percent is not None:
            await bridge.set_fan(_FULL)


async def _if_there(question: Awaitable[T]) -> T | None:
    try:
        return await question
    except NotInFirmware:
        return None


def as_object(report: Report) -> dict[str, Any]:
    """The object of `--json`."""
    safety = report.safety
    return {
        "schema": SCHEMA,
        "port": report.port,
        "firmware": report.firmware,
        "dialect": report.dialect,
        "version": None if report.info is None else report.info.version,
        "protocol": None if report.info is None else f"{report.info.major}.{report.info.minor}",
        "lost": None if report.lost is None else asdict(report.lost),
        "safety": None if safety is None else _safety_object(safety),
        "pins": [asdict(pin) for pin in report.pins],
        "adc": [asdict(channel) for channel in report.adc],
        "fan_rpm": report.fan_rpm,
    }


def _safety_object(safety: SafetyStatus) -> dict[str, Any]:
    words = ("stage", "state", "fault", "runtime", "production")
    found = asdict(safety)
    return found | {word: getattr(safety, word).name.lower() for word in words} | {"outputs_safe": safety.outputs_safe}


def as_text(report: Report) -> str:
    """For people."""
    rows = [("bridge", f"{report.firmware}, reply dialect {report.dialect}"), ("port", report.port)]
    if report.info is not None:
        rows.append(("version", f"{report.info.version}, protocol {report.info.major}.{report.info.minor}"))
    if report.lost is not None:
        lost = report.lost
        rows.append(("lost bytes", f"{lost.fifo_overflows} FIFO overflows, {lost.ring_overflows} ring overflows"))
    if report.safety is not None:
        rows.append(("safety", safety_text(report.safety)))
    for pin in report.pins:
        level = "not in this firmware" if pin.high is None else "high" if pin.high else "low"
        rows.append((f"pin {pin.number:02x}", f"{pin.name} {level}{'' if pin.output else ', read only'}"))
    for channel in report.adc:
        volts = "" if channel.pin_v is None else f", {number(channel.pin_v, 4, 'V')} at the pin"
        text = "not in this firmware" if channel.raw is None else f"{channel.raw} counts{volts}"
        rows.append(("adc", f"{channel.name} {text}"))
    if report.fan_rpm is not None:
        rows.append(("fan", number(report.fan_rpm, 0, "rpm")))
    return facts(rows)
