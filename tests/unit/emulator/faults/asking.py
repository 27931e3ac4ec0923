"""One question at a time through the real bridge driver: what a host is shown of a channel."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from drivers.codecs import pmbus
from drivers.peripherals.emc2101 import Emc2101
from drivers.peripherals.ina260 import Ina260
from drivers.transports.memory import MemoryTransport, memory_pair
from emulator.ports.memory import MemoryPort
from tests.unit.boards.on_a_bench import OnBench

REGULATOR, FAN = 0x24, 0x4C
_TELEMETRY = {"input_v": 0x88, "core_v": 0x8B, "core_a": 0x8C, "vr_c": 0x8D}


async def word(on: OnBench, command: int) -> int:
    return pmbus.decode_word(await on.board.bridge.i2c(read_tries=1).write_read(REGULATOR, bytes([command]), 2))


async def byte(on: OnBench, register: int, part: int = FAN) -> int:
    return (await on.board.bridge.i2c(read_tries=1).write_read(part, bytes([register]), 1))[0]


async def put(on: OnBench, part: int, hex_bytes: str) -> None:
    await on.board.bridge.i2c().write(part, bytes.fromhex(hex_bytes))


async def shown(on: OnBench, channel: str) -> float | None:
    """The channel as its driver reads it; None where the driver says that the sensor is broken."""
    if channel == "core_v":
        return await word(on, 0x8B) / 512
    if channel == "input_w":
        return await Ina260(on.board.bridge.i2c(read_tries=1)).power_w()
    if channel in _TELEMETRY:
        return pmbus.decode_linear11(await word(on, _TELEMETRY[channel]))
    part = await Emc2101.open(on.board.bridge.i2c(read_tries=1))
    return (await part.diode_c()).chip_c if channel == "chip_c" else await part.rpm()


async def several(on: OnBench, channel: str, count: int = 12) -> list[float | None]:
    """Readings a fifth of a second apart."""
    found = []
    for _ in range(count):
        found.append(await shown(on, channel))
        await asyncio.sleep(0.2)
    return found


def rewire(on: OnBench, name: str) -> Callable[[], MemoryTransport]:
    """Let this port come back. Returns what tells the host's end of the last wire that it came back on."""
    made: list[MemoryTransport] = []

    def wire() -> object:
        host, far = memory_pair(f"{name} again")
        made.append(host)
        return far

    port = cast(MemoryPort, on.bench.faults.ports[name])
    port.new_wire = cast(Callable, wire)  # type: ignore[type-arg]
    return lambda: made[-1]
