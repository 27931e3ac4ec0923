"""`--fan` and `--fan-target`: how the fan is to be led."""

from __future__ import annotations

import re
from typing import Final

from controller.cli.attach import Options
from controller.cli.quantities import parse_number
from controller.model import FAN_TARGET_MAX_C, FAN_TARGET_MIN_C, FanMode, SetFan
from drivers.errors import UsageError

_KEY: Final = "--fan"
_TARGET_KEY: Final = "--fan-target"
_USUAL: Final = SetFan()


def add_fan_options(parser: Options) -> None:
    parser.add_argument(_KEY, metavar="HOW", help="full, auto, or auto with a least duty in percent: 60")
    usual_c = f"{_USUAL.target_chip_c:g}"
    parser.add_argument(_TARGET_KEY, metavar="C", help=f"where {_KEY} auto holds the die; default: {usual_c}")


def parse_fan(how: str | None, target: str | None) -> SetFan | None:
    """`how`: `full`, `auto`, or the least duty in percent with which it follows: 60, 60%. `target`: the die's, C."""
    if how is None:
        if target is not None:
            raise UsageError(_TARGET_KEY, target, f"together with {_KEY} auto")
        return None
    if how == "full":
        if target is not None:
            raise UsageError(_TARGET_KEY, target, f"not with {_KEY} full")
        return SetFan()
    target_c = _USUAL.target_chip_c
    if target is not None:
        target_c = parse_number(target, _TARGET_KEY, FAN_TARGET_MIN_C, FAN_TARGET_MAX_C, "C")
    if how == "auto":
        return SetFan(mode=FanMode.AUTO, target_chip_c=target_c)
    percent = how.removesuffix("%").strip()
    if not re.fullmatch(r"\d{1,3}(\.\d+)?", percent, re.ASCII) or not 0.0 <= float(percent) <= 100.0:
        raise UsageError(_KEY, how, "full, auto, or the least duty in percent, 0 to 100")
    return SetFan(mode=FanMode.AUTO, target_chip_c=target_c, floor_ratio=float(percent) / 100.0)
