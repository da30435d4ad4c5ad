"""Commands that set a place up: its settings file, its HTTP interface."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

import sync
from sync import terminal
from sync.cli.app import SETTINGS_FILE, app, opened
from sync.errors import N_, UsageError
from sync.foreground import say
from sync.wording import translations

EXAMPLE = Path(sync.__file__).parent / "example.toml"
LOOPBACK = {"127.0.0.1", "localhost", "::1"}


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

    with opened(context) as (settings, operations):
        api.serve(operations, zone=settings.zone, host=host, port=port)
