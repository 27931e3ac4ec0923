"""Emulated boards as other processes see them: the JSON sidecar beside the links, and a child that serves one.

An emulator is a process of its own, in a session of its own. The client that started it holds the write end of a pipe:
when the client dies the emulator stays as long as its ports are in use, so that the rig, which outlives the client for
the moment it needs to make safe, still has a board to make safe.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from controller.paths import runtime_dir
from drivers.errors import NoReply, UsageError

SIDECAR_SCHEMA: Final = "hashbridge.emulator/1"
START_WAIT_S: Final = 20.0
STOP_WAIT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Sidecar:
    """What an emulator says of itself."""

    name: str
    board: str
    pid: int
    seed: int
    dilution: int
    control: str
    data: str
    plant: str | None
    dialect: str | None = None
    """In which its bridge answers; None: it does not say."""

    @classmethod
    def parse(cls, name: str, text: str) -> Self:
        """Raises ValueError when the text is not a sidecar of this schema."""
        found = json.loads(text)
        if not isinstance(found, dict) or found.get("schema") != SIDECAR_SCHEMA:
            raise ValueError(f"not a {SIDECAR_SCHEMA} object")
        try:
            return cls(
                name=name,
                board=str(found["board"]),
                pid=int(found["pid"]),
                seed=int(found["seed"]),
                dilution=int(found["dilution"]),
                control=str(found["control"]),
                data=str(found["data"]),
                plant=None if found.get("plant") is None else str(found["plant"]),
                dialect=None if found.get("dialect") is None else str(found["dialect"]),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"incomplete: {error!r}") from error

    @property
    def alive(self) -> bool:
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True


def emulator_directory() -> Path:
    """Where emulators publish their links unless told otherwise."""
    return runtime_dir() / "emulators"


def running_emulators(directories: Iterable[Path] | None = None) -> list[Sidecar]:
    """All emulators that are alive, by name."""
    found: list[Sidecar] = []
    for directory in directories or (emulator_directory(),):
        for path in sorted(directory.glob("*.json")):
            with suppress(OSError, ValueError):
                sidecar = Sidecar.parse(path.stem, path.read_text(encoding="utf-8"))
                if sidecar.alive:
                    found.append(sidecar)
    return found


def emulator_behind(port: str) -> Sidecar | None:
    """The emulator that serves this control port; None for anything else.

    A port counts as emulated only if it is a pseudo-terminal *and* a living emulator says that it is its own. Nothing
    that a user can type makes a real serial port pass for one.
    """
    real = os.path.realpath(port)
    if not real.startswith("/dev/pts/"):
        return None
    directories = [emulator_directory(), Path(port).absolute().parent]
    for sidecar in running_emulators(dict.fromkeys(directories)):
        if os.path.realpath(sidecar.control) == real:
            return sidecar
    return None


@dataclass(slots=True)
class EmulatorChild:
    """An emulator that this process started. `aclose` ends it."""

    sidecar: Sidecar
    _process: asyncio.subprocess.Process
    _owner_fd: int
    died: str = ""

    @classmethod
    async def start(cls, arguments: Sequence[str], key: str = "emulate") -> Self:
        """Run `hashbridge emulate ...` and wait until its ports can be opened.

        Raises `UsageError`, naming `key`, when it refuses its arguments, `NoReply` when it does not come up.
        """
        read_fd, write_fd = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *child_command("emulate", *arguments, "--json", "--owner-fd", str(read_fd)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                pass_fds=(read_fd,),
                start_new_session=True,
                env=child_environment(),
            )
        except BaseException:
            os.close(write_fd)
            raise
        finally:
            os.close(read_fd)
        assert process.stdout is not None
        try:
            async with asyncio.timeout(START_WAIT_S):
                line = await process.stdout.readline()
            if not line:
                code = await process.wait()
                allowed = f"see above; the emulator ended with exit code {code}"
                raise UsageError(key, " ".join(arguments), allowed)
        except BaseException as error:
            os.close(write_fd)
            await _end(process)
            if isinstance(error, TimeoutError):
                raise NoReply("the start of the emulator", START_WAIT_S) from None
            raise
        text = line.decode()
        return cls(Sidecar.parse(json.loads(text).get("name", "emulator"), text), process, write_fd)

    def leave(self) -> None:
        """Let go of it: it ends by itself once nobody uses its ports. `aclose` then does nothing."""
        if self._owner_fd >= 0:
            os.close(self._owner_fd)
            self._owner_fd = -1

    async def aclose(self) -> None:
        """End it in order; kill it if it does not end. `died` then says whether it had ended by itself."""
        if self._owner_fd < 0:
            return
        if self._process.returncode is not None:
            self.died = f"exit code {self._process.returncode}"
        self.leave()
        await _end(self._process)
        self._sweep()

    def _sweep(self) -> None:
        """What a killed emulator could not remove: a link that dangles may soon point at somebody else's terminal."""
        sidecar = Path(self.sidecar.control).with_name(f"{self.sidecar.name}.json")
        for left in (sidecar, self.sidecar.control, self.sidecar.data, self.sidecar.plant):
            if left is not None:
                Path(left).unlink(missing_ok=True)


async def _end(process: asyncio.subprocess.Process) -> None:
    """In order, if it will."""
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(STOP_WAIT_S):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def child_command(*arguments: str) -> list[str]:
    """The command line of a verb in another process of the same installation.

    `-P` keeps the working directory out of the module path: a folder named `controller` there must not be taken for
    ours.
    """
    return [sys.executable, "-P", "-m", "controller", *arguments]


def child_environment() -> dict[str, str]:
    """The environment for `child_command`: our own package first, installed or not."""
    import controller

    root = str(Path(next(iter(controller.__path__))).parent)
    inherited = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{inherited}" if inherited else root}
