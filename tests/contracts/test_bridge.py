"""What every bridge promises, in every reply dialect that is driven: each on the bench of a board behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from drivers.bridges.bitaxe_raw import READ_TRIES, TIMEOUT_S, BitaxeRawBridge
from drivers.bridges.firmware import BITAXE_BONANZA, BITAXE_RAW, BONANZA_BRIDGE, EMBERONE, BridgeFirmware
from drivers.codecs.dialects import DIALECTS
from drivers.codecs.pmbus import Command
from drivers.errors import Nack, NoReply, NotInFirmware, Unplugged, UsageError
from drivers.peripherals import emc2101, tps546
from drivers.transports.memory import memory_pair
from emulator.benches.bitaxe import Bitaxe as Bench
from emulator.benches.bitaxe import BitaxeGamma, Firmware
from emulator.benches.bitaxe_bonanza import BitaxeBonanza
from emulator.benches.leased_gamma import LeasedGamma
from emulator.firmware import profiles
from emulator.firmware.bitaxe_raw import BitaxeRaw
from emulator.parts import I2cBus
from emulator.ports.memory import plug_in
from tests.unit.boards.recording import Recording

NOBODY = 0x33
FULL_SPEED_USB_PACKET_BYTES = 64
DEVICE_ID = bytes([Command.IC_DEVICE_ID])
EMBERONE_C = replace(EMBERONE, dialect="C", reboot=True)


class BehindEmberOne(BitaxeGamma):
    """No Gamma has it: the parts of one, behind the firmware of an EmberOne."""

    profile = profiles.EMBERONE

    def _make_firmware(self) -> Firmware:
        bus = I2cBus(self.targets, self.faults.bus)
        return BitaxeRaw(
            bus,
            self,
            self.faults,
            drive=self._drive_pin,
            pin_v=self._adc_pin_v,
            sense=lambda pin, at_s: pin == "PGOOD",
            profile=self.profile,
        )

    def _drive_pin(self, pin: str, high: bool | None, at_s: float) -> None:
        if pin == "ASIC_RESETN":
            super()._drive_pin(pin, high, at_s)


class BehindEmberOneC(BehindEmberOne):
    profile = profiles.emberone(dialect="C", inputs=True, reboot=True)


class BehindBonanza(BitaxeBonanza):
    """The parts of a Gamma on the bus of a Bonanza."""

    def _bus(self) -> I2cBus:
        return I2cBus(self.targets, self.faults.bus)


@dataclass(frozen=True)
class Case:
    firmware: BridgeFirmware
    make: Callable[[], Bench]
    pins: tuple[int, ...]
    """Outputs that may be set to what they are, without leave."""

    @property
    def dialect(self) -> str:
        return self.firmware.dialect


CASES = {
    "bitaxe-raw, A": Case(BITAXE_RAW, BitaxeGamma, (0,)),
    "emberone-usbserial-fw, A": Case(EMBERONE, BehindEmberOne, (0, 1, 2)),
    "emberone-usbserial-fw, C": Case(EMBERONE_C, BehindEmberOneC, (0, 1, 2)),
    "bitaxe-raw-bonanza, B": Case(BITAXE_BONANZA, BehindBonanza, (0, 1, 2, 4)),
    "bonanza-bridge, B": Case(BONANZA_BRIDGE, LeasedGamma, (1, 2)),
}
every_bridge = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


@dataclass
class On:
    bench: Bench
    bridge: BitaxeRawBridge
    control: Recording

    @property
    def written(self) -> int:
        return len(self.control.writes)


@asynccontextmanager
async def on(case: Case) -> AsyncIterator[On]:
    bench = case.make()
    control, control_wire = memory_pair("control")
    _, data_wire = memory_pair("data")
    plug_in(bench, control_wire, data_wire)
    await asyncio.sleep(0.1)
    recording = Recording(control)
    bridge = BitaxeRawBridge(recording, firmware=case.firmware)
    bridge.start()
    try:
        yield On(bench, bridge, recording)
    finally:
        await bridge.aclose()


@every_bridge
async def test_a_read_of_any_length_begins_alike(case: Case) -> None:
    async with on(case) as here:
        i2c = here.bridge.i2c()
        longest = await i2c.write_read(tps546.ADDRESS, DEVICE_ID, 58)
        for count in range(1, 58):
            assert await i2c.write_read(tps546.ADDRESS, DEVICE_ID, count) == longest[:count]
        assert here.bridge.counters.strays == here.bridge.counters.silent == 0


@every_bridge
async def test_every_request_is_one_write_that_fits_a_packet_but_for_long_i2c_writes(case: Case) -> None:
    async with on(case) as here:
        i2c = here.bridge.i2c()
        await i2c.write(emc2101.ADDRESS, bytes([emc2101.Register.FAN_SETTING, 0x3F]))
        await i2c.write_read(tps546.ADDRESS, DEVICE_ID, 6)
        await here.bridge.gpio(case.pins[0]).get()
        assert here.written == here.bridge.counters.requests == 3
        for _, frame in here.control.writes:
            assert int.from_bytes(frame[:2], "little") == len(frame) <= FULL_SPEED_USB_PACKET_BYTES


@every_bridge
async def test_what_was_written_is_what_is_read(case: Case) -> None:
    async with on(case) as here:
        i2c = here.bridge.i2c()
        for limit in (*range(0x20), 0x37):  # 10 to 13 alone read like errors in dialect B
            await i2c.write(emc2101.ADDRESS, bytes([emc2101.Register.IDEALITY, limit]))
            found = await i2c.write_read(emc2101.ADDRESS, bytes([emc2101.Register.IDEALITY]), 1)
            assert found == bytes([limit])


@every_bridge
async def test_a_part_that_is_not_there_is_named_and_costs_nobody_else_anything(case: Case) -> None:
    async with on(case) as here:
        i2c = here.bridge.i2c(read_tries=1)
        for question in (i2c.write(NOBODY, b"\x00\x01"), i2c.read(NOBODY, 2), i2c.write_read(NOBODY, b"\x00", 2)):
            with pytest.raises(Nack, match="0x33"):
                await question
        assert (await i2c.write_read(tps546.ADDRESS, DEVICE_ID, 3))[0] > 0
        assert here.bridge.counters.refused == 3


@every_bridge
async def test_a_pin_says_what_it_is_and_one_that_is_not_there_is_refused(case: Case) -> None:
    async with on(case) as here:
        for number in case.pins:
            pin = here.bridge.gpio(number)
            level = await pin.get()
            await pin.set(level)
            assert await pin.get() is level
        with pytest.raises(NotInFirmware, match=r"GPIO 127 get: code 0x11 not understood"):
            await here.bridge.gpio(0x7F).get(tries=1)


@every_bridge
async def test_every_pin_of_the_table_is_there_under_its_name_with_its_level_at_power_up(case: Case) -> None:
    async with on(case) as here:
        for pin in case.firmware.pins:
            if pin.output or case.firmware is not EMBERONE:  # the inputs are on its branch alone
                level = await here.bridge.pin(pin.name).get()
                assert level is (pin.high_at_power_up if pin.output else pin.name == "PGOOD")
            if not pin.output:
                with pytest.raises(UsageError, match=r"allowed: an output; this one is read only"):
                    await here.bridge.pin(pin.name).set(True)
        with pytest.raises(UsageError, match=f"pin: 'CORE_EN' .* the pins of {case.firmware.name}: "):
            here.bridge.pin("CORE_EN")


@every_bridge
async def test_a_page_that_the_firmware_does_not_have_is_refused_before_anything_is_sent(case: Case) -> None:
    async with on(case) as here:
        firmware, bridge = case.firmware, here.bridge
        missing = [
            *([] if firmware.led else [bridge.set_led(1, 2, 3)]),
            *([] if firmware.fan else [bridge.set_fan(100), bridge.fan_rpm()]),
            *([] if firmware.reboot else [bridge.reboot(), bridge.reboot(into_loader=True)]),
            *([] if firmware.adc_step_v else [bridge.adc_v("VDD")]),
            bridge.adc_v("VCC"),
        ]
        for question in missing:
            with pytest.raises(UsageError, match=f"{firmware.name}|not calibrated"):
                await question
        assert here.written == 0


@every_bridge
async def test_a_page_that_the_table_promises_and_the_device_lacks_is_an_error_that_names_it(case: Case) -> None:
    everything = replace(case.firmware, led=True, fan=True, reboot=True)
    async with on(replace(case, firmware=everything)) as here:
        firmware, bridge = case.firmware, here.bridge
        if not firmware.led:
            with pytest.raises(NotInFirmware, match=r"LED \(page 08\) of control"):
                await bridge.set_led(1, 2, 3)
        if not firmware.fan:
            with pytest.raises(NotInFirmware, match=r"fan \(page 09\) of control"):
                await bridge.set_fan(100)
        if not firmware.reboot:
            with pytest.raises(NotInFirmware, match=r"reboot \(page 09\) of control"):
                await bridge.reboot()
        assert bridge.lost is None


@every_bridge
async def test_what_nobody_named_the_firmware_of_is_asked_by_numbers_alone(case: Case) -> None:
    async with on(case) as here:
        here.bridge.firmware = None
        with pytest.raises(UsageError, match="the firmware of control is not known"):
            here.bridge.pin("RST_N")
        for question in (here.bridge.adc_v("VDD"), here.bridge.reboot()):
            with pytest.raises(UsageError, match="the firmware of control is not known"):
                await question
        assert here.written == 0


@pytest.mark.parametrize(
    "case", [CASES[name] for name in CASES if CASES[name].firmware.adc_step_v], ids=lambda c: c.dialect
)
async def test_an_adc_that_is_calibrated_says_volts_at_its_pin(case: Case) -> None:
    async with on(case) as here:
        assert await here.bridge.adc_v("VDD") == pytest.approx(0.0)
        await here.bridge.i2c().write(tps546.ADDRESS, bytes([Command.OPERATION, 0x80]))
        await asyncio.sleep(0.5)
        core_v = here.bench.truth(here.bench.clock())["rail_v"]
        assert core_v > 0.5
        for channel in case.firmware.adc:  # the core, on every channel of this bench
            assert await here.bridge.adc_v(channel) == pytest.approx(core_v, abs=2 * 3.3 / 4096)


@pytest.mark.parametrize("case", [CASES[name] for name in CASES if CASES[name].firmware.led], ids=lambda c: c.dialect)
async def test_an_led_takes_its_colour_even_one_that_begins_like_an_error(case: Case) -> None:
    async with on(case) as here:
        firmware = here.bench.firmware
        assert isinstance(firmware, BitaxeRaw)
        for rgb in ((0xFF, 0x00, 0xFF), (0x11, 0x12, 0x10), (0, 0, 0)):
            await here.bridge.set_led(*rgb)
            assert firmware.led_rgb == rgb


@pytest.mark.parametrize(
    "case", [CASES[name] for name in CASES if CASES[name].firmware.fan], ids=lambda c: c.firmware.name
)
async def test_the_fan_of_a_bridge_is_set_and_its_speed_read_in_half_a_second(case: Case) -> None:
    async with on(case) as here:
        await here.bridge.set_fan(100)
        await asyncio.sleep(20.0)
        true_rpm = here.bench.truth(here.bench.clock())["fan_rpm"]
        began_s = asyncio.get_running_loop().time()
        assert await here.bridge.fan_rpm() == pytest.approx(true_rpm, abs=60.0)
        assert asyncio.get_running_loop().time() - began_s > 0.5


async def test_a_reboot_puts_the_pins_back_and_takes_the_ports_away() -> None:
    async with on(CASES["emberone-usbserial-fw, C"]) as here:
        await here.bridge.pin("ASIC_RESETN").set(False)
        assert here.bench.truth(here.bench.clock())["reset_asserted"] is True
        await here.bridge.reboot()
        assert here.bench.truth(here.bench.clock())["reset_asserted"] is False
        assert here.bridge.lost is not None


async def test_an_mcu_that_lives_on_usb_stops_without_it_and_starts_anew_with_it() -> None:
    async with on(CASES["emberone-usbserial-fw, A"]) as here:
        await here.bridge.pin("ASIC_RESETN").set(False)
        here.bench.faults.unplug_usb()
        firmware = here.bench.firmware
        assert isinstance(firmware, BitaxeRaw)
        assert (firmware.running, firmware.levels) == (False, {})
        here.bench.faults.power_cycle()
        assert (firmware.running, firmware.levels) == (False, {}), "the supply of the board is not its own"
        with pytest.raises(Unplugged):
            await here.bridge.pin("ASIC_RESETN").get()
        control, control_wire = memory_pair("control")
        here.bench.faults.ports["control"].new_wire = lambda: control_wire  # type: ignore[attr-defined]
        here.bench.faults.ports["data"].new_wire = lambda: memory_pair("data")[1]  # type: ignore[attr-defined]
        here.bench.faults.unplug_usb(off=True)
        again = BitaxeRawBridge(control, firmware=EMBERONE)
        again.start()
        assert await again.pin("ASIC_RESETN").get() is True
        await again.aclose()


@pytest.mark.parametrize("case", [CASES[name] for name in CASES if CASES[name].pins[0] == 0], ids=lambda c: c.dialect)
async def test_the_dialect_can_be_learnt_whatever_was_believed(case: Case) -> None:
    for believed in DIALECTS:
        async with on(case) as here:
            here.bridge.speak(believed)
            assert await here.bridge.learn_dialect() == here.bridge.dialect == case.dialect
            assert (await here.bridge.i2c().write_read(tps546.ADDRESS, DEVICE_ID, 3))[0] > 0


@every_bridge
async def test_a_firmware_that_answers_in_no_dialect_leaves_the_one_that_was_believed(case: Case) -> None:
    async with on(case) as here:
        here.bench.faults.wedge()
        with pytest.raises(NoReply, match="in dialects A, B, C"):
            await here.bridge.learn_dialect()
        assert here.bridge.dialect == case.dialect


@every_bridge
async def test_the_longest_read_fits_a_packet_and_one_byte_more_is_refused(case: Case) -> None:
    async with on(case) as here:
        i2c = here.bridge.i2c(read_tries=1)
        most = 59 if case.dialect == "C" else 60
        assert len(await i2c.write_read(tps546.ADDRESS, DEVICE_ID, most)) == most
        before = here.written
        with pytest.raises(UsageError, match=f"to {most}"):
            await i2c.write_read(tps546.ADDRESS, DEVICE_ID, most + 1)
        assert here.written == before


@every_bridge
async def test_what_would_wedge_or_halt_the_firmware_never_reaches_the_wire(case: Case) -> None:
    async with on(case) as here:
        i2c = here.bridge.i2c()
        for question in (
            i2c.write(emc2101.ADDRESS, b""),
            i2c.write_read(emc2101.ADDRESS, b"", 1),
            i2c.read(emc2101.ADDRESS, 0),
            i2c.read(0x78, 1),
            here.bridge.set_i2c_frequency(0),
        ):
            with pytest.raises(UsageError):
                await question
        assert here.written == 0


@every_bridge
async def test_every_task_gets_the_answer_to_its_own_question(case: Case) -> None:
    registers = {
        emc2101.Register.MANUFACTURER: 0x5D,
        emc2101.Register.FAN_SETTING: 0x3F,
        emc2101.Register.IDEALITY: 0x24,
        emc2101.Register.BETA: 0x08,
    }
    async with on(case) as here:
        i2c = here.bridge.i2c()
        for register, value in registers.items():
            if register is not emc2101.Register.MANUFACTURER:
                await i2c.write(emc2101.ADDRESS, bytes([register, value]))
        asked = [register for register in registers for _ in range(25)]
        answers = await asyncio.gather(*(i2c.write_read(emc2101.ADDRESS, bytes([each]), 1) for each in asked))
        assert [answer[0] for answer in answers] == [registers[each] for each in asked]


@every_bridge
async def test_replies_in_pieces_or_run_together_are_the_same_replies(case: Case) -> None:
    async with on(case) as here:
        i2c = here.bridge.i2c()
        before = await i2c.write_read(tps546.ADDRESS, DEVICE_ID, 7)
        here.bench.faults.chop(split_p=1.0, merge_p=0.0)
        for _ in range(50):
            assert await i2c.write_read(tps546.ADDRESS, DEVICE_ID, 7) == before


@every_bridge
async def test_a_lost_answer_is_asked_for_again_where_nothing_changes_and_never_where_something_does(
    case: Case,
) -> None:
    async with on(case) as here:
        i2c = here.bridge.i2c()
        await here.bridge.open()
        here.bench.faults.lose_replies(1)
        await i2c.write_read(tps546.ADDRESS, DEVICE_ID, 6)
        assert here.written == 2
        here.bench.faults.lose_replies(1)
        with pytest.raises(NoReply):
            await i2c.write(emc2101.ADDRESS, bytes([emc2101.Register.FAN_SETTING, 0x3F]))
        assert here.written == 3


@every_bridge
async def test_the_answer_to_another_question_is_no_answer(case: Case) -> None:
    async with on(case) as here:
        here.bench.faults.wrong_id(1)
        with pytest.raises(NoReply):
            await here.bridge.i2c(read_tries=1).write_read(tps546.ADDRESS, DEVICE_ID, 6)
        assert (await here.bridge.i2c().write_read(tps546.ADDRESS, DEVICE_ID, 6))[0] > 0


@every_bridge
async def test_an_answer_that_comes_too_late_is_not_the_answer_to_the_next_question(case: Case) -> None:
    async with on(case) as here:
        i2c = here.bridge.i2c(read_tries=1, timeout_s=0.05)
        await here.bridge.open()
        here.bench.faults.late(by_s=0.06, port="control")
        for _ in range(5):
            with pytest.raises(NoReply):
                await i2c.write_read(emc2101.ADDRESS, bytes([emc2101.Register.FAN_SETTING]), 1)
        here.bench.faults.late(off=True)
        await asyncio.sleep(0.1)
        assert await i2c.write_read(emc2101.ADDRESS, bytes([emc2101.Register.MANUFACTURER]), 1) == b"\x5d"


@every_bridge
async def test_a_firmware_that_stands_still_is_given_up_in_time_and_heard_again_when_it_goes_on(case: Case) -> None:
    async with on(case) as here:
        await here.bridge.open()
        here.bench.faults.stall_bridge(for_s=1.0)
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        with pytest.raises(NoReply):
            await here.bridge.i2c().write_read(tps546.ADDRESS, DEVICE_ID, 6)
        assert loop.time() - begun_s < READ_TRIES * (TIMEOUT_S + 0.02)
        await asyncio.sleep(0.3)
        found = await here.bridge.i2c(read_tries=1).write_read(
            emc2101.ADDRESS, bytes([emc2101.Register.MANUFACTURER]), 1
        )
        assert found == b"\x5d"


@every_bridge
async def test_a_port_that_is_gone_ends_what_is_asked_and_all_that_is_asked_later(case: Case) -> None:
    async with on(case) as here:
        told: list[Unplugged] = []
        here.bridge.on_lost = told.append
        await here.bridge.open()
        here.bench.faults.wedge()
        asking = asyncio.create_task(here.bridge.gpio(case.pins[0]).get())
        await asyncio.sleep(0.01)
        here.bench.faults.unplug_control()
        with pytest.raises(Unplugged):
            await asking
        with pytest.raises(Unplugged):
            await here.bridge.gpio(case.pins[0]).get()
        assert told == [here.bridge.lost]
