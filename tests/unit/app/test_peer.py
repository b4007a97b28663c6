"""What the agent takes from the controller, and how much of it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import pytest
from blake3 import blake3

from pdelta.app.peer import PeerSource
from pdelta.errors import FormatError
from pdelta.operations.tree.calculate import EMPTY_DIRECTORY, Overlay
from pdelta.wire import messages
from pdelta.wire.page_patch import LIMIT_BYTES, make_page_patch

if TYPE_CHECKING:
    from pdelta.transports.link import Link

BASE = b"a page that is held"
BASE_ID = blake3(BASE).digest()


class Answering:
    """A link over which one answer comes."""

    def __init__(self, answer: messages.Pages) -> None:
        self._answer = answer

    def send(self, message: messages.Message) -> None:
        """Hear what is wanted."""

    def receive(self) -> messages.Message:
        """Give the answer."""
        return self._answer


def asked(patches: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
    """Give the pages that come for these patches."""
    held = Overlay(None)
    held.write_pages([(BASE_ID, BASE)])
    peer = PeerSource(cast("Link", Answering(messages.Pages((), patches=tuple(patches)))))
    (found,) = peer.read_changed_pages({bytes(32): BASE_ID}, held)
    return list(found.values())


def test_changed_pages_when_they_are_patches_then_they_are_unpacked() -> None:
    assert asked([(BASE_ID, make_page_patch(BASE, b"a page"))]) == [b"a page"]


def test_changed_pages_when_many_patches_unpack_to_too_much_then_refused() -> None:
    """Half a megabyte of patches would be 70 MB of pages."""
    count = messages.MAX_MESSAGE_BYTES // LIMIT_BYTES + 1
    patches = [(BASE_ID, make_page_patch(BASE, b"%0*d" % (LIMIT_BYTES, number))) for number in range(count)]
    assert sum(len(patch) for _, patch in patches) < 1 << 20
    with pytest.raises(FormatError, match="more than a message"):
        asked(patches)


def test_changed_pages_when_a_patch_is_against_an_empty_folder_then_refused() -> None:
    with pytest.raises(FormatError, match="against a page of"):
        asked([(EMPTY_DIRECTORY, make_page_patch(BASE, b"a page"))])


def test_changed_pages_when_a_patch_is_against_what_is_not_here_then_refused() -> None:
    with pytest.raises(FormatError, match="not here"):
        asked([(bytes(32), make_page_patch(BASE, b"a page"))])
