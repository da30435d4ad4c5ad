"""Errors as answers: problems of RFC 9457, and the seed's shape where another run goes."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from sync import wording
from sync.errors import (
    N_,
    BatchSyncError,
    ConnectError,
    LeaseHeld,
    LockError,
    NobodyStarts,
    PlanChanged,
    RightsError,
    SchemaError,
    SettingsError,
    StoreError,
    UnknownRun,
    UnknownTable,
    UsageError,
)
from sync.wording import translations

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastapi import FastAPI
    from starlette.requests import Request

# The seed spoke Chinese; whoever asks for nothing gets what it gave.
DEFAULT_LOCALE = "zh_CN"
RETRY_S = 5
RETRY_MAX_S = 3600

# The first that fits; UnknownRun is a UsageError.
_STATUS: tuple[tuple[type[BatchSyncError] | tuple[type[BatchSyncError], ...], HTTPStatus], ...] = (
    (UnknownRun, HTTPStatus.NOT_FOUND),
    ((UsageError, SettingsError, UnknownTable, SchemaError), HTTPStatus.UNPROCESSABLE_ENTITY),
    (PlanChanged, HTTPStatus.CONFLICT),
    (
        (ConnectError, RightsError, StoreError, LockError, NobodyStarts),
        HTTPStatus.SERVICE_UNAVAILABLE,
    ),
)

_HTTP_ERRORS = {
    404: ("not_found", N_("There is nothing at this address.")),
    405: ("method_not_allowed", N_("This address does not know that method.")),
}


class Problem(BaseModel):
    """RFC 9457; `code` is stable, `detail` follows Accept-Language."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str


def locale_of(headers: Mapping[str, str]) -> str:
    """The language of the answer."""
    return wording.pick_locale(headers.get("accept-language"), DEFAULT_LOCALE)


def problem(
    status: int,
    detail: str,
    *,
    locale: str,
    code: str,
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> JSONResponse:
    """One problem; `more` are extension members."""
    body = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, code=code)
    return JSONResponse(
        body.model_dump() | more,
        status_code=status,
        media_type="application/problem+json",
        headers={**language(locale), **(headers or {})},
    )


def language(locale: str) -> dict[str, str]:
    """The headers that tell which language an answer is in, and why."""
    return {"Content-Language": locale.replace("_", "-"), "Vary": "Accept-Language"}


def install(app: FastAPI) -> None:
    """Answer with problems wherever a handler raises."""
    app.add_exception_handler(LeaseHeld, _on_lease_held)
    app.add_exception_handler(BatchSyncError, _on_our_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(Exception, _on_bug)


def _on_lease_held(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, LeaseHeld)
    locale, conflict = locale_of(request.headers), error.conflict
    after = min(max(math.ceil(conflict.progress.eta_s or RETRY_S), 1), RETRY_MAX_S)
    return JSONResponse(
        wording.conflict_json(conflict, locale),
        status_code=HTTPStatus.CONFLICT,
        headers={**language(locale), "Retry-After": str(after)},
    )


def _on_our_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, BatchSyncError)
    locale = locale_of(request.headers)
    found = (status for kinds, status in _STATUS if isinstance(error, kinds))
    status = next(found, HTTPStatus.INTERNAL_SERVER_ERROR)
    later = {"Retry-After": str(RETRY_S)} if status is HTTPStatus.SERVICE_UNAVAILABLE else {}
    text = wording.sentence(error, locale)
    plans = {
        name: error.told.facts[name] for name in ("seen", "now") if status == HTTPStatus.CONFLICT
    }
    return problem(status, text, locale=locale, code=error.code, headers=later, **plans)


def _on_invalid_request(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    locale = locale_of(request.headers)
    found = [
        {"field": _field(one["type"], one["loc"]), "message": one["msg"]} for one in error.errors()
    ]
    return problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        translations(locale).gettext("What was sent does not fit; “errors” says where."),
        locale=locale,
        code="bad_request",
        errors=found,
    )


def _field(kind: str, place: Sequence[str | int]) -> str:
    # Of what is not even JSON, the place is an offset in the text.
    return "" if kind == "json_invalid" else ".".join(str(part) for part in place[1:])


def _on_http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    locale = locale_of(request.headers)
    code, text = _HTTP_ERRORS.get(error.status_code, ("http_error", str(error.detail)))
    return problem(
        error.status_code,
        translations(locale).gettext(text),
        locale=locale,
        code=code,
        headers=error.headers,
    )


def _on_bug(request: Request, _: Exception) -> JSONResponse:
    # What happened stands in the server's log; a stranger is not shown it.
    locale = locale_of(request.headers)
    text = translations(locale).gettext("An error of the server's own; its log says more.")
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, text, locale=locale, code="internal_error")
