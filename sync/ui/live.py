"""What moves while a run goes: places that one polling fragment fills anew.

The fragment draws nothing of its own. When something changes that stands outside of it, a button or
a card, it runs the whole script again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import streamlit as st

from sync.markup import Markup
from sync.ui import actions, state_card
from sync.ui.markup import show

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

    from sync.model import RunId
    from sync.operations import Operations
    from sync.snapshot import Snapshot
    from sync.ui.reader import Reader

POLL_BUSY_S, POLL_IDLE_S = 1.0, 5.0

Part = Callable[["Snapshot", "Reader"], Markup]


class Live:
    """The places of one drawing of the page."""

    def __init__(self) -> None:
        self._parts: list[tuple[DeltaGenerator, Part]] = []

    def leave(self, part: Part, *, now: Markup | None = None) -> None:
        """Leave a place here, for `part` to fill.

        What it holds `now` goes out with the place: it never stands empty, and stays the element
        that it was.
        """
        place = st.empty()
        if now:
            show(now, place)
        self._parts.append((place, part))

    def fill(self, snapshot: Snapshot, reader: Reader) -> None:
        """Draw what moves."""
        for place, part in self._parts:
            show(part(snapshot, reader), place)
        st.set_page_config(page_title=state_card.title(snapshot, reader))


def poll(live: Live, snapshot: Snapshot, operations: Operations, reader: Reader) -> None:
    """Fill the places with `snapshot`, then again and again with newer ones."""
    drawn, first = _shape(snapshot), [snapshot]

    def refresh() -> None:
        now = first.pop() if first else operations.snapshot()
        if _run_id(now) != _run_id(snapshot):
            actions.forget_refusal()
        if _shape(now) != drawn:
            st.rerun()
        live.fill(now, reader)

    moving = snapshot.busy or bool(snapshot.queue)
    st.fragment(refresh, run_every=POLL_BUSY_S if moving else POLL_IDLE_S)()


def _run_id(snapshot: Snapshot) -> RunId | None:
    return snapshot.run.id if snapshot.run else None


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
        tuple((request.id, request.error) for request in snapshot.queue),
        snapshot.served,
        bool(snapshot.recent),
        bool(snapshot.log),
    )
