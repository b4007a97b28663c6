"""``pdelta sql lint [FILES…]``."""

from pathlib import Path

import click

from pdelta.app.context import Context
from pdelta.cli import option
from pdelta.cli.commands.sql_new import ENGINES
from pdelta.cli.console import Console
from pdelta.cli.render import sql_lint
from pdelta.errors import DriftError

_EPILOG = """\b
Examples:
  pdelta sql lint
  pdelta sql lint --strict deltas/delta_20250315_add_last_login.sql
  pdelta sql lint --format github --database user_profiles --offline

Exits with 0 when no error was found, with 4 when one was (with --strict: or a
warning). A header allows a rule: -- pdelta: allow="RULE: why"."""


@click.command("lint", cls=option.Command, epilog=_EPILOG, short_help="Say what is dangerous about delta files.")
@click.argument("files", metavar="[FILES]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--database", metavar="NAME", default="", help="Section of pdelta.toml that says where they go.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Where they are; otherwise the folder of the database, or deltas.",
)
@click.option(
    "--engine",
    type=click.Choice(ENGINES),
    metavar="ENGINE",
    help="Whose SQL they hold, where neither database nor header says it.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    show_default=True,
    help="How findings are written; github marks the lines of a change there.",
)
@click.option("--strict", is_flag=True, help="Let warnings count as errors do.")
@click.option(
    "--statistics",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Sizes of tables as JSON, instead of those that the database tells; small ones make many rules silent.",
)
@click.option("--offline", is_flag=True, help="Don't ask the database how large its tables are.")
@click.option("--no-squawk", is_flag=True, help="Don't ask the program squawk, even where it is installed.")
@option.common
def command(
    console: Console,
    context: Context,
    *,
    files: tuple[Path, ...],
    database: str,
    folder: Path | None,
    engine: str | None,
    form: str,
    strict: bool,
    statistics: Path | None,
    offline: bool,
    no_squawk: bool,
) -> int:
    """Say what is dangerous about delta files, forward and reverse, and what to write instead; changes nothing."""
    from pdelta.app.sql.lint import lint_files, read_sizes
    from pdelta.formats.sql_header import DIALECTS
    from pdelta.sql.lint.script import counts

    console.json = console.json or form == "json"
    report = lint_files(
        context,
        files=files,
        database=database,
        folder=folder,
        dialect=DIALECTS[engine] if engine else None,
        sizes=read_sizes(statistics) if statistics else None,
        measure=not offline,
        squawk=not no_squawk,
    )
    write = sql_lint.github_lines if form == "github" else sql_lint.lines
    console.result(sql_lint.fields(report), lambda: write(report, verbose=console.verbosity > 0))
    refused = any(counts(one, strict=strict) for one in report.findings)
    return DriftError.exit_status if refused else 0
