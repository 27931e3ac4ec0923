"""The terminal of the screens: never waited for, and entered anew by a process that was stopped and continued.

A terminal that is not read (Ctrl+S, a stalled connection) takes no more output. The framework queues 30 writes and then
waits for it, and with it everything else: an emergency stop would not be sent. Here the surplus is thrown away instead,
and the whole screen is painted once the terminal takes output again.
"""

from __future__ import annotations

from queue import Full
from typing import Final

from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver

LEAVING_S: Final = 1.0
"""How long, at the end, a terminal that is not read is waited for."""


class PatientDriver(LinuxDriver):
    """Keys and wishes go on whatever becomes of the output."""

    _behind = False
    _leaving = False

    def write(self, data: str) -> None:
        """Queue some output; when the queue is full, nothing more until it is empty, and then everything anew."""
        writer = self._writer_thread
        if writer is None:
            return
        if self._behind and not self._leaving:
            if not writer._queue.empty():
                return
            self._behind = False
            self._app.call_next(self._paint_everything)
        try:
            writer._queue.put(data, block=self._leaving and not self._behind, timeout=LEAVING_S)
        except Full:
            self._behind = True

    def _paint_everything(self) -> None:
        """As after Ctrl+Z and fg: what was thrown away could be anywhere."""
        self._app.refresh(layout=True)

    def stop_application_mode(self) -> None:
        """What leaves the terminal as it was is worth a wait."""
        self._leaving = True
        super().stop_application_mode()
        self._leaving = False

    def close(self) -> None:
        """As the framework does it, but for a terminal that takes nothing: that is left to itself."""
        writer, self._writer_thread = self._writer_thread, None
        if writer is not None:
            try:
                writer._queue.put(None, timeout=LEAVING_S)
            except Full:
                return
            writer.join(LEAVING_S)

    def _sigcont_application(self, *_: object) -> None:
        """Leave the terminal before it is entered again.

        The framework enters it twice instead, when the stop was not its own Ctrl+Z: two threads would read the keys,
        the raw terminal would be taken for the one to restore in the end, and only what changes would be painted.
        """
        if not self._must_signal_resume:
            self.suspend_application_mode()
            self._must_signal_resume = True  # the screen is painted whole, as after Ctrl+Z
        super()._sigcont_application()


def patient(usual: type[Driver]) -> type[Driver]:
    """The driver to take where the framework would take `usual`."""
    return PatientDriver if usual is LinuxDriver else usual
