"""What every command stands on: the application, its options, and how data is printed."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sync import __version__
from sync.dates import parse_range
from sync.model import Only, RunRequest
from sync.shapes import seen_plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sync.operations import Operations
    from sync.settings import Settings

SETTINGS_FILE = "batch_sync.toml"

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
Seen = Annotated[
    str | None,
    typer.Option(
        "--plan",
        metavar="HASH|FILE",
        help="Only if the plan is still this one: its hash, or what `plan --json` wrote.",
    ),
]
Queue = Annotated[
    bool,
    typer.Option("--queue", help="Do not wait here: a dashboard or server starts it in its turn."),
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


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


@contextmanager
def opened(context: typer.Context) -> Iterator[tuple[Settings, Operations]]:
    from sync.settings import load
    from sync.wiring import open_operations

    settings = load(context.obj)
    operations = open_operations(settings)
    try:
        yield settings, operations
    finally:
        operations.close()


def request(
    context: typer.Context,
    start: str,
    end: str,
    tables: list[str] | None,
    only: Only,
    *,
    allow_shrink: bool = False,
    digest: bool = False,
    rows: bool = False,
    seen: str | None = None,
) -> RunRequest:
    # Read before anything is opened: what makes no sense is said at once.
    from sync.settings import load

    days = parse_range(start, end, now=datetime.now(UTC), zone=load(context.obj).zone)
    return RunRequest(
        days=days,
        tables=tuple(tables or ()),
        only=only,
        allow_shrink=allow_shrink,
        digest=digest,
        rows=rows,
        seen=seen_plan(seen) if seen else None,
    )


def print_lines(lines: Sequence[str]) -> None:
    for line in lines:
        typer.echo(line)


def print_json(value: object, *, lines: bool = False) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, indent=None if lines else 2))
