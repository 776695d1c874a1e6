"""What can go wrong in one run of the agent, as data that a seed draws.

What is in here is what OVH, its machines and its people really do, and harder: replicas and lists
that lag, answers that get lost, refusals that pass, tasks that nobody knows for minutes, strangers.
What the agent believes (docs/safety.md) is not attacked.
"""

from __future__ import annotations

import dataclasses
import random
from typing import Any

BEFORE = ("refused", "time-out before", "reset before", "TLS failure", "502", "429", "408")
AFTER = ("time-out after", "reset after", "HTML after", "500 after", "504 after", "cut short")
"""Faults before and after OVH acted on the request: nobody can tell which."""

PASSING = (*BEFORE, *AFTER, "503 with Retry-After", "HTML", "empty")
"""What fails at random in a bad hour."""

REFUSALS = ("401", "403", "404", "403 after", "session gone", "out of time")
"""A no in OVH's own words, which may pass."""

FAULTS = (
    *PASSING,
    *REFUSALS,
    "429 with Retry-After",
    "drip",
    "redirect",
    "too long",
    "bomb",
    "nesting",
    "garbage",
    "wrong type",
    "missing",
    "slow",
)
"""Faults of a single call. In "wrong type" and "missing" members of the answer are garbled or gone;
"slow" is a good answer, late."""

EVENTS = (
    "netboot disk",
    "netboot rescue",
    "reboot",
    "reinstall",
    "sessions end",
    "zone jumps",
    "clock jumps",
    "login elsewhere",
)

REINSTALLATION = 90
"""Seconds for which another task is in the way; a real one takes half an hour."""

FOR_EVER = 99


@dataclasses.dataclass(frozen=True)
class Schedule:
    """One run: what the agent is to do, how the data centre is, and what goes wrong.

    Seconds are seconds of the virtual clock, counted from the agent's start.

    Attributes:
        action: off, on, cycle, onoff or status.
        faults: by the number of the call.
        outages: begin, length in seconds, fault of every call meanwhile.
        events: seconds, what somebody else does then.
        rate: how many per cent of all requests fail, at random.
        alternating: the fault of every second request.
        troubled_until: when the last two stop, in seconds; 0 for never.
        luck: what is random, the pauses of the agent included, comes of it.
        posts_lost: how many of the requests for a hard reboot, from the first, have `post_fault`.
        latency: seconds that each call takes.
        queue_delay, cut_delay, boot_delay, rest: seconds of a hard reboot's phases.
        one_by_one: a hard reboot waits for those before it.
        early_end: the boot is not waited for: it is over `rest` seconds after the power cut.
        never: how many of the hard reboots, from the first, are accepted and never carried out.
        rebooted_before: how many seconds before the start a stranger rebooted; 0 for not at all.
        netboot_ignored: whatever is chosen, the machine boots its disk.
        poll, power_timeout: the options (poll is stonith_status_sleep), in seconds.
        witness: whether the machine itself has to say over SSH that it is in rescue.
        machine: what is odd about that; "" for nothing.
        stuck: the function of a task that stays in todo for ever, in nobody's way.

    The others are settings of the simulator's front ends.
    """

    action: str = "off"
    faults: tuple[tuple[int, str], ...] = ()
    outages: tuple[tuple[int, int, str], ...] = ()
    events: tuple[tuple[int, str], ...] = ()
    rate: int = 0
    alternating: str = ""
    troubled_until: int = 0
    luck: int = 0
    posts_lost: int = 0
    post_fault: str = "504 after"
    latency: int = 0
    queue_delay: int = 0
    cut_delay: int = 2
    boot_delay: int = 5
    rest: int = 10
    one_by_one: bool = False
    early_end: bool = False
    never: int = 0
    rebooted_before: int = 0
    netboot_ignored: bool = False
    earlier_reboots: int = 1
    netboot_by_hand: bool = False
    poll: int = 15
    power_timeout: int = 900
    off_mode: str = "rescue"
    witness: bool = False
    machine: str = ""
    stuck: str = ""
    reading: str = "A-empty"
    zone: int = 0
    single_session: bool = False
    session_lifetime: int = 0
    list_lag: int = 0
    read_lag: int = 0
    stale_reads: str = "all"
    task_unseen: int = 0
    task_unseen_status: int = 404
    task_purged: int = 0
    date_offset: int = 0
    date_form: str = "zone"
    refuses_second_reboot: bool = True
    outcome: str = ""
    outcome_count: int = 0
    after_cut: bool = False

    def last_trouble(self) -> float:
        """When the last outage or event is over, in seconds."""
        ends = [begin + length for begin, length, _ in self.outages]
        ends += [at + REINSTALLATION * (event == "reinstall") for at, event in self.events]
        return float(max([0, self.troubled_until, *ends]))

    def reboot_takes(self) -> float:
        """Seconds of a hard reboot until it is over, as the API says it."""
        boot = 0 if self.early_end else self.boot_delay
        return float(self.queue_delay + self.cut_delay + boot + self.rest)

    def nothing_fails(self) -> bool:
        """Whether every call is answered well."""
        return not (
            self.faults
            or self.outages
            or self.rate
            or self.alternating
            or self.posts_lost
            or self.session_lifetime
            or (self.task_unseen and self.task_unseen_status == 500)
        )


QUIET = {"faults": (), "outages": (), "rate": 0, "alternating": "", "latency": 0, "never": 0}
"""What is added to some schedules, to leave only what they are about."""


LEAST_BOOT = 5
"""Seconds: no machine runs a system sooner. One that did would be up for as long as we wait."""


def draw(api: str, seed: int) -> Schedule:
    """The schedule of that seed for an API: soap, rest or oauth2."""
    chance = random.Random(f"{api} {seed}")
    fields = {**_drawn_faults(chance), **_drawn_centre(chance)}
    fields.update(_drawn_soap(chance) if api == "soap" else _drawn_rest(chance))
    focus = chance.random()
    if focus < 0.25:
        fields.update(_drawn_lost_posts(chance))
    elif focus < 0.3:
        fields.update(_drawn_there_and_back(chance))
    if api == "soap" and chance.random() < 0.7:
        # It tells one hard reboot from another by their times alone.
        events = fields.get("events", ())
        fields["events"] = tuple(each for each in events if each[1] != "reboot")
        fields["rebooted_before"] = 0
    if api == "soap" and fields.get("post_fault") == "late":
        fields["post_fault"] = "time-out after"  # then one of ours is near ours: docs/safety.md
    fields["action"] = chance.choice(
        ["off", "off", "off", "cycle", "cycle", "onoff", "on", "status"]
    )
    fields["poll"] = chance.choice([1, 3, 3, *[5] * 4, *[15] * 18])  # few: each look costs time
    fields["power_timeout"] = chance.choice([900, 900, 900, 2400])
    fields["luck"] = seed
    if api != "soap" and fields["action"] in ("off", "onoff") and chance.random() < 0.25:
        fields.update(_drawn_witness(chance))
        fields["boot_delay"] = max(LEAST_BOOT, fields.get("boot_delay", 0))
    return Schedule(**fields)


def draw_witness(api: str, seed: int) -> Schedule:
    """The same, always with the machine's own word (REST)."""
    chance = random.Random(f"witness {api} {seed}")
    action = chance.choice(["off", "off", "onoff"])
    fields = {**_drawn_witness(chance), "action": action, "off_mode": "rescue"}
    drawn = draw(api, seed)
    return dataclasses.replace(drawn, boot_delay=max(LEAST_BOOT, drawn.boot_delay), **fields)


def _drawn_witness(chance: random.Random) -> dict[str, Any]:
    """The machine itself is asked, and may be odd."""
    machines = ["", "", "", "silent", "odd", "junk", "no key", "takes the key"]
    fields = {"witness": True, "machine": chance.choice(machines)}
    return {**fields, "netboot_ignored": chance.random() < 0.2}


def _drawn_faults(chance: random.Random) -> dict[str, Any]:
    """What fails: a few calls, a bad hour, or the one request that matters."""
    fields: dict[str, Any] = {}
    if chance.random() < 0.6:
        calls = range(chance.choice([1, 2, 4, 8]))
        last = chance.choice([12, 45])  # up to the hard reboot, or all along
        fields["faults"] = tuple((chance.randint(0, last), chance.choice(FAULTS)) for _ in calls)
    if chance.random() < 0.3:
        fields["outages"] = tuple(
            (chance.randint(0, 200), *_outage(chance)) for _ in range(chance.choice([1, 1, 2]))
        )
    if chance.random() < 0.3:
        events = range(chance.choice([1, 1, 2]))
        fields["events"] = tuple((chance.randint(0, 120), chance.choice(EVENTS)) for _ in events)
    if chance.random() < 0.3:
        fields["rate"] = chance.choice([10, 20, 30, 50])
    elif chance.random() < 0.15:
        fields["alternating"] = chance.choice(PASSING)
    if chance.random() < 0.3:
        fields["troubled_until"] = chance.randint(10, 300)
    if chance.random() < 0.35:
        fields["posts_lost"] = chance.choice([1, 1, 2, 3, FOR_EVER])
        fields["post_fault"] = chance.choice([*AFTER, *AFTER, *BEFORE, "slow", *["late"] * 4])
    fields["latency"] = chance.choice([0, 0, 0, 0, 1, 2, 5, 8, 10])
    return fields


def _drawn_there_and_back(chance: random.Random) -> dict[str, Any]:
    """Somebody chooses another netboot, and after a while the one before."""
    begin, length = chance.randint(1, 30), chance.randint(10, 120)
    first, second = chance.sample(["netboot disk", "netboot rescue"], 2)
    return {
        **QUIET,
        "events": ((begin, first), (begin + length, second)),
        "rest": chance.randint(30, 120),
    }


def _drawn_lost_posts(chance: random.Random) -> dict[str, Any]:
    """Requests for a hard reboot whose answers are lost, and strangers whose reboots look like ours.

    The agent asks up to three times before it takes one for lost.
    """
    events = range(chance.choice([1, 1, 2, 3]))
    kinds = ["reboot", "reboot", "reboot", "reinstall", "netboot disk", "netboot rescue"]
    fields: dict[str, Any] = {
        "posts_lost": chance.choice([*range(1, 10), FOR_EVER]),
        "post_fault": chance.choice([*AFTER, *BEFORE, *["late"] * 4]),
        "events": tuple((chance.randint(0, 400), chance.choice(kinds)) for _ in events),
        "rebooted_before": chance.choice([0, 1, 10, 30, 55]),
        "netboot_by_hand": chance.random() < 0.5,
        "queue_delay": chance.choice([0, 0, 4, 45]),
        "cut_delay": chance.randint(0, 5),
        "boot_delay": chance.randint(0, 10),
        "rest": chance.randint(0, 200),
    }
    if chance.random() < 0.7:
        fields.update(QUIET, latency=chance.choice([0, 0, 3]))
    return fields


def _outage(chance: random.Random) -> tuple[int, str]:
    """How long an outage lasts, and its fault. A refusal passes after 2 to 45 s."""
    fault = chance.choice(FAULTS)
    return chance.randint(2, 45 if fault in REFUSALS else 250), fault


def _drawn_centre(chance: random.Random) -> dict[str, Any]:
    """How hard reboots go, and what was before."""
    quick = chance.random() < 0.7
    return {
        "queue_delay": chance.choice([0, 0, 0, 4, 45, 200]),
        "cut_delay": chance.randint(0, 30),
        "boot_delay": chance.randint(0, 30 if quick else 120),
        "rest": chance.randint(0, 60 if quick else 240),
        "early_end": chance.random() < 0.2,
        "never": chance.choice([0] * 18 + [1, 9]),
        "rebooted_before": chance.choice([0, 0, 0, 0, 1, 10, 30, 55]),
        "netboot_ignored": chance.random() < 0.05,
        "earlier_reboots": chance.randint(0, 2),
        "netboot_by_hand": chance.random() < 0.3,
    }


def _drawn_soap(chance: random.Random) -> dict[str, Any]:
    return {
        "reading": chance.choice(["A-empty", "A-previous", "B"]),
        "zone": chance.choice([0, 0, -7, 12]),
        "single_session": chance.random() < 0.3,
        "session_lifetime": chance.choice([0, 0, 60, 200]),
    }


def _drawn_rest(chance: random.Random) -> dict[str, Any]:
    outcome = chance.choice([""] * 8 + ["cancelled", "customerError", "ovhError"])
    return {
        "one_by_one": chance.random() < 0.5,
        "off_mode": chance.choice(["rescue", "rescue", "rescue", "power"]),
        "stuck": chance.choice(["", "", "", "addVirtualMac", "reinstallServer"]),
        "session_lifetime": chance.choice([0, 0, 60, 200]),
        "list_lag": chance.choice([0, 0, 0, 5, 20, 58]),
        "read_lag": chance.choice([0, 0, 0, 5, 15, 28]),
        "stale_reads": chance.choice(["all", "alternating", "random"]),
        "task_unseen": chance.choice([0, 0, 0, 3, 30, 120, 280]),
        "task_unseen_status": chance.choice([404, 500]),
        "task_purged": chance.choice([0] * 9 + [20, 60, 90]),
        "date_offset": chance.choice([0, 0, -7200, 5, 3600]),
        "date_form": chance.choice(["zone", "no zone", "null"]),
        "refuses_second_reboot": chance.random() < 0.8,
        "outcome": outcome,
        "outcome_count": chance.choice([1, 1, 2, FOR_EVER]) if outcome else 0,
        "after_cut": bool(outcome) and chance.random() < 0.5,
    }
