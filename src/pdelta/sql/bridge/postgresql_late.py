"""What comes last for every object of PostgreSQL: its owner, its comment, and who has which rights."""

from collections.abc import Iterator
from typing import Final

from pdelta.sql.bridge.postgresql_create import UnwrittenError, quote
from pdelta.sql.catalogue import Item

_ON_TABLES: Final = frozenset({"constraint", "trigger", "policy", "rule"})
_TABLES: Final = ("materialized view ", "foreign table ", "table ", "view ")


def comment(item: Item, text: str | None) -> str:
    """Give what puts a comment on an object, or takes it away.

    Raises:
        UnwrittenError: The statement would name the tenant.
    """
    if item.kind == "schema" and not item.name:
        raise UnwrittenError("the statement takes the name of the schema")
    kind = "INDEX" if item.kind == "settings of index" else item.kind.upper()
    name = item.name
    if item.kind in _ON_TABLES:
        where = "DOMAIN " if item.fact("of") == "domain" else ""
        name = f"{item.last_name} ON {where}{item.owner}"
    return f"COMMENT ON {kind} {name} IS {'NULL' if text is None else quote(text)}"


def owner(item: Item, role: str | None) -> str:
    """Give what hands an object to its owner.

    Raises:
        UnwrittenError: The role has another name in each tenant.
    """
    if role is None or role == "{tenant}":
        raise UnwrittenError("its owner has another name in each tenant")
    return f"ALTER {item.kind.upper()} {item.name} OWNER TO {role}"


def rights(found: Item | None, wanted: Item | None) -> Iterator[str]:
    """Give what makes a grant, or what was revoked of the defaults, as it should be.

    Raises:
        UnwrittenError: The role has another name in each tenant, or the schema's would be needed.
    """
    item = wanted or found
    if item is None:
        return
    role = item.fact("role") or ""
    direction = "to" if item.kind == "grant" else "from"
    label = item.name.removeprefix("on ").removesuffix(f" {direction} {role}")
    if role in {"{tenant}", "{owner}"}:
        raise UnwrittenError("the role has another name in each tenant")
    if label == "the schema":
        raise UnwrittenError("the statement takes the name of the schema")
    have, want = (_privileges(one.fact("privileges") if one else "") for one in (found, wanted))
    if item.kind == "revoke":
        have, want = want, have
    yield from _given_and_taken(_object(label), role, have, want)


def column_rights(item: Item, have: str | None, want: str | None) -> Iterator[str]:
    """Give what makes the rights on one column as they should be.

    Raises:
        UnwrittenError: A role has another name in each tenant.
    """
    old, new = _by_role(have), _by_role(want)
    for role in dict.fromkeys((*old, *new)):
        if role in {"{tenant}", "{owner}"}:
            raise UnwrittenError("the role has another name in each tenant")
        have_, want_ = old.get(role, []), new.get(role, [])
        yield from _given_and_taken(f"TABLE {item.owner}", role, have_, want_, f" ({item.last_name})")


def _by_role(text: str | None) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in _privileges(text):
        privilege, _to, role = one.rpartition(" to ")
        found.setdefault(role, []).append(privilege)
    return found


def _given_and_taken(label: str, role: str, have: list[str], want: list[str], column: str = "") -> Iterator[str]:
    option = " WITH GRANT OPTION"
    for one in have:
        if one not in want:
            yield f"REVOKE {one.removesuffix(option)}{column} ON {label} FROM {role}"
    for one in want:
        if one not in have:
            rest = option if one.endswith(option) else ""
            yield f"GRANT {one.removesuffix(option)}{column} ON {label} TO {role}{rest}"


def _privileges(text: str | None) -> list[str]:
    return [one for one in (text or "").split(", ") if one]


def _object(label: str) -> str:
    for kind in _TABLES:
        if label.startswith(kind):
            return f"TABLE {label.removeprefix(kind)}"
    kind, _space, name = label.partition(" ")
    return f"{'FUNCTION' if kind == 'aggregate' else kind.upper()} {name}"
