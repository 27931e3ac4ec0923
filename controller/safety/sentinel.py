"""The sentinel: a small process that owns a board's control port and switches the board off when the rig cannot.

Run as `python -I -S sentinel.py`, standard library only (port_identity.py beside it is a part of it), so that it starts
at once, needs 12 MB and shares nothing with the process it watches. It reads one JSON object (its job) from standard
input and inherits two sockets:

- DATA carries the raw bytes of the control port. What the rig sends in one call is written to the port in one call,
  because the bridge firmware parses one frame per USB packet (docs/wire/bitaxe-raw.md).
- BEAT carries JSON lines. The rig: `{"beat": n}` after each sweep over the sensors, `{"release": true}` after its own
  confirmed safe-off, `{"ping": n}` to see whether this process lives. The sentinel: `{"ack": n}` and `{"event": ...}`:
  ready, failed, port_lost, port_back, fenced, released.

No beat for `limit_s`, a closed socket, a malformed line or a suspend of the machine means: the rig is dead, frozen or
out of its mind. It is fenced off (both sockets closed, its queued requests dropped, so a rig that wakes up writes into
a closed socket) and the recipe is played: whole frames of bytes, made beforehand by the driver of the board. While the
port is unplugged there is nothing to beat for; when it returns, under any name, the recipe is played first of all.
Why it is built like this: docs/adr/0003-sentinel-owns-the-port.md.

Exit codes: 0 released, or safe-off confirmed; 2 bad job; 3 no such port; 4 port busy; 5 safe-off not confirmed.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import select
import signal
import stat
import sys
import termios
import time

if __package__:
    from controller.safety.port_identity import Identity, identity_of
else:  # run as a script, which knows no project: the file beside it
    sys.path.append(os.path.dirname(os.path.abspath(__file__)))
    from port_identity import Identity, identity_of  # type: ignore[import-not-found, no-redef, unused-ignore]

REPORT_SCHEMA = "hashbridge.sentinel/1"
REPLY_S = 0.25
"""Longest wait for one reply. The firmware answers in about a millisecond; its I2C timeouts are below 100 ms [U]."""
QUIET_S = 0.05
"""After an answer that does not fit: long enough that no more of it is under way (the firmware sends it at once)."""
SETTLE_S = 0.02
"""After the fence: the firmware forgets a half frame after 4 ms; what it was doing answers within this time."""
REOPEN_S = 0.1
RETURN_S = 3.0
"""Until the first beat after a port returned: the rig makes first contact again with a board that is safe."""
SUSPEND_S = 0.5
TICK_S = 0.05
TRIES = 2
ROUNDS = 3
ROUND_PAUSE_S = 0.2
KEEP_BYTES = 65536


class BadJob(Exception):
    """The job on standard input cannot be carried out as written."""


class PortGone(Exception):
    """The control port hung up: unplugged, end of file or an I/O error."""


class PortBusy(Exception):
    """Another program holds the control port."""


class Action:
    """One request of the recipe: bytes out, bytes expected back, mask 00 where they may differ. Byte 2 is the id."""

    def __init__(self, fields: dict[str, object]) -> None:
        try:
            self.name = str(fields["name"])
            self.request = bytes.fromhex(str(fields["request"]))
            self.reply = bytes.fromhex(str(fields["reply"]))
            self.mask = bytes.fromhex(str(fields["mask"]))
            self.pause_s = float(str(fields.get("pause_s", 0.0)))
        except (KeyError, ValueError) as error:
            raise BadJob(f"recipe: {error!r}") from error
        confirms = fields.get("confirms")
        self.confirms = None if confirms is None else str(confirms)
        if len(self.request) < 6 or len(self.reply) < 3 or len(self.mask) != len(self.reply):
            raise BadJob(f"recipe: {self.name}: a frame is too short, or mask and reply differ in length")


class Job:
    """What to guard, how long to be patient, and what to play."""

    def __init__(self, text: bytes) -> None:
        try:
            fields = json.loads(text)
            self.port = str(fields["port"])
            self.name = str(fields.get("name", self.port))
            self.limit_s = float(fields.get("limit_s", 1.0))
            self.first_beat_s = float(fields.get("first_beat_s", 10.0))
            self.orphan_s = float(fields.get("orphan_s", 600.0))
            self.sysfs, self.dev = str(fields.get("sysfs", "/sys")), str(fields.get("dev", "/dev"))
            self.data_fd = int(fields["data_fd"])
            self.beat_fd = int(fields["beat_fd"])
            self.recipe = [Action(action) for action in fields["recipe"]]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadJob(repr(error)) from error
        report = fields.get("report")
        self.report = None if report is None else str(report)
        if not self.recipe:
            raise BadJob("recipe: empty; a sentinel that can switch nothing off protects nothing")
        if not 0.05 <= self.limit_s <= 10.0:
            raise BadJob(f"limit_s: {self.limit_s} is outside 0.05 to 10")


def monotonic_s() -> float:
    return time.clock_gettime(time.CLOCK_MONOTONIC)


def slept_s() -> float:
    """Seconds this machine has been suspended since boot; constant where the system cannot tell."""
    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    return 0.0 if boottime is None else time.clock_gettime(boottime) - monotonic_s()


def open_port(path: str) -> int:
    """Open, lock and set to raw bytes. `flock` as pyserial does it: TIOCEXCL would lock out the rig that may have to
    take over. Raises `PortBusy` or `OSError`."""
    port = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(port, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise PortBusy(path) from error
        control = termios.CS8 | termios.CREAD | termios.CLOCAL
        characters = termios.tcgetattr(port)[6]
        characters[termios.VMIN], characters[termios.VTIME] = 1, 0
        rate = termios.B115200
        try:
            termios.tcsetattr(port, termios.TCSANOW, [0, 0, control, 0, rate, rate, characters])
            termios.tcflush(port, termios.TCIFLUSH)
        except termios.error as error:
            raise OSError(errno.EIO, f"not a serial port: {error}") from error
    except (OSError, PortBusy):
        os.close(port)
        raise
    return port


def pts_made(path: str) -> tuple[int, int] | None:
    """Tells one making of a link to a pseudo-terminal from the next; None for every other path.

    The numbers below /dev/pts are used again: what answers there after a hang-up may be somebody's shell. So such a
    port is back only when its link was made anew. A bare /dev/pts path never is.
    """
    if not os.path.realpath(path).startswith("/dev/pts/"):
        return None
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return (found.st_ino, found.st_ctime_ns) if stat.S_ISLNK(found.st_mode) else (0, 0)


class Sentinel:
    """One control port, one rig. Owns all three descriptors."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.port: int | None = None
        self.path = job.port
        self.identity: Identity | None = None
        self.made: tuple[int, int] | None = None
        self.data: int | None = job.data_fd
        self.beat: int | None = job.beat_fd
        self.to_port: list[bytes] = []
        self.to_rig = b""
        self.line = b""
        self.last_id = 0
        self.last_beat_s = monotonic_s()
        self.patience_s = job.first_beat_s
        self.slept_s = slept_s()
        self.why: str | None = None  # why the rig has to be fenced off; None while all is well
        self.released = False
        self.lost_s = 0.0

    # --- the rig's side -------------------------------------------------------------------------------------------

    def tell(self, message: dict[str, object]) -> None:
        """One line to the rig. A rig that does not read loses it: nothing here ever waits for the rig."""
        if self.beat is None:
            return
        try:
            os.write(self.beat, json.dumps(message).encode() + b"\n")
        except BlockingIOError:
            log(self.job, f"the rig does not read: {message}")
        except OSError as error:
            self.condemn(f"beat socket: {error.strerror}")

    def condemn(self, why: str) -> None:
        """The rig is to be fenced off; the first reason stands."""
        if self.why is None:
            self.why = why

    def hear(self) -> None:
        """Read the beat socket."""
        if self.beat is None:
            return
        try:
            text = os.read(self.beat, KEEP_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self.condemn(f"beat socket: {error.strerror}")
            return
        if not text:
            self.condemn("the rig closed the beat socket")
            return
        *lines, self.line = (self.line + text).split(b"\n")
        if len(self.line) > 4096:
            self.condemn("the rig sent a line without an end")
        for line in lines:
            try:
                message = json.loads(line)
                beat, ping = message.get("beat"), message.get("ping")
                self.released = self.released or message.get("release") is True
            except (ValueError, AttributeError):
                self.condemn(f"the rig sent a line that is no beat: {line[:80]!r}")
                return
            if beat is not None:
                self.last_beat_s = monotonic_s()
                self.patience_s = self.job.limit_s
            if beat is not None or ping is not None:
                self.tell({"ack": beat if ping is None else ping})

    def judge(self) -> None:
        """Hold the clocks against the limits. Called after the sockets were read, so that a beat which waited while
        this process was frozen still counts."""
        slept = slept_s()
        if slept - self.slept_s > SUSPEND_S:
            self.condemn(f"suspended: the machine slept for {slept - self.slept_s:.1f} s")
        self.slept_s = slept
        if self.port is None:
            self.last_beat_s = monotonic_s()  # no port, no sensors, no sweeps
        if monotonic_s() - self.last_beat_s > self.patience_s:
            self.hear()
        waited_s = monotonic_s() - self.last_beat_s
        if waited_s > self.patience_s:
            self.condemn(f"no beat for {waited_s:.3f} s")

    def fence(self) -> None:
        """From here on nothing the rig does can reach the port."""
        self.tell({"event": "fenced", "why": self.why})
        for descriptor in (self.data, self.beat):
            if descriptor is not None:
                os.close(descriptor)
        self.data = self.beat = None
        self.to_port.clear()
        self.to_rig = b""

    # --- the port's side ------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Open the port, for the first time or again. Raises `PortBusy` or `OSError`."""
        path, identity = self.job.port, self.identity
        if identity is not None:
            path = identity.find()
        elif self.made is not None and pts_made(path) == self.made:
            raise OSError(errno.ENODEV, "still the link to the pseudo-terminal that hung up")
        port = open_port(path)
        found = os.fstat(port)
        try:
            if identity is not None:
                identity.check(found)
        except OSError:
            os.close(port)
            raise
        self.port, self.path, self.made = port, path, pts_made(path)
        if identity is None:
            self.identity = identity_of(found, self.job.sysfs, self.job.dev)

    def port_lost(self, why: str) -> None:
        if self.port is not None:
            os.close(self.port)
            self.port = None
            if self.identity is not None:
                self.identity.look()
        self.lost_s = monotonic_s()
        self.to_port.clear()
        self.to_rig = b""
        log(self.job, f"control port lost: {why}")
        self.tell({"event": "port_lost", "why": why})

    def port_read(self) -> bytes:
        assert self.port is not None
        try:
            data = os.read(self.port, 4096)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise PortGone(os.strerror(error.errno or errno.EIO)) from error
        if not data:
            raise PortGone("end of file")
        return data

    def port_write(self, data: bytes) -> int:
        assert self.port is not None
        try:
            return os.write(self.port, data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise PortGone(os.strerror(error.errno or errno.EIO)) from error

    def carry(self, ready: dict[int, int]) -> None:
        """Move bytes between rig and port."""
        if self.data is not None and ready.get(self.data, 0) & ~select.POLLOUT:
            try:
                request = os.read(self.data, KEEP_BYTES)
            except BlockingIOError:
                request = None
            except OSError as error:
                request = None
                self.condemn(f"data socket: {error.strerror}")
            if request == b"":
                self.condemn("the rig closed the data socket")
            elif request and self.port is not None:  # without a port it is dropped: the rig's question times out
                self.to_port.append(request)
                if len(request) > 2:
                    self.last_id = request[2]
        if self.why is not None:
            return
        while self.to_port:
            sent = self.port_write(self.to_port[0])
            if sent < len(self.to_port[0]):
                self.to_port[0] = self.to_port[0][sent:]
                break
            self.to_port.pop(0)
        if self.port is not None and ready.get(self.port, 0) & ~select.POLLOUT:
            self.to_rig = (self.to_rig + self.port_read())[-KEEP_BYTES:]
        if self.to_rig and self.data is not None:
            try:
                self.to_rig = self.to_rig[os.write(self.data, self.to_rig) :]
            except BlockingIOError:
                return  # the rig does not read; its next beat is late too
            except OSError as error:
                self.condemn(f"data socket: {error.strerror}")

    def poll(self, timeout_s: float, *, data: bool = True) -> dict[int, int]:
        watch = select.poll()
        if self.port is not None:
            watch.register(self.port, select.POLLIN | (select.POLLOUT if data and self.to_port else 0))
        if data and self.data is not None:
            watch.register(self.data, select.POLLIN | (select.POLLOUT if self.to_rig else 0))
        if self.beat is not None:
            watch.register(self.beat, select.POLLIN)
        return dict(watch.poll(max(0.0, timeout_s) * 1000.0))

    # --- the recipe -----------------------------------------------------------------------------------------------

    def pause(self, seconds: float) -> None:
        """Wait, go on answering beats, and throw away what the port says meanwhile. Raises `PortGone`."""
        until_s = monotonic_s() + seconds
        while (left_s := until_s - monotonic_s()) > 0:
            ready = self.poll(left_s, data=False)
            if self.beat in ready:
                self.hear()
                if self.why is not None and self.beat is not None:
                    self.fence()
            if self.port in ready:
                self.port_read()

    def room(self, timeout_s: float) -> bool:
        """Whether the port takes more bytes within this time, or has news of its own end."""
        assert self.port is not None
        watch = select.poll()
        watch.register(self.port, select.POLLOUT)
        return timeout_s > 0 and bool(watch.poll(timeout_s * 1000.0))

    def ask(self, action: Action) -> tuple[bool, str]:
        """Send one request with a fresh id. Returns whether the answer fits, and what came. Raises `PortGone`."""
        self.last_id = (self.last_id + 1) % 0xFF  # FF is the firmware's own id, for frames it could not parse
        own_id = bytes([self.last_id])
        frame = action.request[:2] + own_id + action.request[3:]
        until_s = monotonic_s() + REPLY_S
        while frame:
            frame = frame[self.port_write(frame) :]
            if frame and not self.room(until_s - monotonic_s()):
                return False, "the port takes no bytes"
        wanted = action.reply[:2] + own_id + action.reply[3:]
        mask = b"\xff\xff\xff" + action.mask[3:]
        came = b""
        while (left_s := until_s - monotonic_s()) > 0:
            ready = self.poll(left_s, data=False)
            if self.beat in ready:
                self.hear()
                if self.why is not None and self.beat is not None:
                    self.fence()
            if self.port in ready:
                came += self.port_read()
                for at in range(len(came) - len(wanted) + 1):  # answers to older questions may stand before ours
                    if all((a ^ b) & m == 0 for a, b, m in zip(came[at:], wanted, mask, strict=False)):
                        return True, came[at : at + len(wanted)].hex(" ")
                if own_id in came[2:]:  # perhaps an error or another value: give it the time to end
                    until_s = min(until_s, monotonic_s() + QUIET_S)
        return False, f"answered {came.hex(' ')}" if came else "no answer"

    def play_once(self) -> list[dict[str, object]]:
        """Every action in order, whatever became of the one before. Returns one outcome an actuator."""
        outcomes: dict[str, dict[str, object]] = {}
        for action in self.job.recipe:
            good, detail = False, ""
            for attempt in range(TRIES):
                if attempt:
                    self.pause(SETTLE_S)
                good, detail = self.ask(action)
                if good:
                    break
            outcome = outcomes.setdefault(action.confirms or action.name, {"sent": False, "confirmed": False})
            if action.confirms is None:
                outcome["sent"] = good
                outcome["confirmed"] = good  # stands only where no later read-back speaks
            else:
                outcome["sent"] = outcome["sent"] or good
                outcome["confirmed"] = good
            outcome["detail"] = detail
            self.pause(action.pause_s)
        return [{"name": name, **outcome} for name, outcome in outcomes.items()]

    def safe_off(self) -> dict[str, object]:
        """Play the recipe until it is confirmed, at most `ROUNDS` times. Raises `PortGone`."""
        began_s = monotonic_s()
        assert self.port is not None
        self.to_port.clear()
        self.to_rig = b""
        self.flush()
        self.pause(SETTLE_S)
        self.flush()
        confirmed, actions, rounds = False, list[dict[str, object]](), 0
        while rounds < ROUNDS and not confirmed:
            if rounds:
                self.pause(ROUND_PAUSE_S)
            actions = self.play_once()
            confirmed = all(action["confirmed"] for action in actions)
            rounds += 1
        return self.report(confirmed, actions, f"{rounds} round{'' if rounds == 1 else 's'}", began_s)

    def report(
        self, confirmed: bool, actions: list[dict[str, object]], detail: str, began_s: float | None = None
    ) -> dict[str, object]:
        """Times are CLOCK_MONOTONIC, which all processes of a machine share."""
        return {
            "schema": REPORT_SCHEMA,
            "board": self.job.name,
            "port": self.path,
            "why": self.why or "the control port came back",
            "last_beat_s": self.last_beat_s,
            "began_s": began_s,
            "ended_s": monotonic_s(),
            "confirmed": confirmed,
            "actions": actions,
            "detail": detail,
        }

    def flush(self) -> None:
        assert self.port is not None
        try:
            termios.tcflush(self.port, termios.TCIOFLUSH)
        except termios.error as error:
            raise PortGone(str(error)) from error

    # --- life -----------------------------------------------------------------------------------------------------

    def over(self) -> bool:
        return self.released or self.why is not None

    def serve(self) -> None:
        """Carry bytes until the rig is released or has to be fenced off."""
        while not self.over():
            try:
                if self.port is None:
                    self.try_reopen()
                ready = self.poll(TICK_S if self.port is not None else REOPEN_S)
                # Asked anew before any request is carried: `ready` may be from before a freeze of this process.
                if self.beat in ready or self.data in ready:
                    self.hear()
                self.judge()
                if not self.over():
                    self.carry(ready)
            except PortGone as error:
                self.port_lost(str(error))

    def try_reopen(self) -> None:
        """One attempt. A port that returns is a board presumed hot and hashing: safe-off first."""
        try:
            self.open()
        except (OSError, PortBusy):
            return
        log(self.job, f"control port back after {monotonic_s() - self.lost_s:.1f} s, {self.path}")
        report = self.safe_off()
        publish(self.job, report)
        self.last_beat_s = monotonic_s()
        self.patience_s = max(self.job.limit_s, RETURN_S)
        if self.data is not None:
            self.drop_requests()
        self.tell({"event": "port_back", "report": report})

    def drop_requests(self) -> None:
        """What the rig asked while there was no port is stale."""
        assert self.data is not None
        try:
            while os.read(self.data, KEEP_BYTES):
                continue
            self.condemn("the rig closed the data socket")
        except BlockingIOError:
            return
        except OSError as error:
            self.condemn(f"data socket: {error.strerror}")

    def after_fence(self) -> bool:
        """Make the board safe without a rig. Waits for a lost port, at most `orphan_s`."""
        give_up_s = monotonic_s() + self.job.orphan_s
        while True:
            try:
                if self.port is None:
                    self.open()
                report = self.safe_off()
                publish(self.job, report)
                return report["confirmed"] is True
            except PortGone as error:
                self.port_lost(str(error))
            except (OSError, PortBusy) as error:
                why = str(error)
                if monotonic_s() > give_up_s:
                    publish(self.job, self.report(False, [], f"no port for {self.job.orphan_s:.0f} s: {why}"))
                    return False
            time.sleep(REOPEN_S)  # no rig and no port are left to select on, and a node that comes back wakes nobody

    def run(self) -> int:
        try:
            self.open()
        except PortBusy:
            self.tell({"event": "failed", "error": "busy", "why": "held by another program"})
            return 4
        except OSError as error:
            self.tell({"event": "failed", "error": "missing", "why": error.strerror or str(error)})
            return 3
        log(self.job, f"watching {self.job.port}")
        self.tell({"event": "ready", "pid": os.getpid()})
        self.serve()
        if self.released and self.why is None:
            self.tell({"event": "released"})
            return 0
        log(self.job, f"fencing the rig off: {self.why}")
        self.fence()
        return 0 if self.after_fence() else 5


def log(job: Job, text: str) -> None:
    """To standard error, which may be closed or full: losing a log line must never cost a safe-off."""
    try:
        os.write(2, f"sentinel {job.name} [{os.getpid()}] {monotonic_s():.3f}: {text}\n".encode())
    except OSError:
        return


def publish(job: Job, report: dict[str, object]) -> None:
    """To the log, and to the report file in one step, so that a reader never sees half of it."""
    text = json.dumps(report)
    log(job, text)
    if job.report is None:
        return
    try:
        part = f"{job.report}.part"
        with open(part, "w", encoding="ascii") as file:
            file.write(text + "\n")
        os.replace(part, job.report)
    except OSError as error:
        log(job, f"{job.report}: {error}")


def main() -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    text = b""
    while chunk := os.read(0, KEEP_BYTES):
        text += chunk
    try:
        job = Job(text)
    except BadJob as error:
        os.write(2, f"sentinel: job: {error}\n".encode())
        return 2
    os.set_blocking(job.data_fd, False)
    os.set_blocking(job.beat_fd, False)
    return Sentinel(job).run()


if __name__ == "__main__":
    sys.exit(main())
