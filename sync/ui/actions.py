"""What a click does: one operation, and what it answered.

These are Streamlit's callbacks: they run before the page is drawn anew, so that it already shows
what came of them. They draw nothing. A refusal is kept until the next click or until another
run begins or ends; the form keeps what was typed.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import uuid4

import streamlit as st

from sync.errors import N_, BatchSyncError, LeaseHeld, UnknownRun

if TYPE_CHECKING:
    from sync.model import CancelMode, Conflict, RunId, RunRequest
    from sync.operations import Operations

# A browser sends both clicks of a double click. The second may come while the first is answered,
# so the time counts from the answer.
DOUBLE_CLICK_S = 2.0
STARTED, QUEUED = N_("The run has started."), N_("The run is queued.")


def start(operations: Operations, request: RunRequest) -> None:
    """Start a run; a second click within a moment is the same start."""
    try:
        _accepted(operations.start(request, key=_start_key()), STARTED)
    except BatchSyncError as error:
        _refused(error)


def enqueue(operations: Operations, request: RunRequest) -> None:
    """Have a run started when the present one ends; a second click is the same request."""
    try:
        _accepted(operations.enqueue(request, key=_start_key()), QUEUED)
    except BatchSyncError as error:
        _refused(error)


def resume(operations: Operations, run_id: RunId, *, allow_shrink: bool) -> None:
    """Start a run over what `run_id` left undone."""
    try:
        _accepted(operations.resume(run_id, key=_start_key(), allow_shrink=allow_shrink), STARTED)
    except BatchSyncError as error:
        _refused(error)


def cancel(operations: Operations, run_id: RunId, mode: CancelMode) -> None:
    """Ask the present run to stop, or withdraw a queued one."""
    forget_refusal()
    forget_takeover()
    try:
        # A run that is unknown has ended meanwhile; the page shows how.
        with suppress(UnknownRun):
            operations.cancel(run_id, mode)
    except BatchSyncError as error:
        _refused(error)


def prepare_start() -> None:
    """Make the key of the form's next start; called when the form is drawn."""
    st.session_state.setdefault("start_key", uuid4().hex)


def refusal() -> BatchSyncError | None:
    """Why the last click did not do what it says."""
    found: BatchSyncError | None = st.session_state.get("refusal")
    return found


def held_by(error: BatchSyncError | None) -> Conflict | None:
    """Who holds the lease, where that is why."""
    return error.conflict if isinstance(error, LeaseHeld) else None


def forget_refusal() -> None:
    """What was refused is no longer news."""
    st.session_state.pop("refusal", None)


def forget_takeover() -> None:
    """Neither is what came of a takeover."""
    st.session_state.pop("taking", None)


def own_runs() -> frozenset[RunId]:
    """The runs that were started from this browser tab."""
    return frozenset(st.session_state.get("own_runs", ()))


def news() -> str | None:
    """What a click has just brought about, in English; told once."""
    told: str | None = st.session_state.pop("news", None)
    return told


def _start_key() -> str:
    accepted_at: float | None = st.session_state.get("accepted_at")
    if accepted_at is not None and time.monotonic() - accepted_at > DOUBLE_CLICK_S:
        st.session_state["start_key"] = uuid4().hex
        st.session_state["accepted_at"] = None
    key: str = st.session_state["start_key"]
    return key


def _accepted(run_id: RunId | None, news: str) -> None:
    forget_refusal()
    forget_takeover()
    st.session_state["accepted_at"] = time.monotonic()
    if run_id is not None and run_id not in own_runs():
        st.session_state["own_runs"] = own_runs() | {run_id}
        st.session_state["news"] = news


def _refused(error: BatchSyncError) -> None:
    st.session_state["refusal"] = error
