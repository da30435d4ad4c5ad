"""Commands that begin a run or end one."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from sync import foreground, terminal, wording
from sync.cli.app import (
    AllowShrink,
    AsJson,
    End,
    Narrow,
    Queue,
    Seen,
    Start,
    Tables,
    Wait,
    app,
    opened,
    print_json,
    print_lines,
    request,
)
from sync.errors import N_, LeaseHeld, TakeoverRefused, UsageError
from sync.foreground import say
from sync.model import CancelMode, Only, RunId
from sync.shapes import past_run_json, queue_json, verification_json
from sync.wording import translations

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo

    from sync.model import RunRequest, RunView, TakeoverPlan
    from sync.operations import Operations


@app.command()
def run(
    context: typer.Context,
    start: Start,
    end: End,
    table: Tables = None,
    only: Narrow = Only.ALL,
    wait: Wait = None,
    queue: Queue = False,
    allow_shrink: AllowShrink = False,
    plan: Seen = None,
    as_json: AsJson = False,
) -> None:
    """Copy the days from START to END, both included."""
    if queue and wait is not None:
        raise UsageError(N_("--wait waits here and --queue does not: choose one."))
    if queue and plan is not None:
        raise UsageError(N_("--plan is about the databases as they are now: not with --queue."))
    asked = request(context, start, end, table, only, allow_shrink=allow_shrink, seen=plan)
    if queue:
        _enqueue(context, asked, as_json=as_json)
        return

    def begin(operations: Operations) -> RunId | None:
        return operations.start(asked)

    _in_foreground(context, begin, wait_s=wait, as_json=as_json)


@app.command()
def resume(
    context: typer.Context,
    run: Annotated[
        str | None, typer.Argument(help="The run, else the newest that did not succeed.")
    ] = None,
    wait: Wait = None,
    allow_shrink: AllowShrink = False,
    as_json: AsJson = False,
) -> None:
    """Do what a stopped run left undone."""

    def begin(operations: Operations) -> RunId | None:
        return operations.resume(RunId(run) if run else None, allow_shrink=allow_shrink)

    _in_foreground(context, begin, wait_s=wait, as_json=as_json)


def _enqueue(context: typer.Context, asked: RunRequest, *, as_json: bool) -> None:
    with opened(context) as (_, operations):
        run_id = operations.enqueue(asked)
        found = [place for place in queue_json(operations.queue()) if place["id"] == run_id]
    say(terminal.queued_line(run_id, found[0]["place"] if found else None, terminal.locale_of()))
    if as_json:
        print_json(found[0] if found else {"id": run_id, "place": None})
    else:
        typer.echo(run_id)


def _in_foreground(
    context: typer.Context,
    begin: Callable[[Operations], RunId | None],
    *,
    wait_s: float | None,
    as_json: bool,
) -> None:
    locale = terminal.locale_of()
    with foreground.Signals() as signals, opened(context) as (settings, operations):
        try:
            run_id = foreground.start(
                lambda: begin(operations),
                wait_s=wait_s,
                signals=signals,
                locale=locale,
            )
        except LeaseHeld as refusal:
            _refuse(refusal, settings.zone, as_json=as_json)
        if run_id is None:
            say(translations(locale).gettext("There is nothing to resume."))
            return
        ended = foreground.follow(operations, run_id, signals=signals, locale=locale)
    _tell_end(ended, locale, as_json=as_json)
    raise typer.Exit(foreground.exit_code(ended, signals))


def _tell_end(run: RunView, locale: str, *, as_json: bool) -> None:
    say(terminal.run_line(run, locale))
    if run.error:
        say(wording.told(run.error, locale))
    if as_json:
        print_json(past_run_json(run))


def _refuse(refusal: LeaseHeld, zone: tzinfo, *, as_json: bool) -> NoReturn:
    locale = terminal.locale_of()
    for line in wording.conflict_lines(refusal.conflict, locale, datetime.now(UTC), zone):
        say(line)
    if as_json:
        print_json(wording.conflict_json(refusal.conflict, locale))
    raise typer.Exit(refusal.exit_code)


@app.command()
def verify(
    context: typer.Context,
    start: Start,
    end: End,
    table: Tables = None,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Copy the days that differ anew, and nothing else."),
    ] = False,
    wait: Wait = None,
    allow_shrink: AllowShrink = False,
    as_json: AsJson = False,
) -> None:
    """Compare source and target by every value, and list the rows that differ."""
    locale = terminal.locale_of()
    asked = request(context, start, end, table, Only.ALL, allow_shrink=allow_shrink)
    with opened(context) as (_, operations):
        found = operations.verify(asked)
    if as_json:
        print_json(verification_json(found))
    else:
        print_lines(terminal.verification_lines(found, locale))
    say(terminal.verification_summary(found, locale))
    if not found.differing:
        return
    if not repair:
        raise typer.Exit(4)

    def begin(operations: Operations) -> RunId | None:
        return operations.repair(asked, found)

    _in_foreground(context, begin, wait_s=wait, as_json=False)


@app.command()
def cancel(
    context: typer.Context,
    run: Annotated[str | None, typer.Argument(help="The run, else the one that goes now.")] = None,
    now: Annotated[
        bool, typer.Option("--now", help="At once: what is being copied is rolled back.")
    ] = False,
) -> None:
    """Ask the present run to stop after what it is copying, or withdraw a queued one."""
    locale = terminal.locale_of()
    gettext = translations(locale).gettext
    with opened(context) as (_, operations):
        asked = operations.cancel(
            RunId(run) if run else None, CancelMode.NOW if now else CancelMode.AFTER_GROUP
        )
        known = asked or (RunId(run) if run else None)
        view = operations.run(known) if known else None
    if view is None:
        say(gettext("Nothing is running."))
    elif asked is None:
        say(gettext("It has ended already; nothing is left to do."))
        say(terminal.run_line(view, locale))
    elif view.withdrawn:
        say(gettext("Run {run_id} was withdrawn from the queue.").format(run_id=asked))
    else:
        for line in terminal.asked_lines(view, locale, now=now):
            say(line)


@app.command()
def takeover(
    context: typer.Context,
    run: Annotated[str, typer.Argument(help="The run whose holder is ended.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; it stands in the history.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also one that is alive and whose rows move.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """End a holder that hangs, and close its run; starts nothing."""
    locale = terminal.locale_of()
    with opened(context) as (settings, operations):
        plan = operations.plan_takeover(RunId(run))
        for line in terminal.takeover_lines(plan, locale, settings.zone):
            say(line)
        if not plan.run.status.final:
            _agreed(plan, yes=yes, force=force, locale=locale)
        try:
            ended = operations.take_over(plan.run.id, reason=reason, force=force)
        except LeaseHeld as refusal:
            _refuse(refusal, settings.zone, as_json=as_json)
    _tell_end(ended, locale, as_json=as_json)


def _agreed(plan: TakeoverPlan, *, yes: bool, force: bool, locale: str) -> None:
    """Return when it may be done. Raises TakeoverRefused, UsageError."""
    if plan.needs_force and not force:
        raise TakeoverRefused(run_id=plan.run.id)
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(
            N_("There is no terminal to ask on; nothing was done."),
            hint=N_("Say yes beforehand: --yes"),
        )
    if not typer.confirm(translations(locale).gettext("Take it over?"), err=True):
        raise UsageError(N_("Nothing was done."))
