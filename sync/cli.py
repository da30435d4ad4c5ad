"""The command line: `python -m sync …`.

Data goes to stdout, all else to stderr. Exit codes: 0 done · 1 some partitions failed or were held
back · 2 usage · 3 another run holds the lease · 4 the audit found faults · 5 settings, connection,
table or column · 6 cancelled or lease lost · 70 our own bug · 130 SIGINT · 143 SIGTERM.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
import traceback
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from sync import __version__, foreground, terminal, wording
from sync.dates import parse_range
from sync.errors import N_, BatchSyncError, LeaseHeld, UsageError
from sync.foreground import say
from sync.model import CancelMode, Only, RunId, RunRequest
from sync.shapes import audit_json, past_run_json, plan_json, status_json
from sync.wording import translations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import tzinfo

    from sync.operations import Operations
    from sync.settings import Settings

WATCH_EVERY_S = 1.0
SETTINGS_FILE = "batch_sync.toml"
EXAMPLE = Path(__file__).parent / "example.toml"
LOOPBACK = {"127.0.0.1", "localhost", "::1"}

app = typer.Typer(
    name="sync",
    help="Bring the rows of some days from a source to a target database, one run at a time.",
    no_args_is_help=True,
    add_completion=False,
    # rich would be imported for each usage error.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Start = Annotated[str, typer.Argument(help="First day: YYYY-MM-DD, today, yesterday or -7d.")]
End = Annotated[str, typer.Argument(help="Last day, included.")]
Tables = Annotated[
    list[str] | None, typer.Option("--table", metavar="T", help="Only this table; may be repeated.")
]
Narrow = Annotated[Only, typer.Option("--only", help="Which partitions of the range.")]
Wait = Annotated[
    float | None,
    typer.Option("--wait", metavar="[=S]", min=0, help="Wait (S seconds) while another run goes."),
]
AllowShrink = Annotated[
    bool,
    typer.Option("--allow-shrink", help="Replace days whose source has far fewer rows, too."),
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    locale = terminal.locale_of()
    try:
        app(
            args=normalized(sys.argv[1:] if arguments is None else arguments),
            prog_name="python -m sync",
        )
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except BatchSyncError as error:
        say(wording.sentence(error, locale))
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - our own bug, told in one line and exit code 70
        if os.environ.get("BATCH_SYNC_DEBUG"):
            traceback.print_exc()
        say(f"Internal error: {type(error).__name__}: {error} (BATCH_SYNC_DEBUG=1 shows more)")
        return 70
    return 0


def normalized(arguments: Sequence[str]) -> list[str]:
    """`arguments` as typer can read them.

    `--config FILE` may stand anywhere, `--wait` needs no value, and -7d is a date and no option.
    """
    first: list[str] = []
    rest: list[str] = []
    left = list(arguments)
    while left:
        argument = left.pop(0)
        if argument == "--":
            return [*first, *rest, argument, *left]
        if argument == "--config" and left:
            first += [argument, left.pop(0)]
        elif argument.startswith("--config="):
            first.append(argument)
        elif argument == "--wait":
            rest.append("--wait=inf")
        else:
            # A word that begins with a space is never taken for an option, and a date is stripped.
            rest.append(f" {argument}" if re.fullmatch(r"-[0-9]+d", argument) else argument)
    return first + rest


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"Batch Sync {__version__}")
        raise typer.Exit


@app.callback()
def settings_file(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option(help=f"The settings file, else {SETTINGS_FILE} where it exists.")
    ] = None,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Bring the rows of some days from a source to a target database, one run at a time."""
    context.obj = config


@app.command()
def run(
    context: typer.Context,
    start: Start,
    end: End,
    table: Tables = None,
    only: Narrow = Only.ALL,
    wait: Wait = None,
    allow_shrink: AllowShrink = False,
    as_json: AsJson = False,
) -> None:
    """Copy the days from START to END, both included."""
    request = _request(context, start, end, table, only, allow_shrink=allow_shrink)

    def begin(operations: Operations) -> RunId | None:
        return operations.start(request)

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


def _in_foreground(
    context: typer.Context,
    begin: Callable[[Operations], RunId | None],
    *,
    wait_s: float | None,
    as_json: bool,
) -> None:
    locale = terminal.locale_of()
    with foreground.Signals() as signals, _opened(context) as (settings, operations):
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
    say(terminal.run_line(ended, locale))
    if ended.error:
        say(wording.told(ended.error, locale))
    if as_json:
        _print_json(past_run_json(ended))
    raise typer.Exit(foreground.exit_code(ended, signals))


def _refuse(refusal: LeaseHeld, zone: tzinfo, *, as_json: bool) -> NoReturn:
    locale = terminal.locale_of()
    for line in wording.conflict_lines(refusal.conflict, locale, datetime.now(UTC), zone):
        say(line)
    if as_json:
        _print_json(wording.conflict_json(refusal.conflict, locale))
    raise typer.Exit(refusal.exit_code)


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
    request = _request(context, start, end, table, only)
    with _opened(context) as (_, operations):
        found = operations.plan(request)
    if as_json:
        _print_json(plan_json(found))
        return
    _print_lines(terminal.plan_lines(found, locale))
    say(terminal.plan_summary(found, locale))


@app.command()
def status(
    context: typer.Context,
    watch: Annotated[bool, typer.Option("--watch", help="Go on until nothing runs.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what runs now, or what ran last."""
    locale = terminal.locale_of()
    with _opened(context) as (settings, operations):
        snapshot = operations.snapshot()
        if watch:
            with foreground.progress_shown(locale) as show:
                while snapshot.run:
                    _print_json(status_json(snapshot), lines=True) if as_json else show(
                        snapshot.run
                    )
                    time.sleep(WATCH_EVERY_S)
                    snapshot = operations.snapshot()
    if snapshot.problem:
        say(wording.told(snapshot.problem, locale))
    if as_json:
        _print_json(status_json(snapshot), lines=watch)
    else:
        _print_lines(terminal.status_lines(snapshot, locale, settings.zone))


@app.command()
def history(
    context: typer.Context,
    audit: Annotated[
        bool,
        typer.Option("--audit", help="Ask the target whether any two runs ever overlapped."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the newest runs and how they ended."""
    if audit:
        _audit(context, as_json=as_json)
    with _opened(context) as (settings, operations):
        runs = operations.history()
    if as_json:
        _print_json([past_run_json(run) for run in runs])
    else:
        _print_lines(terminal.history_lines(runs, terminal.locale_of(), settings.zone))


def _audit(context: typer.Context, *, as_json: bool) -> NoReturn:
    with _opened(context) as (_, operations):
        found = operations.audit()
    if as_json:
        _print_json(audit_json(found))
    else:
        _print_lines(terminal.audit_lines(found, terminal.locale_of()))
    raise typer.Exit(4 if found.faults else 0)


@app.command()
def cancel(
    context: typer.Context,
    run: Annotated[str | None, typer.Argument(help="The run, else the one that goes now.")] = None,
    now: Annotated[
        bool, typer.Option("--now", help="At once: what is being copied is rolled back.")
    ] = False,
) -> None:
    """Ask the present run to stop after what it is copying."""
    gettext = translations(terminal.locale_of()).gettext
    with _opened(context) as (_, operations):
        asked = operations.cancel(
            RunId(run) if run else None, CancelMode.NOW if now else CancelMode.AFTER_GROUP
        )
    if asked is None:
        say(gettext("Nothing is running."))
    else:
        say(gettext("Run {run_id} was asked to stop.").format(run_id=asked))


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
    with _opened(context) as (_, operations):
        findings = operations.check()
    if as_json:
        _print_json([finding.to_json() for finding in findings])
    elif grants:
        _print_lines(terminal.grant_lines(findings, locale))
        # What grants cannot mend.
        rest = [f for f in findings if f.ok is False and not f.statements]
        for line in terminal.finding_lines(rest, locale):
            say(line)
    else:
        _print_lines(terminal.finding_lines(findings, locale))
    raise typer.Exit(5 if any(finding.ok is False for finding in findings) else 0)


@app.command()
def init(context: typer.Context) -> None:
    """Write a commented settings file."""
    file = context.obj or Path(SETTINGS_FILE)
    try:
        # Passwords are written into it.
        mine = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(mine, "w", encoding="utf-8") as new:
            new.write(EXAMPLE.read_text(encoding="utf-8"))
    except FileExistsError:
        raise UsageError(
            N_("{place} is there already; it was left as it is."),
            hint=N_("Move it away, or name another file: --config FILE init"),
            place=file,
        ) from None
    except OSError as error:
        raise UsageError(
            N_("{place} cannot be written: {reason}"), place=file, reason=error.strerror
        ) from None
    say(translations(terminal.locale_of()).gettext("{place} was written.").format(place=file))


@app.command()
def serve(
    context: typer.Context,
    host: Annotated[
        str, typer.Option(help="A name or address of this machine itself.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8000,
) -> None:
    """Serve the HTTP interface, to this machine only."""
    if host not in LOOPBACK:
        raise UsageError(
            N_("{host} is not this machine alone, and there is no sign-in yet."),
            hint=N_("Serve on 127.0.0.1, and reach it from elsewhere by an SSH tunnel."),
            host=host,
        )
    from sync import api

    with _opened(context) as (settings, operations):
        api.serve(operations, zone=settings.zone, host=host, port=port)


@contextmanager
def _opened(context: typer.Context) -> Iterator[tuple[Settings, Operations]]:
    from sync.settings import load
    from sync.wiring import open_operations

    settings = load(context.obj)
    operations = open_operations(settings)
    try:
        yield settings, operations
    finally:
        operations.close()


def _request(
    context: typer.Context,
    start: str,
    end: str,
    tables: list[str] | None,
    only: Only,
    *,
    allow_shrink: bool = False,
) -> RunRequest:
    # Read before anything is opened: what makes no sense is said at once.
    from sync.settings import load

    days = parse_range(start, end, now=datetime.now(UTC), zone=load(context.obj).zone)
    return RunRequest(days=days, tables=tuple(tables or ()), only=only, allow_shrink=allow_shrink)


def _print_lines(lines: Sequence[str]) -> None:
    for line in lines:
        typer.echo(line)


def _print_json(value: object, *, lines: bool = False) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, indent=None if lines else 2))
