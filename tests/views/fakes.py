"""Operations that answer with canned snapshots, one for each state the page can be in.

The page is handed one of these as it is handed the real one; a click moves `name` on.
"""

import hashlib
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

from sync.errors import CopyError, LeaseHeld, StoreError
from sync.model import (
    CancelMode,
    Conflict,
    DateRange,
    Holder,
    LogLine,
    Only,
    PartitionStatus,
    PartitionView,
    PlanState,
    Progress,
    RunId,
    RunRequest,
    RunStatus,
    RunView,
    Sample,
    TakeoverPlan,
    Token,
    Verdict,
)
from sync.report import Report
from sync.snapshot import Snapshot
from sync.told import Told

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
DAYS = DateRange(date(2026, 9, 1), date(2026, 10, 31))
RUN = RunId("20261124-091200-7f3a91")
HOLDER = Holder(
    user="li.wei",
    host="etl-02",
    pid=48213,
    process_start=0.0,
    boot_id="",
    pid_namespace="",
    nonce="",
    since=NOW - timedelta(minutes=18),
)
BAD_ERROR = CopyError(
    table="orders",
    days="2026-09-16",
    reason="<script>alert(1)</script>\n\n*too long*",
    advice=Told("Mend the cause in the source or the target, then resume the run."),
).told
DIED = Told(
    "Its holder died: process {pid} on {host} is gone and the lock was free.",
    pid=HOLDER.pid,
    host=HOLDER.host,
)
TAKEN = Told("Taken over by {by}: {reason}", by="ada@etl-01", reason="its host is cut off")
BREAKS = (
    Told(
        "What is being copied ({what}) is rolled back; {done} of {total} partitions stay.",
        what="orders 2026-10-13",
        done=42,
        total=61,
    ),
    Told("Database sessions that are ended: {count}.", count=3),
    Told(
        "Process {pid} on {host} cannot be ended from here;"
        " should it go on, it can commit nothing any more.",
        pid=HOLDER.pid,
        host=HOLDER.host,
    ),
)
PLANNED = Told(
    "Planned: {rows:,} rows (partitions: {partitions:,}).", partitions=61, rows=12_191_800
)

MIDWAY = Progress(
    partitions_done=42,
    partitions_total=61,
    rows_done=8_412_345,
    rows_total=12_191_800,
    rows_per_s=7812.4,
    eta_s=484,
)


def a_run(status: RunStatus = RunStatus.RUNNING, **changes: object) -> RunView:
    """A run of 61 days of one table, 42 of them done."""
    run = RunView(
        id=RUN,
        status=status,
        days=DAYS,
        tables=("orders",),
        only=Only.ALL,
        allow_shrink=False,
        token=Token(8),
        since_token=None,
        holder=HOLDER,
        progress=MIDWAY,
        started_at=HOLDER.since,
        beat_at=NOW,
        progress_at=NOW,
        finished_at=NOW if status.final else None,
        current="orders 2026-10-13",
    )
    return replace(run, **changes)


def partitions(
    rest: PartitionStatus, bad: PartitionStatus | None = None
) -> tuple[PartitionView, ...]:
    """42 days done, the others `rest`; three of the done ones `bad`."""
    found = []
    for number, day in enumerate(DAYS.days()):
        status = PartitionStatus.DONE if number < 42 else rest
        part = PartitionView(table="orders", day=day, status=status, rows=200_000, seconds=2.3)
        if bad and 15 <= number < 18:
            part = replace(part, status=bad, rows=12, target_rows=201_344, error=BAD_ERROR)
        found.append(part)
    return tuple(found)


def a_snapshot(run: RunView | None, *, shown: RunView | None = None, **changes: object) -> Snapshot:
    """A snapshot around the run that goes, or around the one that has ended."""
    shown = run or shown
    snapshot = Snapshot(
        taken_at=NOW,
        state=run.status.value if run else "idle",
        run=run,
        verdict=Verdict.RUNNING if run else None,
        evidence=(),
        shown=shown,
        partitions=partitions(PartitionStatus.PENDING) if shown else (),
        samples=tuple(
            Sample(at=NOW - timedelta(seconds=60 - s), rows_per_s=7000.0 + s * 20)
            for s in range(0, 60, 5)
        ),
        log=(LogLine(at=NOW, event="run.planned", text=PLANNED),),
        recent=(shown,) if shown else (),
        sparklines={RUN: (7000.0, 7500.0, 7200.0)},
        data_range=(date(2026, 7, 1), date(2026, 11, 23)),
        tables=("orders", "refunds"),
        demo=False,
        connections=5,
        timezone="UTC",
    )
    return replace(snapshot, **changes)


def unwell(verdict: Verdict, process: str, *, beat_age_s: int, progress_age_s: int) -> Snapshot:
    """A holder that does not look well."""
    ages = "Last heartbeat {beat_age_s} s ago, progress {progress_age_s} s ago."
    evidence = (
        Told(process, pid=HOLDER.pid, host=HOLDER.host),
        Told("The lock is held."),
        Told(ages, beat_age_s=beat_age_s, progress_age_s=progress_age_s),
    )
    return a_snapshot(a_run(), state=verdict.value, verdict=verdict, evidence=evidence)


def ended(status: RunStatus, bad: PartitionStatus | None = None, **changes: object) -> Snapshot:
    """A run that has ended, well or not."""
    rest = PartitionStatus.DONE if bad or status is RunStatus.SUCCEEDED else PartitionStatus.PENDING
    return a_snapshot(
        None,
        shown=a_run(status, **changes),
        partitions=partitions(rest, bad),
    )


def a_report() -> Report:
    """Of a week of two tables, compared by digest; one day was held back."""
    days = DateRange(date(2026, 11, 17), date(2026, 11, 23))
    found = [
        PartitionView(
            table=table,
            day=day,
            status=PartitionStatus.DONE,
            rows=rows + 37 * n,
            target_rows=rows + 35 * n,
            seconds=0.9 + n / 7,
            state=PlanState.CHANGED,
            source_rows=rows + 37 * n,
            committed_at=NOW - timedelta(seconds=600 - 20 * n),
            digest=hashlib.md5(f"{table}{n}".encode(), usedforsecurity=False).hexdigest(),
            digest_kind="record-1",
        )
        for table, rows in (("orders", 201_344), ("refunds", 1_208))
        for n, day in enumerate(days.days())
    ]
    held = {"status": PartitionStatus.HELD_BACK, "state": PlanState.HELD_BACK, "source_rows": 12}
    found[5] = replace(
        found[5], **held, seconds=None, committed_at=None, digest=None, digest_kind=None
    )
    settings = {"verify": "digest", "shrink_max": 0.5, "snapshot": True, "plan": "d4b7a1c09e52f36a"}
    versions = {
        "batch_sync": "0.1.0",
        "python": "3.11.7",
        "sqlalchemy": "2.1.9",
        "psycopg2": "2.9.13",
        "source": "PostgreSQL 16.11",
        "target": "PostgreSQL 18.1",
    }
    places = {"source": "shop.internal:5432/shop", "target": "reports.internal:5432/reports"}
    told = Told(
        "Held back, as the target has far more rows: {which} (partitions: {count}).",
        hint="If the source is right, let them through: --allow-shrink, or the tick.",
        count=1,
        which="orders 2026-11-22",
    )
    run = a_run(RunStatus.FAILED, days=days, tables=("orders", "refunds"), error=told)
    return Report(
        made_at=NOW + timedelta(minutes=2),
        run=run,
        target=places["target"],
        timezone="Asia/Shanghai",
        circumstances={**settings, **places, "locks": "file+session", "versions": versions},
        partitions=tuple(found),
        owners={(p.table, p.day): run.id for p in found if p.digest},
        ended_by="itself",
        log=(LogLine(at=NOW, event="run.planned", text=PLANNED),),
        unknown=(),
    )


QUEUE = tuple(
    a_run(
        RunStatus.QUEUED,
        id=RunId(f"20261124-09{minute}00-{user[:2]}0001"),
        holder=replace(HOLDER, user=user, host=host),
        started_at=NOW - timedelta(minutes=30 - minute),
        days=days,
        token=None,
    )
    for minute, user, host, days in (
        (21, "ana.ruiz", "etl-02", DateRange(date(2026, 11, 17), date(2026, 11, 23))),
        (26, "sam.okoro", "notebook-of-sam-in-the-long-corridor", DAYS),
    )
)

SNAPSHOTS = {
    "never": a_snapshot(None, log=(), samples=(), demo=True),
    "running": a_snapshot(a_run()),
    "counting": a_snapshot(a_run(progress=Progress(), current=None), partitions=(), samples=()),
    "queued": a_snapshot(a_run(), queue=QUEUE),
    "elsewhere": a_snapshot(
        a_run(token=None, current=None, beat_at=HOLDER.since),
        partitions=(),
        samples=(),
        log=(),
        recent=(),
    ),
    "nothing_to_do": a_snapshot(
        None,
        shown=a_run(RunStatus.SUCCEEDED, progress=Progress(), current=None),
        partitions=(),
        samples=(),
        log=(),
    ),
    "stopping": a_snapshot(a_run(cancel=CancelMode.AFTER_GROUP)),
    "stalled": unwell(
        Verdict.STALLED, "Process {pid} on {host} is alive.", beat_age_s=1, progress_age_s=75
    ),
    "paused": unwell(
        Verdict.PAUSED,
        "Process {pid} on {host} is stopped (paused).",
        beat_age_s=9,
        progress_age_s=10,
    ),
    "unknown": unwell(
        Verdict.UNKNOWN,
        "Process {pid} on {host} cannot be seen from here.",
        beat_age_s=41,
        progress_age_s=43,
    ),
    "succeeded": ended(RunStatus.SUCCEEDED),
    "failed": ended(RunStatus.FAILED, PartitionStatus.FAILED, failed=3, error=BAD_ERROR),
    "held_back": ended(RunStatus.FAILED, PartitionStatus.HELD_BACK, held_back=3),
    "interrupted": ended(RunStatus.INTERRUPTED, error=DIED),
    "taken_over": ended(RunStatus.INTERRUPTED, error=TAKEN),
    "cancelled": ended(RunStatus.CANCELLED),
    "problem": a_snapshot(
        None,
        problem=StoreError(address="store.db", reason="disk I/O error").told,
        data_range=None,
    ),
}


@dataclass
class FakeOperations:
    """Answers as one process would; `calls` holds what was asked."""

    name: str = "never"
    refuses: Exception | None = None
    calls: list[tuple[object, ...]] = field(default_factory=list)

    def snapshot(self) -> Snapshot:
        return SNAPSHOTS[self.name]

    def start(self, request: RunRequest, *, key: str) -> RunId:
        self.calls.append(("start", request, key))
        return self._go()

    def enqueue(self, request: RunRequest, *, key: str) -> RunId:
        self.calls.append(("enqueue", request, key))
        if self.refuses:
            raise self.refuses
        self.name = "queued"
        return QUEUE[0].id

    def resume(self, run_id: RunId, *, key: str, allow_shrink: bool) -> RunId:
        assert key
        self.calls.append(("resume", run_id, allow_shrink))
        return self._go()

    def cancel(self, run_id: RunId, mode: CancelMode) -> RunId:
        self.calls.append(("cancel", run_id, mode))
        if run_id != RUN:
            self.name = "running"
            return run_id
        self.name = "stopping" if mode is CancelMode.AFTER_GROUP else "cancelled"
        return run_id

    def plan_takeover(self, run_id: RunId) -> TakeoverPlan:
        self.calls.append(("plan_takeover", run_id))
        now = self.snapshot()
        assert now.run
        assert now.verdict
        return TakeoverPlan(
            run=now.run,
            verdict=now.verdict,
            evidence=now.evidence,
            breaks=BREAKS,
            needs_force=now.verdict is Verdict.RUNNING,
        )

    def take_over(self, run_id: RunId, *, reason: str) -> RunView:
        self.calls.append(("take_over", run_id, reason))
        if self.refuses:
            raise self.refuses
        self.name = "taken_over"
        return a_run(RunStatus.INTERRUPTED, error=TAKEN)

    def _go(self) -> RunId:
        if self.refuses:
            raise self.refuses
        self.name = "running"
        return RUN


def held() -> LeaseHeld:
    """The refusal that the run of `SNAPSHOTS["running"]` is the cause of."""
    return LeaseHeld(
        Conflict(holder=HOLDER, run_id=RUN, days=DAYS, tables=("orders",), progress=MIDWAY)
    )
