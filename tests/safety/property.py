"""The property that the search tries to break (docs/safety.md says it in words)."""

from __future__ import annotations

from tests.safety.simulated_run import CALL_LIMIT, POLL, POWER_TIMEOUT, World, agent

CUTTING = ("off", "cycle", "onoff")

LOOK = 2 * CALL_LIMIT
LIMITS = {
    "off": POWER_TIMEOUT,
    "cycle": POWER_TIMEOUT,
    "onoff": 2 * POWER_TIMEOUT,
    "on": LOOK + POWER_TIMEOUT,
    "status": 2 * LOOK + agent.LOOK_AGAIN_AFTER,
}
"""How many seconds an action may take. LOOK is login_timeout and shell_timeout together."""

LOGOUT = 2.0
"""What closing the session may add."""


def violations(world: World) -> list[str]:
    """What is wrong with how a run ended; empty when nothing is."""
    found = [f"a secret was shown: {text[:60]!r}" for text in world.leaks()]
    if any("defect in fence_ovh" in line for line in world.log):
        found.append("an exception that nobody expected")
    if world.ended > world.begun + LIMITS[world.schedule.action] + LOGOUT:
        found.append("it did not end by its deadline")
    if world.status not in ((0, 1, 2) if world.schedule.action == "status" else (0, 1)):
        found.append(f"exit status {world.status}")
    if world.schedule.action in CUTTING:
        found += _cutting(world)
    if world.status == 2 and world.old_system_runs() and not _status_cannot_know(world):
        found.append("status said OFF while the old system ran")
    return found


def _cutting(world: World) -> list[str]:
    if world.status != 0:
        late = must_succeed(world)
        return ["exit status 1, although the provider answered in time"] if late else []
    if not world.cuts():
        return ["exit status 0, but the server was not cut at all"]
    if _changes_cancel_out(world) or _soap_shows_the_end_of_another(world):
        return []
    found = [] if world.was_cut() else ["exit status 0, but the server was not cut"]
    if world.schedule.action != "onoff" and not world.netboot_is_as_wanted():
        found.append("exit status 0, but the netboot was changed")
    return found


def _changes_cancel_out(world: World) -> bool:
    """Whether an operator changed the netboot and changed it back with no look in between.

    Three of them: one that tells, one to agree with it, and one that may need a second call.
    """
    changes = sorted((at, event) for at, event in world.schedule.events if "netboot" in event)
    if len({event for _, event in changes}) < 2:
        return False
    begin, end = changes[0][0], changes[-1][0]
    return sum(begin < look < end for look in world.looks) < 3


def _soap_shows_the_end_of_another(world: World) -> bool:
    """Whether SOAP may show the end of one hard reboot as that of a later one.

    It shows the times of one alone. In the reading in which the end stays that of the reboot
    before, and with a reboot of somebody else between two of ours, its word may be about another.
    """
    others = any(event == "reboot" for _, event in world.schedule.events)
    return world.api == "soap" and world.schedule.reading == "A-previous" and others


def must_succeed(world: World) -> bool:
    """Whether the provider answered correctly early enough for the action to succeed."""
    schedule = world.schedule
    if schedule.never or schedule.outcome or world.lied_about_acceptance:
        return False  # OVH does not do what it said
    if world.api == "soap" and any(event == "zone jumps" for _, event in schedule.events):
        return False  # an hour is missing between the times that OVH gives of a reboot
    if world.refused_at_first:
        return False  # a refusal before anything was granted is an answer
    one_reboot = schedule.queue_delay + schedule.cut_delay + schedule.boot_delay + schedule.rest
    if schedule.off_mode == "power":
        one_reboot += 20
    left = POWER_TIMEOUT - world.last_trouble
    return left >= 60 + 2 * one_reboot + 60 + 4 * POLL


def _status_cannot_know(world: World) -> bool:
    """What the API does not tell a newcomer; the manual page says so."""
    changes = [at for at, event in world.schedule.events if "netboot" in event]
    if world.schedule.netboot_by_hand:
        changes.append(0)
    if world.api == "soap":
        return bool(changes)  # and the end of a reboot may be an estimate
    # REST shows a hard reboot, if not at once: one after the change, known for long, is seen.
    known = world.ended - world.begun - world.schedule.task_unseen - 1
    reboots = [at for at, event in world.schedule.events if event == "reboot"]
    return bool(changes) and not any(max(changes) <= at < known for at in reboots)
