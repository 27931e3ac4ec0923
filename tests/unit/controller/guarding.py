"""A healthy Gamma as the guard sees it, for tests that change one thing at a time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from controller.model import (
    BoardSnapshot,
    ChainSnapshot,
    ChipSnapshot,
    GuardState,
    OperatorLimits,
    PointStatus,
    PowerUp,
    Protection,
    Quality,
    Reach,
    Reading,
    WorkSnapshot,
)
from controller.safety.caps import Stack
from controller.safety.commanded import Realise
from controller.safety.envelope import Envelopes
from controller.safety.guard import Guard
from drivers.boards.board import Channel, Envelope, Span, Step
from drivers.units import Amps, Celsius, Megahertz, Volts, Watts

ENVELOPE = Envelope(
    stock_core_v=Volts(1.150),
    stock_frequency_mhz=Megahertz(525.0),
    core_v=Span(1.000, 1.250),
    frequency_mhz=Span(400.0, 625.0),
    core_v_hard=Volts(1.350),
    frequency_hard_mhz=Megahertz(1000.0),
    floor_frequency_mhz=Megahertz(50.0),
    power_operator_w=Watts(28.0),
    power_hard_w=Watts(40.0),
    input_v_enable=Span(4.8, 5.5),
    input_v_low_trip=Volts(4.60),
    input_v_low_warn=Volts(4.75),
    input_v_high_trip=Volts(5.5),
    core_a_warn=Amps(25.0),
    core_a_trip=Amps(28.0),
    chip_c_warn=Celsius(66.0),
    chip_c_throttle=Celsius(70.0),
    chip_c_trip=Celsius(75.0),
    chip_c_emergency=Celsius(85.0),
    vr_c_warn=Celsius(86.0),
    vr_c_throttle=Celsius(95.0),
    vr_c_trip=Celsius(105.0),
    vr_c_emergency=Celsius(120.0),
)
START = datetime(2025, 1, 1, tzinfo=UTC)
OFF: Mapping[Channel, float] = {
    Channel.CHIP_C: 27.0,
    Channel.VR_C: 28.0,
    Channel.INPUT_V: 5.3,
    Channel.CORE_V: 0.0,
    Channel.CORE_A: 0.0,
    Channel.CORE_W: 0.0,
    Channel.POWER_W: 5.0,
    Channel.FAN_RPM: 5200.0,
    Channel.FAN_RATIO: 1.0,
    Channel.STATUS_WORD: float(0x0840),
    Channel.RESET_RELEASED: 0.0,
}
LIVE: Mapping[Channel, float] = {
    **OFF,
    Channel.CHIP_C: 58.0,
    Channel.VR_C: 55.0,
    Channel.INPUT_V: 5.1,
    Channel.CORE_V: 1.125,
    Channel.CORE_A: 11.0,
    Channel.CORE_W: 12.0,
    Channel.POWER_W: 17.0,
    Channel.STATUS_WORD: 0.0,
    Channel.RESET_RELEASED: 1.0,
    Channel.FREQUENCY_MHZ: 525.0,
}


class Scene:
    """A guard and the world that it is shown. Time moves with each `look`."""

    def __init__(
        self,
        envelope: Envelope = ENVELOPE,
        reach: Reach = Reach.RANGE,
        stack: Stack | None = None,
        realise: Realise | None = None,
    ) -> None:
        self.stack = stack or Stack()
        self.guard = Guard("gamma", Envelopes(envelope, OperatorLimits(unlock=reach)), realise, stack=self.stack)
        self.at_s = 0.0
        self.values: dict[Channel, float | None] = dict(OFF)
        self.chips = self.stack.chips
        self.reads_mhz: dict[int, float] = {}
        """By chip: what its PLL word gives, in each look; none: it is not read back."""
        self.finds: list[int] = []
        """By chip, of a chain with several; empty: one chip that finds nothing."""
        self.protections = frozenset({Protection.SENTINEL})
        self.work: WorkSnapshot | None = None
        self.taken_at_s: dict[Channel, float] = {}
        self.quality: dict[Channel, Quality] = {}
        self.vr_most_c: float | None = None

    def now(self) -> BoardSnapshot:
        channels = {
            channel: Reading(
                value=value,
                at_s=self.taken_at_s.get(channel, self.at_s),
                quality=self.quality.get(channel, Quality.GOOD if value is not None else Quality.INVALID),
            )
            for channel, value in self.values.items()
        }
        chip = ChipSnapshot(index=0, address=0, chip_id=0x1370, finds=0, hw_errors=0)
        return BoardSnapshot(
            board="gamma",
            at_s=self.at_s,
            at_utc=START + timedelta(seconds=self.at_s),
            state=self.guard.state,
            protections=self.protections,
            channels=channels,
            point=PointStatus(),
            chains=(
                ChainSnapshot(
                    chip="BM1370",
                    chips=tuple(
                        chip.model_copy(update={"index": index, "address": 64 * index, "finds": count})
                        for index, count in enumerate(self.finds)
                    )
                    or tuple(
                        chip.model_copy(
                            update={
                                "index": index,
                                "read_mhz": self.reads_mhz.get(index),
                                "read_at_s": self.at_s if index in self.reads_mhz else None,
                            }
                        )
                        for index in range(self.chips)
                    ),
                    expected_chips=max(self.stack.chips, len(self.finds)),
                    frequency_mhz=None,
                    expected_hs=0.0,
                    ticket_difficulty=256,
                    jobs=0,
                    nonces=0,
                    verified=0,
                    hw_errors=0,
                    duplicates=0,
                    stale=0,
                    link_errors=0,
                ),
            ),
            work=self.work,
            emulated=True,
            dilution=1,
            seed=1,
        )

    def look(self, after_s: float = 0.2, **changes: float | None) -> Any:
        """Time passes, values change, the guard looks. Returns the fault, or None."""
        self.at_s += after_s
        self.values.update({Channel(name): value for name, value in changes.items()})
        return self.guard.watch(self.now(), vr_most_c=self.vr_most_c)

    def take(self, step: Step) -> None:
        """Permission, then the move, without a word of the world."""
        self.guard.permit(step, self.now())
        self.guard.applied(step, self.at_s)

    def follow(self, steps: tuple[Step, ...]) -> None:
        """Carries out steps in a world that obeys, with a look between any two."""
        for step in steps:
            self.take(step)
            self.obey()
            assert self.look(max(0.2, step.settle_s)) is None
            assert self.look() is None

    def obey(self) -> None:
        c = self.guard.commanded
        self.values[Channel.CORE_V] = c.core_v - 0.025 if c.rail_on and c.core_v is not None else 0.0
        self.values[Channel.STATUS_WORD] = 0.0 if c.rail_on else float(0x0840)
        self.values[Channel.RESET_RELEASED] = 1.0 if c.reset_released else 0.0
        if c.frequency_mhz is not None:
            self.values[Channel.FREQUENCY_MHZ] = c.frequency_mhz
        else:
            self.values.pop(Channel.FREQUENCY_MHZ, None)

    def safe_values(self) -> None:
        self.values = dict(OFF)

    def safe(self) -> Scene:
        """At rest and off."""
        self.guard.went_safe(self.at_s)
        self.safe_values()
        self.at_s += 1.0
        return self

    def live(self, frequency_mhz: float | None = None, core_v: float | None = None) -> Scene:
        """Powered up to a point, warm."""
        self.safe()
        steps = self.guard.judge(PowerUp(frequency_mhz=frequency_mhz, core_v=core_v), self.now())
        self.guard.started()
        self.follow(steps)
        self.guard.reached()
        warm = (Channel.CHIP_C, Channel.VR_C, Channel.CORE_A, Channel.CORE_W, Channel.POWER_W)
        self.values.update({channel: LIVE[channel] for channel in warm})
        assert self.look() is None
        assert self.guard.state is GuardState.LIVE
        return self


def working(nonces: int, expected_hs: float = 1.071e12, ticket_difficulty: int = 1) -> WorkSnapshot:
    return WorkSnapshot(
        kind="pattern",
        running=True,
        elapsed_s=1.0,
        jobs=1,
        answers_due=None,
        answers_found=None,
        yield_ratio=None,
        yield_ci95=None,
        nonces=nonces,
        verified=nonces,
        extra=0,
        hw_errors=0,
        duplicates=0,
        stale=0,
        link_errors=0,
        hashrate_hs=None,
        hashrate_ci95_hs=None,
        expected_hs=expected_hs,
        ticket_difficulty=ticket_difficulty,
    )
