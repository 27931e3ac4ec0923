"""Ports that vanish and come back, firmware that halts, hangs, stalls or starts anew."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from drivers.bridges.bitaxe_raw import BitaxeRawBridge
from drivers.codecs.pmbus import decode_linear11
from drivers.errors import NoReply, Unplugged
from emulator.benches.bitaxe import BitaxeGamma
from emulator.ports.pty import PtyPort
from tests.unit.boards.on_a_bench import gamma
from tests.unit.emulator.faults.asking import FAN, byte, put, rewire, word


@pytest.mark.parametrize("halt", ["wedge", "panic"])
async def test_a_firmware_that_stands_holds_its_outputs_and_a_reset_of_the_mcu_brings_it_back(halt: str) -> None:
    async with gamma() as on:
        await on.power_up(525.0, 1.150)
        host = rewire(on, "control")
        on.bench.faults.do(halt)
        with pytest.raises(NoReply):
            await byte(on, 0xFD)
        await asyncio.sleep(30.0)
        assert (on.truth("rail_on"), on.truth("reset_asserted"), on.truth("fan_duty")) == (True, False, 1.0)
        on.bench.faults.do(halt, {"off": True})
        assert (on.truth("rail_on"), on.truth("reset_asserted"), on.truth("fan_duty")) == (True, True, 1.0)
        await asyncio.sleep(1.1)
        bridge = BitaxeRawBridge(host())
        bridge.start()
        assert (await bridge.i2c().write_read(FAN, b"\xfd", 1)) == b"\x16"
        assert await bridge.gpio(0).get() is False
        await bridge.aclose()


async def test_a_reboot_takes_both_ports_away_and_leaves_rail_and_fan_as_they_were() -> None:
    async with gamma() as on:
        await on.power_up(525.0, 1.150)
        ports = on.bench.faults.ports
        rewire(on, "control"), rewire(on, "data")
        on.bench.faults.reboot(back_s=2.0)
        assert on.board.bridge.lost is not None
        assert [port.plugged for port in ports.values()] == [False, False]
        assert (on.truth("rail_on"), on.truth("reset_asserted"), on.truth("fan_duty")) == (True, True, 1.0)
        await asyncio.sleep(1.9)
        assert [port.plugged for port in ports.values()] == [False, False]
        await asyncio.sleep(0.2)
        assert [port.plugged for port in ports.values()] == [True, True]
        assert on.bench.data.baud == 115_200, "the rate of the new wire"


async def test_a_port_that_is_unplugged_again_does_not_come_back_by_itself() -> None:
    async with gamma() as on:
        rewire(on, "control")
        on.bench.faults.reboot(back_s=2.0)
        on.bench.faults.unplug("control")
        await asyncio.sleep(5.0)
        assert not on.bench.faults.ports["control"].plugged
        on.bench.faults.unplug("control", off=True)
        assert on.bench.faults.ports["control"].plugged


async def test_a_stalled_firmware_answers_nothing_and_then_everything_in_order() -> None:
    async with gamma() as on:
        await byte(on, 0xFD)  # the bridge is open
        on.bench.faults.stall_bridge(2.0)
        ends_s = asyncio.get_running_loop().time() + 2.0
        for level in (1, 0, 1):
            await on.control_frames.write(bytes((7, 0, 0xF0, 0, 6, 0, level)))
            await asyncio.sleep(0.01)
        await asyncio.sleep(1.9)
        strays = on.board.bridge.counters.strays
        assert on.truth("reset_asserted") is True
        await asyncio.sleep(0.2)
        assert on.board.bridge.counters.strays > strays, "answers that nobody waits for any more"
        moves = [(move.what, move.at_s) for move in on.bench.actuations if move.what.startswith("reset")]
        assert [what for what, _ in moves] == ["reset released", "reset asserted", "reset released"]
        assert moves[0][1] == pytest.approx(ends_s, abs=0.001)
        assert await byte(on, 0xFD) == 0x16


async def test_a_write_that_came_in_a_stall_acts_when_it_is_over_and_not_before() -> None:
    async with gamma() as on:
        await byte(on, 0xFD)
        began_s = asyncio.get_running_loop().time()
        on.bench.faults.stall_bridge(1.0)
        with pytest.raises(NoReply):
            await put(on, FAN, "4C 20")
        assert on.truth("fan_duty") == 0.0
        await asyncio.sleep(1.0)
        assert on.bench.actuations[-1].what == "fan duty"
        assert on.bench.actuations[-1].at_s == pytest.approx(began_s + 1.0, abs=0.001)


async def test_a_stall_holds_the_chips_line_too_and_loses_nothing() -> None:
    async with gamma() as on:
        await on.power_up(525.0, 1.150)
        on.bench.faults.stall_bridge(0.2)
        began_s = asyncio.get_running_loop().time()
        with pytest.raises(NoReply):
            await asyncio.gather(*(on.board.chain.read_clock() for _ in range(3)))
        await asyncio.sleep(began_s + 0.3 - asyncio.get_running_loop().time())
        assert on.bench.chip.truth.bad_frames == 0
        assert await on.board.chain.read_clock() == pytest.approx(525.0)


async def test_a_stall_can_be_ended_early() -> None:
    async with gamma() as on:
        await byte(on, 0xFD)
        on.bench.faults.stall_bridge(600.0)
        asking = asyncio.create_task(byte(on, 0xFE))
        await asyncio.sleep(0.05)
        assert not asking.done()
        on.bench.faults.stall_bridge(off=True)
        assert await asking == 0x5D


async def test_a_cable_that_is_back_does_not_revive_the_control_task_but_healing_does() -> None:
    async with gamma() as on:
        await on.power_up(525.0, 1.150)
        host = rewire(on, "control")
        rewire(on, "data")
        on.bench.faults.unplug_usb()
        with pytest.raises(Unplugged):
            await byte(on, 0xFD)
        on.bench.faults.unplug_usb(off=True)
        bridge = BitaxeRawBridge(host())
        bridge.start()
        with pytest.raises(NoReply):
            await bridge.gpio(0).get(tries=1)
        on.bench.faults.heal()
        assert await bridge.gpio(0).get() is False, "the MCU was reset"
        assert on.truth("rail_on") is True
        await bridge.aclose()


async def test_a_power_cycle_leaves_the_faults_that_do_not_live_on_power() -> None:
    async with gamma() as on:
        on.bench.faults.misread("input_v", 1600.0)
        on.bench.faults.stall_bridge(600.0)
        on.bench.faults.power_cycle()
        await asyncio.sleep(0.1)
        assert decode_linear11(await word(on, 0x88)) == 1600.0


@pytest.mark.real_time
async def test_a_port_replugged_under_a_new_name_moves_its_link(tmp_path: Path) -> None:
    bench = BitaxeGamma()
    loop = asyncio.get_running_loop()
    link = tmp_path / "control"
    port = PtyPort(bench.control, link=link, origin_s=loop.time())
    bench.faults.ports["control"] = port
    try:
        for _ in range(5):
            before = os.readlink(link)
            bench.faults.unplug("control")
            assert not link.is_symlink()
            bench.faults.replug("control", new_name=True)
            assert os.readlink(link) != before
            assert os.readlink(link) == port.slave_path
    finally:
        port.close()


@pytest.mark.real_time
async def test_a_port_that_was_closed_does_not_come_back_after_a_reboot(tmp_path: Path) -> None:
    bench = BitaxeGamma()
    port = PtyPort(bench.control, link=tmp_path / "control", origin_s=asyncio.get_running_loop().time())
    bench.faults.ports["control"] = port
    bench.faults.reboot(back_s=0.01)
    port.close()
    await asyncio.sleep(0.05)
    assert not port.plugged
    assert os.listdir(tmp_path) == []
