import json
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from pdelta.chunking import fine
from pdelta.chunking.chunker import chunk_bytes, chunks
from pdelta.errors import FormatError, IntegrityError
from pdelta.model.snapshot import Chunking, ChunkRun
from tests.fixtures.content import Bytes

VECTORS = Path(__file__).resolve().parents[2] / "vectors"


def named(path: str) -> list[Any]:
    return [pytest.param(vector, id=vector["name"]) for vector in json.loads((VECTORS / path).read_text())]


def content(vector: dict[str, Any]) -> tuple[bytes, bytes]:
    old = blake3(b"pdelta %d" % vector["seed"]).digest(length=vector["length"]) if vector["length"] else b""
    new = bytearray(old)
    if vector["edit"]:
        offset, length, replacement = vector["edit"]
        new[offset : offset + length] = bytes.fromhex(replacement)
    return old, bytes(new)


@pytest.mark.parametrize("vector", named("chunk-list/cuts.json"))
def test_cut_vector_when_cut_or_predicted_then_gives_its_chunks(vector: dict[str, Any]) -> None:
    parameters = Chunking(average=vector["average"], minimum=vector["minimum"], maximum=vector["maximum"])
    old, new = content(vector)
    expected = [(bytes.fromhex(id_), length) for id_, length in vector["chunks"]]
    assert chunk_bytes(new, parameters) == expected
    whole = blake3(b"pdelta %d" % vector["seed"]).digest(length=6000)
    for earlier in (old, new, whole):
        previous = [ChunkRun(id_, length, 1) for id_, length in chunk_bytes(earlier, parameters)]
        found = chunks(Bytes(new), parameters, previous)
        assert [chunk for batch in found for chunk in batch] == expected


@pytest.mark.parametrize("vector", named("fine-patch/patches.json"))
def test_fine_vector_when_read_then_is_as_specified(vector: dict[str, Any]) -> None:
    old, patch = bytes.fromhex(vector["old"]), bytes.fromhex(vector["patch"])
    if vector["valid"]:
        new = bytes.fromhex(vector["new"])
        assert fine.signature(old).hex() == vector["signature"]
        assert fine.make_patch(new, fine.signature(old)) == patch
        assert fine.apply_patch(old, patch, limit=len(new)) == new
    else:
        with pytest.raises(IntegrityError if vector["error"] == "integrity" else FormatError):
            fine.apply_patch(old, patch, limit=vector["limit"])


@pytest.mark.parametrize("signature", [b"", b"\x02\x80\x04", b"\x01\x81\x04", b"\x01\x80\x04half", b"\x01"])
def test_signature_when_malformed_then_is_refused(signature: bytes) -> None:
    with pytest.raises(FormatError):
        fine.make_patch(b"new", signature)


def test_fine_patch_when_little_changed_then_is_small() -> None:
    old = blake3(b"old").digest(length=200_000)
    new = old[:100_000] + b"inserted" + old[100_000:]
    patch = fine.make_patch(new, fine.signature(old))
    assert len(patch) < 3000
    assert fine.apply_patch(old, patch, limit=len(new)) == new
