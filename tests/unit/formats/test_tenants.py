"""What a section of the project file says of each tenant."""

from decimal import Decimal

import pytest

from pdelta.errors import FormatError
from pdelta.formats.database import DatabaseSection
from pdelta.formats.project import parse_project
from pdelta.formats.tenants import TenantRow, is_excluded, matches, missing_names, read_row, tags_of, values_of


def section(text: str) -> DatabaseSection:
    return parse_project(f"[databases.a]\nurl = 'env:A'\n{text}").databases["a"]


@pytest.mark.parametrize(
    ("name", "pattern", "same"),
    [
        ("tenant_1", "tenant_*", True),
        ("Tenant_1", "tenant_*", False),
        ("a\nb", "a*b", True),
        ("ab\n", "ab", False),
        ("t1", "t[0-9]", True),
        ("t[0-9]", "t[0-9]", True),
        ("t12", "t?", False),
        ("x.sqlite", "x?sqlite", True),
        ("(a|b)", "(a|b)", True),
        ("a", "(a|b)", False),
    ],
)
def test_pattern_when_it_is_a_name_or_a_glob_then_that_matches(name: str, pattern: str, same: bool) -> None:
    assert matches(name, (pattern,)) is same


def test_tenants_when_some_are_excluded_then_they_are_none() -> None:
    found = section("tenants = { schemas = ['tenant_*', 'acme', 'gone'], exclude = ['tenant_template', 'gone'] }")
    names = ["tenant_1", "tenant_template", "acme", "gone"]
    assert [name for name in names if is_excluded(found, name)] == ["tenant_template", "gone"]
    assert missing_names(found, ["tenant_1"]) == ("acme",)


def test_tenants_when_a_query_lists_them_then_all_but_the_excluded_are_taken() -> None:
    found = section("tenants = { query = 'SELECT 1', exclude = 'x*' }")
    assert [name for name in ("a", "xa") if not is_excluded(found, name)] == ["a"]
    assert missing_names(found, []) == ()


def test_tags_when_query_and_section_give_some_then_each_is_there_once() -> None:
    found = section("[databases.a.tags]\nbeta = ['t1*', 'acme']\nbig = 't12'")
    assert tags_of(found, "t12", ("paying", "beta")) == ("paying", "beta", "big")
    assert tags_of(found, "other") == ()


def test_values_when_several_globs_match_then_the_later_one_wins() -> None:
    found = section("[databases.a.values]\n'*' = { region = 'eu', limit = 10 }\nacme = { region = 'us', vip = true }")
    assert values_of(found, "acme", {"limit": "5", "plan": "free"}) == {
        "tenant": "acme",
        "region": "us",
        "limit": "10",
        "plan": "free",
        "vip": "true",
    }
    assert values_of(found, "b")["region"] == "eu"


def test_row_when_it_has_size_and_tags_then_every_other_column_is_a_value() -> None:
    columns = ("schema_name", "SIZE", "tags", "plan", "ratio", "active", "gone")
    row = ("t1", Decimal("12.0"), "beta, big", "free", 1.5, False, None)
    values = {"plan": "free", "ratio": "1.5", "active": "false"}
    assert read_row(columns, row) == TenantRow("t1", 12, ("beta", "big"), values)
    assert read_row(("n", "tags"), ("t", ["a", "b"])).tags == ("a", "b")
    assert read_row(("n", "tags"), ("t", '{a,"b"}')).tags == ("a", "b")
    assert read_row(("n",), ("t",)) == TenantRow("t")


@pytest.mark.parametrize(
    ("row", "named"), [((None, 1), "None"), (("", 1), "''"), ((7, 1), "7"), (("t", "big"), "'big'")]
)
def test_row_when_it_names_nothing_or_has_no_size_then_it_is_refused(row: tuple[object, ...], named: str) -> None:
    with pytest.raises(FormatError, match=named):
        read_row(("name", "size"), row)
