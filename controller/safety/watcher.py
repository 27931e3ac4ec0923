"""The watcher: a small process that stops the chips of a bare hash board when the program that feeds them cannot.

Such a board has no bridge: no control port, and no power that a program could cut. What a kill or a freeze must not
leave behind is chips that hash, and all that stops them is bytes on the one port that feeds them. So this process
inherits that port, open and at its rate, and writes the stop that the chips' driver made beforehand.

Why not the sentinel (sentinel.py): it *owns* its port, so that whoever is fenced off can write nothing more. Here it
would have to carry every job and nonce and to change line rates in order with them; its requests have ids and are each
answered, writes to chips have none and are not; and a port that comes back would be a board found hot, which is no
reason to stay at an inherited descriptor. Nearly each of its methods would need a second half. This one is short
because it does not own the port, and pays for that: a program that was frozen, not killed, can write again when it
wakes. It is told, looks at its sockets before its timers (controller/attentive.py), stops the chips itself and reads
that back; and until it has, or is gone, everything that is heard of it is answered with another stop.

Run as `python -I -S watcher.py`, standard library only. It reads one JSON object (its job) from standard input and
inherits the port and one end of a socket, which carries JSON lines. The rig: `{"beat": n}` from its event loop,
`{"release": true}` after its own confirmed stop. The watcher: `{"ack": n}` and `{"event": ...}`: ready, stopping,
stopped, released. No beat for `limit_s`, a closed socket, a malformed line or a suspend of the machine: stop.

The stop is written so often that half a frame before it does not swallow it, then each chip is asked whether it has.
The rate stays with the descriptor, so nobody has to tell it; for the moment in which it is changed, both are tried.

Exit codes: 0 released, or the stop was confirmed; 2 bad job; 5 not confirmed.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import struct
import sys
import termios
import time

REPORT_SCHEMA = "hashbridge.watcher/1"
TICK_S = 0.05
SUSPEND_S = 0.5
ROUNDS = 3
REPEATS = 16
"""Twice 11 bytes each: more than the 152 of the longest frame, whatever half of one stands before them."""
TRIES = 2
ROOM_S = 0.5
QUIET_S = 0.05
"""Before a change of rate: what was written at 115,200 baud has left, and 10 ms more have passed."""
KEEP_BYTES = 65536
LONGEST_LINE = 4096
TCGETS2, TCSETS2 = 0x802C542A, 0x402C542B
"""Of Linux on x86 and ARM: rates without a constant of their own, as pyserial sets them."""
TERMIOS2 = struct.Struct("=IIII20sII")
ANY_RATE, RATE_BITS = 0o010000, 0o010017


class BadJob(Exception):
    """The job on standard input cannot be carried out as written."""


class PortGone(Exception):
    """The port hung up or takes no bytes."""


class Proof:
    """One question to one chip, and the answer of one that has stopped."""

    def __init__(self, fields: dict[str, object]) -> None:
        self.name = str(fields["name"])
        self.question, self.answer, self.mask = (
            bytes.fromhex(str(fields[key])) for key in ("question", "answer", "mask")
        )
        if not self.question or not self.answer or len(self.mask) != len(self.answer):
            raise BadJob(f"proof: {self.name}: an empty frame, or mask and answer differ in length")

    def in_(self, came: bytes) -> bool:
        """Whether the answer stands anywhere in these bytes."""
        return any(
            all((a ^ b) & m == 0 for a, b, m in zip(came[at:], self.answer, self.mask, strict=False))
            for at in range(len(came) - len(self.answer) + 1)
        )


class Job:
    """Which port, how long to be patient, and what to write."""

    def __init__(self, text: bytes) -> None:
        try:
            fields = json.loads(text)
            self.name = str(fields["name"])
            self.limit_s = float(fields["limit_s"])
            self.first_beat_s = float(fields.get("first_beat_s", 3.0))
            self.port_fd, self.beat_fd = int(fields["port_fd"]), int(fields["beat_fd"])
            self.stop = b"".join(bytes.fromhex(write) for write in fields["writes"])
            self.proofs = [Proof(proof) for proof in fields["proofs"]]
            self.bauds = [int(baud) for baud in fields["bauds"]]
            self.answer_s = float(fields["answer_s"])
            report = fields.get("report")
            self.report = None if report is None else str(report)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadJob(repr(error)) from error
        if not self.stop or not self.proofs:
            raise BadJob("nothing to write, or nothing that would prove it")
        if not 0.05 <= self.limit_s <= 10.0:
            raise BadJob(f"limit_s: {self.limit_s} is outside 0.05 to 10")
        if not 0.01 <= self.answer_s <= 1.0:
            raise BadJob(f"answer_s: {self.answer_s} is outside 0.01 to 1")


def monotonic_s() -> float:
    return time.clock_gettime(time.CLOCK_MONOTONIC)


def slept_s() -> float:
    """Seconds this machine has been suspended since boot; constant where the system cannot tell."""
    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    return 0.0 if boottime is None else time.clock_gettime(boottime) - monotonic_s()


def set_rate(port: int, baud: int) -> None:
    """When what was written has left. Raises `OSError` or `termios.error`."""
    time.sleep(QUIET_S)  # the port may be stuck, and a drain would wait for ever
    constant = getattr(termios, f"B{baud}", None)
    if constant is not None:
        settings = termios.tcgetattr(port)
        settings[4] = settings[5] = constant
        termios.tcsetattr(port, termios.TCSANOW, settings)
        return
    words = list(TERMIOS2.unpack(fcntl.ioctl(port, TCGETS2, bytes(TERMIOS2.size))))
    words[2] = words[2] & ~RATE_BITS | ANY_RATE
    words[5] = words[6] = baud
    fcntl.ioctl(port, TCSETS2, TERMIOS2.pack(*words))


class Watcher:
    """One port, one rig."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.line = b""
        self.last_beat_s = monotonic_s()
        self.patience_s = job.first_beat_s
        self.slept_s = slept_s()
        self.why: str | None = None  # why the chips have to be stopped; None while all is well
        self.released = self.gone = False

    # --- the rig's side -----------------------------------------------------------------------------------------------

    def tell(self, message: dict[str, object]) -> None:
        """One line to the rig. Nothing here ever waits for it."""
        try:
            os.write(self.job.beat_fd, json.dumps(message).encode() + b"\n")
        except BlockingIOError:
            log(self.job, f"the rig does not read: {message}")
        except OSError as error:
            self.condemn(f"beat socket: {error.strerror}")

    def condemn(self, why: str) -> None:
        """The chips are to be stopped; the first reason stands."""
        if self.why is None:
            self.why = why

    def hear(self) -> bool:
        """Read the socket. Whether anything was said."""
        try:
            text = os.read(self.job.beat_fd, KEEP_BYTES)
        except BlockingIOError:
            return False
        except OSError as error:
            text = b""
            self.condemn(f"beat socket: {error.strerror}")
        if not text:
            self.gone = True
            self.condemn("the rig closed the socket")
            return False
        *lines, self.line = (self.line + text).split(b"\n")
        if len(self.line) > LONGEST_LINE:
            self.line = b""
            self.condemn("the rig sent a line without an end")
        for line in lines:
            try:
                message = json.loads(line)
                beat = message.get("beat")
                self.released = self.released or message.get("release") is True
            except (ValueError, AttributeError):
                self.condemn(f"the rig sent a line that is no beat: {line[:80]!r}")
                continue
            if beat is not None:
                self.last_beat_s = monotonic_s()
                self.patience_s = self.job.limit_s
                self.tell({"ack": beat})
        return bool(lines)

    def judge(self) -> None:
        """Hold the clocks against the limits. A beat that waited while this process was frozen still counts."""
        slept = slept_s()
        if slept - self.slept_s > SUSPEND_S:
            self.condemn(f"suspended: the machine slept for {slept - self.slept_s:.1f} s")
        self.slept_s = slept
        if monotonic_s() - self.last_beat_s > self.patience_s:
            self.hear()
        waited_s = monotonic_s() - self.last_beat_s
        if waited_s > self.patience_s:
            self.condemn(f"no beat for {waited_s:.3f} s")

    def wait(self, timeout_s: float | None) -> None:
        """For the rig to say something."""
        watch = select.poll()
        watch.register(self.job.beat_fd, select.POLLIN)
        watch.poll(None if timeout_s is None else timeout_s * 1000.0)

    # --- the port's side ----------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """All of it. Raises `PortGone`."""
        until_s = monotonic_s() + ROOM_S
        while data:
            try:
                data = data[os.write(self.job.port_fd, data) :]
            except BlockingIOError:
                left_s = until_s - monotonic_s()
                watch = select.poll()
                watch.register(self.job.port_fd, select.POLLOUT)
                if left_s <= 0 or not watch.poll(left_s * 1000.0):
                    raise PortGone("the port takes no bytes") from None
            except OSError as error:
                raise PortGone(f"the port is lost: {error.strerror}") from error

    def ask(self, proof: Proof) -> bool:
        """Whether this chip says in time that it has stopped. Nonces that are still under way may come before."""
        self.write(proof.question)
        came, until_s = b"", monotonic_s() + self.job.answer_s
        while (left_s := until_s - monotonic_s()) > 0:
            watch = select.poll()
            watch.register(self.job.port_fd, select.POLLIN)
            if not watch.poll(left_s * 1000.0):
                return False
            try:
                data = os.read(self.job.port_fd, KEEP_BYTES)
            except BlockingIOError:
                continue
            except OSError as error:
                raise PortGone(f"the port is lost: {error.strerror}") from error
            if not data:
                raise PortGone("the port is lost: end of file")
            came += data
            if proof.in_(came):
                return True
            came = came[-KEEP_BYTES:]
        return False

    def try_once(self, baud: int | None) -> tuple[int, str]:
        """The stop at this rate, None being that of the descriptor: how much is proven, and what is not (empty)."""
        proven = 0
        try:
            if baud is not None:
                set_rate(self.job.port_fd, baud)
            self.write(REPEATS * self.job.stop)
            termios.tcflush(self.job.port_fd, termios.TCIFLUSH)
            for proof in self.job.proofs:
                if not any(self.ask(proof) for _ in range(TRIES)):
                    return proven, f"{proof.name}: no answer that says so"
                proven += 1
        except PortGone as error:
            return proven, str(error)
        except (OSError, termios.error) as error:
            return proven, f"the port is lost: {error.args[-1]}"
        return proven, ""

    def stop(self) -> dict[str, object]:
        """Until every chip has confirmed it, at most `ROUNDS` times at each rate. Never raises."""
        began_s, tries, most, missing = monotonic_s(), 0, -1, ""
        for baud in (None, *self.job.bauds[::-1]) * ROUNDS:
            tries += 1
            proven, lacks = self.try_once(baud)
            if proven > most or not lacks:
                most, missing = proven, lacks
            if not lacks:
                break
        return {
            "schema": REPORT_SCHEMA,
            "name": self.job.name,
            "why": self.why,
            "last_beat_s": self.last_beat_s,
            "began_s": began_s,
            "ended_s": monotonic_s(),
            "confirmed": not missing,
            "tries": tries,
            "detail": missing or f"{len(self.job.proofs)} registers read back",
        }

    # --- life ---------------------------------------------------------------------------------------------------------

    def act(self) -> bool:
        """Stop the chips and say so. Whether it is confirmed."""
        report = self.stop()
        publish(self.job, report)
        self.tell({"event": "stopped", **report})
        return report["confirmed"] is True

    def over(self) -> bool:
        """The rig has no use for this process any more."""
        return self.released or self.gone

    def stand_by(self, confirmed: bool) -> bool:
        """The chips are stopped, and a rig that was frozen may wake. Until it has stopped them itself, or is gone."""
        while not self.over():
            self.wait(None)
            if self.hear() and not self.over():
                try:
                    self.write(self.job.stop)
                except PortGone as error:
                    log(self.job, str(error))
            elif self.gone:
                confirmed = self.act()  # whatever it wrote before it went
        return confirmed or self.released

    def run(self) -> int:
        self.tell({"event": "ready", "pid": os.getpid()})
        while not self.released and self.why is None:
            self.wait(TICK_S)
            self.hear()
            self.judge()
        if self.why is None:
            self.tell({"event": "released"})
            return 0
        log(self.job, f"stopping the chips: {self.why}")
        self.tell({"event": "stopping", "why": self.why})
        return 0 if self.stand_by(self.act()) else 5


def log(job: Job, text: str) -> None:
    """To standard error, which may be closed: losing a line must never cost a stop."""
    try:
        below = "\n" if os.isatty(2) else ""  # the progress line of the rig has no end
        os.write(2, f"{below}hashbridge watcher [{os.getpid()}] of {job.name}: {text}\n".encode())
    except OSError:
        return


def publish(job: Job, report: dict[str, object]) -> None:
    """To the report file in one step, so that a reader never sees half of it; and in words, the chips being stopped."""
    if job.report is not None:
        try:
            part = f"{job.report}.part"
            with open(part, "w", encoding="ascii") as file:
                file.write(json.dumps(report) + "\n")
            os.replace(part, job.report)
        except OSError as error:
            log(job, f"{job.report}: {error}")
    if report["confirmed"]:
        log(job, f"the chips are stopped, {report['detail']}")
    else:
        log(job, f"NOT STOPPED, cut the supply now ({report['detail']})")


def main() -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    text = b""
    while chunk := os.read(0, KEEP_BYTES):
        text += chunk
    try:
        job = Job(text)
    except BadJob as error:
        os.write(2, f"watcher: job: {error}\n".encode())
        return 2
    os.set_blocking(job.port_fd, False)
    os.set_blocking(job.beat_fd, False)
    return Watcher(job).run()


if __name__ == "__main__":
    sys.exit(main())
