"""Each decision of the agent that keeps exit status 0 true, on a virtual clock.

docs/safety.md has the rules; tests/safety/mutants.py removes them one at a time.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import random
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from tests.harness import OTHER_SERVER, PASSWORD, SERVER, agent_with_our_library
from tests.safety.property import violations
from tests.safety.scripted import (
    ANY,
    HARD_DISK,
    RESCUE,
    EndlessRun,
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
from tests.simulator import Netboot, Response, RestSettings, Timing

APIS = [World, RestWorld]
both = pytest.mark.parametrize("kind", APIS, ids=lambda kind: kind.api)

OFF = Schedule()
QUICK = Schedule(boot_delay=0, rest=0)
ON = Schedule(action="on")
CYCLE = Schedule(action="cycle")
ONOFF = Schedule(action="onoff")
STATUS = Schedule(action="status")
POWER = Schedule(off_mode="power")
NEVER = Timing(carried_out=False)


def changed(schedule: Schedule, **fields: Any) -> Schedule:
    """The schedule with other fields."""
    return Schedule(**{**vars(schedule), **fields})


def assert_cut(stage: Stage) -> None:
    """The run ended with 0, and that is true."""
    assert stage.world.status == 0, "\n".join(stage.world.log)
    assert violations(stage.world) == []


def mark(kind: type[World]) -> str:
    """The step that tells the hard reboots so far."""
    return "tasks" if kind is RestWorld else "status"


def progress(kind: type[World]) -> str:
    """The step that tells how far a hard reboot is."""
    return "task" if kind is RestWorld else "status"


class TestNetboot:
    @both
    def test_is_read_back_before_the_reboot_is_asked_for(self, kind: type[World]) -> None:
        stage = Stage(kind, OFF)
        stage.at("set", nth(0), stage.ignored)
        stage.run()
        assert_cut(stage)
        assert stage.booted() == ["rescue"]
        assert stage.count("set") == 2

    @both
    def test_is_looked_up_anew_after_it_read_back_wrong(self, kind: type[World]) -> None:
        stage = Stage(kind, OFF)
        stage.at("set", nth(0), stage.ignored)
        stage.run()
        assert stage.count("offered") == 2

    @both
    def test_is_read_again_after_the_reboot(self, kind: type[World]) -> None:
        stage = Stage(kind, changed(QUICK, cut_delay=5, events=((3, "netboot disk"),)))
        stage.run()
        assert_cut(stage)
        assert stage.booted() == ["harddisk", "rescue"]

    @both
    def test_that_changes_while_waiting_is_set_before_the_server_boots(
        self, kind: type[World]
    ) -> None:
        stage = Stage(kind, changed(OFF, cut_delay=60, events=((10, "netboot disk"),)))
        stage.run()
        assert_cut(stage)
        assert stage.booted() == ["rescue", "rescue"]

    @both
    def test_that_changes_and_is_changed_back_is_noticed(self, kind: type[World]) -> None:
        """The server has booted its disk by then."""
        changes = ((22, "netboot disk"), (60, "netboot rescue"))
        stage = Stage(kind, changed(OFF, cut_delay=24, rest=60, events=changes))
        stage.run()
        assert (stage.world.status, stage.world.was_cut()) == (0, True)
        assert stage.booted() == ["harddisk", "rescue"]

    @both
    @pytest.mark.parametrize("lost", [True, False])
    def test_that_changes_and_is_changed_back_is_noticed_in_an_outage(
        self, kind: type[World], lost: bool
    ) -> None:
        """It is long not known whether the request was accepted, or whether the reboot is over."""
        changes = ((22, "netboot disk"), (60, "netboot rescue"))
        stage = Stage(kind, changed(OFF, cut_delay=40, events=changes))
        if lost:
            stage.at("reboot", nth(0), stage.lost_after)
        step = mark(kind) if lost else progress(kind)
        stage.at(step, lambda number, elapsed: number > 2 and elapsed < 100, stage.bad_gateway)
        stage.run()
        assert (stage.world.status, stage.world.was_cut()) == (0, True)
        assert stage.booted() == ["harddisk", "rescue"]

    @both
    def test_one_false_answer_while_waiting_costs_no_second_one(self, kind: type[World]) -> None:
        stage = Stage(kind, changed(OFF, cut_delay=60))
        stage.at("read", nth(2), stage.saying_netboot(HARD_DISK))
        stage.run()
        assert_cut(stage)
        assert len(stage.reboots()) == 1

    @both
    def test_is_not_believed_from_one_answer_after_the_reboot(self, kind: type[World]) -> None:
        stage = Stage(kind, changed(QUICK, cut_delay=5, events=((3, "netboot disk"),)))
        stage.at("read", nth(2), stage.saying_netboot(RESCUE))
        stage.run()
        assert_cut(stage)
        assert stage.booted() == ["harddisk", "rescue"]

    @both
    def test_one_false_answer_after_the_reboot_costs_no_second_one(self, kind: type[World]) -> None:
        stage = Stage(kind, QUICK)
        stage.at("read", nth(2), stage.saying_netboot(HARD_DISK))
        stage.run()
        assert_cut(stage)
        assert len(stage.reboots()) == 1

    @both
    @pytest.mark.parametrize("type_", ["rescue", "network"])
    def test_one_that_makes_no_sense_hides_no_other(self, kind: type[World], type_: str) -> None:
        stage = Stage(kind, OFF)
        stage.server.netboots = (Netboot(999_001, "", type_), *stage.server.netboots)
        stage.run()
        assert_cut(stage)
        assert stage.booted() == ["rescue"]

    @both
    def test_that_makes_no_sense_may_pass(self, kind: type[World]) -> None:
        """A server without a rescue system is refused after shell_timeout; this is not one."""
        stage = Stage(kind, OFF, shell_timeout="20")
        step = "netboot" if kind is RestWorld else "offered"
        blank = saying("rescue[\\w-]*", "") if kind is World else saying('"kernel"', '"other"')
        stage.at(step, between(0, 200), blank)
        stage.run()
        assert_cut(stage)
        assert stage.booted() == ["rescue"]

    def test_that_does_not_exist_is_listed_once_only(self) -> None:
        stage = Stage(RestWorld, OFF)
        stage.at("offered", nth(0), answering(200, [999_001]))
        stage.run()
        assert_cut(stage)
        assert stage.booted() == ["rescue"]

    @both
    def test_is_never_a_network_kernel_unless_asked_for(self, kind: type[World]) -> None:
        """Those mount the disk."""
        stage = Stage(kind, OFF)
        kernel = type(stage.server.netboot)(999_003, "bzImage-6.1", "network")
        stage.server.netboots += (kernel,)
        stage.run()
        assert_cut(stage)
        assert stage.booted() == ["rescue"]

    def test_is_forgotten_once_it_was_looked_up(self) -> None:
        """Else one false answer would be believed from the beginning to the end."""
        stage = Stage(RestWorld, CYCLE)
        stage.at("offered", nth(0), answering(200, [RESCUE]))
        stage.at("netboot", nth(0), saying('"bootType": *"rescue"', '"bootType": "harddisk"'))
        stage.run()
        assert_cut(stage)
        assert stage.booted() == ["harddisk"]

    def test_with_the_right_number_and_the_wrong_kind_is_another(self) -> None:
        disk, rescue = (agent.Netboot(1, "hd", kind) for kind in ("disk", "rescue"))
        assert disk != rescue
        assert disk == agent.Netboot(1, "hd", "disk")

    @both
    def test_none_that_fits_is_believed_once_it_lasts(self, kind: type[World]) -> None:
        stage = Stage(kind, OFF)
        stage.server.netboots = stage.server.netboots[:1]
        stage.run()
        assert stage.world.status == 1
        assert stage.said("no rescue that fits")
        assert 20 <= stage.duration() < 40
        assert stage.reboots() == []

    @both
    def test_none_that_fits_in_one_answer_is_not_believed(self, kind: type[World]) -> None:
        stage = Stage(kind, OFF)
        netboots = stage.server.netboots
        stage.server.netboots = netboots[:1]
        stage.world.clock.at(
            stage.world.begun + 10, lambda: setattr(stage.server, "netboots", netboots)
        )
        stage.run()
        assert_cut(stage)

    @both
    @pytest.mark.parametrize("wanted", ["hd", "1", "bzImage-4.19", "77"])
    def test_rescue_boot_is_never_what_runs_the_old_system(
        self, kind: type[World], wanted: str
    ) -> None:
        stage = Stage(kind, OFF, rescue_boot=wanted)
        kernel = type(stage.server.netboot)(77, "bzImage-4.19", "network")
        stage.server.netboots = (*stage.server.netboots[:1], kernel)
        stage.run()
        assert stage.world.status == 1
        assert stage.count("set") == 0


class TestReboots:
    """Which hard reboot is ours."""

    def test_two_answers_must_agree_on_those_before_ours_in_soap(self) -> None:
        """The first one is older: the start of the reboot after it is new to the agent."""
        stage = Stage(World, changed(OFF, earlier_reboots=2, queue_delay=100))
        stage.at("status", nth(0), showing_earlier(stage, 1))
        stage.run()
        assert_cut(stage)

    def test_two_answers_must_agree_on_those_before_ours_in_rest(self) -> None:
        """The first one is empty, and OVH answers the request with the document of an old task."""
        stage = Stage(RestWorld, OFF)
        stage.at("tasks", nth(0), answering(200, []))
        stage.at("reboot", nth(0), old_task(stage))
        stage.run()
        assert_cut(stage)

    @both
    def test_a_lost_request_is_not_repeated_when_there_is_a_new_one(
        self, kind: type[World]
    ) -> None:
        stage = Stage(kind, OFF)
        stage.at("reboot", nth(0), stage.lost_after)
        stage.run()
        assert_cut(stage)
        assert stage.count("reboot") == 1

    @both
    def test_a_lost_request_is_repeated_when_there_is_no_new_one(self, kind: type[World]) -> None:
        stage = Stage(kind, OFF)
        stage.at("reboot", nth(0, 1), stage.lost_before)
        stage.run()
        assert_cut(stage)
        assert stage.count("reboot") == 3
        assert len(stage.reboots()) == 1

    @both
    def test_a_refused_request_may_have_been_accepted(self, kind: type[World]) -> None:
        """It is not repeated with a new login either."""
        stage = Stage(kind, OFF)
        stage.at("reboot", nth(0), stage.denied_after)
        stage.run()
        assert_cut(stage)
        assert stage.count("reboot") == 1

    def test_a_new_one_must_be_seen_twice(self) -> None:
        stage = Stage(World, OFF)
        stage.at("reboot", nth(0), stage.lost_before)
        stage.at("status", nth(2), saying(r">[^<>]*</start>", ">2031-01-01 00:00:00</start>"))
        stage.run()
        assert_cut(stage)

    def test_a_blank_start_is_no_new_one(self) -> None:
        stage = Stage(World, OFF)
        stage.at("reboot", nth(0), stage.lost_before)
        stage.at("status", nth(2, 3), saying(r">[^<>]*</(start|end)>", r"></\1>"))
        stage.run()
        assert_cut(stage)

    def test_one_that_was_under_way_before_the_request_is_not_ours(self) -> None:
        """The operator's, which booted the disk before the netboot was set."""
        stage = Stage(
            RestWorld,
            changed(OFF, cut_delay=0, boot_delay=0, rest=60, events=((0, "reboot"),)),
        )
        stage.at("reboot", nth(0), stage.lost_before)
        stage.run()
        assert_cut(stage)
        assert stage.booted() == ["harddisk", "rescue"]

    def test_one_that_is_over_when_it_is_first_seen_is_not_ours(self) -> None:
        """Of that one it is not known when it was."""
        stage = Stage(
            RestWorld, changed(OFF, cut_delay=0, boot_delay=0, rest=0, events=((0, "reboot"),))
        )
        stage.at("tasks", nth(0, 1), answering(200, []))
        stage.at("reboot", nth(0), stage.lost_before)
        stage.run()
        assert_cut(stage)
        assert stage.booted() == ["harddisk", "rescue"]

    @pytest.mark.parametrize("date", ["null", '"some time"', '"2001-02-03T04:05:06"'])
    def test_one_without_a_date_is_ours_if_the_answer_names_it(self, date: str) -> None:
        undated = saying('"startDate": *"[^"]*"', f'"startDate": {date}')
        stage = Stage(RestWorld, OFF)
        for step in ("reboot", "task"):
            stage.at(step, always, undated)
        stage.run()
        assert_cut(stage)
        assert len(stage.reboots()) == 1

    @pytest.mark.parametrize("date", ["null", '"2099-02-03T04:05:06"'])
    def test_one_without_a_date_is_not_ours_if_the_answer_was_lost(self, date: str) -> None:
        undated = saying('"startDate": *"[^"]*"', f'"startDate": {date}')
        stage = Stage(RestWorld, OFF)
        stage.at("reboot", nth(0), stage.lost_after)
        stage.at("task", always, undated)
        stage.run()
        assert_cut(stage)
        assert len(stage.reboots()) == 2

    def test_one_that_turns_up_late_is_not_ours(self) -> None:
        """OVH dates it before the netboot was confirmed."""
        stage = Stage(
            RestWorld,
            changed(
                OFF,
                cut_delay=0,
                boot_delay=0,
                rest=90,
                faults=((0, "slow"),),
                events=((0, "reboot"),),
            ),
        )
        stage.at("tasks", nth(0, 1), answering(200, []))
        stage.at("reboot", nth(0), stage.lost_before)
        stage.run()
        assert_cut(stage)
        assert stage.booted() == ["harddisk", "rescue"]

    def test_the_document_of_an_old_task_is_no_answer_to_the_request(self) -> None:
        stage = Stage(RestWorld, OFF)
        stage.at("reboot", nth(0), old_task(stage))
        stage.run()
        assert_cut(stage)
        assert stage.count("reboot") == 2

    def test_the_document_of_another_kind_of_task_is_no_answer_either(self) -> None:
        stage = Stage(RestWorld, OFF)
        other = {
            "taskId": 999,
            "function": "reinstallServer",
            "status": "done",
            "startDate": "2099-01-01T00:00:00+00:00",
        }
        stage.at("reboot", nth(0), answering(200, other))
        stage.at("task", nth(0, 1), answering(200, other))
        stage.run()
        assert_cut(stage)
        assert stage.duration() < 60, "it is not taken for one that OVH has lost"

    def test_one_under_way_in_soap_is_waited_for(self) -> None:
        """It could lend ours its end."""
        stage = Stage(World, changed(OFF, rest=60, events=((0, "reboot"),)))
        stage.run()
        assert_cut(stage)
        assert (stage.count("set"), stage.count("reboot")) == (2, 1)
        assert stage.times("reboot")[0] >= 60

    def test_one_that_ovh_never_ended_in_soap_does_not_keep_the_server_from_being_cut(
        self,
    ) -> None:
        """But whose end is shown is in doubt: 1. The next run finds a clean past."""
        stage = Stage(World, OFF)
        stage.server.timing = Timing(carried_out=False, queue_reported=True)
        stage.centre.hard_reboot(SERVER, by="operator")
        stage.server.timing = None
        world = stage.run()
        assert (world.status, world.was_cut()) == (1, True)
        last = stage.server.hard_reboots[-1]
        assert agent.soap_reboot_stage(str(last.start), str(last.end)) == "over"

    def test_a_long_one_in_soap_lends_ours_no_end(self) -> None:
        """It is over after ours was asked for, and before ours cut anything."""
        schedule = changed(
            OFF, cut_delay=250, boot_delay=5, rest=200, reading="A-previous", earlier_reboots=1
        )
        stage = Stage(World, schedule)
        stage.centre.hard_reboot(SERVER, by="operator")
        stage.run()
        assert_cut(stage)
        assert stage.world.was_cut()

    def test_one_under_way_in_soap_is_known_by_its_times(self) -> None:
        for before, clear in (
            (("", ""), True),
            (("2026-01-02 03:04:05", "2026-01-02 03:05:05"), True),
            (("2026-01-02 03:04:05", ""), False),
            (("2026-01-02 03:04:05", "2026-01-01 03:05:05"), False),
            (("2026-01-02 03:04:05", "many"), False),
            (("many", "2026-01-01 03:05:05"), False),
        ):
            assert agent.SoapHardReboot(None, SERVER, before).is_clear is clear


def showing_earlier(stage: Stage, number: int) -> Any:
    """SOAP: answers as if the last `number` reboots had not been."""

    def answer(proceed: Any) -> Any:
        kept = list(stage.server.reported)
        try:
            del stage.server.reported[-number:]
            return proceed()
        finally:
            stage.server.reported[:] = kept

    return answer


def times(start: str, end: str) -> Any:
    """SOAP: answers with those times of the latest hard reboot."""
    members = f"<start>{start}</start><end>{end}</end>"
    return saying(r"<start.*(</return>)", members + r"\1")


def taking(stage: Stage, seconds: float, answer: Any) -> Any:
    """Answers after that time."""

    def late(proceed: Any) -> Any:
        stage.world.clock.sleep(seconds)
        return answer(proceed)

    return late


def old_task(stage: Stage) -> Any:
    """REST: answers with the document of the first task, and does nothing."""
    tasks = stage.world.front_end.tasks.of_server(SERVER)
    return lambda proceed: answering(200, next(iter(tasks.values())).document(stage.centre.clock))(
        proceed
    )


class TestBusy:
    """REST: the operator's reboot is under way, of the disk, when ours is asked for."""

    def stage(self, rest: int) -> Stage:
        return Stage(
            RestWorld,
            changed(OFF, cut_delay=0, boot_delay=0, rest=rest, events=((0, "reboot"),)),
        )

    @pytest.mark.parametrize("status", [400, 409])
    def test_waits_and_begins_again(self, status: int) -> None:
        stage = self.stage(rest=60)
        stage.world.front_end.settings = RestSettings(task_conflict_status=status)
        stage.run()
        assert_cut(stage)
        assert stage.booted() == ["harddisk", "rescue"]
        assert (stage.count("offered"), stage.count("set"), stage.count("reboot")) == (2, 2, 2)
        assert stage.times("reboot")[1] >= 60
        assert stage.said("already running")

    def test_waits_for_tasks_of_every_kind(self) -> None:
        stage = Stage(RestWorld, OFF)
        stage.world.front_end.tasks.reinstall(SERVER, by="operator", seconds=200)
        stage.run()
        assert_cut(stage)
        assert stage.count("reboot") == 2

    def test_may_be_the_reboot_whose_answer_was_lost(self) -> None:
        """The list does not show it yet."""
        stage = Stage(RestWorld, changed(OFF, task_unseen=30, rest=90))
        stage.at("reboot", nth(0), stage.lost_after)
        stage.run()
        assert_cut(stage)
        assert len(stage.reboots()) == 1

    def test_a_reboot_of_another_is_not_adopted(self) -> None:
        """Accepted after the list was read, and over soon after: our own is still asked for."""
        stage = self.stage(rest=30)
        stage.at("tasks", nth(0, 1), answering(200, []))
        stage.run()
        assert_cut(stage)
        assert stage.booted() == ["harddisk", "rescue"]


class TestEnd:
    """When a hard reboot counts as over."""

    def test_in_soap_is_not_believed_from_one_answer(self) -> None:
        """A false end at a time at which it could be true."""
        stage = Stage(World, changed(OFF, queue_delay=20))
        stage.at("status", nth(2, 4), times("2031-01-01 00:00:00", "2031-01-01 00:00:00"))
        stage.run()
        assert_cut(stage)

    @pytest.mark.parametrize("schedule", [OFF, POWER], ids=lambda schedule: schedule.off_mode)
    def test_in_rest_is_not_believed_from_one_answer(self, schedule: Schedule) -> None:
        stage = Stage(RestWorld, changed(schedule, cut_delay=20))
        stage.server.on = schedule is OFF
        stage.at("task", nth(1), saying('"status": *"[a-z]+"', '"status": "done"'))
        stage.run()
        assert_cut(stage)

    def test_in_rest_slow_calls_are_no_refusal(self) -> None:
        stage = Stage(RestWorld, changed(OFF, outages=((0, 60, "slow"),)))
        stage.run()
        assert_cut(stage)

    def test_in_soap_needs_a_start_that_is_not_the_one_before(self) -> None:
        stage = Stage(World, changed(OFF, queue_delay=100))
        stage.run()
        assert_cut(stage)

    @pytest.mark.parametrize("reading", ["A-empty", "A-previous", "B"])
    def test_in_soap_is_not_before_the_cut_in_any_reading(self, reading: str) -> None:
        stage = Stage(World, changed(OFF, reading=reading, queue_delay=7, cut_delay=20))
        stage.run()
        assert_cut(stage)

    @pytest.mark.parametrize("hours", [-10, 12])
    def test_in_soap_does_not_depend_on_the_zone(self, hours: int) -> None:
        stage = Stage(World, changed(OFF, zone=hours, reading="B", cut_delay=20))
        stage.run()
        assert_cut(stage)
        assert len(stage.reboots()) == 1

    @pytest.mark.parametrize(
        "text", ["2026-01-02", "2026-01-02T03:04:05+00:00", "2026-01-02 03:04", "20260102T030405"]
    )
    def test_in_soap_is_a_time_in_one_form_alone(self, text: str) -> None:
        assert agent.parse_time(text) is None

    @pytest.mark.parametrize("outcome", ["cancelled", "customerError", "ovhError"])
    def test_in_rest_a_task_that_failed_is_a_failure(self, outcome: str) -> None:
        stage = Stage(RestWorld, changed(OFF, outcome=outcome))
        stage.run()
        assert stage.world.status == 1
        assert stage.said(f"hard reboot {SERVER}: {outcome}")
        assert stage.duration() < 60

    def test_in_rest_is_that_of_our_task(self) -> None:
        stage = Stage(RestWorld, changed(OFF, cut_delay=30))
        stage.at("task", between(0, 10), old_task(stage))
        stage.run()
        assert_cut(stage)

    @pytest.mark.parametrize("status", ["", "finished", "DONE"])
    def test_in_rest_no_unknown_status_is_one(self, status: str) -> None:
        """Nor does it mean that the task is lost."""
        stage = Stage(RestWorld, OFF)
        stage.at("task", between(0, 150), saying('"status": *"[a-z]+"', f'"status": "{status}"'))
        stage.run()
        assert_cut(stage)
        assert stage.duration() >= 150
        assert len(stage.reboots()) == 1

    def test_in_rest_an_unknown_task_proves_nothing(self) -> None:
        stage = Stage(RestWorld, changed(OFF, task_unseen=50))
        stage.run()
        assert_cut(stage)
        assert stage.duration() >= 50
        assert len(stage.reboots()) == 1

    def test_in_rest_a_task_that_stays_unknown_is_lost(self) -> None:
        stage = Stage(RestWorld, OFF)
        gone = answering(404, {"message": "no such task"})
        stage.at("task", between(0, 100), gone)
        stage.run()
        assert_cut(stage)
        assert stage.said("has lost the hard reboot; asking anew")
        begun = stage.times("reboot")
        assert len(begun) == 2
        assert 60 <= begun[1] - begun[0] < 70

    def test_in_rest_a_task_that_is_known_now_and_then_is_not_lost(self) -> None:
        stage = Stage(RestWorld, changed(OFF, cut_delay=30, rest=100))
        gone = answering(404, {"message": "no such task"})
        stage.at("task", between(0, 40), gone)
        stage.at("task", between(50, 90), gone)
        stage.run()
        assert_cut(stage)
        assert len(stage.reboots()) == 1

    def test_in_rest_power_is_that_of_the_power(self) -> None:
        stage = Stage(RestWorld, POWER)
        stage.run()
        assert_cut(stage)
        assert stage.world.running_at_end is None
        assert stage.duration() >= 2 + 5 + 20

    def test_in_rest_a_missing_power_state_is_not_off(self) -> None:
        stage = Stage(RestWorld, POWER)
        stage.at("read", between(10, 100), saying('"powerState"', '"other"'))
        stage.run()
        assert_cut(stage)
        assert stage.duration() >= 100


class TestOneLie:
    """One false answer, or one that OVH gives too early, makes no exit status 0 false."""

    def test_in_soap_about_the_end_while_another_is_under_way(self) -> None:
        """The other's own end could then pass for the second end, which is ours."""
        start, others_end, our_end = (f"2026-01-02 03:0{minute}:00" for minute in (1, 4, 8))
        told = iter([start, *[others_end] * 3, our_end])
        seconds = iter(range(0, 9999, 600))
        api = SimpleNamespace(
            clock=SimpleNamespace(monotonic=lambda: next(seconds)),
            reboot_status=lambda server: (start, next(told)),
        )
        reboot = agent.SoapHardReboot(api, SERVER, ("2026-01-02 03:00:00", ""))
        assert [reboot.is_over() for _ in range(5)] == [False] * 4 + [True]

    def test_in_soap_an_old_start_in_another_spelling_is_not_new(self) -> None:
        stage = Stage(World, changed(OFF, never=9), power_timeout="300")
        stage.at("status", between(3, 9999), saying(r">(....-..-..) (..:..:..)<", r">\1T\2<"))
        assert stage.run().status == 1

    def test_in_soap_times_that_make_no_sense_do_not_keep_the_server_from_being_cut(self) -> None:
        """But nothing then proves it."""
        stage = Stage(World, OFF)
        stage.at("status", between(0, 310), times("0000-00-00 00:00:00", ""))
        world = stage.run()
        assert (world.status, world.was_cut()) == (1, True)

    @both
    def test_about_a_netboot_that_is_set_too_late(self, kind: type[World]) -> None:
        stage = Stage(kind, OFF)
        stage.at("set", nth(0), stage.ignored)
        stage.at("read", nth(0), stage.saying_netboot(RESCUE))
        stage.run()
        assert_cut(stage)
        assert stage.booted() == ["rescue"]

    def test_in_rest_a_netboot_that_becomes_another_kind_is_not_what_was_wanted(self) -> None:
        stage = Stage(RestWorld, OFF, power_timeout="300")
        changed_kind = saying('"bootType": *"rescue"', '"bootType": "harddisk"')
        stage.at("netboot", lambda number, elapsed: stage.count("reboot") > 0, changed_kind)
        assert stage.run().status == 1

    @pytest.mark.parametrize("number", range(5))
    @pytest.mark.parametrize("answer", [1763, float("nan"), 1e9 + 0.5, None, "stale"], ids=str)
    def test_in_rest_about_the_time(self, number: int, answer: Any) -> None:
        """A task that turns up late could be dated after a false one."""
        stage = Stage(
            RestWorld,
            changed(
                OFF,
                cut_delay=0,
                boot_delay=0,
                rest=90,
                faults=((0, "slow"),),
                events=((0, "reboot"),),
            ),
        )
        stale = saying(r"(\d+)(\d{4})", r"\g<1>0000")
        stage.at("time", nth(number), stale if answer == "stale" else answering(200, answer))
        stage.at("tasks", nth(0, 1), answering(200, []))
        stage.at("reboot", nth(0), stage.lost_before)
        stage.run()
        assert_cut(stage)
        assert stage.booted() == ["harddisk", "rescue"]

    @pytest.mark.parametrize("number", [0, 1])
    def test_in_rest_about_the_first_time_is_no_refusal(self, number: int) -> None:
        stage = Stage(RestWorld, OFF)
        stage.at("time", nth(number), saying(r"(\d+)(\d{4})", r"\g<1>0000"))
        stage.run()
        assert_cut(stage)

    def test_in_rest_two_times_cut_short_agree_on_nothing(self) -> None:
        stage = Stage(RestWorld, OFF)
        stage.at("time", nth(0, 1), answering(200, 176))
        stage.run()
        assert_cut(stage)

    def test_in_rest_about_the_function_of_our_task(self) -> None:
        soft = saying('"hardReboot"', '"softReboot"')
        done = saying('"status": *"[a-z]+"', '"status": "done"')
        stage = Stage(RestWorld, changed(OFF, never=9), power_timeout="300")
        stage.at("task", always, lambda proceed: soft(lambda: done(proceed)))
        assert stage.run().status == 1

    def test_in_rest_about_the_number_of_our_task(self) -> None:
        """OVH answers with one from long ago, which its list has forgotten."""
        stage = Stage(RestWorld, changed(OFF, never=9), power_timeout="300")
        old = {
            "taskId": 4711,
            "function": "hardReboot",
            "status": "done",
            "comment": None,
            "startDate": "2001-02-03T04:05:06+01:00",
        }
        stage.at("reboot", nth(0), answering(200, old))
        stage.at("task", always, answering(200, old))
        assert stage.run().status == 1

    @pytest.mark.parametrize("outcome", ["cancelled", "customerError", "ovhError"])
    def test_in_rest_about_a_task_that_was_given_up(self, outcome: str) -> None:
        stage = Stage(RestWorld, changed(OFF, cut_delay=20))
        stage.at("task", nth(1), saying('"status": *"[a-z]+"', f'"status": "{outcome}"'))
        stage.run()
        assert_cut(stage)
        assert len(stage.reboots()) == 1


class TestStatus:
    @both
    def test_off_is_two(self, kind: type[World]) -> None:
        stage = Stage(kind, STATUS)
        stage.centre.set_netboot(SERVER, RESCUE, by="operator")
        world = stage.run()
        assert (world.status, world.output) == (2, "Status: OFF\n")

    @both
    def test_off_is_said_by_two_answers(self, kind: type[World]) -> None:
        stage = Stage(kind, STATUS)
        stage.at("read", nth(0), stage.saying_netboot(RESCUE))
        world = stage.run()
        assert (world.status, world.output) == (0, "Status: ON\n")

    def test_rescue_whose_task_is_not_listed_yet_is_on(self) -> None:
        """Another node has just asked for it."""
        stage = Stage(RestWorld, changed(STATUS, task_unseen=3, cut_delay=20))
        stage.centre.set_netboot(SERVER, RESCUE, by="another agent")
        stage.centre.hard_reboot(SERVER, by="another agent")
        assert stage.run().status == 0

    @both
    def test_off_is_said_also_with_short_limits(self, kind: type[World]) -> None:
        """The pause between the two looks is not the time of a call."""
        stage = Stage(kind, STATUS, login_timeout="1", shell_timeout="1")
        stage.centre.set_netboot(SERVER, RESCUE, by="operator")
        assert stage.run().status == 2

    @both
    def test_many_plugs_are_monitored_in_their_time(self, kind: type[World]) -> None:
        names = [f"ns{number}.ovh.net" for number in range(2001, 2011)]
        stage = Stage(kind, STATUS, action="monitor", plug=",".join(names))
        for name in names:
            stage.add_server(name)
        for step in ("offered", "netboot"):
            stage.at(step, always, taking(stage, 2, lambda proceed: proceed()))
        assert stage.run().status == 0
        assert stage.duration() > 40

    def test_off_is_said_in_a_list_by_two_answers(self) -> None:
        stage = Stage(World, STATUS, action="list-status")
        stage.at("read", nth(0), stage.saying_netboot(RESCUE))
        assert stage.run().output == f"{SERVER},,on\n"

    def test_a_netboot_without_a_type_is_asked_for_again(self) -> None:
        stage = Stage(RestWorld, STATUS)
        stage.centre.set_netboot(SERVER, RESCUE, by="operator")
        stage.at("netboot", nth(0), saying('"bootType": *"rescue"', '"bootType": ""'))
        assert stage.run().status == 2

    @both
    def test_rescue_under_way_is_on(self, kind: type[World]) -> None:
        stage = Stage(
            kind, changed(STATUS, netboot_by_hand=True, events=((0, "reboot"),), cut_delay=30)
        )
        assert stage.run().status == 0

    def test_rescue_that_was_never_booted_is_on(self) -> None:
        stage = Stage(World, changed(STATUS, netboot_by_hand=True, earlier_reboots=0))
        assert stage.run().status == 0

    def test_a_rescue_boot_of_another_name_is_off(self) -> None:
        stage = Stage(World, STATUS, rescue_boot="tools")
        tools = type(stage.server.netboot)(77, "tools", "network")
        stage.server.netboots += (tools,)
        stage.server.netboot = tools
        assert stage.run().status == 2

    @both
    def test_the_disk_is_no_rescue_boot(self, kind: type[World]) -> None:
        assert Stage(kind, STATUS, rescue_boot="hd").run().status == 0

    def test_switched_off_is_off(self) -> None:
        stage = Stage(RestWorld, STATUS)
        stage.server.on, stage.server.running = False, None
        assert stage.run().status == 2

    @both
    def test_what_cannot_be_asked_is_a_failure(self, kind: type[World]) -> None:
        stage = Stage(kind, STATUS)
        stage.at("read", always, stage.bad_gateway)
        world = stage.run()
        assert world.status == 1
        assert 30 <= stage.duration() <= 40.1, "login_timeout + shell_timeout"


class TestOn:
    @both
    def test_does_nothing_to_a_server_that_runs_from_disk(self, kind: type[World]) -> None:
        stage = Stage(kind, ON)
        assert stage.run().status == 0
        assert stage.count("set") == stage.count("reboot") == 0

    @both
    def test_reboots_one_whose_netboot_is_another(self, kind: type[World]) -> None:
        stage = Stage(kind, changed(ON, netboot_by_hand=True))
        assert stage.run().status == 0
        assert stage.booted() == ["harddisk"]

    @both
    def test_reboots_one_on_which_a_reboot_is_under_way(self, kind: type[World]) -> None:
        """Which netboot that one takes is not known."""
        stage = Stage(kind, changed(ON, events=((0, "reboot"),)))
        assert stage.run().status == 0
        assert len(stage.reboots()) == 2

    def test_reboots_one_on_which_a_reboot_moves_on_between_two_questions(self) -> None:
        """It is queued when those under way are asked for, and under way when the queued are."""
        stage = Stage(RestWorld, changed(ON, events=((0, "reboot"),), queue_delay=10))
        stage.at("read", nth(0), taking(stage, 6, lambda proceed: proceed()))
        stage.at("tasks", nth(0), lambda proceed: (proceed(), stage.world.clock.sleep(6))[0])
        assert stage.run().status == 0
        assert len(stage.reboots()) == 2

    def test_reboots_one_that_is_switched_off(self) -> None:
        stage = Stage(RestWorld, ON)
        stage.server.on, stage.server.running = False, None
        assert stage.run().status == 0
        assert stage.booted() == ["harddisk"]

    @both
    def test_fails_when_the_reboot_never_happens(self, kind: type[World]) -> None:
        stage = Stage(kind, changed(ON, netboot_by_hand=True, never=9))
        world = stage.run()
        assert world.status == 1
        assert world.output == ""


class TestNoStatusIsTrusted:
    @both
    @pytest.mark.parametrize("schedule", [OFF, CYCLE, ONOFF], ids=lambda s: s.action)
    def test_a_server_that_is_off_is_cut_all_the_same(
        self, kind: type[World], schedule: Schedule
    ) -> None:
        stage = Stage(kind, schedule)
        stage.centre.set_netboot(SERVER, RESCUE, by="operator")
        stage.run()
        assert_cut(stage)
        booted = {"off": ["rescue"], "cycle": ["harddisk"], "onoff": ["rescue", "harddisk"]}
        assert stage.booted() == booted[schedule.action]


class TestOnPortion:
    @both
    def test_that_never_happens_is_logged_and_still_success(self, kind: type[World]) -> None:
        stage = Stage(kind, ONOFF)
        stage.centre.on_cut.append(lambda server: setattr(server, "timing", NEVER))
        stage.run()
        assert_cut(stage)
        assert stage.booted() == ["rescue"]
        assert stage.said("was cut, but is not proven to boot from disk")

    @both
    def test_that_is_refused_is_logged_and_still_success(self, kind: type[World]) -> None:
        stage = Stage(kind, ONOFF)
        stage.centre.on_cut.append(lambda server: stage.at("set", always, stage.denied))
        stage.run()
        assert_cut(stage)
        assert stage.said("was cut, but is not proven to boot from disk")

    @both
    def test_a_failing_off_portion_is_a_failure(self, kind: type[World]) -> None:
        stage = Stage(kind, changed(ONOFF, never=9))
        world = stage.run()
        assert world.status == 1
        assert stage.duration() < 1000, "on is not tried"

    def test_an_off_portion_that_is_not_proven_is_a_failure(self) -> None:
        fencing = SimpleNamespace(
            wanted={"off": "rescue", "on": "disk"},
            find=lambda server, kind: SimpleNamespace(proven=False),
            wait=lambda: None,
        )
        with pytest.raises(agent.NotProven):
            agent.get_power_status(fencing, {"--plug": SERVER, "--action": "on"})

    @both
    def test_has_its_own_power_timeout(self, kind: type[World]) -> None:
        stage = Stage(kind, changed(ONOFF, queue_delay=80), power_timeout="120")
        stage.run()
        assert_cut(stage)
        assert stage.booted() == ["rescue", "harddisk"]
        assert not stage.said("not proven to boot from disk")


class TestDeadline:
    @both
    @pytest.mark.parametrize("schedule", [OFF, CYCLE], ids=lambda s: s.action)
    def test_ends_a_wait_for_what_never_happens(
        self, kind: type[World], schedule: Schedule
    ) -> None:
        stage = Stage(kind, changed(schedule, never=9), power_timeout="300")
        world = stage.run()
        assert world.status == 1
        assert 295 <= stage.duration() <= 302
        assert stage.said("in vain for the hard reboot to be over; see power_timeout")

    @both
    @pytest.mark.parametrize("action", ["status", "monitor", "list"])
    def test_of_a_look_is_one_for_all_its_calls(self, kind: type[World], action: str) -> None:
        stage = Stage(kind, STATUS, action=action, login_timeout="20", shell_timeout="20")

        def slow(proceed: Any) -> Any:
            limit = stage.limits[-1][1]
            stage.world.clock.sleep(min(15, limit))
            return proceed() if limit > 15 else stage.lost_before(proceed)

        for step in ("login", "time", "GET /dedicated/server", "dedicatedList", ANY):
            stage.at(step, always, slow)
        stage.run()
        assert 30 <= stage.duration() <= 40 + agent.LOGOUT_LIMIT + 1

    @both
    @pytest.mark.parametrize("fault", ["time-out before", "drip", "refused", "502"])
    def test_counts_seconds_and_not_calls(self, kind: type[World], fault: str) -> None:
        schedule = changed(OFF, never=9, outages=((0, 9000, fault),))
        stage = Stage(kind, schedule, power_timeout="300")
        world = stage.run()
        assert world.status == 1
        assert 285 <= stage.duration() <= 302

    @both
    def test_limits_each_call_by_what_is_left(self, kind: type[World]) -> None:
        schedule = changed(OFF, never=9, outages=((3, 9000, "time-out before"),))
        stage = Stage(kind, schedule, power_timeout="300")
        stage.run()
        usual = {limit for at, limit in stage.limits if at < 200}
        assert usual == {20.0}, "shell_timeout and login_timeout"
        assert all(limit <= max(300 - at, agent.LOGOUT_LIMIT) for at, limit in stage.limits)

    @both
    def test_lets_no_call_begin_after_it(self, kind: type[World]) -> None:
        schedule = changed(OFF, never=9, outages=((3, 9000, "time-out before"),))
        stage = Stage(kind, schedule, power_timeout="300")
        stage.run()
        assert [step for at, step in stage.steps if at >= 300 and step != "logout"] == []

    @both
    def test_may_pass_between_two_calls(self, kind: type[World]) -> None:
        stage = Stage(kind, OFF, power_timeout="20")
        stage.at("offered", always, taking(stage, 25, lambda proceed: proceed()))
        assert stage.run().status == 1
        assert stage.said("waited 25 s in vain")
        assert stage.reboots() == []

    @both
    def test_can_be_disabled_and_then_each_minute_is_reported(self, kind: type[World]) -> None:
        schedule = changed(OFF, queue_delay=2000)
        stage = Stage(kind, schedule, power_timeout="300", disable_timeout="true")
        world = stage.run()
        assert (world.status, stage.booted()) == (0, ["rescue"])
        reports = stage.said("still waiting for the hard reboot to be over")
        assert stage.duration() / 66 < len(reports) <= stage.duration() / 60

    @pytest.mark.parametrize(
        ("given", "environment", "disabled"),
        [
            ("1", "", True),
            ("true", "", True),
            ("YES", "", True),
            ("0", "", False),
            ("false", "pacemaker-fenced", False),
            ("", "", False),
            ("", "pacemaker-fenced", True),
            ("", "pacemaker-execd", False),
        ],
    )
    def test_who_disables_it(
        self, given: str, environment: str, disabled: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PCMK_service", environment)
        options = {"--disable-timeout": given} if given else {}
        assert agent.timeout_is_disabled(options) is disabled

    def test_is_kept_by_what_is_left(self) -> None:
        clock = World(OFF).clock
        deadline = agent.Deadline(clock)
        assert deadline.limit(7) == 7, "none is set"
        deadline.start(10)
        assert deadline.limit(7) == 7
        clock.sleep(4)
        assert deadline.limit(7) == 6
        clock.sleep(9)
        assert deadline.limit(7) == 0
        deadline.start(None)
        assert deadline.limit(7) == 7


class TestWhatIsLeft:
    """After a failed off or on one line says what the server was left with."""

    @both
    @pytest.mark.parametrize(
        ("step", "fault", "left"),
        [
            ("offered", "bad_gateway", "its netboot as it was, no hard reboot asked for"),
            ("set", "bad_gateway", "or as it was, no hard reboot asked for"),
            ("set", "ignored", "its netboot hd (id 1), no hard reboot asked for"),
            ("reboot", "lost_before", "its netboot rescue12-customer (id 230242), hard reboot ask"),
            ("reboot", "", "hard reboot accepted by OVH and not proven to be over"),
        ],
    )
    def test_is_said_in_one_line(self, kind: type[World], step: str, fault: str, left: str) -> None:
        stage = Stage(kind, changed(OFF, never=9), power_timeout="60")
        if fault:
            stage.at(step, always, getattr(stage, fault))
        assert stage.run().status == 1
        (line,) = stage.said("was left with")
        assert left in line
        assert f"next, with the same keys: fence_ovh -n {SERVER} -o status" in line
        assert ("-o on" in line) == (step != "offered")

    @both
    def test_is_not_said_after_success(self, kind: type[World]) -> None:
        stage = Stage(kind, OFF)
        stage.run()
        assert_cut(stage)
        assert not stage.said("was left with")


class TestRefusals:
    @both
    def test_at_the_first_contact_is_an_answer(self, kind: type[World]) -> None:
        stage = Stage(kind, OFF)
        stage.at("offered", always, stage.denied)
        world = stage.run()
        assert world.status == 1
        assert stage.duration() < 2
        assert stage.said("Not for you")

    def test_of_the_login_is_an_answer(self) -> None:
        stage = Stage(World, OFF, password="wrong")
        assert stage.run().status == 1
        assert stage.duration() < 2
        assert stage.said("check login and passwd")

    @both
    def test_of_what_was_granted_before_is_believed_once_it_lasts(self, kind: type[World]) -> None:
        stage = Stage(kind, changed(OFF, cut_delay=30))
        stage.at(progress(kind), between(2, 9e9), stage.denied)
        world = stage.run()
        assert world.status == 1
        assert 5 + 20 <= stage.duration() < 5 + 20 + 10

    @both
    def test_of_what_was_granted_before_may_pass(self, kind: type[World]) -> None:
        stage = Stage(kind, changed(OFF, cut_delay=30))
        stage.at(progress(kind), between(2, 20), stage.denied)
        stage.run()
        assert_cut(stage)

    @both
    def test_with_a_fault_in_between_begins_to_last_anew(self, kind: type[World]) -> None:
        stage = Stage(kind, changed(OFF, cut_delay=60))
        stage.at(progress(kind), between(2, 17), stage.denied)
        stage.at(progress(kind), between(17, 27), stage.bad_gateway)
        stage.at(progress(kind), between(27, 39), stage.denied)
        stage.run()
        assert_cut(stage)

    @both
    @pytest.mark.parametrize("step", ["set", "read"])
    def test_of_slow_calls_is_believed_once_it_lasts(self, kind: type[World], step: str) -> None:
        stage = Stage(kind, OFF, shell_timeout="20")
        slow = taking(stage, 15, stage.denied)
        stage.at(step, always, slow)
        for each in ("login", "time"):
            stage.at(each, between(1, 9e9), taking(stage, 15, lambda proceed: proceed()))
        assert stage.run().status == 1
        assert stage.duration() < 200
        assert stage.said("Not for you")

    @both
    def test_no_netboot_in_slow_calls_is_believed_once_it_lasts(self, kind: type[World]) -> None:
        stage = Stage(kind, OFF, rescue_boot="none", shell_timeout="20")
        for step in ("offered", "netboot"):
            stage.at(step, always, taking(stage, 7, lambda proceed: proceed()))
        assert stage.run().status == 1
        assert stage.duration() < 200
        assert stage.said("no rescue_boot=none that fits")

    @both
    def test_far_apart_are_not_one_that_lasts(self, kind: type[World]) -> None:
        """Two of the request for a hard reboot, with an outage between them."""
        stage = Stage(kind, OFF)
        stage.at("reboot", nth(0, 1), stage.denied)
        stage.at(mark(kind), lambda number, elapsed: number > 1 and elapsed < 70, stage.bad_gateway)
        stage.run()
        assert_cut(stage)

    @pytest.mark.parametrize(
        "words", ["Timeout while asking the database", "Try later: INTERNAL ERROR"]
    )
    def test_in_words_of_a_fault_is_one(self, words: str) -> None:
        stage = Stage(World, OFF)
        fault = saying("Not for you", words)
        stage.at("login", nth(0), lambda proceed: fault(lambda: stage.denied(proceed)))
        stage.run()
        assert_cut(stage)

    def test_of_a_netboot_because_of_a_task_is_a_fault(self) -> None:
        stage = Stage(RestWorld, OFF)
        busy = {"class": "Client::BadRequest::TaskAlreadyExists", "message": "Task 1 is running"}
        stage.at("set", between(0, 60), answering(400, busy))
        stage.run()
        assert_cut(stage)

    def test_of_a_key_is_not_tried_again(self) -> None:
        stage = Stage(RestWorld, OFF)
        stage.at("offered", always, stage.denied)
        stage.run()
        assert stage.count("offered") == 1

    def test_of_a_client_that_worked_is_answered_with_a_new_one(self) -> None:
        """Its time or its token may have become wrong."""
        stage = Stage(RestWorld, OFF)
        stage.at("set", nth(0), stage.denied)
        stage.run()
        assert_cut(stage)
        first, second = stage.times("set")
        assert second - first < 0.2

    def test_is_answered_with_a_new_login(self) -> None:
        """Not every fault of an expired session says so."""
        stage = Stage(World, OFF)
        stage.at("offered", nth(0), stage.denied)
        stage.run()
        assert_cut(stage)
        assert stage.count("login") == 2

    def test_of_a_session_is_none(self) -> None:
        stage = Stage(World, OFF)
        gone = saying("Not for you", "your session is over")
        stage.at("offered", between(0, 60), lambda proceed: gone(lambda: stage.denied(proceed)))
        stage.run()
        assert_cut(stage)


class TestPauses:
    @both
    @pytest.mark.parametrize(
        ("asked", "least"), [("0", 0.0), ("7", 7.0), ("99999", 30.0), ("soon", 0.0)]
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
        stage.at("offered", nth(0), taking(stage, 10, later))
        stage.run()
        assert_cut(stage)
        first, second = stage.times("offered")[:2]
        assert second - first >= 10 + 7

    def test_grow_to_a_limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(random, "uniform", lambda low, high: high)
        patience = self.patience()
        pauses = [patience.pause_after(agent.Fault("x", "", "y")) for _ in range(8)]
        assert pauses == [0.5, 1, 2, 4, 8, 8, 8, 8]

    def test_differ_between_agents(self) -> None:
        drawn = {self.patience().pause_after(agent.Fault("x", "", "y")) for _ in range(20)}
        assert len(drawn) > 1
        assert all(0.25 <= pause <= 0.5 for pause in drawn)

    def test_begin_small_again_after_an_answer(self) -> None:
        stage = Stage(World, changed(OFF, cut_delay=60))
        stage.at("status", between(20, 50), stage.bad_gateway)
        stage.at("status", between(59, 65), stage.bad_gateway)
        stage.run()
        late = [at for at in stage.times("status") if at >= 59]
        assert late[1] - late[0] < 1

    def patience(self) -> Any:
        """The patience of an agent that has just begun."""
        world = World(OFF)
        api = agent.SoapApi(world.options(), world, world.clock, agent.Deadline(world.clock))
        fencing = agent.Fencing(world.options(), api, world.clock, None, None)
        return agent.Patience(fencing, SERVER)


class TestExitStatus:
    @both
    @pytest.mark.parametrize("action", ["off", "on", "cycle", "onoff", "status"])
    def test_of_a_signal_is_one_and_the_session_is_closed(
        self, kind: type[World], action: str
    ) -> None:
        stage = Stage(kind, Schedule(action=action, netboot_by_hand=True))
        stage.at("read", nth(0), interrupting)
        world = stage.run()
        assert world.status == 1
        assert stage.said("ended by SIGTERM")
        assert stage.centre.sessions.count() == 0

    def test_of_a_signal_outside_of_the_run_is_one(self) -> None:
        assert agent.Interrupted("SIGTERM").code == 1

    @both
    @pytest.mark.parametrize("action", ["off", "on", "cycle", "onoff", "status"])
    def test_of_a_defect_is_one_and_its_text_is_not_shown(
        self, kind: type[World], action: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(self: Any, server: str) -> None:
            raise ZeroDivisionError(PASSWORD)

        monkeypatch.setattr(kind is RestWorld and agent.RestApi or agent.SoapApi, "server", broken)
        stage = Stage(kind, Schedule(action=action))
        world = stage.run(defects=1)
        assert world.status == 1
        assert stage.said("defect in fence_ovh: ZeroDivisionError in ")
        assert world.leaks() == []
        assert stage.centre.sessions.count() == 0

    @both
    def test_of_a_refusal_is_one(self, kind: type[World]) -> None:
        for action in ("off", "on", "cycle", "onoff", "status"):
            stage = Stage(kind, Schedule(action=action))
            stage.at(ANY, always, stage.denied)
            assert stage.run().status == 1
            assert stage.said("Not for you")

    @both
    def test_is_two_for_status_alone(self, kind: type[World]) -> None:
        expected = {"off": 0, "on": 0, "reboot": 0, "monitor": 0, "list": 0, "status": 2}
        for action, status in expected.items():
            stage = Stage(kind, STATUS, action=action)
            stage.centre.set_netboot(SERVER, RESCUE, by="operator")
            assert stage.run().status == status, action

    def test_is_that_of_the_process(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as nobody:
            url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        limits = {"login_timeout": "0.1", "shell_timeout": "0.1"}
        options = {"action": "status", "login": "ab", "passwd": "c", "plug": SERVER, **limits}
        result = agent_with_our_library().run({**options, "api_url": url})
        assert "no connection to 127.0.0.1" in result.stderr
        assert result.status == 1


def interrupting(proceed: Any) -> Any:
    """A signal comes while the agent waits for an answer."""
    raise agent.Interrupted("SIGTERM")


@pytest.fixture
def signals_kept() -> Iterator[None]:
    """Puts the handlers of signals back, and the timer."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM)
    handlers = [signal.getsignal(number) for number in numbers]
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.set_wakeup_fd(-1)
    for number, handler in zip(numbers, handlers):
        signal.signal(number, handler)


@pytest.mark.usefixtures("signals_kept")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_interrupts_once(number: int) -> None:
    ending = agent.Ending()
    ending.listen()
    signal.raise_signal(number)
    with pytest.raises(agent.Interrupted) as interrupted:
        ending.sleep(600)
    assert interrupted.value.signal_name == signal.Signals(number).name
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.raise_signal(each)  # Ignored: nothing may disturb the log-out.
    ending.heed()


@pytest.mark.usefixtures("signals_kept")
def test_a_signal_interrupts_what_blocks() -> None:
    ending = agent.Ending()
    ending.listen()
    reading, writing = os.pipe()
    try:
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(agent.Interrupted):
            os.read(reading, 1)
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.usefixtures("signals_kept")
def test_a_signal_after_the_end_changes_nothing() -> None:
    ending = agent.Ending()
    ending.listen()
    assert ending.conclude(0) == 0
    signal.raise_signal(signal.SIGTERM)
    ending.heed()


def test_a_lack_of_threads_is_a_fault_that_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(agent.NoAnswer, match="no thread"):
        agent.within(600, lambda: None)


def test_a_run_without_end_fails_its_test() -> None:
    stage = Stage(RestWorld, OFF, disable_timeout="true")
    stage.centre.timing = NEVER
    with pytest.raises(EndlessRun):
        stage.run()


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

    def test_is_closed_after_the_deadline(self) -> None:
        stage = Stage(World, changed(OFF, never=9), power_timeout="60")
        assert stage.run().status == 1
        assert stage.centre.sessions.count() == 0


class TestSeveralPlugs:
    UNKNOWN = "ns9999.ovh.net"

    @both
    @pytest.mark.parametrize("schedule", [OFF, CYCLE, ONOFF], ids=lambda s: s.action)
    @pytest.mark.parametrize("plugs", [f"{UNKNOWN},{SERVER}", f"{SERVER},{UNKNOWN}"])
    def test_one_that_fails_does_not_keep_the_others(
        self, kind: type[World], schedule: Schedule, plugs: str
    ) -> None:
        stage = Stage(kind, schedule, plug=plugs)
        world = stage.run()
        assert world.status == 1
        assert stage.booted()[:1] == ["harddisk" if schedule.action == "cycle" else "rescue"]
        (refused,) = stage.said("refused")
        assert self.UNKNOWN in refused

    @both
    @pytest.mark.parametrize("schedule", [OFF, CYCLE, ONOFF], ids=lambda s: s.action)
    def test_each_one_that_fails_says_why(self, kind: type[World], schedule: Schedule) -> None:
        stage = Stage(kind, schedule, plug=f"{SERVER},{self.UNKNOWN}", power_timeout="60")
        stage.centre.timing = NEVER
        assert stage.run().status == 1
        assert stage.said(f"{SERVER}: waited 60 s in vain for the hard reboot to be over")
        (refused,) = stage.said("refused")
        assert self.UNKNOWN in refused

    @both
    @pytest.mark.parametrize("schedule", [OFF, CYCLE], ids=lambda s: s.action)
    def test_that_fail_one_by_one_have_one_deadline(
        self, kind: type[World], schedule: Schedule
    ) -> None:
        names = [f"ns{number}.ovh.net" for number in range(2001, 2006)]
        stage = Stage(kind, schedule, plug=",".join(names), power_timeout="60")
        for name in names:
            stage.add_server(name)
        for step in ("login", "time", ANY):
            stage.at(step, always, taking(stage, 19, stage.bad_gateway))
        assert stage.run().status == 1
        assert stage.duration() <= 60 + 20 + agent.LOGOUT_LIMIT

    @both
    def test_rounds_leave_room_for_the_last_words(self, kind: type[World]) -> None:
        """Nobody reads them before the agent ends."""
        stage = Stage(kind, OFF)
        stage.at("set", always, stage.ignored)
        assert stage.run().status == 1
        assert stage.count("set") > 100
        assert len(stage.said("once more")) == 1

    @both
    def test_warnings_leave_room_for_the_last_words(self, kind: type[World]) -> None:
        """Two servers that fail by turns; what a cluster reads has a limit."""
        stage = Stage(kind, OFF, plug=f"{SERVER},{OTHER_SERVER}")
        stage.add_server(OTHER_SERVER)
        sizes = itertools.count()
        stage.at(ANY, always, lambda proceed: Response(502, {}, b"?" * next(sizes)))
        assert stage.run().status == 1
        assert len(stage.said("trying again")) <= 20
        assert len("".join(stage.world.log)) < 8 * 1024

    @both
    @pytest.mark.parametrize("schedule", [OFF, CYCLE], ids=lambda s: s.action)
    def test_are_waited_for_together(self, kind: type[World], schedule: Schedule) -> None:
        stage = Stage(kind, changed(schedule, cut_delay=60), plug=f"{SERVER},{OTHER_SERVER}")
        stage.add_server(OTHER_SERVER)
        stage.run()
        assert_cut(stage)
        assert stage.booted(OTHER_SERVER) == stage.booted(SERVER)
        assert len(stage.booted()) == 1
        assert stage.duration() < 2 * 60

    @both
    @pytest.mark.parametrize("schedule", [OFF, CYCLE], ids=lambda s: s.action)
    def test_one_that_is_never_cut_is_a_failure(
        self, kind: type[World], schedule: Schedule
    ) -> None:
        for plugs in (f"{SERVER},{OTHER_SERVER}", f"{OTHER_SERVER},{SERVER}"):
            stage = Stage(kind, schedule, plug=plugs, power_timeout="120")
            stage.add_server(OTHER_SERVER).timing = NEVER
            stage.at("offered", nth(0), taking(stage, 15, lambda proceed: proceed()))
            assert stage.run().status == 1
            assert stage.duration() <= 122, "one deadline for all"
            assert len(stage.booted()) == 1

    def test_status_is_off_only_when_all_are(self) -> None:
        stage = Stage(RestWorld, STATUS, plug=f"{SERVER},{OTHER_SERVER}")
        stage.add_server(OTHER_SERVER)
        stage.centre.set_netboot(SERVER, RESCUE, by="operator")
        assert stage.run().status == 0


class TestSecrets:
    @both
    def test_a_quoted_one_is_starred(self, kind: type[World]) -> None:
        stage = Stage(kind, OFF)
        quoting = saying("Not for you", f"Not for {PASSWORD.replace('&', '&amp;')}")
        if kind is RestWorld:
            quoting = saying("Not for you", f"Not for {stage.world.secrets[0]}")
        stage.at("offered", always, lambda proceed: quoting(lambda: stage.denied(proceed)))
        world = stage.run()
        assert stage.said("Not for ***")
        assert world.leaks() == []

    def test_a_comment_of_a_task_never_shows_one(self) -> None:
        stage = Stage(RestWorld, OFF)
        key = stage.world.secrets[0]
        failed = saying('"status": *"[a-z]+"', f'"status": "ovhError", "comment": "key {key}"')
        unnamed = saying('"comment"', '"other"')
        stage.at("task", always, lambda proceed: failed(lambda: unnamed(proceed)))
        world = stage.run()
        assert world.status == 1
        assert stage.said('ovhError: "key ***"')
        assert world.leaks() == []

    @both
    def test_the_libraries_log_nothing(
        self, kind: type[World], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        names = ("suds", "ovh", "requests", "urllib3", "requests_oauthlib", "oauthlib")
        for name in names:
            logging.getLogger(name).propagate = True
            logging.getLogger(name).setLevel(logging.NOTSET)
        root = logging.getLogger()
        monkeypatch.setattr(root, "level", logging.DEBUG)
        logging.getLogger("suds.client").manager._clear_cache()
        world = Stage(kind, OFF).run()
        assert world.leaks() == []
        for name in names[:1] if kind is World else names[1:]:
            assert not logging.getLogger(name).propagate
            assert not logging.getLogger(name).isEnabledFor(logging.CRITICAL)


class TestNetwork:
    """What only the real network does: each request within its limits, to one address."""

    @pytest.fixture(autouse=True)
    def no_proxy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("no_proxy", "*")

    def exchange(self, *pieces: bytes, seconds: float = 5.0) -> Any:
        """The answer to a request when a server sends these pieces, one each 0.1 s."""
        with one_answer(pieces) as url:
            return agent.HttpNetwork().exchange("POST", url, {}, b"x", seconds)

    def test_follows_no_redirect(self) -> None:
        """A request that is repeated could be a second hard reboot."""
        answer = self.exchange(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n")
        assert (answer.status, answer.headers["location"]) == (302, "/x")

    def test_nor_does_a_session_of_the_library(self) -> None:
        """It would take the client secret elsewhere."""
        pytest.importorskip("ovh")
        agent.import_ovh(reads_files=False)
        import requests

        redirect = b"HTTP/1.1 307 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"
        with one_answer([redirect]) as url, pytest.raises(requests.TooManyRedirects):
            requests.Session().post(url, data=b"x", timeout=2)

    def test_takes_no_part_for_the_whole(self) -> None:
        with pytest.raises(agent.NoAnswer, match="cut short"):
            self.exchange(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}")

    def test_reads_no_endless_answer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(agent, "LONGEST_ANSWER", 1000)
        with pytest.raises(agent.NoAnswer, match="more than 1000 bytes"):
            self.exchange(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1001)

    def test_waits_no_longer_than_its_limit(self) -> None:
        begun = time.monotonic()
        with pytest.raises(agent.NoAnswer, match="within 0.2 s"):
            self.exchange(
                b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", *[b"x"] * 60, seconds=0.2
            )
        assert time.monotonic() - begun < 3

    def test_waits_no_longer_for_what_has_no_limit_of_its_own(self) -> None:
        """As the resolution of a name."""
        with pytest.raises(agent.NoAnswer, match="within 0.1 s"):
            agent.within(0.1, lambda: time.sleep(1))


@contextlib.contextmanager
def one_answer(pieces: Sequence[bytes]) -> Iterator[str]:
    """The URL of a server that answers once with these pieces, one each 0.1 s."""

    def serve() -> None:
        with listener.accept()[0] as connection, contextlib.suppress(OSError):
            request = b""
            while not request.endswith(b"\r\n\r\nx"):
                request += connection.recv(65536)
            for number, piece in enumerate(pieces):
                time.sleep(0.1 if number else 0)
                connection.sendall(piece)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
