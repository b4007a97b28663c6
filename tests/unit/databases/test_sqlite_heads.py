"""The cache of heads: believed only where the facts are the same, and never needed."""

import os
from pathlib import Path

import pytest

from pdelta.databases.sqlite.files import Facts
from pdelta.databases.sqlite.heads import Heads
from pdelta.sql.ledger import EMPTY_HEAD, Head

FACTS = Facts(inode=12, size=4096, mtime_ns=1 << 61, ctime_ns=5, counter=7)
HEAD = Head(2, "ab" * 32)


def saved(path: Path, name: str = "a.sqlite") -> None:
    heads = Heads(str(path))
    heads.learn(name, FACTS, HEAD, managed=True)
    heads.save()


def test_known_when_saved_and_read_again_then_the_same(tmp_path: Path) -> None:
    saved(tmp_path / "new" / "heads")
    heads = Heads(str(tmp_path / "new" / "heads"))
    assert heads.known("a.sqlite", FACTS) == (True, HEAD)
    assert heads.known("b.sqlite", FACTS) is None
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["heads"]


@pytest.mark.parametrize("field", Facts._fields)
def test_known_when_one_fact_differs_then_not(tmp_path: Path, field: str) -> None:
    saved(tmp_path / "heads")
    assert Heads(str(tmp_path / "heads")).known("a.sqlite", FACTS._replace(**{field: 99})) is None


def test_known_when_any_byte_of_the_cache_is_damaged_then_nothing_is_believed(tmp_path: Path) -> None:
    path = tmp_path / "heads"
    saved(path)
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert Heads(str(path)).known("a.sqlite", FACTS) is None, place
        path.write_bytes(whole[:place])
        assert Heads(str(path)).known("a.sqlite", FACTS) is None, place


def test_save_when_it_cannot_be_written_then_only_time_is_lost(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    saved(tmp_path / "file" / "heads")
    assert (tmp_path / "file").read_bytes() == b""


def test_save_when_there_is_no_place_or_nothing_new_then_nothing_is_written(tmp_path: Path) -> None:
    nowhere = Heads("")
    nowhere.learn("a", FACTS, EMPTY_HEAD, managed=False)
    nowhere.save()
    assert nowhere.known("a", FACTS) == (False, EMPTY_HEAD)
    path = tmp_path / "heads"
    saved(path)
    before = os.stat(path)
    heads = Heads(str(path))
    heads.known("a.sqlite", FACTS)
    heads.save()
    assert os.stat(path).st_mtime_ns == before.st_mtime_ns
