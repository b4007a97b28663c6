"""References to URLs are looked up, and no secret of a URL is ever shown."""

from collections.abc import Sequence
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pdelta.errors import FormatError, UsageError
from pdelta.formats.database_url import Lookup, check_url, dialect_of, mask, redacted, resolve, secrets_of, shown
from pdelta.sql.token import Dialect

URL = "postgresql://ops:pass@db/app"
PASSWORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=12).map(
    lambda text: f"Q{text}Z"
)


def nothing(what: object) -> str:
    raise AssertionError(what)


def lookup(**variables: str) -> Lookup:
    return Lookup(variables.get, nothing, nothing)


@pytest.mark.parametrize(
    ("text", "dialect"),
    [
        (URL, Dialect.POSTGRESQL),
        ("POSTGRES://h", Dialect.POSTGRESQL),
        ("mysql://h/d", Dialect.MYSQL),
        ("mariadb://h/d", Dialect.MYSQL),
        ("sqlite:///a.db", Dialect.SQLITE),
        ("env:A", None),
        ("oracle://h", None),
        ("host=x password=y", None),
    ],
)
def test_dialect_when_a_url_is_given_then_its_scheme_tells(text: str, dialect: Dialect | None) -> None:
    assert dialect_of(text) is dialect


def test_resolve_when_it_is_a_url_then_nothing_is_looked_up() -> None:
    assert resolve(URL, Lookup(nothing, nothing, nothing)) == URL


def test_resolve_when_it_is_a_reference_then_the_first_line_is_the_url() -> None:
    asked: list[object] = []

    def file(name: str) -> str:
        asked.append(name)
        return f"\n  {URL}  \nsecond line\n"

    def command(words: Sequence[str]) -> str:
        asked.append(words)
        return URL + "\r\n"

    found = Lookup({"A_B": URL}.get, file, command)
    assert [resolve(text, found) for text in ("env:A_B", "file: a b.txt", "cmd:pass show 'db url' -x")] == [URL] * 3
    assert asked == ["a b.txt", ["pass", "show", "db url", "-x"]]


def test_resolve_when_the_variable_is_missing_then_it_is_named() -> None:
    with pytest.raises(UsageError, match="no APP_URL"):
        resolve("env:APP_URL", lookup())


@pytest.mark.parametrize("value", ["", "hunter2", "oracle://u:hunter2@h", "host=h password=hunter2"])
def test_resolve_when_what_it_finds_is_no_url_then_that_is_not_shown(value: str) -> None:
    with pytest.raises(UsageError, match=r"env:A gives") as caught:
        resolve("env:A", lookup(A=value))
    assert "hunter2" not in caught.value.message + caught.value.hint


def test_resolve_when_there_is_no_lookup_then_a_reference_is_refused() -> None:
    assert resolve(URL, None) == URL
    with pytest.raises(UsageError, match="env:A"):
        resolve("env:A", None)


@pytest.mark.parametrize("text", ["env:", "cmd: ", "cmd:''x'", "oracle://h", "a path"])
def test_check_when_it_can_be_no_url_then_it_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(FormatError) as caught:
        check_url(text)
    assert text.endswith((":", " ")) or text not in caught.value.message


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (URL, "postgresql://ops:***@db/app"),
        ("postgresql://ops@db:5432/app?sslmode=require", "postgresql://ops@db:5432/app?sslmode=require"),
        (
            "postgresql://db/app?sslpassword=x&user=ops&sslmode=a",
            "postgresql://db/app?sslpassword=***&user=ops&sslmode=a",
        ),
        ("mysql://u:p@[::1]:3306/d?ssl_ca=/x#frag", "mysql://u:***@[::1]:3306/d?ssl_ca=***#***"),
        ("postgresql://u:p@a:1,b:2/d", "postgresql://u:***@a:1,b:2/d"),
        ("postgresql://u:p%40x@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u:@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u:p@x@h/d", "postgresql://***"),
        ("postgresql://u:1/2@h/d", "postgresql://***"),
        ("postgresql://u:12?x@h/d", "postgresql://***"),
        ("postgresql://u:12#x@h/d", "postgresql://***"),
        ("postgresql://u:secret/d", "postgresql://***"),
        ("sqlite:///tenants/a b.sqlite?mode=ro&key=x", "sqlite:///tenants/a b.sqlite?mode=ro&key=***"),
        ("host=h password=x", "***"),
        ("env:APP_URL", "env:APP_URL"),
        ("cmd:vault read -token=abc db", "cmd:vault …"),
        ("cmd:./url", "cmd:./url"),
    ],
)
def test_redacted_when_a_url_holds_secrets_then_only_the_rest_is_shown(url: str, told: str) -> None:
    assert redacted(url) == told
    assert shown(url) == told


@given(PASSWORDS, st.sampled_from(["", "?sslmode=require", "/d?application_name=x#y"]), st.booleans())
@example("Q@Z", "", False)
@example("Q:5432/Z", "", False)
@example("Q?sslmode=Z", "", False)
def test_redacted_when_a_password_is_anything_then_it_is_not_shown(password: str, rest: str, encoded: bool) -> None:
    url = f"postgresql://ops:{quote(password, safe='') if encoded else password}@db/app{rest}"
    told = redacted(url)
    assert password not in told
    assert quote(password, safe="") not in told
    if encoded:
        assert told.startswith("postgresql://ops:***@db/app")


@given(PASSWORDS, st.booleans())
@example("Q'Z", False)
@example("Q\\Z", True)
def test_mask_when_a_driver_tells_the_password_in_any_spelling_then_it_is_hidden(password: str, encoded: bool) -> None:
    url = f"mysql://u:{quote(password, safe='') if encoded else password}@h/d"
    said = f"can't connect as {password!r}, {password}, {quote(password)}, {quote(password, safe='')}: {url}"
    told = mask(said, secrets_of(url))
    assert password not in told
    assert repr(password)[1:-1] not in told
    assert quote(password, safe="") not in told


def test_secrets_when_parameters_hold_some_then_they_are_known_and_the_longest_comes_first() -> None:
    assert secrets_of("postgresql://u:ab@h/d?sslpassword=abc&sslmode=require") == ("abc", "ab")
    assert secrets_of("postgresql://u@h/d") == ()
    assert mask("ab abc x", ("ab", "", "abc")) == "*** *** x"
