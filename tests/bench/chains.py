"""A long chain in virtual time: how many nonces a second of CPU the host verifies, and what the chain itself costs.

126 BM1362 as on an S19j Pro, on the fast line of stock firmware. Host and emulator share one process: the host's part
is what passes between a delivery of bytes and the return of it.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import replace
from typing import Any, Final

from controller.work.meter import smallest_ticket_difficulty
from controller.work.sources import SyntheticSource
from drivers.asics import ASICS
from drivers.asics.chain import Chain, Work
from drivers.transports.memory import memory_pair
from emulator.chips import MODELS
from emulator.hashing import SolvedHeaders
from emulator.physics import ChipSupply
from emulator.ports.memory import MemoryPort
from emulator.silicon.chip import MiningChip
from emulator.silicon.line import ChipLine
from emulator.virtual_time import virtual_run

CHIP: Final = "BM1362"
CHIPS: Final = 126
BAUD: Final = 3_125_000
BAUD_WORD: Final = 0x1130_0000
FREQUENCY_MHZ: Final = 525.0
DILUTION: Final = 1 << 31
SECONDS: Final = 20.0
JOB_S: Final = 0.5


async def _measure() -> dict[str, Any]:
    kind = replace(ASICS[CHIP], fast_baud=BAUD, fast_baud_word=BAUD_WORD)
    model, chance, solved = MODELS[CHIP], random.Random(1), SolvedHeaders.load()
    supply = ChipSupply(model.nominal_core_v, 60.0, (1.0, 1.0, 1.0, 1.0), False)
    line = ChipLine(MiningChip(model, chance, solved, DILUTION, lambda at_s: supply) for _ in range(CHIPS))
    port, wire = memory_pair("data")
    MemoryPort(line, wire)
    chain = Chain(port, kind, expected_chips=CHIPS, dilution=DILUTION, name="bench")
    chain.start()
    loop = asyncio.get_running_loop()
    began_s, cpu_s = loop.time(), time.process_time()
    await chain.reset_line()
    await chain.enumerate()
    await chain.initialise()
    clock = 50.0
    while clock < FREQUENCY_MHZ:
        clock = min(clock + 6.25, FREQUENCY_MHZ)
        await chain.set_frequency_step(clock)
        await asyncio.sleep(0.1)
    await chain.set_window(FREQUENCY_MHZ)
    await chain.fast_link()
    up = {"virtual_s": round(loop.time() - began_s, 1), "cpu_s": round(time.process_time() - cpu_s, 2)}
    difficulty = smallest_ticket_difficulty(chain.expected_hs, BAUD)
    await chain.set_ticket(difficulty)
    host_s, backlog, deliver = 0.0, 0, wire.deliver

    def timed(data: bytes) -> None:
        nonlocal host_s, backlog
        backlog = max(backlog, sum(chip.queued for chip in line.chips))
        entered_s = time.perf_counter()
        deliver(data)
        host_s += time.perf_counter() - entered_s

    wire.deliver = timed  # type: ignore[method-assign]
    source, cpu_s = SyntheticSource(1), time.process_time()
    for number in range(round(SECONDS / JOB_S)):
        header = source.draw()
        await chain.send(Work(number, header))
        await asyncio.sleep(JOB_S)
    spent_s = time.process_time() - cpu_s
    counters = chain.counters
    found = [chip.finds for chip in chain.chips]
    await chain.aclose()
    return {
        "chip": CHIP,
        "chips": CHIPS,
        "baud": BAUD,
        "frequency_mhz": FREQUENCY_MHZ,
        "expected_ths": round(chain.expected_hs / 1e12, 2),
        "dilution": DILUTION,
        "ticket_difficulty": difficulty,
        "bring_up": up,
        "nonces_per_s": round(counters.nonces / SECONDS),
        "line_load": round(counters.nonces * 110 / SECONDS / BAUD, 3),
        "verified_share": counters.verified / counters.nonces,
        "fewest_and_most_finds_of_a_chip": [min(found), max(found)],
        "nonces_verified_per_host_cpu_s": round(counters.verified / host_s),
        "host_cpu_share": round(host_s / SECONDS, 4),
        "host_and_emulator_cpu_share": round(spent_s / SECONDS, 3),
        "most_frames_that_waited_for_the_line": backlog,
    }


def measure() -> dict[str, Any]:
    return {"long_chain": virtual_run(_measure())}
