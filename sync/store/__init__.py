"""The progress store: what every view polls. The truth about rows stands in the target.

SQLite (WAL) in the state directory by default.

schema.py    the tables
rows.py      rows as values, values as rows
store.py     what is written and asked
queue.py     the same of the queue
marks.py     digests that were taken
rates.py     how fast past runs were
patience.py  how long a server is waited for
"""

from sync.store.marks import StoredMarks
from sync.store.queue import StoredQueue
from sync.store.rates import PastRun
from sync.store.store import NewRun, Store, Tick

__all__ = ["NewRun", "PastRun", "Store", "StoredMarks", "StoredQueue", "Tick"]
