"""A client that owns a rig, sets it hashing and then does nothing more: `python -m tests.deaths.client`.

Reads a `HostConfig` from standard input; says when all its boards hash, with the process id of the rig.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys

from controller.model import BoardInfo, PowerUp, StartWork
from controller.port import HostConfig, LiveRig

STAGGER_S = 0.25


async def hash_on(rig: LiveRig) -> None:
    """All boards of the rig to their lowest clock and stock voltage, fed with random headers.

    One after the other: the lock-down of a regulator is a hundred requests.
    """

    async def bring_up(board: BoardInfo, after_s: float) -> None:
        await asyncio.sleep(after_s)
        e = board.envelope
        await rig.request(board.name, PowerUp(frequency_mhz=e.frequency_mhz.low, core_v=e.stock_core_v))
        await rig.request(board.name, StartWork(work="synthetic", ticket_difficulty=256))

    await asyncio.gather(*(bring_up(board, STAGGER_S * index) for index, board in enumerate(rig.info)))


async def main() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it is ignored by everybody below
    rig = await LiveRig.start(HostConfig.model_validate_json(sys.stdin.read()))
    sys.stdout.write("started\n")
    sys.stdout.flush()
    await hash_on(rig)
    sys.stdout.write(json.dumps({"rig": rig.pid}) + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
