"""The form: which days of which tables; presets; the start."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import streamlit as st

from sync.model import DateRange, RunRequest
from sync.ui import actions

if TYPE_CHECKING:
    from sync.operations import Operations
    from sync.snapshot import Snapshot
    from sync.ui.reader import Reader

LENGTHS = (1, 7, 30, 90)
ALL, DEFAULT = "all", "7"
EARLIEST = date(1970, 1, 1)


def presets(data_range: tuple[date, date] | None, today: date) -> dict[str, DateRange]:
    """Ranges that end with the last whole day the source has: 1, 7, 30, 90 days; and all."""
    yesterday = today - timedelta(days=1)
    first, last = data_range or (EARLIEST, yesterday)
    end = max(first, min(last, yesterday))
    found = {
        str(length): DateRange(max(first, end - timedelta(days=length - 1)), end)
        for length in LENGTHS
    }
    return found | ({ALL: DateRange(first, last)} if data_range else {})


def request(snapshot: Snapshot, reader: Reader) -> RunRequest | None:
    """What the form asks for as it stands, tick aside; None while only the first day is picked."""
    _choose_default(snapshot, reader)
    picked: tuple[date, ...] = st.session_state["days"]
    tables: tuple[str, ...] = tuple(st.session_state.get("tables", ()))
    return RunRequest(days=DateRange(*picked), tables=tables) if len(picked) == 2 else None


def draw(snapshot: Snapshot, operations: Operations, reader: Reader) -> None:
    """The whole form. What was chosen stays chosen, whatever a click came to."""
    actions.prepare_start()
    chosen = _days(snapshot, reader)
    tables = _tables(snapshot, reader)
    allow_shrink = lets_through(snapshot, reader)
    asked = None
    if chosen:
        asked = RunRequest(days=chosen, tables=tables, allow_shrink=allow_shrink)
    _start(asked, snapshot, operations, reader)


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


def _days(snapshot: Snapshot, reader: Reader) -> DateRange | None:
    """The range, None while only its first day is picked."""
    _ = reader.gettext
    today, ranges = _choose_default(snapshot, reader)
    first, last = snapshot.data_range or (today, today)
    st.date_input(
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
        format_func=lambda name: _label(name, ranges[name], today, reader),
        label_visibility="collapsed",
        on_change=_take_preset,
        args=(ranges,),
        wrap=True,
    )
    picked: tuple[date, ...] = st.session_state["days"]
    return DateRange(*picked) if len(picked) == 2 else None


def _choose_default(snapshot: Snapshot, reader: Reader) -> tuple[date, dict[str, DateRange]]:
    """Choose days where none are chosen yet; today, and what can be chosen with one click."""
    today = snapshot.taken_at.astimezone(reader.zone).date()
    ranges = presets(snapshot.data_range, today)
    if "days" not in st.session_state:
        st.session_state["days"] = _pair(ranges[DEFAULT])
        st.session_state["preset"] = DEFAULT
    return today, ranges


def _label(name: str, days: DateRange, today: date, reader: Reader) -> str:
    _ = reader.gettext
    if name == ALL:
        return _("All data")
    if name == "1":
        return _("Yesterday") if days.end == today - timedelta(days=1) else _("Last day")
    return reader.ngettext("{count} day", "{count} days", int(name)).format(count=name)


def _tables(snapshot: Snapshot, reader: Reader) -> tuple[str, ...]:
    """The tables picked; none picked means all, as in the request."""
    if len(snapshot.tables) < 2:
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
    asked: RunRequest | None, snapshot: Snapshot, operations: Operations, reader: Reader
) -> None:
    _ = reader.gettext
    st.button(
        _("Start sync"),
        key="start",
        type="secondary" if snapshot.busy else "primary",
        icon=":material/play_arrow:",
        width="stretch",
        disabled=asked is None,
        on_click=actions.start,
        args=(operations, asked),
    )
    if asked is None:
        st.caption(_("Pick the last day, too; for a single day, click it twice."))
    elif snapshot.busy:
        st.caption(_("One at a time: start when this one has ended."))
    else:
        st.caption(_summary(asked, reader))


def _summary(asked: RunRequest, reader: Reader) -> str:
    count = len(asked.days)
    text = reader.ngettext(
        "Replaces {count} day by what the source has.",
        "Replaces {count} days by what the source has.",
        count,
    )
    return text.format(count=reader.number(count))


def _take_preset(ranges: dict[str, DateRange]) -> None:
    chosen = st.session_state.get("preset")
    if chosen in ranges:
        st.session_state["days"] = _pair(ranges[chosen])


def _forget_preset() -> None:
    st.session_state["preset"] = None


def _pair(days: DateRange) -> tuple[date, date]:
    return days.start, days.end
