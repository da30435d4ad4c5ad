"""A process that moves amounts between rows of two tables as fast as it can, until it is ended.

`python -m tests.transfers URL`: each transfer is one transaction over both tables, so that at any
instant all amounts together are what they were.
"""

import os
import random
import sqlite3
import sys
from typing import Any

import psycopg2
from sqlalchemy import make_url

ACCOUNTS = 500  # in each table
TABLES = "accounts_a", "accounts_b"


def connected(url: str) -> tuple[Any, str]:
    """A connection, and how its driver writes a parameter."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return sqlite3.connect(parsed.database or "", timeout=60), "?"
    connection = psycopg2.connect(
        host=parsed.host,
        port=parsed.port,
        user=parsed.username,
        password=parsed.password,
        dbname=parsed.database,
    )
    return connection, "%s"


def transfer(url: str) -> None:
    """Go on until the parent process is gone."""
    connection, mark = connected(url)
    cursor, parent = connection.cursor(), os.getppid()
    dice = random.Random(1)  # noqa: S311 - so that it is the same each time
    change = "UPDATE {} SET amount = amount + {mark} WHERE id = {mark}"
    while os.getppid() == parent:
        amount = dice.randrange(-1000, 1000)
        # The same table first, so that no two ever wait for each other.
        for table, change_of in zip(TABLES, (amount, -amount), strict=True):
            account = dice.randrange(ACCOUNTS)
            cursor.execute(change.format(table, mark=mark), (change_of, account))
        connection.commit()


if __name__ == "__main__":
    transfer(sys.argv[1])
