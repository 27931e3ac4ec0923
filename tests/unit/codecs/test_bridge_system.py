"""Page 00: each field of the published safety status, and what must not pass for one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from drivers.codecs.bridge_system import (
    Capability,
    Evidence,
    Fault,
    FirmwareInfo,
    ProductionVerdict,
    RuntimeVerdict,
    RxLoss,
    SafetyStatus,
    Stage,
    State,
)
from drivers.errors import UnexpectedReply, UsageError
from tests.vectors import frame, rows

BUILT_IN = Capability.FIVE_VOLT | Capability.RESET | Capability.FAN_FULL | Capability.TRIP_SAMPLED
OFF = SafetyStatus(
    stage=Stage.TRIP_LATCH,
    state=State.SAFE_OFF,
    fault=Fault.NONE,
    runtime=RuntimeVerdict.GOOD_OFF,
    production=ProductionVerdict.CAPABILITY_GAP,
    capabilities=BUILT_IN,
    evidence=Evidence.OUTPUTS_SAFE | Evidence.TRIP_CLEAR | Evidence.FAULT_CLEAR,
    lease_left_ms=0,
    five_volt_on=False,
    reset_asserted=True,
    fan_percent=100,
    tripped=False,
)
CONTROLLED = replace(
    OFF,
    state=State.CONTROLLED,
    runtime=RuntimeVerdict.GOOD_CONTROLLED,
    evidence=Evidence.LEASE_VALID | Evidence.TRIP_CLEAR | Evidence.FAULT_CLEAR,
    lease_left_ms=1750,
    reset_asserted=False,
)
EXPIRED = replace(
    OFF,
    state=State.FAULT_LATCHED,
    fault=Fault.LEASE_EXPIRED,
    runtime=RuntimeVerdict.FAULT,
    production=ProductionVerdict.RUNTIME,
    evidence=Evidence.OUTPUTS_SAFE | Evidence.TRIP_CLEAR,
)


def published(name: str) -> bytes:
    return frame(next(row for row in rows("bridge", "reply") if row["name"] == name))[3:]


def changed(byte: int, value: int, status: SafetyStatus = OFF) -> bytes:
    payload = bytearray(status.encode())
    payload[byte] = value
    return bytes(payload)


@pytest.mark.parametrize(
    ("name", "status"),
    [("b.status.reply.B", OFF), ("b.status.controlled.reply.B", CONTROLLED)],
    ids=lambda one: str(one),
)
def test_a_published_status_is_read_and_written_field_by_field(name: str, status: SafetyStatus) -> None:
    assert SafetyStatus.decode(published(name)) == status
    assert status.encode() == published(name)


def test_an_expired_lease_is_a_latched_fault_with_safe_outputs() -> None:
    payload = bytes.fromhex("01 02 02 01 80 82 0F 00 05 00 00 00 00 00 06 64 00")
    assert SafetyStatus.decode(payload) == EXPIRED
    assert EXPIRED.outputs_safe
    assert not CONTROLLED.outputs_safe


def test_each_number_has_its_own_bytes_low_first() -> None:
    status = replace(
        OFF,
        stage=Stage.LEASE,
        capabilities=Capability(0x0123),
        evidence=Evidence(0x4567),
        lease_left_ms=0x01020304,
        five_volt_on=True,
        fan_percent=37,
        tripped=True,
    )
    payload = status.encode()
    assert payload.hex(" ") == "01 01 00 00 00 81 23 01 67 45 04 03 02 01 03 25 01"
    assert SafetyStatus.decode(payload) == status


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (changed(0, 0), "schema 0"),
        (changed(0, 2), "schema 2"),
        (OFF.encode()[:-1], "16 bytes"),
        (OFF.encode() + b"\x00", "18 bytes"),
        (b"", "0 bytes"),
        (changed(1, 3), "Stage 0x03"),
        (changed(2, 3), "State 0x03"),
        (changed(3, 3), "Fault 0x03"),
        (changed(4, 2), "RuntimeVerdict 0x02"),
        (changed(5, 1), "ProductionVerdict 0x01"),
        (changed(14, 0x0E), "output flags 0x0e"),
        (changed(14, 0x02), "fan at 100 % with output flags 0x02"),
        (changed(15, 99), "fan at 99 % with output flags 0x06"),
        (changed(15, 101), "fan at 101 %"),
        (changed(16, 2), "trip input 2"),
    ],
)
def test_a_status_that_is_not_understood_is_refused(payload: bytes, says: str) -> None:
    with pytest.raises(UnexpectedReply, match=says):
        SafetyStatus.decode(payload)


def test_the_published_info_and_loss_counters_are_read_and_written() -> None:
    info, loss = published("b.info.reply.B"), published("b.rxstats.reply.B")
    assert FirmwareInfo.decode(info) == FirmwareInfo(1, 0, "1.2.3")
    assert FirmwareInfo(1, 0, "1.2.3").encode() == info
    assert RxLoss.decode(loss) == RxLoss(0, 0)
    assert RxLoss.decode(bytes.fromhex("01 04 03 02 01 08 07 06 05")) == RxLoss(0x01020304, 0x05060708)
    assert RxLoss(0x01020304, 0x05060708).encode() == bytes.fromhex("01 04 03 02 01 08 07 06 05")


@pytest.mark.parametrize(
    "payload",
    ["", "01 01 00", "01 01 00 00", "02 01 00 01 31", "01 01 00 02 31", "01 01 00 01 31 32", "01 01 00 01 0A"],
)
def test_an_info_that_is_not_understood_is_refused(payload: str) -> None:
    with pytest.raises(UnexpectedReply, match="bridge info"):
        FirmwareInfo.decode(bytes.fromhex(payload))


def test_loss_counters_that_are_not_understood_are_refused() -> None:
    for payload in (bytes(8), bytes(9), b"\x02" + bytes(8)):
        with pytest.raises(UnexpectedReply, match="loss counters"):
            RxLoss.decode(payload)


@pytest.mark.parametrize("version", ["", "v" * 64])
def test_a_version_that_does_not_fit_is_not_written(version: str) -> None:
    with pytest.raises(UsageError, match="version"):
        FirmwareInfo(1, 0, version).encode()
