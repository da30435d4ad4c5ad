"""The page: reads a snapshot, lays out the cards, and keeps what moves up to date.

Called by Streamlit's script at each rerun. Buttons and inputs stand outside the polling fragment,
so that they answer at once.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from sync.model import CancelMode
from sync.ui import (
    actions,
    chart,
    form,
    header,
    news,
    queue,
    reader,
    recent,
    state_card,
    strip,
    takeover,
)
from sync.ui.elements import card
from sync.ui.live import Live, poll

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sync.errors import BatchSyncError
    from sync.model import RunView
    from sync.operations import Operations
    from sync.snapshot import Snapshot
    from sync.ui.reader import Reader

STYLE = Path(__file__).with_name("page.css")
ICON = "🔁"


def draw(operations: Operations) -> None:
    """The whole page for one reader."""
    snapshot = operations.snapshot()
    me = reader.current(actions.own_runs(), snapshot.timezone)
    _begin(state_card.title(snapshot, me), me)
    live = Live()
    # First, so that nothing that comes and goes before it makes it another element.
    live.leave(state_card.spoken, now=state_card.spoken(snapshot, me))
    header.notices(snapshot, me)
    news.draw(snapshot, operations, me, live)
    left, right = st.columns([3, 2], gap="small")
    with left, card("state", stretch=True):
        live.leave(state_card.state)
        if snapshot.run:
            _cancel_buttons(snapshot.run, operations, me)
    with right, card("form", stretch=True):
        st.header(me.gettext("New sync"), anchor=False)
        form.draw(snapshot, operations, me)
    queue.draw(snapshot, operations, me)
    _pictures(snapshot, me, live)
    poll(live, snapshot, operations, me)


@contextmanager
def opening() -> Iterator[None]:
    """A word while the process opens its databases, once; the demo's are made then."""
    with st.spinner(reader.current().gettext("Opening the databases…")):
        yield


def draw_failure(error: BatchSyncError) -> None:
    """The page when there is nothing to draw: wrong settings, or a store that does not open."""
    me = reader.current()
    _begin(me.gettext("Batch Sync"), me)
    note = me.gettext("Mend it, then reload this page.")
    news.error_card(me.gettext("Batch Sync cannot start"), error, me, note)


def _begin(title: str, me: Reader) -> None:
    st.set_page_config(page_title=title, page_icon=ICON, layout="wide")
    st.html(STYLE)
    header.head(me)


def _cancel_buttons(run: RunView, operations: Operations, me: Reader) -> None:
    _ = me.gettext
    with st.container(horizontal=True):
        st.button(
            _("Cancel after this group"),
            key="cancel_after_group",
            disabled=run.cancel is not None,
            help=_("Finishes what is being copied, then stops. Resume goes on from there."),
            on_click=actions.cancel,
            args=(operations, run.id, CancelMode.AFTER_GROUP),
        )
        with st.popover(_("Cancel now…"), disabled=run.cancel is CancelMode.NOW):
            st.markdown(
                _("Stop at once? What is being copied is rolled back; days that are done stay.")
            )
            st.button(
                _("Yes, cancel now"),
                key="cancel_now",
                type="primary",
                on_click=actions.cancel,
                args=(operations, run.id, CancelMode.NOW),
            )
            takeover.by_force(run.id, _("Should it not obey, end it by force:"))


def _pictures(snapshot: Snapshot, me: Reader, live: Live) -> None:
    """Chart, strip, recent runs and log, once there is a run to show."""
    _ = me.gettext
    parts = (
        ("chart", _("Rows per second"), chart.throughput, snapshot.busy or snapshot.samples),
        ("strip", _("Days of this run"), strip.days, snapshot.shown),
        ("recent", _("Recent runs"), recent.recent_runs, snapshot.recent),
        ("log", _("Log"), recent.log, snapshot.log),
    )
    for name, heading, part, wanted in parts:
        if wanted:
            with card(name):
                st.header(heading, anchor=False)
                live.leave(part)
