"""A run that did not end well: what happened, what is whole, and what puts it right."""

from __future__ import annotations

from collections import Counter
from enum import Enum
from typing import TYPE_CHECKING

from sync.markup import Markup
from sync.model import PartitionStatus, PartitionView, RunStatus, RunView
from sync.ui.elements import bullets, day_range, facts, paragraph, stack

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sync.snapshot import Snapshot
    from sync.ui.reader import Reader

LINES_MAX = 5
ERROR_MAX = 400


class Trouble(Enum):
    """How a run can end other than well."""

    FAILED = "failed"
    INTERRUPTED = "interrupted"
    HELD_BACK = "held_back"
    CANCELLED = "cancelled"


TONES = {
    Trouble.FAILED: "bad",
    Trouble.INTERRUPTED: "amber",
    Trouble.HELD_BACK: "amber",
    Trouble.CANCELLED: "quiet",
}


def trouble_of(run: RunView) -> Trouble | None:
    """What to tell of a run that has ended; None when all is well."""
    match run.status:
        case RunStatus.INTERRUPTED:
            return Trouble.INTERRUPTED
        case RunStatus.CANCELLED:
            return Trouble.CANCELLED
        case RunStatus.FAILED:
            return Trouble.FAILED if run.failed or not run.held_back else Trouble.HELD_BACK
        case _:
            return None


def heading(run: RunView, partitions: Iterable[PartitionView], reader: Reader) -> str:
    """The card's first line."""
    _ = reader.gettext
    match trouble_of(run):
        case Trouble.INTERRUPTED:
            return _("The last sync was interrupted")
        case Trouble.CANCELLED:
            return _("The last sync was cancelled")
        case Trouble.HELD_BACK:
            count = _days(partitions, PartitionStatus.HELD_BACK) or run.held_back
            text = reader.ngettext(
                "{count} day was held back", "{count} days were held back", count
            )
            return text.format(count=reader.number(count))
        case _:
            count = _days(partitions, PartitionStatus.FAILED)
            if not count:
                return _("The last sync failed")
            text = reader.ngettext(
                "{count} day could not be copied", "{count} days could not be copied", count
            )
            return text.format(count=reader.number(count))


def outcome(snapshot: Snapshot, reader: Reader) -> Markup:
    """What stands under the heading."""
    run = snapshot.shown
    if run is None:
        return stack()
    return stack(
        facts(_counts(snapshot, run, reader)),
        paragraph(_what_happened(run, reader)),
        bullets(_details(snapshot, reader)),
        paragraph(_what_to_do(run, reader), look="note"),
    )


def _counts(snapshot: Snapshot, run: RunView, reader: Reader) -> list[tuple[str, str]]:
    """What is whole and what is not, in days (with several tables, days of tables)."""
    _ = reader.gettext
    counts = Counter(partition.status for partition in snapshot.partitions)
    whole = counts[PartitionStatus.DONE] + counts[PartitionStatus.UNCHANGED]
    failed, held_back = counts[PartitionStatus.FAILED], counts[PartitionStatus.HELD_BACK]
    missing = len(snapshot.partitions) - whole - failed - held_back
    pairs = [(_("Range"), day_range(run.days)), (_("Whole"), reader.number(whole))]
    pairs += [(_("Failed"), reader.number(failed))] if failed else []
    pairs += [(_("Held back"), reader.number(held_back))] if held_back else []
    pairs += [(_("Not copied yet"), reader.number(missing))] if missing else []
    return pairs


def _what_happened(run: RunView, reader: Reader) -> str:
    _ = reader.gettext
    told = reader.told(run.error) if run.error else None
    match trouble_of(run):
        case Trouble.HELD_BACK:
            return _(
                "The source has no rows for these days, or far fewer than stand in the target, "
                "so the rows in the target were left as they are."
            )
        case Trouble.CANCELLED:
            return _("Somebody asked it to stop. Days that were done are whole.")
        case Trouble.INTERRUPTED:
            return told or _("Its process ended before it was done. Days that were done are whole.")
        case _:
            return told or _("The rest was copied. Days that failed stand as they were before.")


def _details(snapshot: Snapshot, reader: Reader) -> list[str]:
    """Evidence, then the first days that went wrong."""
    wrong = [
        p
        for p in snapshot.partitions
        if p.status in {PartitionStatus.FAILED, PartitionStatus.HELD_BACK}
    ]
    lines = [*map(reader.told, snapshot.evidence), *(_detail(p, reader) for p in wrong)]
    if len(lines) <= LINES_MAX:
        return lines
    more = reader.gettext("and {count} more").format(count=reader.number(len(lines) - LINES_MAX))
    return [*lines[:LINES_MAX], more]


def _detail(partition: PartitionView, reader: Reader) -> str:
    if partition.status is PartitionStatus.HELD_BACK:
        text = reader.gettext("{table}, {day}: {source} rows in the source, {target} in the target")
        return text.format(
            table=partition.table,
            day=partition.day,
            source=reader.number(partition.rows),
            target=reader.number(partition.target_rows),
        )
    status = reader.status(partition.status)
    error = reader.told(partition.error) if partition.error else status
    place = f"{partition.table}, {partition.day}: "
    if partition.table in error and str(partition.day) in error:
        place = ""
    return f"{place}{error[:ERROR_MAX]}{'…' if len(error) > ERROR_MAX else ''}"


def _what_to_do(run: RunView, reader: Reader) -> str:
    _ = reader.gettext
    if trouble_of(run) is Trouble.HELD_BACK:
        return _("If the source is right, tick “Let held back days through” below, then resume.")
    return _("Resume copies only what is not whole yet.")


def _days(partitions: Iterable[PartitionView], status: PartitionStatus) -> int:
    return len({partition.day for partition in partitions if partition.status is status})
