"""The command line: `python -m sync …`.

Data goes to stdout, all else to stderr. Exit codes: 0 done · 1 some partitions failed or were held
back · 2 usage · 3 another run holds the lease · 4 verify or audit found faults · 5 settings,
connection, table or column · 6 cancelled, taken over or lease lost · 70 our own bug · 130 SIGINT ·
143 SIGTERM.
"""

from __future__ import annotations

import os
import re
import sys
import traceback
from typing import TYPE_CHECKING

from sync import terminal, wording
from sync.cli import acting, looking, placing  # noqa: F401 - they add their commands
from sync.cli.app import app
from sync.errors import BatchSyncError
from sync.foreground import say

if TYPE_CHECKING:
    from collections.abc import Sequence


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
