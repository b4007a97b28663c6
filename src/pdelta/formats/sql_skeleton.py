"""The text of a new delta file: what to write where, and nothing that could be applied before it is written."""

from typing import Final

from pdelta.sql.token import Dialect

_FORWARD: Final = {
    Dialect.POSTGRESQL: "ALTER TABLE users ADD COLUMN last_login timestamptz;",
    Dialect.MYSQL: "ALTER TABLE users ADD COLUMN last_login datetime, ALGORITHM=INSTANT;",
    Dialect.SQLITE: "ALTER TABLE users ADD COLUMN last_login TEXT;",
}
_PLAIN: Final = """\
-- {name}
{header}-- Write the change below as plain SQL, for example:
--   {forward}



-- Reversible delta
-- -- Write what takes it back in comments like this one, but with one -- less, for example:
-- --   ALTER TABLE users DROP COLUMN last_login;
-- -- Take the marker and all below it out where the reverse is to be derived.
"""
_EXPLICIT: Final = """\
-- {name}
{header}-- pdelta: transaction=auto scope=tenant
-- Further keys: id, lock_timeout=2s, requires=ID,ID, phase=expand|contract, repeatable=yes, irreversible="why",
-- allow="RULE: why", baseline=yes, replaces="TOOL:VERSION". Take out every section that stays empty.

-- +check
-- -- A SELECT of one truth that must hold before, for example:
-- --   SELECT count(*) = 0 FROM users;

-- +forward
-- Write the change as plain SQL, for example:
--   {forward}


-- +verify
-- -- A SELECT of one truth that must hold after.

-- +reverse
-- -- What takes it back, every line of it behind --, for example:
-- --   ALTER TABLE users DROP COLUMN last_login;
"""


def skeleton(name: str, *, explicit: bool, engine: Dialect | None, example: Dialect | None) -> str:
    """Give the text of a new file, which ``parse_delta`` refuses until it is filled in.

    Args:
        name: The delta's.
        explicit: Whether it has a header and every section.
        engine: The only one that it is for; None for any.
        example: Whose SQL the examples are; PostgreSQL's when None.
    """
    form = _EXPLICIT if explicit else _PLAIN
    header = f"-- pdelta: engine={engine}\n" if engine else ""
    return form.format(name=name, header=header, forward=_FORWARD[example or Dialect.POSTGRESQL])
