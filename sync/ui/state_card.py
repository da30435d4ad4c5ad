"""The state card: whether something runs, whose it is, how far, and how long it will take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sync.markup import Markup, join, tag
from sync.model import CancelMode, Progress, RunStatus, RunView, Verdict
from sync.ui.elements import badge, facts, paragraph, stack
from sync.ui.outcome import Trouble, trouble_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sync.snapshot import Snapshot
    from sync.ui.reader import Reader

UNKNOWN = "–"


def state(snapshot: Snapshot, reader: Reader) -> Markup:
    """The whole card."""
    _ = reader.gettext
    clock = f"{reader.clock(snapshot.taken_at, seconds=True)} {snapshot.timezone}"
    updated = _("Updated {time}").format(time=clock)
    badge_ = badge(*_word(snapshot, reader))
    head = tag("div", badge_, tag("span", updated, class_="bs-note"), class_="bs-head")
    lead = paragraph(sentence(snapshot, reader), look="lead")
    run = snapshot.shown
    if run is None:
        return stack(head, lead, facts(_source(snapshot, reader), size="big"))
    return stack(
        head,
        lead,
        paragraph(_second_line(snapshot, run, reader), look="note"),
        _bar(snapshot, run, reader),
        facts(_numbers(snapshot, run, reader), size="big"),
    )


def spoken(snapshot: Snapshot, reader: Reader) -> Markup:
    """The line that screen readers say by themselves; it changes with the state only."""
    return tag(
        "div", sentence(snapshot, reader), class_="bs-spoken", role="status", aria_live="polite"
    )


def title(snapshot: Snapshot, reader: Reader) -> str:
    """The browser tab's title: percent, state, name."""
    run, name = snapshot.run, reader.gettext("Batch Sync")
    word = _word(snapshot, reader)[1]
    if run is None or run.progress.fraction is None:
        return f"{word} · {name}"
    return f"{run.progress.fraction:.0%} · {word} · {name}"


def sentence(snapshot: Snapshot, reader: Reader) -> str:
    """The state in one sentence, without a number that moves."""
    run = snapshot.run
    return _busy(snapshot, run, reader) if run else _idle(snapshot, reader)


def kept_elsewhere(run: RunView | None) -> bool:
    """Whether only its lock and the target tell of it: what else is known of it is not here.

    A run in this store has its token as soon as it goes.
    """
    return run is not None and run.status is RunStatus.RUNNING and run.token is None


def well(snapshot: Snapshot) -> bool:
    """Whether the present run moves, as far as one can tell."""
    return snapshot.verdict in {None, Verdict.RUNNING}


def _busy(snapshot: Snapshot, run: RunView, reader: Reader) -> str:
    _ = reader.gettext
    if run.cancel is CancelMode.NOW:
        return _("Cancelling now: what is being copied is rolled back.")
    if run.cancel is CancelMode.AFTER_GROUP:
        return _("Stopping as soon as what is being copied is whole.")
    if snapshot.verdict and not well(snapshot):
        return reader.verdict(snapshot.verdict)
    if run.id in reader.own_runs:
        return _("Your sync of {days} is running.").format(days=run.days)
    return _("{who} is syncing {days}.").format(who=run.holder.user, days=run.days)


def _idle(snapshot: Snapshot, reader: Reader) -> str:
    _ = reader.gettext
    run = snapshot.shown
    if snapshot.problem:
        return _("Not ready: something cannot be read, as told above.")
    if run is None:
        return _("Nothing has been synced yet. Choose the days, then press Start sync.")
    texts = {
        None: _("Ready. The last sync, {days}, is whole."),
        Trouble.HELD_BACK: _("Ready. Of the last sync, {days}, some days were held back."),
        Trouble.FAILED: _("Ready. The last sync, {days}, failed."),
        Trouble.CANCELLED: _("Ready. The last sync, {days}, was cancelled."),
        Trouble.INTERRUPTED: _("Ready. The last sync, {days}, was interrupted."),
    }
    return texts[trouble_of(run)].format(days=run.days)


def _word(snapshot: Snapshot, reader: Reader) -> tuple[str, str, str]:
    """Sign, word and tone of the badge."""
    _ = reader.gettext
    run = snapshot.run
    if run is None:
        return ("!", _("Not ready"), "warn") if snapshot.problem else ("✓", _("Ready"), "good")
    if run.cancel:
        return "■", _("Stopping"), "warn"
    if snapshot.verdict and not well(snapshot):
        return "!", reader.status(snapshot.verdict), "warn"
    if run.status is RunStatus.QUEUED or run.id in reader.own_runs:
        return "→", reader.status(run.status), "info"
    return "→", _("Busy"), "warn"


def _second_line(snapshot: Snapshot, run: RunView, reader: Reader) -> str:
    _ = reader.gettext
    who = f"{run.holder.user}@{run.holder.host}"
    if not snapshot.busy:
        ended = reader.ago(run.finished_at or run.beat_at, snapshot.taken_at)
        return _("Ended {ago}, started by {who}").format(ago=ended, who=who)
    started = _("Started {time} by {who}").format(time=reader.clock(run.started_at), who=who)
    if run.progress.fraction is None or run.current is None:
        return started
    return _("Copying {current}").format(current=run.current) + " · " + started


def _bar(snapshot: Snapshot, run: RunView, reader: Reader) -> Markup | None:
    """Weighted by rows; it has no number before the rows were counted."""
    _ = reader.gettext
    fraction, look = run.progress.fraction, "" if snapshot.busy else run.status.value
    if fraction is None and kept_elsewhere(run):
        return None
    if fraction is None and run.status.final:
        nothing = run.status is RunStatus.SUCCEEDED
        text = (
            _("Nothing had to be copied.") if nothing else _("Ended before the rows were counted.")
        )
        return tag("div", text, class_="bs-percent")
    if fraction is None:
        text = _("Counting rows…")
        return join(
            tag("div", text, class_="bs-percent"),
            tag(
                "div",
                tag("div", class_="fill"),
                class_="bs-bar waiting",
                role="progressbar",
                aria_label=text,
            ),
        )
    percent = f"{fraction:.0%}"
    bar = tag(
        "div",
        tag("div", class_="fill", style=f"width: {fraction:.2%}"),
        class_=f"bs-bar {look}",
        role="progressbar",
        aria_label=_("Rows copied"),
        aria_valuemin=0,
        aria_valuemax=100,
        aria_valuenow=round(fraction * 100),
    )
    return join(tag("div", percent, class_="bs-percent"), bar)


def _source(snapshot: Snapshot, reader: Reader) -> list[tuple[str, str]]:
    """What there is to sync, while nothing was."""
    _ = reader.gettext
    tables = (_("Tables"), reader.number(len(snapshot.tables)))
    if snapshot.data_range is None:
        return [tables]
    first, last = snapshot.data_range
    return [
        (_("First day of the source"), f"{first}"),
        (_("Last day of the source"), f"{last}"),
        tables,
    ]


def _numbers(snapshot: Snapshot, run: RunView, reader: Reader) -> list[tuple[str, str]]:
    _ = reader.gettext
    progress = run.progress
    counted = progress.fraction is not None or run.status is RunStatus.SUCCEEDED
    rows_per_s = progress.rows_per_s if well(snapshot) else 0
    if not snapshot.busy and run.duration_s > 0:
        rows_per_s = progress.rows_done / run.duration_s
    return [
        (days_label(run.tables, reader), days_done(run) if counted else UNKNOWN),
        (_("Rows"), reader.compact(progress.rows_done) if counted else UNKNOWN),
        (_("Rows per second"), reader.compact(rows_per_s) if rows_per_s else UNKNOWN),
        (_("Time left"), time_left(progress, reader) if well(snapshot) else UNKNOWN)
        if snapshot.busy
        else (_("Took"), reader.duration(run.duration_s)),
    ]


def days_label(tables: Sequence[str], reader: Reader) -> str:
    """What is counted: days, or with several tables the days of each."""
    _ = reader.gettext
    return _("Days done") if len(tables) == 1 else _("Days × tables done")


def days_done(run: RunView) -> str:
    """How many of how many are done; progress itself counts all that are settled."""
    done = run.progress.partitions_done - run.held_back - run.failed
    return f"{max(0, done)} / {run.progress.partitions_total}"


def time_left(progress: Progress, reader: Reader) -> str:
    """Nothing is said before it can be."""
    if progress.eta_s is None:
        return UNKNOWN
    return reader.gettext("about {time}").format(time=reader.roughly(progress.eta_s))
