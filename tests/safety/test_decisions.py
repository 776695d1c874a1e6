"""Each decision of the agent that keeps exit status 0 true, on a virtual clock.

docs/safety.md has the rules; tests/safety/mutants.py removes them one at a time.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import logging
import random
import re
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from tests.harness import OTHER_SERVER, PASSWORD, SERVER, agent_with_our_library
from tests.safety import race
from tests.safety.faults import BOMB
from tests.safety.property import false_success, violations
from tests.safety.scripted import (
    ANY,
    HARD_DISK,
    RESCUE,
    EndlessRun,
    OAuth2World,
    RestWorld,
    Schedule,
    Stage,
    World,
    agent,
    always,
    answering,
    between,
    nth,
    saying,
)
from tests.safety.simulated_run import PUBLIC_KEY
from tests.simulator import (
    INTERNAL_RESCUE,
    IPXE_SHELL,
    WINDOWS_RESCUE,
    WINPE,
    Netboot,
    Proceed,
    Response,
    Timing,
)

every = pytest.mark.parametrize("kind", [World, RestWorld, OAuth2World], ids=lambda kind: kind.api)
both = pytest.mark.parametrize("kind", [World, RestWorld], ids=lambda kind: kind.api)
"""For what has nothing to do with how the agent logs in."""
cutting = pytest.mark.parametrize("action", ["off", "cycle", "onoff"])

OFF = Schedule()
QUICK = Schedule(boot_delay=0, rest=0)
ON = Schedule(action="on")
STATUS = Schedule(action="status")
POWER = Schedule(off_mode="power")
NEVER = Timing(carried_out=False)

POST_TRIES = 3
"""How often one request for a hard reboot is sent, when all are lost."""


def changed(schedule: Schedule, **fields: Any) -> Schedule:
    """The schedule with other fields."""
    return dataclasses.replace(schedule, **fields)


def assert_cut(stage: Stage) -> None:
    """The run ended with 0, that is true, and no power cut was needless."""
    assert stage.world.status == 0, "\n".join(stage.world.log)
    found = violations(stage.world)
    # That counts also where the test itself made the faults.
    assert [each for each in found if "requests in a minute" not in each] == []


def progress(kind: type[World]) -> str:
    """The step that tells how far a hard reboot is."""
    return "status" if kind is World else "task"


def listing(kind: type[World]) -> str:
    """The step that tells which hard reboots there are."""
    return "status" if kind is World else "tasks"


def step_before(stage: Stage, step: str, number: int = 0) -> str:
    """What was asked for just before that step's call of that number."""
    names = [name for _, name in stage.steps]
    places = [place for place, name in enumerate(names) if name == step]
    return names[places[number] - 1]


def without_the_first(proceed: Proceed) -> Response:
    """A list of numbers that lacks the lowest."""
    response = proceed()
    numbers = sorted(json.loads(response.body))[1:]
    return Response(response.status, response.headers, json.dumps(numbers).encode())


class TestNetboot:
    @every
    def test_is_read_back_before_the_reboot_is_asked_for(self, kind: type[World]) -> None:
        """A change without effect looks like a stale read for 30 s; then it is made again."""
        stage = Stage(kind, OFF)
        stage.at("set", nth(0), stage.ignored)
        stage.run()
        assert_cut(stage)
        assert stage.booted() == ["rescue"]
        assert (stage.count("set"), stage.count("reboot")) == (2, 1)
        assert stage.times("set")[1] >= (0 if kind is World else 30)  # SOAP shows no old ones

    @pytest.mark.parametrize("kind", [RestWorld, OAuth2World], ids=lambda kind: kind.api)
    def test_that_differs_just_after_it_was_set_is_a_stale_read(self, kind: type[World]) -> None:
        stage = Stage(kind, OFF)
        stage.at("read", between(0, 29), stage.saying_netboot(HARD_DISK))
        stage.run()
        assert_cut(stage)
        assert (stage.count("set"), stage.count("reboot")) == (1, 1)
        assert stage.times("reboot")[0] >= 29

    def test_that_differs_counts_from_the_answer_to_its_change(self) -> None:
        stage = Stage(RestWorld, OFF)
        stage.at("set", nth(0), stage.taking(15))
        stage.at("read", between(0, 15 + 29), stage.saying_netboot(HARD_DISK))
        stage.run()
        assert_cut(stage)
        assert stage.count("set") == 1

    def test_that_differs_counts_from_when_the_look_was_sent(self) -> None:
        """An answer that takes its time may be old."""
        stage = Stage(RestWorld, OFF)
        stage.at("read", nth(5), stage.taking(15, stage.saying_netboot(HARD_DISK)))
        stage.at("read", between(0, 29), stage.saying_netboot(HARD_DISK))
        stage.run()
        assert_cut(stage)
        assert stage.count("set") == 1

    @pytest.mark.parametrize("lag", [15, 28])
    def test_of_a_stale_replica_is_no_change(self, lag: int) -> None:
        stage = Stage(RestWorld, changed(OFF, read_lag=lag, stale_reads="alternating"))
        stage.run()
        assert_cut(stage)
        assert (stage.count("set"), stage.count("reboot")) == (1, 1)

    @every
    def test_that_changes_at_once_is_noticed_after_that_time(self, kind: type[World]) -> None:
        stage = Stage(kind, changed(OFF, cut_delay=60, events=((3, "netboot disk"),)))
        stage.run()
        assert_cut(stage)
        assert stage.booted()[-1] == "rescue"
        assert len(stage.reboots()) == 2

    def test_that_changes_while_waiting_is_set_before_the_server_boots(self) -> None:
        stage = Stage(RestWorld, changed(OFF, cut_delay=100, events=((40, "netboot disk"),)))
        stage.run()
        assert_cut(stage)
        assert stage.booted() == ["rescue", "rescue"]
        assert stage.times("set")[1] < 40 + 15 + 6
        assert stage.said("somebody has set netboot 1 ")

    @every
    def test_that_changes_and_is_changed_back_is_noticed(self, kind: type[World]) -> None:
        """The server has booted its disk by then."""
        changes = ((47, "netboot disk"), (75, "netboot rescue"))
        stage = Stage(kind, changed(OFF, cut_delay=45, rest=100, events=changes))
        stage.run()
        assert_cut(stage)
        assert stage.booted() == ["harddisk", "rescue"]

    @every
    def test_is_read_again_after_the_reboot(self, kind: type[World]) -> None:
        stage = Stage(kind, changed(QUICK, cut_delay=5, events=((3, "netboot disk"),)))
        stage.run()
        assert_cut(stage)
        assert stage.booted() == ["harddisk", "rescue"]

    @every
    def test_that_changes_twice_is_somebody_elses(self, kind: type[World]) -> None:
        """Two that want different things must come to an end."""
        stage = Stage(kind, changed(OFF, cut_delay=100))
        stage.at("read", between(40, 9e9), stage.saying_netboot(HARD_DISK))
        assert stage.run().status == 1
        assert stage.said("somebody has set netboot 1")
        assert len(stage.reboots()) <= 2
        assert stage.duration() < 300

    @every
    @pytest.mark.parametrize("body", [b"", b"null", b"{}", b"[]"])
    def test_an_empty_answer_is_no_change(self, kind: type[World], body: bytes) -> None:
        stage = Stage(kind, changed(OFF, rest=100))
        stage.at("read", between(40, 50), lambda proceed: Response(200, {}, body))
        stage.run()
        assert_cut(stage)
        assert len(stage.reboots()) == 1

    @every
    def test_is_not_proven_by_an_outage(self, kind: type[World]) -> None:
        """The hard reboot is over, and nobody knows what the server is set to."""
        stage = Stage(kind, OFF, power_timeout="100")
        stage.at("read", lambda number, elapsed: number > 0, stage.bad_gateway)
        assert stage.run().status == 1

    @every
    @pytest.mark.parametrize("type_", ["rescue", "network"])
    def test_one_that_makes_no_sense_hides_no_other(self, kind: type[World], type_: str) -> None:
        stage = Stage(kind, OFF)
        stage.server.netboots = (Netboot(999_001, "", type_), *stage.server.netboots)
        stage.run()
        assert_cut(stage)
        assert stage.booted() == ["rescue"]

    @both
    def test_that_makes_no_sense_may_pass(self, kind: type[World]) -> None:
        """A server without a rescue system is refused after a minute; this is not one."""
        stage = Stage(kind, OFF, shell_timeout="20")
        step = "netboot" if kind is RestWorld else "offered"
        blank = saying("rescue[\\w-]*", "") if kind is World else saying('"kernel"', '"other"')
        stage.at(step, between(0, 200), blank)
        stage.run()
        assert_cut(stage)
        assert stage.booted() == ["rescue"]

    def test_that_is_described_as_another_is_not_used(self) -> None:
        """The description of the disk, say, in answer to the question for the rescue system."""
        stage = Stage(RestWorld, OFF)
        stage.at("netboot", between(0, 30), saying('"bootId": *\\d+', '"bootId":4711'))
        stage.run()
        assert_cut(stage)
        assert stage.times("set")[0] >= 30

    def test_that_does_not_exist_is_listed_once_only(self) -> None:
        stage = Stage(RestWorld, OFF)
        stage.at("offered", nth(0), answering(200, [999_001]))
        stage.run()
        assert_cut(stage)
        assert stage.booted() == ["rescue"]

    @pytest.mark.parametrize("status", [404, 500])
    def test_that_ovh_cannot_describe_hides_no_other(self, status: int) -> None:
        stage = Stage(RestWorld, OFF)
        odd = Netboot(999_001, "rescue-new", "rescue", description_status=status)
        stage.server.netboots = (odd, *stage.server.netboots)
        stage.run()
        assert_cut(stage)
        assert stage.booted() == ["rescue"]
        assert stage.duration() < 40

    def test_that_is_asked_for_needs_no_description(self) -> None:
        """By its number: the admin knows what it is."""
        stage = Stage(RestWorld, OFF, rescue_boot="999001")
        odd = Netboot(999_001, "rescue-new", "rescue", description_status=500)
        stage.server.netboots = (odd, *stage.server.netboots)
        stage.run()
        assert_cut(stage)
        (cut,) = [cut for cut in stage.centre.power_cuts if cut.at >= stage.world.begun]
        assert cut.netboot == odd

    @both
    def test_no_look_for_a_script_stops_a_fencing(self, kind: type[World]) -> None:
        """It is for a warning only."""
        stage = Stage(kind, Schedule(action="cycle"), stonith_status_sleep="15")
        stage.at("read", nth(*range(3)), stage.bad_gateway)
        stage.run()
        assert_cut(stage)
        assert stage.times("set")[0] < 5

    def test_that_is_refused_is_looked_up_anew(self) -> None:
        """OVH has a new rescue system since the lookup."""
        stage = Stage(RestWorld, OFF)
        stage.at("set", nth(0), stage.refused("Netboot id 230242 is not valid", status=404))
        stage.run()
        assert_cut(stage)
        assert stage.count("offered") == 2

    def test_is_set_though_ovh_does_not_like_the_email(self) -> None:
        stage = Stage(RestWorld, OFF, email="admin@example.com")
        stage.server.refuses_mail = True
        stage.run()
        assert_cut(stage)
        assert stage.said("rescueMail may be the reason")

    @every
    def test_is_never_a_network_kernel_unless_asked_for(self, kind: type[World]) -> None:
        """Those mount the disk."""
        stage = Stage(kind, OFF)
        stage.server.netboots += (Netboot(999_003, "bzImage-6.1", "network"),)
        stage.run()
        assert_cut(stage)
        assert stage.booted() == ["rescue"]

    @every
    def test_is_never_what_is_no_rescue_system_for_linux(self, kind: type[World]) -> None:
        """All of these have higher numbers."""
        stage = Stage(kind, OFF)
        shell = dataclasses.replace(IPXE_SHELL, id=250_100)
        bsd = Netboot(250_104, "rescue-bsd-pro", "rescue")
        old = Netboot(250_105, "rescue-pro", "rescue", state="inactive")
        stage.server.netboots += (shell, WINDOWS_RESCUE, WINPE, bsd, old)
        if kind is not World:  # REST does not offer what is not active
            stage.server.netboots = stage.server.netboots[:-1]
        stage.run()
        assert_cut(stage)
        (cut,) = [cut for cut in stage.centre.power_cuts if cut.at >= stage.world.begun]
        assert cut.netboot is not None
        assert cut.netboot.kernel == "rescue12-customer"

    @every
    def test_none_that_fits_is_believed_once_it_lasts(self, kind: type[World]) -> None:
        stage = Stage(kind, OFF)
        stage.server.netboots = stage.server.netboots[:1]
        assert stage.run().status == 1
        assert stage.said("no rescue among those offered")
        assert 60 <= stage.duration() < 70
        assert stage.reboots() == []

    @every
    def test_none_that_fits_for_a_while_is_not_believed(self, kind: type[World]) -> None:
        stage = Stage(kind, OFF)
        netboots = stage.server.netboots
        stage.server.netboots = netboots[:1]
        stage.world.clock.at(
            stage.world.begun + 45, lambda: setattr(stage.server, "netboots", netboots)
        )
        stage.run()
        assert_cut(stage)

    @both
    @pytest.mark.parametrize("wanted", ["hd", "1", "bzImage-4.19", "77"])
    def test_rescue_boot_is_never_what_runs_the_old_system(
        self, kind: type[World], wanted: str
    ) -> None:
        stage = Stage(kind, OFF, rescue_boot=wanted)
        kernel = Netboot(77, "bzImage-4.19", "network")
        stage.server.netboots = (*stage.server.netboots[:1], kernel)
        stage.run()
        assert stage.world.status == 1
        assert stage.count("set") == 0


class TestLost:
    """Nobody knows whether the hard reboot was accepted."""

    LOST = POST_TRIES

    def stage(self, kind: type[World] = RestWorld, **fields: Any) -> Stage:
        """A request has been lost, with all its tries, none of which arrived."""
        stage = Stage(kind, changed(OFF, **fields))
        stage.at("reboot", nth(*range(self.LOST)), stage.lost_before)
        return stage

    @every
    def test_waits_for_it_and_begins_again(self, kind: type[World]) -> None:
        """With the netboot; whether it was that request's hard reboot is not asked."""
        stage = Stage(kind, changed(OFF, rest=60))
        stage.at("reboot", nth(0), stage.lost_after)
        if kind is World:  # its second try is accepted, too, unless it is lost
            stage.at("reboot", nth(1, 2), stage.lost_before)
        stage.run()
        assert_cut(stage)
        assert stage.booted() == ["rescue", "rescue"]
        assert stage.count("set") == 2
        asked = stage.count("reboot") - 1
        assert stage.times("reboot")[asked] >= 67, "none is alive"
        assert step_before(stage, "reboot", asked) == ("status" if kind is World else "tasks")
        if kind is World:
            assert stage.times("set")[1] >= 67, "SOAP shows one hard reboot alone"

    def test_also_when_the_answer_makes_no_sense(self) -> None:
        """The hard reboot is under way, and its number is not known."""
        stage = Stage(RestWorld, changed(OFF, rest=60))
        garbled = saying('"hardReboot"', '"softReboot"')
        stage.at("reboot", nth(0), garbled)
        world = stage.run()
        assert world.status == 0
        assert false_success(world) == []
        assert stage.times("reboot")[-1] >= 67
        assert stage.booted() == ["rescue", "rescue"]

    def test_waits_for_one_that_never_ends_for_five_minutes(self) -> None:
        stage = Stage(World, OFF)
        stage.server.timing = Timing(carried_out=False, queue_reported=True)

        def never(proceed: Any) -> Response:
            proceed()
            stage.server.timing = None
            raise agent.NoAnswer("lost after")

        stage.at("reboot", nth(0), never)
        stage.at("reboot", nth(1, 2), stage.lost_before)
        stage.run()
        assert stage.booted() == ["rescue"]
        assert 300 <= stage.times("reboot")[POST_TRIES] < 330

    @every
    def test_before_it_came_is_one_hard_reboot(self, kind: type[World]) -> None:
        stage = self.stage(kind)
        stage.run()
        assert_cut(stage)
        assert stage.booted() == ["rescue"]

    @every
    def test_no_twin_may_be_alive_at_the_end(self, kind: type[World]) -> None:
        """It would cut a node that serves again."""
        stage = Stage(kind, changed(OFF, refuses_second_reboot=False))
        stage.at("reboot", nth(0), self.late_and_lost(stage))
        stage.run()
        assert_cut(stage)
        assert len(stage.booted()) == 2
        if kind is not World:  # SOAP shows one hard reboot alone, and none that is queued
            assert stage.duration() > 100 + 20

    def test_a_twin_is_looked_for_now_and_then(self) -> None:
        """Not at each step: one look is three requests."""
        late = changed(OFF, refuses_second_reboot=False)
        stage = Stage(RestWorld, late, stonith_status_sleep="1")
        stage.at("reboot", nth(0), self.late_and_lost(stage))
        stage.run()
        assert_cut(stage)
        assert stage.duration() > 100 + 20
        assert 3 < stage.count("tasks") <= 3 * 9

    @staticmethod
    def late_and_lost(stage: Stage) -> Any:
        """It begins after 100 s, and nobody knows that."""

        def answer(proceed: Any) -> Response:
            stage.server.timing = Timing(queue_delay=100, cut_delay=2, reboot_duration=20)
            proceed()
            stage.server.timing = None
            raise agent.NoAnswer("lost after")

        return answer

    def test_one_of_ours_that_soap_does_not_show_yet_is_waited_for(self) -> None:
        """Two were accepted before somebody changed the netboot, and the second ends like ours."""
        schedule = Schedule(
            events=((2, "netboot disk"),),
            posts_lost=1,
            post_fault="time-out after",
            cut_delay=26,
            rest=28,
            reading="A-previous",
        )
        world = Stage(World, schedule).run()
        assert world.status == 0
        assert false_success(world) == []

    def test_no_twin_may_be_alive_that_is_listed_late(self) -> None:
        late = changed(OFF, refuses_second_reboot=False, list_lag=58, boot_delay=0, rest=80)
        stage = Stage(RestWorld, late)
        stage.at("reboot", nth(0), stage.lost_after)
        stage.at("task", always, saying('"status": *"[a-z]+"', '"status": "done"'))
        world = stage.run()
        assert world.status == 0
        assert stage.duration() >= 82 + 58, "the list shows it for so long"

    def test_ours_is_no_twin(self) -> None:
        """Though the list shows it alive, because it lags."""
        stage = Stage(RestWorld, changed(OFF, rest=80, list_lag=50))
        stage.at("reboot", nth(0), stage.lost_before)
        stage.run()
        assert_cut(stage)
        assert 87 < stage.duration() < 110

    def test_no_twin_may_come_late(self) -> None:
        """OVH carries out a request that was given up, and lists it a minute later."""
        late = changed(OFF, posts_lost=1, post_fault="late", list_lag=60, queue_delay=60)
        stage = Stage(RestWorld, changed(late, boot_delay=0, refuses_second_reboot=False))
        stage.run()
        assert_cut(stage)
        assert len(stage.booted()) == 2

    @every
    def test_a_refusal_is_no_loss(self, kind: type[World]) -> None:
        """OVH said no: nothing was accepted, whatever is under way is not ours."""
        stage = Stage(kind, OFF)
        stage.at("reboot", between(0, 20), stage.denied)
        stage.run()
        assert_cut(stage)
        assert stage.booted() == ["rescue"]
        assert stage.duration() < 60

    # The older ones are noted; one that is not among them is ours

    @every
    def test_waits_a_minute_with_the_netboot_set(self, kind: type[World]) -> None:
        stage = self.stage(kind)
        stage.run()
        assert_cut(stage)
        asked = stage.times("reboot")
        assert stage.count("set") == 2
        last_set = stage.times("set")[1]
        assert asked[self.LOST - 1] < last_set, "set once more, and then"
        lag = 0 if kind is World else 60  # SOAP shows no old times
        assert last_set + lag <= asked[self.LOST] < last_set + lag + 17

    def test_reads_the_netboot_before_the_list_and_after(self) -> None:
        stage = self.stage()
        stage.run()
        assert_cut(stage)
        asked = stage.times("reboot")
        minute = [name for at, name in stage.steps if asked[-2] < at <= asked[-1]]
        assert minute[minute.index("set") :][:3] == ["set", "read", "read"]
        assert minute[-5:] == ["read", "tasks", "read", "tasks", "reboot"]

    def test_a_task_of_another_kind_disturbs_no_minute(self) -> None:
        stage = self.stage(stuck="addVirtualMac")
        stage.run()
        assert_cut(stage)
        assert stage.duration() < 120

    def test_a_netboot_that_changes_in_the_minute_begins_again(self) -> None:
        stage = self.stage(events=((50, "netboot disk"),))
        stage.run()
        assert_cut(stage)
        assert stage.booted() == ["rescue"]
        assert stage.count("set") == 3
        assert stage.times("set")[2] < 50 + agent.WAIT_EVERY + 1
        assert stage.times("reboot")[self.LOST] >= stage.times("set")[2] + 60

    @pytest.mark.parametrize("kind", [RestWorld, OAuth2World], ids=lambda kind: kind.api)
    def test_one_that_is_listed_is_ours(self, kind: type[World]) -> None:
        """A gateway can lose every answer, for hours."""
        stage = Stage(kind, changed(OFF, list_lag=20, rest=40))
        stage.at("reboot", always, stage.lost_after)
        stage.run()
        assert_cut(stage)
        assert stage.booted() == ["rescue"] * 2, "the first may be an older one"

    @pytest.mark.parametrize("rest", [10, 40])
    def test_one_that_is_listed_is_ours_also_when_it_is_over(self, rest: int) -> None:
        """Each answer is lost at shell_timeout, when the reboot is over; else it is cut for ever."""
        stage = Stage(RestWorld, changed(OFF, boot_delay=0, rest=rest))

        def lost(proceed: Proceed) -> Response:
            proceed()
            stage.world.clock.sleep(30)
            raise agent.NoAnswer("no answer within 30 s")

        stage.at("reboot", always, lost)
        stage.run()
        assert_cut(stage)
        assert stage.count("reboot") <= 4, "two of them before the older ones were noted"

    def test_one_of_old_that_is_listed_again_is_not_ours(self) -> None:
        """A replica may still list what OVH has purged."""
        stage = self.stage(rebooted_before=1, rest=5)
        stage.at("tasks", between(0, 110), without_the_first)
        stage.at("reboot", nth(*range(2 * self.LOST)), stage.lost_before)
        stage.run()
        assert_cut(stage)
        assert stage.booted()[-1] == "rescue"
        assert len(stage.world.own_reboots()) == 1

    def test_one_that_is_not_listed_yet_is_waited_for(self) -> None:
        """Where OVH refuses no second one, asking again would be a second power cut."""
        stage = self.stage(list_lag=40, rest=100, refuses_second_reboot=False)
        stage.at("reboot", nth(self.LOST), stage.lost_after)
        stage.at("reboot", nth(self.LOST + 1, self.LOST + 2), stage.lost_before)
        stage.run()
        assert_cut(stage)
        assert stage.booted() == ["rescue"]

    def test_after_a_change_the_older_ones_are_others(self) -> None:
        """The operator's hard reboot came after our netboot, and before that is set again."""
        changes = ((76, "netboot disk"), (77, "reboot"))
        stage = self.stage(cut_delay=0, boot_delay=0, rest=60, events=changes)
        stage.at("reboot", nth(*range(self.LOST, 2 * self.LOST)), stage.lost_before)
        stage.run()
        assert_cut(stage)
        assert stage.booted() == ["harddisk", "rescue"]

    def test_one_that_soap_shows_is_ours(self) -> None:
        stage = Stage(World, changed(OFF, rest=40))
        stage.at("reboot", always, stage.lost_after)
        stage.run()
        assert stage.world.status == 0
        assert false_success(stage.world) == []

    def test_another_one_has_its_own_time_with_soap(self) -> None:
        """After a change the one that is waited for is not the one of before."""
        changes = ((300, "netboot disk"),)
        stage = Stage(World, changed(OFF, rest=280, rebooted_before=1, events=changes))
        stage.run()
        assert_cut(stage)
        assert stage.times("set")[0] >= 270
        assert stage.times("set")[1] >= 550

    def test_a_strangers_is_not_ours(self) -> None:
        """It may be an older one, which booted the disk."""
        stage = Stage(RestWorld, changed(OFF, cut_delay=0, boot_delay=0, rest=60))
        stage.at("reboot", nth(0), self.after_a_strangers(stage))
        stage.centre.set_netboot(SERVER, HARD_DISK, by="operator")
        stage.run()
        assert_cut(stage)
        assert len(stage.booted()) == 2

    def after_a_strangers(self, stage: Stage) -> Any:
        """A stranger's hard reboot is under way, and our request was lost."""

        def answer(proceed: Any) -> Response:
            stage.centre.hard_reboot(SERVER, by="operator")
            raise agent.NoAnswer("lost before")

        return answer

    def test_a_reinstallation_is_never_ours(self) -> None:
        stage = self.stage()

        def reinstall(proceed: Any) -> Response:
            stage.world.front_end.tasks.reinstall(SERVER, by="operator", seconds=100)
            return proceed()

        stage.at("reboot", nth(self.LOST), reinstall)
        stage.run()
        assert_cut(stage)
        assert stage.booted() == ["rescue"]
        assert stage.count("reboot") > self.LOST + 2

    def test_one_that_was_known_before_is_never_ours(self) -> None:
        stage = Stage(RestWorld, changed(OFF, earlier_reboots=0, rest=30))
        stage.at("reboot", nth(0), stage.lost_after)
        second: list[float] = []

        def lost(proceed: Any) -> Response:
            second.append(stage.elapsed())
            raise agent.NoAnswer("lost before")

        stage.at("reboot", lambda number, elapsed: elapsed > 60 and len(second) < POST_TRIES, lost)

        def old(proceed: Any) -> Response:
            (number,) = stage.world.front_end.tasks.of_server(SERVER)
            return answering(200, [number])(proceed)

        stage.at(
            "tasks",
            lambda number, elapsed: len(second) == POST_TRIES and elapsed < second[-1] + 50,
            old,
        )
        stage.run()
        assert_cut(stage)
        assert len(stage.booted()) == 2

    def test_one_that_is_not_listed_for_a_minute_is_asked_for_again(self) -> None:
        stage = self.stage()
        stage.at("reboot", nth(*range(self.LOST, 2 * POST_TRIES)), stage.lost_before)
        stage.run()
        assert_cut(stage)
        asked = stage.times("reboot")
        assert 60 <= asked[2 * POST_TRIES] - asked[2 * POST_TRIES - 1] < 60 + 17
        assert stage.count("set") == 2, "those that are older stay older"


class TestBusy:
    """REST: another task is in the way of our hard reboot."""

    @pytest.mark.parametrize("status", [400, 409])
    def test_is_asked_again_until_it_is_over(self, status: int) -> None:
        """The operator's, which booted the disk."""
        stage = Stage(RestWorld, changed(OFF, rest=60, rebooted_before=1))
        front_end = stage.world.front_end
        front_end.settings = dataclasses.replace(front_end.settings, task_conflict_status=status)
        stage.run()
        assert_cut(stage)
        asked = stage.times("reboot")
        assert asked[-1] >= 60
        assert 6 <= len(asked) <= 8
        assert stage.count("set") == 1
        assert {step_before(stage, "reboot", each) for each in range(len(asked))} == {"read"}
        assert stage.said("already running")

    def test_is_told_by_the_status_alone(self) -> None:
        """It is no refusal: no new login is needed."""
        stage = Stage(RestWorld, OFF)
        stage.at("reboot", nth(0), answering(409, {"message": "Task 1 is already running"}))
        stage.run()
        assert_cut(stage)
        assert stage.count("time") == 1

    def test_is_not_taken_for_ours(self) -> None:
        stage = Stage(RestWorld, changed(OFF, rest=60, rebooted_before=1))
        stage.run()
        assert_cut(stage)
        (own,) = stage.world.own_reboots()
        assert own.reboot is stage.server.hard_reboots[-1]

    def test_waits_for_tasks_of_every_kind(self) -> None:
        stage = Stage(RestWorld, OFF)
        stage.world.front_end.tasks.reinstall(SERVER, by="operator", seconds=200)
        stage.run()
        assert_cut(stage)
        assert stage.times("reboot")[-1] >= 200

    def test_one_that_is_stuck_is_in_nobodys_way(self) -> None:
        stage = Stage(RestWorld, changed(OFF, stuck="addVirtualMac"))
        stage.run()
        assert_cut(stage)
        assert stage.duration() < 30

    def test_a_netboot_that_changes_meanwhile_is_set_again(self) -> None:
        changes = ((50, "netboot disk"),)
        stage = Stage(RestWorld, changed(OFF, rest=90, rebooted_before=1, events=changes))
        stage.run()
        assert_cut(stage)
        assert stage.count("set") == 2

    def test_of_the_netboot_is_asked_again(self) -> None:
        stage = Stage(RestWorld, OFF)
        kind = "Client::BadRequest::TaskAlreadyExists"
        stage.at("set", between(0, 90), stage.refused("Task 1 is running", kind, 400))
        stage.run()
        assert_cut(stage)


class TestTask:
    """REST: our hard reboot, by the number that OVH gave us in the answer to our request."""

    def test_done_seen_once_is_enough(self) -> None:
        stage = Stage(RestWorld, changed(OFF, task_purged=20))
        answers = []

        def keep(proceed: Any) -> Response:
            answers.append(proceed())
            return answers[-1]

        stage.at("task", always, keep)
        stage.run()
        assert_cut(stage)
        assert [b'"done"' in each.body for each in answers].count(True) == 1

    @pytest.mark.parametrize("status", [404, 500])
    def test_that_is_unknown_proves_nothing(self, status: int) -> None:
        stage = Stage(RestWorld, changed(OFF, task_unseen=280, task_unseen_status=status))
        stage.run()
        assert_cut(stage)
        assert stage.duration() >= 280
        assert len(stage.reboots()) == 1

    @pytest.mark.parametrize("status", [404, 500])
    def test_that_stays_unknown_for_five_minutes_is_asked_for_again(self, status: int) -> None:
        stage = Stage(RestWorld, OFF)
        stage.at("task", between(0, 320), stage.refused("no such task", "Server::Error", status))
        stage.run()
        assert_cut(stage)
        assert stage.said("OVH does not know the hard reboot; asking for another one")
        first, second = stage.times("reboot")
        assert 300 <= second - first < 320
        assert stage.count("set") == 2, "the netboot comes first"

    def test_that_is_known_now_and_then_is_waited_for(self) -> None:
        stage = Stage(RestWorld, changed(OFF, cut_delay=30, rest=500))
        gone = stage.refused("no such task", "Client::NotFound", 404)
        stage.at("task", between(0, 290), gone)
        stage.at("task", between(300, 520), gone)
        stage.run()
        assert_cut(stage)
        assert len(stage.reboots()) == 1

    @pytest.mark.parametrize("outcome", ["cancelled", "customerError", "ovhError"])
    @pytest.mark.parametrize("cut_delay", [0, 5])
    def test_that_ovh_gives_up_is_asked_for_again(self, outcome: str, cut_delay: int) -> None:
        given_up = changed(OFF, outcome=outcome, outcome_count=1, cut_delay=cut_delay)
        stage = Stage(RestWorld, given_up)
        stage.run()
        assert_cut(stage)
        assert stage.booted() == ["rescue"]
        assert stage.said(outcome)
        assert stage.count("set") == 2
        assert stage.duration() < 120

    @pytest.mark.parametrize("cut_delay", [0, 5])
    def test_that_ovh_always_gives_up_comes_to_an_end(self, cut_delay: int) -> None:
        stage = Stage(
            RestWorld, changed(OFF, outcome="ovhError", cut_delay=cut_delay), power_timeout="200"
        )
        assert stage.run().status == 1
        assert stage.duration() < 210
        assert len(stage.reboots()) <= 5, "each pause is longer than the one before"

    def test_that_ovh_always_gives_up_after_the_cut_is_asked_for_a_few_times(self) -> None:
        stage = Stage(RestWorld, changed(OFF, outcome="ovhError", cut_delay=0))
        stage.run()
        assert 4 <= len(stage.reboots()) <= 11

    def test_that_ovh_gives_up_for_long_is_asked_for_soon_after(self) -> None:
        """The pauses do not grow into what a good one needs."""
        stage = Stage(RestWorld, changed(OFF, outcome="ovhError", outcome_count=7))
        stage.run()
        assert_cut(stage)
        assert len(stage.reboots()) == 8

    @pytest.mark.parametrize("status", ["", "finished", "DONE"])
    def test_of_an_unknown_status_is_not_over(self, status: str) -> None:
        """Nor does it mean that the task is lost."""
        stage = Stage(RestWorld, OFF)
        stage.at("task", between(0, 150), saying('"status": *"[a-z]+"', f'"status": "{status}"'))
        stage.run()
        assert_cut(stage)
        assert stage.duration() >= 150
        assert len(stage.reboots()) == 1

    @pytest.mark.parametrize(
        ("old", "new"),
        [('"taskId": *\\d+', '"taskId": 4711'), ('"hardReboot"', '"softReboot"')],
    )
    def test_of_another_number_or_kind_is_not_ours(self, old: str, new: str) -> None:
        """A garbled answer."""
        stage = Stage(RestWorld, changed(OFF, never=9), power_timeout="300")
        done = saying('"status": *"[a-z]+"', '"status": "done"')
        garbled = saying(old, new)
        stage.at("task", always, lambda proceed: garbled(lambda: done(proceed)))
        assert stage.run().status == 1

    def test_of_another_kind_is_no_answer_to_our_request(self) -> None:
        stage = Stage(RestWorld, OFF)
        other = {"taskId": 999, "function": "reinstallServer", "status": "done"}
        stage.at("reboot", nth(0), answering(200, other))
        stage.at("task", nth(0, 1), answering(200, other))
        stage.run()
        assert_cut(stage)
        assert stage.duration() < 100, "it is not taken for one that OVH does not know"

    @pytest.mark.parametrize("form", ["null", "no zone"])
    def test_has_no_date_that_matters(self, form: str) -> None:
        stage = Stage(RestWorld, changed(OFF, date_form=form, date_offset=-7200))
        stage.run()
        assert_cut(stage)
        assert len(stage.reboots()) == 1

    def test_of_the_power_entry_is_over_before_the_power_is_off(self) -> None:
        stage = Stage(RestWorld, POWER)
        stage.run()
        assert_cut(stage)
        assert stage.world.running_at_end is None
        assert stage.duration() >= 2 + 5 + 20

    def test_without_a_power_state_is_not_off(self) -> None:
        stage = Stage(RestWorld, POWER)
        stage.at("read", between(10, 100), saying('"powerState"', '"other"'))
        stage.run()
        assert_cut(stage)
        assert stage.duration() >= 100

    def test_a_netboot_that_changes_before_the_power_is_off_begins_again(self) -> None:
        changes = ((40, "netboot disk"),)
        stage = Stage(RestWorld, changed(POWER, boot_delay=60, early_end=True, events=changes))
        stage.run()
        assert_cut(stage)
        assert stage.booted()[-1] == "power"


class TestSoapTimes:
    """SOAP: a hard reboot has a start and an end, which nobody has explained."""

    @pytest.mark.parametrize("reading", ["A-empty", "A-previous", "B"])
    def test_the_end_is_not_before_the_cut_in_any_reading(self, reading: str) -> None:
        stage = Stage(World, changed(OFF, reading=reading, queue_delay=7, cut_delay=20))
        stage.run()
        assert_cut(stage)

    @pytest.mark.parametrize("reading", ["A-empty", "A-previous", "B"])
    def test_the_end_is_that_of_a_new_start(self, reading: str) -> None:
        stage = Stage(World, changed(OFF, reading=reading, queue_delay=100))
        stage.run()
        assert_cut(stage)
        assert len(stage.reboots()) == 1

    @pytest.mark.parametrize(
        ("old", "new"), [("20\\d\\d-", "many-"), (r"\b(start|end)\b", "other")]
    )
    def test_a_garbled_one_before_is_asked_for_again(self, old: str, new: str) -> None:
        """Else the times from before the request look like those of a new hard reboot."""
        stage = Stage(World, changed(OFF, queue_delay=45, cut_delay=3, boot_delay=1, rest=0))
        stage.at("status", nth(1), saying(old, new))
        stage.run()
        assert_cut(stage)
        assert stage.duration() >= 45

    @pytest.mark.parametrize("hours", [-10, 12])
    def test_they_do_not_depend_on_the_zone(self, hours: int) -> None:
        stage = Stage(World, changed(OFF, zone=hours, reading="B", cut_delay=20))
        stage.run()
        assert_cut(stage)
        assert len(stage.reboots()) == 1

    @pytest.mark.parametrize(
        "text", ["2026-01-02", "2026-01-02T03:04:05+00:00", "2026-01-02 03:04", "20260102T030405"]
    )
    def test_a_time_has_one_form_alone(self, text: str) -> None:
        assert agent.parse_time(text) is None

    def test_the_same_second_is_not_waited_for_for_ever(self) -> None:
        """Somebody's hard reboot was over in the second in which ours began."""
        at_once = changed(OFF, cut_delay=0, boot_delay=0, rest=0)
        stage = Stage(World, at_once)
        front_end = stage.world.front_end
        front_end.settings = dataclasses.replace(front_end.settings, unique_starts=False)

        def after_one(proceed: Any) -> Response:
            stage.centre.hard_reboot(SERVER, by="operator")
            return proceed()

        stage.at("status", nth(1), after_one)
        world = stage.run()
        assert (world.status, world.was_cut()) == (0, True)
        assert stage.count("reboot") == 2
        assert 330 <= stage.duration() < 360, "and nothing more came"

    def test_one_under_way_is_waited_for(self) -> None:
        """It could lend ours its end."""
        stage = Stage(World, changed(OFF, rest=60, rebooted_before=1))
        stage.run()
        assert_cut(stage)
        assert (stage.count("set"), stage.count("reboot")) == (1, 1)
        assert stage.times("set")[0] >= 66

    def test_one_that_never_ends_does_not_keep_the_server_from_being_cut(self) -> None:
        stage = Stage(World, OFF)
        stage.server.timing = Timing(carried_out=False, queue_reported=True)
        stage.centre.hard_reboot(SERVER, by="operator")
        stage.server.timing = None
        world = stage.run()
        assert (world.status, world.was_cut()) == (0, True)
        assert 300 <= stage.times("reboot")[0] < 315

    def test_which_are_under_way(self) -> None:
        for times, is_over in (
            (("", ""), True),
            (("2026-01-02 03:04:05", "2026-01-02 03:05:05"), True),
            (("2026-01-02 03:04:05", ""), False),
            (("2026-01-02 03:04:05", "2026-01-01 03:05:05"), False),
            (("2026-01-02 03:04:05", "many"), False),
            (("many", "2026-01-01 03:05:05"), False),
        ):
            assert agent.is_reboot_over(*times) is is_over

    def test_end_less_start_have_to_pass_since_the_start_was_shown(self) -> None:
        start, end = "2026-01-02 03:01:00", "2026-01-02 03:02:00"
        reboot = self.reboot(("2026-01-02 03:00:00", ""), [(start, end)] * 4, [100, 130, 159, 160])
        assert [reboot.state() for _ in range(4)] == ["alive"] * 3 + ["over"]

    def test_the_end_of_the_one_before_is_not_ours(self) -> None:
        start, end = "2026-01-02 03:00:00", "2026-01-02 03:01:00"
        told = [(start, end), ("2026-01-02 03:01:00", end), ("2026-01-02 03:01:00", "")]
        reboot = self.reboot((start, end), told, [0, 600, 1200])
        assert [reboot.state() for _ in range(3)] == ["unknown", "alive", "alive"]

    def test_a_blank_start_is_unknown(self) -> None:
        reboot = self.reboot(("2026-01-02 03:00:00", ""), [("", "")], [0])
        assert reboot.state() == "unknown"

    def reboot(self, before: Any, told: list[tuple[str, str]], seconds: list[float]) -> Any:
        """A hard reboot of which OVH tells these times, at these seconds."""
        times, clock = iter(told), iter(seconds)
        api = SimpleNamespace(
            clock=SimpleNamespace(monotonic=lambda: next(clock)), times=lambda server: next(times)
        )
        return agent.SoapReboot(api, SERVER, before)

    @pytest.mark.parametrize(
        ("words", "kind"),
        [
            ("your session is over", "Denied"),
            ("invalid login or password", "Denied"),
            ("please log in", "Denied"),
            ("you have no dedicated server ns1.ovh.net", "NotFound"),
            ("internal error", "Fault"),
            ("not allowed now", "Fault"),
            ("", "Fault"),
        ],
    )
    def test_words_about_login_session_and_server_alone_are_a_no(
        self, words: str, kind: str
    ) -> None:
        assert type(agent.soap_fault("call", words)).__name__ == kind


class TestStatus:
    @every
    def test_off_is_two(self, kind: type[World]) -> None:
        stage = Stage(kind, STATUS)
        stage.centre.set_netboot(SERVER, RESCUE, by="operator")
        world = stage.run()
        assert (world.status, world.output) == (2, "Status: OFF\n")

    @every
    def test_rescue_under_way_is_on(self, kind: type[World]) -> None:
        stage = Stage(kind, changed(STATUS, netboot_by_hand=True, rebooted_before=10, cut_delay=30))
        assert stage.run().status == 0

    @every
    def test_the_disk_is_on(self, kind: type[World]) -> None:
        assert Stage(kind, STATUS).run().status == 0

    def test_what_nobody_knows_is_no_rescue_boot(self) -> None:
        stage = Stage(RestWorld, STATUS, rescue_boot="0")
        stage.server.boot_script = "#!ipxe"
        assert stage.run().status == 0
        stage = Stage(RestWorld, STATUS, rescue_boot="1")
        stage.at("netboot", always, stage.refused("gone", "Client::NotFound", 404))
        assert stage.run().status == 0

    @every
    def test_the_disk_is_no_rescue_boot(self, kind: type[World]) -> None:
        assert Stage(kind, STATUS, rescue_boot="hd").run().status == 0

    @every
    def test_a_rescue_boot_of_another_name_is_off(self, kind: type[World]) -> None:
        stage = Stage(kind, STATUS, rescue_boot="tools")
        tools = Netboot(77, "tools", "network")
        stage.server.netboots += (tools,)
        stage.server.netboot = tools
        assert stage.run().status == 2

    @every
    def test_the_usual_rescue_system_is_off_beside_a_rescue_boot(self, kind: type[World]) -> None:
        stage = Stage(kind, STATUS, rescue_boot="tools")
        stage.centre.set_netboot(SERVER, RESCUE, by="operator")
        assert stage.run().status == 2

    def test_a_rescue_system_of_another_type_is_off(self) -> None:
        stage = Stage(RestWorld, STATUS)
        stage.server.netboots += (INTERNAL_RESCUE,)
        stage.server.netboot = INTERNAL_RESCUE
        assert stage.run().status == 2

    def test_switched_off_is_off(self) -> None:
        stage = Stage(RestWorld, STATUS)
        stage.server.on, stage.server.running = False, None
        assert stage.run().status == 2

    def test_a_missing_power_state_is_not_off(self) -> None:
        stage = Stage(RestWorld, STATUS)
        stage.at("read", always, saying('"powerState"', '"other"'))
        assert stage.run().status == 0

    def test_a_script_is_on(self) -> None:
        stage = Stage(RestWorld, STATUS)
        stage.server.boot_script = "#!ipxe"
        assert stage.run().status == 0

    def test_a_netboot_that_is_no_longer_offered_is_on(self) -> None:
        stage = Stage(RestWorld, STATUS)
        stage.at("netboot", always, stage.refused("gone", "Client::NotFound", 404))
        assert stage.run().status == 0

    @every
    @pytest.mark.parametrize("action", ["status", "monitor", "list", "list-status"])
    def test_without_any_answer_is_a_failure_soon(self, kind: type[World], action: str) -> None:
        """Pacemaker ends an operation after 20 s."""
        stage = Stage(kind, STATUS, action=action)
        for step in ("login", "time", "GET /dedicated/server", "dedicatedList", ANY):
            stage.at(step, always, lambda proceed: self.silence(stage))
        assert stage.run().status == 1
        assert 13 <= stage.duration() < 17

    @staticmethod
    def silence(stage: Stage) -> Response:
        """Nothing, until the agent does not wait any more."""
        stage.world.clock.sleep(stage.limits[-1][1])
        raise agent.NoAnswer("silence")

    @every
    def test_gives_up_after_some_seconds_and_not_tries(self, kind: type[World]) -> None:
        stage = Stage(kind, STATUS)
        stage.at("read", between(0, 10), stage.bad_gateway)
        assert stage.run().status == 0

    @both
    def test_with_an_answer_now_and_then_goes_on(self, kind: type[World]) -> None:
        stage = Stage(kind, STATUS)
        for step in ("login", "time"):
            stage.at(step, always, stage.taking(8))
        stage.at("read", between(0, 18), stage.bad_gateway)
        assert stage.run().status == 0
        assert stage.duration() > 18

    @every
    def test_with_slow_answers_goes_on(self, kind: type[World]) -> None:
        stage = Stage(kind, STATUS)
        stage.centre.set_netboot(SERVER, RESCUE, by="operator")
        stage.at("read", nth(0), stage.taking(10))
        stage.at(listing(kind), between(0, 20), stage.bad_gateway)
        assert stage.run().status == 2
        assert stage.duration() >= 20

    @every
    def test_with_a_refusal_now_and_then_goes_on(self, kind: type[World]) -> None:
        """It is an answer, too: the new login has its own time."""
        stage = Stage(kind, STATUS)
        stage.at("read", nth(0), stage.taking(10, stage.denied))
        stage.at("time" if kind is RestWorld else "login", between(10, 20), stage.bad_gateway)
        assert stage.run().status == 0
        assert stage.duration() >= 20

    def test_is_off_only_when_all_plugs_are(self) -> None:
        stage = Stage(RestWorld, STATUS, plug=f"{SERVER},{OTHER_SERVER}")
        stage.add_server(OTHER_SERVER)
        stage.centre.set_netboot(SERVER, RESCUE, by="operator")
        assert stage.run().status == 0


class TestOn:
    @every
    def test_does_nothing_to_a_server_that_runs_from_disk(self, kind: type[World]) -> None:
        stage = Stage(kind, ON)
        assert stage.run().status == 0
        assert stage.count("set") == stage.count("reboot") == 0

    @every
    def test_reboots_one_whose_netboot_is_another(self, kind: type[World]) -> None:
        stage = Stage(kind, changed(ON, netboot_by_hand=True))
        assert stage.run().status == 0
        assert stage.booted() == ["harddisk"]

    @every
    def test_reboots_one_on_which_a_reboot_is_under_way(self, kind: type[World]) -> None:
        """Which netboot that one takes is not known."""
        stage = Stage(kind, changed(ON, rebooted_before=1))
        assert stage.run().status == 0
        assert len(stage.world.own_reboots()) == 1

    def test_reboots_one_on_which_a_reboot_moves_on_between_two_questions(self) -> None:
        """It is queued when those under way are asked for, and under way when the queued are."""
        stage = Stage(RestWorld, changed(ON, events=((0, "reboot"),), queue_delay=10))
        stage.at("read", nth(0), stage.taking(6))
        stage.at("tasks", nth(0), lambda proceed: (proceed(), stage.world.clock.sleep(6))[0])
        assert stage.run().status == 0
        assert len(stage.reboots()) == 2

    @pytest.mark.parametrize("body", [b"{}", b"null", b"[null]"])
    def test_reboots_one_of_which_no_list_says_anything(self, body: bytes) -> None:
        """On which a hard reboot is under way."""
        stage = Stage(RestWorld, changed(ON, rebooted_before=1))
        stage.at("tasks", nth(*range(3)), lambda proceed: Response(200, {}, body))
        assert stage.run().status == 0
        assert len(stage.world.own_reboots()) == 1

    def test_reboots_one_that_boots_a_script(self) -> None:
        stage = Stage(RestWorld, ON)
        stage.server.boot_script = "#!ipxe"
        assert stage.run().status == 0
        assert stage.booted() == ["harddisk"]

    def test_reboots_one_that_is_switched_off(self) -> None:
        stage = Stage(RestWorld, ON)
        stage.server.on, stage.server.running = False, None
        assert stage.run().status == 0
        assert stage.booted() == ["harddisk"]

    @every
    @pytest.mark.parametrize("step", ["read", "list"])
    def test_a_silent_api_cuts_no_server(self, kind: type[World], step: str) -> None:
        """What cannot be read at first is read again."""
        stage = Stage(kind, ON)
        stage.at(listing(kind) if step == "list" else step, between(0, 200), stage.bad_gateway)
        assert stage.run().status == 0
        assert stage.duration() >= 200
        assert stage.count("set") == stage.count("reboot") == 0

    @every
    def test_a_refusing_api_cuts_no_server(self, kind: type[World]) -> None:
        stage = Stage(kind, ON)
        stage.at("read", between(0, 45), stage.denied)
        assert stage.run().status == 0
        assert stage.count("set") == stage.count("reboot") == 0

    @every
    def test_an_api_that_stays_silent_is_a_failure(self, kind: type[World]) -> None:
        stage = Stage(kind, ON, power_timeout="200")
        stage.at("read", always, stage.bad_gateway)
        assert stage.run().status == 1
        assert stage.count("set") == stage.count("reboot") == 0

    @every
    def test_what_cannot_be_read_at_first_may_have_to_be_rebooted(self, kind: type[World]) -> None:
        stage = Stage(kind, changed(ON, netboot_by_hand=True))
        stage.at("read", between(0, 30), stage.bad_gateway)
        assert stage.run().status == 0
        assert stage.booted() == ["harddisk"]

    @every
    def test_fails_when_the_reboot_never_happens(self, kind: type[World]) -> None:
        stage = Stage(kind, changed(ON, netboot_by_hand=True, never=9))
        world = stage.run()
        assert (world.status, world.output) == (1, "")


class TestNoStatusIsTrusted:
    @every
    @cutting
    def test_a_server_that_is_off_is_cut_all_the_same(self, kind: type[World], action: str) -> None:
        stage = Stage(kind, Schedule(action=action))
        stage.centre.set_netboot(SERVER, RESCUE, by="operator")
        stage.run()
        assert_cut(stage)
        booted = {"off": ["rescue"], "cycle": ["harddisk"], "onoff": ["rescue", "harddisk"]}
        assert stage.booted() == booted[action]


class TestMachine:
    """rescue_ssh_key: the machine itself has to say that it booted the rescue system."""

    @pytest.mark.parametrize("kind", [RestWorld, OAuth2World], ids=lambda kind: kind.api)
    def test_is_believed(self, kind: type[World]) -> None:
        stage = Stage(kind, changed(OFF, witness=True))
        stage.run()
        assert_cut(stage)
        assert stage.server.rescue_ssh_key == PUBLIC_KEY
        (line,) = stage.said("the machine itself answers")
        assert re.fullmatch(rf"{SERVER}: .*: rescue12-customer-eu, up 1\d s", line)
        assert stage.world.heard[-1] == "rescue12-customer-eu"

    def test_may_boot_long_after_ovh_says_done(self) -> None:
        late = changed(OFF, witness=True, boot_delay=200, rest=0, early_end=True)
        stage = Stage(RestWorld, late)
        stage.run()
        assert_cut(stage)
        assert stage.duration() > 200

    @pytest.mark.parametrize(
        ("machine", "words"),
        [("", "a system that does not take the key"), ("takes the key", r"node1, up \d+ s")],
    )
    def test_that_booted_its_disk_is_not_in_rescue(self, machine: str, words: str) -> None:
        """The network comes second in its boot order; OVH does not know that."""
        odd = changed(OFF, witness=True, netboot_ignored=True, machine=machine)
        stage = Stage(RestWorld, odd, power_timeout="400")
        assert stage.run().status == 1
        (line,) = stage.said("in vain for the machine's own word")
        assert re.search(f"answers: {words}; check boot order", line)
        assert len(stage.reboots()) == 1
        without = Stage(RestWorld, changed(odd, witness=False))
        assert without.run().status == 0, "docs/safety.md says so"

    @pytest.mark.parametrize("takes", [0.2, 6.0], ids=["fast", "slow"])
    def test_that_boots_before_the_request_is_answered_is_not_cut_again(self, takes: float) -> None:
        """OVH's answer takes 15 s, the boot less, and ssh its time."""
        stage = Stage(RestWorld, changed(OFF, witness=True, cut_delay=5, boot_delay=7))

        def late(proceed: Proceed) -> Response:
            response = proceed()
            stage.world.clock.sleep(15)
            return response

        ask = stage.world.ask_machine

        def slowly(key: str, address: str, seconds: float) -> str:
            stage.world.clock.sleep(takes)
            return ask(key, address, seconds)

        stage.at("reboot", always, late)
        stage.world.ask_machine = slowly  # type: ignore[method-assign]
        stage.run()
        assert_cut(stage)
        assert stage.booted() == ["rescue"]

    def test_a_refusal_that_passes_costs_no_key(self) -> None:
        stage = Stage(RestWorld, changed(OFF, witness=True))
        locked = stage.refused("The server is locked, try again", "Client::BadRequest", 400)
        stage.at("set", nth(0, 1), locked)
        stage.run()
        assert_cut(stage)
        assert stage.server.rescue_ssh_key == PUBLIC_KEY

    def test_a_refusal_of_the_key_that_passes_costs_no_key(self) -> None:
        """OVH would take the netboot alone."""
        stage = Stage(RestWorld, changed(OFF, witness=True))
        no = stage.refused("Bad request", "Client::BadRequest", 400)

        def hiccup(proceed: Proceed) -> Response:
            stage.server.refuses_key = stage.elapsed() < 45
            response = proceed()
            return no(proceed) if response.status == 400 else response

        stage.at("set", always, hiccup)
        stage.run()
        assert_cut(stage)
        assert stage.server.rescue_ssh_key == PUBLIC_KEY

    def test_a_refusal_that_lasts_is_one_of_the_key(self) -> None:
        """Without the words to tell, the netboot alone is set before the cut ends in vain."""
        stage = Stage(RestWorld, changed(OFF, witness=True), power_timeout="100")
        stage.server.refuses_key = True
        no = stage.refused("Bad request", "Client::BadRequest", 400)

        def in_other_words(proceed: Proceed) -> Response:
            response = proceed()
            return no(proceed) if response.status == 400 else response

        stage.at("set", always, in_other_words)
        assert stage.run().status == 1
        assert stage.booted() == ["rescue"]
        assert stage.said("rescueSshKey may be the reason: going on without it")
        assert 50 <= stage.times("reboot")[0] < 70

    def test_that_says_nothing_is_not_in_rescue(self) -> None:
        silent = changed(OFF, witness=True, machine="silent")
        stage = Stage(RestWorld, silent, power_timeout="100")
        assert stage.run().status == 1
        assert stage.said("answers: nothing; check boot order")

    @pytest.mark.parametrize("machine", ["odd", "junk"])
    def test_that_talks_nonsense_is_asked_again(self, machine: str) -> None:
        stage = Stage(RestWorld, changed(OFF, witness=True, machine=machine, luck=3))
        stage.run()
        assert_cut(stage)

    @pytest.mark.parametrize("in_rescue", [False, True])
    def test_that_was_not_cut_is_cut_again(self, in_rescue: bool) -> None:
        """OVH says done, and the old system is still up, five minutes later."""
        lying = changed(OFF, witness=True, never=1, machine="takes the key")
        stage = Stage(RestWorld, changed(lying, refuses_second_reboot=False))
        if in_rescue:
            stage.server.running = stage.server.find_netboot(RESCUE)
            stage.server.rescue_ssh_key = PUBLIC_KEY
        done = saying('"status": *"[a-z]+"', '"status": "done"')
        stage.at("task", lambda _, elapsed: stage.count("reboot") == 1 and elapsed > 100, done)
        stage.at("tasks", always, answering(200, []))
        stage.run()
        assert stage.world.status == 0, "\n".join(stage.world.log)
        assert stage.booted() == ["rescue"]
        assert stage.said("was not cut, says the machine")
        first, second = stage.times("reboot")
        assert 100 + 300 <= second - first < 430

    def test_that_booted_before_the_request_proves_nothing(self) -> None:
        """Into rescue, by somebody else, after the agent began."""
        lying = changed(OFF, witness=True, never=99, rebooted_before=1, rest=40)
        stage = Stage(RestWorld, lying, power_timeout="280")
        stage.centre.set_netboot(SERVER, RESCUE, by="operator")
        stage.server.rescue_ssh_key = PUBLIC_KEY
        done = saying('"status": *"[a-z]+"', '"status": "done"')
        stage.at("task", always, done)
        stage.at("tasks", always, answering(200, []))
        assert stage.run().status == 1
        assert stage.world.heard[-1] == "rescue12-customer-eu"

    def test_is_asked_before_a_reboot_into_the_disk(self) -> None:
        stage = Stage(RestWorld, Schedule(action="cycle", witness=True))
        assert stage.run().status == 0
        assert stage.booted() == ["rescue", "harddisk"]
        assert stage.world.heard == ["rescue12-customer-eu"]

    @pytest.mark.parametrize(
        "schedule",
        [POWER, ON, STATUS, Schedule(action="on", netboot_by_hand=True)],
        ids=["power", "on", "status", "on by hand"],
    )
    def test_is_asked_by_nothing_else(self, schedule: Schedule) -> None:
        stage = Stage(RestWorld, changed(schedule, witness=True))
        assert stage.run().status in (0, 2)
        assert stage.world.heard == []

    def test_key_that_ovh_refuses_stops_no_cut(self) -> None:
        stage = Stage(RestWorld, changed(OFF, witness=True), power_timeout="100")
        bad = stage.refused("rescueSshKey is not valid", "Client::BadRequest", 400)
        stage.at("set", nth(0, 1), bad)
        assert stage.run().status == 1, "it never takes the key"
        assert stage.booted() == ["rescue"]
        assert stage.said("rescueSshKey may be the reason: going on without it")

    def test_key_is_not_left_out_for_another_refusal(self) -> None:
        """For 55 s a right is missing, as OVH says, for the change with the key alone."""
        stage = Stage(RestWorld, changed(OFF, witness=True))
        stage.server.refuses_key = True

        def in_other_words(proceed: Proceed) -> Response:
            response = proceed()
            return stage.denied(proceed) if response.status == 400 else response

        def accept(proceed: Proceed) -> Response:
            stage.server.refuses_key = False
            return proceed()

        stage.at("set", between(0, 55), in_other_words)
        stage.at("set", between(55, 60), accept)
        stage.run()
        assert_cut(stage)
        assert stage.server.rescue_ssh_key == PUBLIC_KEY


@pytest.mark.parametrize(
    ("printed", "heard"),
    [
        ("rescue12-customer-eu\r\n43.21 80.00\r\n", ("rescue12-customer-eu", 43.21)),
        ("Welcome!\nnode1\n0.50 0.10\n", ("node1", 0.5)),
        ("rescue\n-1.00 2.00\n", None),
        ("rescue\nNaN 2.00\n", None),
        ("rescue\n1e3 2.00\n", None),
        ("rescue\x1b[0m\n1.00 2.00\n", None),
        ("rescue 1.00 2.00\n", None),
        ("", None),
    ],
)
def test_testimony(printed: str, heard: Any) -> None:
    assert agent.testimony(printed) == heard


class TestOnPortion:
    """A reboot with method=onoff: the server was cut, which is what counts."""

    ONOFF = Schedule(action="onoff")

    @every
    def test_that_never_happens_is_logged_and_still_success(self, kind: type[World]) -> None:
        stage = Stage(kind, self.ONOFF)
        stage.centre.on_cut.append(lambda server: setattr(server, "timing", NEVER))
        stage.run()
        assert stage.world.status == 0
        assert stage.booted() == ["rescue"]
        assert stage.said("was cut, but is not proven to boot from disk")

    @every
    def test_that_is_refused_is_logged_and_still_success(self, kind: type[World]) -> None:
        stage = Stage(kind, self.ONOFF)
        stage.centre.on_cut.append(lambda server: stage.at("set", always, stage.denied))
        stage.run()
        assert_cut(stage)
        assert stage.said("was cut, but is not proven to boot from disk")

    @every
    def test_a_failing_off_portion_is_a_failure(self, kind: type[World]) -> None:
        stage = Stage(kind, changed(self.ONOFF, never=9))
        assert stage.run().status == 1
        assert stage.duration() < 1000, "on is not tried"

    @both
    def test_has_its_own_power_timeout(self, kind: type[World]) -> None:
        stage = Stage(kind, changed(self.ONOFF, queue_delay=80), power_timeout="120")
        stage.run()
        assert_cut(stage)
        assert stage.booted() == ["rescue", "harddisk"]
        assert not stage.said("not proven to boot from disk")


class TestDeadline:
    @every
    @pytest.mark.parametrize("action", ["off", "cycle"])
    def test_ends_a_wait_for_what_never_happens(self, kind: type[World], action: str) -> None:
        stage = Stage(kind, Schedule(action=action, never=9), power_timeout="250")
        assert stage.run().status == 1
        assert 250 <= stage.duration() <= 250 + agent.LAST_LOOK
        assert stage.said("in vain for the hard reboot to be over; see power_timeout")

    @every
    def test_begins_no_try_after_it(self, kind: type[World]) -> None:
        """A pause of 10 s is asked for at each try; the last look has 5 s."""
        stage = Stage(kind, OFF, power_timeout="43")
        wait = Response(503, {"Retry-After": "10"}, b"")
        stage.at("read", always, lambda proceed: wait)
        assert stage.run().status == 1
        assert stage.duration() <= 43 + agent.LAST_LOOK

    @every
    @pytest.mark.parametrize("action", ["off", "cycle"])
    def test_has_a_last_look(self, kind: type[World], action: str) -> None:
        """Over at 55 s, and looked at every 50 s."""
        stage = Stage(
            kind,
            Schedule(action=action, rest=48, poll=50),
            power_timeout="60",
            stonith_status_sleep="50",
        )
        stage.run()
        assert_cut(stage)
        assert 60 <= stage.duration() < 62

    @every
    def test_has_a_last_look_of_some_seconds(self, kind: type[World]) -> None:
        stage = Stage(
            kind, changed(OFF, rest=48, poll=50), power_timeout="60", stonith_status_sleep="50"
        )
        stage.run()
        assert_cut(stage)
        limits = [limit for at, limit in stage.limits if at >= 60 and limit != agent.LOGOUT_LIMIT]
        assert limits
        assert min(limits) > agent.LAST_LOOK - 1

    @every
    @pytest.mark.parametrize("action", ["off", "cycle"])
    def test_begins_nothing_with_its_last_look(self, kind: type[World], action: str) -> None:
        """Nobody would wait for what it begins."""
        stage = Stage(kind, Schedule(action=action), power_timeout="60", stonith_status_sleep="50")
        stage.at("offered", between(0, 59), stage.bad_gateway)
        assert stage.run().status == 1
        assert 60 <= stage.duration() < 62
        assert stage.count("set") == stage.count("reboot") == 0
        [why] = stage.said(" s in vain for ")
        assert "HTTP status 502" in why

    @both
    @pytest.mark.parametrize("fault", ["bad_gateway", "denied"])
    @pytest.mark.parametrize("step", ["offered", "netboot", "set"])
    @pytest.mark.parametrize("limit", [20, 30, 45, 60])
    def test_leaves_time_after_a_fault(
        self, kind: type[World], limit: int, step: str, fault: str
    ) -> None:
        """The rest after one is short where little is left."""
        schedule = changed(OFF, cut_delay=1, boot_delay=1, rest=3)
        stage = Stage(kind, schedule, power_timeout=str(limit), stonith_status_sleep="3")
        stage.at(step, between(0, limit / 2), getattr(stage, fault))
        stage.run()
        assert_cut(stage)

    @every
    @pytest.mark.parametrize("action", ["off", "cycle"])
    def test_sets_nothing_with_its_last_look(self, kind: type[World], action: str) -> None:
        """What somebody else has set since then stays."""
        schedule = Schedule(action=action, rest=300)
        stage = Stage(kind, schedule, power_timeout="60", stonith_status_sleep="20")
        other = HARD_DISK if action == "off" else RESCUE
        stage.at("read", between(58, 70), stage.saying_netboot(other))
        assert stage.run().status == 1
        assert stage.said("somebody has set netboot")
        assert stage.count("set") == 1

    @every
    def test_has_a_last_look_for_one_that_runs_from_disk(self, kind: type[World]) -> None:
        stage = Stage(kind, ON, power_timeout="60", stonith_status_sleep="50")
        stage.at("read", between(0, 59), stage.bad_gateway)
        assert stage.run().status == 0
        assert stage.count("set") == stage.count("reboot") == 0

    @both
    def test_has_no_second_last_look(self, kind: type[World]) -> None:
        stage = Stage(kind, changed(OFF, rest=55), power_timeout="60")
        assert stage.run().status == 1
        assert stage.duration() < 62

    @every
    @pytest.mark.parametrize("fault", ["time-out before", "drip", "refused", "502"])
    def test_counts_seconds_and_not_calls(self, kind: type[World], fault: str) -> None:
        schedule = changed(OFF, never=9, outages=((0, 9000, fault),))
        stage = Stage(kind, schedule, power_timeout="300")
        assert stage.run().status == 1
        assert 290 <= stage.duration() <= 300 + 2 * agent.LAST_LOOK + 1

    @every
    def test_limits_each_call_by_what_is_left(self, kind: type[World]) -> None:
        schedule = changed(OFF, never=9, outages=((3, 9000, "time-out before"),))
        stage = Stage(kind, schedule, power_timeout="300", login_timeout="19")
        stage.run()
        usual = {limit for at, limit in stage.limits if at < 200}
        assert usual == {19.0, 20.0}, "login_timeout and shell_timeout"
        assert all(limit <= max(300 - at, agent.LAST_LOOK) for at, limit in stage.limits)

    @every
    def test_can_be_disabled_and_then_each_minute_is_reported(self, kind: type[World]) -> None:
        schedule = changed(OFF, queue_delay=2000 if kind is RestWorld else 280)
        stage = Stage(kind, schedule, power_timeout="100", disable_timeout="true")
        world = stage.run()
        assert (world.status, stage.booted()) == (0, ["rescue"])
        reports = stage.said("still waiting for the hard reboot to be over")
        assert stage.duration() / 66 - 1 < len(reports) <= stage.duration() / 60

    def test_a_run_without_end_fails_its_test(self) -> None:
        stage = Stage(RestWorld, OFF, disable_timeout="true")
        stage.centre.timing = NEVER
        stage.world.schedule = changed(OFF, never=99)
        with pytest.raises(EndlessRun):
            stage.run()


class TestWhatIsLeft:
    """After a failed off or on one line says what the server was left with."""

    @both
    @pytest.mark.parametrize(
        ("step", "fault", "left"),
        [
            ("offered", "bad_gateway", ""),
            ("set", "bad_gateway", "netboot rescue12-customer (id 230242) set, hard reboot not a"),
            ("set", "ignored", "netboot rescue12-customer (id 230242) set, hard reboot not asked"),
            ("reboot", "lost_before", "(id 230242) set, hard reboot asked for"),
            ("reboot", "", "hard reboot accepted by OVH"),
        ],
    )
    def test_is_said_in_one_line(self, kind: type[World], step: str, fault: str, left: str) -> None:
        stage = Stage(kind, changed(OFF, never=9), power_timeout="50")
        if fault:
            stage.at(step, always, getattr(stage, fault))
        assert stage.run().status == 1
        lines = stage.said("was left with")
        assert len(lines) == bool(left), "only where something was changed"
        if left:
            assert left in lines[0]
            assert f"next, with the same keys: fence_ovh -n {SERVER} -o status" in lines[0]

    @both
    def test_is_not_said_after_success(self, kind: type[World]) -> None:
        stage = Stage(kind, OFF)
        stage.run()
        assert_cut(stage)
        assert not stage.said("was left with")


class TestRefusals:
    """A no in OVH's own words may pass; off, on and reboot believe it after a minute."""

    def test_of_a_login_that_is_not_found_is_one_of_a_login(self) -> None:
        """Accounts lock: the next login comes after a pause, whatever the words of the refusal."""
        stage = Stage(OAuth2World, OFF, stonith_status_sleep="5")
        no = stage.refused("This service does not exist", "Client::NotFound", 404)
        stage.at("login", between(0, 18), no)
        stage.run()
        assert_cut(stage)
        assert len(stage.times("login")) == 2

    @every
    @pytest.mark.parametrize("step", ["offered", "set", "read", "reboot"])
    def test_that_lasts_is_believed(self, kind: type[World], step: str) -> None:
        stage = Stage(kind, OFF)
        stage.at(step, always, stage.denied)
        assert stage.run().status == 1
        assert 60 <= stage.duration() < 75
        assert stage.said("Not for you")

    @every
    @pytest.mark.parametrize("step", ["offered", "set", "read", "reboot"])
    def test_that_passes_is_not(self, kind: type[World], step: str) -> None:
        stage = Stage(kind, OFF)
        stage.at(step, between(0, 45), stage.denied)
        stage.run()
        assert_cut(stage)

    @every
    def test_of_the_progress_is_believed_once_it_lasts(self, kind: type[World]) -> None:
        stage = Stage(kind, changed(OFF, cut_delay=30))
        stage.at(progress(kind), between(2, 9e9), stage.denied)
        assert stage.run().status == 1
        assert 60 <= stage.duration() < 80

    @pytest.mark.parametrize("between_them", ["busy", "lost"])
    def test_two_that_pass_a_minute_apart_do_not_last(self, between_them: str) -> None:
        """Meanwhile another task was in the way, or an answer was lost and the agent waited."""
        stage = Stage(RestWorld, OFF)
        words = {"class": "Client::BadRequest::TaskAlreadyExists", "message": "Task 5 is running"}
        busy = answering(400, words)
        stage.at("reboot", between(0, 5), stage.denied)
        stage.at("reboot", between(5, 65), busy if between_them == "busy" else stage.lost_before)
        stage.at("reboot", between(65, 110), stage.denied)
        stage.run()
        assert_cut(stage)

    @every
    def test_a_fault_in_between_is_no_good_answer(self, kind: type[World]) -> None:
        stage = Stage(kind, OFF)
        stage.at("offered", between(20, 40), stage.bad_gateway)
        stage.at("offered", always, stage.denied)
        assert stage.run().status == 1
        assert 60 <= stage.duration() < 75

    @every
    def test_a_good_answer_in_between_begins_the_minute_anew(self, kind: type[World]) -> None:
        stage = Stage(kind, changed(OFF, cut_delay=150))
        refused = stage.denied
        stage.at(progress(kind), between(2, 50), refused)
        stage.at(progress(kind), between(60, 110), refused)
        stage.run()
        assert_cut(stage)

    @every
    @pytest.mark.parametrize("step", ["set", "read"])
    def test_of_slow_calls_is_believed_once_it_lasts(self, kind: type[World], step: str) -> None:
        stage = Stage(kind, OFF, shell_timeout="20")
        stage.at(step, always, stage.taking(16, stage.denied))
        for each in ("login", "time"):
            stage.at(each, between(1, 9e9), stage.taking(16))
        assert stage.run().status == 1
        assert stage.duration() < 200
        assert stage.said("Not for you")

    @pytest.mark.parametrize("kind", [World, OAuth2World], ids=lambda kind: kind.api)
    @pytest.mark.parametrize("action", ["off", "on", "cycle"])
    def test_of_the_login_is_tried_three_times(self, kind: type[World], action: str) -> None:
        """Accounts lock."""
        stage = Stage(kind, Schedule(action=action), password="wrong, of course")
        assert stage.run().status == 1
        assert 60 <= stage.duration() < 75
        assert stage.count("login") == 3
        assert stage.said("check login and passwd" if kind is World else "service account")

    @pytest.mark.parametrize("kind", [World, OAuth2World], ids=lambda kind: kind.api)
    @pytest.mark.parametrize("action", ["off", "on", "cycle"])
    def test_of_the_login_is_one_for_several_plugs(self, kind: type[World], action: str) -> None:
        names = [f"ns{number}.ovh.net" for number in range(2001, 2005)]
        wrong = {"plug": ",".join(names), "password": "wrong, of course"}
        stage = Stage(kind, Schedule(action=action), **wrong)
        assert stage.run().status == 1
        assert 60 <= stage.duration() < 95
        assert stage.count("login") == 3

    def test_with_a_good_answer_in_between_is_another_one(self) -> None:
        """Though the step in which it came failed at something else."""
        stage = Stage(RestWorld, changed(OFF, rest=150))
        stage.at("read", lambda number, elapsed: 15 <= elapsed < 17 or elapsed >= 90, stage.denied)
        stage.at("read", between(17, 90), lambda proceed: proceed())
        stage.at("task", between(15, 100), stage.bad_gateway)
        stage.run()
        assert stage.duration() >= 90 + 60

    @pytest.mark.parametrize("kind", [World, OAuth2World], ids=lambda kind: kind.api)
    def test_of_the_next_login_is_tried_three_times(self, kind: type[World]) -> None:
        """The session or token has ended."""
        stage = Stage(kind, changed(OFF, session_lifetime=30, rest=200))
        stage.at("login", lambda number, elapsed: number > 0, stage.denied)
        assert stage.run().status == 1
        assert stage.count("login") == 1 + 3

    @pytest.mark.parametrize("kind", [World, OAuth2World], ids=lambda kind: kind.api)
    def test_of_the_login_may_pass(self, kind: type[World]) -> None:
        stage = Stage(kind, OFF)
        stage.at("login", between(0, 45), stage.denied)
        stage.run()
        assert_cut(stage)

    @pytest.mark.parametrize("kind", [World, OAuth2World], ids=lambda kind: kind.api)
    def test_of_the_login_may_pass_twice(self, kind: type[World]) -> None:
        stage = Stage(kind, changed(OFF, rest=100, events=((70, "sessions end"),)))
        stage.at("login", nth(0, 2), stage.denied)
        stage.run()
        assert_cut(stage)

    @every
    def test_of_calls_makes_few_new_logins(self, kind: type[World]) -> None:
        stage = Stage(kind, OFF)
        stage.at("offered", always, stage.denied)
        stage.run()
        assert stage.count("time" if kind is RestWorld else "login") <= 3

    @every
    @pytest.mark.parametrize("action", ["status", "monitor", "list"])
    def test_is_believed_at_once_where_nothing_is_changed(
        self, kind: type[World], action: str
    ) -> None:
        stage = Stage(kind, STATUS, action=action)
        for step in ("GET /dedicated/server", "GET /auth/currentCredential", "dedicatedList", ANY):
            stage.at(step, always, stage.denied)
        assert stage.run().status == 1
        assert stage.duration() < 2
        assert stage.count("login") <= 1

    @every
    def test_of_a_client_that_worked_is_answered_with_a_new_login(self, kind: type[World]) -> None:
        """Its session, its token or its time may have become wrong."""
        stage = Stage(kind, OFF)
        stage.at("set", nth(0), stage.denied)
        stage.run()
        assert_cut(stage)
        first, second = stage.times("set")
        assert second - first < 0.3
        assert stage.count("time" if kind is RestWorld else "login") == 2

    @pytest.mark.parametrize("kind", [World, OAuth2World], ids=lambda kind: kind.api)
    def test_of_a_login_is_over_once_one_is_granted(self, kind: type[World]) -> None:
        """What is refused next has nothing to do with it."""
        stage = Stage(kind, OFF)
        stage.at("login", nth(0), stage.denied)
        stage.at("set", nth(0), stage.denied)
        stage.run()
        assert_cut(stage)
        first, second = stage.times("set")
        assert second - first < 0.3
        assert stage.count("login") == 3

    @every
    def test_a_session_that_ends_is_no_refusal(self, kind: type[World]) -> None:
        ends = ((4, "sessions end"), (30, "sessions end"))
        stage = Stage(kind, changed(OFF, rest=60, events=ends))
        stage.run()
        assert_cut(stage)
        assert stage.duration() < 80

    def test_a_session_that_ends_before_its_first_use_is_renewed(self) -> None:
        stage = Stage(World, OFF)
        stage.at("login", nth(0), lambda proceed: (proceed(), stage.centre.sessions.end_all())[0])
        stage.run()
        assert_cut(stage)
        assert stage.count("login") == 2

    def test_a_token_that_ended_is_renewed(self) -> None:
        stage = Stage(OAuth2World, changed(OFF, session_lifetime=60, rest=200))
        stage.run()
        assert_cut(stage)
        assert stage.count("login") > 3

    def test_a_clock_that_jumps_is_read_again(self) -> None:
        stage = Stage(RestWorld, changed(OFF, events=((4, "clock jumps"),)))
        stage.run()
        assert_cut(stage)
        assert stage.count("time") == 2
        assert stage.duration() < 40

    @every
    def test_an_unknown_server_needs_no_new_login(self, kind: type[World]) -> None:
        stage = Stage(kind, OFF, plug="ns9999.ovh.net")
        assert stage.run().status == 1
        assert 60 <= stage.duration() < 75
        assert stage.count("time" if kind is RestWorld else "login") == 1
        assert stage.said("check plug")


class TestTries:
    """Lost requests are tried again in one place, a few times."""

    @every
    @pytest.mark.parametrize("answer", ["lost_before", "bad_gateway"])
    def test_are_three(self, kind: type[World], answer: str) -> None:
        stage = Stage(kind, OFF, stonith_status_sleep="15")
        stage.at("offered", between(0, 10), getattr(stage, answer))
        stage.run()
        assert_cut(stage)
        tries = stage.times("offered")
        assert len([at for at in tries if at < 10]) == 3
        assert 14 <= tries[3] < 17, "what still fails is left to the next step"

    @every
    def test_a_refusal_among_them_does_not_let_them_begin_anew(self, kind: type[World]) -> None:
        stage = Stage(kind, OFF, stonith_status_sleep="15")
        stage.at("offered", nth(2), stage.denied)
        stage.at("offered", between(0, 10), stage.bad_gateway)
        stage.run()
        assert_cut(stage)
        assert len([at for at in stage.times("offered") if at < 10]) == 4, "once more: a new login"

    @pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
    def test_are_made_also_where_ovh_says_no_in_passing(self, status: int) -> None:
        stage = Stage(RestWorld, OFF)
        stage.at("set", nth(0, 1), stage.refused("Too many requests", "Client::Many", status))
        stage.run()
        assert_cut(stage)
        assert stage.times("set")[2] < 3

    @every
    @pytest.mark.parametrize("body", [b"", b"<html>Sorry</html>", b"[" * 100_000, b"17", b"null"])
    def test_are_made_of_what_makes_no_sense(self, kind: type[World], body: bytes) -> None:
        stage = Stage(kind, OFF)
        for step in ("login", "time", "offered", "set", "read", "reboot", "tasks", "task"):
            stage.at(step, nth(1), lambda proceed: Response(200, {}, body))
        world = stage.run()
        assert world.status == 0
        assert false_success(world) == []

    def test_are_made_of_what_lacks_what_was_asked_for(self) -> None:
        stage = Stage(RestWorld, OFF, stonith_status_sleep="15")
        stage.at("offered", nth(0), answering(200, {}))
        stage.run()
        assert_cut(stage)
        assert stage.times("offered")[1] < 3

    @pytest.mark.parametrize("body", [b"", b"   ", b"<html/>"])
    def test_are_made_of_an_empty_body(self, body: bytes) -> None:
        """OVH says null when it has nothing to say."""
        stage = Stage(RestWorld, OFF)
        stage.at("set", nth(0), lambda proceed: Response(200, {}, body))
        stage.run()
        assert_cut(stage)
        assert stage.times("set")[1] < 3

    @pytest.mark.parametrize(("status", "body"), [(200, b"null"), (204, b"")])
    def test_no_content_is_an_answer(self, status: int, body: bytes) -> None:
        stage = Stage(RestWorld, OFF)
        stage.at("set", nth(0), lambda proceed: (proceed(), Response(status, {}, body))[1])
        stage.run()
        assert_cut(stage)
        assert stage.count("set") == 1

    def test_are_made_of_what_came_with_a_bad_status(self) -> None:
        """A proxy that is at odds with itself."""
        stage = Stage(World, OFF)

        def stale(proceed: Any) -> Response:
            response = proceed()
            return Response(502, response.headers, response.body)

        stage.at("offered", nth(0), stale)
        stage.run()
        assert_cut(stage)
        assert stage.count("offered") == 2

    def test_a_document_type_is_no_answer(self) -> None:
        """Entity bombs live there."""
        assert agent.parse_xml(b"<x/>") is not None
        assert agent.parse_xml(BOMB) is None

    @both
    @pytest.mark.parametrize(
        ("asked", "least"), [("0", 0.0), ("7", 7.0), ("99999", 10.0), ("soon", 0.0)]
    )
    def test_retry_after_is_honoured_up_to_a_limit(
        self, kind: type[World], asked: str, least: float
    ) -> None:
        stage = Stage(kind, OFF)
        stage.at("offered", nth(0), answering(503, "later", Retry_After=asked))
        stage.run()
        assert_cut(stage)
        first, second = stage.times("offered")[:2]
        assert least <= second - first <= least + 1

    @both
    def test_retry_after_counts_from_the_answer(self, kind: type[World]) -> None:
        stage = Stage(kind, OFF)
        later = answering(503, "later", Retry_After="7")
        stage.at("offered", nth(0), stage.taking(10, later))
        stage.run()
        assert_cut(stage)
        first, second = stage.times("offered")[:2]
        assert second - first >= 10 + 7

    def test_have_growing_pauses_that_differ_between_agents(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(random, "uniform", lambda low, high: low)
        stage = Stage(RestWorld, OFF)
        stage.at("offered", nth(0, 1), stage.bad_gateway)
        stage.run()
        first, second, third = stage.times("offered")[:3]
        assert second - first == pytest.approx(0.5 * 0.5 + 0.05, abs=0.02)
        assert third - second == pytest.approx(0.5 * 1 + 0.05, abs=0.02)

    @both
    def test_end_with_shell_timeout(self, kind: type[World]) -> None:
        """Of 20 s: the second of two slow ones is the last of its step."""
        stage = Stage(kind, OFF, stonith_status_sleep="60")
        stage.at("offered", between(0, 40), stage.taking(12, stage.lost_before))
        stage.run()
        assert_cut(stage)
        first, second, third = stage.times("offered")[:3]
        assert second - first < 14
        assert third - second > 60 - 15

    @every
    def test_one_that_hangs_until_its_limit_is_not_the_only_one(self, kind: type[World]) -> None:
        stage = Stage(kind, changed(OFF, alternating="time-out before", power_timeout=1800))
        stage.run()
        assert_cut(stage)

    @every
    def test_half_of_all_requests_fail(self, kind: type[World]) -> None:
        """Strictly by turns: no group of them is ever begun anew."""
        stage = Stage(kind, changed(OFF, alternating="502"))
        stage.run()
        assert_cut(stage)
        assert stage.booted() == ["rescue"]

    @both
    def test_leave_ovh_in_peace(self, kind: type[World]) -> None:
        """OVH calls 60 requests a minute fair."""
        plugs = [SERVER, OTHER_SERVER, "ns2001.ovh.net"]
        stage = Stage(
            kind, changed(OFF, cut_delay=200), plug=",".join(plugs), stonith_status_sleep="1"
        )
        for name in plugs[1:]:
            stage.add_server(name)
        stage.run()
        assert_cut(stage)
        assert stage.most_in_a_minute(since=10) <= 60

    @both
    @pytest.mark.parametrize("sleep", ["0", "3"])
    @pytest.mark.parametrize("fault", ["bad_gateway", "denied"])
    @pytest.mark.parametrize("step", [ANY, "set", "netboot"])
    def test_leave_ovh_in_peace_while_a_fault_lasts(
        self, kind: type[World], step: str, fault: str, sleep: str
    ) -> None:
        stage = Stage(kind, OFF, stonith_status_sleep=sleep)
        stage.at(step, between(0, 45), getattr(stage, fault))
        stage.run()
        assert_cut(stage)
        assert stage.most_in_a_minute() <= 60

    @pytest.mark.parametrize("sleep", ["0", "3"])
    @pytest.mark.parametrize("tries", [2, 3])
    def test_leave_ovh_in_peace_while_each_call_costs_some(self, tries: int, sleep: str) -> None:
        """While a hard reboot is waited for; each call is answered in the end."""
        stage = Stage(RestWorld, changed(OFF, rest=100), stonith_status_sleep=sleep)
        for step in ("offered", "netboot", "set", "read", "task"):
            stage.at(step, lambda number, _: number % tries < tries - 1, stage.bad_gateway)
        stage.run()
        assert_cut(stage)
        assert stage.most_in_a_minute(since=stage.times("reboot")[-1]) <= 60

    def test_of_several_plugs_leave_ovh_in_peace_while_a_fault_lasts(self) -> None:
        plugs = [SERVER, OTHER_SERVER, "ns2001.ovh.net"]
        stage = Stage(RestWorld, OFF, plug=",".join(plugs), power_timeout="200")
        for name in plugs[1:]:
            stage.add_server(name)
        stage.at(ANY, always, stage.bad_gateway)
        assert stage.run().status == 1
        assert stage.most_in_a_minute() <= 60

    @both
    def test_rest_no_longer_after_a_lost_request_for_a_hard_reboot(self, kind: type[World]) -> None:
        stage = Stage(kind, OFF, stonith_status_sleep="3")
        stage.at("reboot", between(0, 9), stage.lost_before)
        stage.run()
        assert_cut(stage)
        lost = [at for at in stage.times("reboot") if at < 9][-1]
        assert stage.times("set")[1] - lost < 12

    def test_rest_for_20_seconds_at_most(self) -> None:
        """However many requests have failed: the fault may be over."""
        stage = Stage(RestWorld, OFF)
        others = [Netboot(2000 + i, f"rescue{i}-customer", "rescue") for i in range(20)]
        stage.server.netboots = (*stage.server.netboots, *others)
        stage.at("netboot", between(0, 60), stage.bad_gateway)
        stage.run()
        assert_cut(stage)
        assert stage.times("set")[0] < 60 + 25

    def test_rest_only_after_a_step_in_vain(self) -> None:
        stage = Stage(RestWorld, OFF, stonith_status_sleep="3")
        stage.at("netboot", lambda number, _: number % 3 < 2, stage.bad_gateway)
        stage.run()
        assert_cut(stage)
        first, second = stage.times("task")[:2]
        assert second - first < 4

    @pytest.mark.parametrize("rounds", [1, 2])
    @pytest.mark.parametrize("fault", ["lost_after", "lost_before"])
    def test_leave_ovh_in_peace_after_a_loss(self, rounds: int, fault: str) -> None:
        """A look at all hard reboots is three requests."""
        rest = 200 if fault == "lost_after" else 10
        stage = Stage(RestWorld, changed(OFF, rest=rest), stonith_status_sleep="1")
        stage.at("reboot", nth(*range(rounds * POST_TRIES)), getattr(stage, fault))
        stage.run()
        assert_cut(stage)
        assert stage.most_in_a_minute() <= 40


class TestTwoAgents:
    """Two nodes that see each other as dead want different things of one server."""

    @pytest.mark.parametrize("kind", [RestWorld, OAuth2World], ids=lambda kind: kind.api)
    @pytest.mark.parametrize("actions", [("off", "cycle"), ("off", "on"), ("onoff", "cycle")])
    @pytest.mark.parametrize("begin", [0, 1, 4, 12, 33])
    @pytest.mark.parametrize("rest", [10, 100])
    def test_come_to_an_end(
        self, kind: type[World], actions: tuple[str, str], begin: int, rest: int
    ) -> None:
        racers = (race.Racer(actions[0]), race.Racer(actions[1], begin))
        finish = race.run(kind, race.Race(racers, Schedule(rest=rest, poll=5)))
        assert 0 in [world.status for world in finish.worlds], "\n".join(finish.log)
        assert len(finish.worlds[0].centre.power_cuts) - 1 <= 4
        for world in finish.worlds:
            assert world.status or not false_success(world)

    def test_with_the_same_wish_both_succeed(self) -> None:
        racers = (race.Racer("off"), race.Racer("off", 3))
        finish = race.run(RestWorld, race.Race(racers, OFF))
        assert [world.status for world in finish.worlds] == [0, 0]


class TestExitStatus:
    @both
    @pytest.mark.parametrize("action", ["off", "on", "cycle", "onoff", "status"])
    def test_of_a_signal_is_one_and_the_session_is_closed(
        self, kind: type[World], action: str
    ) -> None:
        stage = Stage(kind, Schedule(action=action, netboot_by_hand=True))
        stage.at("read", nth(0), interrupting)
        assert stage.run().status == 1
        assert stage.centre.sessions.count() == 0

    @both
    @pytest.mark.parametrize("action", ["off", "on", "cycle", "onoff", "status"])
    def test_of_a_defect_is_one_and_its_text_is_not_shown(
        self, kind: type[World], action: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(self: Any, *arguments: Any) -> None:
            raise ZeroDivisionError(PASSWORD)

        api = agent.RestApi if kind is RestWorld else agent.SoapApi
        for name in ("server", "netboots"):
            monkeypatch.setattr(api, name, broken)
        stage = Stage(kind, Schedule(action=action))
        world = stage.run(defects=1)
        assert world.status == 1
        assert stage.said("defect in fence_ovh: ZeroDivisionError in ")
        assert world.leaks() == []
        assert stage.centre.sessions.count() == 0

    @every
    def test_of_a_refusal_is_one(self, kind: type[World]) -> None:
        for action in ("off", "on", "cycle", "onoff", "status"):
            stage = Stage(kind, Schedule(action=action))
            stage.at(ANY, always, stage.denied)
            assert stage.run().status == 1
            assert stage.said("Not for you")

    @every
    def test_is_two_for_status_alone(self, kind: type[World]) -> None:
        expected = {"off": 0, "on": 0, "reboot": 0, "monitor": 0, "list": 0, "status": 2}
        for action, status in expected.items():
            stage = Stage(kind, STATUS, action=action)
            stage.centre.set_netboot(SERVER, RESCUE, by="operator")
            assert stage.run().status == status, action

    def test_is_that_of_the_process(self) -> None:
        keys = {"endpoint": "kimsufi-eu", "login": "ab", "passwd": "c"}
        result = agent_with_our_library().run({"action": "off", "plug": SERVER, **keys})
        assert "endpoint kimsufi-eu has no service accounts" in result.stderr
        assert result.status == 1


def interrupting(proceed: Any) -> Any:
    """A signal comes while the agent waits for an answer."""
    raise agent.library.Interrupted("SIGTERM")


class TestSession:
    def test_is_closed_at_the_end(self) -> None:
        for action in ("off", "on", "cycle", "onoff", "status"):
            stage = Stage(World, Schedule(action=action))
            stage.run()
            assert stage.centre.sessions.count() == 0
            assert stage.centre.sessions.logins == 1

    def test_is_not_waited_for(self) -> None:
        stage = Stage(World, OFF)
        stage.at("logout", always, stage.lost_before)
        stage.run()
        assert_cut(stage)
        assert stage.limits[-1][1] == agent.LOGOUT_LIMIT <= 2

    def test_that_is_renewed_is_closed(self) -> None:
        stage = Stage(World, OFF)
        stage.at("set", nth(0), stage.denied)
        stage.run()
        assert_cut(stage)
        assert stage.centre.sessions.logins == 2
        assert stage.centre.sessions.count() == 0

    def test_is_closed_after_the_deadline(self) -> None:
        stage = Stage(World, changed(OFF, never=9), power_timeout="60")
        assert stage.run().status == 1
        assert stage.centre.sessions.count() == 0

    def test_has_its_time_after_the_deadline(self) -> None:
        silent = ((30, 9000, "time-out before"),)
        stage = Stage(World, changed(OFF, never=9, outages=silent), power_timeout="60")
        assert stage.run().status == 1
        assert stage.limits[-1][1] == agent.LOGOUT_LIMIT


class TestSeveralPlugs:
    UNKNOWN = "ns9999.ovh.net"

    @every
    @cutting
    @pytest.mark.parametrize("plugs", [f"{UNKNOWN},{SERVER}", f"{SERVER},{UNKNOWN}"])
    def test_one_that_is_refused_does_not_keep_the_others(
        self, kind: type[World], action: str, plugs: str
    ) -> None:
        stage = Stage(kind, Schedule(action=action), plug=plugs)
        assert stage.run().status == 1
        assert stage.duration() < 80, "and the exit is soon"
        assert stage.booted()[:1] == ["harddisk" if action == "cycle" else "rescue"]
        assert all(self.UNKNOWN in line for line in stage.said("refused"))

    @both
    @cutting
    def test_one_that_is_refused_ends_no_longer_cut(self, kind: type[World], action: str) -> None:
        """Exit 1 comes after the others are cut, not after a minute."""
        stage = Stage(kind, Schedule(action=action, rest=200), plug=f"{self.UNKNOWN},{SERVER}")
        assert stage.run().status == 1
        assert 200 < stage.duration() < 230

    @both
    @cutting
    def test_each_one_that_fails_says_why(self, kind: type[World], action: str) -> None:
        stage = Stage(
            kind,
            Schedule(action=action, never=99),
            plug=f"{SERVER},{self.UNKNOWN}",
            power_timeout="100",
        )
        assert stage.run().status == 1
        (left,) = stage.said("in vain for the hard reboot to be over")
        assert SERVER in left
        assert self.UNKNOWN in stage.said("refused")[-1]

    @both
    @pytest.mark.parametrize("action", ["off", "cycle"])
    def test_that_fail_one_by_one_have_one_deadline(self, kind: type[World], action: str) -> None:
        names = [f"ns{number}.ovh.net" for number in range(2001, 2006)]
        stage = Stage(kind, Schedule(action=action), plug=",".join(names), power_timeout="60")
        for name in names:
            stage.add_server(name)
        for step in ("login", "time", ANY):
            stage.at(step, always, stage.taking(19, stage.bad_gateway))
        assert stage.run().status == 1
        assert stage.duration() <= 60 + 6 * 2 * 20, "and a step of each"

    @both
    @pytest.mark.parametrize("action", ["off", "cycle"])
    def test_that_begin_one_by_one_have_one_deadline(self, kind: type[World], action: str) -> None:
        names = [f"ns{number}.ovh.net" for number in range(2001, 2004)]
        stage = Stage(kind, Schedule(action=action), plug=",".join(names), power_timeout="100")
        for name in names:
            stage.add_server(name).timing = NEVER
        stage.at("offered", always, stage.taking(15))
        assert stage.run().status == 1
        assert 100 <= stage.duration() < 110

    @both
    def test_warnings_leave_room_for_the_last_words(self, kind: type[World]) -> None:
        """Two servers that fail by turns; what a cluster reads has a limit."""
        stage = Stage(kind, OFF, plug=f"{SERVER},{OTHER_SERVER}")
        stage.add_server(OTHER_SERVER)
        sizes = itertools.count()
        stage.at(ANY, always, lambda proceed: Response(502, {}, b"?" * next(sizes)))
        assert stage.run().status == 1
        assert len(stage.said("trying again")) <= 20
        assert len("".join(stage.world.log)) < 12 * 1024

    @every
    @pytest.mark.parametrize("action", ["off", "cycle"])
    def test_are_waited_for_together(self, kind: type[World], action: str) -> None:
        stage = Stage(kind, Schedule(action=action, cut_delay=60), plug=f"{SERVER},{OTHER_SERVER}")
        stage.add_server(OTHER_SERVER)
        stage.run()
        assert_cut(stage)
        assert stage.booted(OTHER_SERVER) == stage.booted(SERVER)
        assert len(stage.booted()) == 1
        assert stage.duration() < 2 * 60

    @every
    @pytest.mark.parametrize("action", ["off", "cycle"])
    def test_one_that_is_proven_is_left_alone(self, kind: type[World], action: str) -> None:
        """What an operator does with it while the other is cut is none of our business."""
        stage = Stage(kind, Schedule(action=action), plug=f"{SERVER},{OTHER_SERVER}")
        stage.add_server(OTHER_SERVER).timing = Timing(reboot_duration=200)
        stage.world.clock.at(
            stage.world.begun + 60,
            lambda: stage.centre.set_netboot(
                SERVER, RESCUE if action == "cycle" else HARD_DISK, by="operator"
            ),
        )
        assert stage.run().status == 0
        assert stage.duration() > 200
        assert len(stage.booted()) == 1

    @both
    @pytest.mark.parametrize("action", ["off", "cycle"])
    def test_one_that_is_never_cut_is_a_failure(self, kind: type[World], action: str) -> None:
        for plugs in (f"{SERVER},{OTHER_SERVER}", f"{OTHER_SERVER},{SERVER}"):
            stage = Stage(kind, Schedule(action=action), plug=plugs, power_timeout="120")
            stage.add_server(OTHER_SERVER).timing = NEVER
            assert stage.run().status == 1
            assert stage.duration() <= 125, "one deadline for all"
            assert len(stage.booted()) == 1

    @both
    def test_many_are_monitored_in_their_time(self, kind: type[World]) -> None:
        names = [f"ns{number}.ovh.net" for number in range(2001, 2011)]
        stage = Stage(kind, STATUS, action="monitor", plug=",".join(names))
        for name in names:
            stage.add_server(name)
        for step in ("offered", "netboot"):
            stage.at(step, always, stage.taking(2))
        assert stage.run().status == 0
        assert stage.duration() > 40


class TestSecrets:
    @every
    def test_a_quoted_one_is_starred(self, kind: type[World]) -> None:
        stage = Stage(kind, STATUS)
        secret = stage.world.secrets[0]
        stage.at("read", always, stage.refused(f"Not for {secret}: log in"))
        world = stage.run()
        assert stage.said("Not for ***")
        assert world.leaks() == []

    @pytest.mark.parametrize("kind", [World, OAuth2World], ids=lambda kind: kind.api)
    def test_a_session_or_token_is_one(self, kind: type[World]) -> None:
        stage = Stage(kind, STATUS)

        def quoting(proceed: Any) -> Response:
            *_, secret = stage.world.given_secrets()
            return stage.refused(f"Not for {secret}: log in")(proceed)

        stage.at("read", always, quoting)
        world = stage.run()
        assert stage.said("Not for ***")
        assert world.leaks() == []

    def test_a_comment_of_a_task_never_shows_one(self) -> None:
        stage = Stage(RestWorld, OFF, power_timeout="60")
        key = stage.world.secrets[0]
        failed = saying('"status": *"[a-z]+"', f'"status": "ovhError", "comment": "key {key}"')
        unnamed = saying('"comment"', '"other"')
        stage.at("task", always, lambda proceed: failed(lambda: unnamed(proceed)))
        world = stage.run()
        assert world.status == 1
        assert stage.said("ovhError: key ***")
        assert world.leaks() == []

    def test_suds_logs_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        logging.getLogger("suds").propagate = True
        logging.getLogger("suds").setLevel(logging.NOTSET)
        monkeypatch.setattr(logging.getLogger(), "level", logging.DEBUG)
        logging.getLogger("suds.client").manager._clear_cache()
        world = Stage(World, OFF).run()
        assert world.leaks() == []
        assert not logging.getLogger("suds").propagate
        assert not logging.getLogger("suds").isEnabledFor(logging.CRITICAL)


class TestNetwork:
    """What only the real network does: each request within its limits, to one address."""

    @pytest.fixture(autouse=True)
    def no_proxy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("no_proxy", "*")

    def exchange(self, *pieces: bytes, seconds: float = 5.0) -> Any:
        """The answer to a request when a server sends these pieces, one each 0.1 s."""
        with one_answer(pieces) as url:
            return agent.Network().exchange("POST", url, {}, b"x", seconds)

    def test_follows_no_redirect(self) -> None:
        """A request that is repeated could be a second hard reboot."""
        answer = self.exchange(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n")
        assert (answer.status, answer.headers["location"]) == (302, "/x")

    def test_gives_errors_with_their_words(self) -> None:
        answer = self.exchange(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\n{}")
        assert (answer.status, answer.body) == (403, b"{}")

    def test_takes_no_part_for_the_whole(self) -> None:
        with pytest.raises(agent.NoAnswer, match="cut short"):
            self.exchange(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}")

    def test_reads_no_endless_answer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(agent, "LONGEST_ANSWER", 1000)
        with pytest.raises(agent.NoAnswer, match="more than 1000 bytes"):
            self.exchange(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1001)

    @pytest.mark.parametrize("length", [b"Content-Length: 99\r\n", b""])
    def test_waits_no_longer_than_its_limit(self, length: bytes) -> None:
        pieces = [b"HTTP/1.1 200 OK\r\n" + length + b"\r\n", *[b"x"] * 100]
        begun = time.monotonic()
        with pytest.raises(agent.NoAnswer, match="within 0.2 s"):
            self.exchange(*pieces, seconds=0.2)
        assert time.monotonic() - begun < 0.1 * len(pieces), "all of it was waited for"

    def test_waits_no_longer_for_what_has_no_limit_of_its_own(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As the resolution of a name."""
        is_over = threading.Event()
        monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments: is_over.wait(10))
        with pytest.raises(agent.NoAnswer, match="within 0.1 s"):
            agent.Network().exchange("GET", "http://ovh.invalid/", {}, None, 0.1)
        is_over.set()

    def test_an_address_that_does_not_answer_leaves_time_for_the_next(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with black_hole() as hole, one_answer([b"HTTP/1.1 200 OK\r\n\r\nyes"]) as url:
            good = ("127.0.0.1", int(re.findall(r"\d+", url)[-1]))
            found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", each) for each in (hole, good)]
            monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments: found)
            answer = agent.Network().exchange("POST", "http://ovh.invalid/", {}, b"x", 9)
        assert answer.body == b"yes"

    def test_sends_nothing_that_nobody_waits_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A hard reboot that is asked for later than its answer is waited for."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", listener.getsockname())]

            def slow(*arguments: Any) -> Any:
                time.sleep(0.3)
                return found

            monkeypatch.setattr(socket, "getaddrinfo", slow)
            with pytest.raises(agent.NoAnswer, match="within 0.1 s"):
                agent.Network().exchange("POST", "http://ovh.invalid/", {}, b"x", 0.1)
            with listener.accept()[0] as connection:
                connection.settimeout(5)
                assert connection.recv(99) == b""

    def test_a_lack_of_threads_is_a_fault_that_passes(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(agent.NoAnswer, match="no thread"):
            agent.Network().exchange("GET", "http://127.0.0.1:9/", {}, None, 600)

    def test_what_a_certificate_is_not_trusted_for_is_no_answer(self) -> None:
        exchange = agent.Network().exchange
        no_connection = pytest.raises(agent.NoAnswer, match="no connection to 127.0.0.1")
        with one_answer([b"this is no TLS"], until=b"") as url, no_connection:
            exchange("GET", url.replace("http", "https"), {}, None, 5)


@contextlib.contextmanager
def black_hole() -> Iterator[tuple[str, int]]:
    """An address that takes no connection and refuses none."""
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        yield full.getsockname()


@contextlib.contextmanager
def one_answer(pieces: Sequence[bytes], until: bytes = b"\r\n\r\nx") -> Iterator[str]:
    """The URL of a server that answers once with these pieces, one each 0.1 s."""

    def serve() -> None:
        with listener.accept()[0] as connection, contextlib.suppress(OSError):
            request = connection.recv(65536)
            while not request.endswith(until):
                request += connection.recv(65536)
            for number, piece in enumerate(pieces):
                time.sleep(0.1 if number else 0)
                connection.sendall(piece)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
