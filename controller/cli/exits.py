"""Exit codes: a contract with scripts, listed in docs/cli.md."""

from __future__ import annotations

import sys
from collections.abc import Callable
from enum import IntEnum
from typing import NoReturn

from drivers.errors import (
    HashbridgeError,
    Latched,
    PortBusy,
    PortMissing,
    ProtocolError,
    Refused,
    TransportError,
    UsageError,
)


class Exit(IntEnum):
    OK = 0
    FAILED = 1
    """The operation failed: the device said no, a check did not hold, a safe-off was not confirmed."""
    USAGE = 2
    """A usage or configuration error."""
    NOT_FOUND = 3
    """No such device, rig or file, or no permission."""
    BUSY = 4
    """Another program holds the device."""
    LINK = 5
    """Timeout, protocol error or link lost."""
    REFUSED = 6
    """Refused by a guard-rail; nothing was sent."""
    TRIPPED = 7
    """A safety trip happened; the safe state was reached."""
    INTEGRITY = 8
    """A signature, hash chain or checksum does not hold."""
    INTERRUPTED = 130
    """Ctrl+C; the board was made safe first."""


_BY_ERROR: tuple[tuple[type[BaseException], Exit], ...] = (
    (UsageError, Exit.USAGE),
    (PortMissing, Exit.NOT_FOUND),
    (PortBusy, Exit.BUSY),
    (TransportError, Exit.LINK),
    (ProtocolError, Exit.LINK),
    (Refused, Exit.REFUSED),
    (Latched, Exit.TRIPPED),
    (HashbridgeError, Exit.FAILED),
    (FileNotFoundError, Exit.NOT_FOUND),
    (PermissionError, Exit.NOT_FOUND),
    (TimeoutError, Exit.LINK),
    (ConnectionError, Exit.LINK),
    (OSError, Exit.FAILED),
)
"""Most special first: the first row whose class fits decides."""


def exit_for(error: BaseException) -> Exit:
    """The exit code of an error that ended a verb."""
    for kind, code in _BY_ERROR:
        if isinstance(error, kind):
            return code
    return Exit.FAILED


_WHAT = {
    Exit.USAGE: "usage",
    Exit.NOT_FOUND: "not found",
    Exit.BUSY: "busy",
    Exit.LINK: "link",
    Exit.REFUSED: "refused",
    Exit.TRIPPED: "tripped",
}


def explain(error: BaseException) -> str:
    """One line for a person: what kind of trouble, then the error's own words, then where it was (its notes)."""
    what = _WHAT.get(exit_for(error), "failed")
    notes = "".join(f"\n  {note}" for note in getattr(error, "__notes__", ()))
    return f"hashbridge: {what}: {str(error) or type(error).__name__}{notes}"


def script(main: Callable[[], int]) -> NoReturn:
    """Run a program of its own, and end it as a verb ends: an error is one line and its exit code."""
    try:
        code = main()
    except KeyboardInterrupt:
        code = Exit.INTERRUPTED
    except (HashbridgeError, OSError) as error:
        sys.stderr.write(f"{explain(error)}\n")
        code = exit_for(error)
    sys.exit(code)
