"""An emulated Gamma whose cable is pulled and that comes back under other names, over real pseudo-terminals and a real
sentinel. Pseudo-terminals have no descriptors: a sysfs of our own says which board they are (tests/usb_tree.py)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from controller.clock import SystemClock
from controller.host import LostPort
from controller.model import ClearFault, GuardState, Note, PowerUp, SafeOffDone, StateChanged
from controller.rig import Rig
from controller.safety.sentinel_client import SentinelClient
from controller.warden import RigBoard
from drivers.boards.bitaxe_gamma import BITAXE_GAMMA
from drivers.boards.board import Attached
from drivers.transports.serial import open_serial
from emulator.benches import BenchSettings
from emulator.benches.bitaxe import BitaxeGamma
from emulator.serve import Served, serve
from tests.deaths.emulator import DILUTION
from tests.deaths.field import until
from tests.usb_tree import UsbTree

pytestmark = pytest.mark.real_time

NAME = "gamma"


async def test_a_board_that_comes_back_under_other_names_is_made_safe_and_goes_on_there(tmp_path: Path) -> None:
    bench, tree = BitaxeGamma(BenchSettings(dilution=DILUTION)), UsbTree(tmp_path / "usb")
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(bench, NAME, tmp_path / "run", stop=stop, on_ready=ready.set_result))
    served: Served = await ready
    places = str(tree.sysfs), str(tree.dev)
    control = tree.plug("ttyACM0", served.control)
    data = tree.plug("ttyACM1", served.data, interface=2)
    data_port = await open_serial(str(data))
    again = LostPort(str(data), *places)
    sentinel = SentinelClient(
        NAME, str(control), BITAXE_GAMMA.safe_off_recipe, directory=tmp_path, sysfs=places[0], dev=places[1]
    )
    attached = Attached(NAME, await sentinel.start(), data_port, emulated=True, dilution=DILUTION)
    board = await BITAXE_GAMMA.open(attached)
    given = RigBoard(board, attached, sentinel.beat, str(control), str(data), reopen_data=again.open)
    rig = Rig([given], clock=SystemClock())
    sentinel.on_port_lost = lambda why: rig.control_lost(NAME, why)
    sentinel.on_port_back = lambda record, path: rig.control_restored(NAME, record, path=path)
    told: list[object] = []

    async def listen() -> None:
        async for event in rig.events():
            told.append(event)

    def truth() -> dict[str, object]:
        found: dict[str, object] = bench.truth(bench.clock())
        return found

    def state() -> GuardState:
        return rig.snapshot().boards[0].state

    listening = asyncio.create_task(listen())
    try:
        async with rig:
            await rig.request(NAME, PowerUp(frequency_mhz=400.0, core_v=1.1))
            assert truth()["rail_on"]
            bench.faults.do("unplug", {"port": "control"})
            bench.faults.do("unplug", {"port": "data"})
            for name in ("ttyACM0", "ttyACM1"):
                tree.unplug(name)
            assert await until(lambda: state() is GuardState.UNPROTECTED, 5.0)
            assert truth()["rail_on"], "nobody reaches it"
            bench.faults.do("unplug", {"port": "control", "off": True})
            bench.faults.do("unplug", {"port": "data", "off": True})
            # The other way round, and the old name of the control port is the data port's now.
            tree.plug("ttyACM0", served.data, interface=2)
            back = tree.plug("ttyACM4", served.control)
            assert await until(lambda: not truth()["rail_on"], 5.0)
            assert truth()["reset_asserted"]
            assert await until(lambda: state() is GuardState.LATCHED, 5.0)
            by = [event.report for event in told if isinstance(event, SafeOffDone) and event.report.by == "sentinel"]
            assert by
            assert by[-1].confirmed
            assert str(back) in sentinel.log_path.read_text()
            renamed = {f"the control port is {back} now", f"the data port is back: {tree.dev / 'ttyACM0'} now"}
            assert await until(lambda: renamed <= {event.text for event in told if isinstance(event, Note)}, 5.0)
            await asyncio.sleep(1.0)  # sweeps, until the readings are fresh again
            await rig.request(NAME, ClearFault())
            await rig.request(NAME, PowerUp(frequency_mhz=400.0, core_v=1.1))
            assert state() is GuardState.LIVE
        assert [event.after for event in told if isinstance(event, StateChanged)][-1] is GuardState.SAFE_OFF
        await sentinel.release()
    finally:
        await sentinel.aclose()
        await listening
        stop.set()
        await serving
