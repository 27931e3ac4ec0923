"""Exit codes are a contract: docs/cli.md lists them, scripts rely on them."""

import re
from pathlib import Path

import pytest

from controller.cli.exits import Exit, exit_for, explain
from drivers.errors import (
    BridgeRefused,
    HashbridgeError,
    Latched,
    LimitError,
    Nack,
    NoReply,
    PortBusy,
    PortMissing,
    Refused,
    UnexpectedReply,
    Unplugged,
    UsageError,
    VerifyError,
)

ROOT = Path(__file__).parents[3]


def test_the_codes_are_the_ones_that_scripts_know() -> None:
    assert {code.name: code.value for code in Exit} == {
        "OK": 0,
        "FAILED": 1,
        "USAGE": 2,
        "NOT_FOUND": 3,
        "BUSY": 4,
        "LINK": 5,
        "REFUSED": 6,
        "TRIPPED": 7,
        "INTEGRITY": 8,
        "INTERRUPTED": 130,
    }


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("--x", 1, "2"), 2),
        (LimitError("core_v", 2.0, "1.0 to 1.25 V"), 2),
        (PortMissing("/dev/x", "no such port"), 3),
        (PermissionError(13, "Permission denied", "/dev/x"), 3),
        (FileNotFoundError(2, "No such file", "x"), 3),
        (PortBusy("/dev/x"), 4),
        (Unplugged("/dev/x", "end of file"), 5),
        (NoReply("chip id", 0.5), 5),
        (UnexpectedReply("nonsense"), 5),
        (TimeoutError("late"), 5),
        (ConnectionResetError("gone"), 5),
        (Refused("envelope", "1.400 V is above 1.250 V"), 6),
        (Latched("chip_temperature", "76.0 C"), 7),
        (BridgeRefused("i2c", 0x11), 1),
        (Nack(0x24, "I2C Write Error"), 1),
        (VerifyError("VOUT_MAX", 1.4, 2.0), 1),
        (HashbridgeError("?"), 1),
        (OSError("disk full"), 1),
    ],
)
def test_each_error_has_its_exit_code(error: Exception, code: int) -> None:
    assert exit_for(error) == code


def test_what_is_told_names_the_kind_the_reason_and_where_it_was() -> None:
    error = Refused("envelope", "1.400 V is above 1.250 V")
    error.add_note("while powering up")
    assert explain(error) == "hashbridge: refused: envelope: 1.400 V is above 1.250 V\n  while powering up"


def test_the_manual_lists_every_code() -> None:
    manual = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    section = manual.split("## Exit codes")[1].split("##")[0]
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)] == [code.value for code in Exit]
