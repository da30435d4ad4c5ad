"""The conflict card: who has the lease, since when, how far he is, and what can be done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sync.errors import LeaseHeld
from sync.markup import Markup
from sync.model import Conflict, Verdict
from sync.ui.elements import bullets, day_range, facts, paragraph, stack
from sync.ui.markup import plain
from sync.ui.state_card import UNKNOWN, days_done, days_label, kept_elsewhere, time_left

if TYPE_CHECKING:
    from sync.snapshot import Snapshot
    from sync.ui.reader import Reader


def present(snapshot: Snapshot, reader: Reader) -> Conflict | None:
    """The present run as the one who stands in the way."""
    run = snapshot.run
    if run is None:
        return None
    return Conflict(
        holder=run.holder,
        run_id=run.id,
        days=run.days,
        tables=run.tables,
        progress=run.progress,
        verdict=snapshot.verdict or Verdict.RUNNING,
        yours=run.id in reader.own_runs,
    )


def heading(conflict: Conflict, reader: Reader) -> str:
    """The card's first line, as Markdown."""
    _ = reader.gettext
    if conflict.holder is None:
        return _("Another sync is just starting")
    if conflict.run_id in reader.own_runs and conflict.verdict is Verdict.RUNNING:
        return _("Your own sync is running")
    texts = {
        Verdict.RUNNING: _("{who} is running a sync"),
        Verdict.STALLED: _("The sync of {who} does not move"),
        Verdict.PAUSED: _("The sync of {who} is paused"),
        Verdict.UNKNOWN: _("The sync of {who} has not been heard of for a while"),
        Verdict.LOST: _("The sync of {who} has lost its lease"),
        Verdict.DEAD: _("The sync of {who} has died"),
    }
    return texts[conflict.verdict].format(who=plain(conflict.holder.user))


def details(conflict: Conflict, snapshot: Snapshot, reader: Reader, *, refused: bool) -> Markup:
    """What stands under the heading; `refused` when it is the answer to a click."""
    return stack(
        paragraph(reader.sentence(LeaseHeld(conflict)), look="lead") if refused else None,
        facts(_facts(conflict, snapshot, reader)) if conflict.holder else None,
        paragraph(_identity(conflict, reader), look="note") if conflict.holder else None,
        bullets(map(reader.told, snapshot.evidence))
        if conflict.verdict is not Verdict.RUNNING
        else None,
        paragraph(_advice(conflict, snapshot, reader)),
    )


def _facts(conflict: Conflict, snapshot: Snapshot, reader: Reader) -> list[tuple[str, str]]:
    _ = reader.gettext
    progress, holder = conflict.progress, conflict.holder
    started = UNKNOWN
    if holder:
        ago = reader.ago(holder.since, snapshot.taken_at)
        started = f"{reader.clock(holder.since)} · {ago}"
    done = UNKNOWN if kept_elsewhere(snapshot.run) else _("counting rows…")
    if progress.fraction is not None:
        count = f"{progress.partitions_done} / {progress.partitions_total}"
        # A run knows more than who was told of: which days are settled, but not whole.
        done = f"{days_done(snapshot.run) if snapshot.run else count} ({progress.fraction:.0%})"
    return [
        (_("Started"), started),
        (days_label(conflict.tables, reader), done),
        (
            _("Time left"),
            time_left(progress, reader) if conflict.verdict is Verdict.RUNNING else UNKNOWN,
        ),
        (_("Range"), day_range(conflict.days)),
    ]


def _identity(conflict: Conflict, reader: Reader) -> str:
    holder = conflict.holder
    if holder is None:
        return ""
    who = f"{holder.user}@{holder.host} · PID {holder.pid}"
    run = reader.gettext("run {id}").format(id=conflict.run_id)
    return f"{who} · {run} · {reader.verdict(conflict.verdict)}"


def _advice(conflict: Conflict, snapshot: Snapshot, reader: Reader) -> str:
    _ = reader.gettext
    if conflict.holder is None:
        return _("Wait a moment: this page says who it is as soon as that is known.")
    texts = {
        Verdict.RUNNING: _(
            "What to do: wait, this page follows it by itself. If it must not go on, stop it below."
        ),
        Verdict.STALLED: _(
            "What to do: cancel it now, below; days that are done stay done. "
            "If it does not obey, take it over."
        ),
        Verdict.PAUSED: _(
            "What to do: let process {pid} on {host} go on, or take it over, which ends it."
        ),
        Verdict.UNKNOWN: _(
            "What to do: look what process {pid} on {host} is at. "
            "If it cannot go on, take it over, which ends it."
        ),
        Verdict.LOST: _(
            "What to do: start again. That ends what is left of it and closes it as interrupted."
        ),
        Verdict.DEAD: _("What to do: start again. That closes it as interrupted."),
    }
    if kept_elsewhere(snapshot.run):
        texts[Verdict.RUNNING] = _("What to do: wait, this page follows it by itself.")
        texts[Verdict.STALLED] = _(
            "What to do: have it cancelled where it was started; days that are done stay done. "
            "If it does not obey, take it over."
        )
    return texts[conflict.verdict].format(pid=conflict.holder.pid, host=conflict.holder.host)
