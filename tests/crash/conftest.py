"""What is taken over: three days half way to their next version, and a holder that is paused."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sync.model import RunId
from tests.crash.children import Child, sync_days_and_hang
from tests.crash.days import FIRST_DAY, Days, days_in_postgres, days_in_sqlite
from tests.crash.takeovers import QUICK
from tests.servers import Databases, PostgresServer


@pytest.fixture
def postgres_days(postgres: PostgresServer, databases: Databases, tmp_path: Path) -> Iterator[Days]:
    """Three days that were synced in version 1 and are in version 2 in the source now."""
    with days_in_postgres(postgres, databases, tmp_path, 3, **QUICK) as days:
        days.installation.run(FIRST_DAY, days.last_day)
        days.write(2)
        yield days


@pytest.fixture
def sqlite_days(tmp_path: Path) -> Iterator[Days]:
    """The same in files."""
    with days_in_sqlite(tmp_path, 3, **QUICK) as days:
        days.installation.run(FIRST_DAY, days.last_day)
        days.write(2)
        yield days


@pytest.fixture(params=["postgresql", "sqlite"])
def days(request: pytest.FixtureRequest) -> Any:
    kind = "postgres" if request.param == "postgresql" else "sqlite"
    return request.getfixturevalue(f"{kind}_days")


@pytest.fixture
def stopped(days: Days) -> Iterator[tuple[Child, RunId]]:
    """A process that is paused in the middle of a transaction."""
    with Child(
        sync_days_and_hang, days.installation.settings_file, FIRST_DAY, days.last_day
    ) as child:
        run_id = child.told()
        child.stop()
        yield child, run_id
