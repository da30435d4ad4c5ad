"""One commit group, whole or not at all.

    DELETE the days' rows → load the new ones → proof → checkpoints → fence → COMMIT

Rows, checkpoint and fence commit together: a kill anywhere here leaves each day old or new, never
between.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from sync.copying.proving import prove
from sync.databases.failures import DRIVER_ERRORS, Failure, failure
from sync.databases.ledger_rows import Checkpoint
from sync.errors import N_, CopyError
from sync.model import DateRange
from sync.planning import shrinks
from sync.told import Told

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from sqlalchemy import Connection

    from sync.databases.digest import Digest
    from sync.locking.lease import Lease
    from sync.planning import Group


class Mover(Protocol):
    """A way to move groups, with its connections; used by one thread but for `interrupt`."""

    def writer(self) -> Connection:
        """The target's connection. Raises ConnectError."""
        ...

    def prefetch(self, group: Group) -> None:
        """Begin to read a group ahead of its turn."""
        ...

    def delete_days(self, group: Group) -> None:
        """Remove the rows of the group's days from the target."""
        ...

    def load(self, group: Group) -> Mapping[date, int]:
        """Write the group's rows.

        The rows of each day. Raises SourceLost, Cancelled, CopyError, DBAPIError.
        """
        ...

    def load_moved(self, group: Group) -> tuple[Mapping[date, int], list[date]]:
        """As `load`, but rows of its keys on other days go first.

        Also those days. For keys that moved.
        """
        ...

    def count(self, group: Group) -> int:
        """How many rows the target has on the group's days, as this transaction sees it."""
        ...

    def standing(self, group: Group) -> Mapping[date, int]:
        """How many rows the target has on each of the days, as this transaction sees it."""
        ...

    def digests(self, group: Group) -> tuple[Mapping[date, Digest], Mapping[date, Digest]]:
        """The digests of its days: in the source as it was read, in the target as it is now.

        After `load`, for groups whose digests are to be compared.
        """
        ...

    def settled(self, group: Group, lease: Lease) -> bool:
        """After a lost answer to COMMIT.

        Whether it was committed, asked once the old session is gone.
        """
        ...

    def reset(self) -> None:
        """Forget what was read ahead and any broken connection; the next use makes new ones."""
        ...

    def interrupt(self) -> None:
        """Make whatever is under way end at once; called from another thread."""
        ...

    def close(self) -> None:
        """Let go of every connection."""
        ...


class Way(Protocol):
    """How rows get from this kind of source to this kind of target, for one run."""

    parallel_max: int

    def open(self) -> tuple[Connection, Connection]:
        """What `read` and `write` give, before either was called. Raises ConnectError."""
        ...

    def read(self) -> Connection:
        """The connection to count on, inside the run's snapshot. Raises ConnectError."""
        ...

    def write(self) -> Connection:
        """The target's connection to plan on. Raises ConnectError."""
        ...

    def mover(self) -> Mover:
        """One mover; at most `parallel_max` are asked for."""
        ...

    def cut(self) -> None:
        """Take every connection away from the threads that have them, which may hang.

        What was not committed is rolled back; from another thread.
        """
        ...

    def close(self) -> None:
        """Let go of what `read` opened."""
        ...


@dataclass(frozen=True, slots=True)
class Moved:
    """What became of a group. `elsewhere` are the days that lost rows to it.

    `digests` are those of its days on both sides, where they were compared.
    """

    rows_by_day: Mapping[date, int]
    elsewhere: tuple[date, ...] = ()
    digests: Mapping[date, Digest] = field(default_factory=dict)


def replace_group(mover: Mover, group: Group, lease: Lease) -> Moved:
    """Bring one group to the target in one transaction; returns after its commit.

    Raises LeaseLost from the fence, and whatever the databases raise; then nothing of it was
    written.
    """
    pair = group.pair
    if pair.key and not pair.key_enforced:
        # Nothing in the target would refuse a second row of one key, so it cannot be found out by
        # trying.
        return _replace(mover, group, lease, moved=True)
    try:
        return _replace(mover, group, lease, moved=False)
    except DRIVER_ERRORS as error:
        if not pair.key or failure(error) is not Failure.DUPLICATE_KEY:
            raise
    mover.reset()
    return _replace(mover, group, lease, moved=True)


def _replace(mover: Mover, group: Group, lease: Lease, *, moved: bool) -> Moved:
    connection = mover.writer()
    transaction = connection.begin()
    try:
        if group.pair.target.rules.deferrable:
            # So that rows which other rows name may go and come again.
            connection.exec_driver_sql("SET CONSTRAINTS ALL DEFERRED")
        mover.delete_days(group)
        rows, elsewhere = mover.load_moved(group) if moved else (mover.load(group), [])
        _refuse_shrunk(group, rows)
        if elsewhere:
            _refuse_key_twice(connection, group, lease, elsewhere)
        digests = prove(mover, group, rows)
        _write_checkpoints(connection, group, lease, rows, elsewhere, digests)
        lease.fence(connection)
    except BaseException:
        with suppress(*DRIVER_ERRORS):
            transaction.rollback()
        raise
    try:
        transaction.commit()
    except DRIVER_ERRORS as error:
        # The answer was lost, not the commit: never try again blindly.
        with suppress(*DRIVER_ERRORS):
            transaction.rollback()  # a constraint that could wait until now has refused it
        if failure(error) is not Failure.DISCONNECTED or not mover.settled(group, lease):
            raise
    return Moved(rows_by_day=rows, elsewhere=tuple(elsewhere), digests=digests)


def _refuse_shrunk(group: Group, rows: Mapping[date, int]) -> None:
    """Rows that were counted anew since the plan are guarded anew."""
    if group.shrink_max is None:
        return
    for partition in group.partitions:
        if shrinks(rows.get(partition.day, 0), partition.target_rows, group.shrink_max):
            raise CopyError(
                table=group.pair.name,
                days=str(partition.day),
                reason=Told(
                    N_("the source has {rows} rows now, {target_rows} stand in the target"),
                    rows=rows.get(partition.day, 0),
                    target_rows=partition.target_rows,
                ),
                advice=Told(
                    N_("If the source is right, start again and let held back days through.")
                ),
            )


def _refuse_key_twice(
    connection: Connection, group: Group, lease: Lease, elsewhere: list[date]
) -> None:
    """Days of this very run cannot lose rows to this group, unless a key stands twice."""
    days = DateRange(min(elsewhere), max(elsewhere))
    known = lease.ledger.checkpoints(connection, tables=[group.pair.name], days=days)
    mine = [
        d for d in elsewhere if (c := known.get((group.pair.name, d))) and c.run_id == lease.run_id
    ]
    if mine:
        raise CopyError(
            table=group.pair.name,
            days=str(group.days),
            reason=Told(
                N_("rows of one key stand on {day} of the source, too"),
                day=", ".join(map(str, mine)),
            ),
            advice=Told(N_("Give the table a key in the settings that tells its rows apart.")),
        )


def _write_checkpoints(
    connection: Connection,
    group: Group,
    lease: Lease,
    rows: Mapping[date, int],
    elsewhere: list[date],
    digests: Mapping[date, Digest],
) -> None:
    if elsewhere:
        lease.ledger.forget_checkpoints(connection, group.pair.name, elsewhere)
    lease.ledger.write_checkpoints(
        connection,
        [
            Checkpoint(
                table=group.pair.name,
                day=partition.day,
                rows=rows.get(partition.day, 0),
                definition=group.pair.definition,
                day_closed=partition.day_closed,
                run_id=lease.run_id,
                token=lease.token,
                digest=digests[partition.day].value if digests else None,
                digest_kind=group.pair.digest_kind if digests else None,
            )
            for partition in group.partitions
        ],
    )
