"""The emulated firmware with a host lease: what it allows when, what it does by itself, and how it reads its UART."""

from __future__ import annotations

import pytest

from drivers.codecs.bridge_system import Fault, RuntimeVerdict, SafetyStatus, State
from emulator.benches.leased_gamma import LeasedGamma
from emulator.device import Burst
from emulator.firmware.bonanza_bridge import LEASE_S, SERVICE_S, WATCH_S, WATCHDOG_S

INFO, RX_LOSS, STATUS, ARM, HEARTBEAT, CLEAR, DISARM = ("01", "02", "10", "11", "12", "13", "14")
OFF = "14 00 2A 01 02 00 00 00 81 0F 00 0D 00 00 00 00 00 06 64 00"
DENIED, LATCHED, INVALID, TIMEOUT = "04 00 2A 12", "04 00 2A 13", "04 00 2A 11", "04 00 2A 10"
LATE_S = LEASE_S + SERVICE_S + 1e-9


class Host:
    """Sends hex to a bench and moves its time."""

    def __init__(self) -> None:
        self.bench = LeasedGamma()
        self.now_s = 1.0
        self.bench.advance(self.now_s)

    def send(self, request: str) -> None:
        self.bench.control.receive(Burst(0, bytes.fromhex(request)), self.now_s)

    def answers(self, after_s: float = 0.02) -> str:
        self.now_s += after_s
        return b"".join(burst.data for burst in self.bench.control.transmit(self.now_s)).hex(" ").upper()

    def ask(self, page: str, command: str, data: str = "") -> str:
        body = f"2A 00 {page} {command} {data}"
        self.send(f"{len(bytes.fromhex(body)) + 2:02X} 00 {body}")
        return self.answers()

    def page_00(self, command: str) -> SafetyStatus:
        return SafetyStatus.decode(bytes.fromhex(self.ask("00", command))[3:])

    def wait(self, seconds: float) -> None:
        self.now_s += seconds
        self.bench.advance(self.now_s)

    def outputs(self) -> tuple[bool, bool, float]:
        """5 V on, reset asserted, duty that the fan gets."""
        truth = self.bench.truth(self.now_s)
        return self.bench.regulator.enable_pin, truth["reset_asserted"], truth["fan_duty"]

    def energise(self) -> None:
        self.page_00(ARM)
        assert self.ask("06", "01", "01") == "04 00 2A 01"
        assert self.ask("06", "02", "01") == "04 00 2A 01"
        assert self.outputs() == (True, False, 1.0)


SAFE = (False, True, 1.0)


@pytest.fixture
def host() -> Host:
    return Host()


def test_it_starts_safe_and_says_so_in_the_published_bytes(host: Host) -> None:
    assert host.ask("00", STATUS) == OFF
    assert host.outputs() == SAFE
    assert host.ask("00", INFO).startswith("0C 00 2A 01 01 00 05")
    assert host.ask("00", RX_LOSS) == "0C 00 2A 01 00 00 00 00 00 00 00 00"


def test_arming_energises_nothing_and_gives_a_lease_of_two_seconds(host: Host) -> None:
    assert host.ask("00", ARM) == "14 00 2A 01 02 01 00 01 81 0F 00 0F 00 D0 07 00 00 06 64 00"
    assert host.outputs() == SAFE


@pytest.mark.parametrize(
    ("page", "command", "data"), [("06", "01", "01"), ("06", "02", "01"), ("09", "10", "32"), ("00", HEARTBEAT, "")]
)
def test_without_a_lease_nothing_leaves_the_safe_state(host: Host, page: str, command: str, data: str) -> None:
    assert host.ask(page, command, data) == DENIED
    assert host.ask("00", STATUS) == OFF
    assert host.outputs() == SAFE


@pytest.mark.parametrize(("page", "command", "data"), [("06", "01", "00"), ("06", "02", "00"), ("09", "10", "64")])
def test_toward_safety_needs_no_lease_not_even_when_a_fault_is_latched(
    host: Host, page: str, command: str, data: str
) -> None:
    assert host.ask(page, command, data) == "04 00 2A 00"
    host.energise()
    host.wait(LATE_S)
    assert host.ask(page, command, data) == "04 00 2A 00"


def test_the_order_is_five_volts_then_reset_and_a_fan_at_full_all_along(host: Host) -> None:
    host.page_00(ARM)
    assert host.ask("06", "02", "01") == DENIED
    assert host.ask("09", "10", "32") == "04 00 2A 00"
    assert host.ask("06", "01", "01") == DENIED
    assert host.ask("09", "10", "64") == "04 00 2A 00"
    assert host.ask("06", "01", "01") == "04 00 2A 01"
    assert host.ask("09", "10", "63") == DENIED
    assert host.ask("06", "02", "01") == "04 00 2A 01"
    assert host.ask("06", "01", "01") == DENIED  # reset is released: the wrong order even when it is on already
    assert host.page_00(STATUS).runtime is RuntimeVerdict.GOOD_CONTROLLED
    assert host.ask("06", "01", "00") == "04 00 2A 00"
    assert host.outputs() == SAFE


def test_heartbeats_keep_the_board_and_their_end_makes_it_safe_by_itself(host: Host) -> None:
    host.energise()
    for _ in range(20):
        host.wait(0.48)
        assert host.page_00(HEARTBEAT).state is State.CONTROLLED
    assert host.outputs() == (True, False, 1.0)
    last_s = host.bench.bridge.control.heartbeats[-1]
    host.wait(60.0)
    moves = [(move.what, move.at_s - last_s) for move in host.bench.actuations if move.at_s > last_s]
    assert [what for what, _ in moves] == ["reset asserted", "5 V off"]
    assert all(LEASE_S <= at_s <= LATE_S for _, at_s in moves)
    status = host.page_00(STATUS)
    assert (status.state, status.fault, status.lease_left_ms) == (State.FAULT_LATCHED, Fault.LEASE_EXPIRED, 0)
    assert host.outputs() == SAFE


def test_a_fan_that_was_lowered_is_at_full_when_the_lease_ends(host: Host) -> None:
    host.page_00(ARM)
    assert host.ask("09", "10", "32") == "04 00 2A 00"
    assert host.outputs() == (False, True, 0.5)
    host.wait(LATE_S)
    assert host.outputs() == SAFE


@pytest.mark.parametrize(("page", "command"), [("00", HEARTBEAT), ("00", ARM)])
def test_a_latched_fault_refuses_the_lease_until_it_is_cleared(host: Host, page: str, command: str) -> None:
    host.energise()
    host.wait(LATE_S)
    assert host.ask(page, command) == LATCHED
    assert host.ask("06", "01", "01") == LATCHED
    assert host.page_00(DISARM).fault is Fault.LEASE_EXPIRED
    assert host.page_00(CLEAR).state is State.SAFE_OFF
    assert host.ask("00", STATUS) == OFF
    assert host.page_00(ARM).state is State.CONTROLLED


@pytest.mark.parametrize("command", [ARM, CLEAR, DISARM])
def test_arming_clearing_and_disarming_drop_a_board_that_runs(host: Host, command: str) -> None:
    host.energise()
    host.page_00(command)
    assert host.outputs() == SAFE


def test_a_trip_of_the_chips_latches_and_cannot_be_cleared_while_it_lasts(host: Host) -> None:
    host.energise()
    host.bench.trip_input(True, host.now_s)
    host.wait(0.01)
    assert host.outputs() == SAFE
    assert host.page_00(STATUS).fault is Fault.ASIC_TRIP
    assert host.ask("06", "03") == "04 00 2A 01"
    assert host.ask("00", CLEAR) == LATCHED
    host.bench.trip_input(False, host.now_s)
    assert host.page_00(CLEAR).fault is Fault.NONE


@pytest.mark.parametrize("action", ["panic", "wedge", "stall_bridge"])
def test_a_task_that_stands_still_is_reset_by_the_watchdog_and_latches_nothing(host: Host, action: str) -> None:
    host.energise()
    still_s = host.now_s
    host.bench.clock = lambda: host.now_s
    host.bench.faults.do(action, {"for_s": 600.0} if action == "stall_bridge" else None)
    host.wait(LATE_S)
    assert host.outputs() == (True, False, 1.0), "the lease is looked at by the task that stands still"
    host.wait(10.0)
    moves = [(move.what, move.at_s - still_s) for move in host.bench.actuations if move.at_s > still_s]
    assert [what for what, _ in moves] == ["reset asserted", "5 V off"]
    assert all(WATCHDOG_S <= at_s <= WATCHDOG_S + 2 * WATCH_S for _, at_s in moves)
    assert host.bench.bridge.resets == 1
    assert host.ask("00", STATUS) == OFF


def test_a_power_cycle_starts_it_safe_with_nothing_latched(host: Host) -> None:
    host.energise()
    host.wait(LATE_S)
    host.bench.clock = lambda: host.now_s
    host.bench.faults.do("power_cycle")
    assert host.ask("00", STATUS) == OFF


# --- the UART --------------------------------------------------------------------------------------------------------


def test_half_a_frame_is_answered_with_a_timeout_and_its_id_if_that_came(host: Host) -> None:
    host.send("06 00 2A 00")
    assert host.answers() == TIMEOUT
    host.send("06 00")
    assert host.answers() == "04 00 FF 10"
    assert host.ask("00", STATUS) == OFF


def test_a_frame_in_pieces_within_four_milliseconds_is_one_frame(host: Host) -> None:
    host.send("06 00 2A")
    host.now_s += 0.003
    host.send("00 00 10")
    assert host.answers() == OFF


def test_frames_that_come_together_are_answered_one_after_the_other(host: Host) -> None:
    host.send("06 00 2A 00 00 10 06 00 2B 00 06 01")
    assert host.answers() == f"{OFF} 04 00 2B 00"


@pytest.mark.parametrize("frame", ["05 00 2A 00 00", "00 00 2A", "03 10 2A 00 00 10"])
def test_an_impossible_length_is_invalid_and_harmless(host: Host, frame: str) -> None:
    host.send(frame)
    assert host.answers() == INVALID
    assert host.ask("00", STATUS) == OFF


@pytest.mark.parametrize(
    "request_",
    [("00", "10", "00"), ("00", "15", ""), ("06", "03", "01"), ("06", "04", ""), ("07", "50", ""), ("09", "10", "65")],
)
def test_what_it_does_not_know_is_invalid(host: Host, request_: tuple[str, str, str]) -> None:
    assert host.ask(*request_) == INVALID


def test_the_tachometer_takes_half_a_second_in_which_the_lease_still_ends(host: Host) -> None:
    host.wait(5.0)  # the fan is up to speed
    host.energise()
    host.wait(LEASE_S - 0.2)
    host.send("06 00 2A 00 09 20")
    assert host.answers(0.3) == ""
    assert host.outputs() == SAFE
    rpm = int.from_bytes(bytes.fromhex(host.answers(0.3))[3:], "little")
    assert abs(rpm - host.bench.plant.rpm) <= 60


def test_the_bus_is_reached_through_page_05(host: Host) -> None:
    assert host.ask("05", "40", "24 AD 07") == "0A 00 2A 06 54 49 54 6D 24 41"
    assert host.ask("05", "20", "24 01 00") == "04 00 2A 02"
    assert host.ask("05", "30", "33 02").startswith("12 00 2A FF")


def test_replies_vanish_or_carry_a_foreign_id_when_the_faults_say_so(host: Host) -> None:
    host.bench.faults.do("lose_replies", {"count": 1})
    assert host.ask("00", STATUS) == ""
    host.bench.faults.do("wrong_id", {"count": 1})
    assert host.ask("00", STATUS) == OFF.replace("00 2A", "00 0A", 1)
    assert host.ask("00", STATUS) == OFF
