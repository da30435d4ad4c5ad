"""The report of a run: everything that store and target know of it, as one value.

The target is believed where both know something: a day that it calls this run's is done, whether or
not a killed run could still tell its store. What nobody can tell any more is said, too.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sync.databases.failures import DRIVER_ERRORS, reason
from sync.errors import N_, ConnectError, RightsError, UnknownRun
from sync.model import PartitionStatus, PartitionView
from sync.told import Told

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime

    from sync.clock import Clock
    from sync.databases.ledger_rows import Checkpoint
    from sync.differences import Verification
    from sync.history import History
    from sync.locking.looking import Looker
    from sync.model import LogLine, RunId, RunView
    from sync.store import Store

    Key = tuple[str, date]

LOG_MAX = 1000  # lines, the newest


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Both sides of the run's range as they were at one moment after it."""

    at: datetime
    found: Verification


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One run with everything. Times are aware UTC; `timezone` is the one in which its days began.

    `circumstances` are what `sync.circumstances` has kept, empty where nothing was. `owners` tells
    whose checkpoint stands on each of its partitions now, None where the target could not be asked.
    """

    made_at: datetime
    run: RunView
    target: str
    timezone: str
    circumstances: Mapping[str, Any]
    partitions: tuple[PartitionView, ...]
    owners: Mapping[Key, RunId] | None
    ended_by: str | None
    log: tuple[LogLine, ...]
    unknown: tuple[Told, ...]
    compared: Compared | None = None

    def among(self, *statuses: PartitionStatus) -> list[PartitionView]:
        """Its partitions in these statuses."""
        return [p for p in self.partitions if p.status in statuses]

    @property
    def undone(self) -> list[PartitionView]:
        """Its partitions that were not brought to the target."""
        done = {PartitionStatus.DONE, PartitionStatus.UNCHANGED}
        return [p for p in self.partitions if p.status not in done]

    @property
    def standing(self) -> int | None:
        """How many of its committed partitions no later run has committed anew."""
        if self.owners is None:
            return None
        return sum(self.owners.get((p.table, p.day)) == self.run.id for p in self.partitions)

    @property
    def digested(self) -> bool:
        """Whether the digest of any partition was taken."""
        return any(p.digest for p in self.partitions)

    @property
    def totals(self) -> dict[str, int | None]:
        """Partitions by status, and rows: before, in the source, committed; None: not known."""
        counts = Counter(p.status for p in self.partitions)
        planned = all(p.source_rows is not None for p in self.partitions)
        return {
            "partitions": len(self.partitions),
            **{status.value: counts[status] for status in PartitionStatus},
            "rows_before": sum(p.target_rows for p in self.partitions) if planned else None,
            "source_rows": sum(p.source_rows or 0 for p in self.partitions) if planned else None,
            "rows": sum(p.rows for p in self.among(PartitionStatus.DONE)),
            "standing": self.standing,
        }

    @property
    def moved(self) -> list[Mapping[str, Any]]:
        """Table and days that lost rows to the days of this run, because their keys moved."""
        return [told.facts for told in self.noted("rows.moved")]

    def noted(self, event: str) -> list[Told]:
        """What its log says of one kind of event."""
        return [line.text for line in self.log if line.event == event]


@dataclass(frozen=True, slots=True)
class Reporter:
    """Reports the runs of one target."""

    history: History
    store: Store
    looker: Looker
    clock: Clock
    timezone: str

    def report(self, run: RunView) -> Report:
        """What is known of a run. Raises StoreError."""
        stored = self._stored(run.id)
        partitions: Sequence[PartitionView] = self.store.partitions(run.id) if stored else ()
        log = self.store.log(run.id, LOG_MAX + 1) if stored else ()
        under = self.store.circumstances(run.id) if stored else {}
        unknown = list(_not_kept(run, stored=stored, under=under))
        if len(log) > LOG_MAX:
            unknown.append(Told(N_("Of its log only the newest {count} lines."), count=LOG_MAX))
        owners: dict[Key, RunId] | None = None
        ended_by = None
        try:
            entry, checkpoints = self.looker.record_of(run)
            owners = {key: checkpoint.run_id for key, checkpoint in checkpoints.items()}
            partitions = _with_checkpoints(partitions, checkpoints, run.id)
            ended_by = entry.ended_by if entry else None
            if entry is None and run.token is not None:
                unknown.append(Told(N_("The target does not remember this run.")))
        except (ConnectError, RightsError) as error:
            unknown.append(Told(N_("What the target says of it: {reason}"), reason=error.told))
        except DRIVER_ERRORS as error:
            unknown.append(Told(N_("What the target says of it: {reason}"), reason=reason(error)))
        return Report(
            made_at=self.clock.now(),
            run=run,
            target=self.history.target_name,
            timezone=under.get("timezone", self.timezone),
            circumstances=under,
            partitions=tuple(partitions),
            owners=owners,
            ended_by=ended_by,
            log=tuple(log[-LOG_MAX:]),
            unknown=tuple(unknown),
        )

    def _stored(self, run_id: RunId) -> bool:
        try:
            self.store.run(run_id, target=self.history.target_name)
        except UnknownRun:
            return False
        return True


def _not_kept(run: RunView, *, stored: bool, under: Mapping[str, Any]) -> list[Told]:
    if not stored:
        return [
            Told(
                N_(
                    "The settings, versions and log of this run, and its days that failed, were"
                    " held back or not reached, are known to {user}@{host} alone; days that a"
                    " later run has copied anew are that run's here."
                ),
                user=run.holder.user,
                host=run.holder.host,
            )
        ]
    if run.token is not None and not under:
        return [Told(N_("Its settings, versions and digests: an older version did not keep them."))]
    return []


def _with_checkpoints(
    stored: Sequence[PartitionView], checkpoints: Mapping[Key, Checkpoint], run_id: RunId
) -> list[PartitionView]:
    known = {(p.table, p.day): p for p in stored}
    for key, point in checkpoints.items():
        if point.run_id == run_id:
            table, day = key
            done = PartitionStatus.DONE
            one = known.get(key) or PartitionView(table=table, day=day, status=done, rows=0)
            known[key] = replace(
                one,
                status=done,
                rows=point.rows,
                error=None,
                committed_at=point.committed_at,
                digest=point.digest,
                digest_kind=point.digest_kind,
            )
    return [known[key] for key in sorted(known)]
