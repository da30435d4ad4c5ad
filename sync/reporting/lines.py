"""A report on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sync import wording
from sync.reporting.words import PARTITION_TITLES, Words
from sync.terminal import columns, verification_lines, verification_summary

if TYPE_CHECKING:
    from sync.report import Compared, Report
    from sync.reporting.words import Pairs


def report_lines(report: Report, locale: str) -> list[str]:
    """Everything, section after section."""
    words = Words(report, locale)
    gettext = words.gettext
    parts = [
        _facts(words.facts()),
        _facts(words.totals()),
        [line for line in (words.reason(), *words.proof()) if line],
        _titled(gettext("What is not known"), words.unknown()),
        _partitions(words),
        _compared(words, report.compared) if report.compared else [],
        [f"{at}  {text}" for at, text in words.log()],
        _facts([*words.under(), *words.versions()]),
    ]
    return [line for part in parts if part for line in (*part, "")][:-1]


def _facts(pairs: Pairs) -> list[str]:
    return columns(pairs) if pairs else []


def _titled(title: str, lines: list[str]) -> list[str]:
    return [title, *(f"  {line}" for line in lines)] if lines else []


def _partitions(words: Words) -> list[str]:
    report = words.report
    if not report.partitions:
        return []
    more = [words.gettext("Digest of both sides")] if report.digested else []
    titles = [words.gettext("Table"), *words.titles(PARTITION_TITLES), *more]
    rows = [
        [p.table, *words.partition(p), *([p.digest or "–"] if more else [])]
        for p in report.partitions
    ]
    errors = [
        f"{p.table} {p.day}: {wording.told(p.error, words.locale)}"
        for p in report.partitions
        if p.error
    ]
    return columns([titles, *rows], right={4, 5, 6, 7}) + errors


def _compared(words: Words, compared: Compared) -> list[str]:
    return [
        words.compared_on(compared),
        *verification_lines(compared.found, words.locale),
        verification_summary(compared.found, words.locale),
    ]
