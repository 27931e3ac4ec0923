"""Parts with one byte at each register: read, write, and write with a read-back."""

from __future__ import annotations

from drivers.errors import VerifyError
from drivers.traits import I2c


class ByteRegisters:
    """One part. Raises what the bus raises; `VerifyError`, which names the register, for a byte that does not hold."""

    def __init__(self, i2c: I2c, name: str, address: int) -> None:
        self.name, self.address = name, address
        self._i2c = i2c

    async def _read(self, register: int) -> int:
        return (await self._i2c.write_read(self.address, bytes([register]), 1))[0]

    async def _write(self, register: int, value: int) -> None:
        await self._i2c.write(self.address, bytes([register, value]))

    async def _set(self, register: int, value: int, *, read_at: int | None = None) -> None:
        """`read_at`: where the part shows what was written, if it is another register."""
        await self._write(register, value)
        shown_at = register if read_at is None else read_at
        found = await self._read(shown_at)
        if found != value:
            raise VerifyError(f"{self.name} {self._called(shown_at)}", f"{value:#04x}", f"{found:#04x}")

    def _called(self, register: int) -> str:
        """What a register is called in an error."""
        return f"register {register:#04x}"
