"""Days in version 1 on both sides, for runs that tests pause, signal and kill."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.crash.days import FIRST_DAY, Days, make_days, postgres_both, sqlite_both
from tests.servers import Databases, PostgresServer


@pytest.fixture
def postgres_days(postgres: PostgresServer, databases: Databases, tmp_path: Path) -> Iterator[Days]:
    """Five days, synced already, and changed in the source since."""
    both = postgres_both(postgres, databases)
    with closing(both.source), closing(both.target):
        days = make_days(both, tmp_path, 5)
        days.installation.run(FIRST_DAY, days.last_day)
        days.write(2)
        yield days


@pytest.fixture
def sqlite_days(tmp_path: Path) -> Iterator[Days]:
    """The same in files."""
    both = sqlite_both(tmp_path)
    with closing(both.source), closing(both.target):
        days = make_days(both, tmp_path, 5)
        days.installation.run(FIRST_DAY, days.last_day)
        days.write(2)
        yield days
