"""What a board may be asked for: hard contains operator contains session; each limit knows which of them set it. Pure.

`hard` is the row of the board, and no file and no command moves it. Inside it an operator may go as far as stock; what
lies beyond is unlocked on purpose (`Reach`), and that is an event of the journal. A session, of a tuner or script, may
take less. Where nothing would make the board safe if this process died, or nobody is there, stock is the most there is.

A value outside its layer is an error that names the key, the value and what is allowed; nothing is clamped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from controller.model import (
    Layer,
    Limit,
    Limits,
    LimitSession,
    OperatorLimits,
    Protection,
    Reach,
    SessionLimits,
    SetReach,
)
from drivers.boards.board import Envelope, Span
from drivers.errors import Refused, UsageError
from drivers.units import Celsius, Watts

LOWEST_LEVEL_C: Final = 40.0
"""Lower, and a level is passed by a board at rest."""
LOWEST_POWER_W: Final = 5.0
_OUTLIVES_US: Final = frozenset({Protection.SENTINEL, Protection.HOST_LEASE})
_LEVELS: Final = ("warn", "throttle", "trip")
_NEAR: Final = 1e-6
_WHOSE: Final[Mapping[Layer, str]] = MappingProxyType(
    {
        Layer.HARD: "the hard limit",
        Layer.RANGE: "the range of this kind of board; unlocking `hard` goes further",
        Layer.STOCK: "which is stock; unlocking goes further",
        Layer.OPERATOR: "the operator's limit",
        Layer.SESSION: "the limit of this session",
        Layer.PROTECTION: "which is stock: nothing but this computer would make the board safe",
    }
)


class Envelopes:
    """The layers of one board. Raises `UsageError` for an operator's limit that is outside the hard envelope."""

    def __init__(self, shipped: Envelope, operator: OperatorLimits | None = None, *, where: str = "") -> None:
        """`where` goes before the key in errors: the file, say."""
        self._shipped, self._operator = shipped, operator or OperatorLimits()
        self._check_operator(where)
        self.row = self._row()
        """The row of the board with what the operator has taken from its trip levels and its power."""
        self.reach = self._operator.unlock
        self.session = SessionLimits()
        self._kept: dict[bool, Limits] = {}

    # --- what holds ---------------------------------------------------------------------------------------------------

    def limits(self, protections: frozenset[Protection]) -> Limits:
        """What holds with these protections."""
        capped = self._capped(protections)
        found = self._kept.get(capped)
        if found is None:
            found = self._kept[capped] = self._resolve(self.reach, self.session, capped=capped)
        return found

    def after(self, wish: SetReach | LimitSession, protections: frozenset[Protection]) -> Limits:
        """As `limits`, if this were done. Raises as `do`."""
        capped = self._capped(protections)
        match wish:
            case SetReach(reach=reach):
                return self._resolve(reach, self.session, capped=capped)
            case LimitSession(limits=session):
                self._check_session(session)
                return self._resolve(self.reach, session, capped=capped)

    def do(self, wish: SetReach | LimitSession) -> None:
        """Raises `UsageError` for a session's limit outside the operator's envelope as it is unlocked now."""
        match wish:
            case SetReach(reach=reach):
                self.reach = reach
            case LimitSession(limits=session):
                self._check_session(session)
                self.session = session
        self._kept.clear()

    def _capped(self, protections: frozenset[Protection]) -> bool:
        """Beyond stock somebody has to notice that we are gone. A board that may come back by itself is one that nobody
        watches: for it that has to be its own firmware."""
        enough = {Protection.HOST_LEASE} if self._operator.retry else _OUTLIVES_US
        return not protections & enough

    def hard_span(self, key: str) -> Span:
        """What no layer can leave: `core_v` in V, `frequency_mhz` in MHz."""
        e = self._shipped
        if key == "core_v":
            return Span(e.core_v.low, e.core_v_hard)
        return Span(e.frequency_mhz.low, e.frequency_hard_mhz)

    # --- resolving ----------------------------------------------------------------------------------------------------

    def _most(self, key: str, reach: Reach) -> Limit:
        """How far up an operator may go who has set no limit of their own."""
        e = self._shipped
        stock, span = (e.stock_core_v, e.core_v) if key == "core_v" else (e.stock_frequency_mhz, e.frequency_mhz)
        match reach:
            case Reach.STOCK:
                return Limit(value=float(stock), layer=Layer.STOCK)
            case Reach.RANGE:
                return Limit(value=float(span.high), layer=Layer.RANGE)
            case Reach.HARD:
                return Limit(value=float(self.hard_span(key).high), layer=Layer.HARD)

    def _pair(self, key: str, reach: Reach, session: SessionLimits, *, capped: bool) -> tuple[Limit, Limit]:
        o = self._operator
        low = Limit(value=float(self.hard_span(key).low), layer=Layer.HARD)
        high = self._most(key, reach)
        for layer, said_low, said_high in (
            (Layer.OPERATOR, getattr(o, f"{key}_min"), getattr(o, f"{key}_max")),
            (Layer.SESSION, getattr(session, f"{key}_min"), getattr(session, f"{key}_max")),
        ):
            if said_low is not None and said_low > low.value:
                low = Limit(value=said_low, layer=layer)
            if said_high is not None and said_high < high.value:
                high = Limit(value=said_high, layer=layer)
        stock = self._most(key, Reach.STOCK)
        if capped and stock.value < high.value:
            high = Limit(value=stock.value, layer=Layer.PROTECTION)
        return low, high

    def _resolve(self, reach: Reach, session: SessionLimits, *, capped: bool) -> Limits:
        core_min, core_max = self._pair("core_v", reach, session, capped=capped)
        clock_min, clock_max = self._pair("frequency_mhz", reach, session, capped=capped)
        o, e = self._operator, self._shipped

        def of(key: str, shipped: float, layer: Layer = Layer.HARD) -> Limit:
            said = getattr(o, key)
            return Limit(value=float(shipped), layer=layer) if said is None else Limit(value=said, layer=Layer.OPERATOR)

        return Limits(
            reach=reach,
            core_v_min=core_min,
            core_v_max=core_max,
            frequency_mhz_min=clock_min,
            frequency_mhz_max=clock_max,
            power_w_max=of("power_w_max", e.power_operator_w, Layer.RANGE),
            chip_c_warn=of("chip_c_warn", e.chip_c_warn),
            chip_c_throttle=of("chip_c_throttle", e.chip_c_throttle),
            chip_c_trip=of("chip_c_trip", e.chip_c_trip),
            vr_c_warn=of("vr_c_warn", e.vr_c_warn),
            vr_c_throttle=of("vr_c_throttle", e.vr_c_throttle),
            vr_c_trip=of("vr_c_trip", e.vr_c_trip),
        )

    def _row(self) -> Envelope:
        o, e = self._operator, self._shipped

        def of(said: float | None, shipped: float) -> float:
            return float(shipped) if said is None else said

        return replace(
            e,
            power_operator_w=Watts(of(o.power_w_max, e.power_operator_w)),
            chip_c_warn=Celsius(of(o.chip_c_warn, e.chip_c_warn)),
            chip_c_throttle=Celsius(of(o.chip_c_throttle, e.chip_c_throttle)),
            chip_c_trip=Celsius(of(o.chip_c_trip, e.chip_c_trip)),
            vr_c_warn=Celsius(of(o.vr_c_warn, e.vr_c_warn)),
            vr_c_throttle=Celsius(of(o.vr_c_throttle, e.vr_c_throttle)),
            vr_c_trip=Celsius(of(o.vr_c_trip, e.vr_c_trip)),
        )

    # --- checking -----------------------------------------------------------------------------------------------------

    def _check_operator(self, where: str) -> None:
        o, e = self._operator, self._shipped
        for key, unit in (("core_v", "V"), ("frequency_mhz", "MHz")):
            most = self._most(key, o.unlock)
            hint = "" if o.unlock is Reach.HARD else f", the {most.layer.value} limit; `unlock` reaches further"
            _check_pair(o, key, Span(self.hard_span(key).low, most.value), unit, where, hint)
        most_w = e.power_hard_w if o.unlock is Reach.HARD else e.power_operator_w
        _check(o, "power_w_max", Span(LOWEST_POWER_W, most_w), "W", where)
        for part in ("chip_c", "vr_c"):
            before, previous = LOWEST_LEVEL_C, ""
            for level in _LEVELS:
                key = f"{part}_{level}"
                shipped = float(getattr(e, key))
                _check(o, key, Span(LOWEST_LEVEL_C, shipped), "C", where)
                said = getattr(o, key)
                value = shipped if said is None else said
                if value <= before and previous:
                    raise UsageError(f"{where}{key}", value, f"above {previous}, which is {before:g} C")
                before, previous = value, key

    def _check_session(self, session: SessionLimits) -> None:
        for key, unit in (("core_v", "V"), ("frequency_mhz", "MHz")):
            low, high = self._pair(key, self.reach, SessionLimits(), capped=False)
            _check_pair(session, key, Span(low.value, high.value), unit, "", f", the {high.layer.value} limit")


def fits(limits: Limits, core_v: float | None, frequency_mhz: float | None, clock_key: str = "frequency_mhz") -> None:
    """Raises `Refused` with the limit and whose it is. None fits. `clock_key`: how the clock is called then."""
    for key, value, low, high, unit in (
        ("core_v", core_v, limits.core_v_min, limits.core_v_max, "V"),
        (clock_key, frequency_mhz, limits.frequency_mhz_min, limits.frequency_mhz_max, "MHz"),
    ):
        if value is None or low.value - _NEAR <= value <= high.value + _NEAR:
            continue
        whose = _WHOSE[low.layer if value < low.value else high.layer]
        raise Refused("envelope", f"{key} {value:g} {unit} is outside {low.value:g} to {high.value:g} {unit}, {whose}")


def _check(said: SessionLimits, key: str, allowed: Span, unit: str, where: str, hint: str = "") -> None:
    value = getattr(said, key)
    if value is not None and value not in allowed:
        raise UsageError(f"{where}{key}", value, f"{allowed.low:g} to {allowed.high:g} {unit}{hint}")


def _check_pair(said: SessionLimits, key: str, allowed: Span, unit: str, where: str, hint: str) -> None:
    for end in ("min", "max"):
        _check(said, f"{key}_{end}", allowed, unit, where, hint)
    low, high = getattr(said, f"{key}_min"), getattr(said, f"{key}_max")
    if low is not None and high is not None and low > high:
        raise UsageError(f"{where}{key}_min", low, f"at most {key}_max, which is {high:g} {unit}")


__all__ = ["Envelopes", "fits"]
