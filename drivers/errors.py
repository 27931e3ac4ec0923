"""Everything that can go wrong, sorted by what the caller should do about it.

| class            | meaning                       | what to do                                                 |
|------------------|-------------------------------|------------------------------------------------------------|
| `UsageError`     | we asked for nonsense         | do not retry, fix the caller                               |
| `TransportError` | bytes cannot move             | reopen; the board is lost                                  |
| `ProtocolError`  | the far side broke the rules  | count; retry a read, never a write that moves something    |
| `DeviceError`    | the far side said no          | report; the guard may latch                                |
| `SafetyError`    | the guard said no             | tell the person why                                        |

Errors carry fields, not only text, so that they cross a socket and come out whole.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HashbridgeError(Exception):
    """Root of all errors of this project."""


class UsageError(HashbridgeError, ValueError):
    """A request that can never be right: names the key, the value and what is allowed."""

    def __init__(self, key: str, value: object, allowed: str) -> None:
        missing = value is None
        super().__init__(
            f"{key} is missing; needed: {allowed}"
            if missing
            else f"{key}: {value!r} is not allowed; allowed: {allowed}"
        )
        self.key, self.value, self.allowed = key, value, allowed


def one_of(names: Iterable[str], meant: object = None) -> str:
    """What `UsageError` says is allowed, and which of them may have been meant by a wrong one."""
    known = list(names)
    near = difflib.get_close_matches(meant, known, n=1) if isinstance(meant, str) else []
    return f"one of {', '.join(known)}{f'; did you mean {near[0]}?' if near else ''}"


class LimitError(UsageError):
    """A quantity outside the absolute limits of a part. Nothing was written."""


class UnknownPart(UsageError):
    """A part, chip, board or register that this project does not know."""


class TransportError(HashbridgeError):
    """Bytes cannot move."""


class Unplugged(TransportError):
    """The port is gone: unplug, end of file or an I/O error, all in one."""

    def __init__(self, port: str, why: str) -> None:
        super().__init__(f"{port}: {why}")
        self.port, self.why = port, why


class PortBusy(TransportError):
    """Another program holds the port."""

    def __init__(self, port: str) -> None:
        super().__init__(f"{port}: held by another program")
        self.port = port


class PortMissing(TransportError):
    """There is no such port, or no permission to open it."""

    def __init__(self, port: str, why: str) -> None:
        super().__init__(f"{port}: {why}")
        self.port, self.why = port, why


class ProtocolError(HashbridgeError):
    """The far side broke the rules of its protocol."""


class UnexpectedReply(ProtocolError):
    """An answer that does not belong to the question."""


class NoReply(ProtocolError, TimeoutError):
    """A question that stayed unanswered."""

    def __init__(self, what: str, waited_s: float) -> None:
        super().__init__(f"no reply to {what} within {waited_s:.3f} s")
        self.what, self.waited_s = what, waited_s


class DeviceError(HashbridgeError):
    """The far side said no."""


class BridgeRefused(DeviceError):
    """The bridge firmware answered with an error code (bridge.md 4: 10 timeout, 11 invalid, 12 too long, FF text)."""

    def __init__(self, what: str, code: int, text: str = "") -> None:
        super().__init__(f"bridge refused {what}: code {code:#04x}{' ' + text if text else ''}")
        self.what, self.code, self.text = what, code, text


class NotInFirmware(BridgeRefused):
    """The bridge firmware does not know the pin, channel or page: it is older, or another."""

    def __init__(self, what: str, code: int) -> None:
        super().__init__(what, code, "not understood: this firmware does not have it")


class Nack(DeviceError):
    """An I2C transfer failed. Absent device and stuck bus look alike through the bridge."""

    def __init__(self, address: int, text: str) -> None:
        super().__init__(f"I2C {address:#04x}: {text}")
        self.address, self.text = address, text


class VerifyError(DeviceError):
    """A value read back is not the value written."""

    def __init__(self, what: str, wanted: object, found: object) -> None:
        super().__init__(f"{what}: wrote {wanted!r}, read back {found!r}")
        self.what, self.wanted, self.found = what, wanted, found


class SafetyError(HashbridgeError):
    """The guard said no."""


class Refused(SafetyError):
    """A command that the guard does not allow. Nothing was sent to the board."""

    def __init__(self, rule: str, reason: str) -> None:
        super().__init__(f"{rule}: {reason}")
        self.rule, self.reason = rule, reason


class Latched(SafetyError):
    """The board is latched by a fault; a person has to clear it."""

    def __init__(self, cause: str, detail: str) -> None:
        super().__init__(f"{cause}: {detail}")
        self.cause, self.detail = cause, detail
