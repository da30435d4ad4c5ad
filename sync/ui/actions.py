"""What a click does: one operation, and what it answered.

These are Streamlit's callbacks: they run before the page is drawn anew, so the page already shows what
came of them. They draw nothing. A refusal is kept as the answer until the next click or until the state
changes; the form keeps what was typed.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

import streamlit as st

from sync.errors import BatchSyncError, LeaseHeld, UnknownRun

if TYPE_CHECKING:
    from sync.model import CancelMode, RunId, RunRequest
    from sync.operations import Operations

# A browser sends both clicks of a double click. The second may come while the first is answered,
# so the time counts from the answer.
DOUBLE_CLICK_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Why the last click did not do what it says."""

    error: BatchSyncError

    @property
    def held(self) -> LeaseHeld | None:
        """The refusal, when another run holds the lease."""
        return self.error if isinstance(self.error, LeaseHeld) else None


def start(operations: Operations, request: RunRequest) -> None:
    """Start a run; a second click within a moment is the same start."""
    try:
        run_id = operations.start(request, key=_start_key())
    except BatchSyncError as error:
        _refused(error)
    else:
        _accepted(run_id)


def resume(operations: Operations, run_id: RunId, *, allow_shrink: bool) -> None:
    """Start a run over what `run_id` left undone."""
    try:
        resumed = operations.resume(run_id, key=_start_key(), allow_shrink=allow_shrink)
    except BatchSyncError as error:
        _refused(error)
    else:
        _accepted(resumed)


def cancel(operations: Operations, run_id: RunId, mode: CancelMode) -> None:
    """Ask the present run to stop."""
    forget_answer()
    try:
        operations.cancel(run_id, mode)
    except UnknownRun:
        pass  # It has ended meanwhile, which is what was wanted; the page shows how.
    except BatchSyncError as error:
        _refused(error)


def answer() -> Answer | None:
    """What the last click came to, if it was refused."""
    found: Answer | None = st.session_state.get("answer")
    return found


def forget_answer() -> None:
    """The state has changed; the refusal is no longer news."""
    st.session_state.pop("answer", None)


def own_runs() -> frozenset[RunId]:
    """The runs that were started from this browser tab."""
    return frozenset(st.session_state.get("own_runs", ()))


def prepare_start() -> None:
    """Make the key that the form's next start goes by; called when the form is drawn."""
    st.session_state.setdefault("start_key", uuid4().hex)


def _start_key() -> str:
    accepted_at: float | None = st.session_state.get("accepted_at")
    if accepted_at is not None and time.monotonic() - accepted_at > DOUBLE_CLICK_S:
        st.session_state["start_key"] = uuid4().hex
        st.session_state["accepted_at"] = None
    key: str = st.session_state["start_key"]
    return key


def _accepted(run_id: RunId | None) -> None:
    forget_answer()
    st.session_state["accepted_at"] = time.monotonic()
    if run_id is not None:
        st.session_state["own_runs"] = [*own_runs(), run_id]


def _refused(error: BatchSyncError) -> None:
    st.session_state["answer"] = Answer(error=error)
