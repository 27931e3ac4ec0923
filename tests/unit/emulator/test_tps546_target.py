"""The regulator as an I2C target: what it stores, what it refuses, what it does when nobody is there."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from emulator.parts.tps546 import RailState, Tps546

PROFILE = (
    "02 1F, 29 00 AA, 24 CC 02, 2B 00 02, 35 66 CA, 36 40 CA, 55 40 CB, 56 80, 40 80 02, 41 80, 42 51 02, "
    "43 CC 01, 44 80 01, 45 80, 46 C0 DB, 47 C0, 4A 20 DB, 4F 7D 00, 50 80, 51 69 00, 21 4D 02"
)


@dataclass
class Bench:
    """A rail that follows its regulator and a world that the test sets."""

    input_v: float = 5.2
    load_a: float = 10.0
    die_c: float = 55.0
    droop_v: float = 0.025
    output_v: float = 0.0
    moves: list[tuple[float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.now_s = 1.0
        self.part = Tps546(rail=self.rail, drive=self.drive, seed=1)
        self.part.power_up(0.0)

    def rail(self, at_s: float) -> RailState:
        on = self.output_v > 0
        volts = self.output_v - self.droop_v if on else 0.0
        return RailState(self.input_v, volts, self.load_a if on else 0.0, self.die_c)

    def drive(self, volts: float, at_s: float, ramp_s: float) -> None:
        self.output_v = volts
        self.moves.append((at_s, volts))

    def write(self, *writes: str) -> None:
        for one in writes:
            assert self.part.write(bytes.fromhex(one), self.now_s)

    def read(self, command: int, count: int = 1) -> int:
        answer = self.part.write_read(bytes((command,)), count, self.now_s)
        assert answer is not None
        return int.from_bytes(answer, "little")

    def wait(self, seconds: float) -> None:
        """Time passes; the regulator looks at its rail each 50 ms, as the bench has it."""
        for _ in range(round(seconds / 0.05)):
            self.now_s += 0.05
            self.part.supervise(self.now_s, self.rail(self.now_s))

    def start(self) -> None:
        self.write(*PROFILE.split(", "), "03", "01 80")
        self.wait(0.1)
        assert self.read(0x79, 2) == 0

    def on(self) -> bool:
        return self.part.converting


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_it_does_not_answer_in_the_first_8_ms() -> None:
    part = Bench().part
    part.power_up(2.0)
    assert part.write_read(b"\xad", 7, 2.0079) is None
    assert part.write(b"\x01\x00", 2.0079) is False
    assert part.write_read(b"\xad", 7, 2.0081) == bytes.fromhex("06 54 49 54 6D 24 41")


def test_it_wakes_up_off_with_no_power_good_and_nothing_latched(bench: Bench) -> None:
    assert bench.read(0x79, 2) == 0x0840
    assert bench.read(0x20) == 0x97
    assert bench.moves == []


def test_a_missing_input_shows_while_it_is_missing(bench: Bench) -> None:
    bench.input_v = 0.4
    bench.wait(0.1)
    assert bench.read(0x79, 2) == 0x0848
    assert bench.read(0x7C) == 0x08
    bench.input_v = 5.2
    bench.wait(0.1)
    assert bench.read(0x79, 2) == 0x0840


def test_power_good_comes_after_the_rise_time(bench: Bench) -> None:
    bench.write(*PROFILE.split(", "), "03", "01 80")
    assert bench.read(0x79, 2) == 0x0800
    bench.now_s += 0.0031
    assert bench.read(0x79, 2) == 0x0000
    bench.write("01 00")
    assert bench.read(0x79, 2) == 0x0840
    assert [volts for _, volts in bench.moves] == [pytest.approx(589 / 512), 0.0]


@pytest.mark.parametrize(
    ("config", "pin", "operation", "on"),
    [
        (0x1B, False, 0x80, True),  # pin ignored
        (0x1F, True, 0x80, True),  # both needed
        (0x1F, False, 0x80, False),
        (0x1F, True, 0x00, False),
        (0x17, True, 0x00, True),  # pin alone
        (0x0F, True, 0x00, True),  # on whenever there is power
        (0x13, True, 0x80, False),  # neither
    ],
)
def test_on_off_config_says_who_switches(bench: Bench, config: int, pin: bool, operation: int, on: bool) -> None:
    bench.part.enable_pin = pin
    bench.write(f"02 {config:02X}", f"01 {operation:02X}")
    assert bench.on() is on


def test_the_first_temperature_after_enabling_is_nonsense_once(bench: Bench) -> None:
    bench.start()
    assert bench.read(0x8D, 2) == 0xEBFF  # 1023 x 2**-3 = 127.875
    assert bench.read(0x8D, 2) != 0xEBFF
    bench.write("01 00", "01 80")
    assert bench.read(0x8D, 2) == 0xEBFF
    quiet = Tps546(rail=bench.rail, drive=bench.drive, seed=1, first_temperature_quirk=False)
    quiet.power_up(0.0)
    quiet.write(b"\x01\x80", 1.0)
    assert quiet.write_read(b"\x8d", 2, 1.1) != b"\xff\xeb"


def test_input_thresholds_are_kept_in_quarter_volts(bench: Bench) -> None:
    bench.write("35 66 CA")  # 4.7969 V
    assert bench.read(0x35, 2) == 0xF000 | 19  # 4.75 V
    bench.write("36 40 CA")
    assert bench.read(0x36, 2) == 0xF000 | 18


def test_vout_max_clamps_the_output_and_says_so(bench: Bench) -> None:
    bench.start()
    bench.write("21 00 03")  # 1.5 V against a limit of 716 / 512
    assert bench.output_v == pytest.approx(716 / 512)
    assert bench.read(0x7A) == 0x08
    assert bench.read(0x79, 2) & 0x8001 == 0x8001
    assert bench.read(0x21, 2) == 0x0300
    bench.write("21 4D 02", "03")
    assert bench.read(0x79, 2) == 0


def test_limits_follow_the_set_point_when_they_are_relative(bench: Bench) -> None:
    bench.start()
    bench.part.set_regulation_error(0.20, bench.now_s)  # 1.325 V: above 1.156 x 1.15, below 1.25 x 1.15
    bench.wait(0.05)
    assert bench.read(0x7A) == 0x00
    bench.part.set_regulation_error(0.22, bench.now_s)
    bench.wait(0.05)
    assert bench.read(0x7A) == 0x40
    assert bench.on()
    bench.part.set_regulation_error(0.35, bench.now_s)
    bench.wait(0.05)
    assert bench.read(0x7A) & 0x80
    assert not bench.on()
    assert bench.output_v == 0.0


def test_under_voltage_trips_with_its_own_response(bench: Bench) -> None:
    bench.start()
    bench.part.set_regulation_error(-0.30, bench.now_s)
    bench.wait(0.05)
    assert bench.read(0x7A) & 0x30 == 0x30
    assert not bench.on()


def test_over_current_latches_off_with_c0(bench: Bench) -> None:
    bench.start()
    bench.load_a = 27.0
    bench.wait(0.05)
    assert bench.read(0x7B) == 0x20
    assert bench.on()
    bench.load_a = 31.0
    bench.wait(0.05)
    assert not bench.on()
    assert bench.read(0x79, 2) == 0x4850
    bench.load_a = 10.0
    bench.wait(2.0)
    assert not bench.on()
    bench.write("03", "01 80")
    assert not bench.on(), "clearing faults restarts nothing, and on is not off and on"
    bench.write("01 00", "01 80")
    bench.wait(0.1)
    assert bench.on()
    assert bench.read(0x79, 2) == 0


@pytest.mark.parametrize(("response", "tries"), [("F8", None), ("D0", 2), ("C0", 0)])
def test_the_response_byte_counts_the_retries(bench: Bench, response: str, tries: int | None) -> None:
    bench.start()
    bench.write(f"47 {response}")
    bench.load_a = 40.0
    bench.moves.clear()
    bench.wait(5.0)
    starts = sum(1 for _, volts in bench.moves if volts > 0)
    if tries is None:
        assert starts > 10
    else:
        assert starts == tries
        assert not bench.on()


def test_over_temperature_latches_with_80_and_comes_back_with_ff(bench: Bench) -> None:
    bench.start()
    bench.die_c = 126.0
    bench.wait(0.05)
    assert bench.read(0x7D) == 0xC0
    assert bench.read(0x79, 2) == 0x0844
    bench.die_c = 40.0
    bench.wait(5.0)
    assert not bench.on()

    bench.write("01 00", "50 FF", "01 80")
    bench.wait(0.1)
    bench.die_c = 126.0
    bench.wait(1.0)
    assert not bench.on()
    bench.die_c = 110.0
    bench.wait(1.0)
    assert not bench.on(), "still above the warning level"
    bench.die_c = 100.0
    bench.wait(1.0)
    assert bench.on()


def test_too_much_input_voltage_switches_off(bench: Bench) -> None:
    bench.start()
    bench.input_v = 6.8
    bench.wait(0.05)
    assert not bench.on()
    assert bench.read(0x7C) == 0x80
    assert bench.read(0x79, 2) == 0x2841


def test_a_brown_out_leaves_the_output_off_and_no_bit_behind(bench: Bench) -> None:
    bench.start()
    bench.input_v = 4.30
    bench.wait(0.05)
    assert bench.read(0x79, 2) == 0x0848
    bench.input_v = 5.30
    bench.wait(5.0)
    assert bench.read(0x79, 2) == 0x0840
    for status in (0x7A, 0x7B, 0x7C, 0x7D, 0x7E, 0x80):
        assert bench.read(status) == 0
    bench.write("01 80")
    assert not bench.on()
    bench.write("01 00", "01 80")
    assert bench.on()


def test_status_stays_until_it_is_cleared_and_returns_while_the_cause_is_there(bench: Bench) -> None:
    bench.start()
    bench.load_a = 27.0
    bench.wait(0.05)
    bench.load_a = 10.0
    bench.wait(1.0)
    assert bench.read(0x7B) == 0x20
    bench.write("7B 20")
    assert bench.read(0x7B) == 0
    bench.die_c = 110.0
    bench.wait(0.05)
    bench.write("03")
    assert bench.read(0x7D) == 0x40


@pytest.mark.parametrize(
    ("lock", "accepted"),
    [("20", {"10", "01", "02", "21"}), ("40", {"10", "01"}), ("80", {"10"})],
)
def test_write_protect_lets_through_what_it_names(bench: Bench, lock: str, accepted: set[str]) -> None:
    attempts = {"10": "10 00", "01": "01 00", "02": "02 1B", "21": "21 00 02", "24": "24 00 03", "46": "46 20 E3"}
    for name, attempt in attempts.items():
        bench.write("10 00", "7E FF", f"10 {lock}", attempt)
        refused = bench.read(0x7E) == 0x80
        assert refused is (name not in accepted), name
    bench.write("10 00")
    assert bench.read(0x24, 2) == 0x0C00


def test_a_locked_part_does_not_clear_its_faults_either(bench: Bench) -> None:
    bench.write("99 00", "10 20")
    assert bench.read(0x7E) == 0x80
    bench.write("03")
    assert bench.read(0x7E) == 0x80
    bench.write("10 00", "03")
    assert bench.read(0x7E) == 0x00


@pytest.mark.parametrize(
    ("write", "bits"),
    [
        ("99 00", 0x80),  # unknown command
        ("8B 00 00", 0x80),  # read-only
        ("10 33", 0x40),
        ("20 05", 0x40),  # exponent 5
        ("41 C0", 0x40),  # invalid action for over-voltage
        ("35 00 00", 0x40),  # 0 V
        ("58 00 00", 0x40),  # below what the register knows
        ("21 00", 0x40),  # one byte of two
        ("02 FF", 0x40),
    ],
)
def test_nonsense_is_refused_and_flagged(bench: Bench, write: str, bits: int) -> None:
    bench.write(write)
    assert bench.read(0x7E) == bits
    assert bench.read(0x79, 2) & 0x0002


def test_the_output_format_cannot_change_while_converting(bench: Bench) -> None:
    bench.start()
    bench.write("20 17")
    assert bench.read(0x7E) == 0x40
    assert bench.read(0x20) == 0x97


def test_readings_have_the_noise_and_the_offsets_of_the_part(bench: Bench) -> None:
    def linear11(word: int) -> float:
        exponent, mantissa = word >> 11, word & 0x7FF
        return (mantissa - 2048 * (mantissa > 1023)) * 2.0 ** (exponent - 32 * (exponent > 15))

    idle = [linear11(bench.read(0x8C, 2)) for _ in range(200)]
    assert sum(idle) / 200 == pytest.approx(-0.5, abs=0.03)
    assert min(idle) < -0.55
    bench.start()
    assert sum(linear11(bench.read(0x8C, 2)) for _ in range(200)) / 200 == pytest.approx(10.0, abs=0.03)
    assert sum(linear11(bench.read(0x88, 2)) for _ in range(200)) / 200 == pytest.approx(5.2, abs=0.003)
    assert sum(bench.read(0x8B, 2) / 512 for _ in range(200)) / 200 == pytest.approx(589 / 512 - 0.025, abs=0.001)
    bench.read(0x8D, 2)
    assert sum(linear11(bench.read(0x8D, 2)) for _ in range(200)) / 200 == pytest.approx(55.0, abs=0.15)


def test_reading_past_a_register_gives_ones(bench: Bench) -> None:
    assert bench.part.write_read(b"\x01", 2, bench.now_s) == b"\x00\xff"
    assert bench.part.read(1, bench.now_s) == b"\xff"


def test_flash_writes_are_counted(bench: Bench) -> None:
    assert bench.part.stores == 0
    bench.write("15")
    assert bench.part.stores == 1
