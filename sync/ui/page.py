"""The page: reads a snapshot, lays out the cards, and keeps what moves up to date.

`draw` is called by Streamlit's script at each rerun. Buttons and inputs are drawn here, outside the
fragment, so that they answer at once; the fragment only fills the places that were left for it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from sync.model import CancelMode
from sync.ui import (
    actions,
    chart,
    conflict,
    form,
    header,
    outcome,
    reader,
    recent,
    state_card,
    strip,
)
from sync.ui.elements import card, paragraph
from sync.ui.markup import Markup, Place, show

if TYPE_CHECKING:
    from sync.errors import BatchSyncError
    from sync.model import Conflict, RunView
    from sync.operations import Operations
    from sync.snapshot import Snapshot
    from sync.ui.reader import Reader

STYLE = Path(__file__).with_name("page.css")
POLL_BUSY_S, POLL_IDLE_S = 1.0, 5.0

Part = Callable[["Snapshot", "Reader"], Markup]
Live = list[tuple[Place, Part]]


def draw(operations: Operations) -> None:
    """The whole page for one reader."""
    snapshot = operations.snapshot()
    me = reader.current(actions.own_runs())
    st.set_page_config(page_title=state_card.title(snapshot, me), page_icon="🔁", layout="wide")
    st.html(STYLE)
    header.head(me)
    header.notices(snapshot, me)
    live: Live = [(st.empty(), state_card.spoken)]
    _news(snapshot, operations, me, live)
    left, right = st.columns([3, 2], gap="small")
    with left:
        _state(snapshot, operations, me, live)
    with right, card("form", stretch=True):
        st.header(_title_of_form(me), anchor=False)
        form.draw(snapshot, operations, me)
    _pictures(snapshot, me, live)
    _poll(snapshot, operations, me, live)


def draw_failure(error: BatchSyncError) -> None:
    """The page when there is nothing to draw: the settings are wrong, or the store cannot be opened."""
    me = reader.current(frozenset())
    st.set_page_config(page_title=me.gettext("Batch Sync"), page_icon="🔁", layout="wide")
    st.html(STYLE)
    header.head(me)
    with card("failure", "bad"):
        st.header(me.gettext("Batch Sync cannot start"), anchor=False, icon=":material/error:")
        show(st, paragraph(me.sentence(error)))
        show(st, paragraph(me.gettext("Mend it, then reload this page."), look="note"))


def _poll(snapshot: Snapshot, operations: Operations, me: Reader, live: Live) -> None:
    """Fill the places now and again and again; run the whole script when its shape changes."""
    drawn, first = _shape(snapshot), [snapshot]

    def refresh() -> None:
        now = first.pop() if first else operations.snapshot()
        if _shape(now) != drawn:
            actions.forget_answer()
            st.rerun()
        for place, part in live:
            show(place, part(now, me))
        st.set_page_config(page_title=state_card.title(now, me))

    st.fragment(refresh, run_every=POLL_BUSY_S if snapshot.busy else POLL_IDLE_S)()


def _shape(snapshot: Snapshot) -> tuple[object, ...]:
    """All that what stands outside the fragment depends on."""
    run, shown = snapshot.run, snapshot.shown
    return (
        snapshot.state,
        snapshot.problem,
        snapshot.data_range,
        snapshot.tables,
        run and (run.id, run.cancel),
        shown and (shown.id, shown.status, shown.held_back, shown.failed),
        bool(snapshot.recent),
        bool(snapshot.log),
    )


def _news(snapshot: Snapshot, operations: Operations, me: Reader, live: Live) -> None:
    """What the reader must know first: an answer to his click, a conflict, a run that ended badly."""
    answer = actions.answer()
    if answer and not answer.held:
        _error_card(answer, me)
    found = _conflict(snapshot, me)
    if found:
        refused = answer is not None and answer.held is not None
        with card("conflict", "amber"):
            st.header(conflict.heading(found, me), anchor=False, icon=":material/lock:")
            live.append((st.empty(), partial(_conflict_details, found, refused=refused)))
        return
    run = snapshot.shown
    trouble = outcome.trouble_of(run) if run and not snapshot.busy else None
    if run and trouble:
        _outcome_card(snapshot, run, trouble, operations, me, live)


def _conflict(snapshot: Snapshot, me: Reader) -> Conflict | None:
    """The present run of somebody else; else the holder who refused the last click."""
    present = conflict.conflict_of(snapshot, me)
    if present:
        return present
    answer = actions.answer()
    held = answer and answer.held
    if held is None or held.conflict.run_id in me.own_runs:
        return None
    return held.conflict


def _conflict_details(drawn: Conflict, snapshot: Snapshot, me: Reader, *, refused: bool) -> Markup:
    now = conflict.conflict_of(snapshot, me) or drawn
    return conflict.details(now, snapshot, me, refused=refused)


def _error_card(answer: actions.Answer, me: Reader) -> None:
    with card("error", "bad"):
        st.header(me.gettext("That did not work"), anchor=False, icon=":material/error:")
        show(st, paragraph(me.sentence(answer.error)))


def _outcome_card(
    snapshot: Snapshot,
    run: RunView,
    trouble: outcome.Trouble,
    operations: Operations,
    me: Reader,
    live: Live,
) -> None:
    with card("outcome", outcome.TONES[trouble]):
        st.header(outcome.heading(run, snapshot.partitions, me), anchor=False)
        live.append((st.empty(), outcome.outcome))
        allow_shrink = bool(st.session_state.get(f"allow_shrink_{run.id}"))
        st.button(
            me.gettext("Resume"),
            key="resume",
            icon=":material/resume:",
            disabled=trouble is outcome.Trouble.HELD_BACK and not allow_shrink,
            on_click=actions.resume,
            args=(operations, run.id),
            kwargs={"allow_shrink": allow_shrink},
        )


def _state(snapshot: Snapshot, operations: Operations, me: Reader, live: Live) -> None:
    with card("state", stretch=True):
        live.append((st.empty(), state_card.state))
        if snapshot.run:
            _cancel_buttons(snapshot.run, operations, me)


def _cancel_buttons(run: RunView, operations: Operations, me: Reader) -> None:
    _ = me.gettext
    with st.container(horizontal=True, key="cancel_row"):
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


def _pictures(snapshot: Snapshot, me: Reader, live: Live) -> None:
    """Chart, strip, recent runs and log, once there is a run to show."""
    _ = me.gettext
    parts = [
        ("chart", _("Rows per second"), chart.throughput, snapshot.shown),
        ("strip", _("Days of this run"), strip.days, snapshot.shown),
        ("recent", _("Recent runs"), recent.recent_runs, snapshot.recent),
        ("log", _("Log"), recent.log, snapshot.log),
    ]
    for name, heading, part, wanted in parts:
        if wanted:
            with card(name):
                st.header(heading, anchor=False)
                live.append((st.empty(), part))


def _title_of_form(me: Reader) -> str:
    return me.gettext("New sync")
