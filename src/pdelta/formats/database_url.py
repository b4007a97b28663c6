"""Where a database is: its URL, what stands for one, and what of it nobody may read in a message.

A project file holds URLs or references to them; the command line looks references up, through ``resolve``. Whatever is
told to people goes through ``redacted`` and ``mask``. Nothing here reads a file, an environment or a command.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import msgspec

from pdelta.errors import FormatError, UsageError
from pdelta.sql.token import Dialect

SCHEMES: Final = {
    "postgresql": Dialect.POSTGRESQL,
    "postgres": Dialect.POSTGRESQL,
    "mysql": Dialect.MYSQL,
    "mariadb": Dialect.MYSQL,
    "sqlite": Dialect.SQLITE,
}
"""What a URL begins with, and how the SQL behind it is read."""

KINDS: Final = ("env", "file", "cmd")
"""What a reference begins with: a variable of the environment, a file's first line, a command's."""

HIDDEN: Final = "***"
_FORMS: Final = "write postgresql://…, mysql://…, sqlite:///FILE, env:NAME, file:PATH or cmd:COMMAND"
# Compiled when they are used: where nothing is told of a URL, none is taken apart.
_URL: Final = r"(?s)([A-Za-z][A-Za-z0-9+.-]*)://(.*)"
_PARTS: Final = (
    r"(?:(?P<user>[^:/?#@]*)(?::(?P<password>[^:/?#@]*))?(?P<at>@))?"
    r"(?P<place>(?:[^:/?#@\[\]]*|\[[^/?#@\]]*\])(?::[0-9]{0,5})?"
    r"(?:,(?:[^:/?#@\[\],]*|\[[^/?#@\]]*\])(?::[0-9]{0,5})?)*(?:/[^?#@]*)?)"
    r"(?:\?(?P<query>[^#@]*))?(?:\#(?P<rest>[^@]*))?"
)
"""A URL behind its scheme in which every character that could end a part is one that does."""
_OPEN: Final = frozenset(
    {
        "application_name",
        "charset",
        "client_encoding",
        "collation",
        "connect_timeout",
        "dbname",
        "fallback_application_name",
    }
    | {"gssencmode", "host", "hostaddr", "keepalives", "keepalives_idle", "mode", "port", "service", "ssl", "ssl_mode"}
    | {"sslmode", "target_session_attrs", "unix_socket", "user"}
)
"""Parameters of a URL that hold no secret; every other one is hidden, whatever its name."""


class Lookup(msgspec.Struct, frozen=True):
    """What a reference is looked up with; each gives the text, or raises a ``PdeltaError`` that says why not.

    Attributes:
        variable: Gives a variable of the environment; None where it isn't set.
        file: Gives a file's text; a relative path is below the project file's folder.
        command: Gives the standard output of a command, given as a list of words and executed without a shell.
    """

    variable: Callable[[str], str | None]
    file: Callable[[str], str]
    command: Callable[[Sequence[str]], str]


def check_url(text: str) -> None:
    """Look at what a project file says before anything is looked up.

    Raises:
        FormatError: It is neither a URL of a known kind nor a reference; the message doesn't show it.
    """
    if found := _reference(text):
        kind, name = found
        if not name.strip():
            raise FormatError(f"{kind}: names nothing", hint=_FORMS)
        if kind == "cmd":
            _words(name)
    elif dialect_of(text) is None:
        raise FormatError("the url is neither a database's nor a reference to one", hint=_FORMS)


def dialect_of(text: str) -> Dialect | None:
    """Give how the SQL behind a URL is read; None for a reference and for what is no database's URL."""
    scheme, mark, _ = text.partition("://")
    return SCHEMES.get(scheme.lower()) if mark else None


def resolve(text: str, lookup: Lookup | None) -> str:
    """Give the URL that stands in a project file, or that its reference names; only the first line of it.

    Args:
        text: What stands there.
        lookup: What references are looked up with; None where they can't be.

    Raises:
        UsageError: The reference names nothing, or something that is no database's URL; never shows what it found.
        PdeltaError: Whatever ``lookup`` raises.
    """
    reference = _reference(text)
    if reference is None:
        return text
    if lookup is None:
        raise UsageError(f"{shown(text)} can't be looked up here", hint="give the URL itself")
    kind, name = reference[0], reference[1].strip()
    match kind:
        case "env":
            value = lookup.variable(name)
            if value is None:
                raise UsageError(
                    f"the environment has no {name}, and {text} takes a database's URL from it",
                    hint=f"set {name}, for example to postgresql://user:password@host/database",
                )
        case "file":
            value = lookup.file(name)
        case _:
            value = lookup.command(_words(name))
    url = value.strip().split("\n", 1)[0].strip()
    if dialect_of(url) is None:
        raise UsageError(
            f"{shown(text)} gives no database's URL" if url else f"{shown(text)} gives nothing",
            hint=f"known are: {', '.join(f'{scheme}://' for scheme in SCHEMES)}",
        )
    return url


def shown(text: str) -> str:
    """Give a reference for messages; of a command only its first word, since its arguments may be secrets."""
    if text.startswith("cmd:"):
        first, *rest = text.removeprefix("cmd:").split() or [""]
        return f"cmd:{first}{' …' if rest else ''}"
    return text if _reference(text) else redacted(text)


def redacted(url: str) -> str:
    """Give a URL for messages: without its password, and without every parameter that isn't known to be harmless.

    Never shows a secret, not even where the URL is malformed because it holds one that is not encoded.
    """
    if _reference(url):
        return shown(url)
    found = re.fullmatch(_URL, url)
    if found is None:
        return HIDDEN
    parts = re.fullmatch(_PARTS, found[2])
    if parts is None:
        return f"{found[1]}://{HIDDEN}"
    user = parts["user"] + (f":{HIDDEN}" if parts["password"] is not None else "") + "@" if parts["at"] else ""
    told = "&".join(one if name in _OPEN else f"{name}={HIDDEN}" for one, name, _ in _parameters(parts["query"]))
    return f"{found[1]}://{user}{parts['place']}{'?' if told else ''}{told}{f'#{HIDDEN}' if parts['rest'] else ''}"


def secrets_of(url: str) -> tuple[str, ...]:
    """Give everything in a URL that nobody may read, each as it is written and as it is meant; the longest first."""
    from urllib.parse import quote, quote_plus, unquote, unquote_plus

    found = re.fullmatch(_URL, url)
    if found is None:
        return ()
    raw: list[str] = []
    if parts := re.fullmatch(_PARTS, found[2]):
        raw += [parts["password"] or "", parts["rest"] or ""]
        raw += [value for _, name, value in _parameters(parts["query"]) if name not in _OPEN]
    else:
        # Nobody knows where a driver sees the end of the password.
        begun = found[2].partition(":")[2]
        raw += [begun[: edge.start()] for edge in re.finditer(r"[@/?#]|\Z", begun)]
    meant = {form for one in raw for form in (one, unquote(one), unquote_plus(one))}
    written = {form for one in meant for form in (quote(one, safe=""), quote_plus(one), repr(one)[1:-1])}
    return tuple(sorted(filter(None, meant | written), key=lambda one: (-len(one), one)))


def mask(text: str, secrets: Iterable[str]) -> str:
    """Give a text in which every one of these secrets is hidden: for what drivers and servers say."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def _reference(text: str) -> tuple[str, str] | None:
    """Give the kind and the name of a reference; None for what is none."""
    kind, colon, name = text.partition(":")
    return (kind, name) if colon and kind in KINDS else None


def _parameters(query: str | None) -> Iterator[tuple[str, str, str]]:
    """Give each parameter as it is written, its name and its value; the value is what stands there without a name."""
    for one in filter(None, (query or "").split("&")):
        name, equals, value = one.partition("=")
        yield (one, name, value) if equals and name.isidentifier() else (one, "", one)


def _words(command: str) -> list[str]:
    import shlex

    try:
        words = shlex.split(command)
    except ValueError as error:
        raise FormatError("the command of cmd: has a quote that is not closed") from error
    if not words:
        raise FormatError("cmd: names nothing", hint=_FORMS)
    return words
