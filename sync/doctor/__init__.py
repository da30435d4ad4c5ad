"""The doctor: looks at one installation and says what stands in the way of a run.

    installation.py  settings, state directory, store
    databases.py     both databases: do they answer, is a pooler before them, their clocks, tables
    rights.py        what either role lacks, and the statements that grant it
    exclusion.py     that a lock is refused to a second process, session and holder at [lock] url
    lock_url.py      the server of [lock] url: its clock, and whether Redis may drop the key
    examination.py   all of that in the order in which one would mend it

A look never changes anything that a run would see: what it locks bears a name of its own.
"""

from sync.doctor.examination import Doctor
from sync.doctor.finding import Finding

__all__ = ["Doctor", "Finding"]
