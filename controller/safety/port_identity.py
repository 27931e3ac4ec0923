"""Which board a port belongs to, by its USB descriptors and its socket, as Linux tells them in sysfs.

After an unplug a port may come back under another name (ttyACM3 for ttyACM0), and its old name may be another board's.
Standard library only: the sentinel, which is run without the project, loads this file from beside its own.
"""

from __future__ import annotations

import errno
import os

SAME_SERIALS = (("256F", "EmberOne00"), ("OSMU", "Ember One"))
"""Manufacturer and product of firmwares of which some give one serial number to all units
(256foundation/emberone-usbserial-fw before 2026-03-19)."""


class Plugged:
    """A tty of a USB device as sysfs has it: what its descriptors say, and where the device is plugged in."""

    def __init__(self, tty: str) -> None:
        """`tty`: its directory. Raises `OSError` when it belongs to no USB device."""
        self.name = os.path.basename(tty)
        interface = os.path.realpath(os.path.join(tty, "device"))
        if not os.path.exists(os.path.join(interface, "bInterfaceNumber")):
            interface = os.path.dirname(interface)  # of a UART there is one directory more
        device = os.path.dirname(interface)
        number = self.text(interface, "bInterfaceNumber")
        ids = self.text(device, "idVendor"), self.text(device, "idProduct")
        if number is None or None in ids:
            raise OSError(errno.ENODEV, "no USB device")
        self.maker = self.text(device, "manufacturer"), self.text(device, "product")
        self.serial = self.text(device, "serial")
        self.shows = (*ids, *self.maker, self.serial, number)
        self.where = os.path.basename(device)  # its topology path: 1-1.2

    @staticmethod
    def text(directory: str, name: str) -> str | None:
        try:
            with open(os.path.join(directory, name), encoding="utf-8", errors="replace") as file:
                return file.read().strip() or None
        except OSError:
            return None


class Identity:
    """Which board a port belongs to: so it is found again under whatever name, and no other board is taken for it.

    By what the descriptors say. Where that does not tell one board from another, a serial number that is missing or not
    its own, by where it is plugged in as well. Nothing is opened, nothing is sent.
    """

    def __init__(self, port: os.stat_result, sysfs: str = "/sys", dev: str = "/dev") -> None:
        """`port`: of the device node. Raises `OSError` where sysfs knows of no USB device behind it."""
        self.sysfs, self.dev = sysfs, dev
        self.was = self.at(port)
        self.where_decides = self.was.serial is None or self.was.maker in SAME_SERIALS
        self.look()

    def at(self, port: os.stat_result) -> Plugged:
        number = f"{os.major(port.st_rdev)}:{os.minor(port.st_rdev)}"
        return Plugged(os.path.realpath(os.path.join(self.sysfs, "dev/char", number), strict=True))

    def alike(self) -> list[Plugged]:
        """What is plugged in and shows the same."""
        found, root = [], os.path.join(self.sysfs, "class/tty")
        try:
            names = os.listdir(root)
        except OSError:
            return []
        for name in names:
            tty = os.path.join(root, name)
            if not os.path.exists(os.path.join(tty, "device")):
                continue  # a console: most of them are, and each costs a dozen calls
            try:
                one = Plugged(os.path.realpath(tty))
            except OSError:
                continue
            if one.shows == self.was.shows:
                found.append(one)
        return found

    def look(self) -> None:
        """At the start, and at once when the port is lost: whatever shows the same elsewhere then is another board."""
        if any(one.where != self.was.where for one in self.alike()):
            self.where_decides = True

    def find(self) -> str:
        """The path of the port now. Raises `OSError` when its board is not there, or cannot be told from another."""
        alike = self.alike()
        if self.where_decides or len(alike) > 1:
            alike = [one for one in alike if one.where == self.was.where]
        if len(alike) != 1:
            raise OSError(errno.ENODEV, "its board is not plugged in")
        return os.path.join(self.dev, alike[0].name)

    def check(self, port: os.stat_result) -> None:
        """That what was opened is that board; names may have changed meanwhile. Raises `OSError`."""
        now = self.at(port)
        if now.shows != self.was.shows or (self.where_decides and now.where != self.was.where):
            raise OSError(errno.ENODEV, "another board has this name by now")
        self.was = now


def identity_of(port: os.stat_result, sysfs: str = "/sys", dev: str = "/dev") -> Identity | None:
    """None for a port of no USB device, and on systems without sysfs: such a port comes back by its path alone."""
    try:
        return Identity(port, sysfs, dev)
    except OSError:
        return None
