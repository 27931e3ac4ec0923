"""A rig over the emulated board with a host lease, in a process of its own: `python -m tests.scenarios.lease_rig`.

Arguments: control port, data port, a directory, and `sentinel` or `alone`. The board is not among `BOARDS`, so there is
no `controller.host` for it. Says when it hashes, with the process id of the sentinel; then tells each fault. Ends with
its standard input.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from pathlib import Path
from typing import Any

from controller.attentive import AttentiveSelector
from controller.model import FaultLatched, PowerUp, StartWork
from controller.rig import Rig, RigBoard
from controller.safety.sentinel_client import SentinelClient
from drivers.boards.board import Attached
from drivers.boards.leased_gamma import LEASED_GAMMA
from drivers.transports.serial import open_serial
from tests.deaths.emulator import DILUTION

NAME = "leased"


def say(**words: Any) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


async def main(control: str, data: str, directory: Path, guarded: bool) -> None:
    async with contextlib.AsyncExitStack() as stack:
        data_port = await open_serial(data)
        stack.push_async_callback(data_port.aclose)
        sentinel: SentinelClient | None = None
        if guarded:
            sentinel = SentinelClient(NAME, control, LEASED_GAMMA.safe_off_recipe, directory=directory)
            stack.push_async_callback(sentinel.aclose)
            control_port = await sentinel.start()
        else:
            control_port = await open_serial(control)
        attached = Attached(NAME, control_port, data_port, emulated=True, dilution=DILUTION)
        board = await LEASED_GAMMA.open(attached)
        rig = Rig([RigBoard(board, attached, None if sentinel is None else sentinel.beat)])
        if sentinel is not None:
            sentinel.on_fenced = lambda why, record: rig.fenced(NAME, why, record)
            sentinel.on_lost = lambda why, transport: rig.sentinel_lost(NAME, transport, why)
        await stack.enter_async_context(rig)
        await rig.request(NAME, PowerUp(frequency_mhz=400.0, core_v=1.15))
        await rig.request(NAME, StartWork(work="synthetic", ticket_difficulty=256))
        say(hashing=True, sentinel=None if sentinel is None else sentinel.pid)
        telling = asyncio.create_task(tell(rig))
        await asyncio.to_thread(sys.stdin.read)
        telling.cancel()
        await asyncio.wait([telling])


async def tell(rig: Rig) -> None:
    async for event in rig.events():
        if isinstance(event, FaultLatched):
            say(fault=event.cause.value, detail=event.detail)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(AttentiveSelector())) as runner:
        runner.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4] == "sentinel"))
