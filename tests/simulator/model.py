"""The data centre: servers, what they boot, and what happens to them in time.

Nothing here runs by itself. What is going to happen (a power cut, a boot, the end of a hard reboot)
waits in a queue and is carried out, in order and as of its own time, by `settle()`, which whatever
asks or acts calls first. All moments are in seconds of the clock's `monotonic()`.

The ground truth is `DataCentre.state()`: what happened to the machines, whatever an API said.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
import math
import random
import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Callable

from tests.simulator.clock import Clock
from tests.simulator.sessions import Account, Sessions

OPERATOR = "operator"
"""Who acts when it is not through an API."""

_ROUNDING = 1e-9
"""Seconds within which two delays count as equal: 0.1 + 0.2 is more than 0.3."""


class UnknownServer(LookupError):
    """The data centre, or the account that asks, has no server of that name."""


class UnknownNetboot(LookupError):
    """The server has no netboot with that id."""


def check_seconds(name: str, value: object) -> None:
    """Raise TypeError or ValueError unless `value` is a number of seconds, not negative."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name}: a number of seconds is needed")
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"{name}: {value} is not a possible number of seconds")


def check_flag(name: str, value: object) -> None:
    """Raise TypeError unless `value` is true or false."""
    if not isinstance(value, bool):
        raise TypeError(f"{name}: true or false is needed")


@dataclass(frozen=True)
class Netboot:
    """Something a server can boot.

    `type` is one of the provider's words: harddisk, rescue, power, network, internal. One whose
    `state` is not active is not offered. `description_status` is what the REST API answers to who
    asks what it is: 200, or 404 or 500 and nothing about it.
    """

    id: int
    kernel: str
    type: str
    description: str = ""
    state: str = "active"
    description_status: int = 200

    def retired(self) -> Netboot:
        """The same, neither offered nor described any more; a server may still be set to it."""
        return replace(self, state="inactive", description_status=404)

    def record(self) -> dict[str, Any]:
        """What the ground truth says of it."""
        return {"id": self.id, "kernel": self.kernel, "type": self.type}


# Seen at the provider, with these kernels; the ids of the last three are made up.
IPXE_SHELL = Netboot(203323, "ipxe-shell", "rescue", "iPXE shell")
"""Always offered among the rescue systems, and none."""
OLD_RESCUE = Netboot(46371, "rescue-customer", "rescue", "Customer rescue system")
WINDOWS_RESCUE = Netboot(250101, "rescue-customer-windows", "rescue", "Windows rescue system")
WINPE = Netboot(250102, "winpe", "rescue", "WinPE")
INTERNAL_RESCUE = Netboot(250103, "rescue-customer", "internal", "Customer rescue system")
"""What three of six servers in rescue were set to: its kernel says what it is, not its type."""


def default_netboots() -> tuple[Netboot, ...]:
    """What a server of the demo can boot; the first entry is what it boots at the beginning."""
    return (
        Netboot(1, "hd", "harddisk", "Boot to disk"),
        Netboot(22, "rescue-pro", "rescue", "Rescue system (32 bits)", "inactive"),
        Netboot(1122, "rescue64-pro", "rescue", "Rescue system (64 bits)"),
        Netboot(1140, "bsd-rescue-pro", "rescue", "Rescue system (FreeBSD)"),
        Netboot(1155, "WinRescue", "rescue", "Rescue system (Windows)"),
        Netboot(230242, "rescue12-customer", "rescue", "Customer rescue system (Debian-12-based)"),
        IPXE_SHELL,
        Netboot(95083, "poweroff", "power", "Power-off server"),
    )


@dataclass(frozen=True)
class Timing:
    """How a hard reboot goes; all durations are in seconds.

    Attributes:
        queue_delay: from its acceptance to its beginning.
        cut_delay: from its beginning to the power cut.
        boot_delay: from the power cut to the boot, at which the netboot is read.
        reboot_duration: from its beginning until it is reported over; not less than `cut_delay`.
            The boot may come later: with the power entry the provider's task was seen to be done
            after 60 s, and the server to be off after 143 s.
        power_off_delay: from the boot of a netboot of type power until the machine is off.
        carried_out: if False it is accepted and never begins.
        queue_reported: whether a hard reboot that has not begun is reported as started.
    """

    queue_delay: float = 0.0
    cut_delay: float = 5.0
    boot_delay: float = 60.0
    reboot_duration: float = 240.0
    power_off_delay: float = 143.0
    carried_out: bool = True
    queue_reported: bool = False

    def __post_init__(self) -> None:
        for entry in fields(self):
            check = check_flag if isinstance(entry.default, bool) else check_seconds
            check(entry.name, getattr(self, entry.name))
        if self.cut_delay > self.reboot_duration:
            raise ValueError(
                f"reboot_duration: {self.reboot_duration} seconds are less than the {self.cut_delay}"
                " of cut_delay"
            )


@dataclass
class HardReboot:
    """One request for a hard reboot, from its acceptance on.

    `begun_at` and `over_at` are None before it begins and until it is over. `start` and `end` are
    what the provider reports, in its local time: None while it reports nothing. `unique_start` is
    the start moved on until no other reboot of the server has it. If not `cut` it fails: it is over
    when the power should be cut, which it is not. One that is `cancelled` never begins.
    """

    id: int
    server: str
    requested_by: str
    accepted_at: float
    timing: Timing
    cut: bool = True
    cancelled: bool = False
    begun_at: float | None = None
    over_at: float | None = None
    start: datetime | None = None
    unique_start: datetime | None = None
    end: datetime | None = None


@dataclass
class PowerCut:
    """A moment at which a server lost its power; `netboot` is what it booted then, None before."""

    server: str
    at: float
    requested_by: str
    accepted_at: float
    netboot: Netboot | None = None

    def record(self) -> dict[str, Any]:
        """What the ground truth says of it."""
        return {
            "server": self.server,
            "at": self.at,
            "netboot": self.netboot.record() if self.netboot else None,
            "requested_by": self.requested_by,
            "accepted_at": self.accepted_at,
        }


@dataclass
class Server:
    """A dedicated server.

    Attributes:
        name: its complete name.
        account: nic of the account that owns it.
        netboots: what it can boot; the first is chosen, and running, at the beginning.
        timing: how its hard reboots go, if not as the data centre's.
        state: what the REST API calls its state: ok, error, hacked, hackedBlocked; with the last
            it refuses hard reboots.
        expired: whether the REST API refuses it as a service that is no longer paid for.
        boot_script: an iPXE script of its owner's, or empty. It boots `netboot` all the same: what
            such scripts do is unknown. While there is one the REST API shows no netboot, and
            choosing a netboot removes it.
        ignores_netboot: whether it boots its disk whatever is chosen, as when network boot is not
            first in its BIOS.
        refuses_mail, refuses_key: whether the REST API refuses a change with any rescueMail or
            rescueSshKey in it, as it does when it does not like them.
        address: what the REST API says that its address is; empty for one of the range for
            benchmarks, which nothing answers at.
        netboot: what is chosen for the next boot; `netboot_root` is the root device given with it.
        on: whether it has power.
        running: what it was last booted from, None while it runs nothing; since `running_since`.
        hard_reboots: all, as accepted; `pending` are those not over, `reported` those that the
            provider has shown, in the order in which it began to show them; `starts` are theirs.
        last_over: the reboot that was over last.
    """

    name: str
    account: str = "ab12345-ovh"
    netboots: tuple[Netboot, ...] = field(default_factory=default_netboots)
    timing: Timing | None = None
    rescue_mail: str = ""
    monitoring: bool = False
    reverse: str = ""
    display_name: str = ""
    state: str = "ok"
    datacenter: str = "rbx8"
    os: str | None = "debian12_64"
    rescue_ssh_key: str = ""
    no_intervention: bool = False
    expired: bool = False
    boot_script: str = ""
    ignores_netboot: bool = False
    refuses_mail: bool = False
    refuses_key: bool = False
    address: str = ""

    netboot: Netboot = field(init=False)
    netboot_root: str = field(init=False, default="")
    on: bool = field(init=False, default=True)
    running: Netboot | None = field(init=False)
    running_since: float | None = field(init=False, default=None)
    boots: int = field(init=False, default=0)
    hard_reboots: list[HardReboot] = field(init=False, default_factory=list)
    pending: list[HardReboot] = field(init=False, default_factory=list)
    reported: list[HardReboot] = field(init=False, default_factory=list)
    starts: set[datetime] = field(init=False, default_factory=set)
    last_over: HardReboot | None = field(init=False, default=None)
    last_cut: PowerCut | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.netboot = self.netboots[0]
        self.running = self.netboot

    def find_netboot(self, netboot_id: int) -> Netboot:
        """The netboot with that id; raises UnknownNetboot."""
        for netboot in self.netboots:
            if netboot.id == netboot_id:
                return netboot
        raise UnknownNetboot(f"{self.name} has no netboot {netboot_id}")

    def record(self) -> dict[str, Any]:
        """What the ground truth says of it."""
        return {
            "power": "on" if self.on else "off",
            "netboot": self.netboot.record(),
            "running": self.running.record() if self.running else None,
            "running_since": self.running_since,
            "boots": self.boots,
            "rescue_mail": self.rescue_mail,
            "rescue_ssh_key": self.rescue_ssh_key,
            "boot_script": self.boot_script,
            "pending_reboots": len(self.pending),
        }


@dataclass(frozen=True)
class Call:
    """One call of an API: the `number`th of all, `server` being the one it names, if any."""

    protocol: str
    operation: str
    server: str | None
    number: int


CutObserver = Callable[[Server], None]
BootObserver = Callable[[Server, Netboot], None]
ChangeObserver = Callable[[Server, float], None]
RebootObserver = Callable[[HardReboot], None]
_Event = Callable[[float], None]


def default_servers() -> tuple[Server, ...]:
    """The servers of the demo."""
    return (Server("ns1234.ovh.net"), Server("ns567890.ip-203-0-113.eu"))


def default_accounts() -> tuple[Account, ...]:
    """The account of the demo."""
    return (Account("ab12345-ovh", "secret"),)


class DataCentre:
    """All servers and accounts, and the record of what was done to them.

    `on_cut` and `on_boot` are called at each power cut and boot, `on_hard_reboot` when a hard
    reboot is accepted, `on_change` before anything of a server changes, with the moment as of which
    it does; all while `lock` is held. Whoever uses a data centre from several threads takes `lock`
    around what he does; the front ends do. `records` are what front ends add to `state()`, by name.
    """

    def __init__(
        self,
        clock: Clock,
        servers: Iterable[Server] | None = None,
        accounts: Iterable[Account] | None = None,
        *,
        timing: Timing | None = None,
        seed: int = 0,
        call_log: int = 10_000,
    ) -> None:
        """`seed` makes whatever is random; `call_log` is how many calls are kept."""
        self.clock = clock
        self.seed = seed
        self.lock = threading.RLock()
        self.timing = timing or Timing()
        servers = default_servers() if servers is None else servers
        accounts = default_accounts() if accounts is None else accounts
        self.servers = {server.name: server for server in servers}
        self.accounts = {account.nic: account for account in accounts}
        self.sessions = Sessions(clock, random.Random(seed))
        self.power_cuts: list[PowerCut] = []
        self.on_cut: list[CutObserver] = []
        self.on_boot: list[BootObserver] = []
        self.on_hard_reboot: list[RebootObserver] = []
        self.on_change: list[ChangeObserver] = []
        self.records: dict[str, Callable[[], Any]] = {}
        self.netboot_changes: list[dict[str, Any]] = []
        self._calls: deque[dict[str, Any]] = deque(maxlen=call_log)
        self._calls_total = 0
        self._events: list[tuple[float, int, _Event]] = []
        self._counter = itertools.count(1)
        for server in self.servers.values():
            server.running_since = clock.monotonic()

    # What the front ends and the operator ask.

    def server(self, name: str) -> Server:
        """The server of that complete name, settled; raises UnknownServer."""
        self.settle()
        return self._named(name)

    def server_of(self, account: Account, name: str) -> Server:
        """The same, if the account owns it; else raises UnknownServer, as if it did not exist."""
        server = self.server(name)
        if server.account != account.nic:
            raise UnknownServer(f"no server {name}")
        return server

    def servers_of(self, account: Account) -> list[Server]:
        """The servers of an account, settled."""
        self.settle()
        return [server for server in self.servers.values() if server.account == account.nic]

    def set_netboot(
        self, name: str, netboot_id: int, *, by: str, root: str = "", rescue_mail: str = ""
    ) -> None:
        """Choose what the server boots next; raises UnknownServer, UnknownNetboot.

        `root` is the root device of the netboot's kernel; `rescue_mail` is where the provider
        writes to once the server is in rescue (empty: where it did before).
        """
        now, server = self.settle(), self._named(name)
        chosen = server.find_netboot(netboot_id)
        self.announce_change(server, now)
        self.netboot_changes.append(
            {
                "server": name,
                "at": now,
                "from": server.netboot.id,
                "to": chosen.id,
                "by": by,
            }
        )
        server.netboot, server.netboot_root, server.boot_script = chosen, root, ""
        server.rescue_mail = rescue_mail or server.rescue_mail

    def announce_change(self, server: Server, at: float) -> None:
        """Tell observers that something of the server is about to change."""
        for observer in self.on_change:
            observer(server, at)

    def hard_reboot(self, name: str, *, by: str, cut: bool = True) -> HardReboot:
        """Accept a hard reboot, however many are pending; raises UnknownServer.

        If not `cut` it fails just before the power cut.
        """
        now, server = self.settle(), self._named(name)
        timing = server.timing or self.timing
        reboot = HardReboot(next(self._counter), name, by, now, timing, cut)
        server.hard_reboots.append(reboot)
        server.pending.append(reboot)
        for observer in self.on_hard_reboot:
            observer(reboot)
        if timing.queue_reported:
            self._report(server, reboot, now)
        if timing.carried_out:
            self._schedule(now + timing.queue_delay, partial(self._begin, server, reboot))
        self.settle()
        return reboot

    def cancel(self, reboot: HardReboot) -> None:
        """Give up a hard reboot that has not begun."""
        reboot.cancelled = True
        self._named(reboot.server).pending.remove(reboot)

    def log_call(self, protocol: str, operation: str, server: str | None, key: str | None) -> Call:
        """Record a call, before it is carried out; of `key` (a session, say) only a digest."""
        self._calls_total += 1
        self._calls.append(
            {
                "protocol": protocol,
                "operation": operation,
                "server": server,
                "at": self.clock.monotonic(),
                "session": hashlib.sha256(key.encode()).hexdigest()[:12] if key else None,
            }
        )
        return Call(protocol, operation, server, self._calls_total)

    def state(self) -> dict[str, Any]:
        """The ground truth, ready for JSON; its moments are in seconds of the clock."""
        now = self.settle()
        return {
            "provider_time": self.clock.time_at(now),
            "provider_local_time": str(self.clock.local_at(now)),
            "monotonic": now,
            "servers": {server.name: server.record() for server in self.servers.values()},
            "power_cuts": [cut.record() for cut in self.power_cuts],
            "netboot_changes": list(self.netboot_changes),
            "calls_total": self._calls_total,
            "calls": list(self._calls),
            "open_sessions": self.sessions.count(),
            "logins": self.sessions.logins,
            "logouts": self.sessions.logouts,
            **{name: record() for name, record in self.records.items()},
        }

    # What happens in time.

    def settle(self) -> float:
        """Carry out everything that was due by now, in order; returns that moment."""
        now = self.clock.monotonic()
        while self._events and self._events[0][0] <= now:
            at, _, event = heapq.heappop(self._events)
            event(at)
        return now

    def _named(self, name: str) -> Server:
        try:
            return self.servers[name]
        except KeyError:
            raise UnknownServer(f"no server {name}") from None

    def _schedule(self, at: float, event: _Event) -> None:
        heapq.heappush(self._events, (at, next(self._counter), event))

    def _begin(self, server: Server, reboot: HardReboot, at: float) -> None:
        if reboot.cancelled:
            return
        reboot.begun_at = at
        if reboot.start is None:
            self._report(server, reboot, at)
        timing = reboot.timing
        if not reboot.cut:
            self._schedule(at + timing.cut_delay, partial(self._finish, server, reboot))
            return
        until_boot = timing.cut_delay + timing.boot_delay
        together = math.isclose(until_boot, timing.reboot_duration, rel_tol=0, abs_tol=_ROUNDING)
        over_at = at + (until_boot if together else timing.reboot_duration)
        cut = PowerCut(server.name, math.nan, reboot.requested_by, reboot.accepted_at)
        # Events of the same moment happen in the order in which they are scheduled.
        self._schedule(at + timing.cut_delay, partial(self._cut, server, cut))
        self._schedule(at + until_boot, partial(self._boot, server, cut, timing))
        self._schedule(over_at, partial(self._finish, server, reboot))

    def _cut(self, server: Server, cut: PowerCut, at: float) -> None:
        cut.at = at
        self.announce_change(server, at)
        server.on, server.running, server.running_since = False, None, None
        server.last_cut = cut
        self.power_cuts.append(cut)
        for observer in self.on_cut:
            observer(server)

    def _boot(self, server: Server, cut: PowerCut, timing: Timing, at: float) -> None:
        if server.last_cut is not cut:
            return  # Cut once more before it could boot: the boot is the later cut's.
        self.announce_change(server, at)
        booted = server.netboots[0] if server.ignores_netboot else server.netboot
        server.on, server.running, server.running_since = True, booted, at
        server.boots += 1
        cut.netboot = booted
        if booted.type == "power":
            self._schedule(at + timing.power_off_delay, partial(self._power_off, server, cut))
        for observer in self.on_boot:
            observer(server, booted)

    def _power_off(self, server: Server, cut: PowerCut, at: float) -> None:
        if server.last_cut is cut:
            self.announce_change(server, at)
            server.on, server.running, server.running_since = False, None, None

    def _finish(self, server: Server, reboot: HardReboot, at: float) -> None:
        reboot.over_at = at
        reboot.end = self.clock.local_at(at)
        server.last_over = reboot
        server.pending.remove(reboot)

    def _report(self, server: Server, reboot: HardReboot, at: float) -> None:
        """Show the reboot from now on."""
        reboot.start = start = self.clock.local_at(at)
        while start in server.starts:
            start += timedelta(seconds=1)
        reboot.unique_start = start
        server.starts.add(start)
        server.reported.append(reboot)
