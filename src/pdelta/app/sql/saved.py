"""Saved plans of SQL deltas: written by ``pdelta sql plan``, executed unchanged by ``pdelta sql apply --plan``."""

import os
from contextlib import nullcontext, suppress
from pathlib import Path

from pdelta.app.context import Context
from pdelta.app.sql.fleet import open_fleet, section_of, with_servers
from pdelta.app.sql.outcome import RolloutOptions, RolloutOutcome
from pdelta.app.sql.rollout import carry_out
from pdelta.errors import FilesystemError, FormatError, PdeltaError, UsageError
from pdelta.formats.plan import decode_plan, encode_plan
from pdelta.formats.sql_moves import decode_body
from pdelta.model.plan import Plan
from pdelta.operations.sql.target import KIND
from pdelta.sql.ledger import Head


def save_plan(planned: Plan, file: Path) -> None:
    """Write a plan's file, whole or not at all.

    Raises:
        FilesystemError: It can't be written.
    """
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        try:
            with beside.open("xb") as stream:
                stream.write(encode_plan(planned))
                stream.flush()
                os.fsync(stream.fileno())
            beside.replace(file)
        except BaseException:
            with suppress(FileNotFoundError):
                beside.unlink()
            raise
    except OSError as error:
        raise FilesystemError(f"the plan can't be saved as {str(file)!r}: {error.strerror}") from error


def apply_plan(file: Path, database: str, rollout: RolloutOptions, context: Context) -> RolloutOutcome:
    """Execute a saved plan unchanged.

    Args:
        file: Where it is.
        database: The section's name; may be empty where there is only one.
        rollout: Only what a plan does not say counts.
        context: The command's surroundings.

    Raises:
        UsageError: There is no such file, or the plan is for another section.
        FormatError: The file is no plan, or not one of SQL deltas.
        IntegrityError: It was changed since it was saved.
        PdeltaError: As ``carry_out``.
    """
    planned = read_plan(file)
    section = section_of(context, database)
    targets = (*(step.target for step in planned.steps), *planned.settled)
    homes = {target.address.partition("/")[0] for target in targets}
    others = sorted(home for home in homes if home.partition("@")[0] != section.name)
    if others:
        raise UsageError(
            f"{str(file)!r} is a plan for the database {others[0].partition('@')[0]!r}, not for {section.name!r}; "
            "nothing was changed",
            hint="name its section by --database",
        )
    with (
        open_fleet(context, database, ()) as fleet,
        with_servers(fleet, context, ()) if homes - {section.name} else nullcontext(),
    ):
        return carry_out(fleet, planned, rollout, context)


def read_plan(file: Path) -> Plan:
    """Read a saved plan of SQL deltas.

    Raises:
        UsageError: There is no such file.
        FilesystemError: It can't be read.
        FormatError: It is no such plan.
        IntegrityError: It was changed since it was saved.
    """
    try:
        data = file.read_bytes()
    except FileNotFoundError as error:
        raise UsageError(f"there is no plan {str(file)!r}", hint="save one: pdelta sql plan --output FILE") from error
    except OSError as error:
        raise FilesystemError(f"the plan {str(file)!r} can't be read: {error.strerror}") from error
    try:
        planned = decode_plan(data)
        for delta in {id(step.delta): step.delta for step in planned.steps}.values():
            decode_body(delta.body)
            Head.parse(delta.before.decode())
            Head.parse(delta.after.decode())
        if any(step.target.kind != KIND for step in planned.steps) or (planned.steps and planned.rollout is None):
            raise FormatError("it is no plan of SQL deltas")
    except PdeltaError as error:
        raise type(error)(f"{file}: {error.message}; nothing was changed", hint=error.hint) from error
    except UnicodeDecodeError as error:
        raise FormatError(f"{file}: a head in it can't be read; nothing was changed") from error
    return planned
