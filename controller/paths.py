"""Where a rig keeps its sockets (runtime) and its journals and logs (state), where a user keeps what was chosen
(config), and which rigs run now.

`HASHBRIDGE_RUNTIME_DIR`, `HASHBRIDGE_STATE_DIR` and `HASHBRIDGE_CONFIG_DIR` override the places that the system gives.
The directories belong to the user alone: whoever can reach a rig's socket, or change a profile, can raise its voltage.
"""

from __future__ import annotations

import json
import os
import stat
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from drivers.errors import UsageError

RIG_SCHEMA = "hashbridge.rig/1"


def runtime_dir() -> Path:
    """For sockets and what describes them. Made when absent, mode 0700. Raises `UsageError` when it is not ours."""
    return _own(_place("HASHBRIDGE_RUNTIME_DIR", platformdirs.user_runtime_path))


def state_dir() -> Path:
    """For journals, logs and safe-off reports. Made when absent, mode 0700. Raises `UsageError` when not ours."""
    return _own(_place("HASHBRIDGE_STATE_DIR", platformdirs.user_state_path))


def config_dir() -> Path:
    """For operating profiles. Made when absent, mode 0700. Raises `UsageError` when it is not ours."""
    return _own(_place("HASHBRIDGE_CONFIG_DIR", platformdirs.user_config_path))


def _place(variable: str, usual: Callable[[str], Path]) -> Path:
    override = os.environ.get(variable)
    if override:
        return Path(override)
    with warnings.catch_warnings():  # without XDG_RUNTIME_DIR it falls back to a place that `_own` holds to its rules
        warnings.simplefilter("ignore")
        return usual("hashbridge")


def _own(path: Path) -> Path:
    """The directory, surely a directory of this user and of nobody else."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found, parent = path.lstat(), path.parent.stat()
    except OSError as error:
        raise UsageError("directory", str(path), f"a place where it can be made ({error.strerror})") from error
    if not stat.S_ISDIR(found.st_mode):
        raise UsageError("directory", str(path), "a directory, not a file or a link")
    if hasattr(os, "geteuid"):
        user = os.geteuid()
        if found.st_uid != user:
            raise UsageError("directory", str(path), f"a directory of user {user}, not of {found.st_uid}")
        if parent.st_uid not in (0, user):  # who owns the parent can put another directory in this one's place
            raise UsageError("directory", str(path), f"a place that user {parent.st_uid} cannot exchange")
        if stat.S_IMODE(found.st_mode) != 0o700:
            path.chmod(0o700)
    return path


@dataclass(frozen=True, slots=True)
class RunningRig:
    """A rig process that answers to its sidecar: process id, socket, and the names of its boards."""

    pid: int
    socket: Path
    boards: tuple[str, ...]
    started_utc: str


def socket_path(pid: int) -> Path:
    return runtime_dir() / f"rig-{pid}.sock"


def sidecar_path(pid: int) -> Path:
    return runtime_dir() / f"rig-{pid}.json"


def write_sidecar(pid: int, boards: tuple[str, ...], started_utc: str) -> Path:
    """Publish a rig in one step, so that nobody reads half of it."""
    path = sidecar_path(pid)
    text = json.dumps(
        {"schema": RIG_SCHEMA, "pid": pid, "socket": str(socket_path(pid)), "boards": boards, "started": started_utc}
    )
    part = path.with_suffix(".part")
    part.write_text(text + "\n")
    part.replace(path)
    return path


def list_rigs() -> list[RunningRig]:
    """Rigs of this user that run now, oldest first. What a dead rig left behind is removed."""
    rigs = []
    for path in runtime_dir().glob("rig-*.json"):
        try:
            fields = json.loads(path.read_text())
            rig = RunningRig(
                int(fields["pid"]), Path(fields["socket"]), tuple(fields["boards"]), str(fields["started"])
            )
        except FileNotFoundError:
            continue  # it ended between the listing and the reading
        except (ValueError, KeyError, TypeError):
            path.unlink(missing_ok=True)
            continue
        if _alive(rig.pid):
            rigs.append(rig)
        else:
            path.unlink(missing_ok=True)
            rig.socket.unlink(missing_ok=True)
    return sorted(rigs, key=lambda rig: rig.started_utc)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
