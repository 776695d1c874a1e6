"""The agent as clusters run it: a real process against a simulated data centre.

What counts is the exit status and the simulator's ground truth. Every case here
has valid input and runs with our library, on Debian's packages, and with the
distribution's library, on each back end.
"""

from __future__ import annotations

import os
import pathlib
import re
import signal
import socket
import subprocess
from typing import Any

import pytest

from tests import harness
from tests.agent.secrets_shown import pieces_shown
from tests.harness import OTHER_SERVER, SERVER, Agent, Backend, module_of
from tests.simulator import Netboot, Timing

HARD_DISK, OLD_RESCUE, WINDOWS_RESCUE = 1, 1122, 1155

LONG = Timing(cut_delay=0.1, boot_delay=0.1, reboot_duration=5.0)
"""A hard reboot that takes longer than asking for several."""


class TestOff:
    def test_cuts_the_server_into_rescue(self, agent: Agent, ovh: Backend) -> None:
        result = agent.run(ovh.options("off"))
        assert (result.status, result.stdout) == (0, "Success: Powered OFF\n")
        assert ovh.cuts() == ["rescue12-customer"]
        assert ovh.running() == "rescue"
        assert ovh.cuts(OTHER_SERVER) == []

    def test_leaves_no_session_open(self, agent: Agent, ovh: Backend) -> None:
        assert agent.run(ovh.options("off")).status == 0
        assert ovh.state()["open_sessions"] == 0

    def test_cuts_although_the_netboot_is_rescue_already(self, agent: Agent, ovh: Backend) -> None:
        """Somebody set it by hand: the old system still runs."""
        ovh.set_by_hand(230242)
        assert agent.run(ovh.options("off")).status == 0
        assert ovh.cuts() == ["rescue12-customer"]

    def test_cuts_again_a_server_that_is_off(self, agent: Agent, ovh: Backend) -> None:
        for _ in range(2):
            assert agent.run(ovh.options("off")).status == 0
        assert ovh.cuts() == ["rescue12-customer"] * 2

    def test_cuts_several_plugs_before_it_waits(self, agent: Agent, ovh: Backend) -> None:
        ovh.data_centre.timing = LONG
        result = agent.run(ovh.options("off", plug=f"{SERVER},{OTHER_SERVER}"))
        assert result.status == 0, result.stderr
        first, second = sorted(cut["accepted_at"] for cut in ovh.state()["power_cuts"])
        assert second < first + LONG.reboot_duration, "the first was over before"
        assert ovh.running(SERVER) == ovh.running(OTHER_SERVER) == "rescue"

    def test_cuts_a_server_once_that_is_named_twice(self, agent: Agent, ovh: Backend) -> None:
        plugs = f"{SERVER},{SERVER.partition('.')[0].upper()}"
        assert agent.run(ovh.options("off", plug=plugs)).status == 0
        assert ovh.cuts() == ["rescue12-customer"]

    def test_does_not_end_before_the_cut(self, agent: Agent, ovh: Backend) -> None:
        """OVH accepts at once and carries out later."""
        ovh.data_centre.timing = Timing(
            queue_delay=1.5, cut_delay=0.5, boot_delay=0.1, reboot_duration=1.0
        )
        assert agent.run(ovh.options("off")).status == 0
        assert ovh.cuts() == ["rescue12-customer"]

    def test_fails_when_the_reboot_never_happens(self, agent: Agent, ovh: Backend) -> None:
        ovh.data_centre.timing = Timing(carried_out=False)
        result = agent.run(ovh.options("off", power_timeout=3))
        assert result.status == 1
        assert ovh.cuts() == []
        assert "Success" not in result.stdout
        assert f"{SERVER} was left with netboot rescue12-customer" in result.stderr

    def test_begins_again_when_somebody_changes_the_netboot(
        self, hurried_agent: Agent, ovh: Backend
    ) -> None:
        ovh.data_centre.timing = Timing(cut_delay=1.0, boot_delay=0.1, reboot_duration=2.0)
        process = hurried_agent.start(ovh.options("off"))
        ovh.wait_until("the request", lambda: ovh.state()["servers"][SERVER]["pending_reboots"] > 0)
        ovh.set_by_hand(HARD_DISK)
        process.communicate(timeout=120)
        assert process.returncode == 0
        first, second = ovh.cuts()
        assert first in ("hd", "rescue12-customer"), "set again before the boot, or after it"
        assert second == "rescue12-customer"

    def test_mails_the_rescue_access(self, agent: Agent, ovh: Backend) -> None:
        assert agent.run(ovh.options("off", email="admin@example.com")).status == 0
        assert ovh.state()["servers"][SERVER]["rescue_mail"] == "admin@example.com"

    def test_never_boots_an_inactive_or_foreign_rescue(self, agent: Agent, ovh: Backend) -> None:
        ovh.data_centre.servers[SERVER].netboots += (
            Netboot(999001, "rescue13-customer", "rescue", state="inactive"),
            Netboot(999002, "WinRescue-2030", "rescue"),
            Netboot(999003, "bsd-rescue-pro-2030", "rescue"),
        )
        assert agent.run(ovh.options("off")).status == 0
        assert ovh.cuts() == ["rescue12-customer"]

    @pytest.mark.parametrize("wanted", ["rescue64-pro", str(OLD_RESCUE)])
    def test_boots_the_rescue_that_was_asked_for(
        self, agent: Agent, ovh: Backend, wanted: str
    ) -> None:
        assert agent.run(ovh.options("off", rescue_boot=wanted)).status == 0
        assert ovh.cuts() == ["rescue64-pro"]

    def test_takes_no_hard_disk_for_a_rescue(self, hurried_agent: Agent, ovh: Backend) -> None:
        result = hurried_agent.run(ovh.options("off", rescue_boot="hd"))
        assert result.status == 1
        assert "rescue_boot=hd" in result.stderr
        assert ovh.cuts() == []


class TestOn:
    def test_starts_a_server_from_disk(self, agent: Agent, ovh: Backend) -> None:
        assert agent.run(ovh.options("off")).status == 0
        result = agent.run(ovh.options("on"))
        assert (result.status, result.stdout) == (0, "Success: Powered ON\n")
        assert ovh.cuts() == ["rescue12-customer", "hd"]
        assert ovh.running() == "harddisk"

    def test_leaves_a_running_server_alone(self, agent: Agent, ovh: Backend) -> None:
        result = agent.run(ovh.options("on"))
        assert (result.status, result.stdout) == (0, "Success: Already ON\n")
        assert ovh.cuts() == []

    def test_of_several_plugs_starts_those_that_are_off(self, agent: Agent, ovh: Backend) -> None:
        """The distribution's library is content with one that is on."""
        for plugs in (f"{SERVER},{OTHER_SERVER}", f"{OTHER_SERVER},{SERVER}"):
            assert agent.run(ovh.options("off")).status == 0
            result = agent.run(ovh.options("on", plug=plugs))
            assert result.status == 0, result.stderr
            assert ovh.running(SERVER) == ovh.running(OTHER_SERVER) == "harddisk"
        assert ovh.cuts() == ["rescue12-customer", "hd"] * 2


class TestReboot:
    def test_cycle_cuts_once_into_the_disk(self, agent: Agent, ovh: Backend) -> None:
        result = agent.run(ovh.options("reboot"))
        assert (result.status, result.stdout) == (0, "Success: Rebooted\n")
        assert ovh.cuts() == ["hd"]

    def test_onoff_cuts_into_rescue_and_into_the_disk(self, agent: Agent, ovh: Backend) -> None:
        result = agent.run(ovh.options("reboot", method="onoff"))
        assert (result.status, result.stdout) == (0, "Success: Rebooted\n")
        assert ovh.cuts() == ["rescue12-customer", "hd"]

    @pytest.mark.parametrize("method", ["cycle", "onoff"])
    def test_cuts_a_server_that_is_off(self, agent: Agent, ovh: Backend, method: str) -> None:
        ovh.set_by_hand(230242)
        assert agent.run(ovh.options("reboot", method=method)).status == 0
        assert ovh.cuts()[-1] == "hd"

    def test_cycle_reboots_several_plugs_together(self, agent: Agent, ovh: Backend) -> None:
        ovh.data_centre.timing = LONG
        result = agent.run(ovh.options("reboot", plug=f"{SERVER},{OTHER_SERVER}"))
        assert result.status == 0, result.stderr
        first, second = sorted(cut["accepted_at"] for cut in ovh.state()["power_cuts"])
        assert second < first + LONG.reboot_duration, "the first was over before"

    def test_fails_when_the_reboot_never_happens(self, agent: Agent, ovh: Backend) -> None:
        ovh.data_centre.timing = Timing(carried_out=False)
        result = agent.run(ovh.options("reboot", power_timeout=3))
        assert result.status == 1
        assert "in vain for the hard reboot to be over" in result.stderr
        assert ovh.cuts() == []

    def test_a_failing_on_portion_is_logged_and_still_success(
        self, agent: Agent, ovh: Backend
    ) -> None:
        ovh.data_centre.timing = Timing(cut_delay=0.1, boot_delay=0.1, reboot_duration=2.0)
        process = agent.start(ovh.options("reboot", method="onoff", power_timeout=5))
        ovh.wait_until("the off portion", lambda: bool(ovh.cuts()))
        ovh.data_centre.timing = Timing(carried_out=False)
        stdout, stderr = process.communicate(timeout=120)
        assert process.returncode == 0
        said = harness.text(stderr)
        assert "is not proven to boot from disk" in said or "waiting to power ON" in said
        assert ovh.cuts() == ["rescue12-customer"]


class TestStatus:
    def test_tells_on_and_off(self, agent: Agent, ovh: Backend) -> None:
        result = agent.run(ovh.options("status"))
        assert (result.status, result.stdout) == (0, "Status: ON\n")
        agent.run(ovh.options("off"))
        result = agent.run(ovh.options("status"))
        assert (result.status, result.stdout) == (2, "Status: OFF\n")

    def test_is_on_while_a_reboot_into_rescue_is_under_way(
        self, agent: Agent, ovh: Backend
    ) -> None:
        ovh.data_centre.timing = Timing(cut_delay=30, boot_delay=30, reboot_duration=60)
        ovh.set_by_hand(230242)
        ovh.reboot_by_hand()
        assert agent.run(ovh.options("status")).status == 0

    def test_cannot_be_told_without_the_api(self, hurried_agent: Agent, ovh: Backend) -> None:
        with socket.create_server(("127.0.0.1", 0)) as nobody:
            url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        result = hurried_agent.run(ovh.options("status", api_url=url))
        assert result.status == 1
        assert "refused" in result.stderr


class TestMonitor:
    def test_accepts_a_server_of_the_account(self, agent: Agent, ovh: Backend) -> None:
        assert agent.run(ovh.options("monitor", plug=f"{SERVER},{OTHER_SERVER}")).status == 0

    def test_fetches_the_list_without_a_plug(self, agent: Agent, ovh: Backend) -> None:
        options = ovh.options("monitor")
        del options["plug"], options["nodename"]
        assert agent.run(options).status == 0

    def test_is_never_two(self, agent: Agent, ovh: Backend) -> None:
        agent.run(ovh.options("off"))
        assert agent.run(ovh.options("monitor")).status == 0

    def test_refuses_an_unknown_server(self, agent: Agent, ovh: Backend) -> None:
        result = agent.run(ovh.options("monitor", plug="ns9999.ovh.net"))
        assert result.status == 1
        assert "ns9999.ovh.net" in result.stderr

    def test_refuses_a_server_without_rescue(self, agent: Agent, ovh: Backend) -> None:
        server = ovh.data_centre.servers[SERVER]
        server.netboots = tuple(n for n in server.netboots if n.type != "rescue")
        result = agent.run(ovh.options("monitor"))
        assert result.status == 1
        assert "rescue" in result.stderr

    def test_changes_nothing(self, agent: Agent, ovh: Backend) -> None:
        before = ovh.state()["servers"]
        assert agent.run(ovh.options("monitor")).status == 0
        assert ovh.state()["servers"] == before

    def test_refuses_a_wrong_password_and_does_not_show_it(
        self, agent: Agent, ovh: Backend
    ) -> None:
        result = agent.run(ovh.options("monitor", passwd="wrong-Pa55-word"))
        assert result.status == 1
        assert "check " in result.stderr
        assert "wrong-Pa55-word" not in result.stdout + result.stderr


class TestList:
    def test_prints_the_servers(self, agent: Agent, ovh: Backend) -> None:
        result = agent.run(ovh.options("list"))
        assert result.status == 0
        plugs = [line.split(",")[0] for line in result.stdout.splitlines()]
        assert plugs == [SERVER, OTHER_SERVER]

    def test_prints_their_status(self, agent: Agent, ovh: Backend) -> None:
        agent.run(ovh.options("off"))
        result = agent.run(ovh.options("list-status"))
        assert result.status == 0
        rows = [line.lower().split(",") for line in result.stdout.splitlines()]
        assert [(row[0], row[-1]) for row in rows] == [(SERVER, "off"), (OTHER_SERVER, "on")]


class TestVerbose:
    def test_shows_a_line_for_each_request_and_no_secret(self, agent: Agent, ovh: Backend) -> None:
        result = agent.run(None, *words(ovh.options("off")), "-vv")
        assert result.status == 0
        shown = re.findall(r"DEBUG: (.*): HTTP status 200, \d+ ms$", result.stderr, re.M)
        assert len(shown) == ovh.state()["calls_total"]
        assert not pieces_shown(ovh.secrets, result.stdout, result.stderr)
        assert not re.search("eyJ|<|{|Bearer|X-Ovh", result.stderr)


class TestNames:
    def test_a_bare_plug_is_in_ovh_net(self, agent: Agent, ovh: Backend) -> None:
        assert agent.run(ovh.options("off", plug="ns1234")).status == 0
        assert ovh.cuts() == ["rescue12-customer"]

    def test_a_name_with_a_dot_stays_as_it_is(self, agent: Agent, ovh: Backend) -> None:
        assert agent.run(ovh.options("off", plug=OTHER_SERVER)).status == 0
        assert ovh.cuts(OTHER_SERVER) == ["rescue12-customer"]

    def test_nodename_stands_in_for_a_missing_plug(self, agent: Agent, ovh: Backend) -> None:
        options = ovh.options("off", nodename=SERVER)
        del options["plug"]
        assert agent.run(options).status == 0
        assert ovh.cuts() == ["rescue12-customer"]

    def test_long_names_of_options(self, agent: Agent, ovh: Backend) -> None:
        options = ovh.options("off")
        options = {
            {"login": "username", "passwd": "password"}.get(name, name): value
            for name, value in options.items()
        }
        assert agent.run(options).status == 0
        assert ovh.cuts() == ["rescue12-customer"]

    def test_command_line(self, agent: Agent, ovh: Backend) -> None:
        assert agent.run(None, *words(ovh.options("off"))).status == 0
        assert ovh.cuts() == ["rescue12-customer"]

    @pytest.mark.parametrize("name", ["help", "version"])
    @pytest.mark.parametrize("value", ["1", "0"])
    def test_no_text_in_place_of_fencing(
        self, agent: Agent, ovh: Backend, name: str, value: str
    ) -> None:
        assert agent.run(ovh.options("off") | {name: value}).status == 0
        assert ovh.cuts() == ["rescue12-customer"]

    @pytest.mark.parametrize("second", ["metadata", "validate-all", "manpage", "status"])
    @pytest.mark.parametrize("first", ["off", "reboot", "on"])
    def test_no_second_action_in_place_of_fencing(
        self, our_agent: Agent, ovh: Backend, first: str, second: str
    ) -> None:
        """Exit status 0 would be believed to be that of the first."""
        typed = b"\n".join(
            f"{name}={value}".encode()
            for name, value in [*ovh.options(first).items(), ("action", second)]
        )
        result = our_agent.run(typed)
        assert (result.status, result.stdout) == (1, "")
        assert "action is given twice: one that fences, and then one" in result.stderr
        assert our_agent.run(None, *words(ovh.options(first)), "-o", second).status == 1
        assert ovh.calls() == []

    def test_the_last_of_two_actions_that_fence_counts(
        self, our_agent: Agent, ovh: Backend
    ) -> None:
        """dlm_controld adds action=on at the end."""
        typed = b"".join(
            f"{name}={value}\n".encode()
            for name, value in [*ovh.options("off").items(), ("action", "on")]
        )
        assert our_agent.run(typed).stdout == "Success: Already ON\n"

    @pytest.mark.parametrize("word", ["--version", "--help", "-V", "-h"])
    def test_no_text_in_place_of_fencing_on_the_command_line(
        self, agent: Agent, ovh: Backend, word: str
    ) -> None:
        """A caller may make an option of each word in its configuration."""
        assert agent.run(None, *words(ovh.options("off")), word).status == 1
        assert ovh.cuts() == []

    def test_no_text_in_place_of_fencing_with_a_value(self, our_agent: Agent, ovh: Backend) -> None:
        assert our_agent.run(None, *words(ovh.options("off")), "--version=1").status == 0
        assert ovh.cuts() == ["rescue12-customer"]


def words(options: dict[str, Any]) -> list[str]:
    """Options as they stand on the command line."""
    return [
        f"--{harness.LONG_NAMES.get(name, name).replace('_', '-')}={value}"
        for name, value in options.items()
        if name not in ("nodename", "agent")
    ]


class TestWithoutTimeLimit:
    """Pacemaker has its own and says so in the environment; or an option lifts it."""

    @pytest.fixture(autouse=True)
    def slower_than_power_timeout(self, ovh: Backend) -> None:
        ovh.data_centre.timing = LONG

    @pytest.mark.parametrize("action", ["off", "reboot", "monitor", "status"])
    def test_under_pacemaker(self, agent: Agent, ovh: Backend, action: str) -> None:
        """The distribution's library makes all limits 0 then."""
        environment = {"PCMK_service": "pacemaker-fenced"}
        result = agent.run(ovh.options(action, power_timeout=0), env=environment)
        assert result.status == 0, result.stderr
        assert len(ovh.cuts()) == (action in ("off", "reboot"))

    def test_by_option(self, agent: Agent, ovh: Backend) -> None:
        options = ovh.options("off", disable_timeout="true", power_timeout=1)
        del options["shell_timeout"]
        result = agent.run(options)
        assert result.status == 0, result.stderr
        assert ovh.cuts() == ["rescue12-customer"]


class TestTroubles:
    def test_waits_for_an_api_that_is_down(self, agent: Agent, ovh: Backend) -> None:
        """Two of three calls fail: at the beginning, and while the reboot is waited for."""
        ovh.fail_calls(number for number in range(18) if number % 3 < 2)
        result = agent.run(ovh.options("off", power_timeout=120))
        assert result.status == 0, result.stderr
        assert "rescue12-customer" in ovh.cuts()

    def test_cuts_again_when_the_answer_to_the_request_is_lost(
        self, hurried_agent: Agent, ovh: Backend
    ) -> None:
        """The server is rebooted, but nobody knows that this was ours."""
        ovh.lose_answer_of_reboot()
        result = hurried_agent.run(ovh.options("off"))
        assert result.status == 0, result.stderr
        assert ovh.cuts() == ["rescue12-customer"] * 2
        assert ovh.state()["servers"][SERVER]["pending_reboots"] == 0

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
    def test_a_signal_ends_it_with_its_session(
        self, agent: Agent, ovh: Backend, number: int
    ) -> None:
        """The distribution's library does nothing at a signal: the session ends by itself."""
        ovh.data_centre.timing = Timing(cut_delay=30, boot_delay=30, reboot_duration=60)
        process = agent.start(ovh.options("off", power_timeout=120))
        ovh.wait_until("the request", lambda: ovh.state()["servers"][SERVER]["pending_reboots"] > 0)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=60)
        is_ours = module_of(agent.command[-1]).with_name("fencing.py").exists()
        assert process.returncode == (1 if is_ours else -number)
        if is_ours:
            assert "Traceback" not in harness.text(stderr)
            assert ovh.state()["open_sessions"] == 0

    def test_does_not_block_on_a_pipe_that_nobody_reads(self, agent: Agent, ovh: Backend) -> None:
        """libfence reads stdout and stderr, one pipe for both, only after the agent's exit."""
        process = agent.start(ovh.options("off", verbose=1), stderr=subprocess.STDOUT)
        process.wait(timeout=120)
        output, _ = process.communicate()
        assert process.returncode == 0
        assert len(output) < 32 * 1024


class TestSecrets:
    @pytest.mark.parametrize("action", ["off", "monitor", "list"])
    def test_no_output_shows_the_password(
        self, agent: Agent, ovh: Backend, action: str, tmp_path: pathlib.Path
    ) -> None:
        debug = tmp_path / "debug.log"
        result = agent.run(ovh.options(action, verbose=1, debug_file=debug))
        assert result.status == 0, result.stderr
        written = result.stdout + result.stderr + debug.read_text()
        for secret in ovh.secrets:
            for start in range(len(secret) - 7):
                assert secret[start : start + 8] not in written

    def test_password_script(self, agent: Agent, ovh: Backend, tmp_path: pathlib.Path) -> None:
        script = tmp_path / "password"
        script.write_text(f"#!/bin/sh\necho '{ovh.keys()['passwd']}'\n")
        os.chmod(script, 0o700)
        options = ovh.options("off", passwd_script=script)
        del options["passwd"]
        assert agent.run(options).status == 0
        assert ovh.cuts() == ["rescue12-customer"]
