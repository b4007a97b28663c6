"""Catalogues as data: their text, their fingerprint, the groups of tenants and what is said of a difference."""

from hashlib import sha256

import pytest

from pdelta.sql.catalogue import YES, Catalogue, Group, Item, fingerprint, groups, name_parts
from pdelta.sql.difference import ORDER, Difference, difference


def column(name: str, **facts: str) -> Item:
    return Item("column", name, tuple((key.replace("_", " "), value) for key, value in facts.items()))


USERS = (
    Item("table", "users"),
    column("users.id", type="bigint", not_null=YES),
    column("users.age", type="bigint", default="0"),
    column("users.email", type="text", not_null=YES),
    Item("constraint", "users.users_pkey", (("definition", "PRIMARY KEY (id)"),)),
    Item(
        "index",
        "users_email",
        (("on", "users"), ("definition", "CREATE INDEX users_email ON users USING btree (email)")),
    ),
    Item("grant", "SELECT on table users to reader", (("on", "users"),)),
    Item("view", "adults", (("definition", " SELECT id\n   FROM users\n  WHERE age >= 18"),)),
)


def words(*found: Item, wanted: tuple[Item, ...] = USERS) -> list[str]:
    return [str(one) for one in difference(Catalogue.of(wanted), Catalogue.of(found))]


def with_(*items: Item, without: tuple[str, ...] = ()) -> tuple[Item, ...]:
    """Give the objects of USERS, some of them replaced in their place, and some left out."""
    new = {(item.kind, item.name): item for item in items}
    kept = [new.pop((item.kind, item.name), item) for item in USERS if item.name not in without]
    return (*kept, *new.values())


def test_fingerprint_when_made_then_it_is_the_hash_of_the_sorted_texts() -> None:
    items = (Item("view", "b", (("definition", "SELECT 1\nFROM \\x"),)), Item("table", "a", (("unlogged", YES),)))
    text = "table: a\nunlogged: yes\n\nview: b\ndefinition: SELECT 1\\nFROM \\\\x"
    assert fingerprint(Catalogue.of(items)) == sha256(text.encode()).hexdigest()
    assert fingerprint(Catalogue.of(items)) == fingerprint(Catalogue.of(reversed(items)))
    assert Catalogue.parse(text.split("\n\n")) == Catalogue.parse([text]) == Catalogue.of(items)


def test_catalogue_when_made_then_columns_follow_their_table_in_their_own_order() -> None:
    items = (
        column("b.z"),
        Item("type", "a"),
        column("b.y"),
        column("c.x"),
        Item("view", "b"),
        column("b.x"),
        Item("index", "b"),
    )
    names = [f"{item.kind} {item.name}" for item in Catalogue.of(items).items]
    assert names == ["column c.x", "index b", "type a", "view b", "column b.z", "column b.y", "column b.x"]


def test_fingerprint_when_order_is_beyond_the_basic_plane_then_it_is_that_of_bytes() -> None:
    items = Catalogue.of([Item("table", "\U0001f600"), Item("table", "\uffff")])
    assert [item.name for item in items.items] == ["\uffff", "\U0001f600"]


@pytest.mark.parametrize("text", ["", "table", "table: a\n", "table: a\n\nview: b", "table:a"])
def test_parse_when_it_is_no_text_of_an_object_then_it_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no line of a catalogue"):
        Item.parse(text)


def test_groups_when_tenants_differ_then_the_biggest_comes_first() -> None:
    assert groups({"d": "2", "a": "1", "c": "3", "b": "2", "e": "0"}) == (
        Group("2", ("b", "d")),
        Group("1", ("a",)),
        Group("3", ("c",)),
        Group("0", ("e",)),
    )
    assert groups({}) == ()


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("users", ["users"]),
        ("users.age", ["users", "age"]),
        ('"a.b"."c""."', ['"a.b"', '"c""."']),
        ("`a.b`.c", ["`a.b`", "c"]),
        ("audit.f(public.mood, text)", ["audit", "f(public.mood, text)"]),
        ('f("(", integer)', ['f("(", integer)']),
        ("", [""]),
    ],
)
def test_name_parts_when_quoted_then_dots_in_quotes_and_brackets_divide_nothing(name: str, parts: list[str]) -> None:
    assert name_parts(name) == parts


def test_owner_when_an_object_belongs_to_a_table_then_it_is_the_table() -> None:
    owners = {item.name: item.owner for item in USERS}
    assert owners["users"] == owners["adults"] == ""
    assert owners["users.age"] == owners["users.users_pkey"] == owners["users_email"] == "users"
    assert Item("column", '"a.b".c').owner == '"a.b"'
    assert Item("column", '"a.b".c').last_name == "c"
    assert Item("sequence", "s", (("owning column", "users.id"),)).owner == "users"


def test_difference_when_there_is_none_then_nothing_is_said() -> None:
    assert words(*USERS) == []


def test_difference_when_things_are_missing_then_they_are_named() -> None:
    assert words(*with_(without=("users_email", "adults", "users.users_pkey"))) == [
        "missing constraint users.users_pkey",
        "missing index users_email on users",
        "missing view adults",
    ]


def test_difference_when_things_should_not_be_there_then_they_are_named() -> None:
    extra = (Item("table", "logs"), column("logs.at", type="date"), column("users.nick", type="text"))
    assert words(*USERS, *extra) == ["additional table logs", "additional column users.nick"]


def test_difference_when_a_table_is_missing_then_what_belongs_to_it_goes_without_saying() -> None:
    assert words(USERS[-1]) == ["missing table users"]


def test_difference_when_a_table_became_a_view_then_its_columns_are_still_compared() -> None:
    items = [item for item in USERS if item.kind not in {"table", "constraint", "index"}]
    assert words(*items, Item("view", "users")) == [
        "missing table users",
        "missing constraint users.users_pkey",
        "missing index users_email on users",
        "additional view users",
    ]


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (column("users.age", type="integer", default="0"), "column users.age is integer, not bigint"),
        (column("users.age", type="bigint", default="1"), "column users.age has default 1, not 0"),
        (column("users.age", type="bigint"), "column users.age lacks default 0"),
        (column("users.id", type="bigint", not_null=YES, default="7"), "column users.id has default 7"),
        (column("users.email", type="text"), "column users.email allows NULL"),
        (column("users.age", type="bigint", default="0", not_null=YES), "column users.age does not allow NULL"),
        (
            column("users.age", type="integer", not_null=YES),
            "column users.age is integer, not bigint, and lacks default 0, and does not allow NULL",
        ),
        (Item("table", "users", (("unlogged", YES),)), "table users is unlogged"),
        (Item("view", "adults", (("definition", "x\ny"),)), "view adults has another definition"),
        (Item("view", "adults", (("definition", "x"),)), "view adults has another definition"),
        (Item("view", "adults"), "view adults lacks a definition"),
        (Item("table", "users", (("comment", "x" * 81),)), "table users has another comment"),
    ],
)
def test_difference_when_a_fact_differs_then_it_says_what_is_and_what_should_be(item: Item, said: str) -> None:
    assert words(*with_(item)) == [said]


def test_difference_when_the_schema_itself_differs_then_it_is_called_that() -> None:
    said = words(Item("schema", "", (("comment", "mine"),)), wanted=(Item("schema", ""),))
    assert said == ["the schema has comment mine"]


def test_difference_when_a_column_is_missing_then_the_others_have_not_moved() -> None:
    assert words(*with_(without=("users.age",))) == ["missing column users.age"]


def test_difference_when_columns_have_another_order_then_both_orders_are_told() -> None:
    age = next(item for item in USERS if item.name == "users.age")
    found = (*with_(without=("users.age",)), age)
    (one,) = difference(Catalogue.of(USERS), Catalogue.of(found))
    assert one.words == "the columns of users are in the order id, email, age, not id, age, email"
    assert one.facts == (ORDER,)
    assert one.wanted == one.found == one.item == USERS[0]


def test_difference_when_it_is_about_nothing_then_it_is_a_bug() -> None:
    with pytest.raises(ValueError, match="is about something"):
        _ = Difference("nothing", None, None).item
