"""udev: what is committed is what the table of boards says, and the rules are of the form that udev reads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from drivers import discovery
from drivers.boards import BOARDS

UDEV = Path(__file__).parents[2] / "udev"
LINE = re.compile(r'^(#.*|([A-Z_]+(\{[A-Za-z_]+\})?(==|!=|\+=|=)"[^"]*"(, )?)+)?$')


def test_the_committed_rules_are_the_generated_ones() -> None:
    assert (UDEV / discovery.RULES_FILE).read_text(encoding="ascii") == discovery.udev_rules(), "run `make udev`"


def test_the_committed_page_is_the_generated_one() -> None:
    assert (UDEV / discovery.README_FILE).read_text(encoding="ascii") == discovery.udev_readme(), "run `make udev`"


def test_the_file_sorts_between_uaccess_and_seat() -> None:
    assert "70-uaccess.rules" < discovery.RULES_FILE < "73-seat-late.rules"


def test_every_board_of_the_table_is_matched_by_ids_and_both_strings() -> None:
    rules = discovery.udev_rules()
    for kind in BOARDS.values():
        for match in kind.matches:
            for part in (f"{match.vid:04x}", f"{match.pid:04x}", match.manufacturer, match.product):
                assert f'=="{part}"' in rules


def test_modem_manager_is_kept_away_from_device_and_ports() -> None:
    rules = discovery.udev_rules()
    assert 'ENV{ID_MM_DEVICE_IGNORE}="1"' in rules
    assert 'ENV{ID_MM_PORT_IGNORE}="1"' in rules


def test_each_port_has_a_name_of_its_own() -> None:
    assert 'SYMLINK+="hashbridge/$env{ID_SERIAL_SHORT}-$env{ID_USB_INTERFACE_NUM}"' in discovery.udev_rules()


def test_access_is_for_the_seat_and_for_one_group_and_never_for_everybody() -> None:
    rules = discovery.udev_rules()
    assert 'TAG+="uaccess"' in rules
    assert re.findall(r'MODE="(\d+)"', rules) == ["0660"]
    assert re.findall(r'GROUP="(\w+)"', rules) == ["hashbridge"]


def test_every_line_is_of_the_form_that_udev_reads_and_every_goto_has_its_label_behind_it() -> None:
    rules = discovery.udev_rules()
    for line in rules.splitlines():
        assert LINE.match(line), line
    for jump in re.finditer(r'GOTO="(\w+)"', rules):
        assert rules.find(f'LABEL="{jump[1]}"') > jump.start()


def test_espressif_s_own_id_is_not_claimed() -> None:
    assert "303a" not in discovery.udev_rules()


def test_the_command_prints_or_writes_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert discovery.main([]) == 0
    assert capsys.readouterr().out == discovery.udev_rules()
    assert discovery.main(["--readme"]) == 0
    assert capsys.readouterr().out == discovery.udev_readme()
    assert discovery.main(["--write", str(tmp_path)]) == 0
    assert (tmp_path / discovery.RULES_FILE).read_text(encoding="ascii") == discovery.udev_rules()
    assert (tmp_path / discovery.README_FILE).read_text(encoding="ascii") == discovery.udev_readme()
