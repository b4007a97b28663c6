"""The origin's sync manifest: ``manifest.json`` with base_dir, remote_host, remote_dir, ignore and deltas.

Only the value of ``deltas`` is ever replaced: every other byte of the document, unknown
fields, their order and the indentation included, stays as its author wrote it. Never
touches a file; ``app.manifest`` reads and writes it.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from pdelta.errors import FormatError

UPDATE: Final = "update"
DELETE: Final = "delete"
LIMIT_BYTES: Final = 256 << 20
"""A manifest of a million entries is about 130 MB; anything beyond is refused unread."""

_HASH: Final = re.compile(r"[0-9a-f]{64}")
_SPACE: Final = re.compile(r"[ \t\n\r]*")
_INDENT: Final = re.compile(r"\{\r?\n([ \t]+)\"")


class ManifestDelta(msgspec.Struct, frozen=True):
    """One changed file.

    Attributes:
        file: Raw path relative to ``base_dir``.
        action: ``update`` or ``delete``.
        hash: SHA-256 of the whole file in lower-case hexadecimal; empty for a deletion.
        extra: Fields that pdelta doesn't know, kept for a rewrite.
    """

    file: bytes
    action: str
    hash: str = ""
    extra: Mapping[str, Any] = {}


class SyncManifest(msgspec.Struct, frozen=True):
    """What the manifest says.

    Attributes:
        base_dir: The local tree.
        remote_host: ``[user@]host``; empty when ``remote_dir`` is on this machine.
        remote_dir: The destination tree.
        ignore: Patterns in the origin's meaning, in order.
        deltas: What a former calculation filled in.
        text: The document as it was read.
    """

    base_dir: str
    remote_host: str
    remote_dir: str
    ignore: tuple[str, ...]
    deltas: tuple[ManifestDelta, ...]
    text: str


def parse_manifest(data: bytes) -> SyncManifest:
    """Give the manifest that these bytes say.

    Raises:
        FormatError: Not JSON, a key twice, a required field missing, or a value of the wrong type;
            the message names the field.
    """
    text = _decode(data)
    document = load_object(text, "the manifest")
    manifest = SyncManifest(
        base_dir=_text_field(document, "base_dir"),
        remote_host=_text_field(document, "remote_host", default=""),
        remote_dir=_text_field(document, "remote_dir"),
        ignore=tuple(_ignore(document.get("ignore", []))),
        deltas=tuple(_deltas(document.get("deltas", []))),
        text=text,
    )
    for name, value in (("base_dir", manifest.base_dir), ("remote_dir", manifest.remote_dir)):
        if not value or "\0" in value:
            message = f"the manifest's {name!r} is empty or holds a NUL character"
            raise FormatError(message)
    return manifest


def render_manifest(manifest: SyncManifest, deltas: Sequence[ManifestDelta]) -> bytes:
    """Give the manifest's bytes with these deltas in place of its own; all else is unchanged.

    An entry whose file and action stood there already keeps its unknown fields.

    Args:
        manifest: As it was parsed.
        deltas: In the order in which they will be written.
    """
    former = {(delta.file, delta.action): delta.extra for delta in manifest.deltas if delta.extra}
    indent = _indentation(manifest.text)
    value = _render_deltas(deltas, former, indent)
    spans, end = _member_spans(manifest.text)
    text = manifest.text
    if "deltas" in spans:
        start, stop = spans["deltas"]
        return (text[:start] + value + text[stop:]).encode()
    body = text[:end].rstrip()
    newline = "\n" + indent if indent else " "
    comma = "," if spans else ""
    tail = "\n" if indent else ""
    return (body + f"{comma}{newline}" + f'"deltas": {value}{tail}' + text[end:]).encode()


def load_object(text: str, what: str) -> dict[str, Any]:
    """Parse a JSON object strictly: a key given twice is refused, and so are NaN and Infinity.

    Args:
        text: The document.
        what: How messages call it.

    Raises:
        FormatError: It is not such an object.
    """
    try:
        value = json.loads(text, object_pairs_hook=_unique_object, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        message = f"{what} is not valid JSON: {error}"
        raise FormatError(message, hint="correct the file; nothing was changed") from error
    if not isinstance(value, dict):
        message = f"{what} is no JSON object"
        raise FormatError(message)
    return value


def path_of_text(text: str, what: str) -> bytes:
    """Give the raw path that a JSON string stands for.

    A byte that is not UTF-8 is written as the lone surrogate U+DC80…U+DCFF (PEP 383).

    Raises:
        FormatError: Absolute, empty, with ``.`` or ``..`` components, NUL, or other lone surrogates.
    """
    try:
        path = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        message = f"{what}: {text!r} holds a surrogate that stands for no byte"
        raise FormatError(message) from error
    path = path.removeprefix(b"./")
    parts = path.split(b"/")
    if b"\0" in path or any(part in (b"", b".", b"..") for part in parts):
        message = f"{what}: {text!r} is not a relative path below the base folder"
        raise FormatError(message)
    return path


def text_of_path(path: bytes) -> str:
    """Give the string that stands for a raw path in JSON; the inverse of ``path_of_text``."""
    return path.decode("utf-8", "surrogateescape")


def json_text(value: object) -> str:
    """Give compact-spaced JSON on one line that always encodes as UTF-8."""
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value)
    return text


def _decode(data: bytes) -> str:
    if len(data) > LIMIT_BYTES:
        message = f"the manifest has {len(data)} bytes; more than {LIMIT_BYTES} are refused"
        raise FormatError(message)
    try:
        return data.removeprefix(b"\xef\xbb\xbf").decode()
    except UnicodeDecodeError as error:
        message = f"the manifest is not UTF-8: byte {error.start} can't be decoded"
        raise FormatError(message) from error


def _unique_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                text = f"the key {key!r} is given twice"
                raise ValueError(text)
            seen.add(key)
    return result


def _refuse_constant(name: str) -> Any:  # noqa: ANN401 - the signature that json asks for
    text = f"{name} is no JSON number"
    raise ValueError(text)


def _text_field(document: Mapping[str, Any], name: str, *, default: str | None = None) -> str:
    value = document.get(name, default)
    if value is None:
        message = f"the manifest has no {name!r}"
        raise FormatError(message, hint="it needs base_dir, remote_host and remote_dir")
    if not isinstance(value, str):
        message = f"the manifest's {name!r} is not a string"
        raise FormatError(message)
    return value


def _ignore(value: object) -> Iterable[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        message = "the manifest's 'ignore' is not a list of strings"
        raise FormatError(message)
    return value


def _deltas(value: object) -> Iterable[ManifestDelta]:
    if not isinstance(value, list):
        message = "the manifest's 'deltas' is not a list"
        raise FormatError(message)
    for number, item in enumerate(value):
        yield _delta(item, f"deltas[{number}]")


def _delta(item: object, what: str) -> ManifestDelta:
    if not isinstance(item, dict):
        message = f"{what} is not an object"
        raise FormatError(message)
    file, action, digest = item.get("file"), item.get("action"), item.get("hash", "")
    if not isinstance(file, str):
        message = f"{what} has no 'file'"
        raise FormatError(message)
    if action not in (UPDATE, DELETE):
        message = f"{what} ({file!r}): the action is {action!r}; known are 'update' and 'delete'"
        raise FormatError(message)
    if not isinstance(digest, str) or (digest and not _HASH.fullmatch(digest)):
        message = f"{what} ({file!r}): the hash is not 64 lower-case hexadecimal digits"
        raise FormatError(message)
    extra = {key: field for key, field in item.items() if key not in ("file", "action", "hash")}
    return ManifestDelta(path_of_text(file, what), action, digest, extra)


def _indentation(text: str) -> str:
    found = _INDENT.match(text.lstrip())
    return found.group(1) if found else ""


def _render_deltas(
    deltas: Sequence[ManifestDelta], former: Mapping[tuple[bytes, str], Mapping[str, Any]], indent: str
) -> str:
    if not deltas:
        return "[]"
    lines = [json_text(_entry(delta, former.get((delta.file, delta.action), delta.extra))) for delta in deltas]
    if not indent:
        return "[" + ", ".join(lines) + "]"
    return "[\n" + ",\n".join(indent * 2 + line for line in lines) + "\n" + indent + "]"


def _entry(delta: ManifestDelta, extra: Mapping[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = {"file": text_of_path(delta.file), "action": delta.action}
    if delta.hash:
        entry["hash"] = delta.hash
    return {**entry, **extra}


def _member_spans(text: str) -> tuple[dict[str, tuple[int, int]], int]:
    """Give where the value of each top-level key begins and ends, and where the closing brace is.

    The text has been parsed before, so it is known to be one JSON object.
    """
    decoder = json.JSONDecoder()
    spans: dict[str, tuple[int, int]] = {}
    at = _skip(text, _skip(text, 0) + 1)
    while text[at] != "}":
        key, at = decoder.raw_decode(text, at)
        at = _skip(text, _skip(text, at) + 1)
        start = at
        _, at = decoder.raw_decode(text, at)
        spans[key] = (start, at)
        at = _skip(text, at)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return spans, at


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at
