"""Where the screens are tried: terminals, emulated boards and rigs, all processes, in directories of their own.

What an emulated board did is asked of its plant socket or read from its trace, never of the screen.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from controller.emulators import child_command, child_environment
from tests.processes import alive
from tests.terminal import AnyTerminal, Terminal, TmuxTerminal
from tests.waiting import until

BOARD: Final = "bitaxe-gamma"
POWER_UP_S: Final = 60.0
"""It takes 13 s; a busy machine is given more."""
MOVES_OF_SAFE_OFF: Final = ["reset asserted", "rail off"]


@dataclass(slots=True)
class Emulator:
    """An emulated board that nobody's screen has started."""

    control: str
    plant: str
    trace: Path

    def moves(self) -> list[dict[str, Any]]:
        """What its actuators did so far, as far as it is written: `what`, `detail`, `t_ns` (CLOCK_MONOTONIC)."""
        text = self.trace.read_text()
        found = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
        return [move for move in found if move["what"] != "start"]


class Stage:
    """One set of directories. Leaving it ends what was started here and sees that nothing is left behind."""

    def __init__(self) -> None:
        # Short: the path of a socket may have 107 characters.
        self.directory = Path(tempfile.mkdtemp(prefix="hb-"))
        self.runtime, self.state, self.config = (self.directory / name for name in ("r", "s", "c"))
        self.environment = {
            **child_environment(),
            "HASHBRIDGE_RUNTIME_DIR": str(self.runtime),
            "HASHBRIDGE_STATE_DIR": str(self.state),
            "HASHBRIDGE_CONFIG_DIR": str(self.config),
        }
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        clean = until(lambda: not self.left_behind(), 20.0)
        left = self.left_behind()
        shutil.rmtree(self.directory)
        if error is None:
            assert clean, f"left behind: {left}"

    def tell(self) -> None:
        """For a test that has failed: what its rigs wrote of themselves, flight records and journals."""
        for path in sorted(self.directory.rglob("*.jsonl")):
            print(f"{path.relative_to(self.directory)}:")
            for event in events_of(path):
                print(f"  {json.dumps(event)}")

    def left_behind(self) -> list[str]:
        """Sockets, links and sidecars of whoever runs, or should have removed them."""
        return sorted(path.name for path in self.runtime.rglob("*") if not path.is_dir())

    # --- processes ----------------------------------------------------------------------------------------------------

    def tui(self, *arguments: str, columns: int = 120, rows: int = 40) -> Terminal:
        """`hashbridge tui ...` on a terminal of its own."""
        terminal = Terminal(
            child_command("tui", *arguments),
            columns=columns,
            rows=rows,
            environment=self.environment,
            directory=self.directory,
        )
        return self._stack.enter_context(terminal)

    def tui_in_tmux(self, *arguments: str) -> TmuxTerminal:
        terminal = TmuxTerminal(
            child_command("tui", *arguments), environment=self.environment, directory=self.directory
        )
        return self._stack.enter_context(terminal)

    def emulator(self, *options: str, name: str = "stage") -> Emulator:
        """`hashbridge emulate`, ready. It ends with this stage, after the terminals that came later."""
        trace = self.directory / f"{name}.trace"
        process = subprocess.Popen(
            child_command("-q", "emulate", BOARD, "--name", name, "--trace", str(trace), "--json", *options),
            stdout=subprocess.PIPE,
            text=True,
            env=self.environment,
            start_new_session=True,
        )
        assert process.stdout is not None
        ports = json.loads(process.stdout.readline())

        def end() -> None:
            self._no_rigs()
            process.terminate()
            process.communicate(timeout=20.0)

        self._stack.callback(end)
        return Emulator(ports["control"], ports["plant"], trace)

    def _no_rigs(self) -> None:
        """A rig that has lost its owner needs its board for the moment in which it makes it safe."""
        until(lambda: not self.rigs(), 20.0)

    def rigs(self) -> list[int]:
        """Process ids of the rigs that run."""
        pids = [int(path.stem.removeprefix("rig-")) for path in self.runtime.glob("rig-*.json")]
        return sorted(pid for pid in pids if alive(pid))

    def rig(self) -> int:
        """The only one."""
        (pid,) = self.rigs()
        return pid

    def sweep(self) -> None:
        """What a killed rig left behind is removed by the next who looks for rigs."""
        subprocess.run(child_command("-q", "list"), stdout=subprocess.DEVNULL, env=self.environment, check=True)

    # --- what the board knows -----------------------------------------------------------------------------------------

    def sidecar(self) -> dict[str, Any]:
        """Of the only emulator."""
        (path,) = (self.runtime / "emulators").glob("*.json")
        found: dict[str, Any] = json.loads(path.read_text())
        return found

    def truth(self, plant: str | None = None) -> dict[str, Any]:
        """What is so on the emulated board, whatever anybody says of it."""
        found: dict[str, Any] = ask_plant(plant or self.sidecar()["plant"], get="truth")["truth"]
        return found


def ask_plant(path: str, **asked: object) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as plant:
        plant.settimeout(20.0)
        plant.connect(path)
        plant.sendall(json.dumps(asked).encode() + b"\n")
        answer: dict[str, Any] = json.loads(plant.makefile().readline())
    assert answer["ok"], answer
    return answer


def is_safe(truth: dict[str, Any]) -> bool:
    return bool(truth["reset_asserted"] and not truth["rail_on"] and truth["fan_duty"] == 1.0)


def events_of(journal: Path) -> list[dict[str, Any]]:
    """The events of a journal that may still be written to; a file of something else has none."""
    text = journal.read_text()
    lines = (json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines())
    return [line["event"] for line in lines if line.get("kind") == "event"]


def until_live(terminal: AnyTerminal) -> None:
    """A screen that was started with `--start`: the board hashes."""
    terminal.wait_for(" LIVE ", POWER_UP_S)
    terminal.wait_for("synthetic ", POWER_UP_S)


def type_number(terminal: AnyTerminal, text: str) -> None:
    """Into the question that `e` asks."""
    terminal.press("e")
    terminal.wait_for("Enter stages it")
    terminal.press(*text, "enter")
    terminal.wait_gone("Enter stages it")
