"""The program on the terminal: its screens, its keys, and what each of them asks of the rig."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

from textual.app import SystemCommand
from textual.await_complete import AwaitComplete
from textual.binding import ActiveBinding, Binding, BindingType
from textual.screen import Screen

from controller.model import (
    AddRemark,
    BoardInfo,
    Channel,
    ClearFault,
    FanMode,
    GuardState,
    KeepPoint,
    OperatingPoint,
    PowerDown,
    Reach,
    RevertPoint,
    SetFan,
    SetOperatingPoint,
    SetReach,
    StartWork,
    StopWork,
)
from controller.profiles import Profile, Profiles
from controller.text import number, printable
from controller.tui import words
from controller.tui.ask import AskChoice, AskText, AskYesNo, HelpScreen, quantity
from controller.tui.client import RigClient
from controller.tui.desk import Answer, Verdict
from controller.tui.palette import Palette
from controller.tui.screens.board import BoardScreen
from controller.tui.screens.boards import BoardsScreen
from controller.tui.screens.chips import ChipsScreen
from controller.tui.screens.log import LogScreen
from controller.tui.screens.tune import TuneScreen
from controller.tui.widgets.facts import event_line
from controller.tui.widgets.panel import Panel
from drivers.errors import HashbridgeError, UsageError

_T = TypeVar("_T")
SPEEDS: Final = (1.0, 2.0, 5.0, 10.0, 60.0)
SWITCH_S: Final = 0.005


class HashbridgeApp(RigClient):
    """The program on the terminal."""

    CSS_PATH = "hashbridge.tcss"
    TITLE = "hashbridge"
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+x", "stop", "STOP", show=False, priority=True, id="stop"),
        Binding("0", "switch_mode('boards')", "boards", id="screen.boards"),
        Binding("1", "switch_mode('board')", "board", id="screen.board"),
        Binding("2", "switch_mode('tune')", "tune", id="screen.tune"),
        Binding("3", "switch_mode('log')", "log", id="screen.log"),
        Binding("4", "switch_mode('chips')", "chips", id="screen.chips"),
        Binding("k", "keep", "keep", id="tune.keep"),
        Binding("u", "undo", "undo", id="tune.undo"),
        Binding("a", "apply", "apply", id="tune.apply"),
        Binding("e", "edit", "edit", id="tune.edit"),
        Binding("w", "work", "work", id="board.work"),
        Binding("space", "play", "play", id="recording.play"),
        Binding("full_stop", "seek(10)", "10 s on", show=False, id="recording.on"),
        Binding("comma", "seek(-10)", "10 s back", show=False, id="recording.back"),
        Binding("greater_than_sign", "seek(60)", "a minute on", show=False, id="recording.far_on"),
        Binding("less_than_sign", "seek(-60)", "a minute back", show=False, id="recording.far_back"),
        Binding("s", "speed", "speed", id="recording.speed"),
        Binding("D", "power_down", "power down", id="board.power_down"),
        Binding("C", "clear_fault", "clear fault", id="board.clear_fault"),
        Binding("P", "profiles", "profiles", id="tune.profiles"),
        Binding("n", "remark", "note", id="board.remark"),
        Binding("p", "pause", "pause", show=False, id="screen.pause"),
        Binding("right_square_bracket", "board(1)", "next board", show=False, id="board.next"),
        Binding("left_square_bracket", "board(-1)", "board before", show=False, id="board.before"),
        Binding("y", "copy", "copy", show=False, id="screen.copy"),
        Binding("f8", "picture", "screenshot", show=False, id="screen.picture"),
        Binding("r", "reconnect", "start again", id="rig.reconnect"),
        Binding("escape", "dismiss_stop", "close", show=False, id="stop.dismiss"),
        Binding("question_mark,f1", "help", "help", key_display="?", id="help"),
        Binding("q", "leave", "quit", id="quit"),
        Binding("ctrl+z", "suspend_process", "suspend", show=False, id="suspend"),
    ]

    def on_mount(self) -> None:
        self.add_mode("boards", lambda: BoardsScreen(self.desk))
        self.add_mode("board", lambda: BoardScreen(self.desk))
        self.add_mode("tune", lambda: TuneScreen(self.desk))
        self.add_mode("log", lambda: LogScreen(self.desk))
        self.add_mode("chips", lambda: ChipsScreen(self.desk))
        self.switch_mode("board")

    def delay_update(self, delay: float = SWITCH_S) -> None:
        """A screen that is switched to is painted when it has been laid out; the usual 50 ms would only be waited."""
        super().delay_update(min(delay, SWITCH_S))

    @property
    def wants_verdict(self) -> bool:
        return isinstance(self.screen, TuneScreen)

    def action_command_palette(self) -> None:
        """There is one, though a question that was asked meanwhile may lie over it."""
        if not any(isinstance(screen, Palette) for screen in self.screen_stack):
            self.push_screen(Palette(id="--command-palette"))

    # --- what is possible ---------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """True: now. None: not now, shown in grey. False: not here at all."""
        desk = self.desk
        recorded = desk.playback is not None
        match action:
            case "keep":
                return desk.on_trial
            case "undo":
                if desk.on_trial or desk.differs:
                    return True
                return None if recorded or not desk.can(GuardState.LIVE) or desk.undo_point() is None else True
            case "apply":
                if recorded:
                    return False
                # A key that can energise a board works where the point and the guard's answer are in sight.
                return True if self.current_mode == "tune" and self._can_apply() else None
            case "edit" | "profiles":
                return False if recorded else (True if desk.info is not None else None)
            case "work":
                return False if recorded else (True if desk.can(GuardState.LIVE) else None)
            case "unlock":
                return self._reach is not None
            case "fan":
                return self._fan_mode is not None
            case "power_down":
                return desk.can(GuardState.LIVE)
            case "clear_fault":
                return desk.can(GuardState.LATCHED)
            case "remark":
                return False if recorded else (True if desk.can_command else None)
            case "play" | "seek" | "speed":
                return recorded
            case "reconnect":
                return self.can_join_again
            case "board":
                return len(desk.store.boards) > 1
            case "switch_mode":
                return self._has_screen(str(parameters[0]))
            case "dismiss_stop":
                return desk.store.stop is not None
            case _:
                return True

    def _has_screen(self, mode: str) -> bool:
        """A list of one is none."""
        desk = self.desk
        if mode == "boards":
            return len(desk.store.boards) > 1
        return mode != "chips" or (desk.info is not None and desk.info.chips > 1)

    def _can_apply(self) -> bool:
        desk = self.desk
        if desk.store.stop is not None:  # first look at what the stop has done, and close it
            return False
        return desk.can(GuardState.SAFE_OFF) or (desk.can(GuardState.LIVE) and desk.differs)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """The palette: what can be done now, and nothing else."""
        rows: list[tuple[str, str, str]] = [
            ("Power up", "from safe-off to the staged point", "apply"),
            ("Apply the staged point", f"on trial for {self.keep_within_s:g} s", "apply"),
            ("Keep the change on trial", "the countdown ends, the point stays", "keep"),
            ("Undo", "take the change back, or go back to the point before", "undo"),
            ("Edit the set point", "type a number for the marked quantity", "edit"),
            ("Start or stop work", "feed the chips, or let the last window end", "work"),
            ("Power down", "ramp down, then safe-off", "power_down"),
            ("Unlock beyond stock", "as far as is shipped for this kind of board; it is on record", "unlock"),
            ("Lock beyond stock", "only what stock allows may be asked for again", "unlock"),
            (
                "Fan follows",
                "slower than full while the board is cool, at stock or below",
                "fan",
            ),
            ("Fan at full", "whatever the temperatures are", "fan"),
            ("Clear the fault", "leave the latch; only when the readings are healthy", "clear_fault"),
            ("Profiles", "load, save or delete a named point", "profiles"),
            ("Write a note", "a line of your own in the history", "remark"),
            ("Play or pause", "the recording", "play"),
            ("Speed", "of the recording", "speed"),
            ("Start the rig again", "after it was lost", "reconnect"),
        ]
        live = self.desk.can(GuardState.LIVE)
        for title, text, action in rows:
            if action == "apply" and (title == "Power up") == live:
                continue
            if action == "unlock" and (title == "Unlock beyond stock") == (self._reach is not Reach.STOCK):
                continue
            if action == "fan" and (title == "Fan follows") == (self._fan_mode is not FanMode.FULL):
                continue
            if self._can_apply() if action == "apply" else self.check_action(action, ()):
                yield SystemCommand(title, text, getattr(self, f"action_{action}"))
        yield SystemCommand("Emergency stop", "reset asserted, rail off, fan full: every board, now", self.action_stop)
        if len(self.desk.store.boards) > 1:
            for name in self.desk.store.boards:
                if name != self.desk.selected:
                    yield SystemCommand(
                        f"Look at {name}", "another board of this rig", lambda to=name: self._look_at(to)
                    )
        for name in ("boards", "board", "tune", "log", "chips"):
            title = name.capitalize()
            if self.current_mode != name and self._has_screen(name):
                yield SystemCommand(f"Go to {title}", f"screen {title}", lambda to=name: self.switch_mode(to))
        yield SystemCommand("Theme", "colours, among them two for 16-colour terminals", self.action_change_theme)
        yield SystemCommand("Screenshot", "an SVG file in the working directory", self.action_picture)
        yield SystemCommand("Help", "what is focused, and the keys", self.action_help)
        yield SystemCommand("Quit", "leave this screen", self.action_leave)

    # --- screens ------------------------------------------------------------------------------------------------------

    def show_all(self) -> None:
        self.switch_mode("boards")

    def action_board(self, by: int) -> None:
        self.desk.choose(by)
        self.freshen()

    def _look_at(self, name: str) -> None:
        self.desk.look_at(name)
        self.freshen()

    def action_pause(self) -> None:
        desk = self.desk
        desk.paused_s = None if desk.paused_s is not None else desk.store.now()
        desk.store.changes += 1
        self.freshen()

    def action_help(self) -> None:
        focused = self.focused
        node: Any = focused
        while node is not None and not isinstance(node, Panel):
            node = node.parent
        title = node.name_shown if isinstance(node, Panel) and node.name_shown else "Keys"
        text = getattr(node, "HELP", "") or (
            "Screens show what is, not what was asked for. A change is staged, checked by the rig's guard, applied on "
            "trial, then kept or taken back. ^X stops everything, on every screen, at once."
        )
        self.push_screen(HelpScreen(title.split("  ")[0], text, self._keys()))

    def _keys(self) -> list[tuple[str, str, bool]]:
        """Every key of this project that works here: the keys of one action together, what it does, whether now."""
        rows: dict[str, tuple[list[str], bool]] = {}
        for active in self.screen.active_bindings.values():
            binding = active.binding
            if not binding.description or not _is_ours(active):
                continue
            keys, _ = rows.setdefault(binding.description, ([], active.enabled))
            key = binding.key_display or self.get_key_display(binding)
            if key not in keys:
                keys.append(key)
        return [(" ".join(keys), what, enabled) for what, (keys, enabled) in rows.items()]

    def action_copy(self) -> None:
        """The marked log line, the chips, or what the board reads."""
        screen = self.screen
        if isinstance(screen, LogScreen):
            row = screen.view.marked()
            text = "" if row is None else printable("".join(word for word, _ in event_line(row.event, 500)))
        elif isinstance(screen, ChipsScreen):
            text = screen.chips.table()
        else:
            board = self.desk.board
            rows = (
                [] if board is None else [f"{c.value}\t{words.reading(c, r.value)}" for c, r in board.channels.items()]
            )
            text = "\n".join(rows)
        if text:
            self.copy_to_clipboard(text)
            self.say("copied")

    def action_picture(self) -> None:
        try:
            path = self.save_screenshot(path=str(Path.cwd()))
        except OSError as error:
            self.say(f"no screenshot: {error}", "error")
        else:
            self.say(f"screenshot: {path}")

    def action_leave(self) -> None:
        desk = self.desk
        boards = () if desk.store.snapshot is None or not desk.can_command else desk.store.snapshot.boards
        live = any(board.state in (GuardState.LIVE, GuardState.STARTING) for board in boards)
        if isinstance(self.screen, AskYesNo):
            return
        if any(board.pending is not None for board in boards):
            text = "A change is on trial. Leaving does not keep it."
        elif desk.owner and live:
            text = "This program started the rig. Leaving makes its boards safe: hashing ends."
        else:
            self.exit()
            return

        def leave(yes: bool | None) -> None:
            if yes:
                self.exit()

        self.push_screen(AskYesNo("Leave?", text), leave)

    async def action_quit(self) -> None:
        """^Q, which the library binds: no way around the question."""
        self.action_leave()

    def action_reconnect(self) -> None:
        self.join_again()

    def pop_screen(self) -> AwaitComplete:
        """The screens of the rig stay, whoever pops: a palette does, when Enter and a stop come at once."""
        return super().pop_screen() if self.screen.is_modal else AwaitComplete()

    # --- emergency stop -----------------------------------------------------------------------------------------------

    def action_stop(self) -> None:
        """No question, no modal. Whatever lies over the screen is taken away, so that the confirmation is seen."""
        self.desk.store.stop_asked()
        self.desk.paused_s = None
        self.run_worker(self.stop_everything(), name="stop", exit_on_error=True)
        while len(self.screen_stack) > 1 and self.screen.is_modal:
            self.workers.cancel_node(self.screen)  # a palette that still looks for commands would look for itself
            self.pop_screen()
        self.freshen()

    def action_dismiss_stop(self) -> None:
        self.desk.store.dismiss_stop()
        self.freshen()

    # --- wishes -------------------------------------------------------------------------------------------------------

    def action_apply(self) -> None:
        command = self.staged_command()
        if command is None:
            self.say("nothing is staged: + and - on the tune screen stage a point", "warning")
        elif self.desk.verdict.answer is not Answer.APPLYING:
            board, staged = self.desk.selected, self.desk.staged

            def applied(why: str | None) -> None:
                """The person may look at another board by now."""
                if why is None:
                    self.desk.applied(board, staged)
                elif self.desk.selected == board:
                    self.desk.verdict = Verdict(Answer.REFUSED, why)
                    self.desk.store.changes += 1

            self.desk.verdict = Verdict(Answer.APPLYING)
            self.desk.store.changes += 1
            self.wish(command, applied)

    def action_keep(self) -> None:
        board = self.desk.board
        if board is not None and board.pending is not None:
            self.wish(KeepPoint(until_s=board.pending.until_s))

    def action_undo(self) -> None:
        """Back from a trial; off with a staged point; or on trial to the point that was kept before."""
        desk, board = self.desk, self.desk.board
        if board is not None and board.pending is not None and desk.on_trial:
            self.wish(RevertPoint(until_s=board.pending.until_s, why="taken back by a person"))
        elif desk.differs:
            desk.unstage()
        elif (before := desk.undo_point()) is not None:
            self.wish(
                SetOperatingPoint(
                    frequency_mhz=before.frequency_mhz,
                    core_v=before.core_v,
                    preset=True,
                    keep_within_s=self.keep_within_s,
                    note="undo",
                )
            )

    def action_edit(self) -> None:
        """A number for the marked quantity, staged and no more."""
        desk, info = self.desk, self.desk.info
        if info is None:
            return
        staged, clock = desk.staged, desk.field == 0
        channel, unit = (Channel.FREQUENCY_MHZ, "MHz") if clock else (Channel.CORE_V, "V")
        low, high, layer = desk.allowed(channel) or (0.0, 0.0, "")
        allowed = f"{low:g} to {high:g} {unit}{f' ({layer})' if layer else ''}"
        now = number(staged.frequency_mhz, 2, unknown="") if clock else number(staged.core_v, 3, unknown="")

        def check(text: str) -> str | None:
            return None if quantity(text) is not None else f"{text!r} is no number of {unit}; allowed: {allowed}"

        def take(text: str | None) -> None:
            value = None if text is None else quantity(text)
            if value is None:
                return
            point = {"frequency_mhz": staged.frequency_mhz, "core_v": staged.core_v}
            point["frequency_mhz" if clock else "core_v"] = value
            desk.stage(OperatingPoint(**point))
            self.switch_mode("tune")

        title = f"{'Clock' if clock else 'Core voltage'} in {unit}"
        hint = f"{allowed}. Enter stages it; nothing moves before it is applied."
        self.push_screen(AskText(title, hint, now, check), take)

    def action_work(self) -> None:
        if self.desk.working:
            self.wish(StopWork())
            return

        def take(kind: str | None) -> None:
            if kind == "pattern":
                self.wish(StartWork(work="pattern"))
            elif kind == "synthetic":
                self.wish(StartWork(work="synthetic"))

        choices = [
            ("synthetic", "synthetic   random headers: the hash rate"),
            ("pattern", "pattern     real block headers with known answers: the yield"),
        ]
        self.push_screen(AskChoice("Work", choices), take)

    @property
    def _reach(self) -> Reach | None:
        """How far the selected board is unlocked; None where that cannot be changed now."""
        board = self.desk.board
        return board.limits.reach if self.desk.can_command and board is not None and board.limits is not None else None

    def action_unlock(self) -> None:
        """Beyond stock, as far as is shipped for this kind of board; locked again without a question."""
        info, reach = self.desk.info, self._reach
        if info is None or reach is None:
            return
        if reach is not Reach.STOCK:
            self.wish(SetReach(reach=Reach.STOCK))
            return
        e = info.envelope

        def unlock(yes: bool | None) -> None:
            if yes:
                self.wish(SetReach(reach=Reach.RANGE, note="on the screen"))

        self.push_screen(
            AskYesNo(
                "Unlock what lies beyond stock?",
                f"Commands may then ask for {e.frequency_mhz.high:g} MHz and {e.core_v.high:g} V instead of "
                f"{e.stock_frequency_mhz:g} MHz and {e.stock_core_v:g} V, until the rig ends. Trips stay as they are. "
                "It is on record.",
            ),
            unlock,
        )

    @property
    def _fan_mode(self) -> FanMode | None:
        """How the fan of the selected board is led; None where that cannot be changed now."""
        board = self.desk.board
        return board.fan.mode if self.desk.can_command and board is not None and board.fan is not None else None

    def action_fan(self) -> None:
        """From full to following the temperatures, and back."""
        if (mode := self._fan_mode) is not None:
            self.wish(SetFan(mode=FanMode.AUTO if mode is FanMode.FULL else FanMode.FULL))

    def action_power_down(self) -> None:
        self.wish(PowerDown())

    def action_clear_fault(self) -> None:
        self.wish(ClearFault())

    def action_remark(self) -> None:
        def take(text: str | None) -> None:
            if text is not None and text.strip():
                self.wish(AddRemark(text=text.strip()))

        self.push_screen(AskText("Note", "A line of your own in the history and in the journal."), take)

    # --- recordings ---------------------------------------------------------------------------------------------------

    def action_play(self) -> None:
        if (playback := self.desk.playback) is not None:
            (playback.pause if playback.playing else playback.play)()
            self.desk.store.changes += 1

    def action_seek(self, by_s: float) -> None:
        if (playback := self.desk.playback) is not None:
            playback.seek(playback.position_s + by_s)

    def action_speed(self) -> None:
        if (playback := self.desk.playback) is not None:
            playback.speed = next((speed for speed in SPEEDS if speed > playback.speed), SPEEDS[0])
            self.desk.store.changes += 1

    # --- profiles -----------------------------------------------------------------------------------------------------

    def action_profiles(self) -> None:
        """Stage a named point, save the staged one under a name, or delete one."""
        info, profiles = self.desk.info, self.profiles
        if info is not None and profiles is not None:
            self.run_worker(self._choose_profile(info, profiles), name="profiles", exit_on_error=True)

    async def _choose_profile(self, info: BoardInfo, profiles: Profiles) -> None:
        found = await self._on_disk(profiles.list, info.kind)
        if found is None:
            return
        choices = [
            (f"load {profile.name}", f"{profile.name:<16} {words.point(_point_of(profile))}  {profile.note}")
            for profile in found
        ]
        choices.append(("save", f"save {words.point(self.desk.staged)} under a name"))
        choices += [(f"delete {profile.name}", f"delete {profile.name}") for profile in found]
        choice = await self.push_screen_wait(AskChoice(f"Profiles of {info.title}", choices))
        what, _, name = (choice or "").partition(" ")
        if what == "load":
            profile = next(each for each in found if each.name == name)
            self.desk.stage(_point_of(profile), preset=profile.name)
            self.switch_mode("tune")
        elif what == "delete":

            def delete() -> str:
                profiles.delete(info.kind, name)
                return name

            if await self._on_disk(delete) is not None:
                self.say(f"deleted {name}")
        elif what == "save":
            await self._save_profile(info, profiles, {profile.name for profile in found})

    async def _save_profile(self, info: BoardInfo, profiles: Profiles, taken: Collection[str]) -> None:
        staged = self.desk.staged
        if staged.frequency_mhz is None or staged.core_v is None:
            self.say("no point to save yet", "warning")
            return
        frequency_mhz, core_v = staged.frequency_mhz, staged.core_v

        def check(text: str) -> str | None:
            try:
                name = Profile.make(text.strip(), frequency_mhz, core_v).name
            except UsageError as error:
                return str(error)
            return f"name: {name!r} is taken; delete it first, or choose another" if name in taken else None

        text = await self.push_screen_wait(AskText("Save as", words.point(staged), check=check))
        if text is not None:
            profile = Profile.make(text.strip(), frequency_mhz, core_v)
            if await self._on_disk(profiles.save, info.kind, profile) is not None:
                self.say(f"saved as {profile.name}")

    async def _on_disk(self, what: Callable[..., _T], *arguments: object) -> _T | None:
        """In a thread: a slow disk must not stop the screen. None, and a toast, when it went wrong."""
        try:
            return await asyncio.to_thread(what, *arguments)
        except (HashbridgeError, OSError) as error:
            self.say(str(error), "error")
            return None


def _is_ours(active: ActiveBinding) -> bool:
    """Whether this project binds the key, not the library underneath."""
    ours = (kind for kind in type(active.node).__mro__ if kind.__module__.startswith("controller."))
    return any(
        isinstance(binding, Binding) and binding.action == active.binding.action
        for kind in ours
        for binding in vars(kind).get("BINDINGS", ())
    )


def _point_of(profile: Profile) -> OperatingPoint:
    return OperatingPoint(frequency_mhz=profile.frequency_mhz, core_v=profile.core_v)
