"""Commands that look and change nothing."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from sync import foreground, terminal, wording
from sync.cli.app import (
    AsJson,
    End,
    Narrow,
    Start,
    Tables,
    app,
    opened,
    print_json,
    print_lines,
    request,
)
from sync.foreground import say
from sync.model import Only
from sync.shapes import past_run_json, plan_json, status_json

WATCH_EVERY_S = 1.0


@app.command()
def plan(
    context: typer.Context,
    start: Start,
    end: End,
    table: Tables = None,
    only: Narrow = Only.ALL,
    as_json: AsJson = False,
) -> None:
    """Show what a run would do; changes nothing."""
    locale = terminal.locale_of()
    asked = request(context, start, end, table, only)
    with opened(context) as (_, operations):
        found = operations.plan(asked)
    if as_json:
        print_json(plan_json(found))
        return
    print_lines(terminal.plan_lines(found, locale))
    say(terminal.plan_summary(found, locale))


@app.command()
def status(
    context: typer.Context,
    watch: Annotated[bool, typer.Option("--watch", help="Go on until nothing runs.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what runs now, or what ran last."""
    locale = terminal.locale_of()
    with opened(context) as (settings, operations):
        snapshot = operations.snapshot()
        if watch:
            with foreground.progress_shown(locale) as show:
                while snapshot.run:
                    print_json(status_json(snapshot), lines=True) if as_json else show(snapshot.run)
                    time.sleep(WATCH_EVERY_S)
                    snapshot = operations.snapshot()
    if snapshot.problem:
        say(wording.told(snapshot.problem, locale))
    if as_json:
        print_json(status_json(snapshot), lines=watch)
    else:
        print_lines(terminal.status_lines(snapshot, locale, settings.zone))


@app.command()
def history(context: typer.Context, as_json: AsJson = False) -> None:
    """List the newest runs and how they ended."""
    with opened(context) as (settings, operations):
        runs = operations.history()
    if as_json:
        print_json([past_run_json(run) for run in runs])
    else:
        print_lines(terminal.history_lines(runs, terminal.locale_of(), settings.zone))


@app.command()
def check(context: typer.Context, as_json: AsJson = False) -> None:
    """Look whether settings, databases, rights and lock are well."""
    with opened(context) as (_, operations):
        findings = operations.check()
    if as_json:
        print_json(
            [
                {
                    "name": str(finding.name),
                    "ok": finding.ok,
                    "text": finding.told.sentence(),
                    "hint": finding.told.advice(),
                }
                for finding in findings
            ]
        )
    else:
        print_lines(terminal.finding_lines(findings, terminal.locale_of()))
    raise typer.Exit(5 if any(finding.ok is False for finding in findings) else 0)
