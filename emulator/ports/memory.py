"""A device on a wire in memory: one timer a wake-up and no task, so that virtual time costs nothing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Protocol

from emulator.benches.bench import Bench
from emulator.device import Burst, Device
from emulator.ports import noise, same_rate
from emulator.ports.port import DevicePort


class Wire(Protocol):
    """The far end of a transport in memory."""

    @property
    def baud(self) -> int: ...

    def attach(self, on_bytes: Callable[[int, bytes], None], on_baud: Callable[[int], None]) -> None: ...

    def deliver(self, data: bytes) -> None: ...

    def hang_up(self, why: str = ...) -> None: ...


class MemoryPort(DevicePort):
    """Carries one device."""

    def __init__(
        self,
        device: Device,
        wire: Wire,
        loop: asyncio.AbstractEventLoop | None = None,
        *,
        origin_s: float = 0.0,
        seed: int = 1,
    ) -> None:
        super().__init__(device, loop, origin_s)
        self._rng = random.Random(f"{seed}/memory port")
        self._wire: Wire | None = None
        self.new_wire: Callable[[], Wire] | None = None
        """Where a wire for a replug comes from; None: whoever replugs brings one."""
        self._attach(wire)

    @property
    def plugged(self) -> bool:
        return self._wire is not None

    def hang_up(self) -> None:
        """The port vanishes for the host. The device lives on and hears nothing."""
        self._stay_away()
        if self._wire is not None:
            wire, self._wire = self._wire, None
            self._cancel()
            wire.hang_up("unplugged")

    def replug(self, wire: Wire | None = None, *, new_name: bool = False) -> None:
        """The port is back, on a new wire: in memory a wire that hung up stays so. ValueError without one. A wire has
        no name, so it cannot have a new one."""
        self._stay_away()
        if wire is None:
            if self._wire is not None:
                return
            if self.new_wire is None:
                raise ValueError("a port in memory comes back on a new wire")
            wire = self.new_wire()
        self._cancel()
        self._attach(wire)

    def replug_later(self, after_s: float) -> None:
        """As for every port; without `new_wire` it stays away until somebody brings one."""
        if self.new_wire is not None:
            super().replug_later(after_s)

    def _attach(self, wire: Wire) -> None:
        self._wire = wire

        def on_bytes(baud: int, data: bytes) -> None:
            if wire is self._wire:
                self.device.receive(Burst(baud, data), self._now_s())
                self._schedule()

        def on_baud(baud: int) -> None:
            if wire is self._wire:
                self.device.line_rate_changed(baud, self._now_s())
                self._schedule()

        wire.attach(on_bytes, on_baud)
        self.device.line_rate_changed(wire.baud, self._now_s())
        self._schedule()

    def _wake(self) -> None:
        at_s = self._rang_at_s()
        wire = self._wire
        if wire is None:
            return
        for baud, data in self.device.transmit(at_s):
            heard = wire.baud
            wire.deliver(data if same_rate(baud, heard) else noise(self._rng, len(data), baud, heard))
        self._schedule()


def plug_in(
    bench: Bench,
    control: Wire,
    data: Wire,
    loop: asyncio.AbstractEventLoop | None = None,
    *,
    origin_s: float = 0.0,
) -> tuple[MemoryPort, MemoryPort]:
    """Put both ports of a bench on wires, and let its faults reach them. Returns (control, data)."""
    running = loop or asyncio.get_running_loop()
    seed = bench.settings.seed
    ports = (
        MemoryPort(bench.control, control, running, origin_s=origin_s, seed=seed),
        MemoryPort(bench.data, data, running, origin_s=origin_s, seed=seed),
    )
    bench.faults.ports.update(control=ports[0], data=ports[1])
    bench.clock = lambda: running.time() - origin_s
    return ports
