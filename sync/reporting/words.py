"""A report's facts, tables and sentences in a language: the same on a terminal and on the page."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from sync import wording
from sync.errors import N_
from sync.model import Only, PartitionStatus, RunStatus, Verify
from sync.wording import translations

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sync.differences import Verification, Verified
    from sync.model import PartitionView
    from sync.report import Compared, Report

    Pairs = list[tuple[str, str]]

PARTITION_TITLES = (
    N_("Day"),
    N_("Planned as"),
    N_("Result"),
    N_("Rows before"),
    N_("Source rows"),
    N_("Rows committed"),
    N_("Took"),
    N_("Committed at"),
)
COMPARED_TITLES = (
    N_("Day"),
    N_("Result"),
    N_("Source rows"),
    N_("Target rows"),
    N_("Digest of the source"),
    N_("Digest of the target"),
)
PROOFS = {
    Verify.NONE: N_(
        "As many rows were copied as were counted in the same snapshot of the source."
        " Digests were not taken."
    ),
    Verify.COUNT: N_(
        "Before each commit, the rows that stood in the target were counted, and were as many as"
        " in the source. Digests were not taken."
    ),
    Verify.DIGEST: N_(
        "Before each commit, every value was compared by digest, and was the same in source and"
        " target: a day's digest below is that of both sides."
    ),
}
COMPARISONS = {
    Verify.NONE: N_("Copied rows"),
    Verify.COUNT: N_("Rows"),
    Verify.DIGEST: N_("Values"),
}
ASKED = {
    Only.ALL: N_("All days"),
    Only.MISSING: N_("Days that were missing"),
    Only.CHANGED: N_("Days that differed"),
    Only.FAILED: N_("Days that had failed"),
}
UNKNOWN = "–"
EXACT_S = 10  # shorter times are told to the thousandth


class Words:
    """The words of one report; times are in the zone in which the run's days began."""

    def __init__(self, report: Report, locale: str) -> None:
        self.report, self.locale = report, locale
        self.zone = ZoneInfo(report.timezone)
        self.gettext = translations(locale).gettext

    def titles(self, titles: Iterable[str]) -> list[str]:
        """Translated."""
        return [self.gettext(title) for title in titles]

    def instant(self, at: datetime | None) -> str:
        """With its offset."""
        return wording.instant(at, self.zone, self.locale) if at else UNKNOWN

    def number(self, n: int | None) -> str:
        """Grouped."""
        return UNKNOWN if n is None else wording.number(n, self.locale)

    def _moment(self, at: datetime | None) -> str:
        """The time of day, and the day where it is not the one on which the run began."""
        if at is None:
            return UNKNOWN
        there, began = (t.astimezone(self.zone) for t in (at, self.report.run.started_at))
        return f"{there:%H:%M:%S}" if there.date() == began.date() else f"{there:%Y-%m-%d %H:%M:%S}"

    def _seconds(self, seconds: float | None) -> str:
        if seconds is None:
            return UNKNOWN
        if seconds >= EXACT_S:
            return wording.duration(seconds, self.locale)
        return self.gettext("{n} s").format(n=f"{seconds:.3f}")

    def _yes(self, yes: object) -> str:
        return self.gettext(N_("Yes")) if yes else self.gettext(N_("No"))

    def facts(self) -> Pairs:
        """Who, when, what, and how it ended."""
        run, _ = self.report.run, self.gettext
        holder = run.holder
        begun = run.status is not RunStatus.QUEUED
        pairs = [
            (_("Run"), run.id),
            (_("Result"), wording.run_status(run, self.locale)),
            (_("Who"), f"{holder.user}@{holder.host} PID {holder.pid}"),
            (_("Days"), str(run.days)),
            (_("Tables"), ", ".join(run.tables)),
            (_("Started"), self.instant(run.started_at if begun else None)),
            (_("Ended"), self.instant(run.finished_at)),
            (_("Took"), wording.duration(run.duration_s, self.locale) if begun else UNKNOWN),
            (_("Time zone"), self.report.timezone),
            (_("Asked for"), _(ASKED[run.only])),
            (_("Held back days let through"), self._yes(run.allow_shrink)),
            (_("Plan"), self.report.circumstances.get("plan") or ""),
            (_("Token"), str(run.token or UNKNOWN)),
            (_("Ended by"), self._ended_by()),
        ]
        return [(label, value) for label, value in pairs if value]

    def reason(self) -> str:
        """Why it did not succeed; who took it over, and why."""
        return wording.told(self.report.run.error, self.locale) if self.report.run.error else ""

    def _ended_by(self) -> str:
        """Who else ended it, if anybody."""
        by = self.report.ended_by
        return by if by and by != "itself" else ""

    def totals(self) -> Pairs:
        """The counts that tell the whole."""
        totals, _ = self.report.totals, self.gettext
        done = f"{self.number(totals['done'])} / {self.number(totals['partitions'])}"
        return [
            (_("Partitions done"), done),
            (_("Rows before"), self.number(totals["rows_before"])),
            (_("Source rows"), self.number(totals["source_rows"])),
            (_("Rows committed"), self.number(totals["rows"])),
            (_("Held back"), self.number(totals["held_back"])),
            (_("Failed"), self.number(totals["failed"])),
        ]

    def proof(self) -> list[str]:
        """What was compared, what still stands, and what is not known: sentences."""
        report, _ = self.report, self.gettext
        said = []
        done, standing = len(report.among(PartitionStatus.DONE)), report.standing
        if verify := report.circumstances.get("verify"):
            said.append(_(PROOFS[Verify(verify)]))
        elif done and not report.digested:
            said.append(_("Digests were not taken, or were not kept."))
        if done and standing == done:
            said.append(_("No later run has touched what it committed."))
        elif done and standing is not None:
            later = _(
                "Of its partitions, {count} were copied anew by later runs,"
                " or lost rows that moved."
            )
            said.append(later.format(count=self.number(done - standing)))
        if compared := report.compared:
            both = _("{what}: {verdict}")
            what, verdict = self.compared_on(compared), self.verdict(compared.found)
            said.append(both.format(what=what, verdict=verdict))
        return said

    def compared_on(self, compared: Compared) -> str:
        """When both sides were compared after the run."""
        return self.gettext("Compared on {at}").format(at=self.instant(compared.at))

    def verdict(self, found: Verification) -> str:
        """Whether they were the same."""
        differing, count = (self.number(len(of)) for of in (found.differing, found.partitions))
        if not found.differing:
            return self.gettext("All {count} partitions are the same.").format(count=count)
        text = self.gettext("{differing} of {count} partitions differ.")
        return text.format(differing=differing, count=count)

    def unknown(self) -> list[str]:
        """What cannot be known here."""
        return [wording.told(what, self.locale) for what in self.report.unknown]

    def under(self) -> Pairs:
        """The settings that mattered."""
        under, _ = self.report.circumstances, self.gettext
        if not under:
            return [(_("Target"), self.report.target)]
        return [
            (_("Source"), under["source"]),
            (_("Target"), under["target"]),
            (_("Compared before each commit"), _(COMPARISONS[Verify(under["verify"])])),
            (_("Held back below"), f"{under['shrink_max']:.0%}"),
            (_("One snapshot of the source"), self._yes(under["snapshot"])),
            (_("Locks"), under["locks"]),
        ]

    def versions(self) -> Pairs:
        """Of the programs on both sides and between."""
        names: dict[str, str] = {
            "batch_sync": "Batch Sync",
            "python": "Python",
            "sqlalchemy": "SQLAlchemy",
        }
        names |= {"source": self.gettext("Source"), "target": self.gettext("Target")}
        found: dict[str, str | None] = self.report.circumstances.get("versions", {})
        return [(names.get(name, name), version) for name, version in found.items() if version]

    def tables(self) -> list[list[str]]:
        """How each table was defined, under a line of titles."""
        _ = self.gettext
        titles = [
            _("Table"),
            _("Source"),
            _("Date column"),
            _("Key"),
            _("Condition"),
            _("Definition"),
        ]
        rows = [
            [
                name,
                of["source"],
                of["date_column"],
                ", ".join(of["key"]) or UNKNOWN,
                of["where"] or UNKNOWN,
                of["definition"][:16],
            ]
            for name, of in self.report.circumstances.get("tables", {}).items()
        ]
        return [titles, *rows] if rows else []

    def partition(self, p: PartitionView) -> list[str]:
        """A partition's cells under `PARTITION_TITLES`."""
        done = p.status is PartitionStatus.DONE
        return [
            p.day.isoformat(),
            wording.status(p.state, self.locale) if p.state else UNKNOWN,
            wording.status(p.status, self.locale),
            self.number(p.target_rows if p.state else None),
            self.number(p.source_rows),
            self.number(p.rows if done else None),
            self._seconds(p.seconds),
            self._moment(p.committed_at),
        ]

    def of_both(self, p: Verified) -> list[str]:
        """A compared partition's cells under `COMPARED_TITLES`."""
        return [
            p.day.isoformat(),
            wording.status("same" if p.same else "different", self.locale),
            self.number(p.source_rows),
            self.number(p.target_rows),
            p.source_digest or UNKNOWN,
            p.target_digest or UNKNOWN,
        ]

    def noted(self, event: str) -> list[str]:
        """What the log says of one kind of event, a sentence each."""
        return [wording.told(told, self.locale) for told in self.report.noted(event)]

    def log(self) -> list[tuple[str, str]]:
        """When, and what happened."""
        return [
            (
                self._moment(line.at),
                wording.told(line.text, self.locale),
            )
            for line in self.report.log
        ]
