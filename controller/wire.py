"""What a rig process and its clients say to each other: one JSON object a line, UTF-8, version `rig/1`.

```
rig    {"hashbridge":"rig/1","pid":4711,"boards":[{"name":"gamma","envelope":{...}, ...}]}          always first
client {"hello":"rig/1","role":"viewer"}                     always first; "owner" only on the socket of the starter
client {"id":1,"request":{"board":"gamma","command":{"kind":"power_up","frequency_mhz":525.0}}}
rig    {"id":1,"ok":true}                                    when the command is done
rig    {"id":1,"error":{"type":"Refused","fields":{"rule":"envelope","reason":"..."},"message":"..."}}
rig    {"event":{"kind":"state_changed","seq":7, ...}}       all since the rig began, in order, none left out
rig    {"snapshot":{"schema":"hashbridge.snapshot/1", ...}}  the newest; what a slow client missed is not repeated
client {"shutdown":{"reason":"..."}}                         owner only: safe-off, then the rig ends
rig    {"goodbye":{"reason":"...","safe_off":{"gamma":{...}}}}  last line of a rig that ends in order
rig    {"error":{...}}                                       no id: what came was no message; the connection closes
```

Errors of `drivers.errors` cross as themselves: same class, same fields, same text.
"""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from controller.model import BoardInfo as BoardInfo
from controller.model import Command, Event, Model, OperatorLimits, SafeOffRecord, Snapshot
from drivers import errors
from drivers.errors import HashbridgeError, ProtocolError, UnexpectedReply

VERSION = "rig/1"
CLIENT_LINE_BYTES = 64 * 1024
RIG_LINE_BYTES = 8 * 1024 * 1024

Scalar = None | bool | int | float | str
_Message = TypeVar("_Message", bound=Model)


class Greeting(Model):
    hashbridge: str
    pid: int
    boards: tuple[BoardInfo, ...]


class Hello(Model):
    hello: str
    role: Literal["viewer", "owner"] = "viewer"


class RequestBody(Model):
    board: str
    command: Command


class Request(Model):
    id: int
    request: RequestBody


class ShutdownBody(Model):
    reason: str = "requested"


class Shutdown(Model):
    shutdown: ShutdownBody


class WireError(Model):
    type: str
    fields: Mapping[str, Scalar]
    message: str


class Done(Model):
    id: int
    ok: Literal[True]


class Failed(Model):
    """`id` is None when the connection, not a request, has failed."""

    id: int | None = None
    error: WireError


class EventLine(Model):
    event: Event


class SnapshotLine(Model):
    snapshot: Snapshot


class GoodbyeBody(Model):
    reason: str
    safe_off: Mapping[str, SafeOffRecord]


class Goodbye(Model):
    goodbye: GoodbyeBody


class BoardConfig(Model):
    """One board that a rig process is to open. `kind` is a row of BOARDS; `control` and `data` are paths of ports."""

    name: str
    kind: str
    control: str
    data: str
    emulated: bool = False
    dilution: int = Field(default=1, ge=1)
    seed: int | None = None
    dialect: str | None = None
    """In which its bridge answers, as its USB descriptor says; None: as most of its kind do."""
    control_tap: str | None = None
    data_tap: str | None = None
    """Files to which every byte of a port is recorded; both may go to the same one."""
    operator: OperatorLimits = OperatorLimits()


class HostConfig(Model):
    """What a rig process is started with. `orphan_s`: how long a sentinel without a rig waits for a lost port."""

    boards: tuple[BoardConfig, ...] = Field(min_length=1)
    journal: str | None = None
    orphan_s: float = Field(default=600.0, ge=0.0)


FromClient = Hello | Request | Shutdown
FromRig = Greeting | Done | Failed | EventLine | SnapshotLine | Goodbye

_FROM_CLIENT: Mapping[str, type[FromClient]] = {"hello": Hello, "request": Request, "shutdown": Shutdown}
_FROM_RIG: Mapping[str, type[FromRig]] = {
    "snapshot": SnapshotLine,
    "event": EventLine,
    "ok": Done,
    "error": Failed,
    "hashbridge": Greeting,
    "goodbye": Goodbye,
}
_EVENT: TypeAdapter[Event] = TypeAdapter(Event)
_ERRORS = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, HashbridgeError)
}


def encode(message: FromClient | FromRig) -> bytes:
    """One line, end of line included."""
    return message.model_dump_json(by_alias=True).encode() + b"\n"


def encode_snapshot(snapshot: Snapshot) -> bytes:
    return b'{"snapshot":' + snapshot.model_dump_json(by_alias=True).encode() + b"}\n"


def encode_event(event: Event) -> bytes:
    return b'{"event":' + _EVENT.dump_json(event, by_alias=True) + b"}\n"


def parse_from_client(line: bytes) -> FromClient:
    """Raises `UnexpectedReply` for all that is no message, another version included."""
    message: FromClient = _parse(line, _FROM_CLIENT)
    if isinstance(message, Hello):
        check_version(message.hello, "client")
    return message


def parse_from_rig(line: bytes) -> FromRig:
    """Raises `UnexpectedReply` for all that is no message, another version included."""
    message: FromRig = _parse(line, _FROM_RIG)
    return message


def is_snapshot(line: bytes) -> bool:
    """A line of the kind there is most of, by far; `parse_snapshot` reads it."""
    return line.startswith(b'{"snapshot":')


def parse_snapshot(line: bytes) -> Snapshot:
    """Raises `UnexpectedReply`."""
    return _validate(SnapshotLine, line).snapshot


def check_version(version: str, who: str) -> None:
    """Raises `UnexpectedReply` unless the far side speaks as we do."""
    if version != VERSION:
        raise UnexpectedReply(f"the {who} speaks {version!r}, this program {VERSION!r}: use the same release of both")


def _parse(line: bytes, table: Mapping[str, type[Any]]) -> Any:
    try:
        fields = json.loads(line)
    except ValueError as error:
        raise UnexpectedReply(f"not a line of JSON ({error}): {line[:80]!r}") from error
    if not isinstance(fields, dict):
        raise UnexpectedReply(f"not a JSON object: {line[:80]!r}")
    for key, kind in table.items():
        if key in fields:
            if kind is Greeting:  # before its fields, which another version may have changed
                check_version(str(fields[key]), "rig")
            return _validate(kind, line)
    raise UnexpectedReply(f"no such message: {line[:80]!r}; known: {', '.join(table)}")


def _validate(kind: type[_Message], line: bytes) -> _Message:
    try:
        return kind.model_validate_json(line)
    except ValidationError as error:
        where = "; ".join(f"{'.'.join(map(str, part['loc']))}: {part['msg']}" for part in error.errors())
        raise UnexpectedReply(f"{kind.__name__}: {where}") from error


class Lines:
    """Cuts a stream into lines. A line that grows beyond the limit raises `UnexpectedReply`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        if b"\n" not in data:
            self._rest += data
            lines: list[bytes] = []
        else:
            first, *more, rest = data.split(b"\n")
            lines = [bytes(self._rest) + first, *more]
            self._rest = bytearray(rest)
        if len(self._rest) > self._limit or any(len(line) > self._limit for line in lines):
            raise UnexpectedReply(f"a line of more than {self._limit} bytes")
        return lines


# --- errors ----------------------------------------------------------------------------------------------------------


def pack_error(error: HashbridgeError) -> WireError:
    """The class by name, its fields by the names of its constructor; what JSON cannot carry goes as its repr."""
    return WireError(
        type=type(error).__name__,
        fields={name: _scalar(getattr(error, name)) for name in _fields(type(error))},
        message=str(error),
    )


def unpack_error(packed: WireError) -> HashbridgeError:
    """The error itself, to be raised. A class that this program does not know becomes a `ProtocolError`."""
    kind = _ERRORS.get(packed.type)
    if kind is None:
        return ProtocolError(f"{packed.type}: {packed.message}")
    names = _fields(kind)
    if not names:
        return kind(packed.message)
    if set(names) != set(packed.fields):
        return ProtocolError(f"{packed.type} with other fields than here: {packed.message}")
    error = kind(**packed.fields)
    error.args = (packed.message,)
    return error


def _fields(kind: type[HashbridgeError]) -> tuple[str, ...]:
    parameters = list(inspect.signature(kind.__init__).parameters.values())[1:]
    return tuple(part.name for part in parameters if part.kind is part.POSITIONAL_OR_KEYWORD)


def _scalar(value: object) -> Scalar:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return repr(value)
