"""The page's head: name, language, and what holds for the whole page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from sync.markup import tag
from sync.ui.elements import paragraph
from sync.ui.markup import show
from sync.ui.reader import CODES, NAMES

if TYPE_CHECKING:
    from sync.snapshot import Snapshot
    from sync.ui.reader import Reader


def head(reader: Reader) -> None:
    """Name, what it is for, and the switch of languages."""
    _ = reader.gettext
    with st.container(key="head", horizontal=True, horizontal_alignment="distribute"):
        with st.container(width="content", gap=None):
            st.title(_("Batch Sync"), anchor=False)
            show(
                paragraph(
                    _("Bring the rows of some days from the source to the target"), look="note"
                ),
            )
        st.segmented_control(
            _("Language"),
            list(NAMES),
            default=reader.locale,
            required=True,
            format_func=NAMES.__getitem__,
            key="language",
            label_visibility="collapsed",
            on_change=_switch_language,
        )
    # For screen readers and the browser's own translation; Streamlit always says "en".
    language = reader.locale.replace("_", "-")
    st.html(
        f"<script>document.documentElement.lang = '{language}'</script>",
        unsafe_allow_javascript=True,
    )


def notices(snapshot: Snapshot, reader: Reader) -> None:
    """Quiet lines: that this is sample data, and what could not be read."""
    _ = reader.gettext
    if snapshot.demo:
        text = _("This is the demo: two SQLite files with sample data. Nothing else is touched.")
        show(tag("p", text, class_="bs-notice"))
    if snapshot.problem:
        show(tag("p", reader.told(snapshot.problem), class_="bs-notice warn", role="alert"))


def _switch_language() -> None:
    st.query_params["lang"] = CODES[st.session_state["language"]]
