"""A second process that tries for a lock file, so that the doctor can see one be refused.

    python -m sync.locking.witness PATH     a line on stdin ──► taken | held | why it could not try

What it has taken it holds until stdin ends; the kernel frees it with the process.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sync.errors import LockError
from sync.locking.file import FileLease

TAKEN, HELD = "taken", "held"


def main() -> None:
    """Answer line by line."""
    lease = FileLease(Path(sys.argv[1]))
    for _ in sys.stdin:
        try:
            answer = TAKEN if lease.acquire("") else HELD
        except LockError as error:
            answer = str(error)
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
