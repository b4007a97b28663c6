"""The wire's vectors: bytes that another implementation would have to read and write."""

import json
from pathlib import Path
from typing import Any

import pytest

from pdelta.app.bundle import pack_records
from pdelta.errors import FormatError
from pdelta.transports.contact import read_facts
from pdelta.wire import messages
from pdelta.wire.frames import END, ZSTD, Decoder, Encoder
from pdelta.wire.messages import Type
from pdelta.wire.session import Role, Session

FOLDER = Path(__file__).parents[2] / "vectors/wire"


def _load(name: str) -> Any:
    return json.loads((FOLDER / name).read_text())


@pytest.mark.parametrize("vector", _load("messages.json"), ids=lambda it: str(it["name"]))
def test_message_when_in_the_vectors_then_reads_and_writes_the_same_bytes(vector: dict[str, Any]) -> None:
    payload = bytes.fromhex(vector["payload"])
    message = messages.decode(vector["type"], payload)
    assert message.type == vector["type"]
    assert messages.encode(message) == payload


def test_frames_when_in_the_vectors_then_decode_one_after_the_other() -> None:
    decoder = Decoder()
    for vector in _load("frames.json")["valid"]:
        (frame,) = decoder.feed(bytes.fromhex(vector["frame"]))
        assert frame.type == vector["type"], vector["name"]
        assert frame.flags == (END if vector["end"] else 0), vector["name"]
        assert frame.payload.hex() == vector["payload"], vector["name"]


def test_plain_frames_when_encoded_then_are_the_vectors() -> None:
    for vector in _load("frames.json")["valid"]:
        if int(vector["frame"][2:4], 16) & ZSTD:
            continue
        parts = Encoder().encode(vector["type"], [bytes.fromhex(vector["payload"])], end=vector["end"])
        assert b"".join(map(bytes, parts)).hex() == vector["frame"]


@pytest.mark.parametrize("vector", _load("frames.json")["invalid"], ids=lambda it: str(it["name"]))
def test_frame_when_an_invalid_vector_then_is_refused(vector: dict[str, str]) -> None:
    with pytest.raises(FormatError):
        list(Decoder().feed(bytes.fromhex(vector["frame"])))


def _run(role: Role, steps: list[list[str]]) -> None:
    session = Session(role)
    for sender, name in steps:
        step = session.send if Role[sender.upper()] is role else session.receive
        step(Type[name.rstrip("+")], end=not name.endswith("+"))


@pytest.mark.parametrize("vector", _load("sessions.json"), ids=lambda it: str(it["name"]))
@pytest.mark.parametrize("role", list(Role))
def test_session_when_in_the_vectors_then_both_ends_judge_it_alike(role: Role, vector: dict[str, Any]) -> None:
    if vector["valid"]:
        _run(role, vector["messages"])
    else:
        _run(role, vector["messages"][:-1])
        with pytest.raises(FormatError):
            _run(role, vector["messages"])


def test_contact_when_in_the_vectors_then_lines_and_records_are_the_same() -> None:
    vector = _load("contact.json")
    line = bytes.fromhex(vector["answer"]["line"])
    mark = f"#pdelta-{vector['agent']['nonce']}\t".encode()
    assert line.startswith(mark)
    facts = read_facts(line.removeprefix(mark).rstrip(b"\n"))
    assert (facts.state, facts.tag, facts.libc) == ("absent", vector["answer"]["tag"], vector["answer"]["libc"])
    files = {name: bytes.fromhex(data) for name, data in vector["archive"]["files"].items()}
    assert b"".join(pack_records(files)).hex() == vector["archive"]["records"]
