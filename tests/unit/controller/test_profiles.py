"""Named points: a file that people may edit, never broken by us, and no point in it that could not be applied."""

from __future__ import annotations

import math
import os
import stat
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from controller import paths
from controller.model import KEEP_WITHIN_MIN_S, GuardState, PowerUp, SetOperatingPoint
from controller.profiles import SCHEMA, Profile, Profiles, check_point, command_for
from drivers.errors import Refused, UnknownPart, UsageError
from tests.scenarios.gamma import NAME, stand

KIND = "bitaxe-gamma"
NOW = datetime(2026, 11, 25, 22, 10, tzinfo=UTC)
QUIET = Profile(name="quiet", frequency_mhz=450.0, core_v=1.1, note="fan barely audible", saved=NOW)
BY_HAND = """\
# mine, keep out
schema = "hashbridge.profiles/1"  # 1 it is

# for the night
[quiet]
frequency_mhz = 450.0  # barely audible
core_v = 1.100  # lower crashes
note = "fan"
# tried 440 too

# for summer
["hot 2.0"]
core_v = 1.15
frequency_mhz = 500
# the end
"""


@pytest.fixture
def store(tmp_path: Path) -> Profiles:
    return Profiles(tmp_path / "profiles", utc=lambda: NOW)


def by_hand(store: Profiles, text: str = BY_HAND) -> Path:
    path = store.path(KIND)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_what_is_saved_comes_back_and_the_file_is_as_documented(store: Profiles) -> None:
    assert store.list(KIND) == ()
    stored = store.save(KIND, QUIET.model_copy(update={"saved": None}))
    assert stored == QUIET
    assert store.load(KIND, "quiet") == QUIET
    assert store.path(KIND).read_text() == (
        'schema = "hashbridge.profiles/1"\n\n[quiet]\nfrequency_mhz = 450.0\ncore_v = 1.1\n'
        'note = "fan barely audible"\nsaved = 2026-11-25T22:10:00Z\n'
    )
    store.save(KIND, QUIET.model_copy(update={"name": "a.b c", "note": ""}))
    assert [profile.name for profile in store.list(KIND)] == ["quiet", "a.b c"]
    store.delete(KIND, "quiet")
    store.delete(KIND, "a.b c")
    assert store.list(KIND) == ()
    assert list(store.path(KIND).parent.iterdir()) == [store.path(KIND)]


def test_the_comments_and_the_order_of_a_person_survive_a_save_a_replacement_and_a_deletion(store: Profiles) -> None:
    path = by_hand(store)
    store.save(KIND, QUIET.model_copy(update={"frequency_mhz": 455.0, "note": ""}), replace=True)
    assert path.read_text() == (
        BY_HAND.replace("450.0", "455.0")
        .replace("1.100", "1.1")
        .replace('note = "fan"\n', "saved = 2026-11-25T22:10:00Z\n")
    )
    store.save(KIND, QUIET.model_copy(update={"name": "third"}))
    assert path.read_text().endswith(
        "# the end\n\n[third]\nfrequency_mhz = 450.0\ncore_v = 1.1\n"
        'note = "fan barely audible"\nsaved = 2026-11-25T22:10:00Z\n'
    )
    store.delete(KIND, "quiet")
    text = path.read_text()
    for comment in ("# mine, keep out", "# 1 it is", "# for the night", "# tried 440 too", "# the end"):
        assert comment in text
    assert '\n# for summer\n["hot 2.0"]\n' in text
    store.delete(KIND, "hot 2.0")
    assert "# the end\n\n[third]" in path.read_text()


def test_the_comments_behind_the_last_profile_survive_it(store: Profiles) -> None:
    path = by_hand(store)
    store.delete(KIND, "hot 2.0")
    assert path.read_text().endswith("# for summer\n# the end\n")


names = st.one_of(
    st.sampled_from(["quiet", "hot 2.0", "a", "-", "1.5", "true", "x.y"]),
    st.from_regex(r"[A-Za-z0-9_.-][A-Za-z0-9 _.-]{0,38}[A-Za-z0-9_.-]", fullmatch=True).filter(lambda n: n != "schema"),
)
points = st.builds(
    Profile,
    name=names,
    frequency_mhz=st.integers(min_value=4000, max_value=4300).map(lambda tenths: tenths / 10),
    core_v=st.floats(min_value=1.0, max_value=1.25),
    note=st.text(st.characters(codec="utf-8"), max_size=500),
    saved=st.datetimes(timezones=st.just(UTC)),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(["save", "delete"]), points), max_size=12), st.booleans())
def test_after_any_saves_and_deletions_the_file_holds_what_is_left_and_every_comment(
    tmp_path: Path, acts: list[tuple[str, Profile]], written_by_hand: bool
) -> None:
    store = Profiles(tmp_path / "any", utc=lambda: NOW)
    store.path(KIND).unlink(missing_ok=True)
    expected: dict[str, Profile] = {}
    if written_by_hand:
        by_hand(store)
        expected = {profile.name: profile for profile in store.list(KIND)}
    for act, profile in acts:
        if act == "save":
            store.save(KIND, profile, replace=True)
            expected[profile.name] = profile
        elif profile.name in expected:
            store.delete(KIND, profile.name)
            del expected[profile.name]
    assert {profile.name: profile for profile in store.list(KIND)} == expected
    if written_by_hand:
        text = store.path(KIND).read_text()
        for comment in ("# mine", "# 1 it is", "# for the night", "# tried 440 too", "# for summer", "# the end"):
            assert comment in text


def test_a_name_that_is_taken_is_not_replaced_unless_that_is_said(store: Profiles) -> None:
    store.save(KIND, QUIET)
    before = store.path(KIND).read_bytes()
    with pytest.raises(UsageError, match="name: 'quiet' is not allowed; allowed: a name that is not taken"):
        store.save(KIND, QUIET.model_copy(update={"core_v": 1.2}))
    assert store.path(KIND).read_bytes() == before


@pytest.mark.parametrize("name", ["", "x" * 41, "a/b", "a\nb", " a", "a ", " ", "schema", "ä", "[x]", "../x", '"'])
def test_a_name_that_cannot_be_spoken_is_refused(store: Profiles, name: str) -> None:
    with pytest.raises(UsageError, match=r"name: .* 1 to 40 letters"):
        Profile.make(name, 450.0, 1.1)


@pytest.mark.parametrize(
    ("frequency_mhz", "core_v", "says"),
    [
        (399.9, 1.1, "frequency_mhz: 399.9 is not allowed; allowed: 400 to 625 MHz for bitaxe-gamma"),
        (625.1, 1.1, "400 to 625 MHz"),
        (450.0, 0.999, "core_v: 0.999 is not allowed; allowed: 1 to 1.25 V for bitaxe-gamma"),
        (450.0, 1.251, "1 to 1.25 V"),
        (
            436.45,
            1.1,
            "frequency_mhz: 436.45 is not allowed; allowed: what the PLL reaches within 1 MHz, "
            "the nearest being 435.42 MHz: BM1370",
        ),
    ],
)
def test_a_point_that_the_board_can_never_be_given_is_neither_saved_nor_loaded(
    store: Profiles, frequency_mhz: float, core_v: float, says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        store.save(KIND, Profile.make("far", frequency_mhz, core_v))
    assert not store.path(KIND).exists()
    path = by_hand(store, f'schema = "{SCHEMA}"\n[far]\nfrequency_mhz = {frequency_mhz}\ncore_v = {core_v}\n')
    with pytest.raises(UsageError) as refused:
        store.load(KIND, "far")
    assert refused.value.key.startswith(f"{path}: far.")
    (listed,) = store.list(KIND)  # a person has to see it to delete it
    with pytest.raises(UsageError, match=says):
        check_point(KIND, listed)
    store.delete(KIND, "far")


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_what_is_no_quantity_is_refused(value: float) -> None:
    with pytest.raises(UsageError, match=r"frequency_mhz: .* a number of MHz above 0"):
        Profile.make("x", value, 1.1)
    with pytest.raises(UsageError, match=r"core_v: .* a number of volts above 0"):
        Profile.make("x", 450.0, value)
    with pytest.raises(ValidationError):
        Profile(name="x", frequency_mhz=value, core_v=1.1)


GOOD = "frequency_mhz = 450.0\ncore_v = 1.1\n"
HEAD = f'schema = "{SCHEMA}"\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[quiet", r": .*Expected .* is not allowed; allowed: TOML"),
        (f"[quiet]\n{GOOD}", ": schema is missing; needed: 'hashbridge.profiles/1'"),
        (f'schema = "hashbridge.profiles/2"\n[quiet]\n{GOOD}', ": schema: 'hashbridge.profiles/2'"),
        (f"{HEAD}quiet = 450\n", ": quiet: 450 is not allowed; allowed: a table of frequency_mhz"),
        (f"{HEAD}[[quiet]]\n{GOOD}", r": quiet: \[.* a table of"),
        (f"{HEAD}[quiet]\n{GOOD}fan = 1\n", ": quiet.fan: 1 is not allowed; allowed: one of frequency_mhz, core_v, "),
        (f'{HEAD}[quiet]\n{GOOD}name = "x"\n', ": quiet.name: 'x' is not allowed; allowed: one of frequency_mhz"),
        (f"{HEAD}[quiet]\n{GOOD}where = 1\n", ": quiet.where: 1"),
        (f"{HEAD}[quiet]\ncore_v = 1.1\n", ": quiet.frequency_mhz is missing; needed: a number of MHz"),
        (f'{HEAD}[quiet]\nfrequency_mhz = "450"\ncore_v = 1.1\n', ": quiet.frequency_mhz: '450'"),
        (f"{HEAD}[quiet]\nfrequency_mhz = 450\ncore_v = true\n", ": quiet.core_v: True"),
        (f"{HEAD}[quiet]\nfrequency_mhz = 450\ncore_v = nan\n", ": quiet.core_v: nan"),
        (f"{HEAD}[quiet]\nfrequency_mhz = {10**400}\ncore_v = 1.1\n", ": quiet.frequency_mhz: 1000"),
        (f"{HEAD}[quiet]\n{GOOD}saved = 2026-11-25\n", ": quiet.saved: datetime.date.* with its offset"),
        (f"{HEAD}[quiet]\n{GOOD}saved = 2026-11-25T22:10:00\n", ": quiet.saved: datetime.datetime"),
        (f"{HEAD}[quiet]\n{GOOD}note = 3\n", ": quiet.note: 3 is not allowed; allowed: text of at most 500"),
        (f'{HEAD}["a/b"]\n{GOOD}', ": a/b.name: 'a/b' is not allowed; allowed: 1 to 40"),
        (f'{HEAD}["\\u001b[2J"]\n{GOOD}', ": \u241b.*name: '.x1b"),
        (f"{HEAD}[a.b]\n{GOOD}", ": a.*frequency_mhz|: a.b: "),
    ],
)
def test_a_broken_file_is_one_error_with_file_key_and_value_and_is_never_overwritten(
    store: Profiles, text: str, says: str
) -> None:
    path = by_hand(store, text)
    for act in (
        lambda: store.list(KIND),
        lambda: store.load(KIND, "quiet"),
        lambda: store.save(KIND, QUIET, replace=True),
        lambda: store.delete(KIND, "quiet"),
    ):
        with pytest.raises(UsageError, match=f"toml{says}"):
            act()
    assert path.read_text() == text


def test_a_file_that_is_no_text_is_refused(store: Profiles) -> None:
    by_hand(store).write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="UTF-8"):
        store.list(KIND)


@pytest.mark.parametrize(
    "text",
    [
        f"{HEAD}quiet = {{frequency_mhz = 450.0, core_v = 1.1}}\n",
        f"{HEAD}quiet.frequency_mhz = 450.0\nquiet.core_v = 1.1\n",
        f"{HEAD}\r\n[quiet]\r\nfrequency_mhz = 450.0\r\ncore_v = 1.1\r\n",
        f"{HEAD}[quiet]\nfrequency_mhz = 450.0\ncore_v = 1.1",
    ],
)
def test_a_file_in_another_style_is_edited_right_or_left_alone(store: Profiles, text: str) -> None:
    by_hand(store, text)
    louder = QUIET.model_copy(update={"name": "loud", "frequency_mhz": 500.0})
    changed = QUIET.model_copy(update={"core_v": 1.2})
    store.save(KIND, louder)
    store.save(KIND, changed, replace=True)
    assert set(store.list(KIND)) == {louder, changed}
    store.delete(KIND, "quiet")
    assert store.list(KIND) == (louder,)


def test_a_kind_and_a_name_that_there_are_not_are_told_with_those_that_there_are(store: Profiles) -> None:
    with pytest.raises(UnknownPart, match=r"board: '../x' is not allowed; allowed: one of bitaxe-gamma"):
        store.list("../x")
    with pytest.raises(UsageError, match="profile: 'loud' is not allowed; allowed: none: no profile is saved"):
        store.load(KIND, "loud")
    by_hand(store)
    for act in (store.load, store.delete):
        with pytest.raises(UsageError, match=r"profile: 'loud' is not allowed; allowed: one of quiet, hot 2.0"):
            act(KIND, "loud")


def test_a_file_that_is_a_link_is_written_where_it_points(store: Profiles, tmp_path: Path) -> None:
    far = tmp_path / "dotfiles.toml"
    far.write_text(BY_HAND)
    link = tmp_path / "profiles" / f"{KIND}.toml"
    link.parent.mkdir()
    link.symlink_to(far)
    store.save(KIND, QUIET, replace=True)
    assert link.is_symlink()
    assert tomllib.loads(far.read_text())["quiet"]["note"] == "fan barely audible"


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_directory_that_cannot_be_written_leaves_the_old_file(store: Profiles) -> None:
    path = by_hand(store)
    path.parent.chmod(0o500)
    try:
        with pytest.raises(PermissionError):
            store.save(KIND, QUIET, replace=True)
    finally:
        path.parent.chmod(0o700)
    assert path.read_text() == BY_HAND


def test_the_usual_place_is_the_configuration_of_the_user_and_nobody_else_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HASHBRIDGE_CONFIG_DIR", str(tmp_path / "config"))
    Profiles().save(KIND, QUIET)
    assert Profiles().path(KIND) == tmp_path / "config" / "profiles" / "bitaxe-gamma.toml"
    for place in (paths.config_dir(), paths.config_dir() / "profiles"):
        assert stat.S_IMODE(place.stat().st_mode) == 0o700


# --- to a board -------------------------------------------------------------------------------------------------------


def test_a_profile_powers_up_what_is_off_moves_what_is_live_and_nothing_else() -> None:
    assert command_for(QUIET, GuardState.SAFE_OFF, 10.0) == PowerUp(
        frequency_mhz=450.0, core_v=1.1, note="profile quiet"
    )
    assert command_for(QUIET, GuardState.LIVE, 10.0) == SetOperatingPoint(
        frequency_mhz=450.0, core_v=1.1, preset=True, keep_within_s=10.0, note="profile quiet"
    )
    assert command_for(QUIET, GuardState.LIVE) == SetOperatingPoint(
        frequency_mhz=450.0, core_v=1.1, preset=True, note="profile quiet"
    )
    for state in set(GuardState) - {GuardState.SAFE_OFF, GuardState.LIVE}:
        with pytest.raises(Refused, match=f"state: .* this one is {state.value}"):
            command_for(QUIET, state)


@pytest.mark.parametrize("keep_within_s", [0.99, 3600.1, 0.0, -1.0, math.nan, math.inf])
def test_a_trial_out_of_range_is_refused_as_the_command_would(keep_within_s: float) -> None:
    with pytest.raises(UsageError, match=r"keep_within_s: .* 1 to 3600 s"):
        command_for(QUIET, GuardState.LIVE, keep_within_s)
    with pytest.raises(ValidationError):
        SetOperatingPoint(frequency_mhz=450.0, keep_within_s=keep_within_s)
    SetOperatingPoint(frequency_mhz=450.0, keep_within_s=KEEP_WITHIN_MIN_S)


async def test_a_profile_is_where_the_board_is_after_it(store: Profiles) -> None:
    store.save(KIND, QUIET)
    async with stand() as s:
        await s.rig.request(NAME, command_for(store.load(KIND, "quiet"), GuardState.SAFE_OFF))
        point = (await s.snapshot()).boards[0].point.requested
        assert (point.frequency_mhz, point.core_v) == (450.0, 1.1)
        fast = Profile.make("fast", 550.0, 1.2)  # 100 MHz and 100 mV away: a preset
        await s.rig.request(NAME, command_for(fast, GuardState.LIVE))
        point = (await s.snapshot()).boards[0].point.requested
        assert (point.frequency_mhz, point.core_v) == (550.0, 1.2)
