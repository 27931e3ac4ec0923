"""`--version-mask`: which header version bits may roll, as a pool says them."""

from __future__ import annotations

import re
from typing import Final

from controller.cli.attach import Options
from drivers.asics.versions import ROLLED_VERSION_BITS
from drivers.errors import UsageError

_KEY: Final = "--version-mask"


def add_mask_option(parser: Options) -> None:
    parser.add_argument(
        _KEY, metavar="HEX", help="header version bits that may roll, as a pool says; fewer than all on a BM1397 alone"
    )


def parse_mask(text: str | None) -> int | None:
    """None: nothing was said. Whether a chip can be fed under it, says `check_mask`."""
    if text is None:
        return None
    if re.fullmatch(r"\s*(?:0[xX])?[0-9a-fA-F]{1,8}\s*", text, re.ASCII) and not int(text, 16) & ~ROLLED_VERSION_BITS:
        return int(text, 16)
    raise UsageError(_KEY, text, f"hexadecimal digits, bits of {ROLLED_VERSION_BITS:08x}, such as 00006000; 0: none")
