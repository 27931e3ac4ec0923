"""Domain boundaries of long boards: the captured words, chip by chip."""

from __future__ import annotations

import pytest

from drivers.asics import ASICS
from drivers.asics.boundaries import Boundaries
from drivers.asics.chain import Chain
from drivers.boards.hashboards import HASHBOARDS
from drivers.codecs.bm13xx import encode
from drivers.errors import UsageError
from drivers.transports.memory import memory_pair
from emulator.benches.hashboard import HASHBOARDS as MODELS
from emulator.benches.hashboard import HashBoard
from emulator.ports.memory import MemoryPort
from tests.unit.boards.recording import Recording

S19_XP = Boundaries(110, 10, 0x0211_F111)
S21_XP = Boundaries(91, 7, 0x0001_3111)
S21_PRO = Boundaries(65, 5, 0x0001_F111)


def frames(board: Boundaries) -> list[str]:
    return [encode(step.message).hex(" ").upper() for step in board.steps(lambda position: 2 * position)]


@pytest.mark.parametrize(
    ("board", "captured"),
    [
        (S19_XP, "55 AA 41 09 DA 58 02 11 F1 11 1C"),
        (S19_XP, "55 AA 41 09 C8 2C 00 18 00 03 17"),
        (S19_XP, "55 AA 41 09 00 2C 00 7C 00 03 03"),
        (S21_XP, "55 AA 41 09 B4 58 00 01 31 11 00"),
        (S21_XP, "55 AA 41 09 A8 2C 00 15 00 03 14"),
    ],
)
def test_the_captured_frames_are_among_them(board: Boundaries, captured: str) -> None:
    assert frames(board).count(captured) == 1


@pytest.mark.parametrize(("board", "gaps"), [(S19_XP, (0x7C, 0x18)), (S21_XP, (0x69, 0x15)), (S21_PRO, (0x4F, 0x13))])
def test_each_domain_has_one_strong_driver_and_two_relays_and_the_gap_falls_toward_the_far_end(
    board: Boundaries, gaps: tuple[int, int]
) -> None:
    told = frames(board)
    domains = board.chips // board.domain_chips
    assert len(told) == 3 * domains
    strong = [int(frame.split()[4], 16) // 2 for frame in told if frame.split()[5] == "58"]
    assert strong == [board.domain_chips * (domain + 1) - 1 for domain in range(domains)]
    relays = [(int(frame.split()[4], 16) // 2, int(frame.split()[7], 16)) for frame in told if frame.split()[5] == "2C"]
    assert [at for at, _ in relays[:2]] == [0, board.domain_chips - 1]
    assert (relays[0][1], relays[-1][1]) == gaps
    assert [gap for _, gap in relays] == sorted((gap for _, gap in relays), reverse=True)


def test_a_domain_of_one_chip_is_told_once() -> None:
    assert len(frames(Boundaries(3, 1, 0x0211_F111))) == 6


@pytest.mark.parametrize("domain_chips", [0, 7])
def test_domains_that_do_not_fit_are_refused(domain_chips: int) -> None:
    with pytest.raises(UsageError, match="domain_chips"):
        Boundaries(110, domain_chips, 0)


async def test_a_chain_with_boundaries_sends_them_before_the_pass_over_its_chips() -> None:
    board = HASHBOARDS["antminer-s21-pro"]
    port, wire = memory_pair("data")
    recording, bench = Recording(port), HashBoard(MODELS["antminer-s21-pro"])
    MemoryPort(bench.data, wire)
    chain = Chain(recording, ASICS[board.chip], expected_chips=board.chips, boundaries=board.boundaries)
    chain.start()
    await chain.reset_line()
    await chain.enumerate()
    seen = len(recording.frames)
    await chain.initialise()
    sent = [frame.upper() for frame in recording.frames[seen:]]
    told = frames(S21_PRO)
    at = sent.index(told[0])
    assert sent[at : at + len(told)] == told
    passes = [index for index, frame in enumerate(sent) if frame.startswith("55 AA 41 09 00 A8")]
    assert passes[0] > at + len(told) - 1
    await chain.aclose()


def test_only_boards_whose_boundaries_were_captured_send_any() -> None:
    sends = {name for name, kind in HASHBOARDS.items() if kind.boundaries is not None}
    assert sends == {"antminer-s19-xp", "antminer-s21-pro", "antminer-s21-xp"}
