"""What cannot be read is told as a problem, and never taken for idle."""

from pathlib import Path

import pytest

from sync.model import RunId
from tests.installation import Both, Installation, table

A_TABLE = "CREATE TABLE orders (id INTEGER PRIMARY KEY, day DATE)"
RUN = RunId("20261124-100000-abcdef")


@pytest.fixture
def place(postgresql: Both, tmp_path: Path) -> Installation:
    postgresql.source.execute(A_TABLE)
    return postgresql.installation(tmp_path, table("orders", "day"))


def test_a_source_that_may_not_be_read_is_a_problem_and_idle_all_the_same(
    place: Installation, postgresql: Both
) -> None:
    postgresql.source.execute("REVOKE SELECT ON orders FROM loader")
    seen = place.operations().snapshot()
    assert (seen.state, seen.data_range) == ("idle", None)
    told = str(seen.problem)
    assert told.startswith("The source database ")
    assert " refuses: permission denied for table orders. " in told


def test_a_target_whose_record_may_not_be_read_is_not_called_idle(
    place: Installation, postgresql: Both
) -> None:
    place.run("2025-01-06")
    postgresql.target.execute("REVOKE SELECT ON batch_sync_run FROM loader")
    operations = place.operations()
    with operations._parts.lock.open(RUN) as held:  # noqa: SLF001 - one of another host
        assert held.take("{}") is None
        seen = operations.snapshot()
        assert (seen.state, seen.run) == ("unknown", None)
        assert "permission denied for table batch_sync_run" in str(seen.problem)


def test_a_target_that_does_not_answer_leaves_it_unknown_and_nothing_is_cancelled(
    place: Installation,
) -> None:
    settings = place.settings_file.read_text()
    target = settings.index("[target]")
    place.settings_file.write_text(
        settings[:target] + settings[target:].replace("/db_", "/gone_", 1)
    )
    status = place.cli("status")
    assert (status.returncode, status.stdout) == (
        5,
        "Unknown: whether a sync runs cannot be told.\n",
    )
    assert "The target database " in status.stderr
    said = place.cli("status", "--json")
    assert (said.returncode, '"state": "unknown"' in said.stdout) == (5, True)
    cancel = place.cli("cancel")
    assert (cancel.returncode, cancel.stdout) == (5, "")
    assert "The target database " in cancel.stderr
