"""How a commit group moves: one transaction of the target holds rows, checkpoints and fence.

group.py     the transaction, the same for every way
proving.py   the proof that it arrived as it was read
stream.py    PostgreSQL → PostgreSQL: COPY into COPY through a bounded queue
attach.py    SQLite → SQLite: one INSERT … SELECT over an attached source
failing.py   what is told when copying fails
"""
