"""Every failure that the search of tests/safety/test_search.py found, as a schedule of its own.

Where the search's world has become another since, seconds and calls are such that the failure
shows in today's world, too. What attacked a word of OVH that is believed (docs/safety.md) is gone.
"""

from __future__ import annotations

import pytest

from tests.safety.property import violations
from tests.safety.schedule import FOR_EVER, Schedule
from tests.safety.scripted import Stage
from tests.safety.simulated_run import OAuth2World, RestWorld, World

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
    # An empty answer to GET of a server has no members.
    "an_empty_answer_is_taken_for_an_object": (
        RestWorld,
        Schedule(faults=((1, "empty"),), off_mode="power", **AT_ONCE),
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
    # 1.0.0 took a task for lost after a minute: 14 power cuts, and exit status 1.
    "a_task_is_unknown_for_minutes": (
        RestWorld,
        Schedule(rest=3, task_unseen=280),
    ),
    # 1.0.0 compared OVH's dates with those of its own netboot: 14 power cuts, and exit status 1.
    "a_stranger_reboots_first_and_dates_lag_by_hours": (
        RestWorld,
        Schedule(latency=1, rest=42, rebooted_before=1, date_offset=-7200),
    ),
    # 1.0.0 gave up when OVH did.
    "ovh_gives_a_reboot_up_once": (
        RestWorld,
        Schedule(outcome="customerError", outcome_count=1),
    ),
    # A gateway that answers before the task is made, for ever.
    "no_answer_to_a_request_for_a_reboot_comes_through": (
        OAuth2World,
        Schedule(posts_lost=FOR_EVER, post_fault="504 after", list_lag=20),
    ),
    "one_request_in_two_fails": (
        OAuth2World,
        Schedule(alternating="reset after"),
    ),
    # An empty answer about the server was a server with a script of its own: a needless power cut.
    # One about the tasks was not asked for again: no step ever got past it.
    "one_answer_in_two_is_empty": (
        RestWorld,
        Schedule(alternating="empty"),
    ),
    "one_answer_in_two_lacks_members": (
        RestWorld,
        Schedule(alternating="missing", rest=60),
    ),
    # A token that nothing had succeeded with was never renewed.
    "a_token_ends_before_its_first_use": (
        OAuth2World,
        Schedule(
            faults=((1, "reset before"), (2, "reset before"), (3, "reset before")),
            events=((2, "sessions end"),),
            poll=5,
        ),
    ),
    # The renewal of a token was refused, and asked for at each step.
    "the_renewal_of_a_token_is_refused": (
        OAuth2World,
        Schedule(outages=((55, 40, "404"),), rest=100, session_lifetime=60, poll=1),
    ),
    # One false time before the request made every old hard reboot look new: a false 0.
    "the_times_before_the_request_are_garbled": (
        World,
        Schedule(faults=((5, "wrong type"),), queue_delay=45, rest=0),
    ),
    # A look showed it, and was taken for a stale read, which SOAP does not have: a false 0.
    "somebody_chooses_the_disk_at_once_and_takes_it_back": (
        World,
        Schedule(events=((1, "netboot disk"), (24, "netboot rescue"))),
    ),
    # A time-out took all of a request's time, and three requests in a row had to succeed.
    "one_request_in_two_times_out": (
        RestWorld,
        Schedule(alternating="time-out before", power_timeout=1800),
    ),
    # The pause between two logins counted as if OVH went on refusing.
    "logins_are_refused_twice": (
        OAuth2World,
        Schedule(faults=((0, "401"), (1, "403")), latency=1, poll=1),
    ),
    "a_login_is_refused_for_45_seconds": (
        World,
        Schedule(outages=((0, 45, "401"),), poll=3),
    ),
    # Words about something unknown, in the answer to a login, led to a login at each step.
    "the_login_is_not_found": (
        OAuth2World,
        Schedule(outages=((0, 18, "404"),), poll=5),
    ),
    "the_login_is_not_found_by_soap": (
        World,
        Schedule(outages=((0, 17, "404"),), poll=5),
    ),
}


@pytest.mark.parametrize("name", FOUND)
def test_does_not_happen_again(name: str) -> None:
    world_class, schedule = FOUND[name]
    world = Stage(world_class, schedule).run()
    assert violations(world) == [], "\n".join(world.log)
    assert (world.status, world.was_cut()) == (0, True), "\n".join(world.log)
