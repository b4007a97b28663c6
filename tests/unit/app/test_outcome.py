"""What an outcome lacks, and which command would have been refused."""

import pytest

from pdelta.app.outcome import SourceProblem, TreeOutcome
from pdelta.app.perform import objection_to
from pdelta.model.finding import Finding


def _outcome(*kinds: str, **fields: object) -> TreeOutcome:
    problems = tuple(SourceProblem(b"path", kind, "why") for kind in kinds)
    return TreeOutcome("push", "there", problems=problems, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("kinds", [(), ("special", "special")])
def test_objection_when_everything_that_can_be_pushed_was_then_none(kinds: tuple[str, ...]) -> None:
    assert objection_to(_outcome(*kinds)) is None


@pytest.mark.parametrize("kind", ["unreadable", "vanished", "changing"])
def test_objection_when_paths_were_left_out_then_it_counts_them_and_says_what_to_do(kind: str) -> None:
    one = objection_to(_outcome(kind, "special", changed=True))
    assert one is not None
    assert (one.exit_status, one.message.partition(",")[0]) == (
        4, "1 path of the source was left out; all else was pushed"
    )  # fmt: skip
    assert one.hint == "the same command pushes it once it can be read"
    two = objection_to(_outcome(kind, kind))
    assert two is not None
    assert two.message.startswith("2 paths of the source were left out; all else is there")
    assert "them once they can be read" in two.hint


def test_objection_when_a_dry_run_would_be_refused_then_that_is_told_first() -> None:
    blocks = (Finding("space", "full"),)
    refused = objection_to(_outcome("unreadable", dry_run=True, changed=True, findings=blocks))
    assert refused is not None
    assert refused.exit_status == 3
    dry = objection_to(_outcome("unreadable", dry_run=True, changed=True))
    assert dry is not None
    assert "would be left out; all else would be pushed" in dry.message
