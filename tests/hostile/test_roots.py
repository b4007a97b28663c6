"""A controller whose key is restricted to one folder, against that folder's own name on the host.

It may make links below the folder by a push, so an address that was inside when the session began may lead outside
when it is opened. The attack is made once more with its protection off, and then it succeeds.
"""

import os
from pathlib import Path

import pytest

from pdelta.app.serve import open_tree
from pdelta.errors import PdeltaError, UsageError
from pdelta.filesystem.safe import Directory
from pdelta.formats.history import PushWish, encode_wish
from pdelta.operations.tree import operation
from pdelta.transports.link import Link
from pdelta.wire import messages
from pdelta.wire.session import Role
from tests.fixtures.fake_tree import TARGET, KeptNotes, connect, start_agent
from tests.fixtures.tree_runs import scanned


def swap_name(served: Path, outside: Path) -> Path:
    """Put a link where nothing was."""
    (served / "new").symlink_to(outside)
    return outside


def swap_parent(served: Path, outside: Path) -> Path:
    """Put a link where a folder was on the way."""
    (served / "folder").rmdir()
    (served / "folder").symlink_to(outside)
    return outside / "new"


SWAPS = {"new": swap_name, "folder/new": swap_parent}


def attack(folder: Path, name: str, *, release: bool) -> Path:
    """Greet an agent, swap a name, and push; give where that would lead."""
    served, outside, source = folder / "served", folder / "outside", folder / "source"
    for path in (served / "folder", outside, source):
        path.mkdir(parents=True)
    (source / "file").write_text("not yours")
    channel, thread, _ = start_agent([os.fsencode(served)], open_tree)
    with scanned(source) as (found, given):
        tree = connect(channel, given, root=os.fsencode(served / name), fake=False)
        place = SWAPS[name](served, outside)
        try:
            delta = tree.calculate(TARGET, encode_wish(PushWish(wanted=found.snapshot, release=release)))
            tree.execute(delta, TARGET, KeptNotes())
        finally:
            tree.close()
            thread.join(10)
    return place


@pytest.mark.parametrize("release", [False, True])
@pytest.mark.parametrize("name", SWAPS)
def test_address_when_a_link_comes_after_the_greeting_then_nothing_outside_is_touched(
    tmp_path: Path, name: str, *, release: bool
) -> None:
    # A link at the very name is what release mode looks at.
    what = "neither a folder nor a link" if release and name == "new" else "link that was not there before"
    with pytest.raises(PdeltaError, match=what):
        attack(tmp_path, name, release=release)
    assert list((tmp_path / "outside").iterdir()) == []


@pytest.mark.parametrize("name", SWAPS)
def test_address_when_links_are_followed_then_the_attack_succeeds(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Directory, "open_resolved", Directory.open_root)
    monkeypatch.setattr(operation, "make_resolved", os.mkdir)
    assert (attack(tmp_path, name, release=False) / "file").read_text() == "not yours"


def test_address_when_it_holds_a_zero_byte_then_refused(tmp_path: Path) -> None:
    channel, thread, failures = start_agent([os.fsencode(tmp_path)], open_tree)
    link = Link(channel, Role.CONTROLLER)
    link.send(messages.Hello(messages.PROTOCOL_VERSION, "test", root=os.fsencode(tmp_path) + b"/a\0b"))
    answer = link.receive(10)
    assert isinstance(answer, messages.Failure)
    assert answer.code == UsageError.code
    channel.close()
    thread.join(10)
    assert [error for error in failures if not isinstance(error, PdeltaError)] == []


def test_address_when_it_is_a_fifo_then_the_agent_does_not_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    channel, thread, _ = start_agent([os.fsencode(tmp_path)], open_tree)
    tree = connect(channel, None, root=os.fsencode(tmp_path / "fifo"), fake=False)
    with pytest.raises(UsageError, match="is no folder"):
        tree.history()
    tree.close()
    thread.join(10)
    assert not thread.is_alive()
