"""Serving a bench: what is published, who may take a name, and what the trace says."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from emulator.benches import BenchSettings
from emulator.script import ScriptError
from emulator.serve import SCHEMA, TRACE_SCHEMA, Served, main_async

pytestmark = pytest.mark.real_time


@asynccontextmanager
async def serving(directory: Path, **options: Any) -> AsyncIterator[Served]:
    ready: asyncio.Future[Served] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    task = asyncio.create_task(
        main_async("bitaxe-gamma", directory, stop=stop, on_ready=ready.set_result, **options), name="serve"
    )
    waits: list[asyncio.Future[Any]] = [task, ready]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    try:
        yield ready.result()
    finally:
        stop.set()
        await task


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def sidecar_of(directory: Path, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((directory / f"{name}.json").read_text())
    return content


def write(path: Path, text: str) -> None:
    path.write_text(text)


async def ask(socket: str, *requests: dict[str, Any] | str) -> list[dict[str, Any]]:
    reader, writer = await asyncio.open_unix_connection(socket)
    answers = []
    for request in requests:
        text = request if isinstance(request, str) else json.dumps(request)
        writer.write(text.encode() + b"\n")
        answers.append(json.loads(await reader.readline()))
    writer.close()
    await writer.wait_closed()
    return answers


async def test_the_sidecar_names_everything_and_goes_with_it(tmp_path: Path) -> None:
    async with serving(tmp_path, name="emu-7", settings=BenchSettings(seed=7, dilution=1)) as served:
        content = sidecar_of(tmp_path, "emu-7")
        assert content == {
            "schema": SCHEMA,
            "board": "bitaxe-gamma",
            "pid": os.getpid(),
            "seed": 7,
            "dilution": 1,
            "dialect": "A",
            "control": str(tmp_path / "emu-7-control"),
            "data": str(tmp_path / "emu-7-data"),
            "plant": str(tmp_path / "emu-7.plant"),
        }
        assert content == served.as_dict()
    assert names(tmp_path) == []


async def test_a_name_in_use_is_refused_and_one_of_the_dead_is_taken_over(tmp_path: Path) -> None:
    sleeper = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "import sys; sys.stdin.read()", stdin=asyncio.subprocess.PIPE
    )
    write(tmp_path / "bitaxe-gamma.json", json.dumps({"pid": sleeper.pid}))
    with pytest.raises(FileExistsError, match=f"process {sleeper.pid}"):
        async with serving(tmp_path):
            pass
    sleeper.kill()
    await sleeper.wait()
    async with serving(tmp_path) as served:
        assert sidecar_of(tmp_path, "bitaxe-gamma")["pid"] == served.pid == os.getpid()
    write(tmp_path / "bitaxe-gamma.json", "torn by a cra")
    async with serving(tmp_path):
        assert sidecar_of(tmp_path, "bitaxe-gamma")["pid"] == os.getpid()


async def test_an_unknown_board_is_named_with_those_that_exist(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no emulated board 'abacus'; there are: bitaxe-bonanza, bitaxe-gamma"):
        await main_async("abacus", tmp_path)


async def test_the_trace_dates_each_move_on_the_monotonic_clock(tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    before_ns = time.monotonic_ns()
    async with serving(tmp_path / "run", trace=trace, settings=BenchSettings(rail_on_at_power_up=True)) as served:
        answers = await ask(served.plant, {"do": "power_cycle"}, {"get": "actuations"})
        assert answers[0] == {"ok": True}
        assert [move["what"] for move in answers[1]["actuations"]] == ["rail on", "rail off", "rail on"]
    after_ns = time.monotonic_ns()
    traced = lines(trace)
    assert [entry["what"] for entry in traced] == ["start", "rail on", "fault", "rail off", "rail on"]
    assert {key: traced[2][key] for key in ("detail", "arguments", "by")} == {
        "detail": "power_cycle",
        "arguments": {},
        "by": "plant",
    }
    assert all(entry["schema"] == TRACE_SCHEMA for entry in traced)
    stamps = [entry["t_ns"] for entry in traced]
    assert before_ns <= min(stamps) <= max(stamps) <= after_ns
    assert stamps == sorted(stamps)


SCRIPT = """
schema = "hashbridge.faults/1"
[[at]]
s = 0.0
do = "stall_fan"
[[between]]
from_s = 0.05
to_s = 0.1
do = "nak"
part = "emc2101"
[[at]]
s = 3600
do = "panic"
"""


async def test_a_script_is_played_traced_and_told_on_the_plant_socket(tmp_path: Path) -> None:
    script, trace = tmp_path / "night.toml", tmp_path / "trace.jsonl"
    write(script, SCRIPT)
    async with serving(tmp_path / "run", script=script, trace=trace) as served:
        step = 0
        while step < 3:
            await asyncio.sleep(0.02)
            (answer,) = await ask(served.plant, {"get": "script"})
            step = answer["script"]["step"]
        assert answer["script"] == {
            "name": "night.toml",
            "step": 3,
            "of": 4,
            "next": {"s": 3600.0, "do": "panic", "entry": "at 2"},
            "failed": [],
        }
    fired = [entry for entry in lines(trace) if entry["what"] == "fault"]
    assert [(entry["detail"], entry["arguments"], entry["by"]) for entry in fired] == [
        ("stall_fan", {}, "night.toml 1/4"),
        ("nak", {"part": "emc2101"}, "night.toml 2/4"),
        ("nak", {"part": "emc2101", "off": True}, "night.toml 3/4"),
    ]
    assert fired[1]["at_s"] - fired[0]["at_s"] >= 0.04


async def test_ports_vanish_with_a_reboot_come_back_by_themselves_and_move_when_they_are_told_to(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as served:
        link = tmp_path / "bitaxe-gamma-control"
        assert await ask(served.plant, {"do": "reboot", "back_s": 0.1}) == [{"ok": True}]
        assert not link.is_symlink()
        for _ in range(100):
            await asyncio.sleep(0.02)
            if link.is_symlink():
                break
        before = os.readlink(link)
        moved = await ask(served.plant, {"do": "unplug_control"}, {"do": "replug_control", "new_name": True})
        assert moved == [{"ok": True}, {"ok": True}]
        assert os.readlink(link) != before
        (refused,) = await ask(served.plant, {"do": "late", "by_s": -1})
        assert refused == {"ok": False, "error": "late, by_s: -1 is not allowed; allowed: 0 to 60 s"}


async def test_without_a_script_the_plant_socket_says_so(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        assert await ask(served.plant, {"get": "script"}) == [{"ok": True, "script": None}]


async def test_a_script_that_is_wrong_publishes_nothing(tmp_path: Path) -> None:
    script, directory = tmp_path / "night.toml", tmp_path / "run"
    write(script, SCRIPT.replace("panic", "burn"))
    with pytest.raises(ScriptError, match=r"night\.toml, at 2, do: 'burn' is not allowed"):
        async with serving(directory, script=script):
            pass
    assert names(tmp_path) == ["night.toml"]


async def test_nonsense_on_the_plant_socket_is_answered_and_changes_nothing(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        answers = await ask(
            served.plant,
            "this is not JSON",
            "[1, 2]",
            {"get": "rich"},
            {"do": ["stall_fan"]},
            {"do": "stick", "part": "emc2101", "register": 1, "data": "not hex"},
            {"set": {}},
            {},
            {"get": "truth"},
        )
        assert [answer["ok"] for answer in answers] == [False] * 7 + [True]
        assert all(answer["error"] for answer in answers[:7])


def test_the_module_can_be_run_and_says_how(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "emulator.serve"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "usage" in done.stderr
