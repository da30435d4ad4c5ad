"""The proof that a group arrived as it was read, inside its transaction, before the commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sync.errors import N_, CopyError
from sync.model import Verify
from sync.told import Told

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from sync.copying.group import Mover
    from sync.databases.digest import Digest
    from sync.planning import Group

LOOK_FOR = N_("Look for triggers or rules on the target that drop or add rows, then start again.")
CHANGES = N_(
    "Look for triggers, rules or column types of the target that change values, then start again."
)


def prove(mover: Mover, group: Group, rows: Mapping[date, int]) -> Mapping[date, Digest]:
    """Compare the target with what was read, as closely as the group asks for.

    The digests of its days, where they were taken. Raises CopyError where something differs.
    """
    if group.verify is Verify.DIGEST:
        there, here = mover.digests(group)
        for day in group.days.days():
            _expect_same(group, day, there[day], here[day])
        return here
    # Somebody's trigger may drop rows that COPY has counted, or put them on another day.
    if group.pair.target.rules.triggers:
        standing = mover.standing(group)
        for day in group.days.days():
            expect_rows(group, counted=rows.get(day, 0), copied=standing.get(day, 0), day=day)
    elif group.verify is Verify.COUNT:
        expect_rows(group, counted=sum(rows.values()), copied=mover.count(group))
    return {}


def expect_rows(group: Group, *, counted: int, copied: int, day: date | None = None) -> None:
    """Raise CopyError unless as many rows came as were counted in the same snapshot."""
    if counted != copied:
        text = N_("{copied} rows came, but {counted} were counted in the same snapshot")
        raise CopyError(
            table=group.pair.name,
            days=str(day or group.days),
            reason=Told(text, copied=copied, counted=counted),
            advice=Told(LOOK_FOR),
        )


def _expect_same(group: Group, day: date, there: Digest, here: Digest) -> None:
    if there == here:
        return
    if there.rows != here.rows:
        reason = Told(
            N_("the target has {here} rows before the commit, the source {there}"),
            here=here.rows,
            there=there.rows,
        )
    else:
        reason = Told(
            N_("the target's digest before the commit is {here}, the source's {there}"),
            here=here.value,
            there=there.value,
        )
    raise CopyError(table=group.pair.name, days=str(day), reason=reason, advice=Told(CHANGES))
