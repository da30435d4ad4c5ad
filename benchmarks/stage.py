"""One PostgreSQL with a source and a target database, the state between rounds, a settings file."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from psycopg2.extensions import connection as Connection  # noqa: N812 - a class
from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class

from benchmarks.data import Table
from tests.servers import HOST, LOADER, PASSWORDS, PostgresServer

# Durability stays as PostgreSQL ships it. Checkpoints and vacuum happen between rounds, where the
# benchmark asks for them; inside a round they would only be noise, on both sides alike.
SERVER_SETTINGS = {
    "shared_buffers": "512MB",
    "min_wal_size": "4GB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "1h",
    "autovacuum": "off",
}
SETTINGS_FILE = """
timezone = "UTC"
[source]
url = '{source_url}'
[target]
url = '{target_url}'
[[tables]]
name = "{table.name}"
date_column = "{table.date_column}"
[run]
{run_settings}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A running server; `source` and `target` are its databases, `folder` holds settings files."""

    server: PostgresServer
    source: str
    target: str
    folder: Path

    @contextlib.contextmanager
    def connected(self, database: str) -> Iterator[Connection]:
        """A connection of the owner."""
        with contextlib.closing(self.server.connect(database)) as connection:
            yield connection

    def execute(self, database: str, *statements: str) -> None:
        """Each statement on its own, outside a transaction, as the owner."""
        with self.connected(database) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            for statement in statements:
                cursor.execute(statement)

    def create_target(self, table: Table) -> None:
        """An empty table in the target, with the source's columns, key and date index."""
        with self.connected(self.source) as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT string_agg(format('%%I %%s%%s', attname, format_type(atttypid, atttypmod),"
                " CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END), ', ' ORDER BY attnum)"
                " FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0",
                [table.name],
            )
            columns = _first(cursor)
        self.execute(
            self.target,
            f"CREATE TABLE {table.name} ({columns}, PRIMARY KEY (id))",
            f"CREATE INDEX ON {table.name} ({table.date_column})",
        )

    def truncate(self, table: Table) -> None:
        """No row of the table in the target, and no checkpoint that speaks of one."""
        self.execute(self.target, f"TRUNCATE {table.name}")
        if self.value("SELECT to_regclass('batch_sync_checkpoint')") is not None:
            self.execute(self.target, "TRUNCATE batch_sync_checkpoint")

    def settle(self, table: Table) -> None:
        """Let no work of the preparation fall into the round."""
        self.execute(self.target, f"VACUUM ANALYZE {table.name}")
        self.server.execute("CHECKPOINT")

    def value(self, query: str, *, database: str | None = None) -> object:
        """The first value of the first row of a query, in the target if not told otherwise."""
        with self.connected(database or self.target) as connection, connection.cursor() as cursor:
            cursor.execute(query)
            return _first(cursor)

    def check_count(self, table: Table) -> None:
        """Stop the benchmark if the target does not have all rows of the table."""
        rows = self.value(f"SELECT count(*) FROM {table.name}")
        if rows != table.rows:
            raise SystemExit(f"the target's {table.name} has {rows} rows, expected {table.rows}")

    def check_content(self, table: Table) -> None:
        """Stop the benchmark if any value in the target is another than in the source."""
        digest = f"SELECT sum(hashtextextended({table.name}::text, 0)) FROM {table.name}"
        if self.value(digest) != self.value(digest, database=self.source):
            raise SystemExit(f"{table.name} is not the same in source and target")

    def write_settings(self, table: Table, *, run_settings: str = "") -> Path:
        """A settings file for this table alone; the path."""
        folder = self.folder / table.name
        folder.mkdir(exist_ok=True)
        path = folder / "batch_sync.toml"
        path.write_text(
            SETTINGS_FILE.format(
                source_url=self.server.url(self.source),
                target_url=self.server.url(self.target),
                table=table,
                run_settings=run_settings,
            ),
            encoding="utf-8",
        )
        return path

    def psql_environment(self) -> dict[str, str]:
        """What psql needs to log in as the owner, without a password on a command line."""
        return {
            **os.environ,
            "PGHOST": HOST,
            "PGPORT": str(self.server.port),
            "PGUSER": LOADER,
            "PGPASSWORD": PASSWORDS[LOADER],
            "PGTZ": "UTC",
        }


def _first(cursor: Cursor) -> object:
    row = cursor.fetchone()
    return row[0] if row else None


@contextlib.contextmanager
def open_stage() -> Iterator[Stage]:
    """Start a server with fsync, and make the two databases; both are gone at the end."""
    with (
        PostgresServer(fsync=True) as server,
        tempfile.TemporaryDirectory(prefix="batch_sync_benchmark_") as folder,
    ):
        for name, value in SERVER_SETTINGS.items():
            server.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        server.restart()
        yield Stage(
            server=server,
            source=server.create_database(),
            target=server.create_database(),
            folder=Path(folder),
        )
