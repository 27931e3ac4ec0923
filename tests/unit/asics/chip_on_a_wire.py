"""A chip for the tests of `Chain`: registers and nothing else, behind a port in memory."""

from __future__ import annotations

import asyncio

from drivers.codecs.bm13xx import (
    DeviceCodec,
    Job,
    MidstateJob,
    NonceReply,
    ReadRegister,
    RegisterReply,
    WriteRegister,
)
from drivers.transports.memory import memory_pair


class ChipOnAWire:
    """Keeps every frame it was sent. `mute` registers are not answered, `deaf_to` registers cannot be written."""

    def __init__(self, chip_id: int = 0x1370) -> None:
        self._midstates = midstates = chip_id == 0x1397
        self.port, self._wire = memory_pair("data")
        self._wire.attach(self._on_bytes, self._on_baud)
        self._codec = DeviceCodec(full_header_jobs=not midstates)
        self.registers = {0x00: chip_id << 16, 0x08: 0xC0600161 if midstates else 0xC0540165, 0x10: 0}
        self.chip_rate = 115_200
        self.reply_bytes = 9
        self.rolls = not midstates
        self.present = 1
        self.mute: set[int] = set()
        self.deaf_to: set[int] = set()
        self.frames: list[bytes] = []
        self.frames_s: list[float] = []
        self.rates: list[int] = []
        self.rate_changes_s: list[float] = []
        self.jobs: list[Job | MidstateJob] = []

    def hang_up(self) -> None:
        self._wire.hang_up()

    def noise(self, data: bytes) -> None:
        self._wire.deliver(data)

    def answer(self, *replies: NonceReply) -> None:
        """All in one read."""
        self._wire.deliver(b"".join(self._codec.encode(reply, self.reply_bytes) for reply in replies))

    def _on_baud(self, baud: int) -> None:
        self.rates.append(baud)
        self.rate_changes_s.append(asyncio.get_running_loop().time())

    def _on_bytes(self, baud: int, data: bytes) -> None:
        self.frames.append(data)
        self.frames_s.append(asyncio.get_running_loop().time())
        if abs(baud / self.chip_rate - 1) > 0.05:
            return
        for command in self._codec.feed(data):
            if isinstance(command, ReadRegister) and command.register not in self.mute:
                value = self.registers.get(command.register, 0)
                reply = self._codec.encode(RegisterReply(value, 0, command.register), self.reply_bytes)
                self._wire.deliver(reply * self.present)
            elif isinstance(command, WriteRegister) and command.register not in self.deaf_to:
                self.registers[command.register] = command.value
                if command.register == 0xA4 and command.value >> 31 and self.rolls:
                    self.reply_bytes = 11
                if command.register == 0x28 and not self._midstates:
                    self.chip_rate = 1_041_667
                if command.register == 0x18 and self._midstates:
                    self.chip_rate = round(25e6 / 8 / ((command.value >> 8 & 0x1F) + 1))
            elif isinstance(command, Job | MidstateJob):
                self.jobs.append(command)
