"""``pdelta agent`` and ``pdelta agent fetch``."""

import click

from pdelta.app.context import Context
from pdelta.cli import option
from pdelta.cli.console import Console
from pdelta.cli.render import upkeep

_EPILOG = """\b
Examples, the first one a line of authorized_keys:
  command="pdelta agent --root /srv/app",restrict ssh-ed25519 AAAA…
  pdelta agent fetch --platform manylinux2014_aarch64 --python 3.12"""


@click.group("agent", invoke_without_command=True, epilog=_EPILOG, short_help="The remote end.")
@click.option(
    "--root", "roots", multiple=True, metavar="FOLDER", help="Serve this folder and what is below it, nothing else."
)
@click.pass_context
def command(context: click.Context, *, roots: tuple[str, ...]) -> int:
    """The remote end of push, started over ssh by pdelta itself; or by a forced command of authorized_keys.

    A host needs no installation: where pdelta isn't there, the first contact places an agent.
    """
    if context.invoked_subcommand is not None:
        return 0
    from pdelta.app.serve import serve_forced

    return serve_forced([root.encode("utf-8", "surrogateescape") for root in roots])


_FETCH_EPILOG = """\b
Example:
  pdelta agent fetch --platform musllinux_1_2_x86_64 --python 3.12"""


@command.command("fetch", epilog=_FETCH_EPILOG, short_help="Prepare an agent for another platform.")
@click.option(
    "--platform", required=True, metavar="PLATFORM", help="As wheels name it, for example manylinux2014_aarch64."
)
@click.option("--python", required=True, metavar="VERSION", help="The host's Python, for example 3.12.")
@option.common
def fetch(console: Console, context: Context, *, platform: str, python: str) -> None:
    """Download the wheels that an agent for another platform needs, through pip, and build it."""
    from pdelta.app.fetch import fetch_agent

    report = fetch_agent(context.cache, platform=platform, python=python)
    console.result(report, lambda: upkeep.fetch_lines(report))
