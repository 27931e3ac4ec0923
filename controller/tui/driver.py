"""The terminal of the screens, for a process that may be stopped and continued by others (SIGSTOP, SIGCONT)."""

from __future__ import annotations

from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver


class ContinuedDriver(LinuxDriver):
    """Whoever is continued enters the terminal again, having left it first.

    The framework enters it twice instead, when the stop was not its own Ctrl+Z: two threads would read the keys,
    the raw terminal would be taken for the one to restore in the end, and only what changes would be painted.
    """

    def _sigcont_application(self, *_: object) -> None:
        if not self._must_signal_resume:
            self.suspend_application_mode()
            self._must_signal_resume = True  # the screen is painted whole, as after Ctrl+Z
        super()._sigcont_application()


def continued(usual: type[Driver]) -> type[Driver]:
    """The driver to take where the framework would take `usual`."""
    return ContinuedDriver if usual is LinuxDriver else usual
