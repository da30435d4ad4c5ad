"""A report as one HTML page that stands alone: no script, nothing from a network, fit to be signed.

The report's JSON stands in it as data, and in its footer the SHA-256 of that text, so that a
signature can refer to it.
"""

from __future__ import annotations

import hashlib
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from sync import wording
from sync.markup import Markup, join, tag
from sync.model import RunStatus
from sync.reporting.words import COMPARED_TITLES, PARTITION_TITLES, Words
from sync.shapes import VALUE_MAX, report_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sync.differences import Difference, Verified
    from sync.model import PartitionView
    from sync.report import Compared, Report

BEGINNING = "<!doctype html>\n<!-- Batch Sync: report of a run -->\n"
STYLE = Path(__file__).with_name("page.css")
SIGNS = {
    "succeeded": ("✓", "good"),
    "failed": ("✕", "bad"),
    "interrupted": ("!", "warn"),
    "cancelled": ("!", "warn"),
    "done": ("✓", "good"),
    "unchanged": ("=", "good"),
    "held_back": ("!", "warn"),
    "same": ("=", "good"),
    "different": ("≠", "bad"),
    "missing": ("−", "bad"),
    "extra": ("+", "bad"),
}
# How cells look: numbers, digests, and texts that may be long.
PARTITION_LOOKS = {3: "n", 4: "n", 5: "n", 6: "n", 8: "hex"}
COMPARED_LOOKS = {2: "n", 3: "n", 4: "hex", 5: "hex"}
DIFFERENCE_LOOKS = {3: "loose", 4: "loose", 5: "loose"}
LANGUAGES = {"en": "en", "zh_CN": "zh-CN"}


def report_page(report: Report, locale: str) -> str:
    """The whole file."""
    words = Words(report, locale)
    text = report_text(report)
    title = f"{words.gettext('Report of a run')} · {report.run.id}"
    # Data and style are no text of HTML; neither has a `<` in it.
    return (
        f'{BEGINNING}<html lang="{LANGUAGES[locale]}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"{tag('title', title)}\n<style>\n{STYLE.read_text(encoding='utf-8')}</style>\n</head>\n"
        f"<body>\n{_body(words, hashlib.sha256(text.encode()).hexdigest())}\n"
        f'<script type="application/json" id="report">{text}</script>\n</body>\n</html>\n'
    )


def _body(words: Words, digest: str) -> Markup:
    report, _ = words.report, words.gettext
    parts = [
        _head(words),
        _section(None, _facts(words.facts()), tag("p", words.reason()) if words.reason() else None),
        _section(_("Totals"), _facts(words.totals(), "big"), _sentences(words.proof())),
        _section(_("What is not known"), _bullets(words.unknown()), class_="warn"),
        _section(_("Not brought to the target"), *_partitions(words, report.undone), class_="warn"),
        _section(_("Rows that moved from other days"), _bullets(words.noted("rows.moved"))),
        _section(_("Rows in no day"), _bullets(words.noted("rows.undated"))),
        _section(_("Days"), *_partitions(words, report.partitions)),
        *_compared(words, report.compared),
        _section(_("Log"), _log(words)),
        _section(
            _("Settings and versions"),
            _facts(words.under()),
            _facts(words.versions()),
            _table(*words.tables()) if words.tables() else None,
        ),
        _signatures(words),
        _foot(words, digest),
    ]
    return tag("main", *parts)


def _head(words: Words) -> Markup:
    run, _ = words.report.run, words.gettext
    sign, tone = SIGNS.get(run.status.value, ("…", "info"))
    if run.withdrawn or run.status is RunStatus.QUEUED:
        sign, tone = "–", "info"
    badge = tag(
        "span",
        tag("span", sign, aria_hidden="true"),
        f" {wording.run_status(run, words.locale)}",
        class_=f"badge {tone}",
    )
    made = _("Made on {at}").format(at=words.instant(words.report.made_at))
    return tag(
        "header",
        tag("div", tag("p", "Batch Sync", class_="brand"), tag("h1", _("Report of a run"))),
        tag("div", badge, tag("p", made, class_="note")),
    )


def _section(title: str | None, *parts: Markup | None, class_: str = "") -> Markup | None:
    """A card; nothing where nothing stands in it."""
    found = [part for part in parts if part]
    heading = tag("h2", title) if title else None
    return tag("section", heading, *found, class_=class_ or None) if found else None


def _facts(pairs: Iterable[tuple[str, str]], size: str = "") -> Markup | None:
    boxes = [tag("div", tag("dt", label), tag("dd", value)) for label, value in pairs]
    return tag("dl", *boxes, class_=size or None) if boxes else None


def _sentences(lines: Iterable[str]) -> Markup:
    return join(*(tag("p", line) for line in lines))


def _bullets(lines: Iterable[str]) -> Markup | None:
    items = [tag("li", line) for line in lines]
    return tag("ul", *items) if items else None


def _log(words: Words) -> Markup | None:
    lines = [tag("li", tag("time", at), tag("span", text)) for at, text in words.log()]
    return tag("ol", *lines, class_="log") if lines else None


def _partitions(words: Words, partitions: Sequence[PartitionView]) -> list[Markup]:
    """A table for each of the run's tables, its days by month."""
    _ = words.gettext
    kinds = sorted({p.digest_kind for p in partitions if p.digest_kind})
    titles = words.titles(PARTITION_TITLES)
    if kinds:
        titles.append(_("Digest of both sides ({kind})").format(kind=", ".join(kinds)))

    def rows(p: PartitionView) -> list[Markup]:
        cells = words.partition(p) + ([p.digest or "–"] if kinds else [])
        found = [_row(cells, PARTITION_LOOKS, status=p.status.value, at=2)]
        if p.error:
            found.append(_why(wording.told(p.error, words.locale), len(cells)))
        return found

    return [
        _days(name, titles, PARTITION_LOOKS, [(f"{p.day:%Y-%m}", rows(p)) for p in of], words=words)
        for name, of in groupby(partitions, key=lambda p: p.table)
    ]


def _compared(words: Words, compared: Compared | None) -> list[Markup | None]:
    if compared is None:
        return []
    found, _ = compared.found, words.gettext
    kinds = sorted({p.digest_kind for p in found.partitions if p.digest_kind})
    said = [
        _("Source and target as they were then, every value compared by digest ({kind}).").format(
            kind=", ".join(kinds)
        ),
        words.verdict(found),
    ]
    if not found.complete:
        said.append(_("More rows differ than are listed here."))
    days = [
        _days(
            name,
            words.titles(COMPARED_TITLES),
            COMPARED_LOOKS,
            [(f"{p.day:%Y-%m}", [_compared_row(words, p)]) for p in of],
            words=words,
        )
        for name, of in groupby(found.partitions, key=lambda p: p.table)
    ]
    title = words.compared_on(compared)
    tone = "warn" if found.differing else ""
    listed = _differences(words, found.differences)
    return [_section(title, _sentences(said), listed, *days, class_=tone)]


def _compared_row(words: Words, p: Verified) -> Markup:
    status = "same" if p.same else "different"
    return _row(words.of_both(p), COMPARED_LOOKS, status=status, at=1)


def _differences(words: Words, differences: Sequence[Difference]) -> Markup | None:
    if not differences:
        return None
    _ = words.gettext
    titles = [_("Table"), _("Day"), _("What"), _("Key"), _("Source"), _("Target")]
    rows = [
        _row(
            [
                one.table,
                one.day.isoformat(),
                wording.status(one.kind, words.locale),
                *(wording.values(of, VALUE_MAX) for of in (one.key, one.source, one.target)),
            ],
            DIFFERENCE_LOOKS,
            status=one.kind.value,
            at=2,
        )
        for one in differences
    ]
    return _scrolled(_titled(titles, DIFFERENCE_LOOKS), tag("tbody", *rows))


def _days(
    name: str,
    titles: Sequence[str],
    looks: Mapping[int, str],
    rows: Sequence[tuple[str, list[Markup]]],
    *,
    words: Words,
) -> Markup:
    """One table's days, each month a body with its own line above."""
    months = [
        tag(
            "tbody",
            tag("tr", tag("th", month, colspan=len(titles), scope="rowgroup"), class_="month"),
            *(row for _, of_day in of for row in of_day),
        )
        for month, of in groupby(rows, key=lambda row: row[0])
    ]
    count = words.number(len(rows))
    heading = tag("h3", name, " ", tag("small", count))
    return tag("div", heading, _scrolled(_titled(titles, looks), *months), class_="days")


def _titled(titles: Sequence[str], looks: Mapping[int, str]) -> Markup:
    cells = (tag("th", title, scope="col", class_=looks.get(n)) for n, title in enumerate(titles))
    return tag("thead", tag("tr", *cells))


def _row(cells: Sequence[str], looks: Mapping[int, str], *, status: str, at: int) -> Markup:
    """A table's line; the cell `at` has the sign of a status."""
    sign, tone = SIGNS.get(status, ("…", "info"))
    mark = tag("span", sign, aria_hidden="true", class_=f"sign {tone}")
    return tag(
        "tr",
        *(
            tag("td", mark, " ", text) if n == at else tag("td", text, class_=looks.get(n))
            for n, text in enumerate(cells)
        ),
    )


def _why(text: str, width: int) -> Markup:
    return tag("tr", tag("td", text, colspan=width, class_="loose why"))


def _table(titles: Sequence[str], *rows: Sequence[str]) -> Markup:
    body = (tag("tr", *(tag("td", cell, class_="loose") for cell in row)) for row in rows)
    return _scrolled(_titled(titles, {}), tag("tbody", *body))


def _scrolled(*parts: Markup) -> Markup:
    # Who has no mouse scrolls what has the focus.
    return tag("div", tag("table", *parts), class_="scroll", tabindex=0)


def _signatures(words: Words) -> Markup:
    _ = words.gettext
    lines = [_("Name"), _("Date"), _("Signature")]
    boxes = [
        tag("div", tag("h3", who), *(tag("p", tag("span", line)) for line in lines))
        for who in (_("Prepared by"), _("Checked by"))
    ]
    return tag("section", *boxes, class_="signatures")


def _foot(words: Words, digest: str) -> Markup:
    _ = words.gettext
    return tag(
        "footer",
        tag("p", _("SHA-256 of this report's JSON"), " ", tag("code", digest)),
        tag("p", _("That JSON stands in this file, as the text of the element “report”.")),
    )
