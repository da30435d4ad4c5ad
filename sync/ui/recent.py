"""Recent runs as a table, and the log of the run that is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sync.markup import Markup, join, tag
from sync.model import RunStatus, RunView
from sync.ui.chart import sparkline
from sync.ui.outcome import Trouble, trouble_of

if TYPE_CHECKING:
    from sync.snapshot import Snapshot
    from sync.ui.reader import Reader

RUNS_MAX = 8
LINES_MAX = 12
COLUMNS = 7
SIGNS = {
    RunStatus.QUEUED: "…",
    RunStatus.RUNNING: "→",
    RunStatus.SUCCEEDED: "✓",
    RunStatus.FAILED: "✕",
    RunStatus.CANCELLED: "■",
    RunStatus.INTERRUPTED: "!",
}


def recent_runs(snapshot: Snapshot, reader: Reader) -> Markup:
    """The newest runs first."""
    _ = reader.gettext
    names = (
        _("Started"),
        _("Result"),
        _("Progress"),
        _("Started by"),
        _("Range"),
        _("Rows per second"),
        _("Took"),
    )
    head = tag("tr", *(tag("th", name, scope="col") for name in names))
    rows = [_row(run, snapshot, reader) for run in snapshot.recent[:RUNS_MAX]]
    table = tag("table", tag("thead", head), tag("tbody", *rows))
    return tag(
        "div", table, class_="bs-table", tabindex=0, role="region", aria_label=_("Recent runs")
    )


def log(snapshot: Snapshot, reader: Reader) -> Markup:
    """What happened last, newest first."""
    lines = [
        tag(
            "li",
            tag("time", reader.clock(line.at, seconds=True)),
            tag("span", reader.told(line.text)),
        )
        for line in sorted(snapshot.log, key=lambda line: line.at, reverse=True)[:LINES_MAX]
    ]
    return tag("ol", *lines, class_="bs-log")


def _row(run: RunView, snapshot: Snapshot, reader: Reader) -> Markup:
    row = tag("tr", *_cells(run, snapshot, reader))
    if run.status is not RunStatus.INTERRUPTED or run.error is None:
        return row
    # Who took it over and why, or how it was found dead.
    why = tag("td", reader.told(run.error), colspan=COLUMNS, class_="why")
    return join(row, tag("tr", why))


def _cells(run: RunView, snapshot: Snapshot, reader: Reader) -> list[Markup]:
    return [
        tag("td", reader.moment(run.started_at)),
        tag("td", _result(run, reader)),
        tag("td", _progress(run)),
        tag("td", f"{run.holder.user}@{run.holder.host}"),
        tag("td", str(run.days)),
        tag("td", sparkline(snapshot.sparklines.get(run.id, ()))),
        tag("td", reader.duration(run.duration_s)),
    ]


def _result(run: RunView, reader: Reader) -> Markup:
    if trouble_of(run) is Trouble.HELD_BACK:
        sign, word = "!", reader.status("held_back")
    else:
        sign, word = SIGNS[run.status], reader.run_status(run)
    return join(
        tag("span", sign, class_=f"sign {run.status.value}", aria_hidden="true"), f" {word}"
    )


def _progress(run: RunView) -> Markup:
    # Where nothing had to be copied there is nothing to count.
    unplanned = 1.0 if run.status is RunStatus.SUCCEEDED else 0.0
    fraction = unplanned if run.progress.fraction is None else run.progress.fraction
    return tag(
        "div",
        tag(
            "div", tag("div", class_="fill", style=f"width: {fraction:.1%}"), class_="bs-bar small"
        ),
        tag("span", f"{fraction:.0%}"),
        class_="bs-progress",
    )
