"""On which server a new tenant is made, and under which names."""

import re

import pytest

from pdelta.databases.mysql.address import Address
from pdelta.databases.mysql.listing import covers
from pdelta.databases.mysql.settings import Settings
from pdelta.databases.placing import birthplace
from pdelta.errors import UsageError

SERVERS = {"one:5432": 1, "two:5432": 2}


def place(lane: str = "", home: str = "") -> int:
    homes = {"new": home} if home else {}
    return birthplace("app", "new", lane, SERVERS, lambda: homes)


def test_birthplace_when_there_is_one_server_then_that_and_nothing_is_listed() -> None:
    assert birthplace("app", "new", "", {"one": 1}, pytest.fail) == 1


def test_birthplace_when_there_are_several_then_the_one_that_is_named_or_has_it() -> None:
    assert place("two:5432") == 2
    assert place("", "two:5432") == place("two:5432", "two:5432") == 2


@pytest.mark.parametrize(
    ("lane", "home", "told"),
    [
        ("", "", "nothing says on which server new is to be"),
        ("three", "", "databases.app has no server 'three'"),
        ("one:5432", "two:5432", "new is on two:5432 already, and not on one:5432"),
    ],
)
def test_birthplace_when_nothing_is_sure_then_refused(lane: str, home: str, told: str) -> None:
    with pytest.raises(UsageError, match=re.escape(told)):
        place(lane, home)


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("shop_a", True),
        ("shop_\u0142\uffff", True),
        ("shop_\U0001f600", False),
        ("shop_ ", False),
        ("shop_" + "n" * 59, True),
        ("shop_" + "n" * 60, False),
        ("other", False),
        ("", False),
    ],
)
def test_covers_when_a_name_can_be_no_database_of_mysql_then_it_is_none(name: str, fits: bool) -> None:
    settings = Settings("shop", (Address("mysql://me@db.example/"),), patterns=("shop_*",))
    assert covers(name, settings) is fits
