"""An emulated bridge firmware between a part, a chip that says what it is told, and a host that sends hex."""

from __future__ import annotations

from drivers.units import Volts
from emulator.benches.bitaxe import BitaxeGamma
from emulator.device import Burst
from emulator.faults import Faults
from emulator.firmware.bitaxe_raw import BitaxeRaw
from emulator.firmware.profiles import BITAXE_RAW, Profile
from emulator.parts import I2cBus


class Memory:
    """An I2C part: one byte of pointer, and what was written."""

    def __init__(self, address: int) -> None:
        self.address = address
        self.written: list[tuple[float, bytes]] = []

    def write(self, data: bytes, at_s: float) -> bool:
        self.written.append((at_s, data))
        return True

    def read(self, count: int, at_s: float) -> bytes | None:
        return bytes(range(count))

    def write_read(self, data: bytes, count: int, at_s: float) -> bytes | None:
        return bytes((data[0] + step) & 0xFF for step in range(count))


class Chip:
    def __init__(self) -> None:
        self.heard: list[tuple[Burst, int | None]] = []
        self.says: list[Burst] = []

    def receive(self, burst: Burst, at_s: float, previous_baud: int | None = None) -> None:
        self.heard.append((burst, previous_baud))

    def transmit(self, at_s: float) -> list[Burst]:
        said, self.says = self.says, []
        return said

    def wakes_at(self) -> float | None:
        return None


class Rig:
    """A firmware with one part at 4C, and a host that sends hex. `driven`: what was done to which pin, when."""

    def __init__(self, profile: Profile = BITAXE_RAW) -> None:
        self.faults = Faults(BitaxeGamma(), {"memory": 0x4C}, seed=1)
        self.part, self.chip = Memory(0x4C), Chip()
        self.driven: list[tuple[str, bool | None, float]] = []
        self.inputs = dict.fromkeys((pin.name for pin in profile.pins.values() if not pin.output), False)
        self.pin_v = {"VDD": 0x0234 / profile.adc_per_v, "VIN": 0x0800 / profile.adc_per_v}
        self.firmware = BitaxeRaw(
            I2cBus((self.part,), self.faults.bus),
            self.chip,
            self.faults,
            drive=lambda pin, high, at_s: self.driven.append((pin, high, at_s)),
            pin_v=lambda channel, at_s: Volts(self.pin_v[channel]),
            sense=lambda pin, at_s: self.inputs[pin],
            profile=profile,
        )
        self.firmware.power_up(0.0)
        self.at_power_up = tuple((pin, high) for pin, high, _ in self.driven)
        self.driven.clear()

    def send(self, request: str, at_s: float) -> None:
        self.firmware.control.receive(Burst(0, bytes.fromhex(request)), at_s)

    def answers(self, at_s: float) -> str:
        return b"".join(burst.data for burst in self.firmware.control.transmit(at_s)).hex(" ").upper()

    def ask(self, request: str, at_s: float = 1.0) -> str:
        self.send(request, at_s)
        return self.answers(at_s + 0.1)
