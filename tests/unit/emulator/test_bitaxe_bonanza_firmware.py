"""The firmwares of a Bitaxe Bonanza: what the ESP32 hands to the RP2040, and the lease that it takes for itself."""

from __future__ import annotations

import pytest

from drivers.codecs.bridge_system import Fault, SafetyStatus, State
from emulator.benches import BENCHES
from emulator.benches.bitaxe_bonanza import BOARD, BitaxeBonanza
from emulator.device import Burst
from emulator.firmware.bitaxe_bonanza import RENEW_S
from emulator.firmware.bonanza_bridge import LEASE_S, SERVICE_S

OFF = "14 00 2A 01 02 00 00 00 81 0F 00 0D 00 00 00 00 00 06 64 00"
INVALID, DENIED, FAULT = "04 00 FF 11", "04 00 2A 12", "04 00 2A 13"
SAFE = (False, True, 1.0)


class Host:
    """Sends hex to a bench and moves its time."""

    def __init__(self) -> None:
        self.bench = BitaxeBonanza()
        self.now_s = 1.0
        self.bench.advance(self.now_s)

    def ask(self, page: str, command: str, data: str = "", wait_s: float = 0.02) -> str:
        body = bytes.fromhex(f"2A 00 {page} {command} {data}")
        self.bench.control.receive(Burst(0, bytes((len(body) + 2, 0)) + body), self.now_s)
        self.wait(wait_s)
        return b"".join(burst.data for burst in self.bench.control.transmit(self.now_s)).hex(" ").upper()

    def status(self) -> SafetyStatus:
        return SafetyStatus.decode(bytes.fromhex(self.ask("00", "10"))[3:])

    def wait(self, seconds: float) -> None:
        self.now_s += seconds
        self.bench.advance(self.now_s)

    def outputs(self) -> tuple[bool, bool, float]:
        """5 V on, reset asserted, duty of the fan."""
        truth = self.bench.truth(self.now_s)
        return truth["five_volt"], truth["reset_asserted"], truth["fan_duty"]


@pytest.fixture
def host() -> Host:
    return Host()


def test_it_is_no_board_that_is_driven() -> None:
    assert BOARD not in BENCHES


def test_it_starts_safe_and_says_so_in_the_published_bytes(host: Host) -> None:
    assert host.outputs() == SAFE
    assert host.ask("00", "10") == OFF
    assert host.ask("00", "01").startswith("0C 00 2A 01 01 00 05")
    assert host.ask("00", "02") == "0C 00 2A 01 00 00 00 00 00 00 00 00"


@pytest.mark.parametrize("command", ["11", "12", "13", "14"])
def test_the_lease_is_no_business_of_the_host(host: Host, command: str) -> None:
    assert host.ask("00", command) == INVALID
    assert host.status().state is State.SAFE_OFF


@pytest.mark.parametrize(
    ("page", "command", "data"),
    [("09", "10", "65"), ("09", "20", "00"), ("09", "01", "DE AD BE EF"), ("06", "03", "01"), ("06", "05", "01")],
)
def test_what_it_cannot_read_is_refused_under_id_ff(host: Host, page: str, command: str, data: str) -> None:
    assert host.ask(page, command, data) == INVALID
    assert host.outputs() == SAFE


def test_five_volts_take_a_lease_and_reset_has_two_names(host: Host) -> None:
    assert host.ask("06", "01", "01") == "04 00 2A 01"
    status = host.status()
    assert (status.state, status.five_volt_on) == (State.CONTROLLED, True)
    assert host.ask("06", "02", "01") == "04 00 2A 01"
    assert host.ask("06", "00") == host.ask("06", "02") == "04 00 2A 01"
    assert host.outputs() == (True, False, 1.0)
    assert host.ask("06", "01", "01") == "04 00 2A 01", "the RP2040 would refuse it: reset is released"
    assert host.ask("06", "00", "00") == "04 00 2A 00"
    assert host.outputs() == (True, True, 1.0)
    assert host.ask("06", "01", "00") == "04 00 2A 00"
    assert host.outputs() == SAFE
    assert host.status().state is State.SAFE_OFF


def test_the_lease_is_renewed_whether_or_not_the_host_says_anything(host: Host) -> None:
    host.ask("06", "01", "01")
    for _ in range(10):
        host.now_s += 60.0  # nobody looks at the board until a request comes
        assert host.ask("06", "01") == "04 00 2A 01"
    host.wait(600.0)
    assert host.outputs() == (True, True, 1.0)
    assert host.status().lease_left_ms > (LEASE_S - RENEW_S) * 1000


@pytest.mark.parametrize("why", ["wedge", "unplug_usb"])
def test_a_control_port_that_is_dead_does_not_end_the_lease(host: Host, why: str) -> None:
    host.ask("06", "01", "01")
    host.bench.clock = lambda: host.now_s
    host.bench.faults.do(why)
    host.wait(60.0)
    assert host.outputs() == (True, True, 1.0)


@pytest.mark.parametrize(("why", "given"), [("panic", {}), ("stall_bridge", {"for_s": 10.0})])
def test_an_esp32_that_stands_still_does(host: Host, why: str, given: dict[str, float]) -> None:
    host.ask("06", "01", "01")
    host.bench.clock = lambda: host.now_s
    host.bench.faults.do(why, given)
    host.wait(LEASE_S + SERVICE_S + 0.001)
    assert host.outputs() == SAFE


def test_whatever_the_rp2040_refuses_makes_the_board_safe(host: Host) -> None:
    host.ask("06", "01", "01")
    assert host.ask("09", "10", "32") == DENIED, "the fan may be slower only without 5 V"
    assert host.outputs() == SAFE
    assert host.ask("06", "02", "01") == DENIED, "no 5 V"
    assert host.outputs() == SAFE


def test_the_fan_is_slower_without_five_volts_and_counted_for_half_a_second(host: Host) -> None:
    assert host.ask("09", "10", "32") == "04 00 2A 00"
    assert host.outputs() == (False, True, 0.5)
    host.wait(60.0)
    assert host.ask("09", "20", wait_s=0.4) == ""
    host.wait(0.2)
    answer = b"".join(burst.data for burst in host.bench.control.transmit(host.now_s))
    assert int.from_bytes(answer[3:5], "little") == pytest.approx(host.bench.truth(host.now_s)["fan_rpm"], abs=60)
    assert host.ask("06", "01", "01") == DENIED, "not with a slow fan"
    assert host.outputs() == SAFE


def test_an_old_fault_is_cleared_without_a_word_and_a_live_trip_is_not(host: Host) -> None:
    host.ask("06", "01", "01")
    host.bench.trip_input(True, host.now_s)
    host.wait(0.1)
    assert host.outputs() == SAFE
    assert host.status().fault is Fault.ASIC_TRIP
    assert host.ask("06", "03") == "04 00 2A 01"
    assert host.ask("06", "01", "01") == FAULT
    host.bench.trip_input(False, host.now_s)
    assert host.ask("06", "01", "01") == "04 00 2A 01"
    assert host.status().state is State.CONTROLLED


def test_the_enable_of_the_regulator_is_the_esp32s_own(host: Host) -> None:
    assert (host.ask("06", "04"), host.ask("06", "05")) == ("04 00 2A 00", "04 00 2A 00")
    assert host.ask("06", "04", "01") == "04 00 2A 01"
    assert (host.ask("06", "05"), host.bench.truth(host.now_s)["regulator_on"]) == ("04 00 2A 01", True)
    assert host.status().state is State.SAFE_OFF, "no lease for it"


def test_nobody_is_on_the_bus_and_the_chip_is_silent(host: Host) -> None:
    assert bytes.fromhex(host.ask("05", "30", "4C 02"))[3:] == b"\xffI2C Read Error"
    host.bench.data.receive(Burst(2_000_000, b"\x00" * 16), host.now_s)
    assert (host.bench.data.transmit(host.now_s + 1.0), host.bench.data.wakes_at()) == ([], None)


def test_too_long_a_write_is_an_overflow_since_12_means_denied(host: Host) -> None:
    frame = (7 + 257).to_bytes(2, "little") + bytes((0x2A, 0, 5, 0x20, 0x4C)) + bytes(257)
    host.bench.control.receive(Burst(0, frame), host.now_s)
    (answer,) = host.bench.control.transmit(host.now_s + 0.1)
    assert answer.data.hex(" ").upper() == "07 00 FF FF 42 75 66"


def test_the_data_port_has_one_rate() -> None:
    heard: list[Burst] = []

    class Listening:
        def receive(self, burst: Burst, at_s: float, previous_baud: int | None = None) -> None:
            heard.append(burst)

        def transmit(self, at_s: float) -> list[Burst]:
            return []

        def wakes_at(self) -> float | None:
            return None

    bench = BitaxeBonanza()
    bench.firmware.chip = Listening()
    for baud in (9600, 115_200, 5_000_000):
        bench.data.line_rate_changed(baud, 1.0)
        bench.data.receive(Burst(baud, b"x"), 1.0)
    assert heard == [Burst(2_000_000, b"x")] * 3
