"""``pdelta push SRC DEST`` and ``pdelta push -f manifest.json``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import msgspec

from pdelta.app.context import Context, Link
from pdelta.cli import option
from pdelta.cli.console import Console
from pdelta.cli.source import source_options
from pdelta.errors import UsageError

_EPILOG = """\b
Examples:
  pdelta push ./app deploy@web1:/opt/app
  pdelta push --dry-run --delete ./app /srv/app
  pdelta push --ignore '*.log' --note 'release 2.4' ./app web1:app
  pdelta push -f manifest.json

The first push to a destination deletes nothing without --delete; later ones delete what an earlier push
brought and SRC no longer has. `pdelta rollback DEST` takes the newest push back.

Exits with 0 when DEST equals SRC, with 4 when paths of SRC could not be read and were left out."""


@click.command("push", cls=option.RuleCommand, epilog=_EPILOG, short_help="Make a destination equal a source.")
@click.argument("src", metavar="SRC", required=False)
@click.argument("dest", metavar="DEST", required=False)
@click.option(
    "-f",
    "--file",
    "manifest",
    type=click.Path(path_type=Path),
    metavar="MANIFEST",
    help="Take source, destination and ignore rules from a sync manifest, and write its deltas.",
)
@click.option(
    "--as-written",
    is_flag=True,
    help="With -f: execute the deltas as they stand in the manifest, or refuse; nothing to do where that was done.",
)
@click.option(
    "--write-deltas",
    is_flag=True,
    help="With -f: calculate the deltas and write them; push nothing, so that they can be read.",
)
@click.option(
    "-n",
    "--dry-run",
    is_flag=True,
    help="Calculate and check everything, change nothing, and exit as if it were done: 3 where it would be refused.",
)
@click.option("--delete/--no-delete", default=None, help="Delete whatever SRC doesn't have; or nothing at all.")
@click.option("--max-delete", type=option.Count(0), metavar="N", help="Allow up to N files to be lost without --yes.")
@click.option("--check-dest", is_flag=True, help="Compare stat data of the whole destination first.")
@click.option(
    "--drift",
    type=click.Choice(["refuse", "overwrite", "keep"]),
    default="refuse",
    show_default=True,
    help="What to do where somebody changed the destination.",
)
@click.option(
    "--compress",
    type=click.Choice(["auto", "zstd", "off"]),
    default="auto",
    show_default=True,
    help="Compress what is sent.",
)
@click.option(
    "--base-cache",
    type=option.BaseCache(),
    default="auto",
    show_default=True,
    metavar="auto|on|off|SIZE",
    help="Keep what is pushed to a host, so that the next push is a patch against it; auto keeps it on slow links.",
)
@click.option("--bwlimit", type=option.Size(), default=0, metavar="SIZE", help="Send at most so many bytes a second.")
@click.option(
    "--fsync/--no-fsync", "durable", default=True, help="Make everything durable before the push ends (the default)."
)
@click.option("--no-undo", "undo", flag_value=False, default=True, help="Keep nothing to take this push back with.")
@click.option("--release", is_flag=True, help="Make DEST a link to a whole release, switched at once; remembered.")
@click.option("--convert", is_flag=True, help="With --release: make the folder at DEST its first release.")
@click.option(
    "--inplace", is_flag=True, help="Write over the changed ranges of large files instead of replacing the files."
)
@click.option("--note", default="", metavar="TEXT", help="Remember this text in the history.")
@click.option("-y", "--yes", is_flag=True, help="Confirm a large loss of files, an empty source or a changed device.")
@option.source
@option.link
@option.common
def command(
    console: Console,
    context: Context,
    *,
    src: str | None,
    dest: str | None,
    manifest: Path | None,
    link: Link,
    **options: Any,  # noqa: ANN401 - the values of options that are passed on
) -> int:
    """Make DEST equal SRC and send only what changed; SRC and SRC/ mean the same: its contents.

    DEST is a path, [user@]host:path, ssh://[user@]host[:port]/path, or NAME:path with a host of pdelta.toml.
    The destination is the old tree or the new one, whatever interrupts the push; the same command goes on.
    """
    from pdelta.app.options import PushOptions
    from pdelta.app.push import push_tree

    link = msgspec.structs.replace(link, compress=options["compress"], bwlimit=options["bwlimit"])
    check = "bytes" if options["checksum"] else "stat" if options["check_dest"] else "trust"
    _refuse_contradictions(options, alone=manifest is None)
    wanted = PushOptions(
        **{
            name: options[name]
            for name in (
                "delete",
                "max_delete",
                "yes",
                "drift",
                "durable",
                "undo",
                "note",
                "release",
                "convert",
                "inplace",
                "dry_run",
                "base_cache",
            )
        },
        check=check,
        listed=console.listed,
    )
    # What tells the result is imported late: the host was contacted before what that needs was loaded.
    if manifest is not None:
        if src is not None or dest is not None:
            message = "a manifest names its own source and destination"
            raise UsageError(message, hint="give either SRC and DEST, or -f MANIFEST")
        from pdelta.app.manifest import ManifestWish, push_manifest
        from pdelta.cli.outcome import tell_manifest

        wish = ManifestWish(as_written=options["as_written"], write_only=options["write_deltas"])
        return tell_manifest(console, push_manifest(manifest, wish, source_options("", options), wanted, context, link))
    if src is None or dest is None:
        message = "push needs SRC and DEST, or -f MANIFEST"
        raise UsageError(message, hint="for example: pdelta push ./app deploy@web1:/opt/app")
    result = push_tree(source_options(src, options), dest, wanted, context, link)
    from pdelta.cli.outcome import tell_outcome

    return tell_outcome(console, result)


def _refuse_contradictions(options: Mapping[str, Any], *, alone: bool) -> None:
    """Refuse options that need another one, or exclude one another; ``alone`` is without a manifest."""
    if options["inplace"] and (options["release"] or options["convert"]):
        message = "--inplace patches files where they are, and --release makes a tree of its own"
        raise UsageError(message, hint="give one of them")
    if options["convert"] and not options["release"]:
        raise UsageError("--convert belongs to --release; nothing was changed", hint="give both of them, or neither")
    for name, option_name in (("as_written", "--as-written"), ("write_deltas", "--write-deltas")):
        if alone and options[name]:
            message = f"{option_name} belongs to -f MANIFEST; nothing was changed"
            raise UsageError(message, hint=f"for example: pdelta push -f manifest.json {option_name}")
