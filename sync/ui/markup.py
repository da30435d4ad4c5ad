"""HTML that cannot be broken by what stands in it: text is escaped, only `Markup` is not.

Streamlit shows it by `st.markdown`, which keeps SVG and changes the elements in place, so that a
tooltip stays open, a bar glides, and a live region is the same element when its text changes.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator


# With Streamlit's own: $ begins a formula, a colon a directive.
MARKDOWN = frozenset("\\`*_~[](){}<>#|!&$:")


class Markup(str):
    """HTML that is shown as it stands; made by `tag` and `join` only."""

    __slots__ = ()


def tag(name: str, /, *children: str | None, **attributes: str | float | None) -> Markup:
    """One element. `class_` means class, `aria_label` aria-label; what is None is left out."""
    pairs = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_escaped(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{pairs}>{join(*children)}</{name}>")


def join(*parts: str | None) -> Markup:
    """Several pieces one after another; text is escaped."""
    return Markup(
        "".join(
            part if isinstance(part, Markup) else _escaped(part)
            for part in parts
            if part is not None
        )
    )


def show(markup: Markup, place: DeltaGenerator | None = None) -> None:
    """Show it here, or in `place` in the stead of what stands there."""
    (place or st).markdown(markup, unsafe_allow_html=True)


def plain(text: str) -> str:
    """Text for a place that reads Markdown, such as a heading: it means nothing there."""
    return "".join(f"\\{c}" if c in MARKDOWN else c for c in " ".join(text.split()))


def _escaped(text: str) -> str:
    # A blank line would end Markdown's HTML block; a colon begins Streamlit's own directives.
    return escape(text).replace("\r", "").replace("\n", "&#10;").replace(":", "&#58;")
