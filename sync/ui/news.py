"""What the reader must know first: an answer to a click, a conflict, a run that ended badly."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from sync.markup import Markup
from sync.model import Verdict
from sync.ui import actions, conflict, form, outcome, takeover
from sync.ui.elements import card, paragraph
from sync.ui.markup import show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sync.errors import BatchSyncError
    from sync.model import Conflict, RunView
    from sync.operations import Operations
    from sync.snapshot import Snapshot
    from sync.ui.live import Live
    from sync.ui.reader import Reader

GIVES_WAY = {Verdict.DEAD, Verdict.LOST}  # a start goes past these at once


def draw(snapshot: Snapshot, operations: Operations, reader: Reader, live: Live) -> None:
    """The cards that the present state calls for, often none."""
    if told := actions.news():
        st.toast(reader.gettext(told), icon=":material/play_arrow:")
    refusal = actions.refusal()
    held = actions.held_by(refusal)
    if refusal and held is None:
        error_card(reader.gettext("That did not work"), refusal, reader)
    now = conflict.present(snapshot, reader)
    in_the_way = now or held
    takeover.draw(in_the_way, operations, reader)
    if in_the_way and (held or not in_the_way.yours or in_the_way.verdict is not Verdict.RUNNING):
        with _conflict_card(in_the_way, reader, live, refused=held is not None):
            if in_the_way.verdict not in GIVES_WAY:
                _queue_button(snapshot, operations, reader)
            takeover.offer(in_the_way, reader)
    elif snapshot.shown and not now:
        _outcome_card(snapshot, snapshot.shown, operations, reader, live)


def error_card(title: str, error: BatchSyncError, reader: Reader, note: str = "") -> None:
    """An error, in the reader's words."""
    with card("error", "bad"):
        st.header(title, anchor=False, icon=":material/error:")
        for line in reader.sentence(error).splitlines():
            show(paragraph(line))
        if note:
            show(paragraph(note, look="note"))


@contextmanager
def _conflict_card(drawn: Conflict, reader: Reader, live: Live, *, refused: bool) -> Iterator[None]:
    with card("conflict", "amber"):
        st.header(conflict.heading(drawn, reader), anchor=False, icon=":material/lock:")
        live.leave(partial(_conflict_details, drawn, refused=refused))
        with st.container(horizontal=True):
            yield


def _queue_button(snapshot: Snapshot, operations: Operations, reader: Reader) -> None:
    """Puts what the form asks for into the queue."""
    actions.prepare_start()
    request = form.request(snapshot, reader)
    st.button(
        reader.gettext("Start mine when this one ends"),
        key="enqueue",
        icon=":material/schedule:",
        disabled=request is None,
        help=str(request.days) if request else None,
        on_click=actions.enqueue,
        args=(operations, request),
    )


def _conflict_details(
    drawn: Conflict, snapshot: Snapshot, reader: Reader, *, refused: bool
) -> Markup:
    now = conflict.present(snapshot, reader) or drawn
    return conflict.details(now, snapshot, reader, refused=refused)


def _outcome_card(
    snapshot: Snapshot, run: RunView, operations: Operations, reader: Reader, live: Live
) -> None:
    trouble = outcome.trouble_of(run)
    if trouble is None:
        return
    with card("outcome", outcome.TONES[trouble]):
        st.header(outcome.heading(run, snapshot.partitions, reader), anchor=False)
        live.leave(outcome.outcome)
        allow_shrink = bool(st.session_state.get(f"allow_shrink_{run.id}"))
        st.button(
            reader.gettext("Resume"),
            key="resume",
            type="primary",
            icon=":material/resume:",
            disabled=trouble is outcome.Trouble.HELD_BACK and not allow_shrink,
            on_click=actions.resume,
            args=(operations, run.id),
            kwargs={"allow_shrink": allow_shrink},
        )
