"""URLs of MySQL servers: read as written, and never shown."""

from typing import Any

import pytest

from pdelta.databases.mysql.address import Address
from pdelta.databases.mysql.settings import Settings, check
from pdelta.errors import UsageError


def told(url: str) -> dict[str, Any]:
    return Address(url).arguments(encrypted=False)


def test_address_when_it_says_everything_then_the_driver_is_told_all_of_it() -> None:
    address = Address("mysql://us%40er:p%3Aw%2F%C3%A9@db.example:3307/shop%20x?connect_timeout=3&ssl-mode=disabled")
    assert address.server == "db.example:3307"
    assert address.database == "shop x"
    assert not address.encrypts
    arguments = address.arguments(encrypted=False)
    assert arguments == {
        "host": "db.example", "port": 3307, "user": "us@er", "password": "p:w/é".encode(), "connect_timeout": 3,
        "ssl_disabled": True,
    }  # fmt: skip


def test_address_when_it_says_little_then_the_rest_is_usual() -> None:
    address = Address("mariadb://root@/x")
    assert (address.server, address.database) == ("localhost:3306", "x")
    assert address.encrypts
    assert not address.must_encrypt
    assert told("mysql://root@/x?unix_socket=/run/mysqld.sock")["unix_socket"] == "/run/mysqld.sock"
    assert Address("mysql://root@/?unix_socket=/run/mysqld.sock").server == "/run/mysqld.sock"
    assert Address("mysql://[::1]/").server == "[::1]:3306"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:geheim@h/d", "mysql:/u:geheim@h", "mysql://u:geheim@h:port/d", "mysql://u:geheim@h/d?sslmod=x",
        "mysql://u:geheim@h/d?ssl_mode=maybe", "mysql://u:geheim@h/d?connect_timeout=-1", "mysql://u:geheim@[h/d", "",
    ],
)  # fmt: skip
def test_address_when_it_is_none_then_refused_without_showing_it(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        Address(url)
    assert "geheim" not in caught.value.message + caught.value.hint


def test_address_when_shown_then_without_password() -> None:
    address = Address("mysql://u:geh%21eim@h/d")
    assert "geh" not in repr(address) + repr(Settings("s", (address,)))
    assert address.redact("Access denied for geh!eim (geh%21eim)") == "Access denied for *** (***)"


def test_tls_when_asked_for_then_as_strict_as_the_mode_says() -> None:
    loose = Address("mysql://u@h/d?ssl_mode=REQUIRED")
    assert loose.must_encrypt
    context = loose.arguments(encrypted=True)["ssl"]
    assert (context.verify_mode.name, context.check_hostname) == ("CERT_NONE", False)
    assert loose.arguments(encrypted=True)["ssl"] is context, "made once: reading certificates takes long"
    strict = Address("mysql://u@h/d?ssl_mode=VERIFY_IDENTITY").arguments(encrypted=True)["ssl"]
    assert (strict.verify_mode.name, strict.check_hostname) == ("CERT_REQUIRED", True)
    with pytest.raises(UsageError, match="certificates"):
        Address("mysql://u@h/d?ssl_ca=/nowhere/ca.pem").arguments(encrypted=True)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (Settings("s", ()), "names no server"),
        (Settings("s", (Address("mysql://h/"),)), "no database"),
        (Settings("s", (Address("mysql://h/d"), Address("mysql://h/e")), patterns=("*",)), "twice"),
        (Settings("s", (Address("mysql://h/d"), Address("mysql://i/d"))), "several servers"),
        (Settings("s", (Address("mysql://h/d"),), patterns=("*",), query="SELECT 1"), "by names and by a query"),
        (Settings("s", (Address("mysql://h/d"),), connections=0), "at least one"),
    ],
)
def test_settings_when_they_contradict_each_other_then_refused(settings: Settings, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        check(settings)
