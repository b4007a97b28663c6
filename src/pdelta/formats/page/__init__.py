"""Snapshot pages and root records as bytes: the public face of this package.

Called by everything that scans, sends, stores or compares snapshots. Never opens a file. The bytes are specified in
``docs/formats/snapshot.md`` and ``docs/formats/chunk-list.md``.
"""

from pdelta.formats.page.build import build_content, build_directory, build_links
from pdelta.formats.page.changed import ChangedPage, ChangedPages
from pdelta.formats.page.check import check_page
from pdelta.formats.page.codec import (
    MAX_PAGE_BYTES,
    MAX_PAGE_ITEMS,
    PageType,
    child_ids,
    decode_entries,
    decode_links,
    decode_refs,
    decode_runs,
    page_level,
    page_type,
    unpack_runs,
)
from pdelta.formats.page.names import check_name
from pdelta.formats.page.root import decode_root, encode_root
from pdelta.formats.page.tree import PagedTree

__all__ = [
    "MAX_PAGE_BYTES",
    "MAX_PAGE_ITEMS",
    "ChangedPage",
    "ChangedPages",
    "PageType",
    "PagedTree",
    "build_content",
    "build_directory",
    "build_links",
    "check_name",
    "check_page",
    "child_ids",
    "decode_entries",
    "decode_links",
    "decode_refs",
    "decode_root",
    "decode_runs",
    "encode_root",
    "page_level",
    "page_type",
    "unpack_runs",
]
