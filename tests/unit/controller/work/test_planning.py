"""From a wish for work to a session: the version mask reaches the chain, or is refused before anything begins."""

from __future__ import annotations

import itertools

import pytest

from controller.model import StartWork
from controller.work.planning import plan_work
from drivers.asics import ASICS
from drivers.asics.chain import Chain
from drivers.asics.versions import ROLLED_VERSION_BITS
from drivers.errors import UsageError
from tests.unit.asics.chip_on_a_wire import ChipOnAWire


def chain_of(name: str) -> Chain:
    return Chain(ChipOnAWire().port, ASICS[name], expected_chips=1)


@pytest.mark.parametrize("work", ["pattern", "synthetic"])
async def test_work_under_a_mask_begins_with_it_and_work_without_one_with_all_bits(work: str) -> None:
    chain = chain_of("BM1397")
    wish = {"work": work}
    masked = plan_work(StartWork.model_validate({**wish, "version_mask": 0x2000}), chain)
    assert chain.version_mask == ROLLED_VERSION_BITS  # a plan is not a session
    masked.begin(chain, itertools.count(1), lambda: 0.0, lambda: True)
    assert (chain.version_mask, chain.midstates) == (0x2000, 2)
    plan_work(StartWork.model_validate(wish), chain).begin(chain, itertools.count(1), lambda: 0.0, lambda: True)
    assert (chain.version_mask, chain.midstates) == (ROLLED_VERSION_BITS, 4)


@pytest.mark.parametrize("name", [name for name in ASICS if not ASICS[name].midstates])
async def test_a_mask_under_which_a_chip_cannot_be_fed_is_refused_by_its_name(name: str) -> None:
    with pytest.raises(UsageError, match=rf"version_mask: '00002000' .* what a {name} makes of fewer bits"):
        plan_work(StartWork(work="synthetic", version_mask=0x2000), chain_of(name))
