"""The queue: who waits for the present run to end, in which order, and how to take back a wish."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from sync import wording
from sync.model import CancelMode
from sync.ui import actions
from sync.ui.elements import card, day_range, paragraph, stack
from sync.ui.markup import show

if TYPE_CHECKING:
    from sync.markup import Markup
    from sync.model import RunView
    from sync.operations import Operations
    from sync.snapshot import Snapshot
    from sync.ui.reader import Reader


def draw(snapshot: Snapshot, operations: Operations, reader: Reader) -> None:
    """One line a request, the next one first; nothing where nobody waits."""
    if not snapshot.queue:
        return
    _ = reader.gettext
    with card("queue"):
        st.header(_("Queue"), anchor=False)
        if not snapshot.served:
            show(paragraph(wording.unserved(reader.locale), look="note"))
        for place, run in enumerate(snapshot.queue, start=1):
            with st.container(key=f"queued_{place}", horizontal=True, vertical_alignment="center"):
                show(_request(place, run, reader))
                st.button(
                    _("Withdraw"),
                    key=f"withdraw_{run.id}",
                    on_click=actions.cancel,
                    args=(operations, run.id, CancelMode.AFTER_GROUP),
                )


def _request(place: int, run: RunView, reader: Reader) -> Markup:
    _ = reader.gettext
    who = f"{run.holder.user}@{run.holder.host}"
    asked = _("Yours, since {since}") if run.id in reader.own_runs else _("{who}, since {since}")
    since = reader.moment(run.started_at)
    return stack(
        paragraph(f"{place}. ", day_range(run.days), " · " + ", ".join(run.tables), look="lead"),
        paragraph(asked.format(who=who, since=since), look="note"),
        paragraph(reader.told(run.error), look="note") if run.error else None,
    )
