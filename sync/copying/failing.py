"""What is told when copying fails: what the database said, and how to go on.

Whether a group is tried again is the run's to decide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sync.databases.failures import Failure, failure, reason
from sync.errors import N_, ConnectError, CopyError
from sync.told import Told

if TYPE_CHECKING:
    from sync.pairing.pair import TablePair
    from sync.planning import Group

ADVICE = {
    Failure.TRANSIENT: N_(
        "It was tried {attempts} times. Start again when the database is less busy."
    ),
    Failure.DISCONNECTED: N_(
        "It was tried {attempts} times. Check the connection, then resume the run."
    ),
    Failure.DUPLICATE_KEY: N_(
        "Another row of the target or the source has the same unique values. If it stands on"
        " another day of the target, sync that day too, in one range with this one."
    ),
    Failure.OTHER_ROW: N_(
        "Another row of the target or the source excludes it. If it stands on another day of the"
        " target, sync that day too, in one range with this one."
    ),
    Failure.FOREIGN_KEY: N_(
        "Rows that name each other must stand in the target together. Sync the rows that lack, or"
        " delete those that name what is gone."
    ),
    Failure.NULL: N_("Let that column of the target be NULL, or mend the source."),
    Failure.CHECK: N_(
        "The target's constraint or partitions do not allow that row: alter them, or mend the"
        " source."
    ),
    Failure.ALTERED: N_("The table has changed since the run began. Start again."),
    Failure.RIGHTS: N_("The target must be writable for the sync's user."),
    Failure.NO_ROOM: N_("Make room on the target's disk, then resume the run."),
    Failure.CANCELLED: N_("An administrator or a timeout ended the statement. Resume the run."),
    Failure.OTHER: N_("Mend the cause in the source or the target, then resume the run."),
}


def kind_of(error: BaseException) -> Failure:
    """The class of what a mover raised; whoever cannot connect is as good as disconnected."""
    return Failure.DISCONNECTED if isinstance(error, ConnectError) else failure(error)


def not_made(pair: TablePair, error: BaseException) -> CopyError:
    """Why a table, or columns, that the target lacks could not be made there."""
    return CopyError(
        N_("Columns cannot be added to {table} in the target: {reason}")
        if pair.exists
        else N_("The table {table} cannot be made in the target: {reason}"),
        hint=N_("Make what it needs there by hand, or grant the sync's user the right to."),
        table=pair.name,
        reason=reason(error),
    )


def tried_again(group: Group, error: BaseException) -> Told:
    """Why a group starts over."""
    text = N_("{table} on {days} is tried again: {reason}")
    return Told(text, table=group.pair.name, days=group.days, reason=reason(error))


def given_up(group: Group, error: BaseException, *, attempts: int) -> CopyError:
    """Why a group failed, with advice; an error that is one already speaks for itself."""
    if isinstance(error, CopyError):
        return error
    days = str(group.days if len(group.days) > 1 else group.days.start)
    advice = Told(ADVICE[kind_of(error)], attempts=attempts)
    return CopyError(table=group.pair.name, days=days, reason=reason(error), advice=advice)
