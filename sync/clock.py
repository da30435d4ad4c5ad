"""Time as an argument: everything that waits or asks the time is handed a `Clock`."""

import threading
import time
from datetime import UTC, datetime
from typing import Protocol

ASLEEP_TOO = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Clock(Protocol):
    """What the package knows of time."""

    def now(self) -> datetime:
        """Wall clock, aware, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go backwards, and go on while the machine sleeps."""
        ...

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        """Wait until `stop` is set or `seconds` are over; True when it was set."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Wall clock, aware, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never go backwards, and go on while the machine sleeps, on Linux."""
        return time.clock_gettime(ASLEEP_TOO)

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        """Wait until `stop` is set or `seconds` are over; True when it was set."""
        return stop.wait(seconds)
