"""Safe-off of a Bitaxe, once: for the board to carry out, and as bytes for the sentinel.

Reset asserted, rail off, fan full, each tried whatever became of the one before; then each is read back. Reset comes
first because a GPIO request cannot hang on a stuck I2C bus (docs/safety.md, "Ordering"). All writes may be repeated.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import Final

from drivers.boards.board import ActionOutcome, RecipeAction
from drivers.boards.cooling import FanBytes
from drivers.boards.rails import RAIL_OFF, RailBytes, RailDecay
from drivers.bridges.bitaxe_raw import BitaxeRawBridge
from drivers.codecs import bitaxe_raw
from drivers.codecs.bitaxe_raw import Request
from drivers.codecs.dialects import device_codec, host_codec
from drivers.errors import DeviceError, ProtocolError, TransportError, Unplugged

RESET, RAIL, FAN, IO = "reset asserted", RAIL_OFF, "fan full", "IO rail off"
"""The outcomes of a safe-off, in its order; a rail that cannot be switched off has another (`RailBytes`), and what a
board has not, no fan or no switch for its IO rail, is not among them."""

_TIMEOUT_S: Final = 0.15
_TRIES: Final = 2
_DECAY_S: Final = 0.5
_POLL_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Wiring:
    """How the bridge of a board is wired to it."""

    firmware: str = "bitaxe-raw"
    dialect: str = "A"
    reset_pin: int = 0
    rail_pin: int | None = None
    """A pin of the bridge that drives the EN pin of the regulator, high is on; None: nobody drives it."""
    io_pin: int | None = None
    """A pin of the bridge that switches the supply of the chips' IO, high is on; None: it is always on."""


@dataclass(frozen=True, slots=True)
class Move:
    """One write. `payload`: what the bridge answers when it was carried out."""

    outcome: str
    request: Request
    payload: bytes


@dataclass(frozen=True, slots=True)
class Proof:
    """One read-back: the payload, under `mask`, shows that the actuator is where it should be."""

    outcome: str
    what: str
    request: Request
    payload: bytes
    mask: bytes
    pause_s: float = 0.0
    """For the sentinel, behind this read: the rail needs time to decay before its voltage is read."""

    def holds(self, payload: bytes) -> bool:
        pairs = zip(payload, self.payload, self.mask, strict=False)
        return len(payload) == len(self.payload) and all((a ^ b) & m == 0 for a, b, m in pairs)


_TWO_WRITTEN: Final = b"\x02"


class SafeOff:
    """The moves and proofs of one board, in order."""

    def __init__(self, wiring: Wiring, rail: RailBytes, fan: FanBytes | None) -> None:
        reset, rail_pin, io_pin = wiring.reset_pin, wiring.rail_pin, wiring.io_pin
        self.dialect = wiring.dialect
        self.outcomes = (RESET, rail.outcome, *((FAN,) if fan else ()), *((IO,) if io_pin is not None else ()))
        moves = [Move(RESET, bitaxe_raw.gpio_set(reset, False), b"\x00")]
        proofs = [Proof(RESET, "reset latch", bitaxe_raw.gpio_get(reset), b"\x00", b"\xff")]
        if rail_pin is not None:
            moves.append(Move(rail.outcome, bitaxe_raw.gpio_set(rail_pin, False), b"\x00"))
            proofs.append(Proof(rail.outcome, "rail pin", bitaxe_raw.gpio_get(rail_pin), b"\x00", b"\xff"))
        moves += [Move(rail.outcome, bitaxe_raw.i2c_write(rail.address, data), _TWO_WRITTEN) for data in rail.moves]
        if fan is not None:
            moves += [
                Move(FAN, bitaxe_raw.i2c_write(fan.address, bytes([register, value])), _TWO_WRITTEN)
                for register, value in fan.full
            ]
        # In dialect B one byte may look like an error: a second is read, and may be anything.
        count = 2 if wiring.dialect == "B" else 1
        rest = bytes(count - 1)
        for proof in rail.proofs:
            request = bitaxe_raw.i2c_write_read(rail.address, bytes([proof.register]), count)
            proofs.append(Proof(rail.outcome, proof.what, request, proof.value + rest, proof.mask + rest))
        if fan is not None:
            for what, register, value, mask in fan.proofs:
                request = bitaxe_raw.i2c_write_read(fan.address, bytes([register]), count)
                proofs.append(Proof(FAN, what, request, bytes([value]) + rest, bytes([mask]) + rest))
        if io_pin is not None:
            moves.append(Move(IO, bitaxe_raw.gpio_set(io_pin, False), b"\x00"))
            proofs.append(Proof(IO, "IO pin", bitaxe_raw.gpio_get(io_pin), b"\x00", b"\xff"))
        if rail.decay is not None:
            proofs[-1] = replace(proofs[-1], pause_s=0.1)
        self.moves, self.proofs = tuple(moves), tuple(proofs)
        self.rail, self.decay, self.decayed = rail.outcome, rail.decay, None
        if rail.decay is not None:
            down = rail.decay.proof
            if rail.decay.by_adc:
                request = bitaxe_raw.adc_read(down.register)
            else:
                request = bitaxe_raw.i2c_write_read(rail.address, bytes([down.register]), len(down.value))
            self.decayed = Proof(rail.outcome, down.what, request, down.value, down.mask)

    def recipe(self) -> tuple[RecipeAction, ...]:
        """The same as whole frames, ids zero. Each read-back has an outcome of its own: all must hold."""
        host, device = host_codec(self.dialect), device_codec(self.dialect)
        actions = []
        for move in self.moves:
            reply = device.encode_reply(0, move.payload)
            actions.append(RecipeAction(move.outcome, host.encode(move.request, 0), reply, b"\xff" * len(reply)))
        spoken_for: set[str] = set()
        for proof in (*self.proofs, *((self.decayed,) if self.decayed is not None else ())):
            name = f"{proof.outcome}: {proof.what}"
            confirms = name if proof.outcome in spoken_for else proof.outcome
            spoken_for.add(proof.outcome)
            request, reply = host.encode(proof.request, 0), device.encode_reply(0, proof.payload)
            mask = proof.mask.rjust(len(reply), b"\xff")  # in front of the payload all is certain, in every dialect
            actions.append(RecipeAction(name, request, reply, mask, proof.pause_s, confirms))
        return tuple(actions)


@dataclass(slots=True)
class _Account:
    """What became of one actuator."""

    sent: bool = True
    confirmed: bool = True
    details: list[str] = field(default_factory=list)

    def failed(self, what: str) -> None:
        if what not in self.details:
            self.details.append(what)


async def make_safe(bridge: BitaxeRawBridge, plan: SafeOff) -> tuple[ActionOutcome, ...]:
    """Carry it out and read it back. Tries everything, never raises, may run again. About 10 ms when all answers."""
    accounts = {outcome: _Account() for outcome in plan.outcomes}
    for move in plan.moves:
        account = accounts[move.outcome]
        payload = await _ask(bridge, move.request, move.outcome, account, _TRIES)
        if payload != move.payload:
            account.sent = False
            if payload is not None:
                account.failed(f"the bridge answers {payload.hex()}")
    # A port that answered no write is asked once more for each proof, not twice: a rig waits for this report.
    tries = _TRIES if any(account.sent for account in accounts.values()) else 1
    for proof in plan.proofs:
        account = accounts[proof.outcome]
        payload = await _ask(bridge, proof.request, proof.what, account, tries)
        if payload is None or not proof.holds(payload):
            account.confirmed = False
            if payload is not None:
                account.failed(f"{proof.what} reads {payload.hex()}")
    if plan.decay is not None and plan.decayed is not None:
        await _await_rail_down(bridge, plan.decay, plan.decayed, accounts[plan.rail], tries)
    return tuple(
        ActionOutcome(outcome, account.sent, account.confirmed, "; ".join(account.details))
        for outcome, account in accounts.items()
    )


async def _ask(bridge: BitaxeRawBridge, request: Request, what: str, account: _Account, tries: int) -> bytes | None:
    """The payload, or None when it was refused or not answered each time."""
    why = ""
    for _ in range(tries):
        try:
            return await bridge.request(request, what, timeout_s=_TIMEOUT_S)
        except Unplugged as error:
            account.failed(str(error))
            return None
        except (TransportError, DeviceError, ProtocolError) as error:
            why = str(error)
    account.failed(why)
    return None


async def _await_rail_down(
    bridge: BitaxeRawBridge, decay: RailDecay, proof: Proof, account: _Account, tries: int
) -> None:
    """The rail decays in milliseconds under load; without one it may take longer."""
    loop = asyncio.get_running_loop()
    give_up_s = loop.time() + _DECAY_S
    while True:
        payload = await _ask(bridge, proof.request, proof.what, account, tries)
        if payload is None or len(payload) != len(proof.payload):
            account.confirmed = False
            return
        rail_v = decay.volts(payload)
        if rail_v < decay.below_v:
            account.details.append(f"{rail_v:.3f} V")
            return
        if loop.time() >= give_up_s:
            account.confirmed = False
            account.failed(f"the rail still reads {rail_v:.3f} V after {_DECAY_S:g} s")
            return
        await asyncio.sleep(_POLL_S)
