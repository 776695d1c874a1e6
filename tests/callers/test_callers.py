# SPDX-License-Identifier: GPL-2.0-or-later
"""Callers other than cman and Pacemaker: each runs the agent in its own way, with our example."""

from __future__ import annotations

import pathlib
import shlex
import subprocess
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests import harness
from tests.callers.cman import APPLICATION, SERVERS, ExampleCluster
from tests.documents import documents
from tests.documents.test_documents import message_texts
from tests.harness import LOGIN, REPOSITORY, Agent, Backend, OAuth2Backend, RestBackend, Result
from tests.simulator import APPLICATION_KEY, CLIENT_ID, Account, Application, Timing

EXAMPLES = REPOSITORY / "examples"
README = REPOSITORY / "README.md"


@pytest.fixture
def cluster(tmp_path: pathlib.Path) -> Iterator[ExampleCluster]:
    example = ExampleCluster(tmp_path)
    with example.simulator:
        yield example


def long_options(ovh: Backend, action: str) -> dict[str, Any]:
    """What a command line gives the agent, by long names without their hyphens."""
    options = ovh.options(action)
    del options["nodename"], options["agent"]
    return {harness.LONG_NAMES.get(name, name): value for name, value in options.items()}


def set_password(ovh: Backend, password: str) -> None:
    """Change the secret that the API wants."""
    with ovh.data_centre.lock:
        if isinstance(ovh, OAuth2Backend):
            ovh.front_end.credentials.service_accounts[CLIENT_ID].secret = password
        elif isinstance(ovh, RestBackend):
            application = Application(APPLICATION_KEY, password)
            ovh.front_end.credentials.applications[APPLICATION_KEY] = application
        else:
            ovh.data_centre.accounts[LOGIN] = Account(LOGIN, password)


CRM_EX_ERROR, CRM_EX_TIMEOUT = 1, 124


class TestPacemaker:
    """It reports that an action took too long when it failed with such words on standard error.

    So those belong to a fencing that took too long, and to nothing else: not even to the name of
    an option in a message. (Pacemaker 2.1.5 to 3.0.)
    """

    @staticmethod
    def takes_for_a_time_out(stderr: str) -> bool:
        return any(words in stderr.lower() for words in ("timed out", "timeout"))

    def test_only_these_messages_have_the_words(self) -> None:
        pieces = {piece for pieces in message_texts() for piece in pieces}
        assert {piece for piece in pieces if self.takes_for_a_time_out(piece)} == {
            "see power_timeout",
            "seconds (--power-timeout",
        }

    def test_a_wrong_value_of_any_option(self, our_agent: Agent) -> None:
        metadata = ElementTree.fromstring(our_agent.run(None, "-o", "metadata").stdout)
        names = {each.get("name") for each in metadata.iter("parameter")}
        wrong = dict.fromkeys(
            sorted(names - {"action", "debug", "debug_file", "help", "version"}), "-1 x"
        )
        result = our_agent.run({"action": "validate-all", **wrong, "passwd": "", "password": ""})
        assert result.status == 1
        for limit in ("power", "login", "shell"):
            assert f"Failed: {limit} time limit must be a number of seconds" in result.stderr
        assert "Failed: disable time limit must be true or false" in result.stderr
        assert not self.takes_for_a_time_out(result.stderr)

    @pytest.mark.parametrize("option", ["--power-timeout", "--login-timout=5", "--timeout=5"])
    def test_a_wrong_command_line(self, our_agent: Agent, option: str) -> None:
        result = our_agent.run(None, "-o", "off", option)
        assert result.status == 1
        assert "option" in result.stderr
        assert not self.takes_for_a_time_out(result.stderr)

    def test_a_misspelt_option(self, our_agent: Agent) -> None:
        result = our_agent.run({"action": "validate-all", "power_timout": "5", "plug": "a b"})
        assert result.status == 1
        assert "its name is unknown, but resembles power time limit" in result.stderr
        assert not self.takes_for_a_time_out(result.stderr)

    def test_too_little_time(self, agent: Agent, ovh: Backend) -> None:
        result = agent.run(ovh.options("validate-all", power_wait=60, power_timeout=60))
        assert result.status == 1
        assert "power time limit must be more than power_wait" in result.stderr
        assert not self.takes_for_a_time_out(result.stderr)

    @pytest.mark.parametrize("action", ["monitor", "status", "off"])
    @pytest.mark.parametrize(
        "refused",
        [{"passwd": "wrong-Pa55-word"}, {"plug": "ns9999.ovh.net"}],
        ids=["login", "plug"],
    )
    def test_a_refusal(
        self, hurried_agent: Agent, ovh: Backend, action: str, refused: dict[str, str]
    ) -> None:
        result = hurried_agent.run(ovh.options(action, verbose_level=3, **refused))
        assert result.status == 1
        assert "; check " in result.stderr
        assert not self.takes_for_a_time_out(result.stderr)

    @pytest.mark.parametrize(
        ("script", "status"),
        [
            ('exec {agent} "$@"', CRM_EX_ERROR),
            ("cat >/dev/null; echo TimeOut >&2; exit 1", CRM_EX_TIMEOUT),
        ],
        ids=["fence_ovh", "one that says timeout"],
    )
    def test_the_real_one(
        self, our_agent: Agent, tmp_path: pathlib.Path, namespace: None, script: str, status: int
    ) -> None:
        """Its stonith_admin runs agents of /usr/sbin, so ours lies over one of its own there."""
        place = pathlib.Path("/usr/sbin/fence_watchdog")
        harness.need("stonith_admin", place)
        program = tmp_path / "fence_ovh"
        program.write_text(f"#!/bin/sh\n{script.format(agent=shlex.join(our_agent.command))}\n")
        program.chmod(0o755)
        options = [f"--option={pair}" for pair in ("power_timeout=soon", "plug=ns1", "api=rest")]
        command = ["stonith_admin", "--validate", "--agent", place.name, *options]
        mount = ["mount", "--bind", str(program), str(place)]
        done = subprocess.run(harness.in_namespace(command, mount), check=False)
        assert done.returncode == status

    def test_a_fencing_that_took_too_long(self, agent: Agent, ovh: Backend) -> None:
        ovh.data_centre.timing = Timing(carried_out=False)
        result = agent.run(ovh.options("off", power_timeout=3))
        assert result.status == 1
        assert self.takes_for_a_time_out(result.stderr)


class TestMedik8s:
    """The operator runs `fence_ovh --option=value …` and reads the exit status.

    Older versions look for `Success: Rebooted` in what it prints. It has an environment with
    nothing in it and the uid 65532, ends the agent with SIGKILL at a limit of its own, and tries
    again.
    """

    BARE = ("env", "-i")
    UNPRIVILEGED = ("setpriv", "--reuid=65532", "--regid=65532", "--clear-groups", *BARE)

    @staticmethod
    def arguments(options: dict[str, str]) -> list[str]:
        return [f"{name}={value}" if value else name for name, value in options.items()]

    def typed(self, ovh: Backend, **more: Any) -> list[str]:
        """The arguments of a reboot."""
        options = {**long_options(ovh, "reboot"), **more}.items()
        named = {f"--{name.replace('_', '-')}": str(value) for name, value in options}
        return self.arguments({**named, "--verbose": ""})

    @pytest.mark.parametrize("prefix", [BARE, UNPRIVILEGED], ids=["bare", "unprivileged"])
    def test_reboots(self, our_agent: Agent, ovh: Backend, prefix: tuple[str, ...]) -> None:
        if prefix == self.UNPRIVILEGED:
            harness.need("setpriv")
            command = [*prefix, *our_agent.command, "-V"]
            if subprocess.run(command, capture_output=True, check=False).returncode:
                pytest.skip("another user needs root, and a checkout that everybody can read")
        agent = Agent([*prefix, *our_agent.command])
        result = agent.run(None, *self.typed(ovh))
        assert (result.status, result.stdout) == (0, "Success: Rebooted\n"), result.stderr
        assert ovh.cuts() == ["hd"]

    def test_what_was_not_rebooted_is_neither_0_nor_said_to_be(
        self, our_agent: Agent, ovh: Backend
    ) -> None:
        ovh.data_centre.timing = Timing(carried_out=False)
        result = our_agent.run(None, *self.typed(ovh, power_timeout=3))
        assert (result.status, result.stdout) == (1, "")
        assert "Success: Rebooted" not in result.stderr

    def test_killed_at_its_limit_the_next_try_reboots(self, our_agent: Agent, ovh: Backend) -> None:
        ovh.data_centre.timing = Timing(cut_delay=0.5, boot_delay=0.5, reboot_duration=2.0)
        process = our_agent.start(None, *self.typed(ovh))
        ovh.wait_until("a hard reboot", lambda: ovh.reboot_operation in ovh.calls())
        process.kill()
        process.communicate()
        result = our_agent.run(None, *self.typed(ovh))
        assert (result.status, result.stdout) == (0, "Success: Rebooted\n"), result.stderr
        assert ovh.cuts()
        assert ovh.running() == "harddisk"

    @pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
    def test_quotes_and_accents_arrive(self, our_agent: Agent, ovh: Backend, locale: str) -> None:
        password = """l'\u00e9t\u00e9 "\u00e0 la" \\ $HOME `id` & ; * #mer=1"""
        set_password(ovh, password)
        result = our_agent.run(None, *self.typed(ovh, password=password), env={"LC_ALL": locale})
        assert result.status == 0, result.stderr
        assert ovh.cuts() == ["hd"]

    def test_the_example_reboots_its_nodes(self, cluster: ExampleCluster) -> None:
        text = (EXAMPLES / "fence-agents-remediation.yaml").read_text("utf-8")
        text = text.replace("APPLICATION_SECRET", APPLICATION.secret)
        secret, template = yaml.safe_load_all(text)
        spec = template["spec"]["template"]["spec"]
        assert spec["sharedSecretName"] == secret["metadata"]["name"]
        assert template["metadata"]["namespace"] == secret["metadata"]["namespace"]
        plugs = spec["nodeparameters"]["--plug"]
        assert list(plugs.values()) == list(SERVERS.values())
        options = {
            **spec["sharedparameters"],
            "--plug": ",".join(plugs.values()),
            **secret["stringData"],
            "--api-url": cluster.api_urls["rest"],
        }
        result = cluster.run(spec["agent"], *self.arguments(options))
        assert result.status == 0, result.stderr
        assert "Success: Rebooted" in result.stdout
        assert set(map(tuple, cluster.booted().values())) == {("harddisk",)}


class TestDlm:
    """dlm_controld sends the pairs of the device, those of the connection, and some of its own."""

    @staticmethod
    def call(cluster: ExampleCluster, nodeid: int, *last: str) -> Result:
        """Run the agent of the README's lines for that node."""
        (block,) = documents.blocks(README, "dlm_controld")
        device, *connections = (line.split() for line in block.splitlines())
        (connection,) = (each for each in connections if each[2] == f"node={nodeid}")
        assert (device[:2], connection[:2]) == (["device", "ovh"], ["connect", "ovh"])
        pairs = [*device[3:], f"api_url={cluster.api_urls['rest']}", *connection[3:]]
        pairs += [f"node={nodeid}", "fail_time=1792108800", *last]
        program = pathlib.Path(device[2]).name
        return cluster.run(program, input="".join(f"{pair}\n" for pair in pairs).encode())

    def test_the_lines_in_the_readme_fence(self, cluster: ExampleCluster) -> None:
        node = list(SERVERS)[1]
        result = self.call(cluster, 2)
        assert result.status == 0, result.stderr
        assert cluster.booted()[node] == ["harddisk"]
        assert sum(map(len, cluster.booted().values())) == 1

    def test_unfencing_leaves_a_running_node_alone(self, cluster: ExampleCluster) -> None:
        """For that it sends action=on at the end."""
        result = self.call(cluster, 2, "action=on")
        assert (result.status, result.stdout) == (0, "Success: Already ON\n")
        assert not any(cluster.booted().values())


class TestProxmox:
    """From version 4 on it never runs an agent, up to version 3 cman does (test_cman)."""

    def test_there_is_no_example_of_what_it_does_not_read(self) -> None:
        assert not list(EXAMPLES.rglob("fence.cfg"))
        page = (REPOSITORY / "docs" / "debugging.md").read_text("utf-8")
        assert "From version 4 on it never runs an agent" in page


class TestShell:
    def test_the_line_in_the_readme(self, cluster: ExampleCluster) -> None:
        cluster.stand_in_for_ovh()
        (line,) = documents.blocks(README, "A shell script")
        result = cluster.run("sh", "-c", line)
        assert result.status == 0, result.stderr
        assert result.stdout == "Success: Powered OFF\nIt is cut off: take over.\n"
        assert cluster.booted()["node1.example.com"] == ["rescue"]

    def test_it_does_not_take_over_a_server_that_was_not_cut(self, cluster: ExampleCluster) -> None:
        cluster.stand_in_for_ovh()
        cluster.data_centre.timing = Timing(carried_out=False)
        (line,) = documents.blocks(README, "A shell script")
        result = cluster.run("sh", "-c", line.replace(" -o off", " --power-timeout=3 -o off"))
        assert (result.status, result.stdout) == (1, "")
