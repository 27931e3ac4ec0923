"""Coroutine tests run in virtual time, or on a normal loop when marked `real_time`. Options choose the target.

A test fails when its loop was handed an exception that nobody caught (a callback that raised, a task nobody awaited),
unless the test sets an exception handler of its own.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Generator
from typing import Any

import pytest

from emulator.virtual_time import VirtualTimeLoop

REAL_TIME_LIMIT_S = 120.0
NEEDS_A_RIG = "needs a real rig: --hb-target=hw"
LONG = "long: --hb-soak"
FAILED = pytest.StashKey[bool]()
"""Whether the test itself has failed, for fixtures that then have more to say."""
_seed_key = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("hashbridge")
    group.addoption("--hb-target", choices=("emulator", "hw"), default="emulator", help="what the hil tests run on")
    group.addoption("--hb-soak", action="store_true", help="run the long tests too")
    group.addoption("--hb-accept", action="store_true", help="take the pictures of the screens as they are now")
    group.addoption("--hb-seed", type=int, default=1, metavar="N", help="seed of all chance in the tests (1)")


def pytest_report_header(config: pytest.Config) -> str:
    return f"hashbridge: target={config.getoption('--hb-target')} seed={config.getoption('--hb-seed')}"


@pytest.hookimpl(trylast=True)  # after -k and -m have made their choice
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    on_hardware = config.getoption("--hb-target") == "hw"
    for item in items:
        if item.get_closest_marker("hil") and not on_hardware:
            item.add_marker(pytest.mark.skip(reason=NEEDS_A_RIG))
        if item.get_closest_marker("soak") and not config.getoption("--hb-soak"):
            item.add_marker(pytest.mark.skip(reason=LONG))
    if on_hardware and not any(item.get_closest_marker("hil") for item in items):
        raise pytest.UsageError("--hb-target=hw, but none of the chosen tests is a hil test")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    wanted = inspect.signature(pyfuncitem.obj).parameters
    arguments = {name: value for name, value in pyfuncitem.funcargs.items() if name in wanted}
    real = pyfuncitem.get_closest_marker("real_time") is not None
    unhandled: list[Exception] = []

    async def call() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: _keep(unhandled, context))
        # Only a real clock needs a limit: a virtual one notices that all wait for ever.
        async with asyncio.timeout(REAL_TIME_LIMIT_S if real else None):
            await pyfuncitem.obj(**arguments)

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop if real else VirtualTimeLoop) as runner:
        runner.run(call())
    if unhandled:
        raise ExceptionGroup("nobody caught what was raised in the loop", unhandled)
    return True


def _keep(unhandled: list[Exception], context: dict[str, Any]) -> None:
    error = context.get("exception")
    if not isinstance(error, Exception):
        error = RuntimeError(context["message"])
    error.add_note(context["message"])
    unhandled.append(error)


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """The seed of all chance in this test; `--hb-seed`. Printed when the test fails."""
    value: int = request.config.getoption("--hb-seed")
    request.node.stash[_seed_key] = value
    return value


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    if report.failed and _seed_key in item.stash:
        report.sections.append(
            ("hashbridge", f"seed {item.stash[_seed_key]}; again with --hb-seed={item.stash[_seed_key]}")
        )
    return report
