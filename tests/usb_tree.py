"""A sysfs and a /dev of our own, in which terminals of ours are the ports of USB devices."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

GAMMA = {"idVendor": "c0de", "idProduct": "cafe", "manufacturer": "OSMU", "product": "Bitaxe", "serial": "984a7d04"}
EMBER = {"idVendor": "1209", "idProduct": "256f", "manufacturer": "256F", "product": "EmberOne00", "serial": "c2001234"}


class UsbTree:
    """`sysfs` and `dev` as Linux has them, as far as the search for a port looks."""

    def __init__(self, root: Path) -> None:
        self.sysfs, self.dev = root / "sys", root / "dev"
        for directory in (self.sysfs / "class/tty", self.sysfs / "dev/char", self.dev):
            directory.mkdir(parents=True)
        (self.sysfs / "class/tty/console").mkdir()  # a tty of no USB device

    def plug(
        self,
        name: str,
        node: str,
        where: str = "1-1.2",
        interface: int = 0,
        *,
        uart: bool = False,
        strings: Mapping[str, str] | None = None,
    ) -> Path:
        """The terminal at `node` becomes the port `name` of a device at `where`. `strings`: instead of a Gamma's; an
        empty one is not there. `uart`: as a USB-UART has it, one directory deeper. The path of the port."""
        device = self.sysfs / "devices/usb1" / where
        board = device / f"{where}:1.{interface}"
        tty = (board / name if uart else board) / "tty" / name
        tty.mkdir(parents=True)
        for key, text in {**GAMMA, **(strings or {})}.items():
            if text:
                (device / key).write_text(f"{text}\n", encoding="utf-8")
        (board / "bInterfaceNumber").write_text(f"{interface:02x}\n", encoding="ascii")
        (tty / "device").symlink_to(board / name if uart else board)
        (self.sysfs / "class/tty" / name).symlink_to(tty)
        number = os.stat(node).st_rdev
        char = self.sysfs / "dev/char" / f"{os.major(number)}:{os.minor(number)}"
        char.unlink(missing_ok=True)  # numbers are used again
        char.symlink_to(tty)
        path = self.dev / name
        path.symlink_to(os.path.realpath(node))
        return path

    def unplug(self, name: str) -> None:
        tty = (self.sysfs / "class/tty" / name).resolve()
        for link in (self.sysfs / "dev/char").iterdir():
            if link.resolve() == tty:
                link.unlink()
        (self.sysfs / "class/tty" / name).unlink()
        (self.dev / name).unlink()
        shutil.rmtree(tty)
