# SPDX-License-Identifier: GPL-2.0-or-later
"""Callers other than cman and Pacemaker: each runs the agent in its own way, with our example."""

from __future__ import annotations

import pathlib
import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests import harness
from tests.callers.cman import APPLICATION, SERVERS, ExampleCluster
from tests.documents import documents
from tests.harness import LOGIN, REPOSITORY, SERVER, Agent, Backend, OAuth2Backend, RestBackend
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


class TestProxmox:
    """The HA manager makes a command of a line on a device and one on a node, for a shell."""

    @staticmethod
    def commands(fence_cfg: str, node: str) -> list[str]:
        devices, commands = {}, []
        for line in fence_cfg.splitlines():
            if line.startswith("#") or not line.strip():
                continue
            match = re.fullmatch(r"\s*(device|connect)\s+(\S+)\s+(\S+)\s+(.+?)\s*", line)
            assert match, line
            keyword, name, target, arguments = match.groups()
            words = shlex.split(arguments)
            if keyword == "device":
                devices[name] = [target, words]
            elif target == f"node={node}":
                agent, shared = devices[name]
                commands.append(" ".join([agent, *map(TestProxmox.argument, [*shared, *words])]))
        return commands

    @staticmethod
    def argument(word: str) -> str:
        key, *values = word.split("=")
        if not values:
            return f"-{key}" if len(key) == 1 else f"--{key}"
        quoted = "'" + values[0].replace("'", "'\\''") + "'"
        return f"-{key} {quoted}" if len(key) == 1 else f"--{key}={quoted}"

    @pytest.mark.parametrize(("number", "node"), list(enumerate(SERVERS, 1)))
    def test_the_example_fences_its_nodes(
        self, cluster: ExampleCluster, number: int, node: str
    ) -> None:
        device = f'endpoint="ovh-eu" api_url="{cluster.api_urls["rest"]}"'
        text = (EXAMPLES / "fence.cfg").read_text("utf-8")
        (command,) = self.commands(text.replace('endpoint="ovh-eu"', device), f"pve{number}")
        result = cluster.run("sh", "-c", command)
        assert result.status == 0, result.stderr
        assert cluster.booted() == {each: ["rescue"] if each == node else [] for each in SERVERS}

    @pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
    def test_quotes_and_accents_arrive(self, our_agent: Agent, ovh: Backend, locale: str) -> None:
        """Also one-letter keys and words without a value."""
        password = """l'\u00e9t\u00e9 "\u00e0 la" \\ $HOME `id` & ; * #mer'"""
        self.set_password(ovh, password)
        options = long_options(ovh, "off")
        del options["plug"], options["action"]
        options["password"] = password
        escaped = {key: re.sub(r'(["\\])', r"\\\1", str(value)) for key, value in options.items()}
        device = " ".join(f'{key}="{value}"' for key, value in escaped.items())
        fence_cfg = (
            f'device ovh fence_ovh {device} verbose v\nconnect ovh node=pve1 n="{SERVER}" o=off'
        )
        (command,) = self.commands(fence_cfg, "pve1")
        assert command.endswith(f"--verbose -v -n '{SERVER}' -o 'off'")
        shell = Agent(
            ["sh", "-c", f'fence_ovh() {{ {shlex.join(our_agent.command)} "$@"; }}; {command}']
        )
        result = shell.run(env={"LC_ALL": locale})
        assert result.status == 0, result.stderr
        assert ovh.cuts() == ["rescue12-customer"]

    @staticmethod
    def set_password(ovh: Backend, password: str) -> None:
        with ovh.data_centre.lock:
            if isinstance(ovh, OAuth2Backend):
                ovh.front_end.credentials.service_accounts[CLIENT_ID].secret = password
            elif isinstance(ovh, RestBackend):
                application = Application(APPLICATION_KEY, password)
                ovh.front_end.credentials.applications[APPLICATION_KEY] = application
            else:
                ovh.data_centre.accounts[LOGIN] = Account(LOGIN, password)


class TestMedik8s:
    """The operator runs `fence_ovh --option=value …` and looks for `Success: Rebooted`."""

    @staticmethod
    def arguments(options: dict[str, str]) -> list[str]:
        return [f"{name}={value}" if value else name for name, value in options.items()]

    def test_reboots(self, our_agent: Agent, ovh: Backend) -> None:
        options = long_options(ovh, "reboot").items()
        named = {f"--{name.replace('_', '-')}": str(value) for name, value in options}
        result = our_agent.run(None, *self.arguments({**named, "--verbose": ""}))
        assert (result.status, result.stdout) == (0, "Success: Rebooted\n")
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
    def test_the_lines_in_the_readme_fence(self, cluster: ExampleCluster) -> None:
        """dlm_controld sends the pairs of both lines, and two of its own."""
        (block,) = documents.blocks(README, "dlm_controld")
        device, first, second = (line.split() for line in block.splitlines())
        assert (device[:2], first[:2], second[:2]) == (["device", "ovh"], *[["connect", "ovh"]] * 2)
        pairs = [*device[3:], *second[2:], "fail_time=1", f"api_url={cluster.api_urls['rest']}"]
        program = pathlib.Path(device[2]).name
        result = cluster.run(program, input="".join(f"{pair}\n" for pair in pairs).encode())
        assert result.status == 0, result.stderr
        node = list(SERVERS)[1]
        assert cluster.booted()[node] == ["harddisk"]
        assert sum(map(len, cluster.booted().values())) == 1


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
