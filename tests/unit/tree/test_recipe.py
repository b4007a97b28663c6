"""Where each range of the next file comes from."""

from collections.abc import Iterable, Mapping, Sequence

from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from pdelta.formats.page import PagedTree, build_content, build_directory
from pdelta.model.snapshot import Entry, Kind
from pdelta.tree.reader import join
from pdelta.tree.recipe import Needs, Origin, Place, candidates_below, chunk_ids, gather, recipe

ZERO = (blake3(b"zeros").digest(), 64)


class Pages(dict[bytes, bytes]):
    def read_pages(self, ids: Iterable[bytes]) -> Mapping[bytes, bytes]:
        return {id_: self[id_] for id_ in ids}


PAGES = Pages()
TREE = PagedTree(PAGES)


def chunk(label: str) -> tuple[bytes, int]:
    return ZERO if label == "0" else (blake3(label.encode()).digest(), 10 + ord(label) % 7)


def file(labels: Sequence[str], name: bytes = b"f") -> Entry:
    chunks = [chunk(label) for label in labels]
    content, pages = build_content(chunks)
    PAGES.update(pages)
    return Entry(name, Kind.FILE, 0o644, 5, sum(length for _, length in chunks), content)


def origin(labels: Sequence[str], path: bytes = b"old", place: Place = Place.TREE) -> Origin:
    return Origin(place, path, file(labels))


def cook(after: Sequence[str], base: Origin | None = None, others: Sequence[Origin] = ()) -> list[tuple[str, int, int]]:
    entry = file(after)
    needs = Needs({entry.content}, set(chunk_ids(entry.content, TREE)))
    parts = recipe(entry, base, gather(needs, others, TREE), TREE, ZERO)
    assert sum(part.length for part in parts) == entry.size
    assert [part.offset for part in parts] == [sum(p.length for p in parts[:n]) for n in range(len(parts))]
    return [(part.place.name, part.origin_offset, part.length) for part in parts]


def size(labels: str) -> int:
    return sum(chunk(label)[1] for label in labels)


def test_recipe_when_nothing_is_here_then_all_is_fetched_at_once() -> None:
    assert cook("abc") == [("FETCH", -1, size("abc"))]


def test_recipe_when_the_old_file_is_equal_then_one_part() -> None:
    assert cook("abc", origin("abc")) == [("TREE", 0, size("abc"))]


def test_recipe_when_the_middle_changed_then_only_that_is_fetched_and_its_place_is_known() -> None:
    assert cook("abXde", origin("abcde")) == [
        ("TREE", 0, size("ab")),
        ("FETCH", size("ab"), size("X")),
        ("TREE", size("abc"), size("de")),
    ]


def test_recipe_when_another_file_has_the_content_then_it_is_copied_whole() -> None:
    assert cook("abc", origin("xyz"), [origin("abc", b"other")]) == [("TREE", 0, size("abc"))]


def test_recipe_when_undo_data_has_a_chunk_then_it_is_taken_from_there() -> None:
    assert cook("ab", None, [origin("xb", b"slot", Place.KEPT)]) == [
        ("FETCH", -1, size("a")),
        ("KEPT", size("x"), size("b")),
    ]


def test_recipe_when_zeros_then_they_come_from_nowhere() -> None:
    assert cook("a000b", origin("ab")) == [
        ("TREE", 0, size("a")),
        ("ZERO", 0, 3 * 64),
        ("TREE", size("a"), size("b")),
    ]


def test_recipe_when_the_file_is_empty_then_no_part() -> None:
    assert cook("") == []


def test_gather_when_nothing_is_needed_then_no_candidate_is_looked_at() -> None:
    candidates = iter([origin("a")])
    assert gather(Needs(), candidates, TREE).contents == {}
    assert next(candidates, None) is not None


def directory(names: Mapping[bytes, Entry]) -> bytes:
    id_, pages = build_directory([names[name] for name in sorted(names)])
    PAGES.update(pages)
    return id_


def test_gather_when_all_contents_are_found_then_it_stops() -> None:
    candidates = iter([origin("ab"), origin("c")])
    found = gather(Needs({file("ab").content}), candidates, TREE)
    assert list(found.contents) == [file("ab").content]
    assert next(candidates, None) is not None


@given(
    st.lists(st.tuples(st.sampled_from([b"", b"one", b"two", b"two/deep"]), st.text(alphabet="abc0", max_size=4))),
    st.lists(st.text(alphabet="abcd0", max_size=4), max_size=3),
    st.text(alphabet="abcd", max_size=2),
)
def test_candidates_when_files_that_cannot_help_are_passed_over_then_the_same_is_found(
    files: list[tuple[bytes, str]], wanted: list[str], labels: str
) -> None:
    folders: dict[bytes, dict[bytes, Entry]] = {b"": {}, b"one": {}, b"two": {}, b"two/deep": {}}
    everything: dict[bytes, Entry] = {}
    for number, (folder, content) in enumerate(files):
        name = b"f%d" % number
        folders[folder][name] = everything[join(folder, name)] = file(content, name)
    for folder in (b"two/deep", b"two", b"one"):
        parent, _, name = folder.rpartition(b"/")
        entry = Entry(name, Kind.DIRECTORY, 0o755, 5, 0, directory(folders[folder]))
        folders[parent][name] = entry
    needs = Needs({file(text).content for text in wanted if text}, {chunk(label)[0] for label in labels})
    found = gather(needs, candidates_below(TREE, Place.TREE, b"", directory(folders[b""]), needs), TREE)
    plain = gather(needs, [Origin(Place.TREE, *pair) for pair in everything.items() if pair[1].size], TREE)
    assert found.contents.keys() == plain.contents.keys()
    if len(found.contents) < len(needs.contents):
        assert found.chunks.keys() == plain.chunks.keys()
    for origin_ in [*found.contents.values(), *(one for one, _ in found.chunks.values())]:
        assert everything[origin_.path] is not None
        assert everything[origin_.path].content == origin_.entry.content


LABELS = st.text(alphabet="abcdef0", max_size=40)


@given(after=LABELS, old=LABELS, other=LABELS)
def test_recipe_when_carried_out_then_it_gives_the_wanted_chunks(after: str, old: str, other: str) -> None:
    """Each part names exactly the chunks that the wanted file has there."""

    def laid_out(labels: str) -> list[str]:
        return [label + str(position) for label in labels for position in range(chunk(label)[1])]

    base, elsewhere = origin(old, b"old"), origin(other, b"other")
    entry = file(after)
    needs = Needs({entry.content} if entry.size else set(), set(chunk_ids(entry.content, TREE)))
    wanted = laid_out(after)
    sources = {b"old": laid_out(old), b"other": laid_out(other)}
    made: list[str] = []
    for part in recipe(entry, base, gather(needs, [elsewhere], TREE), TREE, ZERO):
        if part.origin is not None:
            made += sources[part.origin.path][part.origin_offset : part.origin_offset + part.length]
        else:
            made += wanted[part.offset : part.offset + part.length]
            labels = {text[0] for text in made[-part.length :]}
            assert (part.place == Place.ZERO) == (labels == {"0"})
    assert made == wanted
