"""What the command line shows to people: snapshot, history, plan and findings as lines of text."""

from __future__ import annotations

import os
import unicodedata
from datetime import UTC
from typing import TYPE_CHECKING

from sync import wording
from sync.errors import N_
from sync.model import Conflict
from sync.wording import translations

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime, tzinfo

    from sync.databases.audit import Audit, AuditedRun, Fault
    from sync.differences import Verification
    from sync.doctor import Finding
    from sync.model import RunView, TakeoverPlan
    from sync.snapshot import Snapshot


HISTORY_TITLES = (
    N_("Started"),
    N_("Run"),
    N_("Status"),
    N_("Days"),
    N_("Rows"),
    N_("Took"),
    N_("Who"),
    N_("Error"),
)
FAULTS = {
    "overlap": N_("{table} on {day}: committed at {committed_at} by {run}, in the time of {next}."),
    "order": N_("The greater token was taken earlier: {run}, then {next}."),
    "open": N_("Without an end, though it does not hold the lease: {run}."),
    "stranger": N_(
        "{table} on {day}: committed at {committed_at} by a run that the target does not know:"
        " {run}."
    ),
}
DIFFERENCE_TITLES = (
    N_("Table"),
    N_("Day"),
    N_("What"),
    N_("Key"),
    N_("Source"),
    N_("Target"),
)
CELL_MAX = 120  # signs of a row's values; --json has them whole
SHOWN = 5  # partitions that a summary names


def locale_of(environment: Mapping[str, str] = os.environ) -> str:
    """The language that the terminal's environment asks for."""
    asked = (environment.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    return wording.pick_locale(next(filter(None, asked), None), "en")


def status_lines(snapshot: Snapshot, locale: str, zone: tzinfo) -> list[str]:
    """What runs now, or what ran last; and what waits."""
    return [*_present_lines(snapshot, locale, zone), *_queue_lines(snapshot, locale, zone)]


def queued_line(run_id: str, place: int | None, locale: str) -> str:
    """That a request was queued, and its place; None when its turn has come already."""
    gettext = translations(locale).gettext
    if place is None:
        return gettext("Run {run_id} was queued, and its turn has come.").format(run_id=run_id)
    return gettext("Run {run_id} was queued: place {place}.").format(run_id=run_id, place=place)


def _queue_lines(snapshot: Snapshot, locale: str, zone: tzinfo) -> list[str]:
    gettext = translations(locale).gettext
    lines = []
    for place, run in enumerate(snapshot.queue, start=1):
        since = wording.instant(run.started_at, zone, locale)
        who = f"{run.holder.user}@{run.holder.host}"
        line = gettext("Queued {place}: {days}, {who} since {since}, run {run_id}")
        lines.append(line.format(place=place, days=run.days, who=who, since=since, run_id=run.id))
        if run.error:
            lines.append(f"    {wording.told(run.error, locale)}")
    if not snapshot.served:
        lines.append(wording.unserved(locale))
    return lines


def _present_lines(snapshot: Snapshot, locale: str, zone: tzinfo) -> list[str]:
    if snapshot.untold:
        unknown = translations(locale).gettext("Unknown: whether a sync runs cannot be told.")
        return [unknown, *(_last_run(snapshot, locale) if snapshot.last_run else ())]
    state = wording.status(snapshot.state, locale)
    if snapshot.run is None or snapshot.verdict is None:
        return [state, *_last_run(snapshot, locale)]
    run = snapshot.run
    conflict = Conflict(holder=run.holder, run_id=run.id, progress=run.progress)
    return [
        f"{state}: {run.days}",
        wording.holder_line(conflict, zone),
        wording.progress_line(run.progress, locale),
        wording.verdict(snapshot.verdict, locale),
        *(wording.told(what, locale) for what in snapshot.evidence),
    ]


def takeover_lines(plan: TakeoverPlan, locale: str, zone: tzinfo) -> list[str]:
    """Whom a takeover ends, what speaks for it, and what it breaks."""
    run = plan.run
    if run.status.final:
        return [wording.told(what, locale) for what in plan.breaks]
    conflict = Conflict(holder=run.holder, run_id=run.id)
    return [
        wording.holder_line(conflict, zone),
        wording.progress_line(run.progress, locale),
        wording.verdict(plan.verdict, locale),
        *(f"  {wording.told(what, locale)}" for what in plan.evidence),
        translations(locale).gettext("What a takeover does:"),
        *(f"  {wording.told(what, locale)}" for what in plan.breaks),
    ]


def asked_lines(run: RunView, locale: str, *, now: bool) -> list[str]:
    """That a run was asked to stop; unless `now`, what it waits for, and how to end it at once."""
    gettext = translations(locale).gettext
    lines = [gettext("Run {run_id} was asked to stop.").format(run_id=run.id)]
    if now:
        return lines
    if run.current:
        lines.append(gettext("First it ends what it copies: {what}.").format(what=run.current))
    at_once = gettext("At once, and that is rolled back: python -m sync cancel {run_id} --now")
    return [*lines, at_once.format(run_id=run.id)]


def _last_run(snapshot: Snapshot, locale: str) -> list[str]:
    last = snapshot.last_run
    if last is None:
        return [translations(locale).gettext("Nothing has run yet.")]
    when = wording.ago(last.finished_at or last.beat_at, snapshot.taken_at, locale)
    error = [wording.told(last.error, locale)] if last.error else []
    return [f"{run_line(last, locale)}, {when}", *error]


def run_line(run: RunView, locale: str) -> str:
    """How a run ended, what it did, and how long that took."""
    return (
        translations(locale)
        .gettext("{status}: {days}, {rows} in {time}, run {run_id}")
        .format(
            status=wording.run_status(run, locale),
            days=run.days,
            rows=wording.rows(run.progress.rows_done, locale),
            time=wording.duration(run.duration_s, locale),
            run_id=run.id,
        )
    )


def history_lines(runs: Iterable[RunView], locale: str, zone: tzinfo) -> list[str]:
    """A run a line, the newest first."""
    return columns(
        [
            titles(HISTORY_TITLES, locale),
            *(
                [
                    wording.instant(run.started_at, zone, locale),
                    run.id,
                    wording.run_status(run, locale),
                    str(run.days),
                    wording.number(run.progress.rows_done, locale),
                    wording.duration(run.duration_s, locale),
                    f"{run.holder.user}@{run.holder.host}",
                    wording.told(run.error, locale) if run.error else "",
                ]
                for run in runs
            ),
        ],
        right={4},
    )


def audit_lines(audit: Audit, locale: str) -> list[str]:
    """Each thing that must not be, and how many overlaps there are among how many runs."""
    texts = translations(locale)
    counts = texts.gettext("{overlaps} in {runs}.").format(
        overlaps=texts.ngettext("{n} overlap", "{n} overlaps", audit.overlaps).format(
            n=audit.overlaps
        ),
        runs=texts.ngettext("{n} run", "{n} runs", audit.runs).format(n=audit.runs),
    )
    return [*(_fault(fault, locale) for fault in audit.faults), counts]


def _fault(fault: Fault, locale: str) -> str:
    facts = {
        "run": _audited(fault.run, locale),
        "next": _audited(fault.next, locale) if fault.next else "",
        "table": fault.table,
        "day": fault.day,
        "committed_at": _exact(fault.committed_at),
    }
    return translations(locale).gettext(FAULTS[fault.kind]).format(**facts)


def _audited(run: AuditedRun, locale: str) -> str:
    text = translations(locale).gettext("run {run_id} (token {token}, {holder}, since {since})")
    holder = f"{run.holder.user}@{run.holder.host} PID {run.holder.pid}" if run.holder else "?"
    return text.format(
        run_id=run.run_id, token=run.token, holder=holder, since=_exact(run.acquired_at)
    )


def _exact(at: datetime | None) -> str:
    """An instant as the database has it, in UTC: here a thousandth of a second tells."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f} UTC" if at else "?"


def verification_lines(found: Verification, locale: str) -> list[str]:
    """A row that differs a line: what, where, its key, and each value in source and target."""
    if not found.differences:
        return []
    return columns(
        [
            titles(DIFFERENCE_TITLES, locale),
            *(
                [
                    one.table,
                    one.day.isoformat(),
                    wording.status(one.kind, locale),
                    wording.values(one.key, CELL_MAX),
                    wording.values(one.source, CELL_MAX),
                    wording.values(one.target, CELL_MAX),
                ]
                for one in found.differences
            ),
        ]
    )


def verification_summary(found: Verification, locale: str) -> str:
    """What was compared and whether it is the same, in a line."""
    texts = translations(locale)
    if not found.differing:
        return texts.gettext(
            "{partitions} partitions, {rows}: source and target are the same"
        ).format(
            partitions=wording.number(len(found.partitions), locale),
            rows=wording.rows(sum(p.source_rows for p in found.partitions), locale),
        )
    more = "" if found.complete else texts.gettext(" and more")
    return texts.gettext(
        "{differing} of {partitions} partitions differ, in {rows}{more}: {which}"
    ).format(
        differing=wording.number(len(found.differing), locale),
        partitions=wording.number(len(found.partitions), locale),
        rows=wording.rows(len(found.differences), locale),
        more=more,
        which=", ".join(f"{p.table} {p.day}" for p in found.differing[:SHOWN])
        + (", …" if len(found.differing) > SHOWN else ""),
    )


def finding_lines(findings: Iterable[Finding], locale: str) -> list[str]:
    """What the doctor found, and what to do where it is not well."""
    gettext = translations(locale).gettext
    marks = {True: gettext("ok"), False: gettext("wrong"), None: gettext("unsure")}
    lines = []
    for finding in findings:
        line = gettext("[{mark}] {name}: {what}").format(
            mark=marks[finding.ok],
            name=finding.name.words(gettext),
            what=finding.told.sentence(gettext).replace("\n", "\n    "),
        )
        lines.append(line)
        if not finding.ok:
            advice = finding.told.advice(gettext)
            lines += [f"    {more}" for more in (advice, *finding.statements) if more]
    return lines


def grant_lines(findings: Iterable[Finding], locale: str) -> list[str]:
    """What an administrator of either database would run: SQL, with a comment that says where."""
    gettext = translations(locale).gettext
    return [
        line
        for finding in findings
        if finding.statements
        # A name with a line break in it must not end the comment.
        for line in (
            "-- " + " ".join(finding.told.sentence(gettext).split()),
            *finding.statements,
            "",
        )
    ]


def titles(keys: Iterable[str], locale: str) -> list[str]:
    """The heads of columns."""
    return [translations(locale).gettext(key) for key in keys]


def columns(
    rows: Sequence[Sequence[str]], *, right: frozenset[int] | set[int] = frozenset()
) -> list[str]:
    """`rows` with their cells under each other; Chinese signs are two cells wide."""
    cells = [[_on_one_line(cell) for cell in row] for row in rows]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            _padded(cell, widths[n], left=n not in right) for n, cell in enumerate(row)
        ).rstrip()
        for row in cells
    ]


def _on_one_line(cell: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in cell.replace("\n", " "))


def _padded(cell: str, width: int, *, left: bool) -> str:
    space = " " * (width - _width(cell))
    return cell + space if left else space + cell


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
