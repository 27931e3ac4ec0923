"""The watcher's own rules, one by one, in this process: a pseudo-terminal for the port and a socket for the rig."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import socket
import threading
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from controller.safety import watcher
from controller.safety.watcher import BadJob, Job, PortGone, Watcher
from tests.unit.controller.test_watcher import hashing
from tests.waiting import until

pytestmark = pytest.mark.real_time

STOP, QUESTION, ANSWER = b"\x55\xaa stop it", b"\x55\xaa stopped?", b"\xaa\x55 stopped"


class Chips:
    """The far end of the port: answers every question with what `say` gives, and keeps what it hears."""

    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        tty.setraw(self.slave)
        os.set_blocking(self.slave, False)
        self.heard = b""
        self.questions = 0
        self.say: Callable[[int], bytes] = lambda number: ANSWER
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        seen = 0
        while not self._over.is_set():
            if not select.select([self.master], [], [], 0.02)[0]:
                continue
            self.heard += os.read(self.master, 4096)
            while (at := self.heard.find(QUESTION, seen)) >= 0:
                seen = at + len(QUESTION)
                self.questions += 1
                os.write(self.master, self.say(self.questions))

    def close(self) -> None:
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()
        os.close(self.master)
        os.close(self.slave)


class Stand:
    def __init__(self, directory: Path) -> None:
        self.chips = Chips()
        self.rig, far = socket.socketpair()
        far.setblocking(False)
        self.far = far
        self.directory = directory
        self.watcher = Watcher(Job(self.job()))

    def job(self, **changes: object) -> bytes:
        proof = {"name": "chip 0", "question": QUESTION.hex(), "answer": ANSWER.hex(), "mask": "ff" * len(ANSWER)}
        fields: dict[str, object] = {
            "name": "bench",
            "limit_s": 1.0,
            "answer_s": 0.1,
            "port_fd": self.chips.slave,
            "beat_fd": self.far.fileno(),
            "writes": [STOP.hex()],
            "proofs": [proof],
            "bauds": [115200, 1000000],
            "report": str(self.directory / "report.json"),
        }
        return json.dumps(fields | changes).encode()

    def told(self) -> list[dict[str, object]]:
        self.rig.settimeout(1.0)
        return [json.loads(line) for line in self.rig.recv(65536).splitlines()]


def why(s: Stand) -> str | None:
    """Anew each time."""
    return s.watcher.why


@pytest.fixture
def s(tmp_path: Path) -> Iterator[Stand]:
    stand = Stand(tmp_path)
    yield stand
    stand.chips.close()
    stand.rig.close()
    stand.far.close()


@pytest.mark.parametrize(
    "changes",
    [
        {"writes": []},
        {"proofs": []},
        {"limit_s": 0.01},
        {"limit_s": 60.0},
        {"proofs": [{"name": "x", "question": "", "answer": "aa", "mask": "ff"}]},
        {"proofs": [{"name": "x", "question": "55", "answer": "aa", "mask": "ffff"}]},
        {"bauds": None},
    ],
    ids=str,
)
def test_a_job_that_could_stop_nothing_is_refused(s: Stand, changes: dict[str, object]) -> None:
    with pytest.raises(BadJob):
        Job(s.job(**changes))


def test_a_machine_that_slept_is_a_rig_that_was_not_watching(s: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    slept = watcher.slept_s()
    monkeypatch.setattr(watcher, "slept_s", lambda: slept + 3.0)
    s.watcher.judge()
    assert why(s) == "suspended: the machine slept for 3.0 s"


def test_short_sleeps_do_not_add_up_to_a_long_one(s: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    slept = watcher.slept_s()
    for more_s in (0.3, 0.6, 0.9):
        monkeypatch.setattr(watcher, "slept_s", lambda more_s=more_s: slept + more_s)
        s.watcher.judge()
        assert why(s) is None


def test_no_beat_for_longer_than_the_limit_is_the_end_and_one_that_waited_counts(
    s: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    s.rig.send(b'{"beat":1}\n')
    s.watcher.hear()
    assert s.told() == [{"ack": 1}]
    now_s = watcher.monotonic_s()
    monkeypatch.setattr(watcher, "monotonic_s", lambda: now_s + 0.9)
    s.watcher.judge()
    assert why(s) is None
    monkeypatch.setattr(watcher, "monotonic_s", lambda: now_s + 1.5)
    s.rig.send(b'{"beat":2}\n')  # it was we who stood still
    s.watcher.judge()
    assert why(s) is None
    monkeypatch.setattr(watcher, "monotonic_s", lambda: now_s + 2.6)
    s.watcher.judge()
    assert (why(s) or "").startswith("no beat for 1.1")


def test_before_the_first_beat_it_is_more_patient_and_then_not_any_more(
    s: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = watcher.monotonic_s()
    monkeypatch.setattr(watcher, "monotonic_s", lambda: now_s + 2.9)
    s.watcher.judge()
    assert why(s) is None
    monkeypatch.setattr(watcher, "monotonic_s", lambda: now_s + 3.1)
    s.watcher.judge()
    assert why(s) is not None


def test_a_line_without_an_end_is_no_beat(s: Stand) -> None:
    s.rig.send(b"x" * 5000)
    s.watcher.hear()
    assert why(s) == "the rig sent a line without an end"
    assert s.watcher.line == b""


def test_the_first_reason_stands(s: Stand) -> None:
    s.watcher.condemn("one")
    s.watcher.condemn("another")
    assert why(s) == "one"


@pytest.mark.parametrize("talk", ["tell", "hear"])
def test_a_socket_that_is_broken_is_a_rig_that_is_not_there(s: Stand, talk: str) -> None:
    s.far.close()
    if talk == "tell":
        s.watcher.tell({"ack": 1})
    else:
        s.watcher.hear()
    assert why(s) == "beat socket: Bad file descriptor"


def test_a_rig_that_hung_up_is_gone(s: Stand) -> None:
    s.rig.close()
    assert s.watcher.hear() is False
    assert (s.watcher.gone, s.watcher.over(), why(s)) == (True, True, "the rig closed the socket")


def test_what_was_left_in_the_line_is_thrown_away_before_a_chip_is_asked(s: Stand) -> None:
    """An answer of before the stop proves nothing."""
    os.write(s.chips.master, ANSWER)
    s.chips.say = lambda number: b""
    s.chips.start()
    assert s.watcher.try_once(None) == (0, "chip 0: no answer that says so")


def test_a_question_is_asked_again_before_the_chip_is_given_up(s: Stand) -> None:
    s.chips.say = lambda number: ANSWER if number == 2 else b""
    s.chips.start()
    assert s.watcher.try_once(None) == (1, "")
    assert s.chips.questions == 2


def test_the_stop_is_written_anew_at_each_rate_and_in_several_rounds(s: Stand) -> None:
    """Two questions a try, three tries a round: this chip hears none before the third round."""
    s.chips.say = lambda number: ANSWER if number > 12 else b""
    s.chips.start()
    report = s.watcher.stop()
    assert (report["confirmed"], report["tries"]) == (True, 7)
    assert s.chips.heard.count(STOP) == 7 * 16


def test_chips_that_never_say_it_are_given_up_after_so_many_rounds(s: Stand) -> None:
    s.chips.say = lambda number: b""
    s.chips.start()
    report = s.watcher.stop()
    assert (report["confirmed"], report["tries"]) == (False, 9)
    assert report["detail"] == "chip 0: no answer that says so"


def test_a_port_that_takes_no_bytes_is_given_up_in_half_a_second(s: Stand) -> None:
    began_s = time.monotonic()
    with pytest.raises(PortGone, match="takes no bytes"):
        s.watcher.write(b"x" * (1 << 22))  # nobody reads at the far end
    assert 0.4 < time.monotonic() - began_s < 5.0


@pytest.mark.parametrize(
    ("reads", "why_lost"),
    [(True, "the port is lost: end of file"), (False, "the port is lost: Connection reset by peer")],
)
def test_a_port_that_goes_before_the_answer_is_lost_and_not_silent(s: Stand, reads: bool, why_lost: str) -> None:
    near, far = socket.socketpair()
    near.setblocking(False)

    def go() -> None:
        far.recv(4096, 0 if reads else socket.MSG_PEEK)  # a question that nobody has read is an error at this end
        far.close()

    beside = Watcher(Job(s.job(port_fd=near.fileno(), answer_s=1.0)))
    going = threading.Thread(target=go)
    going.start()
    with near, pytest.raises(PortGone, match=why_lost):
        beside.ask(beside.job.proofs[0])
    going.join()


def test_what_becomes_of_it_is_told_to_a_rig_that_lets_it_go(s: Stand) -> None:
    s.rig.send(b'{"beat":1}\n{"release":true}\n')
    assert s.watcher.run() == 0
    assert s.told() == [{"event": "ready", "pid": os.getpid()}, {"ack": 1}, {"event": "released"}]
    assert s.chips.heard == b""


def test_what_becomes_of_it_is_told_to_a_rig_that_is_condemned(s: Stand) -> None:
    """Also that it is about to be: a rig that wakes meanwhile must not write."""
    s.chips.start()
    s.rig.send(b"no beat\n")
    standing = threading.Thread(target=s.watcher.run)
    standing.start()
    assert until((s.directory / "report.json").exists, 5.0)
    s.rig.send(b'{"release":true}\n')
    standing.join(5.0)
    ready, stopping, stopped = s.told()
    assert ready["event"] == "ready"
    assert stopping == {"event": "stopping", "why": "the rig sent a line that is no beat: b'no beat'"}
    assert (stopped["event"], stopped["confirmed"], stopped["why"]) == ("stopped", True, stopping["why"])


def test_a_rig_that_wakes_writes_and_goes_has_its_chips_stopped_once_more(s: Stand) -> None:
    s.chips.start()
    assert s.watcher.act() is True
    before = s.chips.heard.count(STOP)
    s.rig.close()
    assert s.watcher.stand_by(confirmed=True) is True
    assert s.chips.heard.count(STOP) == before + 16
    assert json.loads((s.directory / "report.json").read_text())["confirmed"] is True


def test_whoever_is_heard_of_before_the_release_is_answered_with_the_stop(s: Stand) -> None:
    s.chips.start()
    s.rig.send(b'{"beat":5}\n')
    standing = threading.Thread(target=s.watcher.stand_by, args=(True,))
    standing.start()
    assert until(lambda: STOP in s.chips.heard, 5.0)
    s.rig.send(b'{"release":true}\n')
    standing.join(5.0)
    assert not standing.is_alive()
    assert s.chips.heard.count(STOP) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_no_signal_that_a_terminal_sends_ends_it(number: signal.Signals, tmp_path: Path) -> None:
    async with hashing(tmp_path) as stand:
        assert stand.watcher.pid is not None
        os.kill(stand.watcher.pid, number)
        assert await stand.leave() is True
        assert not stand.running
        assert stand.lost == []
