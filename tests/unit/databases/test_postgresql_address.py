"""What a URL of PostgreSQL says, and what of it is shown."""

import pytest

from pdelta.databases.postgresql.address import Address
from pdelta.databases.postgresql.settings import Kind, Settings, check
from pdelta.errors import UsageError

SECRET = "p@ss/word"
URL = "postgresql://me:p%40ss%2Fword@db.example:6432/app?sslmode=require"


def told(address: Address, **more: str) -> list[tuple[str, str]]:
    parameters = address.parameters(database=more.get("database", ""), application_name="pdelta")
    return [(name.decode(), value.decode()) for name, value in parameters]


@pytest.mark.parametrize(
    ("url", "server", "database"),
    [
        (URL, "db.example:6432", "app"),
        ("postgres://db.example/a%20b", "db.example:5432", "a b"),
        ("postgresql:///app", "localhost:5432", "app"),
        ("postgresql://me@/app?host=/run/socket&port=5433", "/run/socket:5433", "app"),
        ("postgresql://a:5432,b:5433,c/?dbname=app", "a:5432,b:5433,c:5432", "app"),
        ("postgresql://[::1]:5433/app", "[::1]:5433", "app"),
        ("postgresql://me:a@b:c@db.example/app", "db.example:5432", "app"),
        ("postgresql://me:a#b?c@db.example/app", "db.example:5432", "app"),
        ("postgresql://me:a@db.example?dbname=app", "db.example:5432", "app"),
        ("postgresql://me@db.example?password=a/b&dbname=app", "db.example:5432", "app"),
    ],
)
def test_address_when_read_then_server_and_database_are_what_the_client_library_would_use(
    url: str, server: str, database: str
) -> None:
    address = Address(url)
    assert (address.server, address.database) == (server, database)


@pytest.mark.parametrize(
    ("url", "is_here"),
    [
        ("postgresql:///app", True), ("postgresql://127.0.0.1:6432/app", True), ("postgresql://[::1]/app", True),
        ("postgresql://me@/app?host=/run/socket", True), ("postgresql://%2Frun%2Fsocket/app", True), (URL, False),
        ("postgresql://localhost,db.example/app", False), ("postgresql://localhost.example/app", False),
    ],
)  # fmt: skip
def test_address_when_it_is_loopback_or_a_socket_then_the_server_is_here(url: str, is_here: bool) -> None:
    assert Address(url).is_here is is_here


def test_address_when_shown_then_it_has_no_password_and_no_user() -> None:
    settings = Settings("app", (Address(URL),))
    for shown in (repr(Address(URL)), str(Address(URL)), repr(settings), f"{settings}"):
        assert "p%40ss" not in shown
        assert SECRET not in shown
        assert "db.example:6432/app" in shown


def test_redact_when_a_password_is_in_what_is_said_then_it_is_taken_out_in_every_spelling() -> None:
    address = Address(f"{URL}&password=other&sslpassword=key")
    assert address.redact(f"no {SECRET}, p%40ss%2Fword, other or key") == "no ***, ***, *** or ***"
    assert Address("postgresql://me@db/app").redact("as it is") == "as it is"
    assert Address("postgresql://me@db?password=a/b+c").redact("no a/b+c") == "no ***"


@pytest.mark.parametrize(
    "url",
    [
        "", "secret", "mysql://me:secret@db/app", "postgresql://me:secret@[db/app", "postgresql://me:1/secret@db/app",
        "postgresql://me:secret/app", "postgresql://me:secret@db/a\0b", "postgresql://me@db/app?connect_timeout=secret",
    ],
)  # fmt: skip
def test_address_when_it_is_no_url_then_it_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        Address(url)
    assert "secret" not in caught.value.message + caught.value.hint + str(caught.value.__cause__)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_parameters_when_another_database_is_wanted_then_it_comes_after_the_url_and_defaults_before() -> None:
    names = [name for name, _value in told(Address(URL), database="other")]
    assert names.index("tcp_user_timeout") < names.index("dbname") < len(names) - 1
    assert [value for name, value in told(Address(URL), database="other") if name == "dbname"] == [URL, "other"]
    assert told(Address(URL))[-1] == ("client_encoding", "UTF8")
    assert Address(URL).connect_timeout_s == 10.0
    assert Address(URL + "&connect_timeout=3").connect_timeout_s == 3.0


ONE, OTHER = Address("postgresql://db1/app"), Address("postgresql://db2/app")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (Settings("app", ()), "names no server"),
        (Settings("app", (ONE, OTHER)), "only databases can be tenants on several"),
        (Settings("app", (ONE, OTHER), kind=Kind.SCHEMAS, patterns=("*",)), "only databases can be tenants on several"),
        (Settings("app", (ONE, ONE), kind=Kind.DATABASES, patterns=("*",)), "names a server twice: db1:5432"),
        (Settings("app", (ONE,), direct=(ONE, OTHER)), "1 server and 2 direct URLs"),
        (Settings("app", (ONE,), patterns=("t_*",)), "does not say whether they are schemas or databases"),
        (Settings("app", (ONE,), kind=Kind.SCHEMAS), "which schemas are tenants"),
        (Settings("app", (ONE,), kind=Kind.DATABASES, query="SELECT 1", names=("a",)), "which databases are tenants"),
        (Settings("app", (ONE,), connections=0), "at least one is needed"),
    ],
)
def test_settings_when_they_contradict_each_other_then_they_are_refused_with_their_section(
    settings: Settings, words: str
) -> None:
    with pytest.raises(UsageError, match=rf"databases\.app .*{words}"):
        check(settings)
