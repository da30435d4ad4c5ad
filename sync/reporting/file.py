"""A report's file: whole or not there, and in the place of nothing but another report."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from sync.errors import N_, UsageError
from sync.reporting.page import BEGINNING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@contextmanager
def report_file(path: Path) -> Iterator[Callable[[str], object]]:
    """What writes the page; until it is called and the block has ended, nothing stands at `path`.

    Raises UsageError at once where it could not be written there.
    """
    place = path.resolve()
    new = place.with_name(f".{place.name}.{os.getpid()}.new")
    try:
        if place.exists() and not _is_report(place):
            raise UsageError(
                N_("{place} is there already and is no report; it was left as it is."),
                hint=N_("Name another file."),
                place=path,
            )
        with new.open("x", encoding="utf-8", errors="backslashreplace") as file:
            yield file.write
            file.flush()
            os.fsync(file.fileno())
        new.replace(place)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            N_("{place} cannot be written: {reason}"), place=path, reason=why
        ) from None
    finally:
        with suppress(OSError, ValueError):
            new.unlink(missing_ok=True)


def _is_report(place: Path) -> bool:
    with place.open("rb") as file:
        return place.is_file() and file.read(len(BEGINNING)) == BEGINNING.encode()
