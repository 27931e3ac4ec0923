"""The reply dialects of the bridge firmwares by name: A, B and C."""

from __future__ import annotations

from typing import Final

from drivers.codecs import bitaxe_raw, dialect_b, dialect_c
from drivers.errors import UsageError

AnyHostCodec = bitaxe_raw.HostCodec | dialect_b.HostCodec | dialect_c.HostCodec
AnyDeviceCodec = bitaxe_raw.DeviceCodec | dialect_b.DeviceCodec | dialect_c.DeviceCodec

DIALECTS: Final = ("A", "B", "C")

_HOST: Final[dict[str, type[AnyHostCodec]]] = {
    "A": bitaxe_raw.HostCodec,
    "B": dialect_b.HostCodec,
    "C": dialect_c.HostCodec,
}
_DEVICE: Final[dict[str, type[AnyDeviceCodec]]] = {
    "A": bitaxe_raw.DeviceCodec,
    "B": dialect_b.DeviceCodec,
    "C": dialect_c.DeviceCodec,
}


def host_codec(dialect: str) -> AnyHostCodec:
    """A new codec for the host's end. `UsageError` for a dialect that is not known."""
    return _HOST[_known(dialect)]()


def device_codec(dialect: str) -> AnyDeviceCodec:
    """A new codec for the firmware's end. `UsageError` for a dialect that is not known."""
    return _DEVICE[_known(dialect)]()


def _known(dialect: str) -> str:
    if dialect not in DIALECTS:
        raise UsageError("dialect", dialect, ", ".join(DIALECTS))
    return dialect
