"""The clocks of the simulated provider: one that runs, one that a test moves.

A clock has two faces. `monotonic()` is what delays are measured in; it never jumps. `time()` and
`local_at()` are what the provider believes the date to be: its clock may be wrong (`offset`) and it
writes local time (`utc_offset`), neither of which a client knows.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from datetime import datetime, timedelta, timezone


class Clock(ABC):
    """What time it is, for the data centre.

    Attributes (both may be changed at any moment, as when an operator sets the provider's clock):
        offset: seconds by which the provider's date is ahead of the true one.
        utc_offset: hours by which the provider's local time is ahead of UTC.
    """

    def __init__(self, epoch: float, offset: float, utc_offset: float) -> None:
        self._epoch = epoch
        self.offset = offset
        self.utc_offset = utc_offset

    @abstractmethod
    def monotonic(self) -> float:
        """Seconds since some fixed moment."""

    @abstractmethod
    def sleep(self, seconds: float) -> None:
        """Return once `seconds` have passed on this clock."""

    def time(self) -> float:
        """The provider's date, in seconds since 1970 (UTC)."""
        return self.time_at(self.monotonic())

    def time_at(self, moment: float) -> float:
        """The provider's date at `moment` (seconds of `monotonic`), in seconds since 1970 (UTC)."""
        return self._epoch + moment + self.offset

    def local_at(self, moment: float) -> datetime:
        """The provider's local time at `moment`, without a zone and cut to whole seconds."""
        zone = timezone(timedelta(hours=self.utc_offset))
        local = datetime.fromtimestamp(self.time_at(moment), zone)
        return local.replace(tzinfo=None, microsecond=0)


class SystemClock(Clock):
    """Runs by itself."""

    def __init__(self, *, offset: float = 0.0, utc_offset: float = 0.0) -> None:
        super().__init__(time.time() - time.monotonic(), offset, utc_offset)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class VirtualClock(Clock):
    """Stands still unless `advance` or `sleep` moves it: a ten-minute reboot takes no time.

    `start` is its first `monotonic()`, in seconds; the provider's date is then 2024-01-01 (UTC).
    """

    _DATE_AT_START = 1_704_067_200.0

    def __init__(
        self, *, start: float = 1000.0, offset: float = 0.0, utc_offset: float = 0.0
    ) -> None:
        super().__init__(self._DATE_AT_START - start, offset, utc_offset)
        self._now = start
        self._lock = threading.Lock()

    def monotonic(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Move on by `seconds`, which may not be negative."""
        if seconds < 0:
            raise ValueError(f"a clock does not go back ({seconds} seconds)")
        with self._lock:
            self._now += seconds

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)
