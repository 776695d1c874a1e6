"""Rules with a number of seconds or of requests in them, on a virtual clock."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness import OTHER_SERVER, SERVER
from tests.safety.scripted import RestWorld, Schedule, Stage, World, agent, always, between, nth

APIS = [World, RestWorld]
both = pytest.mark.parametrize("kind", APIS, ids=lambda kind: kind.api)

LONG = Schedule(cut_delay=20, boot_delay=120, rest=300)
THIRD_SERVER = "ns777.ip-198-51-100.eu"

READING = ["status", "monitor", "list", "list-status"]
SILENCE = 15.0
"""Seconds: Pacemaker kills an operation after 20 by default."""


def most_while_waiting(stage: Stage) -> int:
    """The most requests a minute while a hard reboot was waited for."""
    return stage.most_in_a_minute(since=stage.times("reboot")[-1])


class TestReadingActions:
    def stage(self, kind: type[World], action: str) -> Stage:
        return Stage(kind, Schedule(action="status"), action=action, shell_timeout="60")

    @both
    @pytest.mark.parametrize("action", READING)
    def test_end_after_15_seconds_of_silence(self, kind: type[World], action: str) -> None:
        stage = self.stage(kind, action)

        def silent(*args: Any) -> Any:
            stage.world.clock.sleep(args[4])
            raise agent.NoAnswer(f"no answer within {args[4]:g} s")

        stage.world.exchange = silent
        stage.run()
        assert stage.world.status == 1
        assert SILENCE - 1 <= stage.duration() <= SILENCE + 1

    @both
    @pytest.mark.parametrize("action", READING)
    def test_end_after_15_seconds_of_nonsense(self, kind: type[World], action: str) -> None:
        stage = self.stage(kind, action)
        for step in ("login", "time", "read", "offered", "GET /dedicated/server", "dedicatedList"):
            stage.at(step, always, stage.bad_gateway)
        stage.at("GET /auth/currentCredential", always, stage.bad_gateway)
        stage.run()
        assert stage.world.status == 1
        assert stage.duration() <= SILENCE + 1

    @both
    def test_get_through_an_outage_of_10_seconds(self, kind: type[World]) -> None:
        stage = self.stage(kind, "status")
        stage.at("read", between(0, 10), stage.bad_gateway)
        stage.run()
        assert (stage.world.status, stage.world.output) == (0, "Status: ON\n")


class TestRequests:
    @both
    @pytest.mark.parametrize(("sleep", "most"), [("0", 60), ("1", 60), ("3", 30)])
    def test_are_at_most_30_a_minute_for_one_plug(
        self, kind: type[World], sleep: str, most: int
    ) -> None:
        """OVH calls 60 a minute fair: no value of stonith_status_sleep makes more."""
        stage = Stage(kind, LONG, stonith_status_sleep=sleep)
        stage.run()
        assert stage.world.status == 0
        assert most_while_waiting(stage) <= most

    @both
    @pytest.mark.parametrize("action", ["off", "cycle"])
    @pytest.mark.parametrize("sleep", ["0", "1", "3"])
    def test_are_at_most_60_a_minute_for_three(
        self, kind: type[World], action: str, sleep: str
    ) -> None:
        schedule = Schedule(**{**vars(LONG), "action": action})
        plugs = ",".join((SERVER, OTHER_SERVER, THIRD_SERVER))
        stage = Stage(kind, schedule, stonith_status_sleep=sleep, plug=plugs)
        stage.add_server(OTHER_SERVER)
        stage.add_server(THIRD_SERVER)
        stage.run()
        assert stage.world.status == 0
        assert most_while_waiting(stage) <= 60

    @pytest.mark.parametrize("sleep", ["1", "3"])
    def test_are_at_most_20_for_a_reboot_of_20_seconds(self, sleep: str) -> None:
        schedule = Schedule(cut_delay=2, boot_delay=8, rest=10)
        stage = Stage(RestWorld, schedule, stonith_status_sleep=sleep)
        # One rescue system is enough: the agent looks at each of those offered.
        stage.server.netboots = tuple(
            each for each in stage.server.netboots if each.id in (1, 230242)
        )
        stage.run()
        assert stage.world.status == 0
        assert len(stage.steps) <= 20 + (4 if sleep == "1" else 0), stage.steps

    def test_a_token_is_used_for_as_long_as_it_is_valid(self) -> None:
        """The same for OVH's time: neither is asked for again without need."""
        stage = Stage(RestWorld, LONG)
        stage.run()
        assert stage.world.status == 0
        assert stage.count("time") == 1


class TestRefusals:
    @both
    @pytest.mark.parametrize("step", ["offered", "set", "read", "reboot"])
    @pytest.mark.parametrize("seconds", [2, 20, 45])
    def test_that_pass_cost_no_fencing(self, kind: type[World], step: str, seconds: int) -> None:
        """A key server that hiccups: measured 2 to 45 s."""
        stage = Stage(kind, Schedule())
        stage.at(step, between(0, seconds), stage.denied)
        stage.run()
        assert stage.world.status == 0, "\n".join(stage.world.log)
        assert stage.booted()[-1] == "rescue"

    @both
    @pytest.mark.parametrize("step", ["offered", "set", "reboot"])
    def test_that_last_are_believed(self, kind: type[World], step: str) -> None:
        stage = Stage(kind, Schedule())
        stage.at(step, always, stage.denied)
        stage.run()
        assert stage.world.status == 1
        assert 60 <= stage.duration() <= 100
        assert stage.booted() == []

    @both
    def test_of_a_login_are_at_most_three(self, kind: type[World]) -> None:
        """Accounts lock."""
        stage = Stage(kind, Schedule())
        login = "time" if kind is RestWorld else "login"
        stage.at(login, always, stage.denied)
        stage.run()
        assert stage.world.status == 1
        assert 60 <= stage.duration() <= 100
        assert stage.count(login) <= 3

    @both
    def test_of_one_plug_do_not_keep_the_others_from_being_cut(self, kind: type[World]) -> None:
        plugs = f"ns9999.ovh.net,{SERVER}"
        stage = Stage(kind, Schedule(), plug=plugs)
        stage.run()
        assert stage.world.status == 1
        assert stage.booted() == ["rescue"]
        assert stage.duration() <= 120, "soon"


class TestLostAnswers:
    def test_of_one_request_cost_one_more_cut(self) -> None:
        stage = Stage(RestWorld, Schedule())
        stage.at("reboot", nth(0), stage.lost_after)
        stage.run()
        assert stage.world.status == 0
        assert stage.booted() == ["rescue", "rescue"]

    @both
    def test_of_all_requests_cost_three_at_most(self, kind: type[World]) -> None:
        """A gateway's 504 for hours: once the older ones are listed, a new one is ours."""
        if kind is World:
            pytest.skip("SOAP gives no numbers")
        stage = Stage(kind, Schedule())
        stage.at("reboot", always, stage.lost_after)
        stage.run()
        assert stage.world.status == 0, "\n".join(stage.world.log)
        assert 1 <= len(stage.booted()) <= 3
        assert set(stage.booted()) == {"rescue"}

    def test_no_other_hard_reboot_is_alive_at_the_end(self) -> None:
        stage = Stage(RestWorld, Schedule())
        stage.at("reboot", nth(0, 1), stage.lost_after)
        stage.run()
        assert stage.world.status == 0
        assert all(each.over_at is not None for each in stage.reboots())
        assert all(each.over_at <= stage.world.ended for each in stage.reboots() if each.over_at)


class TestOn:
    @both
    @pytest.mark.parametrize("seconds", [10, 100, 600])
    def test_cuts_nothing_because_the_api_was_silent(self, kind: type[World], seconds: int) -> None:
        stage = Stage(kind, Schedule(action="on"))
        for step in ("login", "time", "read"):
            stage.at(step, between(0, seconds), stage.lost_before)
        stage.run()
        assert stage.world.status == 0, "\n".join(stage.world.log)
        assert stage.reboots() == []
        assert stage.count("set") == 0

    @both
    def test_cuts_a_server_that_is_not_set_to_its_disk(self, kind: type[World]) -> None:
        stage = Stage(kind, Schedule(action="on", netboot_by_hand=True))
        stage.at("read", between(0, 30), stage.bad_gateway)
        stage.run()
        assert stage.world.status == 0
        assert stage.booted() == ["harddisk"]
