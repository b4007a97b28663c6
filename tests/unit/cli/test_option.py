"""Options whose values people write in several ways."""

import click
import pytest
from click.testing import CliRunner

from pdelta.app.context import Link
from pdelta.cli import option


@click.command(cls=option.RuleCommand)
@click.argument("words", nargs=2)
@option.link
@option.source
@click.pass_context
def _command(context: click.Context, /, *, words: tuple[str, ...], link: Link, **_options: object) -> None:
    click.echo(f"{' '.join(words)} | {link.become} | {link.wait_s:g} | {context.meta[option.RULES]}")


def _run(*words: str) -> str:
    result = CliRunner().invoke(_command, words)
    return result.output.strip() if result.exit_code == 0 else f"exit {result.exit_code}"


@pytest.mark.parametrize("value", ["x", "-1", "1.5", "", "1e3", "9" * 30])
def test_count_when_it_is_none_then_the_refusal_says_what_is_wanted(value: str) -> None:
    with pytest.raises(click.BadParameter, match="is no whole number from 0 on"):
        option.Count(0).convert(value, None, None)


def test_count_when_it_is_large_enough_then_it_is_given() -> None:
    assert [option.Count(1).convert(value, None, None) for value in ("1", "007", 3)] == [1, 7, 3]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("a", "b"), "a b |  | 0 | []"),
        (("--become", "a", "b"), "a b | root | 0 | []"),
        (("--become", "./a", "b"), "./a b | root | 0 | []"),
        (("--become", "deploy", "a", "b"), "a b | deploy | 0 | []"),
        (("--become=deploy", "a", "b"), "a b | deploy | 0 | []"),
        (("a", "b", "--become"), "a b | root | 0 | []"),
        (("--wait", "a", "b"), "a b |  | 1e+09 | []"),
        (("--wait", "30", "a", "b"), "a b |  | 30 | []"),
        (("--wait=2.5", "--", "--become", "b"), "--become b |  | 2.5 | []"),
        (("a", "b", "c"), "exit 2"),
    ],
)
def test_optional_value_when_written_in_any_way_then_it_is_understood(words: tuple[str, ...], told: str) -> None:
    assert _run(*words) == told


def test_rules_when_mixed_then_their_order_is_kept() -> None:
    told = _run("--ignore", "a", "--include=b", "x", "y", "--ignore", "c")
    assert told.endswith("[('--ignore', 'a'), ('--include', 'b'), ('--ignore', 'c')]")


@pytest.mark.parametrize(
    ("text", "count"),
    [("0", 0), ("64K", 65536), ("64KiB", 65536), ("64kB", 64000), ("1.5M", 1572864), ("20G", 20 << 30), ("7", 7)],
)
def test_size_when_it_has_a_unit_then_it_is_bytes(text: str, count: int) -> None:
    assert option.Size().convert(text, None, None) == count


@pytest.mark.parametrize("text", ["", "K", "-1", "1X", "1 2"])
def test_size_when_it_is_none_then_it_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        option.Size().convert(text, None, None)


@pytest.mark.parametrize(("text", "seconds"), [("45s", 45), ("12h", 43200), ("30d", 2592000), ("2W", 1209600)])
def test_age_when_it_has_a_unit_then_it_is_seconds(text: str, seconds: int) -> None:
    assert option.Age().convert(text, None, None) == seconds
