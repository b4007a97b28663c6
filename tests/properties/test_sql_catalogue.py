"""Laws of catalogues: text and objects are one, and there is something to say exactly where fingerprints differ."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from pdelta.sql.catalogue import YES, Catalogue, Item, fingerprint, groups
from pdelta.sql.difference import difference

TEXTS = st.text(st.sampled_from(list("ab \\n\n:\"'.é\U0001f600")), max_size=6)
KEYS = st.sampled_from(["type", "default", "not null", "definition", "comment"])
FACTS = st.dictionaries(KEYS, TEXTS | st.just(YES), max_size=3).map(lambda facts: tuple(sorted(facts.items())))
NAMES = st.sampled_from(["a", "b", '"c.d"'])


@st.composite
def tables(draw: st.DrawFn) -> list[Item]:
    name = draw(NAMES)
    columns = draw(st.lists(NAMES, unique=True, max_size=3))
    made = [Item("table", name, draw(FACTS))]
    made.extend(Item("column", f"{name}.{column}", draw(FACTS)) for column in columns)
    if draw(st.booleans()):
        made.append(Item("index", f"{name}_ix", (("on", name), *draw(FACTS))))
    return made


@st.composite
def catalogues(draw: st.DrawFn) -> Catalogue:
    held: dict[str, list[Item]] = {}
    for made in draw(st.lists(tables(), max_size=3)):
        held[made[0].name] = made
    views = [Item("view", f"v{name}", draw(FACTS)) for name in draw(st.sets(NAMES, max_size=2))]
    return Catalogue.of([*views, *(item for made in held.values() for item in made)])


@given(st.builds(Item, KEYS, TEXTS, FACTS))
def test_item_when_written_and_read_then_it_is_the_same(item: Item) -> None:
    assert Item.parse(item.text()) == item
    assert "\n\n" not in item.text()


@given(catalogues(), st.randoms(use_true_random=False))
def test_catalogue_when_written_and_read_then_it_is_the_same(catalogue: Catalogue, random: Random) -> None:
    whole = "\n\n".join(item.text() for item in catalogue.items)
    assert Catalogue.parse([whole] if whole else []) == catalogue
    others = [item for item in catalogue.items if item.kind != "column"]
    random.shuffle(others)
    assert Catalogue.of([*(item for item in catalogue.items if item.kind == "column"), *others]) == catalogue


@given(catalogues(), catalogues())
def test_difference_when_empty_then_fingerprints_are_equal_and_only_then(one: Catalogue, other: Catalogue) -> None:
    assert (difference(one, other) == ()) == (fingerprint(one) == fingerprint(other))
    assert difference(one, one) == ()


@given(catalogues(), catalogues())
def test_difference_when_turned_round_then_it_says_as_many_things(one: Catalogue, other: Catalogue) -> None:
    there, back = difference(one, other), difference(other, one)
    assert sorted((str(a.wanted), str(a.found)) for a in there) == sorted((str(a.found), str(a.wanted)) for a in back)


@given(st.dictionaries(st.text(max_size=3), st.sampled_from("abc")))
def test_groups_when_made_then_each_tenant_is_in_one(fingerprints: dict[str, str]) -> None:
    made = groups(fingerprints)
    assert {tenant: group.fingerprint for group in made for tenant in group.tenants} == fingerprints
    assert [len(group.tenants) for group in made] == sorted((len(group.tenants) for group in made), reverse=True)
    assert len({group.fingerprint for group in made}) == len(made)
