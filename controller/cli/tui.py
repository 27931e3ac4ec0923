"""`hashbridge tui`: the screens, over a rig that is started here, one that runs, or a recording."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from controller.attach import Target, Where, attach, choose_rig, host_config, record_place, sentinel_report, told_apart
from controller.cli.attach import KEYS, add_target_options, wheres_of
from controller.cli.exits import Exit, exit_for, explain
from controller.cli.live import known_name
from controller.cli.run import RECORD_HELP, RETRY_HELP
from controller.cli.signals import on_signals
from controller.cli.talk import Talk
from controller.cli.trial import parse_keep_within
from controller.files import new_file, readable_file
from controller.model import RigPort, SafeOffRecord
from controller.paths import state_dir
from controller.port import LiveRig
from controller.profiles import Profiles
from controller.recording import RecordedRig
from controller.tui.app import HashbridgeApp
from controller.tui.desk import KEEP_WITHIN_S
from controller.tui.store import RigStore
from drivers.errors import UsageError, one_of

_COLOURS_16: Final = ("ansi-dark", "ansi-light")
_THEMES: Final = ("hashbridge", "textual-light", "nord", "gruvbox", "solarized-light", *_COLOURS_16)


def add_arguments(parser: ArgumentParser) -> None:
    choice = add_target_options(
        parser, required=False, several=True, board_of_rig="; with --rig or --open: which one to look at first"
    )
    choice.add_argument("--rig", metavar="PID", help="a rig that runs: see `hashbridge list`; default: the only one")
    choice.add_argument("--open", metavar="FILE", help="a journal, opened like a rig that can be played and sought in")
    screen = parser.add_argument_group("screen")
    screen.add_argument("--start", action="store_true", help="power up at stock and hash as soon as the rig is there")
    screen.add_argument("--retry", action="store_true", help=RETRY_HELP)
    screen.add_argument("--keep-within", metavar="S", help=f"how long a change waits to be kept ({KEEP_WITHIN_S:g})")
    screen.add_argument("--theme", metavar="NAME", help=f"one of {', '.join(_THEMES)}; ansi-* have 16 colours")
    files = parser.add_argument_group("files")
    files.add_argument(
        "--journal", metavar="FILE", help="keep all readings and events in FILE; --open shows them again"
    )
    files.add_argument("--record", metavar="FILE", help=RECORD_HELP)


def run(arguments: Namespace) -> int:
    wish = understand(arguments)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("tui", "no terminal", "a terminal; `hashbridge run` and `hashbridge status` need none")
    return asyncio.run(_run(arguments, wish))


@dataclass(frozen=True, slots=True)
class Wish:
    """The command line, understood before a port is touched or the terminal changed."""

    wheres: tuple[Where, ...]
    keep_within_s: float
    theme: str
    recording: Path | None
    journal: str | None
    record: str | None


def understand(arguments: Namespace) -> Wish:
    """Raises `UsageError` naming option, value and what is allowed."""
    owner = arguments.emulate is not None or arguments.port is not None
    for option in (
        "start",
        "journal",
        "record",
        "seed",
        "dilution",
        "dialect",
        "solved",
        "unlock",
        "envelope",
        "retry",
    ):
        if getattr(arguments, option) not in (None, False) and not owner:
            raise UsageError(f"--{option}", getattr(arguments, option), "only with --emulate or --port")
    if not owner and len(arguments.board or ()) > 1:
        raise UsageError("--board", ", ".join(arguments.board), "one of them: the board to look at first")
    wheres = wheres_of(arguments)
    keep_within_s = parse_keep_within(arguments.keep_within)
    if arguments.theme not in (None, *_THEMES):
        raise UsageError("--theme", arguments.theme, one_of(_THEMES, arguments.theme))
    return Wish(
        wheres=wheres,
        keep_within_s=KEEP_WITHIN_S if keep_within_s is None else keep_within_s,
        theme=arguments.theme or _usual_theme(),
        recording=None if arguments.open is None else readable_file(arguments.open, "--open"),
        journal=None if arguments.journal is None else new_file(arguments.journal, "--journal"),
        record=None if arguments.record is None else new_file(arguments.record, "--record"),
    )


def _usual_theme() -> str:
    """A terminal that names neither 256 colours nor true colour gets the 16 that it has."""
    term, colours = os.environ.get("TERM", ""), os.environ.get("COLORTERM", "")
    return "hashbridge" if colours or "256" in term or "direct" in term else "ansi-dark"


@dataclass(slots=True)
class Owned:
    """The rig of this screen: started when the screen asks for it, again when it was lost and a person wants it."""

    wish: Wish
    stack: AsyncExitStack
    targets: list[Target] = field(default_factory=list)
    rig: LiveRig | None = None
    starts: int = 0

    async def open(self) -> RigPort:
        if not self.targets:
            found = [await attach(where, "synthetic", self.stack, keys=KEYS) for where in self.wish.wheres]
            self.targets = told_apart(found)
        if self.rig is not None:
            await self.rig.aclose()
        self.starts += 1
        files = (self.wish.journal, self.wish.record)
        journal, record = (self._numbered(path) for path in files)
        record = record_place(record, self.targets, "--record")
        self.rig = await LiveRig.start(host_config(*self.targets, journal=journal, record=record))
        return self.rig

    def _numbered(self, path: str | None) -> str | None:
        """A rig that is started again begins files of its own: FILE, FILE.2, ..."""
        return path if path is None or self.starts == 1 else f"{path}.{self.starts}"

    async def end(self) -> tuple[bool, dict[str, SafeOffRecord | None]]:
        """Leave it. Whether the rig was lost, and what of the safe-off of each board was confirmed."""
        rig = self.rig
        assert rig is not None
        lost = rig.lost is not None
        await rig.aclose("the screen was left")
        names = [target.config.name for target in self.targets]
        records = {name: rig.last_safe_off.get(name) for name in names}
        if lost:
            reports = await asyncio.gather(*(sentinel_report(name, rig.pid) for name in names))
            records |= {name: report for name, report in zip(names, reports, strict=True) if report is not None}
            for target in self.targets:
                if target.child is not None:
                    target.child.leave()  # its sentinel may still need it
        return lost, records


async def _run(arguments: Namespace, wish: Wish) -> int:
    talk = Talk(arguments.quiet)
    async with AsyncExitStack() as stack:
        owned = Owned(wish, stack)
        is_owner = arguments.emulate is not None or arguments.port is not None

        joined: list[LiveRig] = []
        # What is wrong with the file, or with the rig that is meant, is said before the terminal is changed.
        recorded = None if wish.recording is None else RecordedRig.open(wish.recording)
        if not is_owner:
            _check_board(arguments, recorded)

        async def recording() -> RigPort:
            assert recorded is not None
            recorded.play()
            return recorded

        async def running() -> RigPort:
            rig = await LiveRig.connect(choose_rig(arguments.rig, "--rig").socket)
            stack.push_async_callback(rig.aclose)
            joined.append(rig)
            return rig

        opener = owned.open if is_owner else recording if recorded is not None else running
        app = HashbridgeApp(
            opener,
            profiles=Profiles(),
            owner=is_owner,
            reopen=not is_owner,
            start=arguments.start,
            board=None if is_owner or arguments.board is None else arguments.board[0],
            overview=is_owner or arguments.board is None,
            keep_within_s=wish.keep_within_s,
            theme=wish.theme,
        )
        # SIGTERM and SIGHUP leave in order: the terminal as it was, the boards safe.
        with _log_to_file(), on_signals((signal.SIGTERM, signal.SIGHUP), app.exit):
            await app.run_async()
        if app.error is not None:
            talk.warn(explain(app.error))
            return exit_for(app.error)
        if owned.rig is None:
            code = _farewell(joined[-1] if joined else None, talk)
        else:
            lost, records = await owned.end()  # before a word: a terminal that is not read would keep us from it
            code = verdict(app.desk.store, lost, records, talk)
        return Exit.FAILED if app.return_code and code is Exit.OK else code  # a screen that broke down says so itself


def _check_board(arguments: Namespace, recorded: RecordedRig | None) -> None:
    """The rig is there, and the board that is meant is one of it. Raises `UsageError` or `PortMissing`."""
    if recorded is not None and not recorded.info:
        raise UsageError("--open", str(recorded.path), "the journal of a rig; this one, of a bare hash board, has none")
    rig = choose_rig(arguments.rig, "--rig") if recorded is None else None
    if arguments.board is not None:
        names = rig.boards if rig is not None else [board.name for board in recorded.info] if recorded else []
        known_name(arguments.board[0], names)


def _farewell(rig: LiveRig | None, talk: Talk) -> Exit:
    """A viewer leaves. A rig that ended in order has said goodbye; one that just vanished is a link lost."""
    if rig is None or rig.lost is None or rig.goodbye is not None:
        return Exit.OK
    talk.warn(f"the rig {rig.pid} was lost: {rig.lost.why}; the report of its sentinel is in {state_dir()}")
    return Exit.LINK


def verdict(store: RigStore, lost: bool, records: Mapping[str, SafeOffRecord | None], talk: Talk) -> Exit:
    """Of a rig that was started here: the gravest of its boards, after a word about each."""
    code = Exit.OK
    for name, record in records.items():
        of = talk if len(records) == 1 else talk.of(name)
        if record is not None and record.confirmed:
            of.say(f"safe-off confirmed by {record.by}: {', '.join(action.name for action in record.actions)}", "good")
            continue
        info = store.boards.get(name)
        then = "" if info is not None and info.emulated else ": CUT THE BOARD'S SUPPLY"
        of.warn(f"the safe-off could NOT be confirmed by read-back{then}")
        code = Exit.FAILED
    if code is Exit.FAILED:
        return code
    if lost:
        talk.warn("the rig process ended before the screen did")
        return Exit.LINK
    latched = [board for board in store.snapshot.boards if board.latched is not None] if store.snapshot else []
    for board in latched:
        assert board.latched is not None
        talk.warn(f"{board.board}: latched by {board.latched.cause.value}: {board.latched.detail}")
    return Exit.TRIPPED if latched else Exit.OK


@contextmanager
def _log_to_file() -> Iterator[None]:
    """What the program logs goes to a file while the screen has the terminal."""
    root = logging.getLogger()
    before = root.handlers[:]
    handler = logging.FileHandler(state_dir() / f"tui-{os.getpid()}.log", delay=True, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root.handlers[:] = [handler]
    try:
        yield
    finally:
        root.handlers[:] = before
        handler.close()
