"""Every exception that pdelta raises on purpose.

Each class fixes a stable code, an exit status and whether trying again may
help; the message says what happened to what, in which state it is now, and the
hint says what to do next. A bug stays a ``ValueError`` or ``AssertionError``.
"""

from enum import StrEnum
from typing import ClassVar


class PdeltaError(Exception):
    """Root of every expected failure.

    Args:
        message: What happened, to which path, host or tenant, and its state now.
        hint: What the reader can do next; empty when nothing needs doing.

    Attributes:
        reason: The message, without the names of tenant and place where it is known how to say it without them, so
            that equal failures can be counted as one.
        state: What the message ends with: in which state the target is; empty where it is not known apart from it.
    """

    code: ClassVar[str] = "failure"
    exit_status: ClassVar[int] = 1
    transient: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        """Keep the message and the hint apart, so that each can be rendered."""
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.reason = message
        self.state = ""

    def __str__(self) -> str:
        """Give the message, as it is by now."""
        return self.message

    def leaves(self, state: str) -> None:
        """Say in which state the target is by now, in place of what was said of it."""
        self.message = f"{self.message.removesuffix(self.state).removesuffix('; ')}; {state}"
        self.state = state


class UsageError(PdeltaError):
    """An impossible request; nothing was tried."""

    code = "usage"
    exit_status = 2


class PreflightError(PdeltaError):
    """Pre-flight refused; nothing was changed.

    Args:
        message: A summary of the refusal.
        findings: One line for each blocking finding.
        hint: What the reader can do next.
    """

    code = "preflight"
    exit_status = 3

    def __init__(self, message: str, *, findings: tuple[str, ...] = (), hint: str = "") -> None:
        """Keep the blocking findings beside the summary."""
        super().__init__(message, hint=hint)
        self.findings = findings


class StaleError(PdeltaError):
    """The target moved on after the delta was calculated; nothing was changed, and calculating again helps."""

    code = "stale"
    exit_status = 3
    transient = True


class DriftError(PdeltaError):
    """A target is not what its record says."""

    code = "drift"
    exit_status = 4


class ExecutionError(PdeltaError):
    """A step failed, and everything that this run did was reversed."""

    code = "execution"
    exit_status = 5


class NeedsOperatorError(PdeltaError):
    """Only a person can decide; the message names each target and its standing."""

    code = "needs-operator"
    exit_status = 6


class LockedError(PdeltaError):
    """Another run holds the target."""

    code = "locked"
    exit_status = 7
    transient = True


class FormatError(PdeltaError):
    """Bytes that break their specification."""

    code = "format"
    exit_status = 65


class ScriptError(FormatError):
    """SQL text, or the file of a delta around it, that can't be read.

    Args:
        problem: What is wrong.
        line: On which line of the file, from 1; 0 where the problem says so itself.
        file: The file's name; empty where only its text is known.
        hint: What the reader can do next.
    """

    code = "script"

    def __init__(self, problem: str, *, line: int = 0, file: str = "", hint: str = "") -> None:
        """Keep the line beside the message, for whoever marks it in an editor or a review."""
        places = (file, f"line {line}" if line else "", problem)
        super().__init__(": ".join(filter(None, places)), hint=hint)
        self.problem = problem
        self.line = line
        self.file = file


class ScriptsError(FormatError):
    """Several files of one folder that can't be read; each is told.

    Args:
        message: How many, and of which folder.
        findings: One line for each of them.
        hint: What the reader can do next.
    """

    code = "scripts"

    def __init__(self, message: str, *, findings: tuple[str, ...] = (), hint: str = "") -> None:
        """Keep what is wrong with each file beside the summary."""
        super().__init__(message, hint=hint)
        self.findings = findings


class IntegrityError(PdeltaError):
    """Well-formed bytes with the wrong content."""

    code = "integrity"
    exit_status = 66


class AdapterError(PdeltaError):
    """The world outside failed: a file system, a connection, a store, a database."""

    code = "adapter"
    exit_status = 69


class FilesystemError(AdapterError):
    """A file-system call failed; the message names the call and the path."""

    code = "filesystem"


class SourceChangedError(AdapterError):
    """A source file changed or vanished after it was scanned.

    Args:
        message: Which file, and what became of it.
        path: Its raw path below the source.
        hint: What the reader can do next.
    """

    code = "source-changed"
    transient = True

    def __init__(self, message: str, *, path: bytes = b"", hint: str = "") -> None:
        """Keep the path for a second scan of it."""
        super().__init__(message, hint=hint)
        self.path = path


class TransportError(AdapterError):
    """A connection could not be made, or broke."""

    code = "transport"
    transient = True


class Cause(StrEnum):
    """What kind of trouble a database had."""

    BUSY = "busy"
    """A lock was not to be had in time, or a deadlock was broken: nothing was changed, and trying again helps."""
    LOST = "lost"
    """The connection broke under a statement: what became of that is not known."""
    UNREACHABLE = "unreachable"
    """No connection could be made."""
    DENIED = "denied"
    """Rights are missing, or the server only reads."""
    MISSING = "missing"
    """The tenant is gone."""
    FULL = "full"
    """No space, or a limit of the server."""
    REFUSED = "refused"
    """The server did not take a statement."""


class DatabaseError(AdapterError):
    """A database did not do what it was asked.

    Args:
        message: What happened, in which tenant, and its state now.
        cause: What kind of trouble.
        sqlstate: The server's own code; empty where it has none.
        reason: The server's words without the names of tenant and place, so that equal failures can be counted as one.
        hint: What the reader can do next.
        place: Which delta, and which statement of it, where that is known.
        state: What is left in the tenant, where the message is to end with it.
        held: Who held the locks that were not to be had, where that is known.
    """

    code = "database"

    def __init__(
        self,
        message: str,
        *,
        cause: Cause = Cause.REFUSED,
        sqlstate: str = "",
        reason: str = "",
        hint: str = "",
        place: str = "",
        held: str = "",
        state: str = "",
    ) -> None:
        """Keep what a roll-out decides by."""
        super().__init__(message, hint=hint)
        if state:
            self.leaves(state)
        self.cause = cause
        self.sqlstate = sqlstate
        self.reason = reason or self.message
        self.place = place
        self.held = held


class GuardError(PdeltaError):
    """A check refused a delta in a tenant; nothing was changed there."""

    code = "guard"
    exit_status = 3


class CancelledError(PdeltaError):
    """Stopped on request; the run can be resumed or reversed."""

    code = "cancelled"
    exit_status = 130
