"""TPS546D24A buck regulator as an I2C target: registers, limits that trip on their own, status that stays latched.

Sources: TI TPS546D24A/S datasheet (https://www.ti.com/lit/ds/symlink/tps546d24a.pdf: commands, WRITE_PROTECT, fault
responses, CLEAR_FAULTS, STATUS_*), ESP-Miner `main/power/TPS546.c`, mujina `peripheral/tps546.rs`. [M] = reset value
from memory of that datasheet, [U] = unverified on a part, [A] = assumption of this emulator.

What differs from a plain register file: the first 8 ms without acknowledge, VOUT_MAX and VOUT_MIN clamp, limits
relative to the set point, over-current, over-temperature and input limits with their responses, the first temperature
after enabling (127.88 C, once), and an output that stays off after the input sagged, with no latched bit to say why.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

ADDRESS: Final = 0x24
NAK_S: Final = 0.008
"""No acknowledge for so long after the supply came."""
FIRST_TEMPERATURE: Final = (-3 & 0x1F) << 11 | 1023
"""127.875 C: seen once after enabling (ESP-Miner-NerdQAxePlus issue 707)."""
DAC_LIMIT_V: Final = 0.75
"""Highest reference voltage; the output cannot exceed this over VOUT_SCALE_LOOP."""

OPERATION, ON_OFF_CONFIG, CLEAR_FAULTS, WRITE_PROTECT = 0x01, 0x02, 0x03, 0x10
STORE_USER_ALL, VOUT_MODE, VOUT_COMMAND = 0x15, 0x20, 0x21
VOUT_MAX, VOUT_MARGIN_HIGH, VOUT_MARGIN_LOW, VOUT_SCALE_LOOP, VOUT_MIN = 0x24, 0x25, 0x26, 0x29, 0x2B
VIN_ON, VIN_OFF = 0x35, 0x36
OV_FAULT, OV_RESPONSE, OV_WARN, UV_WARN, UV_FAULT, UV_RESPONSE = 0x40, 0x41, 0x42, 0x43, 0x44, 0x45
OC_FAULT, OC_RESPONSE, OC_WARN = 0x46, 0x47, 0x4A
OT_FAULT, OT_RESPONSE, OT_WARN = 0x4F, 0x50, 0x51
VIN_OV_FAULT, VIN_OV_RESPONSE, VIN_UV_WARN = 0x55, 0x56, 0x58
TON_DELAY, TON_RISE = 0x60, 0x61
STATUS_BYTE, STATUS_WORD, STATUS_VOUT, STATUS_IOUT, STATUS_INPUT = 0x78, 0x79, 0x7A, 0x7B, 0x7C
STATUS_TEMPERATURE, STATUS_CML, STATUS_MFR = 0x7D, 0x7E, 0x80
READ_VIN, READ_VOUT, READ_IOUT, READ_TEMPERATURE_1 = 0x88, 0x8B, 0x8C, 0x8D
IC_DEVICE_ID = 0xAD

DEVICE_IDS: Final[Mapping[str, bytes]] = {
    "TPS546D24A": bytes.fromhex("5449546d2441"),
    "TPS546D24S": bytes.fromhex("5449546d2462"),
    "TPS546B24A": bytes.fromhex("5449546b2441"),
}

CML_COMMAND, CML_DATA = 0x80, 0x40

_RESET: Final[Mapping[int, bytes]] = {  # low byte first; all [M] but those that the host sheets name
    OPERATION: b"\x00",
    ON_OFF_CONFIG: b"\x1f",
    0x04: b"\xff",
    WRITE_PROTECT: b"\x00",
    0x19: b"\xd0",
    VOUT_MODE: b"\x97",
    VOUT_COMMAND: b"\x9a\x01",
    0x22: b"\x00\x00",
    VOUT_MAX: b"\x00\x0c",
    VOUT_MARGIN_HIGH: b"\x1a\x02",
    VOUT_MARGIN_LOW: b"\xe6\x01",
    0x27: b"\x10\xe0",
    VOUT_SCALE_LOOP: b"\x40\xc8",
    VOUT_MIN: b"\x00\x01",
    0x33: b"\x26\x02",
    VIN_ON: b"\x0b\xf0",
    VIN_OFF: b"\x0a\xf0",
    0x37: b"\x10\x00",
    0x38: b"\x80\xc8",
    0x39: b"\x00\xe0",
    OV_FAULT: b"\x4d\x02",
    OV_RESPONSE: b"\xbd",
    OV_WARN: b"\x2e\x02",
    UV_WARN: b"\xcf\x01",
    UV_FAULT: b"\xb2\x01",
    UV_RESPONSE: b"\xbe",
    OC_FAULT: b"\xd0\xf0",
    OC_RESPONSE: b"\xff",
    OC_WARN: b"\xa0\xf0",
    OT_FAULT: b"\x96\x00",
    OT_RESPONSE: b"\xbc",
    OT_WARN: b"\x7d\x00",
    VIN_OV_FAULT: b"\x54\xf0",
    VIN_OV_RESPONSE: b"\x3c",
    VIN_UV_WARN: b"\x0a\xf0",
    TON_DELAY: b"\x00\xf8",
    TON_RISE: b"\x0c\xf0",
    0x62: b"\x00\xf8",
    0x63: b"\x3b",
    0x64: b"\x00\xf8",
    0x65: b"\x02\xf0",
    0x98: b"\x33",
    0xB1: b"\x05\x22\x18\xc2\x1d\x06",
    0xE4: b"\x10",
    0xEC: b"\x00\x00",
    0xEE: b"\x00\x00",
}
_READ_ONLY: Final = frozenset({0x19, 0x98, READ_VIN, READ_VOUT, READ_IOUT, READ_TEMPERATURE_1, IC_DEVICE_ID})
_STATUS: Final = frozenset({STATUS_VOUT, STATUS_IOUT, STATUS_INPUT, STATUS_TEMPERATURE, STATUS_CML, STATUS_MFR})
_UNPROTECTED: Final[Mapping[int, frozenset[int]]] = {
    0x20: frozenset({WRITE_PROTECT, OPERATION, ON_OFF_CONFIG, STORE_USER_ALL, VOUT_COMMAND}),
    0x40: frozenset({WRITE_PROTECT, OPERATION, STORE_USER_ALL}),
    0x80: frozenset({WRITE_PROTECT, STORE_USER_ALL}),
}
_QUARTER_VOLT: Final[Mapping[int, tuple[float, float]]] = {  # kept in 0.25 V steps, rounded down
    VIN_ON: (2.5, 18.25),
    VIN_OFF: (2.5, 18.25),
    VIN_OV_FAULT: (5.0, 22.0),
}


class RailState(NamedTuple):
    """What the regulator measures around itself."""

    input_v: float
    sense_v: float
    """At the output, behind its droop; 0 when off."""
    load_a: float
    die_c: float
    """Of the regulator, not of the chip it feeds."""


class Tps546:
    """The part. `rail` gives the state around it and brings the bench up to that moment; `drive` is told each change
    of the output: volts (0 when off), the time, and the seconds it takes to get there. `supervise` is called by the
    bench whenever the plant has moved."""

    def __init__(
        self,
        *,
        rail: Callable[[float], RailState],
        drive: Callable[[float, float, float], None],
        seed: int,
        device_id: str = "TPS546D24A",
        on_at_power_up: bool = False,
        first_temperature_quirk: bool = True,
        address: int = ADDRESS,
    ) -> None:
        self.address = address
        self._rail, self._drive = rail, drive
        self._rng = random.Random(f"{seed}/tps546")
        self._device_id = b"\x06" + DEVICE_IDS[device_id]
        # 17: the EN pin alone starts the rail when power comes, and OPERATION is ignored. Gamma 601 boards do this.
        self._on_off_reset = b"\x17" if on_at_power_up else b"\x1f"
        self.first_temperature_quirk = first_temperature_quirk
        self.tap: Callable[[str, float], float] | None = None
        """Channel and what would be shown, to what is shown; None: the same."""
        self.enable_pin = True
        """Level of EN. No host drives it on a Gamma; it is taken to be high, as mujina's 1F works there [inf]."""
        self._regulation_error_v = 0.0
        self._driving = False
        self.stores = 0
        """How often the host wrote the part's flash. It never should."""
        self.power_up(0.0, started=False)

    # --- power and control

    def power_up(self, at_s: float, *, started: bool = True) -> None:
        """The supply came: reset values, output as ON_OFF_CONFIG says."""
        self._commanded = False
        if started:
            self._stop(at_s)
        self._registers = dict(_RESET)
        self._registers[ON_OFF_CONFIG] = self._on_off_reset
        self._ready_at_s = at_s + NAK_S if started else float("inf")
        self._latched = dict.fromkeys(_STATUS, 0)
        self._on = False
        self._on_since_s = 0.0
        self._held_off = self._tripped = False
        self._restart_at_s: float | None = None
        self._retries: int | None = None
        self._input_ok = False
        self._first_temperature = False
        self._exponent = -9
        self._recompute()
        if started:
            self._control_changed(at_s)
            self.supervise(at_s, self._rail(at_s))

    def set_enable_pin(self, high: bool, at_s: float) -> None:
        """EN, on a board that drives it. Whether it counts says ON_OFF_CONFIG."""
        self.enable_pin = high
        self._control_changed(at_s)

    @property
    def converting(self) -> bool:
        """The output is on."""
        return self._on

    @property
    def set_v(self) -> float:
        """Where the output is driven to when on, after clamping."""
        return max(0.0, self._target_v + self._regulation_error_v)

    def set_regulation_error(self, volts: float, at_s: float) -> None:
        """Fault: the output leaves its set point by this much. It never gets beyond the over-voltage limit: the
        comparator takes microseconds, whatever the steps of the fault are."""
        before_v, self._regulation_error_v = self.set_v, volts
        if not self._on:
            return
        drop_v = max(0.0, before_v - self._rail(at_s).sense_v)
        stops = self._registers[OV_RESPONSE][0] >> 6 != 0
        if at_s < self._on_since_s + self._start_s or not stops or self.set_v - drop_v <= self._ov_fault_v:
            self._output(self.set_v, at_s, 0.0)
            return
        self._output(self._ov_fault_v + drop_v, at_s, 0.0)
        self._latched[STATUS_VOUT] |= 0xC0  # fault and warning
        self._respond(OV_RESPONSE, at_s)

    def trip(self, at_s: float) -> None:
        """Fault: the output goes off with no cause to be seen, and stays off until it is commanded off and on."""
        if self._on:
            self._held_off = self._tripped = True
            self._stop(at_s)

    def release(self, at_s: float) -> None:
        """What `trip` did is over."""
        if self._tripped:
            self._held_off = self._tripped = False
            self.supervise(at_s, self._rail(at_s))

    def _recompute(self) -> None:
        """Decode the limits once, not at each look."""
        read = self._word
        scale = 2.0**self._exponent
        relative = bool(self._registers[VOUT_MODE][0] & 0x80)
        command = read(VOUT_COMMAND) * scale
        margin = self._registers[OPERATION][0] >> 4 & 0x3
        if margin in (1, 2):
            factor = read(VOUT_MARGIN_LOW if margin == 1 else VOUT_MARGIN_HIGH) * scale
            command = command * factor if relative else factor
        top, bottom = read(VOUT_MAX) * scale, read(VOUT_MIN) * scale
        self._clamped = command > top or command < bottom
        target = min(max(command, bottom), top)  # VOUT_MAX wins when the two are crossed
        loop = _linear11(read(VOUT_SCALE_LOOP))
        self._target_v = min(target, DAC_LIMIT_V / loop) if loop > 0 else target
        base = self._target_v if relative else 1.0
        self._ov_fault_v, self._ov_warn_v = read(OV_FAULT) * scale * base, read(OV_WARN) * scale * base
        self._uv_warn_v, self._uv_fault_v = read(UV_WARN) * scale * base, read(UV_FAULT) * scale * base
        self._vin_on_v, self._vin_off_v = _linear11(read(VIN_ON)), _linear11(read(VIN_OFF))
        self._vin_ov_v, self._vin_uv_warn_v = _linear11(read(VIN_OV_FAULT)), _linear11(read(VIN_UV_WARN))
        self._oc_fault_a, self._oc_warn_a = _linear11(read(OC_FAULT)), _linear11(read(OC_WARN))
        self._ot_fault_c, self._ot_warn_c = _linear11(read(OT_FAULT)), _linear11(read(OT_WARN))
        self._rise_s = _linear11(read(TON_RISE)) / 1000
        self._start_s = _linear11(read(TON_DELAY)) / 1000 + self._rise_s

    def _word(self, command: int) -> int:
        return int.from_bytes(self._registers[command], "little")

    def _wants_on(self) -> bool:
        config = self._registers[ON_OFF_CONFIG][0]
        if not config & 0x10:
            return True
        by_command, by_pin = bool(config & 0x08), bool(config & 0x04)
        if not by_command and not by_pin:
            return False
        on = bool(self._registers[OPERATION][0] & 0x80)
        active = self.enable_pin == bool(config & 0x02)
        return (on or not by_command) and (active or not by_pin)

    def _control_changed(self, at_s: float) -> None:
        rail = self._rail(at_s)
        wanted = self._wants_on()
        if wanted and not self._commanded:
            self._latched = dict.fromkeys(_STATUS, 0)  # OFF to ON clears what was latched
            self._held_off = False
            self._retries = None
        self._commanded = wanted
        self._tripped = False
        if not wanted:
            self._held_off, self._restart_at_s = False, None
            self._stop(at_s)
        else:
            self.supervise(at_s, rail)

    def _start(self, at_s: float) -> None:
        self._on, self._on_since_s, self._restart_at_s = True, at_s, None
        self._first_temperature = self.first_temperature_quirk
        self._note_clamp()
        self._output(self.set_v, at_s, self._start_s)

    def _stop(self, at_s: float) -> None:
        if self._on:
            self._on = False
            self._output(0.0, at_s, 0.0)

    def _output(self, volts: float, at_s: float, ramp_s: float) -> None:
        """Drive the rail. What this does to the input is looked at with the next step, not from within this one."""
        self._driving = True
        try:
            self._drive(volts, at_s, ramp_s)
        finally:
            self._driving = False

    def _note_clamp(self) -> None:
        if self._clamped and self._on:
            self._latched[STATUS_VOUT] |= 0x08

    # --- what it does by itself

    def supervise(self, at_s: float, rail: RailState) -> None:
        """Compare the rail with the limits and act. The hosts of this world may all be dead."""
        if self._driving:
            return
        vin = rail.input_v
        latched = self._latched
        was_ok = self._input_ok
        self._input_ok = vin >= (self._vin_off_v if was_ok else self._vin_on_v)
        if not self._input_ok:
            if self._on:
                # The public trace of a brown-out: off at once, the input recovers without its load, the output
                # stays off until it is commanded off and on, and no bit is left (STATUS_WORD 0840). [U] why it stays.
                self._held_off = True
                self._stop(at_s)
            return
        if vin < self._vin_uv_warn_v:
            latched[STATUS_INPUT] |= 0x20
        if vin > self._vin_ov_v:
            latched[STATUS_INPUT] |= 0x80
            self._respond(VIN_OV_RESPONSE, at_s)
        if rail.die_c >= self._ot_warn_c:
            latched[STATUS_TEMPERATURE] |= 0x40
        if rail.die_c >= self._ot_fault_c:
            latched[STATUS_TEMPERATURE] |= 0x80
            self._respond(OT_RESPONSE, at_s)
        if self._on:
            self._watch_output(at_s, rail)
        elif self._commanded and not self._held_off and not self._hindered(at_s, rail):
            self._start(at_s)

    def _hindered(self, at_s: float, rail: RailState) -> bool:
        """A pause before a restart, or a fault that is present, keeps the output from starting."""
        if self._restart_at_s is not None and at_s < self._restart_at_s:
            return True
        hot = self._registers[OT_RESPONSE][0] >> 6
        release_c = self._ot_fault_c
        if hot == 3 and self._latched[STATUS_TEMPERATURE] & 0x80:
            release_c = self._ot_warn_c if self._ot_warn_c < self._ot_fault_c else self._ot_fault_c - 20
        too_hot = hot != 0 and rail.die_c >= release_c
        return too_hot or (rail.input_v > self._vin_ov_v and self._registers[VIN_OV_RESPONSE][0] >> 6 != 0)

    def _watch_output(self, at_s: float, rail: RailState) -> None:
        latched = self._latched
        if rail.load_a > self._oc_warn_a:
            latched[STATUS_IOUT] |= 0x20
        if rail.load_a > self._oc_fault_a:
            latched[STATUS_IOUT] |= 0x80
            self._respond(OC_RESPONSE, at_s)
        if not self._on or at_s < self._on_since_s + self._start_s:
            return
        volts = rail.sense_v
        if volts > self._ov_warn_v:
            latched[STATUS_VOUT] |= 0x40
        if volts < self._uv_warn_v:
            latched[STATUS_VOUT] |= 0x20
        if volts > self._ov_fault_v:
            latched[STATUS_VOUT] |= 0x80
            self._respond(OV_RESPONSE, at_s)
        elif volts < self._uv_fault_v:
            latched[STATUS_VOUT] |= 0x10
            self._respond(UV_RESPONSE, at_s)
        elif at_s >= self._on_since_s + 2 * self._start_s:
            self._retries = None  # a restart that lasted: the count begins anew

    def _respond(self, register: int, at_s: float) -> None:
        """Shut down and latch or retry, as the response byte says: 7:6 action, 5:3 retries, 2:0 delay."""
        byte = self._registers[register][0]
        action, retries, delay = byte >> 6, byte >> 3 & 7, byte & 7
        if action == 0 or (register == OC_RESPONSE and action == 1) or not self._on:
            return
        self._restart_at_s = at_s + max(1, delay) * self._rise_s
        if retries < 7:
            self._retries = retries if self._retries is None else self._retries - 1
            self._held_off = self._retries <= 0
        self._stop(at_s)

    # --- the bus

    def write(self, data: bytes, at_s: float) -> bool:
        if at_s < self._ready_at_s:
            return False
        self._rail(at_s)  # what has passed is judged by the limits of before
        command, payload = data[0], data[1:]
        if not payload and command not in (CLEAR_FAULTS, STORE_USER_ALL):
            return True  # only names a register
        open_commands = _UNPROTECTED.get(self._registers[WRITE_PROTECT][0])
        if open_commands is not None and command not in open_commands:
            # [U] whether CLEAR_FAULTS gets through; the datasheet's list does not name it, so it does not here.
            self._latched[STATUS_CML] |= CML_COMMAND
            return True
        if command == CLEAR_FAULTS:
            self._latched = dict.fromkeys(_STATUS, 0)
            self.supervise(at_s, self._rail(at_s))  # what is still wrong is set again at once
        elif command == STORE_USER_ALL:
            self.stores += 1
        elif command in _STATUS:
            if len(payload) == 1:
                self._latched[command] &= ~payload[0]
        elif command not in self._registers or command in _READ_ONLY:
            self._latched[STATUS_CML] |= CML_COMMAND
        elif not self._acceptable(command, payload):
            self._latched[STATUS_CML] |= CML_DATA
        else:
            self._set(command, payload, at_s)
        return True

    def _acceptable(self, command: int, payload: bytes) -> bool:
        if len(payload) != len(self._registers[command]):
            return False
        value = payload[0]
        if command == WRITE_PROTECT:
            return value in (0x00, 0x20, 0x40, 0x80)
        if command == VOUT_MODE:
            return not self._on and not value & 0x60 and -12 <= (value & 0x1F) - 32 <= -4
        if command in (OV_RESPONSE, UV_RESPONSE):
            return value >> 6 != 3
        if command == OC_RESPONSE:
            return value >> 6 != 1
        if command in _QUARTER_VOLT:
            low, high = _QUARTER_VOLT[command]
            return low <= _linear11(int.from_bytes(payload, "little")) <= high
        if command == VIN_UV_WARN:
            return 2.5 <= _linear11(int.from_bytes(payload, "little")) <= 15.5
        return not (command == ON_OFF_CONFIG and value & 0xE0)

    def _set(self, command: int, payload: bytes, at_s: float) -> None:
        if command in _QUARTER_VOLT:
            steps = int(_linear11(int.from_bytes(payload, "little")) * 4)
            payload = ((-2 & 0x1F) << 11 | steps).to_bytes(2, "little")
        before = self._target_v
        self._registers[command] = bytes(payload)
        if command == VOUT_MODE:
            self._exponent = (payload[0] & 0x1F) - 32
        self._recompute()
        if command in (OPERATION, ON_OFF_CONFIG):
            self._control_changed(at_s)
        if command in (OPERATION, VOUT_COMMAND, VOUT_MAX, VOUT_MIN):
            self._note_clamp()
        if self._on and self._target_v != before:
            self._output(self.set_v, at_s, 0.0)

    def read(self, count: int, at_s: float) -> bytes | None:
        """A read that names no register: acknowledged, content unspecified [U]."""
        return None if at_s < self._ready_at_s else b"\xff" * count

    def write_read(self, data: bytes, count: int, at_s: float) -> bytes | None:
        if at_s < self._ready_at_s:
            return None
        command = data[0]
        if 0x78 <= command <= 0x8D:
            found = self._measure(command, at_s)
        elif command == IC_DEVICE_ID:
            found = self._device_id
        else:
            found = self._registers.get(command, b"")
        if not found or len(data) > 1:
            self._latched[STATUS_CML] |= CML_COMMAND
            return b"\xff" * count
        # [U] Bytes past the end of a register: the bus is released, so they read as ones.
        return found if len(found) == count else (found + b"\xff" * count)[:count]

    def _measure(self, command: int, at_s: float) -> bytes:
        rail = self._rail(at_s)
        gauss = self._rng.gauss
        if command == STATUS_WORD:
            return self.status_word(at_s, rail).to_bytes(2, "little")
        if command == READ_VIN:
            return _encode(self._show("input_v", rail.input_v + gauss(0.0, 0.004)), -7)
        if command == READ_VOUT:
            step_v = 2.0**self._exponent
            steps = rail.sense_v / step_v + gauss(0.0, 0.5) if rail.sense_v > 0 else 0.0
            shown = round(steps) if self.tap is None else round(self.tap("core_v", steps * step_v) / step_v)
            return min(max(shown, 0), 0xFFFF).to_bytes(2, "little")
        if command == READ_IOUT:
            # Reads about -0.5 A with no load (ESP-Miner-NerdQAxePlus issue 676); the error is gone at 5 A [A].
            offset_a = -0.5 * max(0.0, 1 - rail.load_a / 5)
            return _encode(self._show("core_a", rail.load_a + offset_a + gauss(0.0, 0.06)), -5)
        if command == READ_TEMPERATURE_1:
            if self._first_temperature:
                self._first_temperature = False
                return FIRST_TEMPERATURE.to_bytes(2, "little")
            return _encode(self._show("vr_c", rail.die_c + gauss(0.0, 0.3)), -3)
        if command == STATUS_BYTE:
            return bytes((self.status_word(at_s, rail) & 0xFF,))
        if command == STATUS_INPUT:
            return bytes((self._latched[STATUS_INPUT] | (0 if self._input_ok else 0x08),))
        return bytes((self._latched[command],)) if command in self._latched else b""

    def _show(self, channel: str, value: float) -> float:
        return value if self.tap is None else self.tap(channel, value)

    def status_word(self, at_s: float, rail: RailState) -> int:
        """STATUS_WORD. OFF, PGOOD# and VIN_UV are live; the rest sums up what is latched."""
        latched = self._latched
        vout, iout, inputs = latched[STATUS_VOUT], latched[STATUS_IOUT], latched[STATUS_INPUT]
        word = 0 if self._on else 0x0040
        up = self._on and at_s >= self._on_since_s + self._start_s
        if not (up and self._uv_warn_v <= rail.sense_v <= self._ov_warn_v):
            word |= 0x0800
        if not self._input_ok:
            word |= 0x0008
        if vout:
            word |= 0x8000 | (0x20 if vout & 0x80 else 0) | (0x01 if vout & 0x7F else 0)
        if iout:
            word |= 0x4000 | (0x10 if iout & 0x80 else 0)
        if inputs:
            word |= 0x2001
        if latched[STATUS_MFR]:
            word |= 0x1001
        if latched[STATUS_TEMPERATURE]:
            word |= 0x0004
        if latched[STATUS_CML]:
            word |= 0x0002
        return word


def _linear11(word: int) -> float:
    exponent = word >> 11
    mantissa = word & 0x7FF
    if exponent > 15:
        exponent -= 32
    if mantissa > 1023:
        mantissa -= 2048
    return mantissa * 2.0**exponent


def _encode(value: float, exponent: int) -> bytes:
    """SLINEAR11 at the resolution of the telemetry, coarser only where the mantissa would not hold it."""
    mantissa = round(value * 2.0**-exponent)
    while not -1024 <= mantissa <= 1023:
        exponent += 1
        mantissa = round(value * 2.0**-exponent)
    return ((exponent & 0x1F) << 11 | mantissa & 0x7FF).to_bytes(2, "little")
