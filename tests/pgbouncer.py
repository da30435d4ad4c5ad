"""A real PgBouncer before the tests' PostgreSQL."""

import contextlib
import shutil
from typing import Self

import psycopg2
from sqlalchemy import make_url

from tests.daemon import Daemon
from tests.installation import until
from tests.servers import (
    ADMIN,
    HOST,
    LOADER,
    PASSWORDS,
    PostgresServer,
    ServerUnavailableError,
    free_port,
)


class PgBouncer:
    """Any login, every database. By transaction, each one is on whichever backend is free.

    Unless it ignores `options`, it refuses clients that ask for some.
    """

    def __init__(
        self, postgres: PostgresServer, *, mode: str = "transaction", ignores_options: bool = True
    ) -> None:
        program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
        if program is None:
            raise ServerUnavailableError("pgbouncer is not on the PATH")
        self.port = free_port()
        password = PASSWORDS[LOADER].replace("'", "''")
        server = f"host={HOST} port={postgres.port} user={LOADER} password='{password}'"
        lines = (
            *("[databases]", f"* = {server}", "[pgbouncer]", f"listen_addr = {HOST}"),
            *(f"listen_port = {self.port}", "unix_socket_dir =", "auth_type = any"),
            *(f"pool_mode = {mode}", "max_client_conn = 200", "default_pool_size = 20"),
            *(["ignore_startup_parameters = options"] if ignores_options else []),
        )
        self._daemon = Daemon(program, config="\n".join(lines), as_nobody=True)

    def __enter__(self) -> Self:
        until(self._answers)
        return self

    def __exit__(self, *_: object) -> None:
        self._daemon.end()

    def url(self, url: str) -> str:
        """The same login and database by way of the pooler."""
        through = make_url(url).set(host=HOST, port=self.port)
        return through.render_as_string(hide_password=False)

    def _answers(self) -> bool:
        with (
            contextlib.suppress(psycopg2.Error),
            contextlib.closing(psycopg2.connect(host=HOST, port=self.port, dbname=ADMIN)),
        ):
            return True
        return False
