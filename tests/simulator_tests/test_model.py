"""The simulator's data centre on a virtual clock."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from tests.simulator import (
    OPERATOR,
    Account,
    DataCentre,
    Netboot,
    Server,
    Timing,
    UnknownNetboot,
    UnknownServer,
    VirtualClock,
)

NAME = "ns1234.ovh.net"
DISK, RESCUE, POWER_OFF = 1, 1122, 95083
TIMING = Timing(cut_delay=5, boot_delay=60, reboot_duration=240, power_off_delay=143)


class Site:
    """One server on a virtual clock, with a diary of (seconds since the beginning, event)."""

    def __init__(self, timing: Timing = TIMING, **settings: Any) -> None:
        self.clock = VirtualClock()
        self.began = self.clock.monotonic()
        self.server = Server(NAME)
        self.centre = DataCentre(self.clock, [self.server], timing=timing, **settings)
        self.diary: list[tuple[float, str]] = []
        self.centre.on_cut.append(lambda server: self.diary.append((self.now, "cut")))
        self.centre.on_boot.append(lambda server, boot: self.diary.append((self.now, boot.kernel)))

    @property
    def now(self) -> float:
        return self.clock.monotonic() - self.began

    def until(self, moment: float) -> dict[str, Any]:
        """Move to `moment` (seconds since the beginning) and look at the server."""
        self.clock.advance(moment - self.now)
        record: dict[str, Any] = self.centre.state()["servers"][NAME]
        return record

    def reboot(self) -> None:
        self.centre.hard_reboot(NAME, by=OPERATOR)

    def choose(self, netboot_id: int) -> None:
        self.centre.set_netboot(NAME, netboot_id, by=OPERATOR)


def running(record: dict[str, Any]) -> str | None:
    """The kernel that runs."""
    return record["running"]["kernel"] if record["running"] else None


# One hard reboot.


def test_a_server_runs_its_disk_at_the_beginning() -> None:
    record = Site().until(0)
    assert (record["power"], running(record), record["boots"]) == ("on", "hd", 0)
    assert record["netboot"] == {"id": 1, "kernel": "hd", "type": "harddisk"}


def test_a_hard_reboot_cuts_then_boots_then_is_over() -> None:
    site = Site()
    site.choose(RESCUE)
    site.reboot()

    before = site.until(4.9)
    assert (before["power"], running(before), before["pending_reboots"]) == ("on", "hd", 1)
    assert site.centre.power_cuts == []

    cut = site.until(5)
    assert (cut["power"], running(cut), cut["boots"]) == ("off", None, 0)
    assert site.centre.state()["power_cuts"][0]["netboot"] is None

    dark = site.until(64.9)
    assert (dark["power"], running(dark)) == ("off", None)

    booted = site.until(65)
    assert (booted["power"], running(booted), booted["boots"]) == ("on", "rescue64-pro", 1)
    assert booted["pending_reboots"] == 1

    assert site.until(239.9)["pending_reboots"] == 1
    assert site.until(240)["pending_reboots"] == 0


def test_the_record_of_a_power_cut() -> None:
    site = Site()
    site.choose(RESCUE)
    site.clock.advance(10)
    site.centre.hard_reboot(NAME, by="soap:ab12345-ovh")
    site.until(1000)
    assert site.centre.state()["power_cuts"] == [
        {
            "server": NAME,
            "at": site.began + 15,
            "netboot": {"id": RESCUE, "kernel": "rescue64-pro", "type": "rescue"},
            "requested_by": "soap:ab12345-ovh",
            "accepted_at": site.began + 10,
        }
    ]


def test_events_keep_their_own_time_when_nobody_asked_for_long() -> None:
    site = Site()
    site.reboot()
    record = site.until(10_000)
    assert record["running_since"] == site.began + 65
    assert site.centre.power_cuts[0].at == site.began + 5
    assert [event for _, event in site.diary] == ["cut", "hd"]


def test_a_boot_and_an_end_at_the_same_moment_happen_in_that_order() -> None:
    site = Site(Timing(cut_delay=0.1, boot_delay=0.2, reboot_duration=0.3))
    seen: list[int] = []
    site.centre.on_boot.append(lambda server, _: seen.append(len(server.pending)))
    site.reboot()
    assert site.until(1)["pending_reboots"] == 0
    assert seen == [1]


def test_a_hard_reboot_can_be_over_before_the_boot_but_not_before_the_power_cut() -> None:
    # The provider's own figures with the power entry: done after 60 s, off after 143.
    site = Site(Timing(cut_delay=10, boot_delay=80, reboot_duration=60, power_off_delay=53))
    site.choose(POWER_OFF)
    site.reboot()
    assert site.until(59.9)["pending_reboots"] == 1
    over = site.until(60)
    assert (over["pending_reboots"], over["power"], over["boots"]) == (0, "off", 0)
    assert (site.until(89.9)["boots"], site.until(90)["boots"]) == (0, 1)
    assert (site.until(142.9)["power"], site.until(143)["power"]) == ("on", "off")


def test_a_reboot_that_is_over_at_its_power_cut() -> None:
    site = Site(Timing(cut_delay=5, boot_delay=60, reboot_duration=5))
    pending: list[int] = []
    site.centre.on_cut.append(lambda server: pending.append(len(server.pending)))
    site.reboot()
    assert site.until(5)["pending_reboots"] == 0
    assert pending == [1]


def test_what_is_chosen_between_the_end_and_the_boot_is_booted() -> None:
    site = Site(Timing(cut_delay=5, boot_delay=60, reboot_duration=30))
    site.choose(RESCUE)
    site.reboot()
    site.until(31)
    site.choose(DISK)
    assert running(site.until(65)) == "hd"


def test_without_delays_a_hard_reboot_is_over_at_once() -> None:
    site = Site(Timing(cut_delay=0, boot_delay=0, reboot_duration=0))
    site.reboot()
    assert site.server.boots == 1
    assert site.server.pending == []


# Which netboot.


@pytest.mark.parametrize(
    ("moment", "kernel"), [(0, "rescue64-pro"), (64.9, "rescue64-pro"), (65, "hd"), (66, "hd")]
)
def test_the_netboot_is_read_at_the_moment_of_the_boot(moment: float, kernel: str) -> None:
    site = Site()
    site.reboot()
    site.until(moment)
    site.choose(RESCUE)
    record = site.until(300)
    assert running(record) == kernel
    assert record["netboot"]["kernel"] == "rescue64-pro"
    booted_into = site.centre.power_cuts[0].netboot
    assert booted_into is not None and booted_into.kernel == kernel


def test_a_netboot_of_type_power_ends_with_the_machine_off() -> None:
    site = Site()
    site.choose(POWER_OFF)
    site.reboot()
    up = site.until(65 + 142.9)
    assert (up["power"], running(up)) == ("on", "poweroff")
    off = site.until(65 + 143)
    assert (off["power"], running(off)) == ("off", None)
    assert len(site.centre.power_cuts) == 1


def test_a_reboot_before_the_power_off_takes_its_place() -> None:
    site = Site()
    site.choose(POWER_OFF)
    site.reboot()
    site.until(100)
    site.choose(DISK)
    site.reboot()
    record = site.until(1000)
    assert (record["power"], running(record)) == ("on", "hd")


def test_a_server_that_is_off_is_brought_up_by_a_hard_reboot() -> None:
    site = Site()
    site.choose(POWER_OFF)
    site.reboot()
    assert site.until(500)["power"] == "off"
    site.choose(DISK)
    site.reboot()
    record = site.until(1000)
    assert (record["power"], running(record), record["boots"]) == ("on", "hd", 2)


def test_every_choice_of_a_netboot_is_recorded() -> None:
    site = Site()
    site.choose(RESCUE)
    site.clock.advance(3)
    site.centre.set_netboot(NAME, DISK, by="soap:ab12345-ovh", rescue_mail="root@example.org")
    assert site.centre.state()["netboot_changes"] == [
        {"server": NAME, "at": site.began, "from": 1, "to": 1122, "by": "operator"},
        {"server": NAME, "at": site.began + 3, "from": 1122, "to": 1, "by": "soap:ab12345-ovh"},
    ]
    assert site.centre.state()["servers"][NAME]["rescue_mail"] == "root@example.org"


# Late, never, more than one.


def test_a_queued_reboot_begins_late() -> None:
    site = Site(Timing(queue_delay=100, cut_delay=5, boot_delay=60, reboot_duration=240))
    site.reboot()
    assert site.until(104.9)["power"] == "on"
    assert site.server.reported[0].begun_at == site.began + 100
    assert site.until(105)["power"] == "off"
    assert site.until(339.9)["pending_reboots"] == 1
    assert site.until(340)["pending_reboots"] == 0


def test_a_queued_reboot_is_reported_when_it_begins() -> None:
    site = Site(Timing(queue_delay=100))
    site.reboot()
    site.until(99)
    assert site.server.reported == []
    site.until(100)
    assert site.server.reported[0].start == datetime(2024, 1, 1, 0, 1, 40)


def test_a_queued_reboot_can_be_reported_at_its_acceptance() -> None:
    site = Site(Timing(queue_delay=100, queue_reported=True))
    site.reboot()
    assert site.server.reported[0].start == datetime(2024, 1, 1)
    site.until(1000)
    assert len(site.server.reported) == 1
    assert site.server.reported[0].start == datetime(2024, 1, 1)


def test_a_reboot_can_be_accepted_and_never_carried_out() -> None:
    site = Site(Timing(carried_out=False))
    site.reboot()
    record = site.until(100_000)
    assert (record["power"], running(record), record["boots"]) == ("on", "hd", 0)
    assert record["pending_reboots"] == 1
    assert site.centre.power_cuts == [] and site.server.reported == []


def test_a_second_cut_before_the_boot_takes_the_boot_over() -> None:
    site = Site()
    site.reboot()
    site.until(20)
    site.centre.hard_reboot(NAME, by="soap:ab12345-ovh")
    assert site.until(24)["pending_reboots"] == 2
    assert running(site.until(84.9)) is None
    site.until(1000)
    assert [(cut.at - site.began, cut.netboot is None) for cut in site.centre.power_cuts] == [
        (5, True),
        (25, False),
    ]
    assert site.server.boots == 1 and site.server.pending == []


def test_a_second_cut_after_the_boot_boots_again() -> None:
    site = Site()
    site.reboot()
    site.until(62)
    site.reboot()
    site.choose(RESCUE)
    assert running(site.until(66)) == "rescue64-pro"
    site.choose(DISK)
    record = site.until(1000)
    assert (running(record), record["boots"]) == ("hd", 2)
    kernels = [cut.netboot.kernel for cut in site.centre.power_cuts if cut.netboot]
    assert kernels == ["rescue64-pro", "hd"]


def test_a_reboot_keeps_the_timing_it_was_accepted_with() -> None:
    site = Site()
    site.reboot()
    site.centre.timing = Timing(cut_delay=50, boot_delay=1, reboot_duration=51)
    assert site.until(5)["power"] == "off"


def test_a_server_can_have_a_timing_of_its_own() -> None:
    fast, slow = Server("fast"), Server("slow", timing=Timing(cut_delay=50))
    clock = VirtualClock()
    centre = DataCentre(clock, [fast, slow], timing=TIMING)
    for name in ("fast", "slow"):
        centre.hard_reboot(name, by=OPERATOR)
    clock.advance(49)
    centre.settle()
    assert (fast.on, slow.on) == (False, True)
    clock.advance(1)
    centre.settle()
    assert not slow.on


@pytest.mark.parametrize(
    "settings",
    [
        {"cut_delay": 10, "boot_delay": 0, "reboot_duration": 9.9},
        {"cut_delay": -1},
        {"queue_delay": float("nan")},
        {"reboot_duration": float("inf")},
        {"boot_delay": "60"},
        {"boot_delay": True},
        {"carried_out": 1},
    ],
)
def test_an_impossible_timing_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        Timing(**settings)


# What the provider records of a reboot.


def test_start_and_end_are_the_providers_local_time() -> None:
    clock = VirtualClock(offset=-90, utc_offset=5.5)
    centre = DataCentre(clock, [Server(NAME)], timing=TIMING)
    reboot = centre.hard_reboot(NAME, by=OPERATOR)
    clock.advance(240)
    centre.settle()
    assert reboot.start == datetime(2024, 1, 1, 5, 28, 30)
    assert reboot.end == datetime(2024, 1, 1, 5, 32, 30)


def test_no_two_reboots_of_a_server_share_a_unique_start() -> None:
    site = Site(Timing(cut_delay=0, boot_delay=0, reboot_duration=0))
    for _ in range(4):
        site.reboot()
        site.clock.advance(0.3)
    reboots = site.server.reported
    assert [r.unique_start.second for r in reboots if r.unique_start] == [0, 1, 2, 3]
    assert [r.start.second for r in reboots if r.start] == [0, 0, 0, 0]
    assert [r.end.second for r in reboots if r.end] == [0, 0, 0, 0]


def test_the_clock_that_was_set_back_does_not_repeat_a_unique_start() -> None:
    site = Site()
    site.reboot()
    site.until(600)
    site.clock.offset = -600
    site.reboot()
    first, second = (reboot.unique_start for reboot in site.server.reported)
    assert (first, second) == (datetime(2024, 1, 1), datetime(2024, 1, 1, 0, 0, 1))


# Names and accounts.


def test_unknown_names_change_nothing() -> None:
    site = Site()
    with pytest.raises(UnknownServer):
        site.centre.hard_reboot("ns1234", by=OPERATOR)
    with pytest.raises(UnknownServer):
        site.centre.set_netboot("ns1234", DISK, by=OPERATOR)
    with pytest.raises(UnknownNetboot):
        site.choose(4711)
    assert site.centre.state()["netboot_changes"] == []
    assert site.server.hard_reboots == []


def test_an_account_has_its_own_servers_only() -> None:
    mine, other = Account("ab12345-ovh", "secret"), Account("cd67890-ovh", "other")
    servers = [Server("mine"), Server("theirs", account=other.nic)]
    centre = DataCentre(VirtualClock(), servers, [mine, other])
    assert [server.name for server in centre.servers_of(mine)] == ["mine"]
    with pytest.raises(UnknownServer):
        centre.server_of(mine, "theirs")


def test_choosing_a_netboot_removes_a_script() -> None:
    site = Site()
    site.server.boot_script = "#!ipxe"
    assert site.until(0)["boot_script"] == "#!ipxe"
    site.choose(RESCUE)
    assert site.until(0)["boot_script"] == ""


def test_a_server_begins_with_the_first_of_its_netboots() -> None:
    netboots = (Netboot(28, "rescue-pro", "rescue", state="inactive"), Netboot(7, "hd", "harddisk"))
    server = Server("ns1", netboots=netboots)
    assert server.netboot.id == 28
    assert server.find_netboot(7).kernel == "hd"


# The ground truth.


def test_the_state_is_json_and_has_no_secret() -> None:
    site = Site()
    session = site.centre.sessions.login(Account("ab12345-ovh", "secret"), None, alone=False)
    site.centre.log_call("soap", "dedicatedInfo", NAME, session.key)
    site.choose(RESCUE)
    site.reboot()
    site.until(500)
    text = json.dumps(site.centre.state())
    assert "rescue64-pro" in text
    assert "secret" not in text and session.key not in text


def test_the_call_log_is_bounded_and_its_total_is_not() -> None:
    site = Site(call_log=3)
    for number in range(5):
        site.centre.log_call("soap", f"operation{number}", None, None)
    state = site.centre.state()
    assert [call["operation"] for call in state["calls"]] == [
        "operation2",
        "operation3",
        "operation4",
    ]
    assert state["calls_total"] == 5


def test_the_state_counts_sessions() -> None:
    site = Site()
    account = Account("ab12345-ovh", "secret")
    site.centre.sessions.login(account, None, alone=False)
    site.centre.sessions.login(account, 10, alone=False)
    site.centre.sessions.logout(site.centre.sessions.login(account, None, alone=False))
    state = site.centre.state()
    assert [state[k] for k in ("open_sessions", "logins", "logouts")] == [2, 3, 1]
    site.until(10)
    assert site.centre.state()["open_sessions"] == 1


def test_the_state_has_the_providers_date() -> None:
    clock = VirtualClock(offset=3600, utc_offset=-2)
    state = DataCentre(clock).state()
    assert state["provider_time"] == 1_704_067_200 + 3600
    assert state["provider_local_time"] == "2023-12-31 23:00:00"
    assert state["monotonic"] == clock.monotonic()


def test_the_seed_makes_the_session_keys() -> None:
    def key(seed: int) -> str:
        centre = DataCentre(VirtualClock(), seed=seed)
        return centre.sessions.login(Account("a", "b"), None, alone=False).key

    assert key(1) == key(1) != key(2)
    assert len(key(1)) >= 32


def test_a_virtual_clock_does_not_go_back() -> None:
    clock = VirtualClock()
    clock.sleep(2.5)
    assert clock.monotonic() == 1002.5
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance(-1)
