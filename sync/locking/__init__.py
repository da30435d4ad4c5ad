"""The lock: at most one run goes.

    start ──► file lock ──► session lock ──► lock of [lock] url ──► token ──► running
                 │held          │held             │held              (lease.py)
                 └──────────────┴─────────────────┴──► LeaseHeld, naming who holds it *now*

Two layers, because a lock alone cannot protect another system: a paused holder wakes up and writes.
The lock decides who may start; the fence (`sync.databases.ledger`) decides who may commit. File and
session are freed by the kernel or the database server when their holder dies, never by their age;
Redis drops a key that is not renewed. What cannot be asked counts as held.

    holder.py   who we are, and what became of a process
    record.py   who holds a lock, as it stands in or beside it
    port.py     what one lock is
    file.py     the lock on this machine
    session.py  the lock in a PostgreSQL target, or in the PostgreSQL of [lock] url
    redis.py    the lock in the Redis of [lock] url
    lock.py     all together: take all or none, and who has them
    lease.py    the lock with its token: take, beat, check, release
    verdict.py  what the evidence says of a holder
    witness.py  a second process for the doctor, to be refused a lock file
"""
