"""The small pieces that several cards are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from sync.markup import Markup, join, tag

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamlit.delta_generator import DeltaGenerator

    from sync.model import DateRange


def card(name: str, tone: str | None = None, *, stretch: bool = False) -> DeltaGenerator:
    """A box. `tone` (bad, amber, quiet) gives it a bar; `stretch` its neighbour's height."""
    return st.container(
        border=True,
        key=f"card_{name}" if tone is None else f"card_{name}_{tone}",
        height="stretch" if stretch else "content",
    )


def badge(glyph: str, text: str, tone: str) -> Markup:
    """A state in a word, with a sign of its own, so that colour is never the only one."""
    return tag(
        "span", tag("span", glyph, aria_hidden="true"), f" {text}", class_=f"bs-badge {tone}"
    )


def facts(pairs: Iterable[tuple[str, str]], size: str = "") -> Markup:
    """Labelled values in a grid; `size` "big" for the numbers of the state card."""
    boxes = [tag("div", tag("dt", label), tag("dd", value)) for label, value in pairs]
    return tag("dl", *boxes, class_=f"bs-facts {size}")


def paragraph(*parts: str | None, look: str = "") -> Markup:
    """A sentence or two."""
    return tag("p", join(*parts), class_=f"bs-text {look}")


def bullets(lines: Iterable[str]) -> Markup | None:
    """A list, or nothing where there is nothing to list."""
    items = [tag("li", line) for line in lines]
    return tag("ul", *items, class_="bs-list") if items else None


def stack(*parts: Markup | None) -> Markup:
    """Pieces below one another, with air between."""
    return tag("div", *parts, class_="bs-stack")


def day_range(days: DateRange | None) -> Markup:
    """Two days that a narrow place may part between, never within."""
    if days is None:
        return Markup("–")
    return tag(
        "span", tag("span", f"{days.start} →"), " ", tag("span", str(days.end)), class_="bs-days"
    )
