"""An installation under test: two databases, their settings file, and everything that opens it."""

import contextlib
import io
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Literal, Protocol

from sqlalchemy import URL, Connection

from sync.copying.group import Mover, Way
from sync.doctor.databases import look_at_tables
from sync.model import DateRange, PartitionStatus, RunId, RunRequest, RunView
from sync.operations import Operations
from sync.settings import FILE_NAME, load
from sync.store import Store
from sync.wiring import STORE_FILE, open_operations

# What is a second for people is far shorter for a test; any of it can be given otherwise.
QUICK = {"retry_pause_s": 0.05, "progress_every_s": 0.1}
COMMAND_TIMEOUT_S = 100
COPY_ESCAPES = {ord("\\"): "\\\\", ord("\t"): "\\t", ord("\n"): "\\n", ord("\r"): "\\r"}


class Side(Protocol):
    """One database as a test sees it: statements on a connection of its own, each committed."""

    url: str

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """Run one statement, or several without rows; the rows, if it returns any."""
        ...

    def insert(self, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Add rows."""
        ...


class PostgresSide:
    """A PostgreSQL database."""

    def __init__(self, connection: Any, url: str) -> None:
        self.url = url
        self.reconnect(connection)

    def reconnect(self, connection: Any) -> None:
        """Go on with this connection: the server ended the last one."""
        connection.autocommit = True
        self._connection = connection

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """Run statements; the rows of the last one."""
        with self._connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def insert(self, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Add rows."""
        with self._connection.cursor() as cursor:
            lines = ("\t".join(map(_copy_text, row)) + "\n" for row in rows)
            cursor.copy_expert(f"COPY {table} FROM STDIN", io.StringIO("".join(lines)))

    def written(self, query: str, form: str) -> bytes:
        """What COPY writes of a query's rows, as text or binary."""
        rows = io.BytesIO()
        with self._connection.cursor() as cursor:
            cursor.copy_expert(f"COPY ({query}) TO STDOUT (FORMAT {form})", rows)
        return rows.getvalue()

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()


class SqliteSide:
    """An SQLite file."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.url = f"sqlite:///{file}"
        self._connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """Run one statement, or several without rows."""
        if ";" in statement:
            self._connection.executescript(statement)
            return []
        return self._connection.execute(statement).fetchall()

    def insert(self, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Add rows."""
        given = list(rows)
        places = ", ".join("?" * len(given[0]))
        self._connection.execute("BEGIN")
        self._connection.executemany(f"INSERT INTO {table} VALUES ({places})", given)
        self._connection.execute("COMMIT")

    def raw(self, query: str) -> list[str]:
        """The rows of a query, sorted, with text as the bytes that stand in the file."""
        with contextlib.closing(sqlite3.connect(self.file)) as connection:
            connection.text_factory = bytes
            return sorted(map(repr, connection.execute(query)))

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Both:
    """A source and a target of one kind."""

    kind: Literal["postgresql", "sqlite"]
    source: Side
    target: Side

    def installation(
        self, folder: Path, *tables: Mapping[str, object], **settings: Any
    ) -> "Installation":
        """An installation that syncs `tables` from the one to the other."""
        return Installation(
            folder / "installation",
            source_url=self.source.url,
            target_url=self.target.url,
            tables=tables,
            **settings,
        )

    def rows(self, query: str) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
        """What a query gives on either side, in one order."""
        source, target = (
            sorted(side.execute(query), key=str) for side in (self.source, self.target)
        )
        return source, target


def table(name: str, date_column: str, **more: object) -> dict[str, object]:
    """One `[[tables]]` section."""
    return {"name": name, "date_column": date_column, **more}


class Installation:
    """A folder with its `batch_sync.toml`; each `operations()` is one process more."""

    def __init__(
        self,
        folder: Path,
        *,
        source_url: str,
        target_url: str,
        tables: Iterable[Mapping[str, object]],
        schema: str | None = None,
        timezone: str = "UTC",
        run: Mapping[str, object] | None = None,
        lock: Mapping[str, object] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.settings_file = folder / FILE_NAME
        sections: list[tuple[str, Mapping[str, object]]] = [
            ("[source]", {"url": source_url}),
            ("[target]", {"url": target_url} | ({"schema": schema} if schema else {})),
            ("[run]", QUICK | dict(run or {})),
            ("[lock]", lock or {}),
            *(("[[tables]]", section) for section in tables),
        ]
        self.settings_file.write_text(
            _lines({"timezone": timezone})
            + "".join(f"\n{head}\n{_lines(v)}" for head, v in sections),
            encoding="utf-8",
        )
        self.settings_file.chmod(0o600)  # as `init` makes it

    def operations(self, *, before_copying: Callable[[], object] | None = None) -> Operations:
        """Open everything anew; it runs in this process.

        `before_copying` is called once a run, between its plan and its first group.
        """
        operations = open_operations(load(self.settings_file))
        if before_copying is None:
            return operations
        parts, between = operations._parts, before_copying  # noqa: SLF001 - a port is wrapped
        return Operations(replace(parts, way=lambda run_id: Interposed(parts.way(run_id), between)))

    def run(
        self,
        start: str,
        end: str | None = None,
        *,
        before_copying: Callable[[], object] | None = None,
        **request: Any,
    ) -> RunView:
        """Sync a range, both days included, to the end. Raises what a refused start raises."""
        operations = self.operations(before_copying=before_copying)
        return operations.wait(operations.start(asked(start, end, **request)), timeout_s=60)

    def command(self, *arguments: str) -> list[str]:
        """The command line of `python -m sync` for this installation."""
        del self
        return [sys.executable, "-m", "sync", *arguments]

    @property
    def environment(self) -> dict[str, str]:
        """Hand this to a child: its settings file, and English words without colours."""
        ours = {"BATCH_SYNC_CONFIG": str(self.settings_file), "LC_ALL": "C.UTF-8", "NO_COLOR": "1"}
        return os.environ | ours

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `python -m sync …` to its end."""
        return subprocess.run(
            self.command(*arguments),
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_TIMEOUT_S,
        )

    def warned(self) -> list[str]:
        """What `check` says of the tables beside what is well; far sooner than a whole check."""
        parts = self.operations()._parts  # noqa: SLF001 - one look of many
        source, target = parts.source, parts.target
        with source.connect() as reading, target.connect(reads=True) as writing:
            found = look_at_tables(
                parts.settings, source=source, target=target, reading=reading, writing=writing
            )
            return [finding.told.sentence() for finding in found if not finding.ok]

    def partitions(self, run_id: RunId) -> dict[tuple[str, str], PartitionStatus]:
        """Table and day to what became of it in a run, as the store says."""
        return {(p.table, p.day.isoformat()): p.status for p in self._store.partitions(run_id)}

    def events(self, run_id: RunId) -> list[str]:
        """The names of what happened in a run, oldest first."""
        return [line.event for line in self._store.log(run_id, limit=1000)]

    @property
    def _store(self) -> Store:
        file = load(self.settings_file).state_dir / STORE_FILE
        return Store(URL.create("sqlite", database=str(file)))


class Interposed:
    """A way that lets a test do something when the plan stands and nothing is copied yet."""

    def __init__(self, way: Way, between: Callable[[], object]) -> None:
        self._way = way
        self._between = between
        self.parallel_max = way.parallel_max

    def open(self) -> tuple[Connection, Connection]:
        """The way's own."""
        return self._way.open()

    def read(self) -> Connection:
        """The way's own."""
        return self._way.read()

    def write(self) -> Connection:
        """The way's own."""
        return self._way.write()

    def mover(self) -> Mover:
        """The way's own, after the test has had its turn."""
        self._between()
        return self._way.mover()

    def cut(self) -> None:
        """The way's own."""
        self._way.cut()

    def close(self) -> None:
        """The way's own."""
        self._way.close()


def until(condition: Callable[[], object], *, seconds: float = 20) -> None:
    """Wait until `condition` holds. Raises AssertionError when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def busy() -> float:
    """How many times longer than usual everything takes: others keep this machine busy, too."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def asked(start: str, end: str | None = None, **request: Any) -> RunRequest:
    """A request for a range of ISO days, both included; one day when there is no end."""
    days = DateRange(date.fromisoformat(start), date.fromisoformat(end or start))
    return RunRequest(days=days, **request)


def _copy_text(value: object) -> str:
    return "\\N" if value is None else str(value).translate(COPY_ESCAPES)


def _lines(values: Mapping[str, object]) -> str:
    # Texts, numbers, booleans and lists of them look the same in TOML as in JSON.
    return "".join(f"{name} = {json.dumps(v, ensure_ascii=False)}\n" for name, v in values.items())
