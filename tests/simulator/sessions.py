"""Accounts and the sessions open on them."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

from tests.simulator.clock import Clock


@dataclass(frozen=True)
class Account:
    """A customer: `nic` is the name (`ab12345-ovh`) it logs in with."""

    nic: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Session:
    """A login that has not ended; `expires_at` is in seconds of the clock."""

    key: str
    account: Account
    expires_at: float


class Sessions:
    """The sessions of all accounts, with counts of logins and logouts that succeeded."""

    def __init__(self, clock: Clock, rng: random.Random) -> None:
        self._clock = clock
        self._rng = rng
        self._open: dict[str, Session] = {}
        self.logins = 0
        self.logouts = 0

    def login(self, account: Account, lifetime: float | None, *, alone: bool) -> Session:
        """Open a session of `lifetime` seconds (None: for ever).

        `alone` ends the other sessions of the account.
        """
        self._drop_expired()
        if alone:
            self._open = {k: s for k, s in self._open.items() if s.account != account}
        expires_at = math.inf if lifetime is None else self._clock.monotonic() + lifetime
        session = Session(f"{self._rng.getrandbits(160):040x}", account, expires_at)
        self._open[session.key] = session
        self.logins += 1
        return session

    def find(self, key: str) -> Session | None:
        """The session with that key, or None if there is none or it is no longer open."""
        session = self._open.get(key)
        if session is None or session.expires_at <= self._clock.monotonic():
            return None
        return session

    def logout(self, session: Session) -> None:
        """End one session, at its owner's request."""
        del self._open[session.key]
        self.logouts += 1

    def end_all(self) -> None:
        """End every session, as a restart of the provider's service would."""
        self._open.clear()

    def keys(self) -> list[str]:
        """The keys of the sessions that are open or were a while ago."""
        return list(self._open)

    def count(self) -> int:
        """How many sessions are open."""
        self._drop_expired()
        return len(self._open)

    def _drop_expired(self) -> None:
        now = self._clock.monotonic()
        self._open = {k: s for k, s in self._open.items() if s.expires_at > now}
