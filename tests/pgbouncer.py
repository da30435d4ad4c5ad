"""A real PgBouncer before the tests' PostgreSQL."""

import contextlib
import shutil
from typing import Self

import psycopg2

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
    """Any user, every database; each transaction on whichever backend is free."""

    def __init__(self, postgres: PostgresServer, *, ignores_options: bool) -> None:
        program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
        if program is None:
            raise ServerUnavailableError("pgbouncer is not on the PATH")
        self.port = free_port()
        password = PASSWORDS[LOADER].replace("'", "''")
        server = f"host={HOST} port={postgres.port} user={LOADER} password='{password}'"
        lines = (
            *("[databases]", f"* = {server}", "[pgbouncer]", f"listen_addr = {HOST}"),
            *(f"listen_port = {self.port}", "unix_socket_dir =", "auth_type = any"),
            *("pool_mode = transaction", "max_client_conn = 200", "default_pool_size = 20"),
            *(["ignore_startup_parameters = options"] if ignores_options else []),
        )
        self._daemon = Daemon(program, config="\n".join(lines), as_nobody=True)

    def __enter__(self) -> Self:
        until(self._answers)
        return self

    def __exit__(self, *_: object) -> None:
        self._daemon.end()

    def url(self, database: str) -> str:
        """The URL of a database behind it."""
        return f"postgresql://loader@{HOST}:{self.port}/{database}"

    def _answers(self) -> bool:
        with (
            contextlib.suppress(psycopg2.Error),
            contextlib.closing(psycopg2.connect(host=HOST, port=self.port, dbname=ADMIN)),
        ):
            return True
        return False
