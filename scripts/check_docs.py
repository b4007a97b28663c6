"""Check what the documents promise: links lead somewhere, commands exist, format examples are vectors.

Run by ``make docs`` and ``make check``; prints one line a problem and ends
with 1 when there is one.
"""

import json
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*$", re.MULTILINE)
PROMPT = "$ "
PROGRAM = "pdelta"


def main() -> int:
    """Check every document and say what is wrong."""
    problems = [
        f"{page.relative_to(ROOT)}: {problem}"
        for page in pages(ROOT)
        for check in (broken_links, unknown_commands, examples_without_vectors)
        for problem in check(page)
    ]
    for problem in problems:
        print(problem)
    return 1 if problems else 0


def pages(root: Path) -> list[Path]:
    """Give every document of the project."""
    return sorted([*root.glob("*.md"), *(root / "docs").rglob("*.md"), *root.glob("benchmarks/**/*.md")])


def broken_links(page: Path) -> Iterator[str]:
    """Give the relative links of a page that lead nowhere, and anchors without a heading."""
    text = FENCE.sub("", page.read_text())
    for match in LINK.finditer(text):
        target = match[1] or match[2]
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        goal = (page.parent / path).resolve() if path else page
        if not goal.exists():
            yield f"link to {target}, which does not exist"
        elif anchor and goal.suffix == ".md" and anchor not in anchors(goal):
            yield f"link to {target}, which has no such heading"


def anchors(page: Path) -> set[str]:
    """Give the anchors of a page's headings as code hosts derive them."""
    text = FENCE.sub("", page.read_text())
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(text))
    return {heading.replace(" ", "-") for heading in plain}


def unknown_commands(page: Path) -> Iterator[str]:
    """Give the ``pdelta`` commands in console blocks whose verb or options do not exist."""
    for language, block in FENCE.findall(page.read_text()):
        if language != "console":
            continue
        for line in block.splitlines():
            if line.startswith(PROMPT):
                yield from unknown_words(line.removeprefix(PROMPT))


def unknown_words(line: str) -> Iterator[str]:
    """Give what a command line asks of ``pdelta`` that it does not know."""
    for part in re.split(r"\s*(?:&&|\|\||;|\|)\s*", line):
        words = shlex.split(part, comments=True)
        if words[:1] == [PROGRAM]:
            yield from unknown_to(entry_point(), words[1:], part)


def unknown_to(command: click.Command, words: list[str], line: str) -> Iterator[str]:
    """Follow the words of a line through groups to a command, and check its options."""
    context = click.Context(command)
    known = {name for parameter in command.get_params(context) for name in (*parameter.opts, *parameter.secondary_opts)}
    for index, word in enumerate(words):
        if word == "--":
            return
        if word.startswith("-") and word != "-":
            if word.split("=")[0] not in known:
                yield f"`{line}`: no option {word}"
        elif isinstance(command, click.Group):
            inner = command.get_command(context, word)
            if inner is None:
                yield f"`{line}`: no command {word}"
            else:
                yield from unknown_to(inner, words[index + 1 :], line)
            return


def entry_point() -> click.Command:
    """Give the program's root command."""
    from pdelta.cli.command_line import group

    return group


def examples_without_vectors(page: Path) -> Iterator[str]:
    """Give what a format's page shows without a vector that proves it."""
    if page.parent != ROOT / "docs/formats" or page.stem in {"index", "README"}:
        return
    folder = ROOT / "tests/vectors" / page.stem
    held = vectors(folder)
    if not held:
        yield f"has no vectors in {folder.relative_to(ROOT)}"
        return
    for language, block in FENCE.findall(page.read_text()):
        if language == "hex":
            digits = re.sub(r"#[^\n]*|\s", "", block).lower()
            if not any(digits in vector for vector in held):
                yield f"the example {digits[:24]}… is in no vector"


def vectors(folder: Path) -> list[str]:
    """Give every vector of a format as hexadecimal text."""
    held: list[str] = []
    for file in sorted(folder.rglob("*")) if folder.is_dir() else []:
        if file.suffix == ".json":
            held.extend(texts(json.loads(file.read_text())))
        elif file.is_file():
            data = file.read_bytes()
            held.extend((data.hex(), data.decode("latin-1").lower()))
    return held


def texts(value: object) -> Iterator[str]:
    """Give every text in a JSON document."""
    if isinstance(value, str):
        yield value.lower()
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from texts(item)


if __name__ == "__main__":
    sys.exit(main())
