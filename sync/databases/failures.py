"""What a driver's error means.

Worth another try, the connection is gone, a key stands twice, a right lacks.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING

import psycopg2
import psycopg2.errors
from sqlalchemy.exc import DBAPIError

from sync.errors import BatchSyncError, ConnectError, RightsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sync.databases.port import Database


class Failure(StrEnum):
    """The classes of error that are handled differently."""

    DISCONNECTED = "disconnected"
    TRANSIENT = "transient"
    DUPLICATE_KEY = "duplicate_key"
    OTHER_ROW = "other_row"
    FOREIGN_KEY = "foreign_key"
    NULL = "null"
    CHECK = "check"
    ALTERED = "altered"
    RIGHTS = "rights"
    NO_ROOM = "no_room"
    CANCELLED = "cancelled"
    OTHER = "other"


FACT_MAX = 200  # characters of a detail: it may quote a whole row
DRIVER_ERRORS = (DBAPIError, psycopg2.Error, sqlite3.Error)
TRANSIENT = (
    psycopg2.errors.DeadlockDetected,
    psycopg2.errors.SerializationFailure,
    psycopg2.errors.LockNotAvailable,
    psycopg2.errors.TooManyConnections,
)
DISCONNECTED = (
    psycopg2.errors.AdminShutdown,
    psycopg2.errors.CrashShutdown,
    psycopg2.errors.CannotConnectNow,
    psycopg2.errors.IdleInTransactionSessionTimeout,
)
RIGHTS = (psycopg2.errors.InsufficientPrivilege, psycopg2.errors.ReadOnlySqlTransaction)
SQLITE = {
    "SQLITE_BUSY": Failure.TRANSIENT,
    "SQLITE_LOCKED": Failure.TRANSIENT,
    "SQLITE_CONSTRAINT_PRIMARYKEY": Failure.DUPLICATE_KEY,
    "SQLITE_CONSTRAINT_UNIQUE": Failure.DUPLICATE_KEY,
    "SQLITE_CONSTRAINT_ROWID": Failure.DUPLICATE_KEY,
    "SQLITE_CONSTRAINT_FOREIGNKEY": Failure.FOREIGN_KEY,
    "SQLITE_CONSTRAINT_NOTNULL": Failure.NULL,
    "SQLITE_CONSTRAINT_CHECK": Failure.CHECK,
    "SQLITE_READONLY": Failure.RIGHTS,
    "SQLITE_PERM": Failure.RIGHTS,
    "SQLITE_FULL": Failure.NO_ROOM,
    "SQLITE_INTERRUPT": Failure.CANCELLED,
}


def driver_error(error: BaseException) -> BaseException:
    """The driver's own exception inside SQLAlchemy's, or the exception itself."""
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error


def failure(error: BaseException) -> Failure:
    """The class of a driver's error."""
    found = driver_error(error)
    if isinstance(found, sqlite3.Error):
        name = getattr(found, "sqlite_errorname", "")
        return next(
            (kind for prefix, kind in SQLITE.items() if name.startswith(prefix)), Failure.OTHER
        )
    if isinstance(found, psycopg2.Error):
        return _postgres_failure(found)
    return Failure.OTHER


def _postgres_failure(error: psycopg2.Error) -> Failure:
    classes: tuple[tuple[tuple[type[psycopg2.Error], ...], Failure], ...] = (
        (TRANSIENT, Failure.TRANSIENT),
        (DISCONNECTED, Failure.DISCONNECTED),
        ((psycopg2.errors.UniqueViolation,), Failure.DUPLICATE_KEY),
        ((psycopg2.errors.ExclusionViolation,), Failure.OTHER_ROW),
        ((psycopg2.errors.ForeignKeyViolation,), Failure.FOREIGN_KEY),
        ((psycopg2.errors.NotNullViolation,), Failure.NULL),
        ((psycopg2.errors.CheckViolation,), Failure.CHECK),
        ((psycopg2.errors.UndefinedColumn, psycopg2.errors.UndefinedTable), Failure.ALTERED),
        (RIGHTS, Failure.RIGHTS),
        ((psycopg2.errors.DiskFull,), Failure.NO_ROOM),
        ((psycopg2.errors.QueryCanceled,), Failure.CANCELLED),
    )
    for types, kind in classes:
        if isinstance(error, types):
            return kind
    # libpq reports a lost connection without an SQLSTATE.
    lost = (
        isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError) and not error.pgcode
    )
    return Failure.DISCONNECTED if lost else Failure.OTHER


def reason(error: BaseException) -> str:
    """The database's own words, in one line."""
    found = driver_error(error)
    diagnosis = getattr(found, "diag", None)
    if diagnosis is not None and diagnosis.message_primary:
        facts = [
            diagnosis.message_detail,
            diagnosis.column_name and f"column {diagnosis.column_name}",
            diagnosis.context,
        ]
        told = "; ".join(" ".join(fact.split())[:FACT_MAX] for fact in facts if fact)
        return f"{diagnosis.message_primary} ({told})" if told else str(diagnosis.message_primary)
    return " ".join(str(found).split()) or type(found).__name__


def refusal(error: BaseException, database: Database) -> BatchSyncError:
    """A driver's error for people: which database, where, and its own words."""
    facts = {"role": database.role, "address": database.address, "reason": reason(error)}
    if failure(error) in {Failure.RIGHTS, Failure.NO_ROOM}:
        return RightsError(statements="python -m sync check", **facts)
    return ConnectError(**facts)


@contextmanager
def asking(database: Database) -> Iterator[None]:
    """What a database answers with an error of its driver, raise as ConnectError, RightsError."""
    try:
        yield
    except DRIVER_ERRORS as error:
        raise refusal(error, database) from None
