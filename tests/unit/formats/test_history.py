"""Ledger entries by their vectors, and wishes."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pdelta.errors import FormatError, PdeltaError
from pdelta.formats.history import (
    PushWish,
    RepairWish,
    RollbackWish,
    UndoState,
    Wish,
    decode_history_entry,
    decode_wish,
    encode_history_entry,
    encode_wish,
)
from pdelta.model.snapshot import Entry

FOLDER = Path(__file__).parents[2] / "vectors"
VECTORS: list[dict[str, Any]] = json.loads((FOLDER / "history/entries.json").read_text(encoding="utf-8"))
WISHES: list[dict[str, Any]] = json.loads((FOLDER / "history/wishes.json").read_text(encoding="utf-8"))
KEPT: list[dict[str, Any]] = json.loads((FOLDER / "ledger/kept.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", [case for case in VECTORS if case["valid"]], ids=lambda case: case["name"])
def test_entry_vector_when_valid_then_read_and_written_alike(case: dict[str, Any]) -> None:
    assert encode_history_entry(decode_history_entry(bytes.fromhex(case["bytes"]))).hex() == case["bytes"]


@pytest.mark.parametrize("case", [case for case in VECTORS if not case["valid"]], ids=lambda case: case["name"])
def test_entry_vector_when_invalid_then_refused_with_its_code(case: dict[str, Any]) -> None:
    with pytest.raises(PdeltaError) as caught:
        decode_history_entry(bytes.fromhex(case["bytes"]))
    assert caught.value.code == case["error"]


def test_entry_when_least_then_its_undo_data_is_kept() -> None:
    assert decode_history_entry(bytes.fromhex(VECTORS[0]["bytes"])).undo == UndoState.KEPT


@pytest.mark.parametrize(
    "wish",
    [
        PushWish(b"\1" * 32),
        PushWish(b"\1" * 32, delete=False, max_delete=0, suspended=(b"", b"a/b"), drift="keep", check="bytes"),
        RollbackWish(),
        RollbackWish(to=0, undo=False),
        RepairWish(note="why"),
        RepairWish(source=b"\2" * 32),
    ],
)
def test_wish_when_encoded_then_it_is_read_back(wish: Wish) -> None:
    assert decode_wish(encode_wish(wish)) == wish


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        msgspec.msgpack.encode({"type": "destroy"}),
        msgspec.msgpack.encode({"type": "push"}),
        msgspec.msgpack.encode({"type": "push", "wanted": b"", "surprise": True}),
        msgspec.msgpack.encode({"type": "rollback", "to": "yesterday"}),
        msgspec.msgpack.encode({"type": "repair", "delete": True}),
    ],
)
def test_wish_when_unknown_or_malformed_then_it_is_refused_and_never_guessed(data: bytes) -> None:
    with pytest.raises(FormatError):
        decode_wish(data)


@pytest.mark.parametrize("case", WISHES, ids=lambda case: case["name"])
def test_wish_vector_when_read_then_written_alike(case: dict[str, Any]) -> None:
    assert encode_wish(decode_wish(bytes.fromhex(case["bytes"]))).hex() == case["bytes"]


@pytest.mark.parametrize("case", KEPT, ids=lambda case: case["name"])
def test_kept_vector_when_read_as_an_entry_then_written_alike(case: dict[str, Any]) -> None:
    entry = msgspec.msgpack.decode(bytes.fromhex(case["bytes"]), type=Entry)
    assert msgspec.msgpack.encode(entry).hex() == case["bytes"]
