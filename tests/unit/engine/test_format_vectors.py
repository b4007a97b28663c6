"""The vectors of the plan and journal formats, as another implementation would use them."""

import json
from pathlib import Path
from typing import Any

import pytest

from pdelta.errors import PdeltaError
from pdelta.formats.journal import decode_record, encode_record, link
from pdelta.formats.plan import decode_plan, encode_plan
from pdelta.model.plan import Plan
from pdelta.model.run import RunPhase, fold

VECTORS = Path(__file__).parents[2] / "vectors"
PLANS: list[dict[str, Any]] = json.loads((VECTORS / "plan/plans.json").read_text())
RECORDS: dict[str, Any] = json.loads((VECTORS / "journal/records.json").read_text())


@pytest.mark.parametrize("case", [case for case in PLANS if case["valid"]], ids=lambda case: case["name"])
def test_plan_vector_when_valid_then_read_and_written_alike(case: dict[str, Any]) -> None:
    plan = decode_plan(bytes.fromhex(case["bytes"]))
    assert plan.id == case["id"]
    assert encode_plan(plan).hex() == case["bytes"]


@pytest.mark.parametrize("case", [case for case in PLANS if not case["valid"]], ids=lambda case: case["name"])
def test_plan_vector_when_invalid_then_refused_with_its_code(case: dict[str, Any]) -> None:
    with pytest.raises(PdeltaError) as caught:
        decode_plan(bytes.fromhex(case["bytes"]))
    assert caught.value.code == case["error"]


def test_plan_when_changed_after_it_was_calculated_then_not_encoded() -> None:
    plan = decode_plan(bytes.fromhex(PLANS[1]["bytes"]))
    with pytest.raises(ValueError, match="was changed"):
        encode_plan(Plan(plan.id, (), plan.on_failure))


def test_record_vectors_when_chained_then_a_legal_run() -> None:
    previous = RECORDS["run"].encode()
    records = []
    for row in RECORDS["chain"]:
        body = bytes.fromhex(row["bytes"])
        previous = link(previous, body)
        assert previous.hex() == row["link"], row["name"]
        records.append(decode_record(body))
        assert encode_record(records[-1]) == body
    assert fold(RECORDS["steps"], records).phase is RunPhase.REVERSED


@pytest.mark.parametrize("case", RECORDS["invalid"], ids=lambda case: case["name"])
def test_record_vector_when_invalid_then_refused(case: dict[str, Any]) -> None:
    with pytest.raises(PdeltaError) as caught:
        decode_record(bytes.fromhex(case["bytes"]))
    assert caught.value.code == case["error"]
