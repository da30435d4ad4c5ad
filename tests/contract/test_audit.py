"""What the target itself says of exclusion: nothing where all was well, every planted fault."""

from pathlib import Path

import pytest

from sync.databases.audit import Audit, FaultKind
from sync.errors import ConnectError
from sync.model import RunId, RunStatus
from tests.installation import Both, Installation, table

# An hour on, as each engine writes it.
LATER = {
    "postgresql": "clock_timestamp() + interval '1 hour'",
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f', 'now', '+1 hour')",
}
OURS = ("batch_sync_lease", "batch_sync_run", "batch_sync_checkpoint")


class Place:
    """One table of two days, synced by two runs, a day each."""

    def __init__(self, both: Both, installation: Installation) -> None:
        self.target = both.target
        self.later = LATER[both.kind]
        self.installation = installation
        self.first = installation.run("2025-10-01").id
        self.second = installation.run("2025-10-02").id

    def audit(self) -> Audit:
        return self.installation.operations().audit()

    def faults(self) -> list[tuple[FaultKind, RunId, RunId | None]]:
        """Kind, run and next run of each fault."""
        return [(f.kind, f.run.run_id, f.next and f.next.run_id) for f in self.audit().faults]

    def forge(self, run_id: str, *, token: int, acquired_at: str) -> None:
        """A run that ended, as a second holder at the same time would have left it."""
        self.target.execute(
            "INSERT INTO batch_sync_run SELECT"
            f" {token}, '{run_id}', holder, start_date, end_date, tables, {acquired_at},"
            " beat_at, rows_done, rows_total, partitions_done, partitions_total,"
            " released_at, outcome, ended_by, reason FROM batch_sync_run WHERE token = 1"
        )


@pytest.fixture
def place(both: Both, tmp_path: Path) -> Place:
    both.source.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, day DATE)")
    both.source.insert("orders", [(1, "2025-10-01"), (2, "2025-10-02")])
    return Place(both, both.installation(tmp_path, table("orders", "day")))


def test_runs_one_after_the_other_show_no_fault_even_with_a_token_that_no_run_had(
    place: Place,
) -> None:
    place.target.execute("UPDATE batch_sync_lease SET token = token + 1")  # as a takeover does
    place.installation.run("2025-10-01")
    assert place.audit() == Audit(runs=3)


def test_runs_after_a_restored_backup_show_no_fault(place: Place) -> None:
    for name in OURS:
        place.target.execute(f"CREATE TABLE {name}_old AS SELECT * FROM {name}")
    forgotten = place.installation.run("2025-10-01").token
    for name in OURS:
        place.target.execute(f"DELETE FROM {name}")
        place.target.execute(f"INSERT INTO {name} SELECT * FROM {name}_old")
    assert place.installation.run("2025-10-01", "2025-10-02").token == forgotten
    assert place.audit() == Audit(runs=3)


def test_a_commit_in_a_later_runs_time_is_told_with_both_runs_and_what_was_written(
    place: Place,
) -> None:
    place.target.execute(
        f"UPDATE batch_sync_checkpoint SET committed_at = {place.later} WHERE token = 1"
    )
    found = place.audit()
    [fault] = found.faults
    assert found.overlaps == 1
    assert fault.next is not None
    assert (fault.kind, fault.run.run_id, fault.next.run_id) == (
        FaultKind.OVERLAP,
        place.first,
        place.second,
    )
    assert (fault.run.token, fault.next.token, fault.table, str(fault.day)) == (
        1,
        2,
        "orders",
        "2025-10-01",
    )
    assert fault.run.holder is not None
    assert None not in (fault.committed_at, fault.next.acquired_at)


def test_a_second_holder_at_the_same_time_is_told(place: Place) -> None:
    begun = "(SELECT acquired_at FROM batch_sync_run WHERE token = 1)"
    place.forge("forged", token=3, acquired_at=begun)
    assert place.faults() == [
        (FaultKind.OVERLAP, place.second, "forged"),
        (FaultKind.ORDER, place.second, "forged"),
    ]


def test_a_run_without_an_end_is_told_unless_it_holds_the_lease_now(place: Place) -> None:
    place.target.execute("UPDATE batch_sync_run SET released_at = NULL")
    place.target.execute("UPDATE batch_sync_lease SET released_at = NULL")
    assert place.faults() == [(FaultKind.OPEN, place.first, None)]


def test_a_checkpoint_of_no_run_is_told(place: Place) -> None:
    place.target.execute("UPDATE batch_sync_checkpoint SET run_id = 'nobody' WHERE token = 1")
    assert place.faults() == [(FaultKind.STRANGER, "nobody", None)]


def test_a_target_that_never_saw_a_run_has_no_fault(both: Both, tmp_path: Path) -> None:
    empty = both.installation(tmp_path, table("orders", "day"))
    assert empty.operations().audit() == Audit(runs=0)


def test_an_odd_row_keeps_nobody_from_the_others(place: Place) -> None:
    odd = {
        "holder": ("{broken", "{}", "null"),
        "tables": ("nope", "5"),
        "outcome": ("exploded",),
    }
    every = [(column, value) for column, values in odd.items() for value in values]
    for token, (column, value) in enumerate(every, start=3):
        place.forge(f"odd-{token}", token=token, acquired_at=place.later)
        place.target.execute(
            f"UPDATE batch_sync_run SET {column} = '{value}' WHERE token = {token}"
        )
    assert place.audit() == Audit(runs=2 + len(every))
    # With their ends taken away it is the next start that reads them, to close them.
    place.target.execute("UPDATE batch_sync_run SET released_at = NULL WHERE token > 2")
    assert {kind for kind, *_ in place.faults()} == {FaultKind.OPEN}
    assert place.installation.run("2025-10-01").status is RunStatus.SUCCEEDED
    assert place.installation.cli("history", "--audit").returncode != 70


def test_our_tables_with_a_column_gone_are_told(place: Place) -> None:
    place.target.execute("ALTER TABLE batch_sync_run DROP COLUMN holder")
    with pytest.raises(ConnectError, match="holder"):
        place.audit()
