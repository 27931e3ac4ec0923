"""Bitaxe with a TPS546 on 5 V: bitaxe-raw firmware, TPS546D24A at 24, EMC2101 at 4C, 5 V from a barrel jack.

Gamma 60x with a BM1370, Gamma Duo 650 with two, Supra 402 and 403 with a BM1368, Ultra 207 with a BM1366. Wiring:
bitaxeorg/bitaxeGamma schematics, ESP-Miner `main/device_config.h`; the others are taken to be wired alike [inf]. RST_N
is GPIO1 of the ESP32-S3, low at power-up. The regulator's EN pin is driven by no host. The regulator is powered as long
as the jack is; the USB cable carries data alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any, Protocol, TypeVar

from drivers.units import Volts
from emulator.benches.bench import Actuation, BenchSettings
from emulator.chips import MODELS, UNITS
from emulator.device import Burst, Device
from emulator.faults import Faults
from emulator.faults.topic import Tap, UartChip
from emulator.firmware.bitaxe_raw import BitaxeRaw, DataPort
from emulator.hashing import SolvedHeaders
from emulator.parts import I2cBus, I2cTarget
from emulator.parts.emc2101 import POWER_UP_DIODE, Emc2101, Surroundings
from emulator.parts.tps546 import RailState, Tps546
from emulator.physics import Plant, PlantSettings
from emulator.silicon.chip import MiningChip
from emulator.silicon.line import ChipLine
from emulator.units import GAMMA_DUO

T = TypeVar("T")


class Firmware(Protocol):
    """The bridge of a bench."""

    chip: UartChip

    @property
    def control(self) -> Device: ...

    @property
    def data(self) -> DataPort: ...

    def power_up(self, at_s: float) -> None: ...

    def lose_usb(self, at_s: float) -> bool: ...

    def settle(self, at_s: float) -> None: ...


class Bitaxe:
    """The bench: parts, chip, firmware and plant, brought to one time together. A board is a subclass."""

    board: str
    chip_name: str
    chip_count = 1
    unit: PlantSettings | None = None
    """The usual specimen; None: that of its chip."""
    right_diode = POWER_UP_DIODE
    """Ideality and beta codes with which the chip's diode reads true."""
    dialects: tuple[str, ...] = ("A",)
    """In which a firmware of this board answers, the latest released one first."""

    def __init__(self, settings: BenchSettings | None = None) -> None:
        self.settings = known = settings or BenchSettings()
        if known.dialect not in (None, *self.dialects):
            raise ValueError(f"{self.board} has no firmware that answers in {known.dialect}, only {self.dialects}")
        self.dialect = known.dialect or self.dialects[0]
        unit = known.plant or self.unit or UNITS[self.chip_name]
        unit = replace(unit, seed=known.seed, chips=self.chip_count)
        if known.ambient_c is not None:
            unit = replace(unit, ambient_c=known.ambient_c)
        if known.source_ohm is not None:
            unit = replace(unit, source_ohm=known.source_ohm)
        self.plant = Plant(unit)
        self.built_units = tuple(self.plant.units)
        self.actuations: list[Actuation] = []
        self.on_actuation: Callable[[Actuation], None] | None = None
        self.clock: Callable[[], float] = lambda: self.plant.time_s
        """The present, for faults, which come without a time. A port that carries the bench replaces it."""
        self._acting_at_s: float | None = None
        self._reset_asserted = True
        self._in_chip = False
        self._moved_at_s: float | None = None
        self.regulator = self._make_regulator()
        self.fan, *others = self._make_cooling()
        self.targets: tuple[I2cTarget, ...] = (*self._rail_targets(), *self._cooling_targets(self.fan, *others))
        solved = SolvedHeaders.load(known.solved)
        chance, model = random.Random(f"{known.seed}/chip"), MODELS[self.chip_name]
        self.line = ChipLine(
            MiningChip(model, chance, solved, known.dilution, partial(self.plant.chip_supply, chip=index))
            for index in range(self.chip_count)
        )
        self.chips = self.line.chips
        self.chip = self.chips[0]
        for index, chip in enumerate(self.chips):
            chip.on_load = partial(self.plant.set_load, chip=index)
        self.faults = Faults(self, self._parts(), known.seed)
        self.firmware = self._make_firmware()
        self.control = self.firmware.control
        self.data = self.firmware.data
        self.plant.input_watchers.append(self._moved)
        self._power_up(0.0)

    def _make_regulator(self) -> Any:
        """What makes the core rail, and what the host reads and sets it by."""
        known = self.settings
        return Tps546(
            rail=self._rail,
            drive=self._drive_rail,
            seed=known.seed,
            device_id=known.regulator,
            on_at_power_up=known.rail_on_at_power_up,
            first_temperature_quirk=known.first_temperature_quirk,
        )

    def _rail_targets(self) -> tuple[I2cTarget, ...]:
        """What of the rail is on the bus."""
        return (self.regulator,)

    def _make_cooling(self) -> tuple[Any, ...]:
        """The fan controller, and what else on the bus has to do with heat."""
        return (
            Emc2101(
                look=self._look,
                drive=self._drive_fan,
                seed=self.settings.seed,
                product=self.settings.fan_controller,
                right_diode=self.right_diode,
            ),
        )

    def _cooling_targets(self, *parts: Any) -> tuple[I2cTarget, ...]:
        """What of the cooling is on the bus."""
        return parts

    def _parts(self) -> dict[str, int]:
        """What faults call the parts on the bus, and their addresses."""
        return {"tps546": self.regulator.address, "emc2101": self.fan.address}

    def _make_firmware(self) -> Firmware:
        bus = I2cBus(self.targets, self.faults.bus)
        return BitaxeRaw(bus, self, self.faults, drive=self._drive_pin, pin_v=self._adc_pin_v)

    def advance(self, at_s: float) -> None:
        """Bring everything to `at_s`; an earlier time changes nothing."""
        self.firmware.settle(at_s)
        self.plant.advance(at_s)

    def truth(self, at_s: float) -> dict[str, Any]:
        """What is really so at `at_s`. Keys end in their units."""
        self.advance(at_s)
        plant = self.plant
        return {
            "at_s": at_s,
            "rail_on": plant.rail_on,
            "rail_v": plant.core_v(at_s),
            "rail_set_v": self.regulator.set_v,
            "reset_asserted": self._reset_asserted,
            "fan_duty": self.fan.duty,
            "fan_rpm": plant.rpm,
            "fan_table": self.fan.table_active,
            "die_c": plant.hottest_die_c,
            "sink_c": plant.sink_c,
            "vr_c": plant.vr_c,
            "ambient_c": plant.ambient_c,
            "input_v": plant.input_v(at_s),
            "input_w": plant.input_w,
            "core_a": plant.core_a,
            "chip_w": plant.chip_w,
            "reported_power_w": plant.reported_power_w,
            "hashing": any(chip.hash_activity > 0.0 for chip in self.chips),
            "activity": sum(chip.hash_activity for chip in self.chips) / len(self.chips),
            "frequency_mhz": self.chip.frequency_mhz,
            "yields": [share for chip in range(len(self.chips)) for share in plant.yields(at_s, chip)],
            "burnt": plant.burnt,
            "wedged": self.faults.wedged,
            "panicked": self.faults.panicked,
            "flash_stores": self.regulator.stores,
        }

    # --- the chip UART, as the firmware sees it

    def receive(self, burst: Burst, at_s: float, previous_baud: int | None = None) -> None:
        self._with_chip(at_s, lambda: self.line.receive(burst, at_s, previous_baud))

    def transmit(self, at_s: float) -> list[Burst]:
        return self._with_chip(at_s, lambda: self.line.transmit(at_s))

    def wakes_at(self) -> float | None:
        return self.line.wakes_at()

    # --- faults (`FaultyBench`)

    def now_s(self) -> float:
        at_s = self.clock() if self._acting_at_s is None else self._acting_at_s
        self.plant.advance(at_s)
        return at_s

    def at(self, at_s: float, call: Callable[[], None]) -> None:
        def act() -> None:
            before_s, self._acting_at_s = self._acting_at_s, at_s
            try:
                call()
            finally:
                self._acting_at_s = before_s

        self.plant.call_at(at_s, act)

    @property
    def source_v(self) -> float:
        self.now_s()
        return self.plant.source_v

    @property
    def source_ohm(self) -> float:
        self.now_s()
        return self.plant.source_ohm

    @property
    def heatsink_factor(self) -> float:
        self.now_s()
        return self.plant.heatsink_factor

    @property
    def built_source_v(self) -> float:
        return self.plant.settings.source_v

    @property
    def built_source_ohm(self) -> float:
        return self.plant.settings.source_ohm

    def set_tap(self, tap: Tap | None) -> None:
        self.regulator.tap = self.fan.tap = tap

    def set_diode(self, state: str) -> None:
        self.advance(self.now_s())
        self.fan.diode = state

    def set_fan_stalled(self, stalled: bool) -> None:
        self.plant.set_fan_stalled(stalled, self.now_s())

    def set_fan_health(self, ratio: float) -> None:
        self.plant.set_fan_health(ratio, self.now_s())

    def set_tach_lost(self, lost: bool) -> None:
        self.fan.tach_lost = lost

    def set_source_ohm(self, ohm: float) -> None:
        self.plant.set_source(self.now_s(), ohm=ohm)

    def set_source_v(self, volts: float) -> None:
        self.plant.set_source(self.now_s(), volts=volts)

    def set_ambient_c(self, celsius: float | None) -> None:
        self.plant.set_ambient_c(self.plant.settings.ambient_c if celsius is None else celsius, self.now_s())

    def set_heatsink(self, resistance_factor: float) -> None:
        self.plant.set_heatsink(resistance_factor, self.now_s())

    def set_regulation_error_v(self, volts: float) -> None:
        self.regulator.set_regulation_error(volts, self.now_s())

    def set_first_temperature(self, wrong: bool | None) -> None:
        self.regulator.first_temperature_quirk = self.settings.first_temperature_quirk if wrong is None else wrong

    def trip_rail(self) -> None:
        self.advance(self.now_s())
        self.regulator.trip(self.now_s())

    def release_rail(self) -> None:
        self.advance(self.now_s())
        self.regulator.release(self.now_s())

    def set_dead_domains(self, domains: Iterable[int], chip: int) -> None:
        at_s = self.now_s()
        self._with_chip(at_s, lambda: self.chips[chip].set_dead_domains(domains, at_s))

    def set_wrong_share(self, share: float) -> None:
        at_s = self.now_s()
        for chip in self.chips:
            self._with_chip(at_s, partial(chip.set_wrong_share, share, at_s))

    def set_chip_needs(self, chip: int, more_mv: float) -> None:
        unit = self.built_units[chip]
        self.plant.set_unit(unit._replace(v99_mv=unit.v99_mv + more_mv), self.now_s(), chip)

    def break_chain(self, chip: int | None) -> None:
        at_s = self.now_s()
        self._with_chip(at_s, lambda: self.line.break_at(chip, at_s))

    def wrap_chip(self, wrap: Callable[[UartChip], UartChip]) -> None:
        self.firmware.chip = wrap(self.firmware.chip)

    def chip_is_up(self) -> bool:
        return self.plant.rail_on and not self._reset_asserted

    def restart_bridge(self) -> None:
        at_s = self.now_s()
        self.advance(at_s)
        self.firmware.power_up(at_s)

    def lose_usb(self) -> bool:
        at_s = self.now_s()
        self.advance(at_s)
        return self.firmware.lose_usb(at_s)

    def power_cycle(self) -> None:
        at_s = self.now_s()
        self.advance(at_s)
        self._power_up(at_s)

    # --- wiring

    def _power_up(self, at_s: float) -> None:
        self.regulator.power_up(at_s)
        self.firmware.power_up(at_s)
        self.fan.power_up(at_s)

    def _rail(self, at_s: float) -> RailState:
        plant = self.plant
        plant.advance(at_s)
        return RailState(plant.input_v(at_s), plant.core_v(at_s), plant.core_a, plant.vr_c)

    def _look(self, at_s: float) -> Surroundings:
        self.plant.advance(at_s)
        return self._surroundings()

    def _tick_cooling(self, at_s: float) -> None:
        self.fan.tick(at_s, self._surroundings())

    def _diode_disturbed(self, at_s: float) -> None:
        self.fan.disturb(at_s)

    def _surroundings(self) -> Surroundings:
        """The fan controller's diode sits in chip 0 [A]: no schematic that was read says in which of several."""
        plant = self.plant
        return Surroundings(plant.die_of_c(0), (plant.vr_c + plant.ambient_c) / 2, plant.rpm)

    def _moved(self, input_v: float, at_s: float) -> None:
        """The plant made a step, or something electrical changed: what acts by itself acts now."""
        if self._in_chip:
            self._moved_at_s = at_s  # the chip is in mid-thought; the rail must not go from under it
            return
        plant = self.plant
        self.regulator.supervise(at_s, RailState(input_v, plant.core_v(at_s), plant.core_a, plant.vr_c))
        self._tick_cooling(at_s)

    def _with_chip(self, at_s: float, call: Callable[[], T]) -> T:
        """Call into the chip with the plant up to date. What its change of load does to the rail follows at once."""
        self.plant.advance(at_s)
        if self._in_chip:
            return call()
        self._in_chip = True
        try:
            result = call()
        finally:
            self._in_chip = False
        if (moved_at_s := self._moved_at_s) is not None:
            self._moved_at_s = None
            self._moved(self.plant.input_v(moved_at_s), moved_at_s)
        return result

    def _set_reset(self, asserted: bool, at_s: float) -> None:
        self.plant.advance(at_s)
        if asserted != self._reset_asserted:
            self._note(at_s, "reset asserted" if asserted else "reset released", "")
            if not asserted:
                self._diode_disturbed(at_s)
        self._reset_asserted = asserted
        self._with_chip(at_s, lambda: self.line.set_reset(asserted, at_s))

    def _drive_rail(self, volts: float, at_s: float, ramp_s: float) -> None:
        was_on = self.plant.rail_on
        self.plant.advance(at_s)
        self.plant.set_rail(volts, volts > 0.0, at_s, ramp_s)
        if volts > 0.0:
            self._note(at_s, "rail voltage" if was_on else "rail on", f"{volts:.3f} V")
        elif was_on:
            self._note(at_s, "rail off", "")
        if volts == 0.0:
            for chip in self.chips:
                self._with_chip(at_s, partial(chip.set_power, 0.0, at_s))

    def _drive_fan(self, duty: float, at_s: float) -> None:
        self.plant.set_fan_duty(duty, at_s)
        self._note(at_s, "fan duty", f"{duty:.3f}")

    def _drive_pin(self, pin: str, high: bool | None, at_s: float) -> None:
        """RST_N is the only one."""
        self._set_reset(not high, at_s)

    def _adc_pin_v(self, channel: str, at_s: float) -> Volts:
        """VDD is the only one, and the core without a divider."""
        return Volts(self.plant.core_v(at_s))

    def _note(self, at_s: float, what: str, detail: str) -> None:
        actuation = Actuation(at_s, what, detail)
        self.actuations.append(actuation)
        if self.on_actuation is not None:
            self.on_actuation(actuation)


class BitaxeGamma(Bitaxe):
    board = "bitaxe-gamma"
    chip_name = "BM1370"
    right_diode = (0x24, 0x00)  # ESP-Miner main/device_config.h


class BitaxeGammaDuo(Bitaxe):
    """650, with two BM1370XP, which are taken to be BM1370."""

    board = "bitaxe-gamma-duo"
    chip_name = "BM1370"
    chip_count = 2
    unit = GAMMA_DUO
    right_diode = BitaxeGamma.right_diode


class BitaxeSupra(Bitaxe):
    """402 and 403."""

    board = "bitaxe-supra-402"
    chip_name = "BM1368"


class BitaxeUltra(Bitaxe):
    """207."""

    board = "bitaxe-ultra-207"
    chip_name = "BM1366"
