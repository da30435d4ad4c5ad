"""Values and names that a sync may break arrive as they are, by the engines' own account of them.

The tables stand in tests/hostile as SQL. No digest of ours tells whether they are the same: of
PostgreSQL it is what COPY writes of either side, as text and in its binary form; of SQLite the
value as `quote` writes it, and its class.
"""

import re
from pathlib import Path

import pytest

from sync.errors import SchemaError
from sync.model import Only, PlanState
from tests.installation import Both, Installation, PostgresSide, Side, SqliteSide, asked, table

HOSTILE = Path(__file__).parent.parent / "hostile"
DAYS = "2025-01-01", "2025-01-03"
WITHIN = "day >= '2025-01-01' AND day < '2025-01-04'"
TABLES = r"""
    SELECT quote_ident(nspname) || '.' || quote_ident(relname), relname FROM pg_class c
    JOIN pg_namespace n ON n.oid = relnamespace
    WHERE relkind IN ('r', 'p', 'v', 'm') AND NOT relispartition
      AND nspname !~ '^pg_|^information' ORDER BY 2"""
COLUMNS = r"""
    SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum),
           bool_and(t.oid < 16384 AND typname !~ 'reg|acl')
    FROM pg_attribute JOIN pg_type t ON t.oid = atttypid
    WHERE attrelid = format('public.%I', '{}')::regclass AND attnum > 0 AND NOT attisdropped"""
# PostgreSQL allows 1,600 columns; SQLite 2,000.
WIDE = ", ".join(f"c{n} {('smallint', 'boolean')[n % 2]}" for n in range(1599))


@pytest.fixture
def hostile(postgresql: Both, tmp_path: Path) -> Installation:
    """The tables in the source; nothing in the target."""
    postgresql.source.execute((HOSTILE / "postgres.sql").read_text(encoding="utf-8"))
    postgresql.source.execute(f"CREATE TABLE wide (day date, {WIDE})")
    postgresql.source.execute("INSERT INTO wide VALUES ('2025-01-02', 1, true)")
    names = [name for name, _ in postgresql.source.execute(TABLES)]
    return postgresql.installation(tmp_path, *(table(name, "day") for name in names))


def written(side: PostgresSide, name: str, columns: str, form: str) -> bytes:
    """The rows of the three days as COPY writes them, in an order that rests on their text."""
    rows = f"SELECT *, t::text AS hostile_row FROM {name} t WHERE {WITHIN}"
    return side.written(
        f'SELECT {columns} FROM ({rows}) AS t ORDER BY hostile_row COLLATE "C"', form
    )


def differing(both: Both) -> tuple[list[str], int]:
    """The tables that COPY does not write alike on both sides; how many bytes it wrote."""
    wrong, size = [], 0
    assert isinstance(both.source, PostgresSide)
    assert isinstance(both.target, PostgresSide)
    for name, target in both.source.execute(TABLES):
        ((columns, built_in),) = both.target.execute(COLUMNS.format(target.replace("'", "''")))
        here = f"public.{name.partition('.')[2]}" if name.startswith("public") else None
        here = (
            here or both.target.execute(f"SELECT format('public.%I', '{_literal(target)}')")[0][0]
        )
        for form in ("text", "binary") if built_in else ("text",):
            one = written(both.source, name, columns, form)
            other = written(both.target, here, columns, form)
            size += len(one)
            if one != other:
                wrong.append(f"{name} as {form}")
    return wrong, size


def _literal(text: str) -> str:
    return text.replace("'", "''")


def said_same(installation: Installation) -> None:
    """Our own account of it: the plan by digest, and verify."""
    plan = installation.operations().plan(asked(*DAYS, only=Only.CHANGED))
    assert [p for p in plan.partitions if p.state is not PlanState.SAME] == []
    found = installation.operations().verify(asked(*DAYS))
    assert found.differing == []


def test_whatever_postgresql_holds_arrives_as_it_was(
    hostile: Installation, postgresql: Both
) -> None:
    with pytest.raises(SchemaError, match="it lacks the types") as refused:
        hostile.run(*DAYS)
    (made,) = re.findall("Make them there: (.*); or name their columns", str(refused.value))
    assert postgresql.target.execute("SELECT FROM pg_tables WHERE schemaname = 'public'") == []
    postgresql.target.execute(made)
    for _ in range(2):  # into tables that are made, and over rows that stand
        run = hostile.run(*DAYS)
        wrong, size = differing(postgresql)
        assert (run.error, wrong, size > 500_000) == (None, [], True)
    said_same(hostile)


@pytest.fixture
def hostile_files(sqlite: Both, tmp_path: Path) -> Installation:
    """The same with SQLite's; in WAL mode, so that a test can write while a run reads."""
    sqlite.source.execute("PRAGMA journal_mode = WAL")
    sqlite.source.execute((HOSTILE / "sqlite.sql").read_text(encoding="utf-8"))
    sqlite.source.execute(f"CREATE TABLE wide (day DATE, {WIDE})")
    sqlite.source.execute("INSERT INTO wide (day, c1598) VALUES ('2025-01-02', 'x')")
    return sqlite.installation(
        tmp_path, *(table(f'"{_doubled(name)}"', "day") for name, _ in stored(sqlite.source))
    )


def stored(side: Side) -> list[tuple[str, ...]]:
    return side.execute(
        "SELECT name, sql FROM sqlite_master WHERE type IN ('table', 'view')"
        " AND name NOT LIKE 'sqlite%' AND name NOT LIKE 'batch_sync%' ORDER BY name"
    )


def differing_in_files(both: Both) -> tuple[list[str], int]:
    """The tables whose values are not quoted alike, of one class and the same bytes; all rows."""
    wrong, size = [], 0
    assert isinstance(both.source, SqliteSide)
    assert isinstance(both.target, SqliteSide)
    for name, _ in stored(both.source):
        columns = both.target.execute(f'PRAGMA table_info("{_doubled(name)}")')
        names = [f'"{_doubled(column[1])}"' for column in columns][:400]
        terms = ", ".join(f"typeof({n}) || quote({n}), CAST({n} AS BLOB)" for n in names)
        query = f'SELECT {terms} FROM "{_doubled(name)}" WHERE '
        query += "day >= '2025-01-01' AND day < '2025-01-04'"
        if name == "instants":
            query = query.partition(" WHERE ")[0] + " WHERE a <> 'out'"
        one, other = (side.raw(query) for side in (both.source, both.target))
        size += len(one)
        if one != other:
            wrong.append(name)
    return wrong, size


def _doubled(name: str) -> str:
    return name.replace('"', '""')


@pytest.mark.parametrize("how", ["at once", pytest.param("in chunks", marks=pytest.mark.matrix)])
def test_whatever_sqlite_holds_arrives_as_it_was(
    hostile_files: Installation, sqlite: Both, how: str
) -> None:
    def change() -> None:
        # Rows are read at once only while nobody has written since the run began to read.
        if how == "in chunks":
            sqlite.source.execute("INSERT INTO day_of (day) VALUES ('2030-01-01')")

    for _ in range(2):
        run = hostile_files.run(*DAYS, before_copying=change)
        wrong, size = differing_in_files(sqlite)
        assert (run.error, wrong, size > 300) == (None, [], True)
    said_same(hostile_files)
