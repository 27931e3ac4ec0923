"""`hashbridge chain`: which chips answer on a bare hash board, a line of chips on a plain USB-UART without a bridge.

It asks and gives addresses, and sends nothing that could clock, configure or feed a chip. It cannot cut the power of
such a board, and says so before it sends anything. Only who names the supply and accepts that can have the chips hash
as well, after a survey that has found nothing wrong (chain_hash.py).
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from controller.attentive import AttentiveSelector
from controller.cli.chain_hash import (
    HashWish,
    add_hash_options,
    domain_rows,
    hash_object,
    hash_on,
    hash_rows,
    hash_wish_of,
    verdict,
)
from controller.cli.exits import Exit, explain
from controller.cli.talk import Talk, facts
from controller.emulators import emulator_behind
from drivers.asics import ASICS, AsicKind
from drivers.asics.survey import MOST_CHIPS, RESET_BAUD, ChainSurvey, ChipState, chips_named, kind_name, survey
from drivers.boards.hashboards import HASHBOARDS, HashBoardKind, known_hashboard
from drivers.codecs.bm13xx import LONG_REPLY_BYTES, SHORT_REPLY_BYTES
from drivers.discovery import discover
from drivers.errors import Refused, UnknownPart, UsageError, one_of
from drivers.traits import Transport
from drivers.transports.memory import memory_pair
from drivers.transports.serial import open_serial
from emulator.benches.hashboard import HASHBOARDS as BENCHES
from emulator.benches.hashboard import HashBoard
from emulator.ports.memory import MemoryPort

SCHEMA: Final = "hashbridge.chain/1"
NO_SWITCH: Final = "hashbridge cannot cut the power of this board: it has no bridge. Keep its supply within reach"
_BAUD_LIMITS: Final = (9_600, 4_000_000)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asks for. `port` None: an emulated board in memory. `kind` None: whatever is there."""

    port: str | None
    board: HashBoardKind | None
    chips: int
    kind: AsicKind | None
    baud: int


def add_arguments(parser: ArgumentParser) -> None:
    boards = ", ".join(sorted(HASHBOARDS))
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--port", "-p", metavar="PATH", help="the serial port that the chips hang on")
    where.add_argument("--emulate", metavar="NAME", help="an emulated hash board, in memory")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--board", metavar="NAME", help=f"which board it is: {boards}")
    what.add_argument("--chips", metavar="N", help=f"or how many chips it should have, 1 to {MOST_CHIPS}")
    parser.add_argument("--chip", metavar="NAME", help=f"with --chips: which they should be, {', '.join(ASICS)}")
    parser.add_argument("--baud", metavar="N", help=f"line rate ({RESET_BAUD}: that of chips out of reset)")
    parser.add_argument("--json", action="store_true", help="one object")
    add_hash_options(parser)


def run(arguments: Namespace) -> int:
    asked = asked_of(arguments)
    wish = hash_wish_of(arguments, asked.kind, asked.chips, emulated=asked.port is None)
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(AttentiveSelector())) as runner:
        return runner.run(look(asked, wish, as_json=arguments.json, quiet=arguments.quiet))


async def look(asked: Asked, wish: HashWish | None = None, *, as_json: bool = False, quiet: bool = False) -> Exit:
    """Survey the line and print what was found; then hash, if that is wished and nothing was wrong."""
    talk = Talk(quiet)
    if asked.port is not None:
        talk.say(NO_SWITCH, "warn")
    line = _Line(asked, 1 if wish is None else wish.dilution)
    found = await survey(await line.open(), asked.chips, asked.kind, baud=asked.baud)
    refused = None if wish is None or not found.faults else Refused("survey", "; ".join(found.faults))
    if wish is None or refused is not None or not as_json:
        print(json.dumps(chain_object(asked, found)) if as_json else chain_text(asked, found), flush=True)
    if refused is not None:
        talk.warn(explain(refused))
        return Exit.REFUSED
    if wish is None:
        return Exit.FAILED if found.faults else Exit.OK
    return await _hash(asked, wish, line, found, talk, as_json=as_json)


async def _hash(asked: Asked, wish: HashWish, line: _Line, found: ChainSurvey, talk: Talk, *, as_json: bool) -> Exit:
    assert asked.kind is not None
    port = await line.open()
    bare = wish.bare
    own = f", {len(bare.own_mhz)} chips at clocks of their own," if bare.own_mhz else ""
    talk.say(
        f"hashing at {bare.frequency_mhz:g} MHz{own} for {bare.seconds:g} s on the supply {wish.supply!r}: its volts "
        "and the heat of the chips are unknown. Stay with its switch",
        "warn",
    )
    name = f"{asked.chips} x {asked.kind.name}" if asked.board is None else asked.board.name
    outcome = await hash_on(port, name, asked.kind, asked.chips, asked.board, wish, talk)
    try:
        if as_json:
            hashing = hash_object(asked.board, wish, outcome, watched=asked.port is not None)
            print(json.dumps({**chain_object(asked, found), "hashing": hashing}), flush=True)
        else:
            print("\n" + facts(list(hash_rows(asked.board, wish, outcome))), flush=True)
    finally:
        code = verdict(outcome, talk)
    return code


def asked_of(arguments: Namespace) -> Asked:
    """Raises `UsageError` naming option, value and what is allowed."""
    baud = RESET_BAUD if arguments.baud is None else _whole(arguments.baud, "--baud", *_BAUD_LIMITS)
    if arguments.emulate is not None:
        for option in ("board", "chips", "chip"):
            if getattr(arguments, option) is not None:
                allowed = "only with --port; --emulate names its board itself"
                raise UsageError(f"--{option}", getattr(arguments, option), allowed)
        board = known_hashboard(arguments.emulate, "--emulate")
        return Asked(None, board, board.chips, ASICS[board.chip], baud)
    _refuse_control_ports(arguments.port)
    if arguments.board is not None:
        if arguments.chip is not None:
            raise UsageError("--chip", arguments.chip, "only with --chips; --board names its chip itself")
        board = known_hashboard(arguments.board, "--board")
        return Asked(arguments.port, board, board.chips, ASICS[board.chip], baud)
    if arguments.chips is None:
        raise UsageError("--board", None, f"one of {', '.join(sorted(HASHBOARDS))}; or --chips N")
    if arguments.chip is not None and arguments.chip not in ASICS:
        raise UnknownPart("--chip", arguments.chip, one_of(ASICS, arguments.chip))
    kind = None if arguments.chip is None else ASICS[arguments.chip]
    return Asked(arguments.port, None, _whole(arguments.chips, "--chips", 1, MOST_CHIPS), kind, baud)


def _whole(text: str, key: str, low: int, high: int) -> int:
    if re.fullmatch(r"\s*\d{1,9}\s*", text, re.ASCII) and low <= int(text) <= high:
        return int(text)
    raise UsageError(key, text, f"a whole number from {low} to {high}")


def _refuse_control_ports(path: str) -> None:
    """Frames of chips mean something else to a bridge, and would be answered by nobody."""
    real = os.path.realpath(path)
    control = {os.path.realpath(board.control): board.data for board in discover() if board.control is not None}
    emulator = emulator_behind(path)
    if emulator is not None:
        control[real] = emulator.data
    if real in control:
        data = control[real] or "its other port"
        raise UsageError(
            "--port", path, f"the port of the chips; this is the control port of a bridge, they are at {data}"
        )


class _Line:
    """The port that is meant, opened as often as somebody needs it; an emulated board is one board all the time."""

    def __init__(self, asked: Asked, dilution: int) -> None:
        self._asked, self._dilution = asked, dilution
        self._emulated: MemoryPort | None = None

    async def open(self) -> Transport:
        asked = self._asked
        if asked.port is not None:
            return await open_serial(asked.port, asked.baud)
        assert asked.board is not None
        host, wire = memory_pair(f"emulated {asked.board.name}")
        if self._emulated is None:
            self._emulated = MemoryPort(HashBoard(BENCHES[asked.board.name], dilution=self._dilution).data, wire)
        else:
            self._emulated.hang_up()
            self._emulated.replug(wire)
        return host


# --- what was found ---------------------------------------------------------------------------------------------------


def chain_object(asked: Asked, found: ChainSurvey) -> dict[str, Any]:
    """The object that `--json` prints, in the order of docs/cli.md."""
    board = asked.board
    return {
        "schema": SCHEMA,
        "board": None if board is None else board.name,
        "port": asked.port,
        "emulated": asked.port is None,
        "baud": found.baud,
        "whole": not found.faults,
        "expected_chips": found.expected_chips,
        "expected_kind": None if asked.kind is None else asked.kind.name,
        "answering": len(found.answering),
        "missing": list(found.in_state(ChipState.MISSING)),
        "unstable": list(found.in_state(ChipState.UNSTABLE)),
        "extra": list(found.extra),
        "kinds": {name: len(positions) for name, positions in found.kinds.items()},
        "counts": list(found.counts),
        "chips": [
            {
                "position": chip.position,
                "domain": None if board is None or chip.position >= board.chips else board.domain_of(chip.position),
                "address": chip.address,
                "kinds": [kind_name(chip_id) for chip_id in chip.chip_ids],
                "state": chip.state.value,
                "broadcasts": list(chip.broadcasts),
                "reads": list(chip.reads),
            }
            for chip in found.chips
        ],
        "strangers": list(found.strangers),
        "short_replies": found.short_replies,
        "nonces": found.nonces,
        "noise_bytes": found.noise_bytes,
        "faults": list(found.faults),
        "remarks": list(found.remarks),
        "doubt": board.doubt or None if board is not None else None,
        "sent": dict(found.sent),
        "elapsed_s": round(found.elapsed_s, 3),
        "can_cut_power": False,
        "hashing": None,
    }


def chain_text(asked: Asked, found: ChainSurvey) -> str:
    """The same for people: a line a fact, within 80 columns."""
    return facts(list(_rows(asked, found)))


def _rows(asked: Asked, found: ChainSurvey) -> Iterator[tuple[str, str]]:
    board = asked.board
    if board is not None:
        yield "board", f"{board.title}, {board.chips} x {board.chip} in {board.domains} domains"
        if board.doubt:
            yield "", f"unverified: {board.doubt}"
    yield "port", f"{asked.port or 'emulated, in memory'}, {found.baud} baud"
    yield "chips", f"{len(found.answering)} of {found.expected_chips} answer" + ("" if found.faults else ": whole")
    kinds = (f"{len(positions)} x {name}" for name, positions in found.kinds.items())
    yield "kinds", ", ".join(kinds) or "none told"
    addresses = [chip.address for chip in found.chips]
    apart = f", {addresses[1] - addresses[0]:02x} apart" if len(addresses) > 1 else ""
    yield "addresses", f"{addresses[0]:02x} to {addresses[-1]:02x}{apart}" if apart else f"{addresses[0]:02x}"
    short = found.short_replies
    yield "replies", f"{SHORT_REPLY_BYTES} bytes, {short} of the last" if short else f"{LONG_REPLY_BYTES} bytes"
    for state in (ChipState.MISSING, ChipState.UNSTABLE):
        positions = found.in_state(state)
        if positions:
            yield state.value, f"{chips_named(positions)}, counted from 0 at the host"
    if board is not None:
        missing = found.in_state(ChipState.MISSING)
        yield from domain_rows(
            board, {*missing, *found.in_state(ChipState.UNSTABLE)}, missing, "all are missing: is its voltage there?"
        )
    yield from (("FAULT", fault) for fault in found.faults)
    yield from (("remark", remark) for remark in found.remarks)
    sent = ", ".join(f"{count} x {what}" for what, count in found.sent)
    yield "sent", f"{sent}. No clock, no voltage, no sweep window, no job, no other register"
    yield "took", f"{found.elapsed_s:.1f} s"
    yield "power", NO_SWITCH
