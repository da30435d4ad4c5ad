"""How a commit group moves: one transaction of the target holds rows, checkpoints and fence.

group.py     the transaction, the same for every way
proving.py   the proof that it arrived as it was read
fitting.py   values that the target cannot hold are refused before the first row
stream.py    rows through a bounded pipe: a reader and a writer put together
reading.py   what reads a group ahead of its turn, and does it from PostgreSQL
from_sqlite.py, into_postgres.py, into_sqlite.py   the other ends of the pipe
copy_text.py   what goes through the pipe between engines: COPY's text
attach.py    SQLite → SQLite: one INSERT … SELECT over an attached source
failing.py   what is told when copying fails
"""
