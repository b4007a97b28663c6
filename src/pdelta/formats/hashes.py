"""The origin's ``previous_hashes.json``: a map from relative path to SHA-256.

An imported hash is a hint: whether the destination really holds those bytes is checked there.
"""

import re
from collections.abc import Mapping
from typing import Final

from pdelta.errors import FormatError
from pdelta.formats.sync_manifest import json_text, load_object, path_of_text, text_of_path

_HASH: Final = re.compile(r"[0-9a-fA-F]{64}")


def parse_hashes(data: bytes) -> dict[bytes, str]:
    """Give the hash of each raw path, in lower-case hexadecimal, in the order of the file.

    Raises:
        FormatError: Not a JSON object of paths and SHA-256 hashes; the message names the path.
    """
    try:
        text = data.removeprefix(b"\xef\xbb\xbf").decode()
    except UnicodeDecodeError as error:
        message = f"the hashes are not UTF-8: byte {error.start} can't be decoded"
        raise FormatError(message) from error
    hashes: dict[bytes, str] = {}
    for name, digest in load_object(text, "the file of hashes").items():
        if not isinstance(digest, str) or not _HASH.fullmatch(digest):
            message = f"the hash of {name!r} is not 64 hexadecimal digits"
            raise FormatError(message)
        hashes[path_of_text(name, "the file of hashes")] = digest.lower()
    return hashes


def render_hashes(hashes: Mapping[bytes, str]) -> bytes:
    """Give the JSON bytes of a map from raw path to hash: sorted by path, indented by four spaces."""
    if not hashes:
        return b"{}\n"
    lines = [f"    {json_text(text_of_path(path))}: {json_text(hashes[path])}" for path in sorted(hashes)]
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()
