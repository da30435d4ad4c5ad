"""What we know of each database engine, and the tables we keep in the target.

port.py      what the rest of the package asks of a database
postgres.py  PostgreSQL          sqlite.py  SQLite
postgres_catalog.py  what its catalogue says of a table    postgres_types.py  of types made there
shape.py     columns, keys and date classes as values
sqlite_types.py  what its types mean, and what it makes of a value that is stored
digest.py    what proves that rows are the same    postgres_digest.py  its SQL
postgres_marks.py  what tells that rows were not touched
postgres_days.py  days and keys as its SQL    sqlite_days.py  its dates, which are texts
crossing.py  types between engines    values.py  their values    misfits.py  those that do not fit
days.py      calendar days as half-open bounds
instants.py  the database's clock, and points in time in every engine
ledger.py    batch_sync_lease, batch_sync_run, batch_sync_checkpoint
failures.py  what a driver's error means
stop.py      how a statement under way is made to end
"""
