"""Terminals for tests: a command on a pseudo-terminal of its own, its keys pressed, its screen read.

`Terminal` emulates the screen in this process; `TmuxTerminal` has the same interface over tmux, a terminal of other
people. Neither judges: waiting for something that does not come fails with the screen as it is.
"""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import select
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import pyte

from tests.waiting import until

KEYS: Final[Mapping[str, bytes]] = {
    "enter": b"\r",
    "escape": b"\x1b",
    "tab": b"\t",
    "backspace": b"\x7f",
    "up": b"\x1b[A",
    "down": b"\x1b[B",
    "right": b"\x1b[C",
    "left": b"\x1b[D",
    "home": b"\x1b[H",
    "end": b"\x1b[F",
    "pageup": b"\x1b[5~",
    "pagedown": b"\x1b[6~",
    "f1": b"\x1bOP",
    "space": b" ",
    **{f"ctrl+{chr(96 + number)}": bytes([number]) for number in range(1, 27) if number not in (9, 13)},
}
"""Keys by name; every other key is the character that it types."""
PATIENCE_S: Final = 30.0
ALONE_S: Final = 0.2
"""An escape followed by another key within the framework's 0.1 s would be a key with Alt. Counted from when the command
has read it; what the screen does then is all that tells when it took the escape for one."""
UNREAD_KEY_S: Final = 0.05


def _let_it_stand_alone() -> None:
    """After an escape."""
    time.sleep(ALONE_S)  # what follows at once would be Alt and a key, and nothing tells that it was taken for one


_ALTERNATE: Final = 1049
_CURSOR: Final = 25
_TAKE_TERMINAL: Final = (
    "import fcntl, os, signal, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "signal.signal(signal.SIGINT, signal.SIG_DFL); os.execvp(sys.argv[1], sys.argv[1:])"
)
"""Standard input becomes the controlling terminal; then the command takes over this process."""
_PARTIAL: Final = re.compile(r"\x1b(\[[0-9;?<=>]*[ -/]*)?\Z")
_BEYOND_PYTE: Final = re.compile(r"\x1b\[[<=>][0-9;]*[ -/]*[@-~]|\x1b\[\?[0-9;]*\$[@-~]")
"""Keyboard protocols and questions about modes: the emulated screen would draw parts of them."""
_SWITCH: Final = re.compile(rf"(\x1b\[\?{_ALTERNATE}[hl])")
_MODES: Final = re.compile(rb"\x1b\[\?([0-9;]+)([hl])")


class NotShown(AssertionError):
    """What was waited for did not come."""


class AnyTerminal(ABC):
    """What both kinds can do. Bounds are in seconds; `NotShown` when one is over."""

    @abstractmethod
    def lines(self) -> list[str]:
        """The screen, row by row, without blanks at the right."""

    @abstractmethod
    def press(self, *keys: str) -> None:
        """Names of KEYS, or characters."""

    @abstractmethod
    def resize(self, columns: int, rows: int) -> None:
        """The window gets another size, and the command is told."""

    @abstractmethod
    def ended(self) -> int | None:
        """The exit code; None while the command runs."""

    @abstractmethod
    def close(self) -> None:
        """Kill the command if it still runs, and give everything back."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and not isinstance(error, NotShown):
            print(f"the screen at that moment:\n{self.text}")
        self.close()

    @property
    def text(self) -> str:
        return "\n".join(self.lines())

    def shows(self, what: str | re.Pattern[str]) -> bool:
        """A part of one line, or a pattern in the whole text."""
        return what in self.text if isinstance(what, str) else what.search(self.text) is not None

    def wait_for(self, what: str | re.Pattern[str], within_s: float = PATIENCE_S) -> str:
        """The line with it, or the text that matches."""
        self.wait_until(lambda: self.shows(what), within_s, str(what))
        text = self.text
        if isinstance(what, str):
            return next((line for line in text.splitlines() if what in line), "")
        found = what.search(text)
        return "" if found is None else found.group()

    def wait_until(
        self, true: Callable[[], bool], within_s: float = PATIENCE_S, what: str = "what was promised"
    ) -> None:
        if not until(true, within_s):
            code = self.ended()
            state = "the command runs" if code is None else f"the command has ended with {code}"
            raise NotShown(f"not within {within_s:g} s: {what}; {state}; the screen:\n{self.text}")

    def wait_gone(self, what: str, within_s: float = PATIENCE_S) -> None:
        self.wait_until(lambda: not self.shows(what), within_s, f"the end of {what!r}")

    def wait(self, within_s: float = PATIENCE_S) -> int:
        """The exit code, when the command has ended."""
        self.wait_until(lambda: self.ended() is not None, within_s, "the end of the command")
        code = self.ended()
        assert code is not None
        return code


class Terminal(AnyTerminal):
    """Reads in a thread, so that the command's terminal never stalls unless that is asked for."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        columns: int = 120,
        rows: int = 40,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
    ) -> None:
        self.columns, self.rows = columns, rows
        self._main, self._alternate = pyte.Screen(columns, rows), pyte.Screen(columns, rows)
        self._shown, self._stream = self._main, pyte.Stream(self._main)
        self._decode = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._fed = self._asked = 0
        self.chunks: list[tuple[int, bytes]] = []
        """What the command wrote, each read with its time (CLOCK_MONOTONIC, ns)."""
        self._master, self._slave = pty.openpty()
        self._set_size()
        self.attributes_before = termios.tcgetattr(self._slave)
        self.began_ns = time.monotonic_ns()
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _TAKE_TERMINAL, *command],
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            start_new_session=True,
            env=_environment(environment),
            cwd=directory,
        )
        self._closing, self._reading, self._turn = threading.Event(), threading.Event(), threading.Lock()
        self._reading.set()
        self._reader = threading.Thread(target=self._read_on, name=f"terminal of {self.process.pid}")
        self._reader.start()

    # --- the command's side -------------------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        return self.process.pid

    def press(self, *keys: str) -> None:
        """All of them at once, as from somebody who types ahead."""
        burst = b""
        for key in keys:
            burst += KEYS.get(key, key.encode())
            if key == "escape":
                os.write(self._master, burst)
                burst = b""
                until(lambda: not self._unread(), PATIENCE_S)
                _let_it_stand_alone()
        if burst:
            os.write(self._master, burst)

    def resize(self, columns: int, rows: int) -> None:
        self._feed()
        self.columns, self.rows = columns, rows
        for screen in (self._main, self._alternate):
            screen.resize(rows, columns)
        self._set_size()  # the kernel sends SIGWINCH to who is in the foreground

    def _set_size(self) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", self.rows, self.columns, 0, 0))

    def press_unread(self, key: str) -> None:
        """A key on a terminal that is not read, and time for its own paint."""
        self.press(key)
        time.sleep(UNREAD_KEY_S)  # a terminal that is not read shows nothing to wait for

    def stop_reading(self) -> None:
        """From now on nothing is taken from the command; what it writes fills the kernel's buffer, then blocks it."""
        self._reading.clear()
        with self._turn:  # whoever is in the middle of a read has ended it
            pass

    def read_on(self) -> None:
        self._reading.set()

    def is_full(self) -> bool:
        """Whoever writes to this terminal now has to wait until somebody reads."""
        return not select.select([], [self._slave], [], 0)[1]

    def _unread(self) -> int:
        """How many of the bytes that were typed the command has not taken yet."""
        (count,) = struct.unpack("i", fcntl.ioctl(self._slave, termios.FIONREAD, b"\0" * 4))
        return int(count)

    def hang_up(self) -> None:
        """Close the terminal under the command, which gets SIGHUP."""
        self._stop()
        for descriptor in (self._master, self._slave):
            os.close(descriptor)
        self._master = self._slave = -1

    def ended(self) -> int | None:
        return self.process.poll()

    def wait(self, within_s: float = PATIENCE_S) -> int:
        """As of any terminal; what the command wrote last has been read then."""
        code = super().wait(within_s)
        while self._reading.is_set() and self._take():
            pass
        return code

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        if self._master >= 0:
            self.hang_up()

    def _stop(self) -> None:
        self._closing.set()
        self._reading.set()
        self._reader.join()

    def _read_on(self) -> None:
        while not self._closing.is_set():
            if self._reading.wait(0.1) and select.select([self._master], [], [], 0.1)[0]:
                self._take()

    def _take(self) -> bool:
        """Read once, if that is wanted and there is something."""
        with self._turn:
            wanted = self._reading.is_set() and not self._closing.is_set()
            if not wanted or not select.select([self._master], [], [], 0)[0]:
                return False
            data = os.read(self._master, 65536)
            self.chunks.append((time.monotonic_ns(), data))
            return True

    # --- what is seen -------------------------------------------------------------------------------------------------

    @property
    def raw(self) -> bytes:
        """Everything that the command wrote."""
        return b"".join(data for _, data in self.chunks)

    def lines(self) -> list[str]:
        self._feed()
        return [line.rstrip() for line in self._shown.display]

    def when(self, first: int, true: Callable[[list[str]], bool]) -> int | None:
        """The time (CLOCK_MONOTONIC, ns) of the read from `first` on with which this became true of the screen.

        None while it has not: ask again. To be asked before anything else looks at what came since `first`.
        """
        assert self._fed <= max(first, self._asked), "looked at already"
        while self._fed < len(self.chunks):
            self._feed(self._fed + 1)
            if self._fed > first and true(self._shown.display):
                return self.chunks[self._fed - 1][0]
        self._asked = self._fed
        return None

    def said(self) -> str:
        """What stands on the screen that a shell would go on with."""
        self._feed()
        return "\n".join(line.rstrip() for line in self._main.display).rstrip()

    @property
    def modes(self) -> dict[int, bool]:
        """Every private mode that was ever switched, as it is now."""
        found: dict[int, bool] = {}
        for numbers, way in _MODES.findall(self.raw):
            found.update(dict.fromkeys(map(int, numbers.split(b";")), way == b"h"))
        return found

    def left_as_it_was(self) -> list[str]:
        """What of the terminal is not as it was before the command; empty is good."""
        wrong = [] if termios.tcgetattr(self._slave) == self.attributes_before else ["termios"]
        # Who never switched a mode left it alone; a cursor and the wrapping of lines are on in a new terminal.
        usual = {_CURSOR: True, 7: True}
        wrong += [f"mode {number} {on}" for number, on in self.modes.items() if on is not usual.get(number, False)]
        raw = self.raw
        if len(re.findall(rb"\x1b\[>[0-9]+u", raw)) != len(re.findall(rb"\x1b\[<[0-9]*u", raw)):
            wrong.append("keyboard protocol")
        return wrong

    def _feed(self, upto: int | None = None) -> None:
        """Give the emulated screen what has come since. Fed when somebody looks: it costs more than reading."""
        count = len(self.chunks) if upto is None else upto
        text = self._rest + self._decode.decode(b"".join(data for _, data in self.chunks[self._fed : count]))
        self._fed = count
        cut = _PARTIAL.search(text)
        at = len(text) if cut is None else cut.start()
        text, self._rest = text[:at], text[at:]
        for part in _SWITCH.split(_BEYOND_PYTE.sub("", text)):
            if _SWITCH.fullmatch(part):
                self._switch(part.endswith("h"))
            elif part:
                self._stream.feed(part)

    def _switch(self, alternate: bool) -> None:
        if alternate:
            self._alternate.reset()
        self._shown = self._alternate if alternate else self._main
        self._stream = pyte.Stream(self._shown)


class TmuxTerminal(AnyTerminal):
    """A pane of a tmux server of its own, which ends with it."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        columns: int = 120,
        rows: int = 40,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
    ) -> None:
        self._place = tempfile.TemporaryDirectory(prefix="hb-tmux-")
        self._socket = str(Path(self._place.name) / "s")
        self._environment = _environment(environment)
        self._code = Path(self._place.name) / "code"
        # The pane outlives its command, so that what it left behind can be seen.
        shell = f"{shlex.join(command)}; echo $? > {self._code}.part; mv {self._code}.part {self._code}; exec cat"
        self._tmux(
            "set", "-g", "default-terminal", "tmux-256color", ";",
            "new-session", "-d", "-x", str(columns), "-y", str(rows), "-c", str(directory or Path.cwd()), shell,
            begin=True,
        )  # fmt: skip

    @staticmethod
    def missing() -> str | None:
        """Why there can be none here; None when tmux is installed."""
        return None if shutil.which("tmux") else "tmux is not installed"

    def _tmux(self, *words: str, begin: bool = False) -> str:
        first = ["start-server", ";"] if begin else []
        done = subprocess.run(
            ["tmux", "-S", self._socket, "-f", os.devnull, *first, *words],
            env=self._environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE_S,
        )
        return done.stdout

    def _ask(self, what: str) -> str:
        return self._tmux("display-message", "-p", f"#{{{what}}}").strip()

    def lines(self) -> list[str]:
        return [line.rstrip() for line in self._tmux("capture-pane", "-p").splitlines()]

    def press(self, *keys: str) -> None:
        names = {"enter": "Enter", "escape": "Escape", "tab": "Tab", "backspace": "BSpace", "space": "Space"}
        for key in keys:
            name = names.get(key, key.capitalize() if key in KEYS and len(key) > 1 else key)
            name = f"C-{key[5:]}" if key.startswith("ctrl+") else name
            self._tmux("send-keys", *(() if name != key else ("-l",)), name)
            if key == "escape":
                _let_it_stand_alone()

    def resize(self, columns: int, rows: int) -> None:
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def ended(self) -> int | None:
        return int(self._code.read_text()) if self._code.exists() else None

    def left_as_it_was(self) -> list[str]:
        """What of the terminal is not as it was before the command; empty is good."""
        usual = {"alternate_on": "0", "cursor_flag": "1", "mouse_any_flag": "0", "wrap_flag": "1"}
        return [name for name, value in usual.items() if self._ask(name) != value]

    def close(self) -> None:
        # The server's end would be a hang-up, which is no kill. With its only pane it ends by itself.
        with suppress(ProcessLookupError):
            os.killpg(int(self._ask("pane_pid")), signal.SIGKILL)
        self._place.cleanup()


def _environment(given: Mapping[str, str] | None) -> dict[str, str]:
    """A terminal with all colours, whatever this one is; its size is what it says, not what a shell once exported."""
    environment: dict[str, Any] = {**(os.environ if given is None else given)}
    for name in ("COLUMNS", "LINES", "NO_COLOR", "TMUX", "TERM_PROGRAM"):
        environment.pop(name, None)
    return {**environment, "TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}
