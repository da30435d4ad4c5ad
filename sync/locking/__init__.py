"""The lock: at most one run goes.

    start ──► file lock ──► session lock ──► token ──► running
                 │held          │held          (lease.py)
                 └──► LeaseHeld, naming who holds it *now*

Two layers, because a lock alone cannot protect another system: a paused holder wakes up and writes.
The lock (file.py, session.py) decides who may start; the fence (`sync.databases.ledger`) decides
who may commit. A lock is freed by the kernel or the database server when its holder dies, never by
its age. What cannot be asked counts as held.

    holder.py   who we are, and what became of a process
    file.py     the lock on this machine
    session.py  the lock in a PostgreSQL target
    lock.py     both together: take all or none, and who has them
    lease.py    the lock with its token: take, beat, check, release
    verdict.py  what the evidence says of a holder
"""
