"""One ignore rule made ready to match: the two dialects, and the shortcuts for the usual patterns.

Called by ``tree.select`` alone. The gitignore dialect is translated by the
``pathspec`` library; its expressions are then narrowed to a path's own match,
because a selector asks folder by folder and prunes.
"""

import re
from functools import lru_cache
from typing import Final

import msgspec

from pdelta.errors import UsageError
from pdelta.model.snapshot import Rule

_META: Final = re.compile(r"[*?\[\\]")
_MAXIMUM_BYTES: Final = 4096
# What pathspec ends an expression with, and what this package needs there: the path itself must end, and a
# newline is an ordinary character of a name.
_ENDINGS: Final = (
    ("(?:(?P<ps_d>/)|$)", r"/?\Z"),
    ("(?P<ps_d>/)", r"/\Z"),
    ("/", "/(?s:.)"),
    (".", "(?s:.)"),
)
_ANY_FOLDER: Final = "^(?:.+/)?"
_STAR: Final = "[^/]*"  # a slash is in no bracket of a pattern, so this text is a star and nothing else


def decode_path(path: bytes) -> str:
    """Give the text of a raw path; nothing is lost, ``surrogateescape`` encodes it back."""
    return path.decode("utf-8", "surrogateescape")


def encode_path(text: str) -> bytes:
    """Give the raw path of a text that ``decode_path`` gave."""
    return text.encode("utf-8", "surrogateescape")


class Pattern(msgspec.Struct, frozen=True):
    """One rule; exactly one of ``literal``, ``suffix`` and ``expression`` is set.

    Attributes:
        negated: Whether a match takes the path back into the snapshot.
        directories: Whether only directories match.
        base: Folder that the rule is anchored at, as text.
        literal: The whole name that matches.
        suffix: What a matching name ends with.
        expression: Compiled for the path below ``base`` (with a slash after a directory).
        anchor: None when a name is enough to decide; else the folder below
            ``base``, as text, that a matching path must be in or below.
        depth: How many folders below ``base`` a matching path has above it; -1 for any number.
        last: Finds a name that may match among names joined by slashes; None when any may.
    """

    negated: bool
    directories: bool
    base: str
    literal: str | None = None
    suffix: str | None = None
    expression: re.Pattern[str] | None = None
    anchor: str | None = None
    depth: int = -1
    last: re.Pattern[str] | None = None

    def reaches(self, folder: str) -> bool:
        """Whether a name directly in this folder can match; false only when none can.

        Args:
            folder: Path of the folder as text, from the root of the tree.
        """
        base = self.base
        if base:
            if folder != base and not folder.startswith(base + "/"):
                return False
            folder = folder[len(base) + 1 :]
        if self.anchor is None:
            return True
        if self.depth >= 0 and (folder.count("/") + 1 if folder else 0) != self.depth:
            return False
        return not self.anchor or folder == self.anchor or folder.startswith(self.anchor + "/")

    def sieve(self, parent: str, texts: list[str]) -> list[int]:
        """Give the places of the names that may match, whatever their kind.

        Args:
            parent: Path of the folder as text, from the root of the tree.
            texts: Its names as text.
        """
        if self.expression is None:
            return list(range(len(texts)))
        search = self.expression.search
        front = self._front(parent)
        end = "/" if self.directories else ""
        return [n for n, text in enumerate(texts) if search(front + text + end)]

    def matches(self, parent: str, text: str, *, directory: bool) -> bool:
        """Whether the rule matches one name of a folder that it reaches.

        Args:
            parent: Path of the folder as text, from the root of the tree.
            text: The name as text.
            directory: Whether the name is a directory.
        """
        if self.directories and not directory:
            return False
        if self.literal is not None:
            return text == self.literal
        if self.suffix is not None:
            return text.endswith(self.suffix)
        if self.expression is None:
            return False
        return self.expression.search(self._front(parent) + text + ("/" if directory else "")) is not None

    def _front(self, parent: str) -> str:
        if self.anchor is None:
            return ""
        below = parent[len(self.base) + 1 :] if self.base else parent
        return below + "/" if below else ""


@lru_cache(maxsize=4096)
def compile_rule(rule: Rule) -> Pattern | None:
    """Make a rule ready to match; None when it can match nothing (blank, comment, broken range).

    Args:
        rule: As it was written.

    Raises:
        UsageError: The pattern cannot be read, is too long, or the dialect is unknown.
    """
    text = decode_path(rule.pattern)
    base = decode_path(rule.base)
    if len(rule.pattern) > _MAXIMUM_BYTES:
        message = f"ignore rule of {len(rule.pattern)} bytes: {text[:40]!r}…"
        raise UsageError(message, hint=f"a rule has at most {_MAXIMUM_BYTES} bytes")
    match rule.dialect:
        case "gitignore":
            return _gitignore(text, base)
        case "origin":
            return _origin(text, base)
        case _:
            message = f"ignore rule {text!r} has the unknown dialect {rule.dialect!r}"
            raise UsageError(message, hint="the dialects are gitignore and origin; a newer pdelta may know more")


def _origin(text: str, base: str) -> Pattern | None:
    folder = text.endswith("/")
    body = text.strip("/")
    if not body:
        return None
    if "/" in body or re.search(r"[*?\[]", body):
        front = "**/" if "/" in body else ""
        return _gitignore(front + body + ("/" if folder else ""), base)
    if folder:
        return Pattern(negated=False, directories=True, base=base, literal=body)
    return Pattern(negated=False, directories=False, base=base, suffix=body)


def _gitignore(text: str, base: str) -> Pattern | None:
    text = _trimmed(text)
    if not text or text.startswith("#") or text == "/":
        return None
    negated = text.startswith("!")
    whole = text[1:] if negated else text
    directories = whole.endswith("/")
    body = whole[:-1] if directories else whole
    if "/" not in body:
        if body and not _META.search(body):
            return Pattern(negated=negated, directories=directories, base=base, literal=body)
        if len(body) > 1 and body[0] == "*" and not _META.search(body[1:]):
            return Pattern(negated=negated, directories=directories, base=base, suffix=body[1:])
        anchor, depth = None, -1
    else:
        anchor, depth = _reach(body.removeprefix("/").split("/"))
    expression = _expression(text)
    if expression is None:
        return None
    return Pattern(
        negated=negated,
        directories=directories,
        base=base,
        expression=expression,
        anchor=anchor,
        depth=depth,
        last=_last(body.rpartition("/")[2]),
    )


def _trimmed(text: str) -> str:
    """Give the pattern without the trailing spaces that no backslash protects."""
    bare = text.rstrip(" ")
    escapes = len(bare) - len(bare.rstrip("\\"))
    return bare + " " if escapes % 2 and bare != text else bare


def _reach(segments: list[str]) -> tuple[str, int]:
    """Give the folder in or below which an anchored pattern matches, and the depth, -1 for any."""
    fixed = []
    for segment in segments[:-1]:
        if _META.search(segment):
            break
        fixed.append(segment)
    return "/".join(fixed), -1 if "**" in segments else len(segments) - 1


def _translate(text: str) -> str | None:
    # Imported here because most runs have no rule with a wildcard in the middle, and it costs 10 ms.
    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

    if text[-1].isspace() and text[-1] != " ":
        text = f"{text[:-1]}[{text[-1]}]"  # pathspec strips every kind of white space, git spaces alone
    try:
        source: str | None = GitIgnoreSpecPattern.pattern_to_regex(text)[0]
    except ValueError as error:
        message = f"ignore rule {text!r} cannot be read: {error}"
        raise UsageError(message, hint="docs/reference/ignore-rules.md says what a rule may hold") from error
    return None if source is None else _without_backtracking(source)


def _without_backtracking(source: str) -> str:
    """Let every star but the last of a segment take the shortest match for good, which is always enough.

    Otherwise ``a*a*a*a*b`` tries every way to split a long name; rules come from the other end too.
    """
    first, *rest = source.split(_STAR)
    done = [first]
    for place, chunk in enumerate(rest, 1):
        last = place == len(rest) or "/" in chunk
        done.append(_STAR + chunk if last else f"(?>[^/]*?{chunk})")
    return "".join(done)


def _compile(source: str, text: str) -> re.Pattern[str]:
    try:
        return re.compile(source, re.DOTALL)
    except re.error as error:
        message = f"ignore rule {text!r} cannot be read: {error}"
        raise UsageError(message, hint="docs/reference/ignore-rules.md says what a rule may hold") from error


def _expression(text: str) -> re.Pattern[str] | None:
    source = _translate(text)
    if source is None:
        return None
    for ending, ours in _ENDINGS:
        if source.endswith(ending):
            return _compile(source[: -len(ending)] + ours, text)
    message = f"pathspec gives an unknown expression for {text!r}: {source!r}"
    raise AssertionError(message)


def _last(segment: str) -> re.Pattern[str] | None:
    source = _translate(segment) if segment and segment[0] not in "!#" else None
    if source is None or not (source.startswith(_ANY_FOLDER) and source.endswith(_ENDINGS[0][0])):
        return None
    return _compile(rf"(?:\A|/){source[len(_ANY_FOLDER) : -len(_ENDINGS[0][0])]}(?:/|\Z)", segment)
