"""`hashbridge emulate --script`: what is wrong with a script is said before anything is published."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.__main__ import main

HEAD = 'schema = "hashbridge.faults/1"\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "night.toml, schema is missing; needed: 'hashbridge.faults/1'"),
        (HEAD + "[[at]]\ns = 1\ndo = 'burn'", "night.toml, at 1, do: 'burn' is not allowed; allowed: ambient_c"),
        (
            HEAD + "[[at]]\ns = 1\ndo = 'panic'\n[[between]]\nfrom_s = 1\nto_s = 2\ndo = 'lose_bytes'\np = 2",
            "night.toml, between 1, p: 2 is not allowed; allowed: 0 to 1",
        ),
        (HEAD + "[[at]]\ns = 1\ndo = 'nak'\npart = '\x1b[31m'", "night.toml, text: "),
        (HEAD + "[[at]]\ns = 1\ndo = 'nak'\npart = '\\u001b[31m'", r"at 1, part: '\\u001b[31m' is not allowed"),
        (HEAD + '[[at]]\ns = 1\ndo = "nak"\npart = "\\u001b[31m"', r"at 1, part: '\x1b[31m' is not allowed"),
    ],
    ids=["empty", "action", "argument", "control character", "text of an escape", "escape"],
)
def test_a_script_that_is_wrong_is_one_error_with_file_entry_key_value_and_what_is_allowed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, says: str
) -> None:
    script = tmp_path / "night.toml"
    script.write_text(text)
    directory = tmp_path / "run"
    code = main(["emulate", "bitaxe-gamma", "--script", str(script), "--directory", str(directory)])
    said = capsys.readouterr()
    assert (code, said.out) == (2, "")
    assert says in said.err
    assert said.err.count("\n") == 1
    assert "\x1b" not in said.err
    assert not directory.exists()


def test_a_script_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["emulate", "bitaxe-gamma", "--script", str(tmp_path / "none.toml")]) == 2
    assert "--script" in capsys.readouterr().err
