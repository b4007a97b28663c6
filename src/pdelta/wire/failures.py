"""Errors across the wire: the same class, message and hint at the other end.

Called by both ends; text from the peer is neutralised on the way in.
"""

from typing import Final

from pdelta import errors
from pdelta.wire.messages import Failure
from pdelta.wire.text import neutralise

_CLASSES: Final[dict[str, type[errors.PdeltaError]]] = {
    kind.code: kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.PdeltaError)
}


def describe_failure(error: Exception) -> Failure:
    """Give the message that carries an error; a bug travels as its class and words alone."""
    if isinstance(error, errors.PdeltaError):
        path = error.path if isinstance(error, errors.SourceChangedError) else b""
        findings = error.findings if isinstance(error, errors.PreflightError) else ()
        return Failure(error.code, error.message, error.hint, path, findings)
    return Failure(errors.PdeltaError.code, f"{type(error).__name__}: {error}")


def build_error(failure: Failure, host: str = "") -> errors.PdeltaError:
    """Give the error that a peer described, ready to be raised.

    Args:
        failure: The peer's message.
        host: Whom to name before the message; empty for nobody.
    """
    kind = _CLASSES.get(failure.code, errors.PdeltaError)
    message = neutralise(f"{host}: {failure.message}" if host else failure.message)
    hint = neutralise(failure.hint)
    if kind is errors.PreflightError:
        findings = tuple(neutralise(finding) for finding in failure.findings)
        return errors.PreflightError(message, findings=findings, hint=hint)
    if kind is errors.SourceChangedError:
        return errors.SourceChangedError(message, path=failure.path, hint=hint)
    return kind(message, hint=hint)
