"""What can be asked over HTTP; handlers are plain functions, run in the framework's threads."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import tzinfo
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import Body, FastAPI, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from sync import __version__
from sync.api import problems
from sync.api.guard import Guard
from sync.api.problems import Problem, language, locale_of
from sync.clock import Clock, SystemClock
from sync.dates import parse_range
from sync.errors import N_, UsageError
from sync.model import Only, RunId, RunRequest
from sync.plan import SeenPlan
from sync.shapes import PLAN_HASH, past_run_json, plan_json, status_json
from sync.wording import START_HREF, STATUS_HREF, translations

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sync.operations import Operations

PLAN_HREF = STATUS_HREF + "/plan"
RUN_HREF = STATUS_HREF + "/runs/{run_id}"

Day = Annotated[str, Field(max_length=32, json_schema_extra={"format": "date"})]


def _writable(name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ValueError("it holds half a character") from None
    return name


Name = Annotated[str, Field(max_length=200), AfterValidator(_writable)]


class StartRequest(BaseModel):
    """The days to copy, both included. A name that is not known is refused: it may be misspelt."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"start_date": "2025-10-01", "end_date": "2025-10-03"}},
    )

    start_date: Day
    end_date: Day
    tables: list[Name] = Field(default=[], max_length=1000)
    only: Only = Only.ALL
    allow_shrink: bool = False
    queue: bool = False
    plan: str | None = Field(
        default=None,
        pattern=f"^{PLAN_HASH}$",
        description="Start only if the plan is still this one, by its plan_hash.",
    )


class Started(BaseModel):
    """A run was started or queued; `task_id` is the run's id."""

    status: Literal["success"] = "success"
    task_id: str
    message: str


def _problem_of(description: str) -> dict[str, Any]:
    schema = Problem.model_json_schema()
    return {"description": description, "content": {"application/problem+json": {"schema": schema}}}


def create_app(operations: Operations, *, zone: tzinfo, clock: Clock | None = None) -> FastAPI:
    """The HTTP interface to `operations`.

    While it is up it starts what is queued; it closes them when it shuts down.
    """
    clock = clock or SystemClock()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        operations.serve_queue()
        yield
        await asyncio.to_thread(operations.close)

    app = FastAPI(
        title="Batch Sync",
        version=__version__,
        lifespan=lifespan,
        responses={422: _problem_of("What was sent does not fit.")},
    )
    app.add_middleware(Guard)
    problems.install(app)

    @app.post(
        START_HREF,
        status_code=HTTPStatus.ACCEPTED,
        response_model=Started,
        responses={
            409: {
                "description": "Another run holds the lease: who, since when, how far;"
                " or a problem `plan_changed`: the plan is no longer the one that was seen."
            },
            422: _problem_of("Dates, tables or settings that cannot be."),
            503: _problem_of("Source, target, store or lock cannot be reached; no run was made."),
        },
    )
    def start(
        request: Request, response: Response, asked: Annotated[StartRequest, Body()]
    ) -> Started:
        """Start a run; it goes on in the background.

        With `queue` it starts when its turn comes: at once where nothing runs or waits.
        """
        if asked.queue and asked.plan:
            raise UsageError(N_("A plan is about the databases as they are now: not with a queue."))
        wanted = RunRequest(
            days=parse_range(asked.start_date, asked.end_date, now=clock.now(), zone=zone),
            tables=tuple(asked.tables),
            only=asked.only,
            allow_shrink=asked.allow_shrink,
            seen=SeenPlan(asked.plan) if asked.plan else None,
        )
        operations.check_seen(wanted)
        run_id = operations.enqueue(wanted) if asked.queue else operations.start(wanted)
        locale = locale_of(request.headers)
        response.headers.update(language(locale))
        response.headers["Location"] = RUN_HREF.format(run_id=run_id)
        gettext = translations(locale).gettext
        message = gettext("The run is queued.") if asked.queue else gettext("The run has started.")
        return Started(task_id=run_id, message=message)

    @app.get(STATUS_HREF)
    def status() -> JSONResponse:
        """What runs now, and what ran last."""
        return JSONResponse(
            status_json(operations.snapshot()), headers={"Cache-Control": "no-store"}
        )

    @app.get(
        PLAN_HREF,
        responses={503: _problem_of("Source or target cannot be reached.")},
    )
    def plan(
        start_date: Annotated[Day, Query()],
        end_date: Annotated[Day, Query()],
        only: Only = Only.ALL,
        tables: Annotated[list[Name], Query(max_length=1000)] = [],  # noqa: B006 - FastAPI copies it
        digest: bool = False,  # noqa: FBT001, FBT002 - a query - a query has names
        rows: bool = False,  # noqa: FBT001, FBT002
    ) -> JSONResponse:
        """What a run would do, partition by partition; changes nothing.

        With `digest` every value is compared, with `rows` rows are counted by key, too.
        """
        days = parse_range(start_date, end_date, now=clock.now(), zone=zone)
        found = operations.plan(
            RunRequest(days=days, tables=tuple(tables), only=only, digest=digest, rows=rows)
        )
        return JSONResponse(plan_json(found), headers={"Cache-Control": "no-store"})

    @app.get(RUN_HREF, responses={404: _problem_of("There is no such run.")})
    def run(run_id: str) -> JSONResponse:
        """One run and how it ended."""
        found = past_run_json(operations.run(RunId(run_id)))
        return JSONResponse(found, headers={"Cache-Control": "no-store"})

    @app.get("/livez")
    def livez() -> dict[str, str]:
        """The process answers; nothing else is looked at."""
        return {"status": "ok"}

    return app
