"""The progress store: what every view polls. The truth about rows stands in the target.

SQLite (WAL) in the state directory by default.

schema.py    the tables
rows.py      rows as values, values as rows
store.py     what is written and asked
queue.py     the same of the queue
marks.py     digests that were taken
past.py      what past runs tell
patience.py  how long a server is waited for
"""

from sync.store.marks import StoredMarks
from sync.store.past import PastRun
from sync.store.queue import StoredQueue
from sync.store.store import NewRun, Store, Tick

__all__ = ["NewRun", "PastRun", "Store", "StoredMarks", "StoredQueue", "Tick"]
