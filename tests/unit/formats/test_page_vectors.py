import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pdelta.errors import FormatError, IntegrityError
from pdelta.formats.page import (
    PagedTree,
    PageType,
    build_content,
    build_directory,
    build_links,
    check_page,
    decode_root,
    encode_root,
    page_type,
)
from pdelta.model.snapshot import Entry

ROOT = Path(__file__).resolve().parents[3]
VECTORS = ROOT / "tests/vectors"


def load(path: str) -> Any:
    return json.loads((VECTORS / path).read_text())


def named(path: str) -> list[Any]:
    return [pytest.param(vector, id=vector["name"]) for vector in load(path)]


class Reader:
    def __init__(self, pages: Mapping[bytes, bytes]) -> None:
        self.pages = pages

    def read_pages(self, ids: Iterable[bytes]) -> Mapping[bytes, bytes]:
        return {id_: self.pages[id_] for id_ in ids}


@pytest.mark.parametrize("vector", [*named("snapshot/pages.json"), *named("chunk-list/lists.json")])
def test_page_vector_when_read_then_is_as_specified(vector: dict[str, Any]) -> None:
    pages = {bytes.fromhex(page["id"]): bytes.fromhex(page["hex"]) for page in vector["pages"]}
    for id_, data in pages.items():
        if vector["valid"]:
            check_page(id_, data)
        else:
            with pytest.raises(IntegrityError if vector.get("error") == "integrity" else FormatError):
                check_page(id_, data)
    if not vector["valid"]:
        return
    tree = PagedTree(Reader(pages))
    if "chunks" in vector:
        chunks = [(bytes.fromhex(id_), length) for id_, length in vector["chunks"]]
        content, built = build_content(chunks)
        assert content.hex() == vector["content"]
        assert [(run.id, run.length) for run in tree.runs(content) for _ in range(run.count)] == chunks
    else:
        root = bytes.fromhex(vector["root"])
        if page_type(pages[root]) is PageType.LINKS:
            groups: dict[bytes, list[bytes]] = {}
            for link in tree.links(root):
                groups.setdefault(link.leader, []).append(link.path)
            id_, built = build_links(list(groups.values()))
        else:
            id_, built = build_directory(list(tree.directory(root)))
        assert id_ == root
    assert dict(built) == pages


def test_cut_vector_when_built_then_pages_end_where_it_says() -> None:
    vector = load("snapshot/cuts.json")
    id_, pages = build_directory([Entry(b"%04d" % number, 1, 0o644, 0, 0, b"") for number in range(vector["count"])])
    assert id_.hex() == vector["root"]
    assert [page.hex() for page, _ in pages] == vector["page_ids"]
    tree = PagedTree(Reader(dict(pages)))
    assert [tree.entries(leaf)[-1].name.decode() for leaf in tree.leaves(id_)] == vector["leaves"]


@pytest.mark.parametrize("vector", named("snapshot/roots.json"))
def test_root_vector_when_read_then_is_as_specified(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["hex"])
    if vector["valid"]:
        id_, again = encode_root(decode_root(data))
        assert (id_.hex(), again) == (vector["id"], data)
    else:
        with pytest.raises(FormatError, match=vector["named"]):
            decode_root(data)


@pytest.mark.parametrize("name", ["snapshot", "chunk-list", "fine-patch"])
def test_document_when_it_shows_bytes_then_they_are_in_a_vector(name: str) -> None:
    text = (ROOT / f"docs/formats/{name}.md").read_text()
    examples = [re.sub(r"#[^\n]*|\s", "", block) for block in re.findall(r"```hex\n(.*?)```", text, re.DOTALL)]
    held = "\n".join(path.read_text() for path in (VECTORS / name).glob("*.json"))
    assert examples
    for example in examples:
        assert f'"{example}"' in held
