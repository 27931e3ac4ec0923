"""Writes docs/api.md from the docstrings of the library: `python -m tests.api_page --write docs/api.md`, `make api`."""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from controller import model
from controller.library import AsyncRig, Held, Progress, connect, good, open_recording
from controller.model import BoardInfo, BoardSnapshot, OperatingPoint, PointStatus, Reading, SafeOffRecord, WorkSnapshot
from controller.sync import SyncRig
from drivers import errors
from drivers.errors import HashbridgeError

SIX_LINES = """\
from controller.sync import SyncRig

with SyncRig.connect(emulate="bitaxe-gamma") as rig:
    rig.power_up(frequency_mhz=500.0, core_v=1.10)
    result = rig.work("pattern", seconds=10.0)
    held = rig.hold(seconds=60.0)
    print(result.yield_ratio, held.last.point.achieved)
"""
INTRO = f"""\
# The library

<!-- Written by `make api` from the docstrings; change those. -->

What an engineer does on the screen, in six lines of a script:

```python
{SIX_LINES}```

Leaving the `with` makes the board safe; so does the end of the program, however it comes. `SyncRig` waits, also inside
Jupyter, where a rig shows itself as a table. `AsyncRig` is the same for programs with a loop of their own:
`from controller.library import connect`, then `async with connect(...) as rig:` and `await` before each verb. Longer
examples are in `examples/`.

Quantities carry their unit in their name: `core_v` is in volts, `frequency_mhz` in megahertz. What is unknown is None;
zero is a measurement. A wrong argument raises `UsageError` with key, value and what is allowed, and nothing is sent.
"""
CALLBACKS = """\
`on_progress` is called with a `Progress`, `until` with a `BoardSnapshot`: each snapshot while the verb goes on, the
newest wins. Either may be a coroutine function. `until` returns a text, why to stop, or None. What a callback raises
ends its verb, and the board stays guarded. `kind` of work is `"pattern"`, `"synthetic"` or `"headers"`.
"""
RESULTS: tuple[type, ...] = (
    Progress, Held, PointStatus, OperatingPoint, BoardSnapshot, Reading, WorkSnapshot, SafeOffRecord, BoardInfo
)  # fmt: skip


def page() -> str:
    return "\n".join(lines()).rstrip() + "\n"


def lines() -> Iterator[str]:
    yield INTRO
    yield "## connect\n\nIn `controller.library`.\n"
    yield f"{code(signature('connect', connect))}\n\n{inspect.getdoc(connect)}\n"
    yield from function("open_recording", open_recording)
    yield "## AsyncRig\n"
    yield f"{inspect.getdoc(AsyncRig)}\n"
    yield CALLBACKS
    yield from members(AsyncRig)
    yield "## SyncRig\n"
    yield f"{inspect.getdoc(SyncRig)}\n"
    yield "The verbs are those of `AsyncRig`, without `await`; `watch` and `events` are plain iterators. Besides:\n"
    yield from function("SyncRig.connect", SyncRig.connect)
    yield from function("SyncRig.open_recording", SyncRig.open_recording)
    yield from function("SyncRig.close", SyncRig.close)
    yield "## Results\n"
    yield from function("good", good)
    for kind in RESULTS:
        yield from record(kind)
    yield "## Errors\n"
    yield "In `drivers.errors`; their exit codes are in [cli.md](cli.md).\n"
    yield from table(("error", "is a", "meaning"), ((name(each), bases(each), says(each)) for each in all_errors()))
    yield "## Commands\n"
    yield "What the verbs send to a rig (`controller.model`), and what its history shows.\n"
    yield from vocabulary(model.Command)
    yield "## Events\n"
    yield "Each has `seq`, `at_s` (the rig's time), `at_utc` and `board` besides.\n"
    yield from vocabulary(model.Event)


def members(kind: type) -> Iterator[str]:
    for key, value in vars(kind).items():
        if key.startswith("_"):
            continue
        if isinstance(value, property):
            assert value.fget is not None
            gives = inspect.signature(value.fget).return_annotation
            yield f"### {key}\n\n{code(f'{key}: {gives}')}\n\n{inspect.getdoc(value)}\n"
        else:
            yield from function(key, value)


def function(key: str, found: Callable[..., Any]) -> Iterator[str]:
    yield f"### {key}\n\n{code(signature(key, found))}\n\n{inspect.getdoc(found)}\n"


def quoted(text: str) -> str:
    """As the formatter writes strings."""
    return text.replace("'", '"')


def code(text: str) -> str:
    return f"```python\n{text}\n```"


def signature(key: str, found: Callable[..., Any]) -> str:
    """One line where it fits, else a parameter a line."""
    parts, starred = [], False
    shape = inspect.signature(found)
    for each in shape.parameters.values():
        if each.name == "self":
            continue
        if each.kind is each.KEYWORD_ONLY and not starred:
            parts.append("*")
            starred = True
        default = "" if each.default is each.empty else f" = {quoted(repr(each.default))}"
        parts.append(f"{each.name}: {each.annotation}{default}")
    what = "async def" if inspect.iscoroutinefunction(found) else "def"
    start, end = f"{what} {key}(", f") -> {shape.return_annotation}"
    whole = f"{start}{', '.join(parts)}{end}"
    return whole if len(whole) <= 110 else start + "".join(f"\n    {part}," for part in parts) + f"\n{end}"


def record(kind: type) -> Iterator[str]:
    fields = "\n".join(
        f"{key}: {quoted(value)}" for key, value in kind.__annotations__.items() if not key.startswith("model_")
    )
    text = f"{says(kind)}\n\n" if own_doc(kind) else ""
    yield f"### {kind.__name__}\n\n{text}{code(fields)}\n"


def all_errors() -> list[type[HashbridgeError]]:
    found = vars(errors).values()
    return [each for each in found if isinstance(each, type) and issubclass(each, HashbridgeError)]


def bases(kind: type) -> str:
    return ", ".join(name(base) for base in kind.__bases__)


def vocabulary(union: Any) -> Iterator[str]:
    kinds: tuple[type[BaseModel], ...] = get_args(get_args(union)[0])
    base = set(model.EventBase.model_fields)
    rows = (
        (
            f"`{kind.model_fields['kind'].default}`",
            ", ".join(f"`{field}`" for field in kind.model_fields if field != "kind" and field not in base),
            says(kind),
        )
        for kind in kinds
    )
    yield from table(("kind", "fields", "meaning"), rows)


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
    yield ""


def name(kind: type) -> str:
    return f"`{kind.__name__}`"


def own_doc(kind: type) -> str:
    return inspect.cleandoc(vars(kind).get("__doc__") or "")


def says(kind: type) -> str:
    """The first paragraph of its docstring, in one line."""
    return " ".join(own_doc(kind).partition("\n\n")[0].split())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.api_page", description="The page of the library.")
    parser.add_argument("--write", metavar="FILE", type=Path, help="a file instead of stdout")
    path: Path | None = parser.parse_args().write
    if path is None:
        sys.stdout.write(page())
    else:
        path.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
