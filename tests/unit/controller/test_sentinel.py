"""The sentinel as a process of its own, against a control port on a real pseudo-terminal.

Limits are shortened to 0.3 s here; the shipped ones are held in tests/scenarios/test_death_trials.py.
"""

from __future__ import annotations

import ast
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import pytest
from serial import Serial

from controller.safety import port_identity, sentinel
from controller.safety.sentinel_client import job_json
from drivers.boards.board import RecipeAction
from tests.unit.controller.tiny_firmware import FAN, RECIPE, REGULATOR, TinyFirmware
from tests.usb_tree import UsbTree

pytestmark = pytest.mark.real_time

LIMIT_S = 0.3
GET_RESET = bytes.fromhex("06 00 2A 00 06 00")


class Watched:
    """A sentinel process and the rig's two ends of its sockets."""

    def __init__(
        self,
        port: Path,
        directory: Path,
        *,
        recipe: tuple[RecipeAction, ...] = RECIPE,
        limit_s: float = LIMIT_S,
        orphan_s: float = 5.0,
        tree: UsbTree | None = None,
    ) -> None:
        self.report_path = directory / "report.json"
        self.data, data_far = socket.socketpair()
        self.beats, beat_far = socket.socketpair()
        self.data.settimeout(2.0)
        self.beats.settimeout(3.0)
        self.lines = b""
        fds = (data_far.fileno(), beat_far.fileno())
        sysfs, dev = ("/sys", "/dev") if tree is None else (str(tree.sysfs), str(tree.dev))
        job = job_json(
            "tiny",
            str(port),
            recipe,
            *fds,
            limit_s=limit_s,
            orphan_s=orphan_s,
            report=self.report_path,
            sysfs=sysfs,
            dev=dev,
        )
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", sentinel.__file__],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=fds,
            start_new_session=True,
        )
        data_far.close()
        beat_far.close()
        assert self.process.stdin is not None
        self.process.stdin.write(job)
        self.process.stdin.close()

    def __enter__(self) -> Watched:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        self.data.close()
        self.beats.close()

    def say(self, message: dict[str, object]) -> None:
        self.beats.sendall(json.dumps(message).encode() + b"\n")

    def hear(self) -> dict[str, object]:
        while b"\n" not in self.lines:
            chunk = self.beats.recv(65536)
            if not chunk:
                raise EOFError
            self.lines += chunk
        line, self.lines = self.lines.split(b"\n", 1)
        message: dict[str, object] = json.loads(line)
        return message

    def hear_event(self, name: str) -> dict[str, object]:
        while (message := self.hear()).get("event") != name:
            assert "ack" in message, message
        return message

    def ready(self) -> Watched:
        assert self.hear()["event"] == "ready"
        return self

    def beat(self, number: int = 1) -> None:
        self.say({"beat": number})

    def report(self) -> dict[str, object]:
        self.process.wait(5.0)
        report: dict[str, object] = json.loads(self.report_path.read_text())
        return report


@pytest.fixture
def firmware(tmp_path: Path) -> Iterator[TinyFirmware]:
    tiny = TinyFirmware(tmp_path / "control")
    yield tiny
    if tiny.path.exists():
        tiny.unplug()


def names(frames: list[bytes]) -> list[str]:
    """What the requests of the recipe are called, with the id taken out of account."""
    table = {action.request[:2] + b"\x00" + action.request[3:]: action.name for action in RECIPE}
    return [table[frame[:2] + b"\x00" + frame[3:]] for frame in frames]


def test_bytes_pass_both_ways_unchanged_and_one_send_is_one_write(firmware: TinyFirmware, tmp_path: Path) -> None:
    with Watched(firmware.path, tmp_path).ready() as watched:
        watched.beat()
        for own_id in range(20):
            frame = bytes([6, 0, own_id, 0, 6, 0])
            watched.data.sendall(frame)
            assert watched.data.recv(64) == bytes([1, 0, own_id, 1])
            assert firmware.heard[-1][1] == frame
            watched.beat(own_id)
        assert len(firmware.heard) == 20


def test_every_beat_is_acknowledged_by_its_number(firmware: TinyFirmware, tmp_path: Path) -> None:
    with Watched(firmware.path, tmp_path).ready() as watched:
        for number in (1, 2, 700):
            watched.beat(number)
            assert watched.hear() == {"ack": number}


def test_without_a_beat_the_recipe_is_played_in_order_with_fresh_ids(firmware: TinyFirmware, tmp_path: Path) -> None:
    with Watched(firmware.path, tmp_path).ready() as watched:
        watched.data.sendall(GET_RESET)
        watched.beat()
        beat_s = time.monotonic()
        assert watched.process.wait(3.0) == 0
        report = watched.report()
        played = [frame for at_s, frame in firmware.heard if at_s > beat_s + 0.1]
        assert firmware.safe
        assert names(played) == [action.name for action in RECIPE]
        assert [frame[2] for frame in played] == [0x2B + n for n in range(6)]
        assert LIMIT_S < firmware.heard[-1][0] - beat_s < LIMIT_S + 0.5
        assert report["confirmed"] is True
        assert str(report["why"]).startswith("no beat for 0.3")
        assert [a["name"] for a in report["actions"]] == ["reset asserted", "rail off", "fan full"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("which", ["data", "beats"])
def test_a_closed_socket_is_acted_on_at_once(firmware: TinyFirmware, tmp_path: Path, which: str) -> None:
    with Watched(firmware.path, tmp_path, limit_s=5.0).ready() as watched:
        watched.beat()
        assert watched.hear() == {"ack": 1}
        getattr(watched, which).close()
        assert watched.process.wait(2.0) == 0
        assert firmware.safe


def test_a_line_that_is_no_beat_fences_the_rig_off(firmware: TinyFirmware, tmp_path: Path) -> None:
    with Watched(firmware.path, tmp_path, limit_s=5.0).ready() as watched:
        watched.beats.sendall(b"\x00\xff rubbish\n")
        assert watched.process.wait(2.0) == 0
        assert firmware.safe


def test_a_fenced_rig_is_told_why_and_can_write_nothing_any_more(firmware: TinyFirmware, tmp_path: Path) -> None:
    with Watched(firmware.path, tmp_path).ready() as watched:
        watched.beat()
        assert "no beat" in str(watched.hear_event("fenced")["why"])
        assert watched.process.wait(3.0) == 0
        count = len(firmware.heard)
        with pytest.raises(BrokenPipeError):
            watched.data.sendall(bytes.fromhex("07 00 01 00 06 00 01"))
        assert watched.data.recv(1) == b""
        with Serial(
            str(firmware.path), timeout=2.0
        ) as after:  # what came before this has been heard when it is answered
            after.write(GET_RESET)
            assert len(after.read(4)) == 4
        assert [frame for _, frame in firmware.heard[count:]] == [GET_RESET]
        assert firmware.safe


def test_requests_that_queue_behind_the_fence_never_reach_the_port(firmware: TinyFirmware, tmp_path: Path) -> None:
    with Watched(firmware.path, tmp_path).ready() as watched:
        watched.beat()
        assert watched.hear() == {"ack": 1}
        watched.process.send_signal(signal.SIGSTOP)
        for _ in range(5):
            watched.data.sendall(bytes.fromhex("07 00 01 00 06 00 01"))
        watched.beats.close()
        watched.process.send_signal(signal.SIGCONT)
        assert watched.process.wait(3.0) == 0
        assert names([frame for _, frame in firmware.heard]) == [action.name for action in RECIPE]


def test_interrupt_terminate_and_hangup_are_ignored(firmware: TinyFirmware, tmp_path: Path) -> None:
    with Watched(firmware.path, tmp_path).ready() as watched:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            watched.process.send_signal(number)
        watched.beat()
        assert watched.hear() == {"ack": 1}
        assert os.getsid(watched.process.pid) == watched.process.pid


def test_a_released_sentinel_leaves_without_a_byte(firmware: TinyFirmware, tmp_path: Path) -> None:
    with Watched(firmware.path, tmp_path).ready() as watched:
        watched.beat()
        watched.say({"release": True})
        watched.hear_event("released")
        assert watched.process.wait(2.0) == 0
        assert firmware.heard == []
        assert not watched.report_path.exists()


def test_a_regulator_that_refuses_is_tried_again_and_does_not_stop_the_rest(
    firmware: TinyFirmware, tmp_path: Path
) -> None:
    firmware.nack.add(REGULATOR)
    with Watched(firmware.path, tmp_path).ready() as watched:
        watched.beats.close()
        assert watched.process.wait(5.0) == 5
        played = names([frame for _, frame in firmware.heard])
        one_round = [
            "reset asserted",
            "rail off",
            "rail off",
            "fan full",
            "read reset",
            "read rail",
            "read rail",
            "read fan",
        ]
        assert played == one_round * sentinel.ROUNDS
        assert not firmware.reset_high
        assert firmware.registers[FAN][0x4C] == 0x3F
        report = watched.report()
        outcomes = {a["name"]: a["confirmed"] for a in report["actions"]}  # type: ignore[attr-defined]
        assert outcomes == {"reset asserted": True, "rail off": False, "fan full": True}
        assert report["confirmed"] is False


def test_a_bridge_that_says_nothing_costs_a_bounded_time(firmware: TinyFirmware, tmp_path: Path) -> None:
    firmware.silent = True
    with Watched(firmware.path, tmp_path, recipe=RECIPE[:1]).ready() as watched:
        watched.beats.close()
        assert watched.process.wait(5.0) == 5
        assert len(firmware.heard) == sentinel.TRIES * sentinel.ROUNDS


def test_answers_to_older_questions_are_stepped_over(firmware: TinyFirmware, tmp_path: Path) -> None:
    firmware.before_reply = lambda: bytes.fromhex("02 00 11 AA BB  04 00 FF 11")
    with Watched(firmware.path, tmp_path).ready() as watched:
        watched.beats.close()
        assert watched.process.wait(3.0) == 0
        assert len(firmware.heard) == len(RECIPE)


def test_a_mask_of_zero_lets_a_byte_differ(firmware: TinyFirmware, tmp_path: Path) -> None:
    loose = replace(RECIPE[3], reply=b"\x01\x00\x00\x55", mask=b"\xff\xff\xff\x00")
    with Watched(firmware.path, tmp_path, recipe=(RECIPE[0], loose)).ready() as watched:
        watched.beats.close()
        assert watched.process.wait(3.0) == 0


def test_a_port_that_returns_gets_safe_off_first_and_then_serves_on(firmware: TinyFirmware, tmp_path: Path) -> None:
    with Watched(firmware.path, tmp_path, limit_s=5.0).ready() as watched:
        watched.beat()
        firmware.unplug()
        watched.hear_event("port_lost")
        watched.data.sendall(bytes.fromhex("07 00 01 00 06 00 01"))  # stale by the time there is a port again
        firmware.plug()
        report = watched.hear_event("port_back")["report"]
        assert isinstance(report, dict)
        assert report["confirmed"] is True
        assert firmware.safe
        assert names([frame for _, frame in firmware.heard]) == [action.name for action in RECIPE]
        watched.data.sendall(GET_RESET)
        assert watched.data.recv(64) == bytes.fromhex("01 00 2A 00")
        watched.beat(2)
        assert watched.hear() == {"ack": 2}


def let_it_try_in_vain(times: int) -> None:
    """For as long as so many tries of a sentinel without a rig and without a port take."""
    time.sleep(times * sentinel.REOPEN_S)  # a try that fails says nothing, to nobody: there is nothing to wait for


def test_a_port_that_returns_after_the_rig_died_is_made_safe(firmware: TinyFirmware, tmp_path: Path) -> None:
    with Watched(firmware.path, tmp_path, limit_s=5.0).ready() as watched:
        watched.beat()
        firmware.unplug()
        watched.hear_event("port_lost")
        watched.data.close()
        watched.beats.close()
        let_it_try_in_vain(3)
        firmware.plug()
        assert watched.process.wait(3.0) == 0
        assert firmware.safe


def test_a_stranger_on_a_pseudo_terminal_of_the_same_number_is_left_alone(
    firmware: TinyFirmware, tmp_path: Path
) -> None:
    number = os.readlink(firmware.path)
    with Watched(firmware.path, tmp_path, limit_s=5.0, orphan_s=0.5).ready() as watched:
        watched.beat()
        firmware.unplug(keep_link=True)
        watched.hear_event("port_lost")
        masters = [pty.openpty() for _ in range(16)]  # one of them gets the number that the link still leads to
        try:
            mine = [master for master, slave in masters if os.ttyname(slave) == number]
            assert len(mine) == 1
            watched.beats.close()
            assert watched.process.wait(3.0) == 5
            os.set_blocking(mine[0], False)
            with pytest.raises(BlockingIOError):
                os.read(mine[0], 64)
        finally:
            for pair in masters:
                os.close(pair[0])
                os.close(pair[1])
    assert watched.report()["confirmed"] is False


def test_a_port_that_returns_under_another_name_is_found_by_its_board_and_made_safe(
    firmware: TinyFirmware, tmp_path: Path
) -> None:
    tree = UsbTree(tmp_path / "usb")
    port = tree.plug("ttyACM0", str(firmware.path))
    with Watched(port, tmp_path, limit_s=5.0, tree=tree).ready() as watched:
        watched.beat()
        firmware.unplug()
        tree.unplug("ttyACM0")
        watched.hear_event("port_lost")
        firmware.plug()
        firmware.energise()
        back = tree.plug("ttyACM3", str(firmware.path))
        report = watched.hear_event("port_back")["report"]
        assert isinstance(report, dict)
        assert (report["confirmed"], report["port"]) == (True, str(back))
        assert firmware.safe
        watched.data.sendall(GET_RESET)
        assert watched.data.recv(64) == bytes.fromhex("01 00 2A 00")


def test_another_board_that_gets_its_name_meanwhile_hears_not_a_byte(firmware: TinyFirmware, tmp_path: Path) -> None:
    tree = UsbTree(tmp_path / "usb")
    port = tree.plug("ttyACM0", str(firmware.path))
    stranger = TinyFirmware(tmp_path / "stranger")
    try:
        with Watched(port, tmp_path, limit_s=5.0, tree=tree).ready() as watched:
            watched.beat()
            firmware.unplug()
            tree.unplug("ttyACM0")
            watched.hear_event("port_lost")
            tree.plug("ttyACM0", str(stranger.path), "1-1.4", strings={"serial": "03666228"})
            watched.beats.close()  # and the rig dies: nobody else will look for the board
            let_it_try_in_vain(5)
            assert watched.process.poll() is None
            assert stranger.heard == []
            firmware.plug()
            firmware.energise()
            tree.plug("ttyACM7", str(firmware.path))
            assert watched.process.wait(3.0) == 0
            assert firmware.safe
            assert stranger.heard == []
    finally:
        stranger.unplug()


def test_a_port_that_never_returns_is_given_up_and_reported(firmware: TinyFirmware, tmp_path: Path) -> None:
    with Watched(firmware.path, tmp_path, limit_s=5.0, orphan_s=0.3).ready() as watched:
        firmware.unplug()
        watched.hear_event("port_lost")
        watched.beats.close()
        assert watched.process.wait(3.0) == 5
        assert watched.report()["confirmed"] is False


def test_a_busy_port_is_reported_as_busy(firmware: TinyFirmware, tmp_path: Path) -> None:
    with Watched(firmware.path, tmp_path).ready(), Watched(firmware.path, tmp_path) as second:
        assert second.hear()["error"] == "busy"
        assert second.process.wait(2.0) == 4


def test_a_missing_port_is_reported_as_missing(tmp_path: Path) -> None:
    with Watched(tmp_path / "nothing", tmp_path) as watched:
        assert watched.hear()["error"] == "missing"
        assert watched.process.wait(2.0) == 3


@pytest.mark.parametrize("job", [b"", b"[]", b"{}", b'{"port":"x","data_fd":0,"beat_fd":0,"recipe":[]}'])
def test_a_job_that_makes_no_sense_is_refused(job: bytes) -> None:
    done = subprocess.run([sys.executable, "-I", "-S", sentinel.__file__], input=job, capture_output=True, check=False)
    assert done.returncode == 2
    assert b"job:" in done.stderr


def test_a_suspended_machine_is_a_rig_that_was_not_watching(
    firmware: TinyFirmware, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = sentinel.Job(job_json("tiny", str(firmware.path), RECIPE, 0, 0, limit_s=1.0))
    watch = sentinel.Sentinel(job)
    watch.judge()
    assert watch.why is None
    monkeypatch.setattr(sentinel, "slept_s", lambda: watch.slept_s + 3.0)
    watch.judge()
    assert watch.why == "suspended: the machine slept for 3.0 s"


def test_the_sentinel_imports_the_standard_library_alone() -> None:
    own = {"controller.safety.port_identity", "port_identity"}
    for module, more in ((sentinel, own), (port_identity, set[str]())):
        assert module.__file__ is not None
        tree = ast.parse(Path(module.__file__).read_text())
        imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
        imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert imported <= set(sys.stdlib_module_names) | more
