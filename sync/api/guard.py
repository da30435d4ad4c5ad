"""Who may call: only this machine, and never a web page of somebody else.

A page in the operator's browser can send requests to 127.0.0.1 and, under a name of its own that
points there, even read the answers. So the Host must be a name of this machine, an Origin must be
that same place, and what is sent must be JSON, which no page can send elsewhere unasked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from sync.api.problems import locale_of, problem
from sync.errors import N_
from sync.wording import translations

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
# A start is some hundred bytes; nobody needs to keep more than this in memory.
BODY_MAX = 65_536

# Status, code, and what is said.
Refusal = tuple[int, str, str]


class Guard:
    """ASGI middleware before everything else."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what is refused; hand on the rest."""
        if scope["type"] == "http" and (refusal := _refusal(scope["method"], Headers(scope=scope))):
            status, code, text = refusal
            locale = locale_of(Headers(scope=scope))
            answer = problem(status, translations(locale).gettext(text), locale=locale, code=code)
            await answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _refusal(method: str, headers: Headers) -> Refusal | None:
    host = headers.get("host", "")
    if _name(host) not in LOOPBACK:
        return 421, "foreign_host", N_("This server answers only to this machine's name.")
    origin = headers.get("origin")
    if origin is not None and origin.lower() != f"http://{host}".lower():
        return 403, "foreign_origin", N_("Pages of other places may not call this server.")
    return _body_refusal(headers) if method in WITH_BODY else None


def _body_refusal(headers: Headers) -> Refusal | None:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        return 415, "not_json", N_("Send JSON, as Content-Type: application/json.")
    length = headers.get("content-length", "")
    if not (length.isascii() and length.isdecimal()):
        return 411, "length_required", N_("Say in Content-Length how long the body is.")
    if int(length) > BODY_MAX:
        return 413, "body_too_long", N_("The body is too long.")
    return None


def _name(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None
