"""Makes docs/faults.md of the actions: `python -m emulator.faults.manual docs/faults.md` writes it anew.

A test holds the page to what this makes.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from emulator.benches import BENCHES, BenchSettings
from emulator.faults import TOPICS
from emulator.faults.actions import OFF, Action, Argument, declared
from emulator.faults.arguments import MISSING, Register
from emulator.faults.bus import REGISTERS, BusFaults
from emulator.faults.sensors import SEEN

_HEAD: Final = """\
# Faults

Everything that can go wrong on an emulated board at run time. This page is made of the code: change
`emulator/faults/`, then `python -m emulator.faults.manual docs/faults.md`.

Each action has the same name and the same arguments in three places:

- **Library**: a method of `bench.faults`, such as `bench.faults.lose_bytes(p=0.01, port="data")`.
- **Plant socket** of `hashbridge emulate` (its path is in the sidecar, key `plant`): one JSON object a line,
  `{"do": "lose_bytes", "p": 0.01, "port": "data"}`. The answer is `{"ok": true}`, or `{"ok": false, "error": ...}`.
- **Script**: an entry of a TOML file, below.

An argument that is left out has the value in parentheses. One that is not allowed is an error that names key, value and
what is allowed, and nothing happens. Any number of faults may be on at once. All chance comes from the seed of the
bench: the same seed and the same script give the same run in virtual time.

How a fault ends:

- with `off = true`, where the last column says so; arguments in **bold** say which fault it is, the others may be left
  out;
- by itself, where it has a `count` or a duration;
- with `heal`, which ends all of them. `power_cycle` leaves them on, but for what loses power.

## Scripts

`hashbridge emulate NAME --script FILE.toml`, or in the library `Script.load(path, bench.faults).play(bench.faults)` of
`emulator.script`.

```toml
schema = "hashbridge.faults/1"

[[at]]
s = 30.0                 # seconds after the ports were published
do = "stall_fan"

[[at]]
s = 45.0
do = "garbage_once"
channel = "vr_c"
value = 127.88

[[between]]              # ends by itself: the same as `off` at to_s
from_s = 60.0
to_s = 65.0
do = "lose_bytes"
p = 0.01
```

- The whole file is checked before anything starts. The first thing that is not allowed ends it, with file, entry
  (`at 2` is the second `[[at]]`), key, value and what is allowed; exit code 2.
- `[[between]]` takes the actions that have `off`. Two that have the same fault on at the same time are an error.
- At the same moment, what ends goes first, then what begins, in the order of the file.
- Each step that fires is written to `--trace` (`what` is `fault`, with `detail`, `arguments` and `by`: `FILE 3/7`).
  `{"get": "script"}` on the plant socket tells `step` k `of` n, `next`, and in `failed` what could not be done.
- A script ends no emulator: the last step leaves things as they are.

## Actions
"""

_TABLE_HEAD: Final = """\
| action | arguments | emulates | seen in | ends |
|---|---|---|---|---|
"""

_SEEN_HEAD: Final = """\
## Readings seen in the field

For `garbage_once` (once) and `misread` (for good). A part shows the nearest value that its format has.

| channel | value | what it is | seen in |
|---|---|---|---|
"""


def page() -> str:
    """The whole of docs/faults.md."""
    parts: dict[str, int] = {}
    for build in BENCHES.values():
        parts.update(build(BenchSettings()).faults.parts)
    blocks = [_HEAD]
    for topic in TOPICS:
        title, _, more = (topic.__doc__ or "").strip().partition("\n")
        text = textwrap.fill(" ".join(more.split()), 118) + "\n\n" if more else ""
        rows = "".join(_row(one, parts) for one in declared([topic]).values())
        blocks.append(f"### {title}\n\n{text}{_TABLE_HEAD}{rows}")
        if topic is BusFaults:
            names = ", ".join(f"{name} {number:02X}" for name, number in REGISTERS.items())
            blocks.append(textwrap.fill(f"Registers that have a name, in hex: {names}.", 118) + "\n")
    seen = "".join(f"| `{one.channel}` | {one.value:g} | {one.text} | {one.source} |\n" for one in SEEN)
    return "\n".join([*blocks, _SEEN_HEAD + seen])


def _row(one: Action, parts: Mapping[str, int]) -> str:
    arguments = "<br>".join(_argument(argument, parts) for argument in one.arguments if argument.name != OFF)
    return f"| `{one.name}` | {arguments or '-'} | {one.emulates} | {one.source} | {_ends(one)} |\n"


def _argument(argument: Argument, parts: Mapping[str, int]) -> str:
    name = f"**`{argument.name}`**" if argument.kind.chooses else f"`{argument.name}`"
    given = "" if argument.default is MISSING else f" ({_value(argument.default)})"
    kind = argument.kind
    any_register = isinstance(kind, Register) and not kind.by_name_alone
    return f"{name}{given}: {'0 to 255, or a name' if any_register else kind.allowed(parts)}"


def _value(default: object) -> str:
    match default:
        case None:
            return "all"
        case bytes():
            return default.hex(" ")
        case bool():
            return str(default).lower()
        case float():
            return f"{default:g}"
        case _:
            return str(default)


def _ends(one: Action) -> str:
    if not one.lasting:
        return "happens once"
    names = {argument.name for argument in one.arguments}
    return "`off`, or the count" if "count" in names else "`off`, or the time" if "for_s" in names else "`off`"


def main(arguments: Sequence[str] | None = None) -> int:
    """`FILE`: write the page."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if len(given) != 1:
        sys.stderr.write("usage: python -m emulator.faults.manual FILE\n")
        return 2
    Path(given[0]).write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
