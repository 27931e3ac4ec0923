"""SHA-256 in steps: against hashlib, and against midstates that others have sent to chips."""

from __future__ import annotations

import random
from hashlib import sha256 as whole

from drivers.codecs import sha256
from drivers.codecs.bm13xx import DeviceCodec, MidstateJob
from tests.vectors import frame, rows

CHANCE = random.Random(1)


def in_steps(message: bytes) -> bytes:
    padded = message + b"\x80" + bytes(-(len(message) + 9) % 64) + (8 * len(message)).to_bytes(8, "big")
    state = sha256.FIRST
    for at in range(0, len(padded), 64):
        state = sha256.take(state, padded[at : at + 64])
    return sha256.pack(state)


def test_block_by_block_it_is_what_hashlib_makes_of_the_whole() -> None:
    for length in range(200):
        message = CHANCE.randbytes(length)
        assert in_steps(message) == whole(message).digest()


def test_a_state_goes_on_from_where_it_was_packed() -> None:
    header = CHANCE.randbytes(80)
    rest = header[64:] + b"\x80" + bytes(39) + (640).to_bytes(8, "big")
    state = sha256.unpack(sha256.midstate(header[:64]))
    assert sha256.pack(sha256.take(state, rest)) == whole(header).digest()


def test_the_midstate_of_a_share_is_the_one_that_cgminer_sends() -> None:
    (row,) = (row for row in rows("usb_miners", "job") if row["name"] == "bm1397_job_1mid")
    (job,) = DeviceCodec(full_header_jobs=False).feed(frame(row))
    assert isinstance(job, MidstateJob)
    header = next(
        bytes.fromhex(row["hex"]) for row in rows("bm13xx", "header") if row["meaning"].startswith("15.1 header")
    )
    assert job.midstates == (sha256.midstate(header[:64]),)
    assert job.tail == header[64:76]


def test_the_hash_from_midstate_2_of_the_job_in_esp_miners_test_is_the_published_one() -> None:
    (row,) = (row for row in rows("bm13xx", "job") if row["meaning"].startswith("15.3 job"))
    (job,) = DeviceCodec(full_header_jobs=False).feed(frame(row))
    assert isinstance(job, MidstateJob)
    block = job.tail + bytes.fromhex("9b044c0a") + b"\x80" + bytes(39) + (640).to_bytes(8, "big")
    inner = sha256.pack(sha256.take(sha256.unpack(job.midstates[2]), block))
    (published,) = rows("bm13xx", "hash")
    assert whole(inner).digest()[::-1] == frame(published)
