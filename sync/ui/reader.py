"""Who looks at the page: his language, the installation's clock, and which runs he started here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import streamlit as st
from babel.numbers import format_compact_decimal

from sync import wording

if TYPE_CHECKING:
    from datetime import datetime
    from gettext import NullTranslations

    from sync.errors import BatchSyncError
    from sync.model import RunId, RunView, Verdict
    from sync.told import Told

# By locale: how a language stands in the address, and how its speakers call it.
CODES = {"en": "en", "zh_CN": "zh"}
COMPACT_FROM = 100_000
SECONDS_UNTIL = 90
NAMES = {"en": "English", "zh_CN": "中文"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Words, numbers and times as this reader wants them."""

    locale: str
    zone: ZoneInfo
    texts: NullTranslations
    own_runs: frozenset[RunId]

    def gettext(self, text: str) -> str:
        """The translation of `text`."""
        return self.texts.gettext(text)

    def ngettext(self, one: str, many: str, count: int) -> str:
        """The translation for `count` things."""
        return self.texts.ngettext(one, many, count)

    def told(self, what: Told) -> str:
        """What a run or the evidence tells, in the reader's words."""
        return wording.told(what, self.locale)

    def sentence(self, error: BatchSyncError) -> str:
        """An error in the reader's words."""
        return wording.sentence(error, self.locale)

    def verdict(self, verdict: Verdict) -> str:
        """What the evidence says of a holder."""
        return wording.verdict(verdict, self.locale)

    def status(self, value: str) -> str:
        """The word for a status, or for a verdict."""
        return wording.status(value, self.locale)

    def run_status(self, run: RunView) -> str:
        """The word for where a run stands."""
        return wording.run_status(run, self.locale)

    def number(self, value: float) -> str:
        """A whole number, grouped."""
        return wording.number(value, self.locale)

    def compact(self, value: float) -> str:
        """A number to be taken in at a glance: 8.41M, 841万."""
        if value < COMPACT_FROM:
            return self.number(value)
        return format_compact_decimal(value, locale=self.locale, fraction_digits=2)

    def short(self, value: float) -> str:
        """The same for an axis, whose labels are round: 8K, 1.5M."""
        return format_compact_decimal(value, locale=self.locale, fraction_digits=1)

    def rows(self, count: int) -> str:
        """A count of rows with its unit."""
        return wording.rows(count, self.locale)

    def rate(self, rows_per_s: float) -> str:
        """Rows per second."""
        return wording.rate(rows_per_s, self.locale)

    def duration(self, seconds: float) -> str:
        """A span of time."""
        return wording.duration(seconds, self.locale)

    def roughly(self, seconds: float) -> str:
        """A span of time that is a guess: no seconds behind minutes."""
        return self.duration(60 * round(seconds / 60) if seconds >= SECONDS_UNTIL else seconds)

    def ago(self, then: datetime, now: datetime) -> str:
        """How long ago `then` was."""
        return wording.ago(then, now, self.locale)

    def moment(self, moment: datetime) -> str:
        """Day and time of day, short, for tables."""
        return moment.astimezone(self.zone).strftime("%m-%d %H:%M")

    def clock(self, moment: datetime, *, seconds: bool = False) -> str:
        """Time of day, as every operator writes it."""
        return moment.astimezone(self.zone).strftime("%H:%M:%S" if seconds else "%H:%M")


def current(own_runs: frozenset[RunId] = frozenset(), timezone: str = "UTC") -> Reader:
    """The reader of this browser session: language by the address's `lang`, else by the browser.

    Times are in the settings' zone, not in the browser's: all who look see the same.
    """
    asked = st.query_params.get("lang") or st.context.locale
    locale = wording.pick_locale(asked, default="en")
    return Reader(
        locale=locale,
        zone=ZoneInfo(timezone),
        texts=wording.translations(locale),
        own_runs=own_runs,
    )
