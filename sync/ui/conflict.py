"""The conflict card: who has the lease, since when, how far he is, and what can be done about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sync.errors import LeaseHeld
from sync.model import Conflict, Verdict
from sync.ui.elements import bullets, facts, paragraph
from sync.ui.markup import Markup, tag
from sync.ui.state_card import UNKNOWN, time_left

if TYPE_CHECKING:
    from sync.snapshot import Snapshot
    from sync.ui.reader import Reader


def conflict_of(snapshot: Snapshot, reader: Reader) -> Conflict | None:
    """The present run where the reader should know of it: another's, or one that does not look well."""
    run = snapshot.run
    if run is None:
        return None
    verdict = snapshot.verdict or Verdict.RUNNING
    if run.id in reader.own_runs and verdict is Verdict.RUNNING:
        return None
    return Conflict(
        holder=run.holder,
        run_id=run.id,
        days=run.days,
        tables=run.tables,
        progress=run.progress,
        verdict=verdict,
        yours=run.id in reader.own_runs,
    )


def heading(conflict: Conflict, reader: Reader) -> str:
    """The card's first line."""
    _ = reader.gettext
    if conflict.holder is None:
        return _("Another sync is just starting")
    match conflict.verdict:
        case Verdict.RUNNING:
            text = _("{who} is running a sync")
        case Verdict.STALLED:
            text = _("The sync of {who} does not move")
        case Verdict.PAUSED:
            text = _("The sync of {who} is paused")
        case Verdict.UNKNOWN:
            text = _("The sync of {who} has not been heard of for a while")
        case Verdict.LOST | Verdict.DEAD:
            text = _("The sync of {who} has ended without a word")
    return text.format(who=conflict.holder.user)


def details(conflict: Conflict, snapshot: Snapshot, reader: Reader, *, refused: bool) -> Markup:
    """What stands under the heading; `refused` when it is the answer to a click."""
    return tag(
        "div",
        paragraph(reader.sentence(LeaseHeld(conflict)), look="lead") if refused else None,
        facts(_facts(conflict, snapshot, reader)) if conflict.holder else None,
        paragraph(_identity(conflict, reader), look="note") if conflict.holder else None,
        bullets(snapshot.evidence) if conflict.verdict is not Verdict.RUNNING else None,
        paragraph(_advice(conflict, reader)),
    )


def _facts(conflict: Conflict, snapshot: Snapshot, reader: Reader) -> list[tuple[str, str]]:
    _ = reader.gettext
    progress, holder = conflict.progress, conflict.holder
    started = UNKNOWN
    if holder:
        ago = reader.ago(holder.since, snapshot.taken_at)
        started = f"{reader.clock(holder.since)} · {ago}"
    done = _("counting rows…")
    if progress.fraction is not None:
        done = f"{progress.partitions_done} / {progress.partitions_total} ({progress.fraction:.0%})"
    label = _("Days done") if len(conflict.tables) == 1 else _("Days × tables done")
    return [
        (_("Started"), started),
        (label, done),
        (_("Time left"), time_left(progress, reader)),
        (_("Range"), str(conflict.days or UNKNOWN)),
    ]


def _identity(conflict: Conflict, reader: Reader) -> str:
    holder = conflict.holder
    if holder is None:
        return ""
    who = f"{holder.user}@{holder.host} · PID {holder.pid}"
    run = reader.gettext("run {id}").format(id=conflict.run_id)
    return f"{who} · {run} · {reader.verdict(conflict.verdict)}"


def _advice(conflict: Conflict, reader: Reader) -> str:
    _ = reader.gettext
    if conflict.holder is None:
        return _("Wait a moment: this page says who it is as soon as that is known.")
    match conflict.verdict:
        case Verdict.RUNNING:
            return _(
                "What to do: wait, this page follows it by itself. If it may not go on, ask it to stop below."
            )
        case Verdict.STALLED:
            return _(
                "What to do: cancel it now, below; days that are done stay done. Then resume it."
            )
        case Verdict.PAUSED:
            text = _("What to do: let process {pid} on {host} go on, or end it; then start again.")
        case Verdict.UNKNOWN:
            text = _(
                "What to do: look whether process {pid} still lives on {host}; once it has ended, start again."
            )
        case Verdict.LOST | Verdict.DEAD:
            text = _("What to do: start again. That closes the old run as interrupted first.")
    return text.format(pid=conflict.holder.pid, host=conflict.holder.host)
