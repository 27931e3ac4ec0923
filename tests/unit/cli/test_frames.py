"""A recording of bytes, told as frames."""

import json
from pathlib import Path

import pytest

from controller.__main__ import main
from controller.cli.frames import Frame, frames
from drivers.codecs import bitaxe_raw, bm13xx, bridge_system
from drivers.codecs.dialects import DIALECTS, device_codec, host_codec
from drivers.transports.tap import TapRecord

CHIP_ID_QUESTION = bytes.fromhex("55aa520500000a")


def _record(t_ns: int, direction: str, data: bytes, port: str = "data") -> TapRecord:
    return TapRecord(t_ns, port, direction, data=data)


def _said(records: list[TapRecord]) -> list[tuple[str, str, str]]:
    return [(frame.direction, frame.kind, frame.meaning) for frame in frames(records)]


def test_questions_and_answers_of_a_chip_are_put_into_words() -> None:
    answer = bm13xx.DeviceCodec(full_header_jobs=True).encode(bm13xx.RegisterReply(0x1370_0000, 0, 0), 9)
    assert _said([_record(0, "tx", CHIP_ID_QUESTION), _record(1, "rx", answer)]) == [
        ("tx", "read", "read CHIP_ID (00) of all chips"),
        ("rx", "register", "CHIP_ID (00) = 13700000 from chip 00"),
    ]


def test_a_frame_is_whole_again_however_it_was_cut_and_carries_the_time_of_its_last_byte() -> None:
    records = [_record(at, "tx", bytes((byte,))) for at, byte in enumerate(CHIP_ID_QUESTION)]
    assert list(frames(records)) == [Frame(6, "data", "tx", CHIP_ID_QUESTION, "read", "read CHIP_ID (00) of all chips")]


def test_bytes_of_no_frame_are_shown_as_noise_and_nothing_is_lost() -> None:
    said = list(frames([_record(0, "tx", b"AT\r" + CHIP_ID_QUESTION), _record(1, "rx", b"\x00\x01")]))
    assert [frame.kind for frame in said] == ["noise", "read", "noise"]
    assert said[0].data == b"AT\r"
    assert said[2].data == b"\x00\x01"


def test_jobs_and_nonces_name_their_job() -> None:
    job = bm13xx.encode(bm13xx.Job(0x18, bytes(80)))
    nonce = bm13xx.DeviceCodec(full_header_jobs=True).encode(
        bm13xx.NonceReply(bytes.fromhex("7552034c"), 0, 0x35, 0x05A2), 11
    )
    said = _said([_record(0, "tx", job), _record(1, "rx", nonce)])
    assert said[0][:2] == ("tx", "job")
    assert said[0][2].startswith("job 3, ")
    assert said[1] == ("rx", "nonce", "nonce 7552034c, result 35 (job 3), version bits 05a2")


def test_jobs_and_nonces_of_a_chip_that_is_sent_midstates_are_told_once_its_id_was_seen() -> None:
    codec = bm13xx.DeviceCodec(full_header_jobs=False)
    nonce = codec.encode(bm13xx.NonceReply(bytes.fromhex("9b044c0a"), 0, 0x1A, None), 9)
    job = bm13xx.MidstateJob(0x18, (bytes(32),) * 4, bytes(12))
    records = [
        _record(0, "tx", CHIP_ID_QUESTION),
        _record(1, "rx", codec.encode(bm13xx.RegisterReply(0x1397_1800, 0, 0), 9)),
        _record(2, "tx", bm13xx.encode(job)),
        _record(3, "rx", nonce + nonce),
    ]
    assert _said(records)[2:] == [
        ("tx", "job", "job byte 18, 4 midstates"),
        ("rx", "nonce", "nonce 9b044c0a, result 1a (job byte 18, midstate 2)"),
        ("rx", "nonce", "nonce 9b044c0a, result 1a (job byte 18, midstate 2)"),
    ]


def test_a_nonce_that_passes_for_a_shorter_register_reply_is_still_a_nonce() -> None:
    lookalike = bytes.fromhex("aa552e499a0b060800588 0".replace(" ", ""))
    nonce = bm13xx.DeviceCodec(full_header_jobs=True).encode(bm13xx.NonceReply(bytes(4), 0, 0, 1), 11)
    question = bm13xx.encode(bm13xx.ReadRegister(0x08, 0))
    said = [
        frame.kind
        for frame in frames([_record(0, "rx", nonce), _record(1, "tx", question), _record(2, "rx", lookalike)])
    ]
    assert said == ["nonce", "read", "nonce"]


def test_a_bridge_reply_is_told_with_the_request_that_it_answers() -> None:
    codec = bitaxe_raw.HostCodec()
    question = codec.encode(bitaxe_raw.i2c_write_read(0x24, b"\x79", 2), 7)
    assert _said([_record(0, "tx", question, "control"), _record(1, "rx", bytes.fromhex("0200070000"), "control")]) == [
        ("tx", "request", "#07 tps546@24 read STATUS_WORD (79), 2 bytes"),
        ("rx", "reply", "#07 tps546@24 read STATUS_WORD (79), 2 bytes: 00 00"),
    ]


def test_a_refusal_of_the_bridge_is_told_as_one() -> None:
    codec = bitaxe_raw.HostCodec()
    question = codec.encode(bitaxe_raw.i2c_write(0x4C, b"\x4c\x3f"), 0x42)
    error = bytes.fromhex("1300 42ff") + b"I2C Write Error"
    said = list(frames([_record(0, "tx", question, "control"), _record(1, "rx", error, "control")]))
    assert (said[1].kind, said[1].data) == ("refusal", error)
    assert said[1].meaning == "#42 emc2101@4c write 4c = 3f: refused, I2C Write Error"


def test_a_change_of_the_line_rate_and_a_lost_port_are_frames_too() -> None:
    records = [TapRecord(0, "data", "baud", baud=1_000_000), TapRecord(1, "data", "lost", why="hung up")]
    assert _said(records) == [("baud", "baud", "line rate 1000000"), ("lost", "lost", "port lost: hung up")]


def _recording(path: Path) -> Path:
    lines = [
        {"schema": "hashbridge.tap/1", "utc": "2026-11-22T11:00:00.000000+00:00"},
        {"t_ns": 1_000_000_000, "port": "data", "dir": "tx", "hex": CHIP_ID_QUESTION.hex()},
        {"t_ns": 1_000_500_000, "port": "data", "dir": "rx", "hex": "ff"},
        {"t_ns": 1_001_000_000, "port": "control", "dir": "tx", "hex": "060000000600"},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_replay_prints_lines_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(_recording(tmp_path / "wire.jsonl"))]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[0] == "   0.000000 data    -> read CHIP_ID (00) of all chips  [55 aa 52 05 00 00 0a]"
    assert said.out.splitlines()[2] == "   0.001000 control -> #00 read pin 0  [06 00 00 00 06 00]"
    assert "3 frames" in said.err


def test_replay_prints_objects_for_programs_and_chooses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(_recording(tmp_path / "wire.jsonl")), "--json", "--port", "data", "--kind", "read"]) == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {
            "schema": "hashbridge.frame/1",
            "t_s": 0.0,
            "t_ns": 1_000_000_000,
            "port": "data",
            "dir": "tx",
            "kind": "read",
            "hex": "55aa520500000a",
            "meaning": "read CHIP_ID (00) of all chips",
        }
    ]


def test_a_file_that_is_no_recording_is_a_usage_error_that_names_the_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x").write_text('{"schema":"hashbridge.tap/1"}\nhello\n')
    assert main(["replay", str(tmp_path / "x")]) == 2
    assert f"{tmp_path / 'x'}:2" in capsys.readouterr().err


def test_a_recording_that_is_not_there_is_not_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(tmp_path / "none")]) == 3
    assert "none" in capsys.readouterr().err


QUESTIONS = (
    (bitaxe_raw.i2c_frequency(400_000), "I2C clock 400000 Hz", bytes.fromhex("80 1a 06 00")),
    (bitaxe_raw.gpio_set(1, True), "set pin 1 high", b"\x01"),
    (bitaxe_raw.i2c_write_read(0x24, b"\x79", 2), "tps546@24 read STATUS_WORD (79), 2 bytes", b"\x00\x00"),
    (bitaxe_raw.adc_read(0x50), "convert channel 50", b"\x34\x02"),
    (bitaxe_raw.led_set(0xFF, 0, 0xFF), "LED ff 00 ff", b"\xff\x00\xff"),
    (bitaxe_raw.fan_set(50), "fan 50 %", b"\x00"),
    (bitaxe_raw.fan_tach(), "read the tachometer", b"\x10\x0e"),
)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("first", range(len(QUESTIONS)))
def test_replies_are_told_in_whatever_dialect_they_are(dialect: str, first: int) -> None:
    records, wanted = [], []
    for id, (request, meaning, payload) in enumerate(QUESTIONS[first:] + QUESTIONS[:first]):
        records.append(_record(2 * id, "tx", host_codec(dialect).encode(request, id), "control"))
        records.append(_record(2 * id + 1, "rx", device_codec(dialect).encode_reply(id, payload), "control"))
        wanted += [("tx", "request", f"#{id:02x} {meaning}")]
        wanted += [("rx", "reply", f"#{id:02x} {meaning}: {payload.hex(' ')}")]
    assert _said(records) == wanted
    assert [frame.data for frame in frames(records)] == [record.data for record in records]


def test_page_00_is_told_from_the_first_request_on() -> None:
    info = bridge_system.FirmwareInfo(1, 0, "1.2.3").encode()
    ask, tell = host_codec("B").encode, device_codec("B").encode_reply
    records = [
        _record(0, "tx", ask(bridge_system.info(), 1), "control"),
        _record(1, "rx", tell(1, info), "control"),
        _record(2, "tx", ask(bridge_system.rx_loss(), 2), "control"),
        _record(3, "rx", tell(2, b"\x01" + bytes(8)), "control"),
        _record(4, "tx", ask(bridge_system.status(), 3), "control"),
        _record(5, "rx", bytes.fromhex("04 00 03 13"), "control"),
    ]
    assert _said(records) == [
        ("tx", "request", "#01 bridge info"),
        ("rx", "reply", f"#01 bridge info: {info.hex(' ')}"),
        ("tx", "request", "#02 bridge rx loss"),
        ("rx", "reply", "#02 bridge rx loss: 01 00 00 00 00 00 00 00 00"),
        ("tx", "request", "#03 bridge status"),
        ("rx", "refusal", "#03 bridge status: refused, error 13"),
    ]


@pytest.mark.parametrize(("into_loader", "word"), [(False, "reboot"), (True, "reboot into the loader")])
def test_a_reboot_is_told_and_waits_for_nothing(into_loader: bool, word: str) -> None:
    frame = host_codec("C").encode(bitaxe_raw.reboot(into_loader=into_loader), 9)
    assert _said([_record(0, "tx", frame, "control")]) == [("tx", "request", f"#09 {word}")]
