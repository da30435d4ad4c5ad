"""HTML that cannot be broken by what stands in it: text is escaped, only `Markup` is not."""

from __future__ import annotations

from html import escape


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


def _escaped(text: str) -> str:
    # Also fit for Markdown: a blank line would end its HTML block, and a colon begins Streamlit's
    # own directives.
    return escape(text).replace("\r", "").replace("\n", "&#10;").replace(":", "&#58;")
