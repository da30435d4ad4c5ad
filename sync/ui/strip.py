"""The strip of days: a row for each month, a cell for each day, and a legend with counts.

With several tables a day has the colour of what most wants to be seen: a failed table, one that was
held back, one that is being copied, one that waits; only then is it done.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from sync.model import PartitionStatus, PartitionView
from sync.ui.markup import Markup, tag

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from sync.snapshot import Snapshot
    from sync.ui.reader import Reader

# What most wants to be seen first. The signs stand in the cells and in the legend.
SIGNS = {
    PartitionStatus.FAILED: "✕",
    PartitionStatus.HELD_BACK: "!",
    PartitionStatus.COPYING: "→",
    PartitionStatus.PENDING: "",
    PartitionStatus.DONE: "✓",
    PartitionStatus.UNCHANGED: "=",
}
LEGEND = (
    PartitionStatus.DONE,
    PartitionStatus.UNCHANGED,
    PartitionStatus.COPYING,
    PartitionStatus.PENDING,
    PartitionStatus.HELD_BACK,
    PartitionStatus.FAILED,
)
RANK = {status: rank for rank, status in enumerate(SIGNS)}
LABELLED_DAYS = {1, 5, 10, 15, 20, 25, 30}
LINES_MAX = 8
ERROR_MAX = 200


def days(snapshot: Snapshot, reader: Reader) -> Markup:
    """The strip of the run that is shown."""
    by_day: dict[date, list[PartitionView]] = defaultdict(list)
    for partition in snapshot.partitions:
        by_day[partition.day].append(partition)
    if not by_day:
        text = reader.gettext("The days stand here as soon as their rows are counted.")
        return tag("div", tag("p", text, class_="bs-text note"))
    worst = {
        day: min((p.status for p in found), key=RANK.__getitem__) for day, found in by_day.items()
    }
    counts = Counter(worst.values())
    months = sorted({day.replace(day=1) for day in by_day})
    rows = [_month(month, by_day, worst, reader) for month in months]
    return tag(
        "div",
        tag("div", *rows, class_="months", role="img", aria_label=_alt(counts, reader)),
        tag("div", *_numbers(), class_="month numbers", aria_hidden="true"),
        tag("ul", *_legend(counts, reader), class_="legend"),
        class_="bs-strip",
    )


def _month(
    month: date,
    by_day: dict[date, list[PartitionView]],
    worst: dict[date, PartitionStatus],
    reader: Reader,
) -> Markup:
    cells = [
        tag(
            "i",
            SIGNS[worst[day]],
            class_=worst[day].value,
            style=f"grid-column: {day.day + 1}",
            title=_tip(day, by_day[day], reader),
        )
        for day in sorted(by_day)
        if day.replace(day=1) == month
    ]
    return tag("div", tag("b", f"{month:%Y-%m}"), *cells, class_="month")


def _tip(day: date, partitions: Sequence[PartitionView], reader: Reader) -> str:
    """The day, and each of its tables with rows, seconds and error."""
    ranked = sorted(partitions, key=lambda p: (RANK[p.status], p.table))
    lines = [_tip_line(partition, reader) for partition in ranked[:LINES_MAX]]
    if len(ranked) > LINES_MAX:
        more = reader.gettext("and {count} more")
        lines.append(more.format(count=reader.number(len(ranked) - LINES_MAX)))
    return "\n".join([day.isoformat(), *lines])


def _tip_line(partition: PartitionView, reader: Reader) -> str:
    facts = [reader.status(partition.status), reader.rows(partition.rows)]
    if partition.status is PartitionStatus.HELD_BACK:
        text = reader.gettext("{target} in the target")
        facts.append(text.format(target=reader.number(partition.target_rows)))
    if partition.seconds is not None:
        facts.append(reader.duration(partition.seconds))
    if partition.error:
        facts.append(partition.error[:ERROR_MAX])
    return f"{partition.table}: " + " · ".join(facts)


def _numbers() -> list[Markup]:
    return [tag("span", str(day), style=f"grid-column: {day + 1}") for day in sorted(LABELLED_DAYS)]


def _legend(counts: Counter[PartitionStatus], reader: Reader) -> list[Markup]:
    return [
        tag(
            "li",
            tag("i", SIGNS[status], class_=status.value, aria_hidden="true"),
            f"{reader.status(status)} {reader.number(counts[status])}",
        )
        for status in LEGEND
        if counts[status]
    ]


def _alt(counts: Counter[PartitionStatus], reader: Reader) -> str:
    parts = [
        f"{reader.status(status)} {reader.number(counts[status])}"
        for status in LEGEND
        if counts[status]
    ]
    return reader.gettext("Days of this run") + ": " + ", ".join(parts)
