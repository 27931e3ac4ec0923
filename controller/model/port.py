"""The door that screens, tuners and scripts see: live, remote or recorded rigs look alike."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol, runtime_checkable

from controller.model.commands import Command
from controller.model.events import Event
from controller.model.snapshots import BoardInfo, Snapshot


class RigPort(Protocol):
    """What screens, tuners and scripts see of a rig: live, remote or recorded, all look alike."""

    @property
    def info(self) -> tuple[BoardInfo, ...]:
        """The boards of this rig and what does not change of them."""
        ...

    async def request(self, board: str, command: Command) -> None:
        """Returns when the command is done. Raises `Refused`, `Latched`, `UsageError` or another project error."""
        ...

    def snapshots(self) -> AsyncIterator[Snapshot]:
        """State: the newest wins, none queue up."""
        ...

    def events(self) -> AsyncIterator[Event]:
        """History from the rig's first event on: in order, none lost."""
        ...


@runtime_checkable
class Playback(Protocol):
    """What a recorded `RigPort` can do besides: its time is a position in the recording, in seconds from its start.

    A seek is a new beginning: the iterators of `snapshots` and `events` end, and new ones begin with the first event
    and go on as far as the new position. `generation` counts the seeks.
    """

    generation: int
    playing: bool
    speed: float

    @property
    def duration_s(self) -> float: ...

    @property
    def position_s(self) -> float: ...

    def play(self) -> None: ...

    def pause(self) -> None: ...

    def seek(self, position_s: float) -> None:
        """Clamped to the recording."""
        ...

    def past(self, span_s: float, at_most: int) -> Sequence[Snapshot]:
        """What was before the position, oldest first: at most so many snapshots of the last `span_s`, evenly chosen."""
        ...
