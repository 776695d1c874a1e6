"""The property that the search tries to break (docs/safety.md says it in words).

The simulator's ground truth decides, never what the API said. Of an agent with exit status 0 after
`off` or `reboot`:

1. The server was power-cut between the agent's start and its end.
2. Its last look at the netboot showed the wanted one, and came after OVH's last word on the hard
   reboot. (Not of a reboot by off and on, nor of what follows: that one demands the cut alone.)
3. The last cut in its time booted what was wanted.
4. No request of its own for a hard reboot cuts the server after its end. (Not of a reboot by off
   and on: its on may fail.)

With off_mode=power the server is off, or will be; that holds even for one that ignores its netboot.

What is believed excuses the following, and no more:

- Of rule 3 a netboot that others chose (2 and 3 of the five points in docs/safety.md): after the
  agent's last look; or before, if no look that was sent after it showed it (but one within
  NEW_NETBOOT after the agent set it, which may be stale), and it was over, or the agent's last look
  came, within the time in which the agent may have had no look: LOOK_EVERY or NEW_NETBOOT, `poll`,
  the age of a stale read, the time of three calls, and, if calls failed then, their time and
  PER_FAULT for each.
- Of rule 3 a server that ignores its netboot: only off_mode=power or a second witness tells.
- Of rule 4 a request whose answer was lost, where OVH does not refuse a hard reboot during another
  (4 of the five); with SOAP always.
- Of rules 1, 3 and 4, with SOAP: a hard reboot of a stranger (5 of the five).
"""

from __future__ import annotations

import math

from tests.safety.schedule import FOR_EVER, Schedule
from tests.safety.simulated_run import (
    CALL_LIMIT,
    HARD_DISK,
    POWER_OFF_DELAY,
    Exchange,
    World,
)

CUTTING = ("off", "cycle", "onoff", "on")

LOOK = 2 * CALL_LIMIT
LIMITS = {
    "off": (1, 0.0),
    "cycle": (1, 0.0),
    "onoff": (2, 0.0),
    "on": (1, 3 * LOOK),
    "status": (0, 3 * LOOK),
}
"""How long an action may take: so many times power_timeout, and so many seconds more. LOOK is
login_timeout and shell_timeout together."""

AFTER_DEADLINE = 5.0 + 2.0
"""What a last look, and closing the session, may add; and `poll`, as the library looks no oftener."""

LAST_WORD = 5.0
"""What a last question to the machine itself may add."""

LOOK_EVERY = 15.0
NEW_NETBOOT = 30.0
"""Seconds: between two looks at the netboot; and for which a netboot that differs from what was
just set may be a stale read."""

PER_FAULT = 40.0
"""How much later a fault may let an agent look."""

TASK_LOST_AFTER = 300.0
"""Seconds for which a task may be unknown."""

GIVEN_UP = ("cancelled", "customerError", "ovhError")

BELIEVED_NO = 45.0
"""Seconds for which a refusal may last and yet pass."""

LOGIN_PAUSE = 30.0
MOST_LOGINS = 3
"""Seconds between two logins after a refusal, and how many may be refused in a row: accounts
lock."""

MOST_REQUESTS = 30
USUAL_POLL = 3
MOST_REQUESTS_OF_THE_IMPATIENT = 60
"""A minute and plug, while the agent waits and nothing fails; and with a `poll` below the usual."""


def violations(world: World) -> list[str]:
    """What is wrong with how a run ended; empty when nothing is."""
    action = world.schedule.action
    found = [f"a secret was shown: {text[:60]!r}" for text in world.leaks()]
    if any("defect in fence_ovh" in line for line in world.log):
        found.append("an exception that nobody expected")
    if ends_late(world):
        found.append("it did not end by its deadline")
    if world.status not in ((0, 1, 2) if action == "status" else (0, 1)):
        found.append(f"exit status {world.status}")
    if world.status == 2 and world.old_system_runs() and not _status_cannot_know(world):
        found.append("status said OFF while the old system ran")
    if action in CUTTING:
        found += needless_cuts(world)
        if world.status == 0:
            found += false_success(world)
        elif must_succeed(world):
            found.append("exit status 1, although the provider answered in time")
    return found + _impolite(world)


def ends_late(world: World) -> bool:
    """Whether it went on for too long."""
    times, more = LIMITS[world.schedule.action]
    limit = times * world.schedule.power_timeout + more + world.schedule.poll + AFTER_DEADLINE
    limit += LAST_WORD if world.schedule.witness else 0.0
    return world.ended > world.begun + limit


# Rules 1 to 4


def false_success(world: World) -> list[str]:
    """What exit status 0 says and is not true; empty when all is."""
    action = world.schedule.action
    if action == "on" and not world.own_reboots():
        return [] if _was_on(world) else ["exit status 0, but the server is not on"]
    strangers = world.api == "soap" and _strangers(world)
    if not world.cuts():
        return [] if strangers else ["exit status 0, but the server was not cut at all"]
    if action == "onoff":
        return _not_witnessed(world)
    found = [] if strangers else _late_twin(world)
    found += _not_witnessed(world)
    looks = [(asked, shown) for asked in world.asked if (shown := world.shown_netboot(asked))]
    if not looks or looks[-1][1] != world.wanted():
        found.append("exit status 0, but the netboot was changed")
    if looks and looks[-1][0].sent < _last_word(world):
        found.append("exit status 0 without a look after OVH's last word on the hard reboot")
    if not strangers:
        found += _wrong_boot(world, looks)
    if world.wanted() == "power" and world.running_at_rest is not None:
        found.append("exit status 0, but the server is not switched off")
    return found


def _was_on(world: World) -> bool:
    """Whether the server was to boot its disk at a moment that a look may have shown."""
    earliest = world.begun - world.schedule.read_lag
    changes = world.centre.netboot_changes
    since = [(-math.inf, HARD_DISK), *((change["at"], change["to"]) for change in changes)]
    untils = [*(at for at, _ in since[1:]), math.inf]
    return any(
        netboot == HARD_DISK and at <= world.ended and until >= earliest
        for (at, netboot), until in zip(since, untils)
    )


def _not_witnessed(world: World) -> list[str]:
    """With the machine's own word: it ran the rescue system, whatever OVH says of its tasks.

    At the end, or, when it was started again since, before that.
    """
    if not world.schedule.witness or world.schedule.off_mode == "power":
        return []
    booted = [kind for at, kind in world.boots if world.begun < at <= world.ended]
    off = world.schedule.action == "off"
    if booted[-1:] == ["rescue"] if off else "rescue" in booted:
        return []
    return [f"exit status 0, but the machine never said that it is in rescue: it booted {booted}"]


def _last_word(world: World) -> float:
    """When the agent asked for the last time how far its hard reboot is.

    With SOAP the same question, after several requests for one, is whether there is another.
    """
    if world.api == "soap" and sum(asked.step == "reboot" for asked in world.asked) > 1:
        return -math.inf
    asked_at = [asked.sent for asked in world.asked if asked.step in ("task", "status")]
    return max(asked_at, default=-math.inf)


def _late_twin(world: World) -> list[str]:
    """Rule 4."""
    own = {asked.reboot.accepted_at for asked in world.own_reboots() if asked.reboot}
    late = [c for c in world.centre.power_cuts if c.at > world.ended and c.accepted_at in own]
    if not late or world.api == "soap":
        return []
    return ["exit status 0, but one more hard reboot of its own cuts the server later"]


def _wrong_boot(world: World, looks: list[tuple[Exchange, str]]) -> list[str]:
    """Rule 3, with its excuses."""
    last_cut = max(cut.at for cut in world.cuts())
    at, booted = next((at, kind) for at, kind in world.boots if at >= last_cut)
    if booted == world.wanted() or world.schedule.netboot_ignored:
        return []
    wrong = [f"exit status 0, but the server booted {booted}"]
    away, back = _when_another_netboot_was_chosen(world, at)
    if away == -math.inf:
        return wrong
    seen = [asked for asked, shown in looks if asked.sent > away and shown != world.wanted()]
    if not all(_may_be_stale(world, asked) for asked in seen):
        return wrong
    last_look = looks[-1][0].acted if looks else world.begun
    unseen = min(back, last_look) - away
    return [] if unseen <= longest_without_a_look(world, away, back) else wrong


def _may_be_stale(world: World, look: Exchange) -> bool:
    """Whether what a look showed may be from before the agent set the netboot."""
    set_at = [a.ended for a in world.asked if a.step == "set" and a.ended <= look.sent]
    return look.sent < max(set_at, default=-math.inf) + new_netboot(world)


def _when_another_netboot_was_chosen(world: World, moment: float) -> tuple[float, float]:
    """From when until when others had chosen what the server booted at that moment.

    The former is minus infinity if nobody else had.
    """
    own = {number for asked in world.asked for number in asked.changes}
    away, back = -math.inf, math.inf
    for number, change in enumerate(world.centre.netboot_changes):
        kind = world.centre.servers[change["server"]].find_netboot(change["to"]).type
        if change["at"] > moment:
            back = min(back, change["at"] if kind == world.wanted() else math.inf)
        elif kind == world.wanted() or number in own:
            away = -math.inf
        elif away == -math.inf and change["from"] != change["to"]:
            away = change["at"]
    return away, back


def longest_without_a_look(world: World, begin: float, end: float) -> float:
    """For how many seconds an agent may not see a netboot that others chose in that time."""
    schedule = world.schedule
    latency = max((asked.ended - asked.sent for asked in world.asked if not asked.fault), default=0)
    seconds = max(new_netboot(world), LOOK_EVERY + schedule.poll)
    seconds += schedule.read_lag + 3 * latency
    for asked in world.asked:
        if asked.fault and asked.sent <= end + PER_FAULT and asked.ended >= begin - PER_FAULT:
            seconds += asked.ended - asked.sent + PER_FAULT
    return seconds


def new_netboot(world: World) -> float:
    """For how long a netboot that differs from what was set may be a stale read; none with SOAP."""
    return 0.0 if world.api == "soap" else NEW_NETBOOT


def _strangers(world: World) -> int:
    """How often somebody else rebooted the server near the agent's time."""
    others = sum(event == "reboot" for _, event in world.schedule.events)
    return others + bool(world.schedule.rebooted_before)


# No needless cuts


def needless_cuts(world: World) -> list[str]:
    """The hard reboots of the agent that nothing asked for.

    One is asked for by each state that is wanted (off, then on with method=onoff), and one more by
    each of the following, seen by the agent since the one before was asked for:

    - no good answer came to the request for that one;
    - its task (with SOAP its start) was unknown, or no answer told of it, for TASK_LOST_AFTER, or
      OVH gave it up;
    - a netboot that was not the wanted one, in a look sent NEW_NETBOOT (SOAP: at once) or more after
      it was set;
    - with SOAP, a hard reboot of a stranger, or times that jump: OVH shows those of one alone.
    """
    own = world.own_reboots()
    needless = 0
    for before, after in zip(own, own[1:]):
        between = [asked for asked in world.asked if before.sent <= asked.sent <= after.sent]
        needless += not (
            not before.is_good()
            or _another_state_is_wanted(world, before, after)
            or _task_was_lost(world, before, after)
            or _netboot_was_changed(world, between)
            or (world.api == "soap" and (_strangers(world) or _times_jump(world)))
        )
    return [f"{needless} needless hard reboots"] if needless else []


def _another_state_is_wanted(world: World, before: Exchange, after: Exchange) -> bool:
    """Whether the netboot that the agent had set last is another now."""
    if world.schedule.action != "onoff":
        return False
    changes = world.centre.netboot_changes

    def set_before(moment: float) -> int:
        own = [a.changes[-1] for a in world.asked if a.changes and a.sent < moment]
        return int(changes[own[-1]]["to"]) if own else 0

    return set_before(before.sent) != set_before(after.sent)


def _task_was_lost(world: World, before: Exchange, after: Exchange) -> bool:
    if world.api == "soap":
        return _start_is_not_shown(world, before, after)
    between = [a for a in world.asked if a.step == "task" and before.sent <= a.sent <= after.sent]
    shown = [(asked, world.shown_status(asked)) for asked in between]
    known = [before.ended, *(asked.ended for asked, status in shown if status and not asked.fault)]
    was_unknown = bool(shown) and after.sent - max(known) >= TASK_LOST_AFTER - LOOK_EVERY
    return was_unknown or any(status in GIVEN_UP for _, status in shown)


def _start_is_not_shown(world: World, before: Exchange, after: Exchange) -> bool:
    """Whether SOAP went on showing the hard reboot before, for as long as a task may be unknown."""
    good = [asked for asked in world.asked if asked.step == "status" and asked.is_good()]
    shown = [(asked, world.shown_start(asked)) for asked in good]
    then = [start for asked, start in shown if start is not None and asked.sent <= before.sent]
    later = {start for a, start in shown if start is not None and before.sent < a.sent < after.sent}
    waited = after.sent - before.ended >= TASK_LOST_AFTER - LOOK_EVERY
    return waited and later <= set(then[-1:])


def _netboot_was_changed(world: World, between: list[Exchange]) -> bool:
    changes = world.centre.netboot_changes
    own = [asked for asked in world.asked if asked.changes]
    for asked in between:
        latest = max((each for each in own if each.ended <= asked.sent), key=_ended, default=None)
        shown = world.shown_number(asked)
        if latest is None or asked.sent < latest.ended + new_netboot(world):
            continue
        if shown and shown != changes[latest.changes[-1]]["to"]:
            return True
    return False


def _ended(asked: Exchange) -> float:
    return asked.ended


def _times_jump(world: World) -> bool:
    return any(event in ("zone jumps", "clock jumps") for _, event in world.schedule.events)


# It fences


def must_succeed(world: World) -> bool:
    """Whether the provider answered well early enough for the action to succeed."""
    schedule = world.schedule
    if _cannot_succeed(world) or longest_refusal(world) >= BELIEVED_NO:
        return False
    begun = max(schedule.last_trouble(), world.weather.last_trouble + CALL_LIMIT)
    return begun + seconds_needed(world) <= schedule.power_timeout


def _cannot_succeed(world: World) -> bool:
    """Whether OVH does not do what it said, or others do not let the agent."""
    schedule = world.schedule
    changes = sum("netboot" in event for _, event in schedule.events)
    never_lets = schedule.posts_lost == FOR_EVER and not schedule.post_fault.endswith("after")
    given_up = schedule.outcome and schedule.outcome_count in (0, FOR_EVER)
    powers_off = schedule.off_mode == "power" and schedule.action in ("off", "onoff")
    ignored = schedule.netboot_ignored and powers_off
    return bool(
        schedule.never
        or given_up
        or changes > 1
        or never_lets
        or ignored
        or (schedule.witness and (schedule.netboot_ignored or schedule.machine == "silent"))
        or _end_is_forgotten(schedule)
        or 0 < schedule.session_lifetime < LOGIN_PAUSE + 4 * seconds_of_a_call(schedule)
        or (world.api == "soap" and _times_jump(world))
    )


def _end_is_forgotten(schedule: Schedule) -> bool:
    """Whether the agent may not see that its task is done before OVH forgets it."""
    if not schedule.task_purged:
        return False
    shown = schedule.task_purged - max(0.0, schedule.task_unseen - schedule.reboot_takes())
    lasting = schedule.rate or schedule.alternating
    return bool(lasting) or shown < schedule.poll + 4 * (schedule.latency + OWN_CALL)


def seconds_needed(world: World) -> float:
    """How long fencing takes at most once the provider answers well.

    That is all its hard reboots, none of which was needless, and those of strangers; and, after
    lost answers, the minute for the older ones. While calls go on failing, up to one in two, each
    takes longer.
    """
    schedule = world.schedule
    call = seconds_of_a_call(schedule)
    one = schedule.reboot_takes() + schedule.task_unseen + schedule.poll + STEPS * call
    if schedule.off_mode == "power":
        one += POWER_OFF_DELAY + schedule.boot_delay + schedule.read_lag
    if schedule.task_purged:
        one += TASK_LOST_AFTER
    if schedule.witness:  # every second word may be odd
        one += schedule.boot_delay + 20 * (schedule.poll + WORD)
    rounds = max(1, len(world.own_reboots())) + _strangers(world)
    quiet = 60 + schedule.list_lag + STEPS * call if world.asks_in_vain() else 0.0
    return 60 + rounds * one + quiet + NEW_NETBOOT + schedule.read_lag + schedule.list_lag


def seconds_of_a_call(schedule: Schedule) -> float:
    """How long one takes, with what is tried again."""
    call = schedule.latency + OWN_CALL
    if (schedule.rate or schedule.alternating) and not schedule.troubled_until:
        slow = "time-out" in schedule.alternating or schedule.rate
        call = 2 * call + schedule.poll + (CALL_LIMIT if slow else FAILED_CALL)
    return call


WORD = 8.0
"""Seconds in which the machine itself can answer."""

STEPS = 12
"""Calls of one hard reboot, beside those that wait for its end."""

OWN_CALL = 0.1
FAILED_CALL = 5.0
"""Seconds: that a call takes beside its latency, and that one costs that fails at once."""


def longest_refusal(world: World) -> float:
    """For how many seconds calls of one kind were refused, without a good answer in between."""
    longest = 0.0
    since: dict[str, float] = {}
    for asked in world.asked:
        if asked.fault in world.refusals:
            since.setdefault(asked.step, asked.sent)
            longest = max(longest, asked.ended - since[asked.step])
        elif asked.is_good():
            since.pop(asked.step, None)
    return longest


# Good manners


def _impolite(world: World) -> list[str]:
    found = []
    refused = 0
    for asked in world.asked:
        if asked.step == "login":
            refused = 0 if asked.is_good() else refused + (asked.fault in world.refusals)
        elif asked.is_good():
            refused = 0
        if refused > MOST_LOGINS:
            found = [f"more than {MOST_LOGINS} refused logins"]
    if world.schedule.nothing_fails() and world.own_reboots():
        patient = world.schedule.poll >= USUAL_POLL
        most = MOST_REQUESTS if patient else MOST_REQUESTS_OF_THE_IMPATIENT
        sent = [asked.sent for asked in world.asked if asked.sent > world.own_reboots()[-1].ended]
        busiest = max((sum(at <= each < at + 60 for each in sent) for at in sent), default=0)
        if busiest > most * len(world.centre.servers):
            found.append(f"{busiest} requests in a minute of waiting")
    return found


# Status


def _status_cannot_know(world: World) -> bool:
    """What the API does not tell a newcomer; the manual page says so."""
    schedule = world.schedule
    changes = [at for at, event in schedule.events if "netboot" in event]
    if schedule.netboot_by_hand:
        changes.append(0)
    if world.api == "soap":
        return bool(changes)  # and the end of a reboot may be an estimate
    # REST shows a hard reboot, if not at once: one after the change, known for long, is seen.
    lag = max(schedule.task_unseen, schedule.list_lag, schedule.read_lag)
    known = world.ended - world.begun - lag - 1
    reboots = [at for at, event in schedule.events if event == "reboot"]
    return bool(changes) and not any(max(changes) <= at < known for at in reboots)
