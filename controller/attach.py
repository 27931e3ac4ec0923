"""Which board on which ports: an emulated one, started for whoever asks, or ports that are there already.

Also which running rig is meant, what a rig process is started with, and what its sentinel has said when it is gone.
`keys` goes before the names in errors: `--` on the command line, nothing in a script.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from typing import Final

from controller.emulators import EmulatorChild, Sidecar, emulator_behind
from controller.envelope_file import operator_limits
from controller.files import readable_file
from controller.model import OperatorLimits, Reach, SafeOffRecord
from controller.paths import RunningRig, list_rigs, state_dir
from controller.port import BoardConfig, HostConfig
from controller.safety.sentinel_client import record_of
from drivers.asics import ASICS
from drivers.boards import BOARDS, known_board
from drivers.discovery import discover
from drivers.errors import PortMissing, UnexpectedReply, UsageError

SYNTHETIC_DILUTION: Final = 2**24
"""A Gamma's 250 nonces a second then cost 64,000 hashes a second: the emulator takes about 15 % of a core."""
MIDSTATE_DILUTION: Final = 2**27
"""From a midstate a hash costs 80 times as much: one BM1397 takes about a quarter of a core."""
SENTINEL_WAIT_S: Final = 3.0
EMULATED_ORPHAN_S: Final = 1.5
"""How long a sentinel waits for a lost port of an emulator. Longer, and it might find somebody else's pseudo-terminal
under the number of the old one."""

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Where:
    """What a person may say of a board: `emulate` a name, or `port` CONTROL[,DATA] or a name of `hashbridge list`.

    `board`: which board is behind `port`, where its USB strings do not say. The rest is for emulated boards: `solved`,
    other solved headers; `seed` of all chance (1); `dilution`, how many hashes one hash stands for (1; for synthetic
    work `synthetic_dilution`); `dialect` in which the bridge answers, where its firmwares differ. `envelope`, a file,
    and `unlock`: what its operator may ask for (controller/envelope_file.py); `retry`: it may come back by itself after
    a trip (controller/safety/retry.py).
    """

    emulate: str | None = None
    port: str | None = None
    board: str | None = None
    solved: str | None = None
    seed: int | None = None
    dilution: int | None = None
    dialect: str | None = None
    envelope: str | None = None
    unlock: Reach | None = None
    retry: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """A board to be opened. `child`: the emulator that was started for it."""

    config: BoardConfig
    child: EmulatorChild | None = None


async def attach(where: Where, work: str, stack: AsyncExitStack, *, keys: str = "") -> Target:
    """The board that is meant. An emulator that was started ends with `stack`.

    `work` decides the dilution where nobody said one. Raises `UsageError`, or `PortMissing` for a port that is not
    there.
    """
    if where.emulate is not None:
        return await _emulate(where, where.emulate, work, stack, keys)
    if where.port is not None:
        config = _given(where, where.port, keys)
        return Target(config.model_copy(update={"operator": _operator(where, config.kind)}))
    raise UsageError(f"{keys}port", None, f"a port, or {keys}emulate with the name of a board")


async def _emulate(where: Where, name: str, work: str, stack: AsyncExitStack, keys: str) -> Target:
    board = known_board(name, f"{keys}emulate")
    if where.board is not None:
        raise UsageError(f"{keys}board", where.board, f"only with {keys}port; {keys}emulate names its board itself")
    operator = _operator(where, board)
    if where.dialect not in (None, *BOARDS[board].dialects):
        raise UsageError(f"{keys}dialect", where.dialect, f"{', '.join(BOARDS[board].dialects)}: those of {board}")
    dilution = where.dilution or (synthetic_dilution(BOARDS[board].chip) if work == "synthetic" else 1)
    seed = 1 if where.seed is None else where.seed
    number = next(_numbers)
    options = [board, "--name", f"{board}-{os.getpid()}" + (f"-{number}" if number > 1 else "")]
    options += ["--seed", str(seed), "--dilution", str(dilution)]
    if where.dialect is not None:
        options += ["--dialect", where.dialect]
    if where.solved is not None:
        options += ["--solved", str(readable_file(where.solved, f"{keys}solved"))]
    child = await EmulatorChild.start(options, f"{keys}emulate")
    stack.push_async_callback(child.aclose)
    return Target(_config_of(child.sidecar).model_copy(update={"operator": operator}), child)


def synthetic_dilution(chip: str) -> int:
    """What an emulated chip can keep up with in real time."""
    return MIDSTATE_DILUTION if ASICS[chip].midstates else SYNTHETIC_DILUTION


def _operator(where: Where, kind: str) -> OperatorLimits:
    return operator_limits(kind, where.envelope, where.unlock, retry=where.retry)


def _config_of(sidecar: Sidecar) -> BoardConfig:
    return BoardConfig(
        name=sidecar.board,
        kind=sidecar.board,
        control=sidecar.control,
        data=sidecar.data,
        emulated=True,
        dilution=sidecar.dilution,
        seed=sidecar.seed,
        dialect=sidecar.dialect,
    )


def _given(where: Where, port: str, keys: str) -> BoardConfig:
    control, _, data = port.partition(",")
    for option, value in (("solved", where.solved), ("seed", where.seed), ("dialect", where.dialect)):
        if value is not None:
            raise UsageError(f"{keys}{option}", value, f"only with {keys}emulate")
    dilution = where.dilution
    sidecar = emulator_behind(control)
    if sidecar is not None:
        by = f"the emulator at {control}"
        if dilution not in (None, sidecar.dilution):
            raise UsageError(f"{keys}dilution", dilution, f"{sidecar.dilution}, which {by} was started with")
        if where.board not in (None, sidecar.board):
            raise UsageError(f"{keys}board", where.board, f"{sidecar.board}, which {by} emulates")
        known_board(sidecar.board, f"{keys}port")
        config = _config_of(sidecar)
        return config.model_copy(update={"control": control, "data": data or sidecar.data})
    if dilution is not None:
        raise UsageError(
            f"{keys}dilution", dilution, f"only with an emulated board, and {control} is none: hardware hashes 1:1"
        )
    found = [each for each in discover() if control in (each.id, each.serial) or _same(each.control, control)]
    plugged = found[0] if len(found) == 1 else None
    if plugged is not None and plugged.alone is not None:
        known_board(plugged.alone.name, f"{keys}port")
    if plugged is not None and plugged.refused is not None:
        raise UsageError(f"{keys}port", control, f"no such board: {plugged.refused}")
    fitting = () if plugged is None else plugged.names
    if plugged is not None and fitting:
        control, data = plugged.control or control, data or plugged.data or ""
    if plugged is None and not os.path.exists(control):
        raise PortMissing(control, "no such port, and no board of that name is plugged in")
    if where.board is None and len(fitting) != 1:
        boards = ", ".join(fitting or sorted(BOARDS))
        why = "fit all of these" if fitting else "name none"
        raise UsageError(f"{keys}board", None, f"one of {boards}; the USB strings of {control} {why}")
    board = where.board or fitting[0]
    if fitting and where.board in BOARDS and where.board not in fitting:
        raise UsageError(
            f"{keys}board", where.board, f"one of {', '.join(fitting)}, which the USB strings of {control} fit"
        )
    dialect = plugged.dialect if plugged is not None and fitting else None
    data = data or data_port(control) or ""
    if not data:
        raise UsageError(f"{keys}port", control, "CONTROL,DATA: the data port cannot be told from this name")
    name = known_board(board, f"{keys}board")
    return BoardConfig(name=name, kind=board, control=control, data=data, dialect=dialect)


def _same(one: str | None, other: str) -> bool:
    return one is not None and os.path.realpath(one) == os.path.realpath(other)


_PAIRS: Final = ((r"-if00$", "-if02"), (r"-control$", "-data"), (r"-00$", "-02"))
"""How stable names of a control port differ from those of its data port: by-id, emulator, /dev/hashbridge."""


def data_port(control: str) -> str | None:
    """The data port that belongs to a control port by its stable name; None when the name does not tell."""
    for pattern, data in _PAIRS:
        found, count = re.subn(pattern, data, control)
        if count and os.path.exists(found):
            return found
    return None


# --- the rig of a board ----------------------------------------------------------------------------------------------


def host_config(*targets: Target, journal: str | None = None, record: str | None = None) -> HostConfig:
    """What a rig process for these boards is started with. `record`: a file for every byte of the ports of one board;
    of several, a directory of such files, NAME.jsonl each (`record_place` makes it)."""
    several = len(targets) > 1

    def taps(name: str) -> dict[str, str | None]:
        path = os.path.join(record, f"{name}.jsonl") if record is not None and several else record
        return {"control_tap": path, "data_tap": path}

    configs = tuple(target.config.model_copy(update=taps(target.config.name)) for target in targets)
    emulated = all(config.emulated for config in configs)
    orphan_s = EMULATED_ORPHAN_S if emulated else HostConfig.model_fields["orphan_s"].default
    return HostConfig(boards=configs, journal=journal, orphan_s=orphan_s)


def record_place(record: str | None, targets: Sequence[Target], key: str) -> str | None:
    """The same, and for several boards the directory is made. Raises `UsageError` where that cannot be."""
    if record is not None and len(targets) > 1:
        try:
            os.mkdir(record)
        except OSError as error:
            raise UsageError(key, record, f"a directory that can be made ({error.strerror})") from error
    return record


def told_apart(targets: Sequence[Target]) -> list[Target]:
    """The same, with a name of its own for each board of the rig: the second of a name ends in -2."""
    seen: Counter[str] = Counter()
    found = []
    for target in targets:
        name = target.config.name
        seen[name] += 1
        if seen[name] > 1:
            target = replace(target, config=target.config.model_copy(update={"name": f"{name}-{seen[name]}"}))
        found.append(target)
    return found


def choose_rig(wanted: str | None, key: str = "rig") -> RunningRig:
    """The running rig that is meant, by its process id, or the only one.

    `PortMissing` when there is none, `UsageError` when it is not clear which.
    """
    rigs = list_rigs()
    known = ", ".join(f"{rig.pid} ({', '.join(rig.boards)})" for rig in rigs)
    if wanted is not None:
        for rig in rigs:
            if str(rig.pid) == wanted.strip():
                return rig
        raise PortMissing(f"rig {wanted}", f"does not run; running: {known or 'none'}")
    if not rigs:
        raise PortMissing("rig", "none runs; start one with `hashbridge run`")
    if len(rigs) > 1:
        raise UsageError(key, None, f"one of {known}")
    return rigs[0]


async def sentinel_report(board: str, rig_pid: int) -> SafeOffRecord | None:
    """What the sentinel of a rig that is gone did; None when it has not said so in time."""
    path = state_dir() / f"sentinel-{board}-{rig_pid}.json"
    with suppress(TimeoutError):
        async with asyncio.timeout(SENTINEL_WAIT_S):
            while True:
                with suppress(OSError, ValueError, UnexpectedReply):
                    return record_of(json.loads(path.read_text(encoding="utf-8")))
                await asyncio.sleep(0.05)
    return None
