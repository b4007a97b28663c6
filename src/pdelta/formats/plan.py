"""A plan's bytes: what its id is the digest of, and what a saved plan holds.

The engine names and stores plans with it. ``docs/formats/plan.md`` is the
specification; nothing here opens a file.
"""

from typing import Final

import msgspec
from blake3 import blake3

from pdelta.errors import FormatError, IntegrityError
from pdelta.model import UNDECODABLE
from pdelta.model.plan import OnFailure, Plan, Step
from pdelta.model.target import Target

MAGIC: Final = "pdelta-plan"
VERSION: Final = 1


class _Body(msgspec.Struct, frozen=True):
    steps: tuple[Step, ...]
    on_failure: OnFailure
    settled: tuple[Target, ...]


class _Envelope(msgspec.Struct, frozen=True, array_like=True):
    magic: str
    version: int
    body: bytes
    digest: bytes


_ENCODER = msgspec.msgpack.Encoder(order="deterministic")
_BODY = msgspec.msgpack.Decoder(_Body)
_ENVELOPE = msgspec.msgpack.Decoder(_Envelope)


def freeze(steps: tuple[Step, ...], on_failure: OnFailure, settled: tuple[Target, ...] = ()) -> Plan:
    """Give the plan of these steps, named by the digest of its body."""
    body = _ENCODER.encode(_Body(steps, on_failure, settled))
    return Plan(blake3(body).hexdigest(), steps, on_failure, settled)


def encode_plan(plan: Plan) -> bytes:
    """Give a plan's bytes; equal plans have equal bytes.

    Raises:
        ValueError: The id is not the digest of the rest.
    """
    body = _ENCODER.encode(_Body(plan.steps, plan.on_failure, plan.settled))
    digest = blake3(body).digest()
    if digest.hex() != plan.id:
        text = f"plan {plan.id} was changed after it was calculated"
        raise ValueError(text)
    return _ENCODER.encode(_Envelope(MAGIC, VERSION, body, digest))


def decode_plan(data: bytes) -> Plan:
    """Read a plan's bytes.

    Raises:
        FormatError: They are no plan, of another version, or not canonical.
        IntegrityError: The digest is not that of the body.
    """
    try:
        envelope = _ENVELOPE.decode(data)
    except UNDECODABLE as error:
        text = f"these bytes are no plan: {error}"
        raise FormatError(text) from error
    if envelope.magic != MAGIC or envelope.version != VERSION:
        text = f"expected {MAGIC} version {VERSION}, found {envelope.magic!r} version {envelope.version}"
        raise FormatError(text, hint="use the pdelta that wrote it, or calculate the plan again")
    if blake3(envelope.body).digest() != envelope.digest:
        text = "the plan is damaged: its digest is not that of its content"
        raise IntegrityError(text, hint="calculate the plan again")
    return _decode_body(envelope, data)


def _decode_body(envelope: _Envelope, data: bytes) -> Plan:
    try:
        body = _BODY.decode(envelope.body)
    except UNDECODABLE as error:
        text = f"the plan's content cannot be read: {error}"
        raise FormatError(text) from error
    plan = Plan(envelope.digest.hex(), body.steps, body.on_failure, body.settled)
    if _ENCODER.encode(body) != envelope.body or _ENCODER.encode(envelope) != data:
        text = f"plan {plan.id} is not in canonical form, or holds fields that this version does not know"
        raise FormatError(text, hint="calculate the plan again with this version")
    if len({step.id for step in plan.steps}) != len(plan.steps):
        text = f"plan {plan.id} gives one id to two steps"
        raise FormatError(text)
    return plan
