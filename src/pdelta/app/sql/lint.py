"""``pdelta sql lint``: what the rules say of delta files, for the tenants that the project file names."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from pdelta.app.context import Context
from pdelta.app.sql.fleet import open_fleet
from pdelta.app.sql.scripts import Files, database_of, engine_of, folder_of, parse_files, read_scripts, style_of
from pdelta.app.sql.squawk import find_squawk, squawk_findings
from pdelta.errors import AdapterError, FilesystemError, FormatError, PdeltaError, UsageError
from pdelta.formats.database import DatabaseSection
from pdelta.model.event import Event
from pdelta.sql.lint.finding import Fleet, LintFinding, Severity, TableSize
from pdelta.sql.lint.script import lint_script
from pdelta.sql.order import SUFFIX
from pdelta.sql.script import Script
from pdelta.sql.token import Dialect

Sizes = Mapping[str, TableSize]


class LintReport(msgspec.Struct, frozen=True):
    """What was found.

    Attributes:
        findings: In the order of application, and of lines.
        files: How many files were looked at.
        statistics: Whether sizes of tables were known.
        unmeasured: Why they were not, where the database was to be asked; else empty.
        squawk: Whether that program was asked as well.
    """

    findings: tuple[LintFinding, ...]
    files: int
    statistics: bool
    squawk: bool
    unmeasured: str = ""

    def count(self, severity: Severity) -> int:
        """Give how many findings of this weight no header allows."""
        return sum(one.severity is severity and not one.allowed for one in self.findings)


def lint_files(
    context: Context,
    *,
    files: Sequence[Path] = (),
    database: str = "",
    folder: Path | None = None,
    dialect: Dialect | None = None,
    sizes: Sizes | None = None,
    measure: bool = False,
    squawk: bool = True,
) -> LintReport:
    """Look at delta files, and change nothing.

    Args:
        context: The command's surroundings.
        files: Which; all of the folder when there are none.
        database: Section of the project file that says where they go.
        folder: Where the files are; as the project file says when None.
        dialect: Whose SQL they hold; as the section says when None.
        sizes: Of the fleet's tables; None where nothing is known.
        measure: Whether to ask the database for them then; where it can't be asked, the report says why.
        squawk: Whether that program is asked where it is installed.

    Raises:
        UsageError: There is no such folder or section, or nobody says whose SQL it is.
        FormatError: One or more files can't be read as deltas.
        FilesystemError: A file can't be read.
    """
    section = _section(context, database, alone=bool(files) or folder is not None)
    known = dialect or (section is not None)
    # Without either, every file must say it in its header.
    engine = engine_of(context, section, dialect) if known else Dialect.POSTGRESQL
    if files:
        paths = _read(files, engine, section)
    else:
        where = folder_of(context, section, folder)
        style = None if section is None else section.style
        paths = {where / (one.name + SUFFIX): one for one in read_scripts(where, engine, style=style)}
    if not known and not all(script.dialect for script in paths.values()):
        engine = engine_of(context, section, dialect)
    program = find_squawk() if squawk else ""
    others = _others(program, list(paths.values()), engine, context)
    unmeasured = ""
    if measure and sizes is None and section is not None:
        sizes, unmeasured = _measured(context, section)
    fleet = _fleet(section, sizes)
    findings = tuple(
        msgspec.structs.replace(one, file=str(path))
        for place, (path, script) in enumerate(paths.items())
        for one in lint_script(script, engine, fleet=fleet, others=others[place] if others else ())
    )
    return LintReport(findings, len(paths), sizes is not None, others is not None, unmeasured)


def read_sizes(file: Path) -> Sizes:
    """Give the sizes of tables that stand in a JSON file: by the table's name an object with ``rows`` and ``bytes``.

    Raises:
        UsageError: There is no such file.
        FormatError: It is no such document.
    """
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, TableSize])
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {str(file)!r}") from error
    except OSError as error:
        raise FilesystemError(f"{str(file)!r} can't be read: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise FormatError(
            f"{str(file)!r} holds no sizes of tables: {error}", hint='write {"users": {"rows": 1200, "bytes": 65536}}'
        ) from error


def _measured(context: Context, section: DatabaseSection) -> tuple[Sizes | None, str]:
    """Give the sizes of a section's tables, or why nobody knows them."""
    try:
        with open_fleet(context, section.name, ()) as fleet:
            if not fleet.tenants:
                return None, f"databases.{section.name} has no tenant"
            return fleet.database.table_sizes([tenant.name for tenant in fleet.tenants]), ""
    except PdeltaError as error:
        return None, error.message


def _section(context: Context, database: str, *, alone: bool) -> DatabaseSection | None:
    """Give the section; files that are named need none where the project has several."""
    if alone and not database and len(context.databases) > 1:
        return None
    return database_of(context, database)


def _fleet(section: DatabaseSection | None, sizes: Sizes | None) -> Fleet:
    if section is None or section.tenants.of is None:
        return Fleet(sizes=sizes)
    return Fleet(section.tenants.of.value, section.search_path, sizes)


def _read(files: Sequence[Path], engine: Dialect, section: DatabaseSection | None) -> dict[Path, Script]:
    """Give the scripts of these files, each folder read in its own form."""
    by_folder: dict[Path, dict[str, bytes]] = defaultdict(dict)
    for file in files:
        if file.suffix != SUFFIX:
            raise UsageError(f"{str(file)!r} is no delta file", hint=f"its name ends with {SUFFIX}")
        try:
            by_folder[file.parent][file.stem] = file.read_bytes()
        except FileNotFoundError as error:
            raise UsageError(f"there is no file {str(file)!r}") from error
        except OSError as error:
            raise FilesystemError(f"{str(file)!r} can't be read: {error.strerror}") from error
    found: dict[Path, Script] = {}
    for folder, texts in by_folder.items():
        held = Files(texts)
        style = (section.style if section is not None else None) or style_of(held)
        for script in parse_files(held, engine, style=style, where=str(folder)):
            found[folder / (script.name + SUFFIX)] = script
    return found


def _others(
    program: str, scripts: Sequence[Script], engine: Dialect, context: Context
) -> list[list[LintFinding]] | None:
    """Give what other programs found, a list for each script; None where none could be asked."""
    places = [place for place, script in enumerate(scripts) if (script.dialect or engine) is Dialect.POSTGRESQL]
    if not (program and places):
        return None
    found: list[list[LintFinding]] = [[] for _ in scripts]
    try:
        for place, held in zip(places, squawk_findings(program, [scripts[place] for place in places]), strict=True):
            found[place] = held
    except AdapterError as error:
        context.observer(Event("lint", message=f"{error.message}; it was left out", level="warning"))
        return None
    return found
