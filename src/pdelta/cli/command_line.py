"""The command group, and what becomes of an error: one message, one exit status."""

from collections.abc import Sequence
from typing import Final

import click

from pdelta import __version__
from pdelta.cli.console import Console
from pdelta.cli.lazy import LazyGroup
from pdelta.errors import CancelledError, PdeltaError

COMMANDS: Final = {
    "diff": "Show what a push would change.",
    "push": "Make a destination equal a source; send only what changed.",
    "history": "List what was done to a destination.",
    "show": "List the changes of one history entry.",
    "rollback": "Take the newest entry back, or return to an earlier one.",
    "verify": "Hash a destination again and compare it with its record.",
    "recover": "Finish or undo what was interrupted.",
    "gc": "Collect undo data that is no longer wanted.",
    "sql": "SQL deltas for one database or thousands of tenants.",
    "doctor": "Check this machine, and a destination.",
    "demo": "Show a push, a damage, a repair and a rollback in a temporary folder.",
    "import-hashes": "Take over a previous_hashes.json.",
    "export-hashes": "Write a previous_hashes.json.",
    "agent": "The remote end; started by pdelta itself.",
}
"""Name and one line each: the list of ``pdelta --help`` loads no command."""

EPILOG: Final = """\b
Examples:
  pdelta diff ./app deploy@web1:/opt/app
  pdelta push ./app deploy@web1:/opt/app
  pdelta rollback deploy@web1:/opt/app

A destination is a path, [user@]host:path, ssh://[user@]host[:port]/path,
or NAME:path with a host of pdelta.toml."""


@click.group(
    cls=LazyGroup,
    table=COMMANDS,
    package="pdelta.cli.commands.",
    name="pdelta",
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "-V", "--version", prog_name="pdelta", message="%(prog)s %(version)s")
def group() -> None:
    """Calculate, execute and reverse deltas: ship only the difference between two states, and take it back."""


def run(words: Sequence[str]) -> int:
    """Run the command that these words name; give its exit status."""
    console = Console()
    try:
        status = group.main(args=list(words), prog_name="pdelta", standalone_mode=False, obj=console)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return 2
    except click.ClickException as error:
        # The options were not understood, so nobody has told the console of this one.
        console.json = console.json or "--json" in words
        console.refuse_usage(error)
        return 2
    except (KeyboardInterrupt, click.Abort):
        # As above: it may have come before anybody had told the console.
        console.json = console.json or "--json" in words
        console.failure(CancelledError("stopped on request", hint="the same command goes on where this one stopped"))
        return CancelledError.exit_status
    except PdeltaError as error:
        console.failure(error)
        return error.exit_status
    except Exception as error:  # noqa: BLE001 - the last line before the user
        console.bug(error)
        return 1
    finally:
        console.close()
    return status if isinstance(status, int) else 0
