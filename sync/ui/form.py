"""The form: which days of which tables; presets; the start."""

from __future__ import annotations

from datetime import date, timedelta
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from sync.model import DateRange, RunRequest
from sync.ui import actions

if TYPE_CHECKING:
    from collections.abc import Callable

    from sync.operations import Operations
    from sync.snapshot import Snapshot
    from sync.ui.reader import Reader

LENGTHS = (7, 30, 90)
EARLIEST = date(1970, 1, 1)
DEFAULT_DAYS = 7


def presets(
    data_range: tuple[date, date] | None, today: date, reader: Reader
) -> dict[str, DateRange]:
    """Ranges by label, each ending with the last whole day that the source has."""
    _ = reader.gettext
    yesterday = today - timedelta(days=1)
    first, last = data_range or (EARLIEST, yesterday)
    end = max(first, min(last, yesterday))
    name = _("Yesterday") if end == yesterday else _("Last day")
    found = {name: DateRange(end, end)}
    for length in LENGTHS:
        label = reader.ngettext("{count} day", "{count} days", length).format(count=length)
        found[label] = DateRange(max(first, end - timedelta(days=length - 1)), end)
    if data_range:
        found[_("All data")] = DateRange(first, last)
    return found


def draw(snapshot: Snapshot, operations: Operations, reader: Reader) -> None:
    """The whole form. What was chosen stays chosen, whatever a click came to."""
    _ = reader.gettext
    actions.prepare_start()
    today = snapshot.taken_at.astimezone(reader.zone).date()
    chosen = _days(presets(snapshot.data_range, today, reader), snapshot, today, reader)
    tables = _tables(snapshot, reader)
    allow_shrink = lets_through(snapshot, reader)
    request = chosen and RunRequest(days=chosen, tables=tables, allow_shrink=allow_shrink)
    _start(request, snapshot, operations, reader)


def lets_through(snapshot: Snapshot, reader: Reader) -> bool:
    """The tick for held back days: only where some were, and a new one for each run."""
    run = snapshot.shown
    if snapshot.busy or run is None or not run.held_back:
        return False
    _ = reader.gettext
    return st.checkbox(
        _("Let held back days through"),
        key=f"allow_shrink_{run.id}",
        help=_(
            "Also replaces days whose source has no rows, or far fewer than stand in the target."
        ),
    )


def _days(
    ranges: dict[str, DateRange], snapshot: Snapshot, today: date, reader: Reader
) -> DateRange | None:
    """The range, None while only its first day is picked."""
    _ = reader.gettext
    if "days" not in st.session_state:
        st.session_state["days"] = _pair(list(ranges.values())[1])
    first, last = snapshot.data_range or (today, today)
    picked = st.date_input(
        _("Days to sync, both included"),
        key="days",
        min_value=min(EARLIEST, first),
        max_value=max(today, last) + timedelta(days=366),
        format="YYYY-MM-DD",
        on_change=_forget_preset,
        persist_state="session",
    )
    st.pills(
        _("Presets"),
        list(ranges),
        key="preset",
        label_visibility="collapsed",
        on_change=partial(_take_preset, ranges),
        wrap=True,
    )
    return DateRange(*picked) if isinstance(picked, tuple) and len(picked) == 2 else None  # noqa: PLR2004


def _tables(snapshot: Snapshot, reader: Reader) -> tuple[str, ...]:
    """The tables picked; none picked means all, as in the request."""
    if len(snapshot.tables) < 2:  # noqa: PLR2004 - with one there is nothing to choose
        return ()
    _ = reader.gettext
    picked = st.multiselect(
        _("Tables"),
        snapshot.tables,
        key="tables",
        placeholder=_("All {count} tables").format(count=len(snapshot.tables)),
        persist_state="session",
    )
    return tuple(picked)


def _start(
    request: RunRequest | None, snapshot: Snapshot, operations: Operations, reader: Reader
) -> None:
    _ = reader.gettext
    st.button(
        _("Start sync"),
        key="start",
        type="secondary" if snapshot.busy else "primary",
        icon=":material/play_arrow:",
        width="stretch",
        disabled=request is None,
        on_click=actions.start,
        args=(operations, request),
    )
    if request is None:
        st.caption(_("Pick the last day, too; for a single day, click it twice."))
    elif snapshot.busy:
        st.caption(_("One sync at a time: this one can start when the present one has ended."))
    else:
        st.caption(_summary(request, reader))


def _summary(request: RunRequest, reader: Reader) -> str:
    count = len(request.days)
    text = reader.ngettext(
        "{days}: {count} day is replaced by what the source has.",
        "{days}: {count} days are replaced by what the source has.",
        count,
    )
    return text.format(days=request.days, count=reader.number(count))


def _take_preset(ranges: dict[str, DateRange]) -> None:
    chosen = st.session_state.get("preset")
    if chosen in ranges:
        st.session_state["days"] = _pair(ranges[chosen])


def _forget_preset() -> None:
    st.session_state["preset"] = None


def _pair(days: DateRange) -> tuple[date, date]:
    return days.start, days.end
