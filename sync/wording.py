"""Snapshot or error to sentences: the same words on the page, the command line and over HTTP.

English texts are the keys; `locale/<tag>/LC_MESSAGES/batch_sync.po` holds the others.
Dates and times are ISO 8601 in every language.
"""

from __future__ import annotations

import json
from datetime import timedelta
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babel import negotiate_locale
from babel.dates import format_datetime, format_timedelta
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal
from babel.support import NullTranslations, Translations

from sync.errors import N_, LeaseHeld
from sync.model import Conflict, Progress, Verdict
from sync.shapes import holder_json, progress_json, range_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, tzinfo

    from sync.errors import BatchSyncError
    from sync.model import RunView
    from sync.told import Told

LOCALES = ("en", "zh_CN")
LOCALE_DIR = Path(__file__).parent / "locale"
STATUS_HREF = "/api/v1/sync-status"
TAKEOVER = 'python -m sync takeover {run_id} --reason "…"'
TAKEN_OVER = {Verdict.PAUSED, Verdict.UNKNOWN, Verdict.STALLED}
START_HREF = "/api/v1/sync-status/sync/batch"

# A language we have in one spelling serves all who ask for it in another.
_ALIASES = {"zh": "zh_CN"}
# The fact `role` is a word of ours; all others (names, addresses, what was typed) stay as they are.
_ROLES = (N_("source"), N_("target"), N_("store"))

_LABELS = {
    "idle": N_("Idle"),
    "queued": N_("Queued"),
    "running": N_("Running"),
    "succeeded": N_("Succeeded"),
    "failed": N_("Failed"),
    "cancelled": N_("Cancelled"),
    "interrupted": N_("Interrupted"),
    "withdrawn": N_("Withdrawn"),
    "pending": N_("Pending"),
    "copying": N_("Copying"),
    "done": N_("Done"),
    "unchanged": N_("Unchanged"),
    "held_back": N_("Held back"),
    "dead": N_("Dead"),
    "lost": N_("Lease lost"),
    "paused": N_("Paused"),
    "unknown": N_("No sign of life"),
    "stalled": N_("Stalled"),
    "missing": N_("Missing"),
    "same": N_("Same"),
    "extra": N_("Extra"),
    "different": N_("Different"),
    "changed": N_("Changed"),
    "drifted": N_("Drifted"),
    "not_closed": N_("Day not over"),
}

_UNITS = (N_("{n} d"), N_("{n} h"), N_("{n} min"), N_("{n} s"))

_VERDICTS = {
    Verdict.DEAD: N_("It is dead: its locks are free."),
    Verdict.LOST: N_("It has lost a lock, but a database session of its run still lives."),
    Verdict.PAUSED: N_("Its process is stopped, and it still holds the locks."),
    Verdict.UNKNOWN: N_("It holds the locks, but gives no sign of life."),
    Verdict.STALLED: N_("It is alive, but no rows have moved for a while."),
    Verdict.RUNNING: N_("It is alive, and rows move."),
}

_ADVICE = {
    Verdict.DEAD: N_(
        "Start again: that closes it as interrupted. Then resume goes on where it stopped."
    ),
    Verdict.LOST: N_("Start again: that ends its sessions and closes it as interrupted."),
    Verdict.PAUSED: N_(
        "On {host}, let it go on (kill -CONT {pid}) or end it (kill -KILL {pid}): "
        "then its lease is free at once."
    ),
    Verdict.UNKNOWN: N_(
        "Look for process {pid} on {host}; when that has ended, its lease is free at once."
    ),
    Verdict.STALLED: N_("Stop it now: python -m sync cancel {run_id} --now"),
    Verdict.RUNNING: N_("Watch it: python -m sync status --watch"),
}


def pick_locale(asked: str | None, default: str) -> str:
    """The one of `LOCALES` that fits an Accept-Language header, a tag or a POSIX locale best.

    `default` where nothing is asked; English where only languages are asked that we do not have.
    """
    tags = _tags_by_preference(asked or "")
    if not tags or tags[0] == "*":
        return default
    # Each tag with its language alone behind it, so that any Chinese is Chinese.
    wanted = [name for tag in tags for name in (tag, tag.partition("_")[0])]
    found = negotiate_locale(wanted, LOCALES, aliases=_ALIASES)
    return next((name for name in LOCALES if found and name.lower() == found.lower()), "en")


def _tags_by_preference(header: str) -> list[str]:
    weighted: list[tuple[float, str]] = []
    for item in header.split(","):
        tag, _, parameters = item.strip().partition(";")
        weight = parameters.replace(" ", "").removeprefix("q=") or "1"
        try:
            quality = float(weight)
        except ValueError:
            continue
        # zh_CN.UTF-8@x is POSIX; C and POSIX ask for no language.
        name = tag.strip().replace("-", "_").partition(".")[0].partition("@")[0]
        if name and name not in {"C", "POSIX"} and quality > 0:
            weighted.append((quality, name))
    return [name for _, name in sorted(weighted, key=lambda pair: -pair[0])]


@cache
def translations(locale: str) -> NullTranslations:
    """The texts of one of `LOCALES`: views call `.gettext(text)` and `.ngettext(one, many, n)`."""
    file = LOCALE_DIR / locale / "LC_MESSAGES" / "batch_sync.po"
    if not file.exists():
        return NullTranslations()
    # Compiled in memory: the .po is the only file to ship, and cannot be out of step with another.
    compiled = BytesIO()
    with file.open("rb") as po:
        write_mo(compiled, read_po(po, locale=locale))
    compiled.seek(0)
    return Translations(compiled, domain="batch_sync")


def told(what: Told, locale: str) -> str:
    """What a run, the evidence or the doctor tells, with how to mend it."""
    return what.words(translations(locale).gettext)


def sentence(error: BatchSyncError, locale: str) -> str:
    """What went wrong and how to mend it."""
    return told(error.told, locale)


def status(value: str, locale: str) -> str:
    """The label of a status, plan state, verdict, or state of a snapshot."""
    return translations(locale).gettext(_LABELS[str(value)])


def run_status(run: RunView, locale: str) -> str:
    """The word for where a run stands; a withdrawn one has a word of its own."""
    return status("withdrawn" if run.withdrawn else run.status, locale)


def unserved(locale: str) -> str:
    """That nobody starts what is queued, and what to do."""
    return translations(locale).gettext(
        "No dashboard or server runs here that would start what is queued:"
        " start `python -m sync serve` or open the dashboard."
    )


def verdict(value: Verdict, locale: str) -> str:
    """What is known of the holder, as a sentence."""
    return translations(locale).gettext(_VERDICTS[value])


def number(n: float, locale: str) -> str:
    """A whole number with its thousands grouped."""
    return str(format_decimal(round(n), locale=locale))


def rows(n: int, locale: str) -> str:
    """A count of rows with its unit."""
    return translations(locale).ngettext("{n} row", "{n} rows", n).format(n=number(n, locale))


def rate(rows_per_s: float, locale: str) -> str:
    """Rows per second with the unit."""
    return translations(locale).gettext("{n} rows/s").format(n=number(rows_per_s, locale))


def duration(seconds: float, locale: str) -> str:
    """A length of time in its two largest units, the second only where it is not zero."""
    texts = translations(locale)
    if seconds < 1:
        return texts.gettext("under 1 s")
    minutes, s = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    counts = (days, hours, minutes, s)
    largest = next(place for place, count in enumerate(counts) if count)
    return " ".join(
        texts.gettext(unit).format(n=count)
        for unit, count in [*zip(_UNITS, counts, strict=True)][largest : largest + 2]
        if count
    )


def ago(then: datetime, now: datetime, locale: str) -> str:
    """How long ago, in its largest unit."""
    passed = max(now - then, timedelta())
    if passed < timedelta(seconds=5):
        return translations(locale).gettext("just now")
    return format_timedelta(-passed, add_direction=True, threshold=1, locale=locale)


def instant(at: datetime, zone: tzinfo, locale: str) -> str:
    """Date, time and offset in `zone`: 2026-11-24 17:49:12 GMT+08:00."""
    pattern = "yyyy-MM-dd HH:mm:ss " + ("ZZZZ" if at.astimezone(zone).utcoffset() else "'UTC'")
    return format_datetime(at, pattern, tzinfo=zone, locale=locale)


def values(row: Mapping[str, str | None] | None, limit: int) -> str:
    """A row's values with their columns' names, at most `limit` signs; - where there is no row."""
    if row is None:
        return "-"
    said = (
        "NULL" if value is None else json.dumps(value, ensure_ascii=False) for value in row.values()
    )
    text = ", ".join(f"{name}={value}" for name, value in zip(row, said, strict=True))
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def holder_line(conflict: Conflict, zone: tzinfo) -> str:
    """`user@host PID n since T, run ID`: one form in every language, for eyes and for grep."""
    holder = conflict.holder
    run_id = conflict.run_id or "?"
    if holder is None:
        return f"holder not known yet, run {run_id}"
    since = instant(holder.since, zone, "en")
    return f"{holder.user}@{holder.host} PID {holder.pid} since {since}, run {run_id}"


def conflict_lines(conflict: Conflict, locale: str, now: datetime, zone: tzinfo) -> list[str]:
    """Who holds the lease, what he syncs, how far, how well, and what can be done now."""
    texts = translations(locale)
    lines = [holder_line(conflict, zone)]
    if conflict.holder is None:
        return [*lines, texts.gettext("Another run is just starting; look again in a moment.")]
    if conflict.days:
        lines.append(
            texts.gettext("It syncs {start} to {end} and began {ago}.").format(
                start=conflict.days.start,
                end=conflict.days.end,
                ago=ago(conflict.holder.since, now, locale),
            )
        )
    lines.append(progress_line(conflict.progress, locale))
    lines.append(verdict(conflict.verdict, locale))
    facts = {"host": conflict.holder.host, "pid": conflict.holder.pid, "run_id": conflict.run_id}
    stop = texts.gettext("Ask it to stop: python -m sync cancel {run_id}")
    advice = texts.gettext(_ADVICE[conflict.verdict])
    if not conflict.reached:
        stop = texts.gettext("Only on {host} can it be asked to stop: {command}")
        advice = stop if conflict.verdict is Verdict.STALLED else advice
        facts["command"] = f"python -m sync cancel {conflict.run_id}"
    lines.append(advice.format(**facts))
    if conflict.verdict in TAKEN_OVER:
        command = TAKEOVER.format(**facts)
        lines.append(
            texts.gettext("Or take it over, which ends it: {command}").format(command=command)
        )
    if conflict.verdict is Verdict.RUNNING:
        lines.append(texts.gettext("Wait for it: add --wait to your command."))
        lines.append(texts.gettext("Have yours started when it ends: add --queue to sync run."))
        lines.append(stop.format(**facts))
    return lines


def partitions(n: int, locale: str) -> str:
    """A count of partitions with its unit."""
    text = translations(locale).ngettext("{n} partition", "{n} partitions", n)
    return text.format(n=number(n, locale))


def progress_line(progress: Progress, locale: str) -> str:
    """How far a run is, and how long still."""
    texts = translations(locale)
    if not progress.partitions_total:
        return texts.gettext("It is still counting rows.")
    line = texts.gettext(
        "{done} of {total} rows, {partitions_done} of {partitions_total} partitions, {rate}"
    ).format(
        done=number(progress.rows_done, locale),
        total=number(progress.rows_total, locale),
        partitions_done=number(progress.partitions_done, locale),
        partitions_total=number(progress.partitions_total, locale),
        rate=rate(progress.rows_per_s, locale),
    )
    if progress.eta_s is None:
        return line
    return texts.gettext("{progress}, {time} left").format(
        progress=line, time=duration(progress.eta_s, locale)
    )


def actions(conflict: Conflict, locale: str) -> list[dict[str, str]]:
    """What the one who was refused can do over HTTP or as a command, and what comes of it."""
    gettext = translations(locale).gettext
    if conflict.verdict in {Verdict.DEAD, Verdict.LOST}:
        later = consequence = gettext("Closes that run as interrupted and starts yours.")
    else:
        later = gettext("Starts yours when that run and those already queued have ended.")
        consequence = gettext(
            "Starts yours once that run has ended; until then it is refused again."
        )
    found = [
        {
            "action": "watch",
            "consequence": gettext("Shows how far that run is; changes nothing."),
            "method": "GET",
            "href": STATUS_HREF,
        },
        {"action": "retry", "consequence": consequence, "method": "POST", "href": START_HREF},
        {"action": "queue", "consequence": later, "method": "POST", "href": START_HREF},
    ]
    if conflict.run_id and conflict.verdict in TAKEN_OVER:
        found.append(
            {
                "action": "takeover",
                "consequence": gettext("Ends that run's holder and closes it; starts nothing."),
                "method": "CLI",
                "href": TAKEOVER.format(run_id=conflict.run_id),
            }
        )
    return found


def conflict_json(conflict: Conflict, locale: str) -> dict[str, Any]:
    """The answer to a start that was refused, in the shape of the seed with our facts beside it."""
    return {
        "status": "error",
        "message": translations(locale).gettext(LeaseHeld.template),
        "code": LeaseHeld.code,
        "active_task_id": conflict.run_id,
        "holder": holder_json(conflict.holder) if conflict.holder else None,
        "range": range_json(conflict.days) if conflict.days else None,
        "progress": progress_json(conflict.progress),
        "verdict": conflict.verdict.value,
        "yours": conflict.yours,
        "actions": actions(conflict, locale),
    }
