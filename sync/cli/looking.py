"""Commands that look and change nothing."""

from __future__ import annotations

import time
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, NoReturn

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
from sync.cli.planned import plan_lines, plan_summary
from sync.errors import N_, UsageError
from sync.foreground import say
from sync.model import Only
from sync.shapes import audit_json, past_run_json, plan_json, report_text, status_json

WATCH_EVERY_S = 1.0


@app.command()
def plan(
    context: typer.Context,
    start: Start,
    end: End,
    table: Tables = None,
    only: Narrow = Only.ALL,
    digest: Annotated[
        bool,
        typer.Option("--digest", help="Compare every value by digests, as --only changed does."),
    ] = False,
    rows: Annotated[
        bool,
        typer.Option("--rows", help="Also count inserts, updates and deletes by key."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what a run would do; changes nothing."""
    locale = terminal.locale_of()
    asked = request(context, start, end, table, only, digest=digest, rows=rows)
    with opened(context) as (_, operations):
        found = operations.plan(asked)
    if as_json:
        print_json(plan_json(found))
        return
    print_lines(plan_lines(found, locale))
    for line in plan_summary(found, locale):
        say(line)


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
    if snapshot.untold:
        raise typer.Exit(5)


@app.command()
def history(
    context: typer.Context,
    run: Annotated[
        str | None,
        typer.Argument(help="Report this run: its id, the beginning of it, or `last`."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE", help="Write the report as one HTML page."),
    ] = None,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Compare both sides as they are now, and report that, too."),
    ] = False,
    lang: Annotated[
        str | None, typer.Option("--lang", help="The report's language: en or zh.")
    ] = None,
    audit: Annotated[
        bool,
        typer.Option("--audit", help="Ask the target whether any two runs ever overlapped."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the newest runs and how they ended, or report one of them."""
    if run is None and (report or verify or lang):
        raise UsageError(N_("Which run? Give its id, the beginning of it, or `last`."))
    if run is not None and audit:
        raise UsageError(N_("--audit is about all runs: give no run."))
    if audit:
        _audit(context, as_json=as_json)
    if run is not None:
        _report(context, run, file=report, verify=verify, lang=lang, as_json=as_json)
        return
    with opened(context) as (settings, operations):
        runs = operations.history()
    if as_json:
        print_json([past_run_json(run) for run in runs])
    else:
        print_lines(terminal.history_lines(runs, terminal.locale_of(), settings.zone))


def _report(
    context: typer.Context,
    run: str,
    *,
    file: Path | None,
    verify: bool,
    lang: str | None,
    as_json: bool,
) -> None:
    from sync.reporting.file import report_file
    from sync.reporting.lines import report_lines
    from sync.reporting.page import report_page

    locale = wording.pick_locale(lang, terminal.locale_of())
    with report_file(file) if file else nullcontext() as write:
        with opened(context) as (_, operations):
            found = operations.report(run, compare=verify)
        if write:
            write(report_page(found, locale))
    if file:
        say(wording.translations(locale).gettext("{place} was written.").format(place=file))
    if as_json:
        typer.echo(report_text(found), nl=False)
    elif not file:
        print_lines(report_lines(found, locale))
    if found.compared and found.compared.found.differing:
        say(terminal.verification_summary(found.compared.found, locale))
        raise typer.Exit(4)


def _audit(context: typer.Context, *, as_json: bool) -> NoReturn:
    with opened(context) as (_, operations):
        found = operations.audit()
    if as_json:
        print_json(audit_json(found))
    else:
        print_lines(terminal.audit_lines(found, terminal.locale_of()))
    raise typer.Exit(4 if found.faults else 0)


@app.command()
def check(
    context: typer.Context,
    grants: Annotated[
        bool,
        typer.Option("--grants", help="Print the SQL that gives both roles the least they need."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Look whether settings, databases, rights and lock are well."""
    locale = terminal.locale_of()
    with opened(context) as (_, operations):
        findings = operations.check()
    if as_json:
        print_json([finding.to_json() for finding in findings])
    elif grants:
        print_lines(terminal.grant_lines(findings, locale))
        # What grants cannot mend.
        rest = [f for f in findings if f.ok is False and not f.statements]
        for line in terminal.finding_lines(rest, locale):
            say(line)
    else:
        print_lines(terminal.finding_lines(findings, locale))
    raise typer.Exit(5 if any(finding.ok is False for finding in findings) else 0)
