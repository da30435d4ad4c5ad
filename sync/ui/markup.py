"""How markup stands on a Streamlit page.

Streamlit shows it by `st.markdown`, which keeps SVG and changes the elements in place, so that a
tooltip stays open, a bar glides, and a live region is the same element when its text changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

    from sync.markup import Markup


# With Streamlit's own: $ begins a formula, a colon a directive.
MARKDOWN = frozenset("\\`*_~[](){}<>#|!&$:")


def show(markup: Markup, place: DeltaGenerator | None = None) -> None:
    """Show it here, or in `place` in the stead of what stands there."""
    (place or st).markdown(markup, unsafe_allow_html=True)


def plain(text: str) -> str:
    """Text for a place that reads Markdown, such as a heading: it means nothing there."""
    return "".join(f"\\{c}" if c in MARKDOWN else c for c in " ".join(text.split()))
