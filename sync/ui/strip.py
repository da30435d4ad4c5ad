"""The strip of days: a row for each month, a cell for each day, and a legend with counts.

With several tables a day looks like what most wants to be seen: a failed table, one that was held
back, one that is being copied. While some tables are done and others wait, its cell fills up.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from sync.markup import Markup, tag
from sync.model import PartitionStatus, PartitionView

if TYPE_CHECKING:
    from datetime import date

    from sync.snapshot import Snapshot
    from sync.ui.reader import Reader

# What most wants to be seen comes first.
RANK = (
    PartitionStatus.FAILED,
    PartitionStatus.HELD_BACK,
    PartitionStatus.COPYING,
    PartitionStatus.PENDING,
    PartitionStatus.DONE,
    PartitionStatus.UNCHANGED,
)
WHOLE = {PartitionStatus.DONE, PartitionStatus.UNCHANGED}
PARTLY = "partly"
# In the order of the legend; the signs stand in the cells, too.
SIGNS = {
    "done": "✓",
    "unchanged": "=",
    PARTLY: "",
    "copying": "→",
    "pending": "",
    "held_back": "!",
    "failed": "✕",
}
LABELLED_DAYS = (1, 5, 10, 15, 20, 25, 30)
LINES_MAX = 8
ERROR_MAX = 200


@dataclass(frozen=True, slots=True)
class Cell:
    """One day with all its tables."""

    day: date
    partitions: tuple[PartitionView, ...]

    @property
    def done(self) -> float:
        """Share of tables that are whole."""
        return sum(p.status in WHOLE for p in self.partitions) / len(self.partitions)

    @property
    def look(self) -> str:
        """A status, or that it is done in part."""
        status = min((p.status for p in self.partitions), key=RANK.index)
        return PARTLY if status is PartitionStatus.PENDING and self.done else status.value


def days(snapshot: Snapshot, reader: Reader) -> Markup:
    """The strip of the run that is shown."""
    by_day: dict[date, list[PartitionView]] = defaultdict(list)
    for partition in snapshot.partitions:
        by_day[partition.day].append(partition)
    if not by_day:
        text = reader.gettext("The days stand here as soon as their rows are counted.")
        return tag("div", tag("p", text, class_="bs-text note"), class_="bs-strip")
    cells = [Cell(day, tuple(by_day[day])) for day in sorted(by_day)]
    counts = Counter(cell.look for cell in cells)
    months = groupby(cells, key=lambda cell: f"{cell.day:%Y-%m}")
    return tag(
        "div",
        tag(
            "div",
            *(_month(name, tuple(found), reader) for name, found in months),
            class_="months",
            role="img",
            aria_label=_alt(counts, reader),
        ),
        tag("div", *_numbers(), class_="month numbers", aria_hidden="true"),
        tag("ul", *_legend(counts, reader), class_="legend"),
        class_="bs-strip",
    )


def _month(name: str, cells: tuple[Cell, ...], reader: Reader) -> Markup:
    return tag("div", tag("b", name), *(_cell(cell, reader) for cell in cells), class_="month")


def _cell(cell: Cell, reader: Reader) -> Markup:
    look = cell.look
    fill = f"; --done: {cell.done:.0%}" if look == PARTLY else ""
    return tag(
        "i",
        SIGNS[look],
        class_=look,
        style=f"grid-column: {cell.day.day + 1}{fill}",
        title=_tip(cell, reader),
    )


def _tip(cell: Cell, reader: Reader) -> str:
    """The day, and each of its tables with rows, seconds and error."""
    ranked = sorted(cell.partitions, key=lambda p: (RANK.index(p.status), p.table))
    lines = [_tip_line(partition, reader) for partition in ranked[:LINES_MAX]]
    if len(ranked) > LINES_MAX:
        more = reader.gettext("and {count} more")
        lines.append(more.format(count=reader.number(len(ranked) - LINES_MAX)))
    return "\n".join([cell.day.isoformat(), *lines])


def _tip_line(partition: PartitionView, reader: Reader) -> str:
    facts = [reader.status(partition.status), reader.rows(partition.rows)]
    if partition.status is PartitionStatus.HELD_BACK:
        text = reader.gettext("{target} in the target")
        facts.append(text.format(target=reader.number(partition.target_rows)))
    if partition.seconds is not None:
        facts.append(reader.duration(partition.seconds))
    if partition.error:
        facts.append(reader.told(partition.error)[:ERROR_MAX])
    return f"{partition.table}: " + " · ".join(facts)


def _numbers() -> list[Markup]:
    return [tag("span", str(day), style=f"grid-column: {day + 1}") for day in LABELLED_DAYS]


def _legend(counts: Counter[str], reader: Reader) -> list[Markup]:
    return [
        tag("li", tag("i", sign, class_=look, aria_hidden="true"), _counted(look, counts, reader))
        for look, sign in SIGNS.items()
        if counts[look]
    ]


def _alt(counts: Counter[str], reader: Reader) -> str:
    parts = [_counted(look, counts, reader) for look in SIGNS if counts[look]]
    return reader.gettext("Days of this run") + ": " + ", ".join(parts)


def _counted(look: str, counts: Counter[str], reader: Reader) -> str:
    name = reader.gettext("Done in part") if look == PARTLY else reader.status(look)
    return f"{name} {reader.number(counts[look])}"
