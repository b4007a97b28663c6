"""The project file ``pdelta.toml``: hosts and databases by name, and later stores.

Read by the CLI, which finds it upward from the working folder; every command works without one.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pdelta.errors import FormatError

if TYPE_CHECKING:
    from pdelta.formats.database import DatabaseSection

FILE_NAME: Final = "pdelta.toml"
_HOST_KEYS: Final = frozenset({"address", "groups", "port", "root", "become", "identity", "variables"})
_SECTIONS: Final = frozenset({"hosts", "databases", "stores"})


class Host(msgspec.Struct, frozen=True):
    """One ``[hosts.NAME]`` section.

    Attributes:
        address: ``[user@]host``.
        groups: Names that stand for several hosts.
        port: TCP port; 0 for what the user's ssh configuration says.
        root: Folder that relative paths of ``NAME:path`` are taken from; empty for the remote home.
        become: User that the agent becomes through ``sudo -n``; empty for none.
        identity: Private key file; empty for what the user's ssh configuration says.
        variables: Free values for deployments.
    """

    address: str
    groups: tuple[str, ...] = ()
    port: int = 0
    root: str = ""
    become: str = ""
    identity: str = ""
    variables: Mapping[str, Any] = {}


class Project(msgspec.Struct, frozen=True):
    """What ``pdelta.toml`` says.

    Attributes:
        hosts: By name.
        databases: By name.
        stores: As they stand; read by the distribution part.
    """

    hosts: Mapping[str, Host] = {}
    databases: "Mapping[str, DatabaseSection]" = {}
    stores: Mapping[str, Any] = {}


def parse_project(text: str) -> Project:
    """Give the project that this TOML text says.

    Raises:
        FormatError: Not TOML, or an unknown or mistyped key; the message names it.
    """
    # Most commands run without a project file.
    import tomllib

    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        message = f"{FILE_NAME} is not valid TOML: {error}"
        raise FormatError(message) from error
    _refuse_unknown(document, _SECTIONS, FILE_NAME)
    hosts = document.get("hosts", {})
    if not isinstance(hosts, dict):
        message = f"{FILE_NAME}: 'hosts' is not a table; write [hosts.NAME]"
        raise FormatError(message)
    return Project(
        hosts={name: _host(name, fields) for name, fields in hosts.items()},
        databases=_databases(document.get("databases", {})),
        stores=document.get("stores", {}),
    )


def _databases(sections: object) -> "dict[str, DatabaseSection]":
    if not isinstance(sections, dict):
        raise FormatError(f"{FILE_NAME}: 'databases' is not a table; write [databases.NAME]")
    if not sections:
        return {}
    # Most projects have trees alone.
    from pdelta.formats.database import parse_database

    return {name: parse_database(name, fields, FILE_NAME) for name, fields in sections.items()}


def _host(name: str, fields: object) -> Host:
    where = f"[hosts.{name}]"
    if not isinstance(fields, dict):
        message = f"{FILE_NAME}: {where} is not a table"
        raise FormatError(message)
    _refuse_unknown(fields, _HOST_KEYS, where)
    try:
        host = msgspec.convert(fields, Host)
    except msgspec.ValidationError as error:
        message = f"{FILE_NAME}: {where}: {error}"
        raise FormatError(message) from error
    if not 0 <= host.port <= 65535:
        message = f"{FILE_NAME}: {where}: {host.port} is no TCP port"
        raise FormatError(message)
    return host


def _refuse_unknown(fields: Mapping[str, object], known: frozenset[str], where: str) -> None:
    unknown = sorted(set(fields) - known)
    if unknown:
        message = f"{FILE_NAME}: {where} has unknown keys: {', '.join(unknown)}"
        raise FormatError(message, hint=f"known are: {', '.join(sorted(known))}")
