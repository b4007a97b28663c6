"""The origin's manifest: read strictly, rewritten byte for byte but for its deltas."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdelta.errors import FormatError
from pdelta.formats.sync_manifest import (
    ManifestDelta,
    parse_manifest,
    path_of_text,
    render_manifest,
    text_of_path,
)

GOLDEN = Path(__file__).parents[2] / "vectors" / "sync-manifest"
HASH = "ab" * 32
ORIGIN = """{
  "base_dir": "/local/app",
  "remote_host": "deploy@192.168.1.100",
  "remote_dir": "/opt/app",
  "ignore": [".tmp", "cache/"],
  "deltas": []
}
"""


def test_manifest_when_it_has_the_origins_shape_then_every_field_is_read() -> None:
    manifest = parse_manifest(ORIGIN.encode())
    assert (manifest.base_dir, manifest.remote_host, manifest.remote_dir) == (
        "/local/app",
        "deploy@192.168.1.100",
        "/opt/app",
    )
    assert manifest.ignore == (".tmp", "cache/")
    assert manifest.deltas == ()


@pytest.mark.parametrize("case", sorted(path.stem for path in GOLDEN.glob("*.before.json")))
def test_golden_when_deltas_are_written_then_nothing_else_changes(case: str) -> None:
    name = case.removesuffix(".before")
    manifest = parse_manifest((GOLDEN / f"{name}.before.json").read_bytes())
    deltas = [ManifestDelta(b"conf/app.ini", "update", HASH), ManifestDelta(b"caf\xe9", "delete")]
    assert render_manifest(manifest, deltas).decode() == (GOLDEN / f"{name}.after.json").read_text()


@pytest.mark.parametrize("case", sorted(path.stem for path in GOLDEN.glob("*.json")))
def test_golden_when_rendered_with_its_own_deltas_then_it_is_unchanged_or_reads_the_same(case: str) -> None:
    manifest = parse_manifest((GOLDEN / f"{case}.json").read_bytes())
    again = parse_manifest(render_manifest(manifest, manifest.deltas))
    assert again.deltas == manifest.deltas
    assert (
        json.loads(again.text).items() >= {k: v for k, v in json.loads(manifest.text).items() if k != "deltas"}.items()
    )


def test_unknown_fields_of_an_entry_when_it_stays_then_they_stay() -> None:
    text = ORIGIN.replace("[]", '[{"file": "a", "action": "update", "hash": "' + HASH + '", "why": "fix"}]')
    fresh = render_manifest(parse_manifest(text.encode()), [ManifestDelta(b"a", "update", "cd" * 32)])
    assert json.loads(fresh)["deltas"] == [{"file": "a", "action": "update", "hash": "cd" * 32, "why": "fix"}]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[" * 100_000,
        ORIGIN.replace('"deltas"', '"base_dir"'),
        ORIGIN.replace("[]", "{}"),
        ORIGIN.replace("[]", "[1]"),
        ORIGIN.replace("[]", '[{"action": "update"}]'),
        ORIGIN.replace("[]", '[{"file": "a", "action": "explode"}]'),
        ORIGIN.replace("[]", '[{"file": "../a", "action": "delete"}]'),
        ORIGIN.replace("[]", '[{"file": "/a", "action": "delete"}]'),
        ORIGIN.replace("[]", '[{"file": "a", "action": "update", "hash": "ABC"}]'),
        ORIGIN.replace("[]", "NaN"),
        ORIGIN.replace('"/opt/app"', "7"),
        ORIGIN.replace('"/opt/app"', '""'),
        ORIGIN.replace('[".tmp", "cache/"]', '"cache/"'),
    ],
)
def test_manifest_when_malformed_then_it_is_refused(text: str) -> None:
    with pytest.raises(FormatError):
        parse_manifest(text.encode())


@given(st.lists(st.binary(min_size=1, max_size=20).filter(lambda name: not {0, 47} & set(name)), min_size=1))
def test_path_when_written_and_read_then_it_is_the_same(parts: list[bytes]) -> None:
    path = b"/".join(part for part in parts if part not in (b".", b"..")) or b"a"
    text = text_of_path(path)
    assert path_of_text(json.loads(json.dumps(text)), "test") == path


@given(
    st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=5) | st.lists(st.booleans()), max_size=5),
    st.sampled_from([None, 1, 2, 4, "\t"]),
    st.booleans(),
)
def test_rewriting_when_the_document_is_any_json_then_all_else_keeps_its_bytes(
    extra: dict[str, object], indent: int | str | None, has_deltas: bool
) -> None:
    document = {**extra, "base_dir": "a", "remote_dir": "b", "ignore": []}
    for name in ("remote_host", "deltas"):
        document.pop(name, None)
    document.update({"deltas": []} if has_deltas else {})
    text = json.dumps(document, indent=indent, ensure_ascii=False)
    written = render_manifest(parse_manifest(text.encode("utf-8", "surrogatepass")), [ManifestDelta(b"x", "delete")])
    told = json.loads(written)
    assert told.pop("deltas") == [{"file": "x", "action": "delete"}]
    document.pop("deltas", None)
    assert told == document
    assert list(told) == list(document)
