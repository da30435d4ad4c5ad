"""What can go wrong, as values: an error carries what is told of it, `sync.wording` words that.

    BatchSyncError
    ├── UsageError            what was asked makes no sense              exit 2
    │   ├── DateError, RangeError, UnknownRun, HeldElsewhere, TakeoverRefused
    ├── SettingsError         a setting is wrong                         exit 5
    ├── UnknownTable          no such table in the settings              exit 5
    ├── ConnectError          a database cannot be reached               exit 5
    ├── SchemaError           a table or column is missing or does not fit   exit 5
    ├── RightsError           the database refuses what a run needs      exit 5
    ├── StoreError            the progress store cannot be used          exit 5
    ├── LockError             the lock cannot be asked (counts as held)  exit 5
    │   └── LocksDiffer       the lease stands under other locks         exit 5
    ├── NobodyStarts          no process would start what is queued      exit 5
    ├── LeaseHeld             another run holds the lease                exit 3
    ├── LeaseLost             this run's lease is gone; nothing more is written  exit 6
    ├── Cancelled             somebody asked this run to stop            exit 6
    ├── PlanChanged           the plan is no longer the one that was seen  exit 1
    ├── SourceLost            the source's snapshot is gone              exit 1
    ├── CommitUnknown         whether a commit came true is not known    exit 1
    └── CopyError             partitions could not be copied             exit 1

`template` is the English sentence and the key of its translation; `hint` says how to mend it.
No fact may hold a password: whoever raises hands in addresses, not URLs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from sync.told import Told

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sync.model import Conflict

MISFITS_MAX = 200  # that are listed


def N_(text: str) -> str:  # noqa: N802 - gettext's own name for "mark, translate later"
    """Mark `text` for translation."""
    return text


class BatchSyncError(Exception):
    """Base of all errors that are worded for people."""

    exit_code: ClassVar[int] = 70
    code: ClassVar[str] = "internal_error"
    template: ClassVar[str] = N_("Something went wrong: {reason}")
    hint: ClassVar[str] = ""

    def __init__(
        self, template: str | None = None, /, *, hint: str | None = None, **facts: object
    ) -> None:
        hint = self.hint if hint is None else hint
        self.told = Told(template or self.template, hint=hint, **facts)
        super().__init__(self.told)


class UsageError(BatchSyncError):
    """What was asked makes no sense."""

    exit_code = 2
    code = "usage"
    template = N_("{reason}")


class DateError(UsageError):
    """Facts: `given`."""

    code = "bad_date"
    template = N_("“{given}” is not a date.")
    hint = N_("Write a day as YYYY-MM-DD, today, yesterday, or -7d.")


class RangeError(UsageError):
    """Facts: `start`, `end`, `days_max`."""

    code = "bad_range"
    template = N_("The range ends on {end}, before it starts on {start}.")
    hint = N_("Swap the two dates; both are included in the range.")


class UnknownRun(UsageError):
    """Facts: `run_id`."""

    code = "unknown_run"
    template = N_("There is no run “{run_id}”.")
    hint = N_("`python -m sync history` lists the runs.")


class HeldElsewhere(UsageError):
    """Facts: `run_id`, `user`, `host`, `pid`. A cancel from here does not reach that run."""

    code = "held_elsewhere"
    template = N_(
        "Run {run_id} is held by {user}@{host} (PID {pid}), and a cancel from here does not"
        " reach it."
    )
    hint = N_(
        "Ask it to stop there; from here, too, once both share one [store] url."
        " If it hangs: python -m sync takeover {run_id}"
    )


class TakeoverRefused(UsageError):
    """Facts: `run_id`."""

    code = "takeover_refused"
    template = N_("Run {run_id} is alive, and its rows move; it was not taken over.")
    hint = N_("Ask it to stop by cancel. To end it all the same, take it over by force (--force).")


class SettingsError(BatchSyncError):
    """Facts: `setting`, `given`, `allowed`, `example`, `place`."""

    exit_code = 5
    code = "bad_settings"
    template = N_("Setting {setting} is wrong ({given}): {allowed}.")
    hint = N_("For example: {example}")


class UnknownTable(BatchSyncError):
    """Facts: `table`, `tables`."""

    exit_code = 5
    code = "unknown_table"
    template = N_("There is no table “{table}” in the settings.")
    hint = N_("Names are exact and case-sensitive. Configured are: {tables}.")


class ConnectError(BatchSyncError):
    """Facts: `role` (source, target, store), `address` (without a password), `reason`."""

    exit_code = 5
    code = "cannot_connect"
    template = N_("The {role} database {address} cannot be reached: {reason}")
    hint = N_("Check [{role}] url in the settings, and that the server answers.")


class SchemaError(BatchSyncError):
    """A table or column is missing or does not fit; facts depend on the template."""

    exit_code = 5
    code = "schema"


class RightsError(BatchSyncError):
    """Facts: `role`, `address`, `reason`, `statements` (what an administrator would run)."""

    exit_code = 5
    code = "rights"
    template = N_("The {role} database {address} refuses: {reason}")
    hint = N_("Ask its administrator to run: {statements}")


class StoreError(BatchSyncError):
    """Facts: `address`, `reason`."""

    exit_code = 5
    code = "store_unavailable"
    template = N_("The progress store {address} cannot be used: {reason}")
    hint = N_("Nothing was started. Make room or mend the rights of that folder, then start again.")


class LockError(BatchSyncError):
    """Facts: `lock`, `reason`. What cannot be asked counts as held."""

    exit_code = 5
    code = "lock_unavailable"
    template = N_(
        "Whether another sync runs cannot be told: the lock {lock} does not answer ({reason})."
    )
    hint = N_("Nothing was started. Mend the lock, then start again.")


class LocksDiffer(LockError):
    """Facts: `run_id`, `theirs` (the locks its lease was taken under), `ours`."""

    code = "locks_differ"
    template = N_(
        "Run {run_id} has not released the lease that it took under the locks {theirs};"
        " configured here are {ours}, which do not keep it out."
    )
    hint = N_(
        "Give every installation of this target the same [lock] settings."
        " If that run is dead, end what is left of it: python -m sync takeover {run_id}"
    )


class NobodyStarts(BatchSyncError):
    """A request was not queued: no live process looks after the queue."""

    exit_code = 5
    code = "nobody_starts"
    template = N_("It was not queued: no dashboard or server runs here that would start it.")
    hint = N_("Start `python -m sync serve` or open the dashboard; or wait here with --wait.")


class LeaseHeld(BatchSyncError):
    """Another run holds the lease; `conflict` tells who, since when, how far."""

    exit_code = 3
    code = "sync_already_running"
    template = N_("A sync is already running; please wait until it has finished, then try again.")

    def __init__(self, conflict: Conflict) -> None:
        super().__init__()
        self.conflict = conflict


class LeaseLost(BatchSyncError):
    """Facts: `reason`. Raised by the fence, the heartbeat, and the check of the lock file."""

    exit_code = 6
    code = "lease_lost"
    template = N_("This run no longer holds the lease ({reason}). Nothing more was written.")
    hint = N_("Resume it when the present run has ended.")


class Cancelled(BatchSyncError):
    """The run was asked to stop."""

    exit_code = 6
    code = "cancelled"
    template = N_("The run was cancelled.")
    hint = N_("Days that were done stay done; resume goes on from there.")


class CopyError(BatchSyncError):
    """Facts: `table`, `days`, `reason`, `advice`."""

    exit_code = 1
    code = "copy_failed"
    template = N_("{table} on {days} could not be copied: {reason}")
    hint = N_("{advice}")


class PlanChanged(BatchSyncError):
    """Facts: `seen`, `now` (hashes), `what`."""

    exit_code = 1
    code = "plan_changed"
    template = N_("The plan {seen} no longer holds ({what}). Nothing was copied.")
    hint = N_("Look at the plan again; to take it as it is now: run … --plan {now}")


class SourceLost(BatchSyncError):
    """The source's snapshot is gone with its connection: counts no longer agree with rows."""

    exit_code = 1
    code = "source_lost"
    template = N_("The connection to the source was lost, and its snapshot with it.")
    hint = N_("Resume the run.")


class CommitUnknown(BatchSyncError):
    """Whether a COMMIT came true could not be found out in time; the run must not go on."""

    exit_code = 1
    code = "commit_unknown"
    template = N_("The target did not say whether the last days were committed.")
    hint = N_("Resume the run: what is whole is left as it is.")


def misfits(wrong: Iterable[Told]) -> SchemaError:
    """All that does not fit as one error, a line each."""
    return SchemaError(
        N_("{reason}"), hint="", reason=together(wrong, limit=MISFITS_MAX, lines=True)
    )


def together(errors: Iterable[Told], *, limit: int = 3, lines: bool = False) -> Told:
    """The first few different errors as one, on `lines` of their own, and how many more."""
    different = list(dict.fromkeys(errors))
    first, left = different[:limit], len(different) - limit
    if left > 0:
        first.append(Told(N_("And {count} more."), count=left))
    return _joined(first, lines=lines)


def _joined(told: Sequence[Told], *, lines: bool) -> Told:
    """By halves, for who words them goes as deep."""
    if len(told) == 1:
        return told[0]
    half = len(told) // 2
    one, other = (_joined(part, lines=lines) for part in (told[:half], told[half:]))
    if lines:
        return Told(N_("{one}\n{other}"), one=one, other=other)
    return Told(N_("{one}"), hint=N_("{other}"), one=one, other=other)
