"""The host lease of bonanza-bridge, the firmware of Bonanza boards: page 00, reply dialect B.

No public board offers it to a host computer (the firmware sits behind another MCU), so this is proven on the emulator
alone. Facts: bitaxeorg/bonanza-bridge-fw src/safety.rs, docs/safety-interlock.md; docs/wire/host-lease.md.
"""

from __future__ import annotations

from typing import Final

from drivers.bridges.bitaxe_raw import BitaxeRawBridge
from drivers.bridges.lease import LeaseFault, LeaseStatus
from drivers.codecs import bridge_system
from drivers.codecs.bitaxe_raw import Request
from drivers.codecs.bridge_system import Fault, FirmwareInfo, RxLoss, SafetyStatus, Stage, State
from drivers.errors import NoReply, UnexpectedReply, VerifyError

LEASE_S: Final = 2.0
PROTOCOL_MAJOR: Final = 1
TIMEOUT_S: Final = 0.15
"""Longest wait for one answer: the firmware gives up writing one after 100 ms."""
_FAULTS: Final = {Fault.LEASE_EXPIRED: LeaseFault.EXPIRED, Fault.ASIC_TRIP: LeaseFault.TRIPPED}
_TRIES: Final = 2


class BridgePage:
    """What page 00 tells, of every firmware that has it. Changes nothing. `NotInFirmware` where it is not."""

    def __init__(self, bridge: BitaxeRawBridge) -> None:
        self._bridge = bridge

    async def _told(self, request: Request, what: str) -> bytes:
        what = f"{what} of {self._bridge.name}"
        return await self._bridge.ask(request, what, changes=False, timeout_s=TIMEOUT_S)

    async def firmware(self) -> FirmwareInfo:
        """Who the firmware is. `UnexpectedReply` for a protocol that is not 1.x."""
        info = FirmwareInfo.decode(await self._told(bridge_system.info(), "info (page 00)"))
        if info.major != PROTOCOL_MAJOR:
            raise UnexpectedReply(f"{self._bridge.name}: protocol {info.major}.{info.minor}, where 1.x is known")
        return info

    async def safety(self) -> SafetyStatus:
        """The whole status, as the firmware words it."""
        return SafetyStatus.decode(await self._told(bridge_system.status(), "safety status (page 00)"))

    async def rx_loss(self) -> RxLoss:
        """How often bytes of the chips were lost since the firmware started."""
        return RxLoss.decode(await self._told(bridge_system.rx_loss(), "loss counters (page 00)"))


class BonanzaLease(BridgePage):
    """A `HostLease` over a bridge in dialect B. Sends nothing by itself."""

    lease_s = LEASE_S

    async def status(self) -> LeaseStatus:
        return _of(await self.safety())

    async def arm(self) -> LeaseStatus:
        """`VerifyError` when the firmware does not end armed with its outputs safe."""
        status = await self._ask(bridge_system.arm(), "arm the lease")
        if not status.armed or not status.outputs_safe:
            raise VerifyError("host lease", "armed, outputs safe", status.detail)
        return status

    async def heartbeat(self) -> LeaseStatus:
        return await self._ask(bridge_system.heartbeat(), "heartbeat")

    async def disarm(self) -> LeaseStatus:
        """`VerifyError` when the firmware still calls itself armed, or its outputs unsafe."""
        status = await self._repeat(bridge_system.disarm(), "disarm the lease")
        if status.armed or not status.outputs_safe:
            raise VerifyError("host lease", "disarmed, outputs safe", status.detail)
        return status

    async def clear(self) -> LeaseStatus:
        """`VerifyError` when a fault is still latched; `BridgeRefused` while the trip line is active."""
        status = await self._repeat(bridge_system.clear_fault(), "clear the fault of the bridge")
        if status.fault is not None:
            raise VerifyError("fault of the bridge", "cleared", status.detail)
        return status

    async def _ask(self, request: Request, what: str) -> LeaseStatus:
        payload = await self._bridge.request(request, f"{what} ({self._bridge.name})", timeout_s=TIMEOUT_S)
        return _of(SafetyStatus.decode(payload))

    async def _repeat(self, request: Request, what: str) -> LeaseStatus:
        """For what does no harm twice, while it stays unanswered."""
        for _ in range(_TRIES - 1):
            try:
                return await self._ask(request, what)
            except NoReply:
                continue
        return await self._ask(request, what)


def safety_text(status: SafetyStatus) -> str:
    """The status in words."""
    words = [status.state.name.lower().replace("_", " ")]
    if status.fault is not Fault.NONE:
        words.append(status.fault.name.lower().replace("_", " "))
    if status.tripped:
        words.append("trip input active")
    outputs = "5 V on" if status.five_volt_on else "5 V off"
    outputs += ", reset asserted" if status.reset_asserted else ", reset released"
    words += [f"{status.lease_left_ms} ms left", outputs, f"fan at {status.fan_percent} %"]
    return ", ".join(words)


def _of(status: SafetyStatus) -> LeaseStatus:
    armed = status.state is State.CONTROLLED and status.stage is not Stage.BOOT_SAFE and status.lease_left_ms > 0
    left_s, fault = status.lease_left_ms / 1000, _FAULTS.get(status.fault)
    return LeaseStatus(armed, left_s, fault, status.outputs_safe, safety_text(status))
