"""The intent format, by its vectors."""

import json
from pathlib import Path
from typing import Any

import pytest

from pdelta.errors import PdeltaError
from pdelta.formats.intent import Action, Intent, decode_intent, encode_intent

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "vectors/intent/intents.json").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("case", [case for case in VECTORS if case["valid"]], ids=lambda case: case["name"])
def test_intent_vector_when_valid_then_read_and_written_alike(case: dict[str, Any]) -> None:
    # What an older version holds is written as today's.
    assert encode_intent(decode_intent(bytes.fromhex(case["bytes"]))).hex() == case.get("again", case["bytes"])


@pytest.mark.parametrize("case", [case for case in VECTORS if not case["valid"]], ids=lambda case: case["name"])
def test_intent_vector_when_invalid_then_refused_with_its_code(case: dict[str, Any]) -> None:
    with pytest.raises(PdeltaError) as caught:
        decode_intent(bytes.fromhex(case["bytes"]))
    assert caught.value.code == case["error"]


def test_intent_when_decoded_then_its_moves_are_in_order() -> None:
    intent = decode_intent(bytes.fromhex(VECTORS[0]["bytes"]))
    actions = [Action(move.action) for move in intent.moves]
    assert set(actions) == set(Action)
    assert actions[0] == Action.CREATE
    assert (intent.run, intent.number, intent.undo, intent.durable) == ("run:x", 2, True, True)


def test_intent_when_any_byte_is_changed_then_it_is_refused() -> None:
    good = encode_intent(Intent("run:x", 1, b"entry", (), ()))
    for position in range(len(good)):
        bad = bytearray(good)
        bad[position] ^= 0x10
        with pytest.raises(PdeltaError):
            decode_intent(bytes(bad))
