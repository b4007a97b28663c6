"""What deriving a reverse says without any database: pieces, refusals, names."""

import re
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdelta.sql.derive import Derived, derive
from pdelta.sql.derive.kept import KEPT, PARKED, Names, key_of
from pdelta.sql.derive.purge import purge_query
from pdelta.sql.piece import Piece
from pdelta.sql.split import split
from pdelta.sql.token import Dialect

NAME_BYTES = 63


def derived(text: str, dialect: Dialect = Dialect.POSTGRESQL, *, irreversible: str = "") -> Derived:
    return derive(split(text, dialect, line=5), dialect, delta="d1", irreversible=irreversible)


def test_derive_when_the_delta_is_irreversible_then_it_is_executed_as_it_is_written() -> None:
    result = derived("DROP TABLE t; VACUUM t", irreversible="it is meant")
    assert result == Derived((Piece("DROP TABLE t", number=1), Piece("VACUUM t", alone=True, number=2)))


def test_derive_when_a_statement_becomes_several_pieces_then_all_of_them_have_its_number() -> None:
    result = derived("CREATE TABLE t (id int); DELETE FROM u; INSERT INTO t VALUES (1)", Dialect.MYSQL)
    numbers = [piece.number for piece in result.pieces]
    assert numbers == sorted(numbers)
    assert numbers.count(1) == numbers.count(3) == 1
    assert numbers.count(2) > 1


def test_derive_when_several_statements_are_refused_then_each_is_named_with_its_line_and_hint() -> None:
    result = derived("CREATE TABLE t (id int);\nCALL p();\n\nALTER TYPE m ADD VALUE 'x'")
    assert [(one.line, one.statement) for one in result.refusals] == [
        (6, "CALL p()"),
        (8, "ALTER TYPE m ADD VALUE 'x'"),
    ]
    assert all(one.reason and one.hint for one in result.refusals)


@pytest.mark.parametrize("dialect", [Dialect.POSTGRESQL, Dialect.SQLITE])
def test_derive_when_a_placeholder_is_left_then_it_is_refused(dialect: Dialect) -> None:
    (refusal,) = derived("DELETE FROM t WHERE id = ${id}", dialect).refusals
    assert "placeholder" in refusal.reason


def test_derive_when_rows_are_changed_then_the_result_says_so() -> None:
    assert not derived("CREATE TABLE t (id int); INSERT INTO t VALUES (1)").rows
    assert derived("INSERT INTO t VALUES (1)").rows
    assert derived("INSERT INTO t VALUES (1)", Dialect.SQLITE).rows


def test_derive_when_what_comes_back_differs_then_a_note_says_so() -> None:
    assert derived("DROP MATERIALIZED VIEW m").notes == ("m is calculated anew when it comes back",)


def test_derive_when_a_statement_stands_alone_then_its_piece_does_and_nothing_is_kept_beside_it() -> None:
    (piece,) = derived("CREATE INDEX CONCURRENTLY i ON t (a)").pieces
    assert piece.alone
    assert piece.undo == "'DROP INDEX CONCURRENTLY i;'"


def test_derive_when_the_parser_is_not_installed_then_it_says_which_extra_brings_it() -> None:
    code = (
        "import sys\n"
        "class Nothing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] == 'pglast':\n"
        "            raise ModuleNotFoundError('No module named pglast', name='pglast')\n"
        "sys.meta_path.insert(0, Nothing())\n"
        "from pdelta.sql.derive import derive\n"
        "from pdelta.sql.split import split\n"
        "from pdelta.sql.token import Dialect\n"
        "(one,) = derive(split('CREATE TABLE t (id int)', 'postgresql'), Dialect.POSTGRESQL, delta='d').refusals\n"
        "print(one.hint)\n"
        "print(derive(split('CREATE TABLE t (id)', 'sqlite'), Dialect.SQLITE, delta='d').refusals)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "install pdelta with its extra derive, or write the reverse\n()\n", done.stderr


def test_parser_when_no_reverse_is_derived_for_postgresql_then_it_is_not_imported() -> None:
    code = (
        "import sys\n"
        "from pdelta.sql.derive import derive\n"
        "from pdelta.sql.split import split\n"
        "from pdelta.sql.token import Dialect\n"
        "derive(split('CREATE TABLE t (id)', 'sqlite'), Dialect.SQLITE, delta='d')\n"
        "derive(split('CREATE TABLE t (id int)', 'postgresql'), Dialect.POSTGRESQL, delta='d', irreversible='x')\n"
        "print('pglast' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "False\n", done.stderr


@given(delta=st.text(), name=st.text(max_size=70), count=st.integers(1, 12))
def test_names_when_given_then_they_are_plain_short_and_all_different(delta: str, name: str, count: int) -> None:
    names = Names(delta, "0a1b")
    given_out = [names.parked(name) if place % 2 else names.kept() for place in range(count)]
    assert len(set(given_out)) == count
    for one in given_out:
        assert one.startswith((f"{PARKED}{key_of(delta)}_0a1b_", f"{KEPT}{key_of(delta)}_0a1b_"))
        assert one.isascii()
        assert one == one.lower()
        # Room for what is put behind the name of something that belongs to a parked table.
        assert len(one.encode()) <= NAME_BYTES - len("_i123")


def test_names_when_a_delta_was_edited_then_none_is_taken() -> None:
    one, other = (derived(f"DROP TABLE {name}", Dialect.SQLITE).pieces[0].before for name in ("a", "b"))
    assert not {text for text in one if "CREATE TABLE" in text} & set(other)


@pytest.mark.parametrize("dialect", list(Dialect))
def test_purge_query_when_asked_for_one_delta_then_it_names_no_other(dialect: Dialect) -> None:
    assert key_of("d1") in purge_query(dialect, delta="d1")
    assert key_of("d1") not in purge_query(dialect)
    assert len(list(split(purge_query(dialect), dialect))) == 1


@settings(max_examples=40)
@given(name=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20))
def test_derive_when_names_are_hostile_then_every_piece_and_its_undo_is_one_statement(name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    text = f"ALTER TABLE {quoted} ADD COLUMN {quoted} int DEFAULT 5; DROP TABLE IF EXISTS {quoted}"
    for dialect in (Dialect.POSTGRESQL, Dialect.SQLITE):
        for piece in derived(text, dialect).pieces:
            for one in (*piece.before, piece.statement, *piece.after):
                assert len(list(split(one, dialect))) == 1
            for undo in filter(None, (piece.undo, piece.late_undo)):
                assert len(list(split(f"SELECT ({undo}\n)", dialect))) == 1


def test_derive_when_several_views_are_dropped_then_the_guards_name_them_in_their_order() -> None:
    """In whatever order a set has them, the same delta would be another in the next process."""
    names = [f"v_{number}" for number in range(8)]
    (piece,) = derive(split(f"DROP VIEW {', '.join(names)}", Dialect.MYSQL), Dialect.MYSQL, delta="delta").pieces
    for name, text in zip(names, piece.before, strict=True):
        assert re.findall(r"locate\('`(v_\d)`'", text) == [other for other in names if other != name]
