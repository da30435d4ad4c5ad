"""What the doctor found, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sync.databases.failures import DRIVER_ERRORS, reason
from sync.errors import N_, BatchSyncError
from sync.told import Told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at, by name, and what is to be told of it.

    `ok` is None where it is only a warning or could not be found out. `statements` are what an
    administrator of that database would run, whole and in order, whether or not anything lacks.
    """

    name: Told
    ok: bool | None
    told: Told
    statements: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As programs read it; `ok` is null for a warning."""
        return {
            "name": str(self.name),
            "ok": self.ok,
            "text": self.told.sentence(),
            "hint": self.told.advice(),
            "statements": list(self.statements),
        }


def guarded(name: str, look: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """The findings of one look; an error on the way is the last of them."""
    try:
        yield from look()
    except (BatchSyncError, OSError, *DRIVER_ERRORS) as error:
        yield failed(Told(name), error)


def failed(name: Told, error: BaseException) -> Finding:
    """An error as a finding."""
    if isinstance(error, BatchSyncError):
        return Finding(name=name, ok=False, told=error.told)
    return Finding(name=name, ok=False, told=Told(N_("{reason}"), reason=reason(error)))
