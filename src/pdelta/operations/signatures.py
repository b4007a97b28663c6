"""The verbs of an operation as data, so that both ends of a connection agree on them.

Read from the type annotations of the operation's class: what a verb takes and
gives is written down once. Called by ``operations.remote`` and ``app.serve``.
"""

from collections.abc import Iterator, Mapping
from types import FunctionType
from typing import Any, Final, get_args, get_origin, get_type_hints

import msgspec

from pdelta.errors import FormatError
from pdelta.model import UNDECODABLE
from pdelta.model.amount import counted
from pdelta.model.operation import Notes

HIDDEN: Final = frozenset({"close"})


class Signature(msgspec.Struct, frozen=True):
    """What one verb takes and gives.

    Attributes:
        arguments: Names and types of what travels, in order; notes do not.
        notes: Name of the argument that takes notes; empty for none.
        keywords: Names that have to be given by name.
        result: Type of the value; of one item where the value is streamed.
        streamed: Whether the value is an iterator.
    """

    arguments: tuple[tuple[str, Any], ...]
    notes: str
    keywords: frozenset[str]
    result: Any
    streamed: bool


def read_signatures(operation: type) -> Mapping[str, Signature]:
    """Give the public methods of an operation's class by name."""
    return {
        name: _read(method)
        for name, method in vars(operation).items()
        if isinstance(method, FunctionType) and not name.startswith("_") and name not in HIDDEN
    }


def _read(method: FunctionType) -> Signature:
    hints = get_type_hints(method)
    result = hints.pop("return", None)
    # The code object says it; importing inspect would cost the agent 5 ms at each start.
    code = method.__code__
    named = code.co_argcount
    notes = next((name for name, kind in hints.items() if kind is Notes), "")
    streamed = get_origin(result) is Iterator
    return Signature(
        arguments=tuple((name, kind) for name, kind in hints.items() if name != notes),
        notes=notes,
        keywords=frozenset(code.co_varnames[named : named + code.co_kwonlyargcount]),
        result=get_args(result)[0] if streamed else result,
        streamed=streamed,
    )


def pack_arguments(signature: Signature, values: Mapping[str, object]) -> bytes:
    """Give the arguments of a call as they travel."""
    return msgspec.msgpack.encode([values[name] for name, _ in signature.arguments])


def unpack_arguments(signature: Signature, data: bytes) -> dict[str, Any]:
    """Give the arguments that a peer sent, by name.

    Raises:
        FormatError: They are not what the verb takes.
    """
    values = unpack(data, list[msgspec.Raw])
    if len(values) != len(signature.arguments):
        raise FormatError(f"a verb with {counted(len(signature.arguments), 'argument')} was called with {len(values)}")
    return {name: unpack(raw, kind) for (name, kind), raw in zip(signature.arguments, values, strict=True)}


def unpack(data: bytes | msgspec.Raw, kind: Any) -> Any:  # noqa: ANN401 - the type is an argument
    """Give a peer's msgpack value as a type.

    Raises:
        FormatError: It is none of that type.
    """
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except UNDECODABLE as error:
        raise FormatError(f"the peer sent a value that is no {kind}: {error}") from error
