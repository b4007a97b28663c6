"""Rules about many tenants: what would hit one of them many times, or outlive its transaction, or hit all at once."""

from collections.abc import Iterator
from typing import Final

from pdelta.sql.alone import alone, behind_settings, controls_transaction, may_commit
from pdelta.sql.lint.case import Case, Check
from pdelta.sql.lint.finding import Hit, Rule, Severity
from pdelta.sql.lint.named import OF_SERVER, changed, read
from pdelta.sql.lint.reading import AlterTable, Cursor, Name, Write
from pdelta.sql.scope import Scope
from pdelta.sql.script import Transaction
from pdelta.sql.split import Statement
from pdelta.sql.token import Dialect

_EVERY: Final = tuple(Dialect)
_SYSTEM: Final = frozenset({"pg_catalog", "information_schema", "pg_temp", "mysql", "performance_schema", "sys"})
_OF_DATABASE: Final = frozenset({"EXTENSION", "LANGUAGE", "PUBLICATION", "SUBSCRIPTION", "SERVER", "SCHEMA"})
_SESSION_FUNCTIONS: Final = frozenset(
    {"PG_ADVISORY_LOCK", "PG_ADVISORY_LOCK_SHARED", "PG_TRY_ADVISORY_LOCK", "GET_LOCK"}
)
_SESSION_WORDS: Final = frozenset({"LISTEN", "UNLISTEN", "PREPARE", "DEALLOCATE", "USE", "DISCARD", "ATTACH", "RESET"})
_KEPT_PRAGMAS: Final = frozenset(
    {"USER_VERSION", "APPLICATION_ID", "JOURNAL_MODE", "AUTO_VACUUM", "PAGE_SIZE", "ENCODING"}
)
"""What a file keeps, so that it is a change of the tenant and no setting of the connection."""
_QUERIES: Final = frozenset(
    {"INTEGRITY_CHECK", "QUICK_CHECK", "FOREIGN_KEY_CHECK", "TABLE_INFO", "TABLE_XINFO", "INDEX_LIST", "INDEX_INFO"}
    | {"FOREIGN_KEY_LIST", "OPTIMIZE", "WAL_CHECKPOINT", "INCREMENTAL_VACUUM", "DEFER_FOREIGN_KEYS", "FOREIGN_KEYS"}
)
"""What asks, does something once, or ends with the transaction; so too whether foreign keys are enforced, which pdelta
reads in a delta and sees to for that one alone."""

RULES: Final = (
    Rule(
        "qualified-name",
        Severity.ERROR,
        _EVERY,
        "every tenant's turn would change the same one table, as often as there are tenants",
        "leave the schema out: names are looked up in the tenant; or say scope=once where one place is meant",
    ),
    Rule(
        "qualified-read",
        Severity.WARNING,
        _EVERY,
        "every tenant would read from, or refer to, one tenant's table",
        "leave the schema out, or name shared schemas in search_path of the project file",
    ),
    Rule(
        "session-setting",
        Severity.ERROR,
        _EVERY,
        "it outlives the delta on a connection that the next tenant, or a pooler, gets",
        "SET LOCAL, which ends with the transaction; SET where there is none; lock_timeout has a key of the header",
    ),
    Rule(
        "transaction-control",
        Severity.ERROR,
        _EVERY,
        "the transaction is that of the ledger: a delta that ends it can be applied without being recorded",
        "leave it out; transaction=none where no transaction is wanted",
    ),
    Rule(
        "cluster-global",
        Severity.ERROR,
        _EVERY,
        "tenants share it: the second tenant's turn fails, or does it again",
        "a delta of its own with scope=once",
    ),
    Rule(
        "needs-no-transaction",
        Severity.WARNING,
        _EVERY,
        "no transaction takes it, so the delta goes step by step: what fails half-way is taken back by its reverse",
        "a delta of its own; transaction=none in its header says that this is meant",
    ),
    Rule(
        "mixed-change",
        Severity.WARNING,
        (Dialect.POSTGRESQL, Dialect.SQLITE),
        "the lock that the change of the table takes is kept until the last row is written",
        "change the table in one delta, and write its rows in the next",
    ),
)


def _names(case: Case) -> Iterator[Hit]:
    if not case.fleet.fan or case.script.scope is Scope.ONCE:
        return
    seen: set[tuple[str, ...]] = set()
    for name in changed(case):
        seen.add(name.parts)
        if _is_foreign(name, case):
            yield Hit("qualified-name", name.line, f"{name} names a schema")
    for name in read(case):
        if name.parts not in seen and _is_foreign(name, case) and name.schema not in case.fleet.shared:
            seen.add(name.parts)
            yield Hit("qualified-read", name.line, f"{name} names a schema")


def _is_foreign(name: Name, case: Case) -> bool:
    """Say whether a name leads out of the tenant: one whose schema is a placeholder leads where its value says."""
    schema = name.schema
    if not schema or schema.startswith("${") or schema.lower() in _SYSTEM:
        return False
    match case.fleet.fan:
        case "databases":
            # In PostgreSQL each database has its own schemas; three parts name another database, and are refused.
            return case.dialect is Dialect.MYSQL
        case "files":
            return schema not in {"main", "temp"}
        case _:
            return True


def _session(case: Case) -> Iterator[Hit]:
    words = case.words
    first = words[0]
    told = ""
    if first == "SET":
        told = _set(case)
    elif first == "RESET" and case.dialect is Dialect.POSTGRESQL and _goes_by_steps(case):
        pass
    elif first in _SESSION_WORDS and words[1:2] != ["TRANSACTION"]:
        told = _beginning(case)
    elif first == "PRAGMA":
        rest = words[3:] if words[2:3] == ["."] else words[1:]
        kept = _KEPT_PRAGMAS | _QUERIES
        told = f"PRAGMA {rest[0].lower()}" if len(rest) > 1 and rest[0] not in kept else ""
    if told:
        yield Hit("session-setting", case.line, told)
    for this, following in zip(case.tokens, case.tokens[1:], strict=False):
        if this.word in _SESSION_FUNCTIONS and following.word == "(":
            yield Hit("session-setting", this.line, f"{this.text}()")
        if this.word == "SET_CONFIG" and following.word == "(" and _keeps_config(case, this.offset):
            yield Hit("session-setting", this.line, "set_config(…, false)")


def _set(case: Case) -> str:
    """Give what a SET sets for the session; empty where it ends with the transaction or is no setting."""
    words = case.words
    if case.dialect is Dialect.POSTGRESQL and _goes_by_steps(case):
        return _set_by_steps(case)
    if words[1:2] in (["LOCAL"], ["CONSTRAINTS"], ["TRANSACTION"]) and case.dialect is Dialect.POSTGRESQL:
        fans = case.fleet.fan == "schemas" and case.script.scope is Scope.TENANT
        return "SET LOCAL search_path" if "SEARCH_PATH" in words[2:3] and fans else ""
    if case.dialect is Dialect.MYSQL and ((words[1:2] == ["@"] and words[2:3] != ["@"]) or behind_settings(words)):
        return ""
    if controls_transaction(Statement("", case.tokens), case.dialect) or {"GLOBAL", "PERSIST"} & set(words[1:4]):
        return ""
    return _beginning(case)


def _goes_by_steps(case: Case) -> bool:
    """Say whether each statement is executed for itself: what one sets, pdelta keeps for the delta alone."""
    if case.others[case.place].tokens[0].word == "DO":
        # What stands in a block shares the transaction of the block.
        return False
    return case.script.transaction is Transaction.NONE or bool(alone(case.others, case.dialect))


def _set_by_steps(case: Case) -> str:
    fans = case.fleet.fan == "schemas" and case.script.scope is Scope.TENANT
    if case.words[1:2] == ["LOCAL"]:
        return f"{_beginning(case)} ends with its step: pdelta sql apply refuses it"
    return _beginning(case) if "SEARCH_PATH" in case.words[1:3] and fans else ""


def _beginning(case: Case) -> str:
    return " ".join([case.words[0], *(token.text for token in case.tokens[1:2])])


def _keeps_config(case: Case, offset: int) -> bool:
    tokens = [token for token in case.tokens if token.offset > offset]
    inner = Cursor(tokens, case.dialect).group() or ()
    return bool(inner) and inner[-1].word != "TRUE"


def _control(case: Case) -> Iterator[Hit]:
    statement = Statement("", case.tokens)
    if word := controls_transaction(statement, case.dialect):
        yield Hit("transaction-control", case.line, word)
    elif case.dialect is Dialect.MYSQL and case.words[0] not in _SESSION_WORDS and (word := may_commit(statement)):
        yield Hit("transaction-control", case.line, f"{word} may commit by itself: pdelta sql apply refuses it")


def _global(case: Case) -> Iterator[Hit]:
    if not case.fleet.fan or case.script.scope is Scope.ONCE:
        return
    words = case.words
    verb, kinds = words[0], {word for word in words[1:4] if word in OF_SERVER}
    # Where each tenant is a database, what a database has once is the tenant's own.
    own = case.fleet.fan == "databases" and case.dialect is Dialect.POSTGRESQL
    if words[1:3] in (["OWNED", "BY"], ["EVENT", "TRIGGER"]):
        if not own:
            yield Hit("cluster-global", case.line, " ".join(words[:3]))
    elif verb in {"CREATE", "ALTER", "DROP"} and words[1:3] != ["OR", "REPLACE"]:
        shared = kinds - _OF_DATABASE if own else kinds
        if shared and _leads(words, shared):
            yield Hit("cluster-global", case.line, f"{verb} {min(shared)}")
        elif words[1:2] == ["SYSTEM"]:
            yield Hit("cluster-global", case.line, "ALTER SYSTEM")
    elif verb in {"GRANT", "REVOKE"} and "ON" not in words:
        yield Hit("cluster-global", case.line, f"{verb} of a role")
    elif verb == "SET" and {"GLOBAL", "PERSIST", "PERSIST_ONLY"} & set(words[1:4]):
        yield Hit("cluster-global", case.line, "SET GLOBAL")
    elif verb in {"INSTALL", "UNINSTALL"}:
        yield Hit("cluster-global", case.line, f"{verb} {words[1]}")


def _leads(words: list[str], kinds: set[str]) -> bool:
    """Say whether the kind comes before any name, as in CREATE ROLE, and not behind one: DROP TABLE role."""
    between = {"FOREIGN", "DATA", "WRAPPER", "TRUSTED", "PROCEDURAL", "EVENT", "IF", "NOT", "EXISTS"}
    for word in words[1:]:
        if word in kinds:
            return True
        if word not in between:
            return False
    return False


def _alone(case: Case) -> Iterator[Hit]:
    if case.place or case.script.transaction is Transaction.NONE or case.dialect is Dialect.MYSQL:
        return
    for place, why in alone(case.others, case.dialect).items():
        yield Hit("needs-no-transaction", case.others[place].line, why)


def _mixed(case: Case) -> Iterator[Hit]:
    if not isinstance(case.shape, Write) or not case.shape.many or case.script.transaction is Transaction.NONE:
        return
    size = case.size_of(case.shape.table)
    if size is None:
        return
    held = [one for one in case.mine if isinstance(one, AlterTable) and one.table.last not in case.made]
    if held:
        told = f"{case.shape.verb} of {case.shape.table} beside ALTER TABLE {held[0].table}; {size}"
        yield Hit("mixed-change", case.line, told)


IN_BLOCKS: Final[tuple[Check, ...]] = (_names, _session, _control, _global)
"""Those that hold for a statement wherever it is executed; no others are asked about one in the block of a ``DO``."""

CHECKS: Final[tuple[Check, ...]] = (*IN_BLOCKS, _alone, _mixed)
