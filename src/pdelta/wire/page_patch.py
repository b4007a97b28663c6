"""A page as the difference from the one that the other side has: a zstd frame whose prefix is the old page.

Called by ``app.peer``, which asks and applies, and by ``operations.remote``,
which answers. Most of an entry is its chunk ids, which no compressor makes
smaller; against the old page they cost nothing. Measured on 20,000 touched
files: 0.95 MB of whole pages, 0.2 MB of patches.
"""

import sys
from typing import Final

from pdelta.errors import FormatError
from pdelta.model.amount import counted

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdDecompressor, ZstdDict, ZstdError, compress, get_frame_info
else:
    from backports.zstd import ZstdDecompressor, ZstdDict, ZstdError, compress, get_frame_info

LIMIT_BYTES: Final = 256 << 10
"""No page is larger."""

_LEVEL: Final = 3
_LEAST_BYTES: Final = 8
"""A raw dictionary has at least so many bytes."""


def make_page_patch(base: bytes, page: bytes) -> bytes:
    """Give what makes the page from its base; nothing where the base is too short to help (an empty folder)."""
    if len(base) < _LEAST_BYTES:
        return b""
    return compress(page, _LEVEL, zstd_dict=ZstdDict(base, is_raw=True).as_prefix)


def apply_page_patch(base: bytes, patch: bytes) -> bytes:
    """Give the page; whether it is the right one its hash decides.

    Raises:
        FormatError: The patch is damaged, would be larger than a page, or is against a page that is too short for one.
    """
    if len(base) < _LEAST_BYTES:
        raise FormatError(f"a page patch against a page of {counted(len(base), 'byte')} was refused")
    try:
        size = get_frame_info(patch).decompressed_size
        if not size or size > LIMIT_BYTES:
            raise FormatError(f"a page patch that says it makes {counted(size or 0, 'byte')} was refused")
        decoder = ZstdDecompressor(zstd_dict=ZstdDict(base, is_raw=True).as_prefix)
        # What a frame says of itself binds neither it nor a second one behind it.
        page = decoder.decompress(patch, max_length=size + 1)
    except ZstdError as error:
        raise FormatError(f"a page patch is damaged: {error}") from error
    if not decoder.eof or decoder.unused_data:
        raise FormatError(
            f"a page patch that does not end after the {counted(size, 'byte')} it says it makes was refused"
        )
    return page
