"""The SQL that takes one catalogue to another: statements, and refusals where one would lose something."""

from pdelta.sql.bridge.result import Bridge
from pdelta.sql.catalogue import Catalogue
from pdelta.sql.token import Dialect


def bridge(found: Catalogue, wanted: Catalogue, dialect: Dialect) -> Bridge:
    """Give the SQL that makes ``found`` like ``wanted``.

    Executed in the tenant, in order and with the tenant's schema in front of the search path, it leaves the wanted
    fingerprint behind unless something was refused. Nothing in it drops rows, columns, or the value of a sequence: that
    is refused, with the statement that a person may choose. A statement may still fail, as ``SET NOT NULL`` does where
    there are NULLs; it then changes nothing.

    Args:
        found: What a tenant has.
        wanted: What it should have.
        dialect: Whose.
    """
    match dialect:
        case Dialect.POSTGRESQL:
            from pdelta.sql.bridge.postgresql import bridge_postgresql

            return bridge_postgresql(found, wanted)
        case Dialect.SQLITE:
            from pdelta.sql.bridge.sqlite import bridge_sqlite

            return bridge_sqlite(found, wanted)
        case Dialect.MYSQL:
            from pdelta.sql.bridge.mysql import bridge_mysql

            return bridge_mysql(found, wanted)
