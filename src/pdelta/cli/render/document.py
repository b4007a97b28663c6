"""Values as JSON documents: what ``--json`` writes, alone, on standard output."""

from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec

from pdelta.model.change import Change


def path_fields(path: bytes, name: str = "path") -> dict[str, str]:
    """Give a raw path as fields: ``path``, and ``path_base64`` where it isn't UTF-8."""
    try:
        return {name: path.decode()}
    except UnicodeDecodeError:
        import base64

        return {name: path.decode(errors="replace"), f"{name}_base64": base64.b64encode(path).decode()}


def change_fields(change: Change) -> dict[str, Any]:
    """Give one change as the fields of docs/reference/json.md."""
    fields: dict[str, Any] = {"action": change.action, **path_fields(change.subject)}
    if change.origin:
        fields.update(path_fields(change.origin, "origin"))
    fields["size_bytes"] = change.size_bytes
    fields["changed_bytes"] = change.changed_bytes
    if change.ranges:
        fields["ranges"] = [{"offset_bytes": offset, "length_bytes": length} for offset, length in change.ranges]
    if change.detail:
        fields["detail"] = change.detail
    return fields


def plain(value: object) -> Any:  # noqa: ANN401 - any JSON value
    """Give a JSON value for a value of the library: structs as objects, ids in hexadecimal, changes by field."""
    match value:
        case Change():
            return change_fields(value)
        case msgspec.Struct():
            return _struct_fields(value)
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(item) for item in value]
        case Enum():
            return value.value
        case bytes():
            return value.hex()
        case Path():
            return str(value)
        case _:
            return value


def encode(value: object) -> bytes:
    """Give the bytes of a document: two spaces of indentation and a line break at the end."""
    return msgspec.json.format(msgspec.json.encode(plain(value)), indent=2) + b"\n"


def _struct_fields(value: msgspec.Struct) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name in value.__struct_fields__:
        item = getattr(value, name)
        if isinstance(item, bytes) and name in ("path", "subject", "origin"):
            fields.update(path_fields(item, name) if item or name != "origin" else {})
        else:
            fields[name] = plain(item)
    return fields
