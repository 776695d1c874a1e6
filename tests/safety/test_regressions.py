"""Every failure that the search of tests/safety/test_search.py found, as a schedule of its own.

Where the search's world has become stricter since, seconds and calls are such
that the failure shows in today's world, too.
"""

from __future__ import annotations

import pytest

from tests.safety.property import violations
from tests.safety.schedule import Schedule
from tests.safety.scripted import Stage
from tests.safety.simulated_run import RestWorld, World

AT_ONCE = {"cut_delay": 0, "boot_delay": 0, "rest": 0, "earlier_reboots": 0}

FOUND: dict[str, tuple[type[World], Schedule]] = {
    # With calls of 18 s a session of 7 s is over before it was used: that is no refusal.
    "a_session_expires_before_its_first_use": (
        World,
        Schedule(outages=((0, 56, "slow"),), session_lifetime=7, **AT_ONCE),
    ),
    # The session ended before its first use, and the login that was granted before is refused once.
    "a_login_is_refused_in_passing": (
        World,
        Schedule(faults=((1, "time-out before"), (4, "401")), session_lifetime=7, **AT_ONCE),
    ),
    # The seconds of a reboot that waits in the queue were counted from an answer "start: many".
    "seconds_are_counted_from_a_garbled_start": (
        World,
        Schedule(
            faults=((8, "wrong type"),),
            queue_delay=14,
            cut_delay=3,
            boot_delay=1,
            rest=0,
            reading="B",
        ),
    ),
    # One false answer swapped the ids of disk and rescue, for good.
    "the_netboots_offered_are_false_once": (
        World,
        Schedule(action="cycle", faults=((1, "wrong boot"),), **AT_ONCE),
    ),
    # A reboot of the operator, under way when ours is asked for, ends: that is not our end.
    "the_end_of_the_operators_reboot_passes_for_ours": (
        World,
        Schedule(
            faults=((0, "slow"),),
            events=((0, "reboot"),),
            cut_delay=15,
            boot_delay=0,
            rest=5,
            reading="A-previous",
            earlier_reboots=0,
        ),
    ),
    # OVH shows the end of the operator's reboot, over in the very second in which ours starts.
    "the_end_of_the_reboot_before_passes_for_ours": (
        World,
        Schedule(
            faults=((0, "slow"),),
            events=((17, "reboot"),),
            cut_delay=1,
            boot_delay=0,
            rest=0,
            reading="A-previous",
            earlier_reboots=0,
        ),
    ),
    # An empty answer to GET of a server has no members.
    "an_empty_answer_is_taken_for_an_object": (
        RestWorld,
        Schedule(faults=((1, "empty"),), off_mode="power", **AT_ONCE),
    ),
    # A netboot of a blank type was remembered: the server seemed to have none that fits.
    "a_blank_type_of_a_netboot_is_remembered": (
        RestWorld,
        Schedule(faults=((0, "refused"), (4, "blank")), off_mode="power", **AT_ONCE),
    ),
    # OVH forgot the task between its end and the end of the power.
    "the_task_is_forgotten_before_the_power_is_off": (
        RestWorld,
        Schedule(task_purged=20, off_mode="power", **AT_ONCE),
    ),
    # The server came back from its disk, and the agent waited for the end of its power.
    "the_netboot_is_changed_before_the_power_is_off": (
        RestWorld,
        Schedule(events=((1, "netboot disk"),), off_mode="power", **{**AT_ONCE, "boot_delay": 5}),
    ),
    # The first lookup of a netboot whose id OVH had just named.
    "a_netboot_that_is_offered_is_not_found": (
        RestWorld,
        Schedule(faults=((3, "404"),), **AT_ONCE),
    ),
}


@pytest.mark.parametrize("name", FOUND)
def test_does_not_happen_again(name: str) -> None:
    world_class, schedule = FOUND[name]
    world = Stage(world_class, schedule).run()
    assert violations(world) == [], "\n".join(world.log)
    assert (world.status, world.was_cut()) == (0, True), "\n".join(world.log)
