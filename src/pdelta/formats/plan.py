"""A plan's bytes: what its id is the digest of, and what a saved plan holds.

The engine names and stores plans with it. ``docs/formats/plan.md`` is the
specification; nothing here opens a file.
"""

from collections.abc import Sequence
from typing import Final, TypeVar

import msgspec
from blake3 import blake3

from pdelta.errors import FormatError, IntegrityError
from pdelta.model import UNDECODABLE
from pdelta.model.amount import counted
from pdelta.model.course import OnFailure
from pdelta.model.delta import Delta
from pdelta.model.plan import Plan, Rollout, Step
from pdelta.model.target import Target

MAGIC: Final = "pdelta-plan"
VERSION: Final = 1
ROLLOUT_VERSION: Final = 2
"""Of a plan with waves: its steps share their deltas, so that a thousand equal ones cost one."""


class _Body(msgspec.Struct, frozen=True):
    steps: tuple[Step, ...]
    on_failure: OnFailure
    settled: tuple[Target, ...]


class _SharedStep(msgspec.Struct, frozen=True, array_like=True):
    id: str
    target: Target
    delta: int


class _RolloutBody(msgspec.Struct, frozen=True):
    deltas: tuple[Delta, ...]
    steps: tuple[_SharedStep, ...]
    on_failure: OnFailure
    settled: tuple[Target, ...]
    rollout: Rollout


class _Envelope(msgspec.Struct, frozen=True, array_like=True):
    magic: str
    version: int
    body: bytes
    digest: bytes


_ENCODER = msgspec.msgpack.Encoder(order="deterministic")
_BODY = msgspec.msgpack.Decoder(_Body)
_ROLLOUT_BODY = msgspec.msgpack.Decoder(_RolloutBody)
_ENVELOPE = msgspec.msgpack.Decoder(_Envelope)

AnyBody = TypeVar("AnyBody", _Body, _RolloutBody)


def freeze(
    steps: tuple[Step, ...],
    on_failure: OnFailure,
    settled: tuple[Target, ...] = (),
    rollout: Rollout | None = None,
) -> Plan:
    """Give the plan of these steps, named by the digest of its body.

    Raises:
        ValueError: The waves do not hold exactly the steps.
    """
    if rollout is not None and sum(wave.count for wave in rollout.waves) != len(steps):
        text = f"the waves do not hold the {counted(len(steps), 'step')}"
        raise ValueError(text)
    plan = Plan("", steps, on_failure, settled, rollout)
    return msgspec.structs.replace(plan, id=blake3(_body(plan)).hexdigest())


def encode_plan(plan: Plan) -> bytes:
    """Give a plan's bytes; equal plans have equal bytes.

    Raises:
        ValueError: The id is not the digest of the rest.
    """
    body = _body(plan)
    digest = blake3(body).digest()
    if digest.hex() != plan.id:
        text = f"plan {plan.id} was changed after it was calculated"
        raise ValueError(text)
    version = VERSION if plan.rollout is None else ROLLOUT_VERSION
    return _ENCODER.encode(_Envelope(MAGIC, version, body, digest))


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
    if envelope.magic != MAGIC or envelope.version not in {VERSION, ROLLOUT_VERSION}:
        known = f"{MAGIC} version {VERSION} or {ROLLOUT_VERSION}"
        text = f"expected {known}, found {envelope.magic!r} version {envelope.version}"
        raise FormatError(text, hint="use the pdelta that wrote it, or calculate the plan again")
    if blake3(envelope.body).digest() != envelope.digest:
        text = "the plan is damaged: its digest is not that of its content"
        raise IntegrityError(text, hint="calculate the plan again")
    return _decode_body(envelope, data)


def _body(plan: Plan) -> bytes:
    if plan.rollout is None:
        return _ENCODER.encode(_Body(plan.steps, plan.on_failure, plan.settled))
    deltas, numbers = _shared(plan.steps)
    steps = tuple(_SharedStep(step.id, step.target, number) for step, number in zip(plan.steps, numbers, strict=True))
    return _ENCODER.encode(_RolloutBody(deltas, steps, plan.on_failure, plan.settled, plan.rollout))


def _shared(steps: Sequence[Step]) -> tuple[tuple[Delta, ...], list[int]]:
    """Give the distinct deltas, in the order of their first steps, and the number of each step's."""
    by_bytes: dict[bytes, int] = {}
    by_identity: dict[int, int] = {}
    deltas: list[Delta] = []
    numbers: list[int] = []
    for step in steps:
        delta = step.delta
        number = by_identity.get(id(delta))
        if number is None:
            number = by_bytes.setdefault(_ENCODER.encode(delta), len(deltas))
            by_identity[id(delta)] = number
            if number == len(deltas):
                deltas.append(delta)
        numbers.append(number)
    return tuple(deltas), numbers


def _decode_body(envelope: _Envelope, data: bytes) -> Plan:
    name = envelope.digest.hex()
    if envelope.version == VERSION:
        body = _decoded(_BODY, envelope)
        plan = Plan(name, body.steps, body.on_failure, body.settled)
    else:
        shared = _decoded(_ROLLOUT_BODY, envelope)
        plan = Plan(name, _steps(shared, name), shared.on_failure, shared.settled, shared.rollout)
        if sum(wave.count for wave in shared.rollout.waves) != len(plan.steps):
            text = f"the waves of plan {name} do not hold its {counted(len(plan.steps), 'step')}"
            raise FormatError(text)
    if _body(plan) != envelope.body or _ENCODER.encode(envelope) != data:
        text = f"plan {plan.id} is not in canonical form, or holds fields that this version does not know"
        raise FormatError(text, hint="calculate the plan again with this version")
    if len({step.id for step in plan.steps}) != len(plan.steps):
        text = f"plan {plan.id} gives one id to two steps"
        raise FormatError(text)
    return plan


def _decoded(decoder: msgspec.msgpack.Decoder[AnyBody], envelope: _Envelope) -> AnyBody:
    try:
        return decoder.decode(envelope.body)
    except UNDECODABLE as error:
        text = f"the plan's content cannot be read: {error}"
        raise FormatError(text) from error


def _steps(body: _RolloutBody, name: str) -> tuple[Step, ...]:
    count = len(body.deltas)
    for step in body.steps:
        if not 0 <= step.delta < count:
            text = f"step {step.id} of plan {name} has a delta that is not there"
            raise FormatError(text)
    return tuple(Step(step.id, step.target, body.deltas[step.delta]) for step in body.steps)
