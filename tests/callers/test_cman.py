# SPDX-License-Identifier: GPL-2.0-or-later
"""Under cman: the example of a cluster.conf fences its nodes, and fits into cman's schema."""

from __future__ import annotations

import pathlib
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from typing import Any
from xml.sax.saxutils import quoteattr

import pytest

from tests import harness
from tests.callers.cman import EXAMPLE, SERVERS, ExampleCluster
from tests.demo import environment_with_agent
from tests.harness import SERVER, Agent, Backend, Result

NODE = "node1.example.com"


@pytest.fixture
def cluster(tmp_path: pathlib.Path) -> Iterator[ExampleCluster]:
    example = ExampleCluster(tmp_path)
    with example.simulator:
        yield example


class TestTheExample:
    @pytest.mark.parametrize("node", SERVERS)
    def test_fences_its_nodes_and_starts_them_again(
        self, cluster: ExampleCluster, node: str
    ) -> None:
        others = {other: [] for other in SERVERS if other != node}
        result = cluster.run("fence_node", "-vv", node)
        assert (result.status, result.stderr) == (0, f"fence {node} success\n")
        said, args = result.stdout.splitlines()
        assert said == f"fence {node} dev 0.0 agent fence_ovh result: success"
        assert args.startswith(f"agent args: action=off nodename={node} agent=fence_ovh plug=")
        assert cluster.booted() == {node: ["rescue"], **others}
        assert cluster.run("fence_node", "-S", node).status == 2
        assert cluster.run("fence_node", "-U", node).status == 0
        assert cluster.booted() == {node: ["rescue", "harddisk"], **others}
        assert cluster.run("fence_node", "-S", node).status == 0

    def test_unfencing_leaves_a_running_node_alone(self, cluster: ExampleCluster) -> None:
        """Each node does that to itself when it joins."""
        assert cluster.run("fence_node", "-U", NODE).status == 0
        assert cluster.booted()[NODE] == []

    def test_an_api_that_is_down_is_an_error(self, cluster: ExampleCluster) -> None:
        impatient = 'name="fence01" power_timeout="1" login_timeout="1" shell_timeout="1"'
        conf = cluster.conf.read_text("utf-8")
        cluster.conf.write_text(conf.replace('name="fence01" plug', f"{impatient} plug"))
        cluster.simulator.stop()
        result = cluster.run("fence_node", "-v", NODE)
        assert (result.status, result.stderr) == (1, f"fence {NODE} failed\n")
        assert result.stdout == f"fence {NODE} dev 0.0 agent fence_ovh result: error from agent\n"
        assert cluster.run("fence_node", "-S", NODE).status == 1


def conf_of(*methods: list[dict[str, Any]], device: str = 'action="off"') -> str:
    """A cluster.conf for one node; a method is the attributes of its fence devices."""
    used, defined = "", ""
    for number, method in enumerate(methods):
        used += f'<method name="{number}">'
        for index, attributes in enumerate(method):
            name = f"d{number}{index}"
            used += f'<device name="{name}" {device}/>'
            pairs = (f"{key}={quoteattr(str(value))}" for key, value in attributes.items())
            defined += f'<fencedevice {" ".join(pairs)} name="{name}"/>'
        used += "</method>"
    return (
        f'<cluster><clusternodes><clusternode name="{NODE}"><fence>{used}</fence></clusternode>'
        f"</clusternodes><fencedevices>{defined}</fencedevices></cluster>"
    )


class Cman:
    """A node of a cluster with a cluster.conf of the test's own and agents beside fence_ovh."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.environment = environment_with_agent(folder)

    def add_agent(self, name: str, script: str) -> None:
        program = self.folder / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    def run(self, conf: str, *options: str) -> Result:
        path = self.folder / "cluster.conf"
        path.write_text(conf)
        command = [sys.executable, "-m", "tests.callers.libfence", *options, str(path), NODE]
        done = subprocess.run(
            command,
            env=self.environment,
            cwd=harness.REPOSITORY,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def cman(tmp_path: pathlib.Path) -> Cman:
    return Cman(tmp_path)


def fence_device(ovh: Backend, **more: Any) -> dict[str, Any]:
    """Attributes of a fencedevice that works."""
    options = {**ovh.options("off"), **more}
    return {name: value for name, value in options.items() if name not in ("action", "nodename")}


def results(result: Result) -> list[str]:
    """What `fence_node -v` shows of each run."""
    return [line.partition(" dev ")[2] for line in result.stdout.splitlines()]


class TestMethods:
    def test_a_missing_agent_leaves_it_to_the_next_method(self, ovh: Backend, cman: Cman) -> None:
        conf = conf_of([{"agent": "fence_missing"}], [fence_device(ovh)])
        result = cman.run(conf, "-v")
        assert (result.status, ovh.cuts()) == (0, ["rescue12-customer"])
        assert results(result) == [
            "0.0 agent fence_missing result: error from agent",
            "1.0 agent fence_ovh result: success",
        ]

    def test_a_refused_login_leaves_it_to_the_next_method(self, ovh: Backend, cman: Cman) -> None:
        refused = fence_device(ovh, passwd="wrong-Pa55-word", power_timeout=4)
        result = cman.run(conf_of([refused], [fence_device(ovh)]), "-v")
        assert (result.status, ovh.cuts()) == (0, ["rescue12-customer"])
        assert results(result) == [
            "0.0 agent fence_ovh result: error from agent",
            "1.0 agent fence_ovh result: success",
        ]

    def test_all_devices_of_a_method_must_succeed(self, ovh: Backend, cman: Cman) -> None:
        result = cman.run(conf_of([fence_device(ovh), {"agent": "fence_missing"}]), "-v")
        assert result.status == 1
        assert ovh.running(SERVER) == "rescue"
        assert results(result) == [
            "0.0 agent fence_ovh result: success",
            "0.1 agent fence_missing result: error from agent",
        ]

    def test_without_a_method_there_is_no_fencing(self, cman: Cman) -> None:
        result = cman.run(conf_of(), "-v")
        assert (result.status, results(result)) == (1, ["0.0 agent none result: error no method"])

    def test_a_verbose_agent_does_not_hold_up_the_fencing(self, ovh: Backend, cman: Cman) -> None:
        result = cman.run(conf_of([fence_device(ovh, verbose_level=3)]), "-vvv")
        assert result.status == 0
        assert "DEBUG" in result.stdout


FILL_THE_PIPE = """
import fcntl, os, sys
os.set_blocking(1, False)
written = 0
try:
    while written < 1 << 20:
        written += os.write(1, b"x" * 4096)
except BlockingIOError:
    pass
same = os.fstat(1).st_ino == os.fstat(2).st_ino
print(written, same, fcntl.fcntl(1, fcntl.F_GETPIPE_SZ), file=open(sys.argv[1], "w"))
"""


RELAXNG = pathlib.Path("/usr/share/cluster/relaxng")

GRAMMAR = '<grammar xmlns="http://relaxng.org/ns/structure/1.0" xmlns:rha="urn:rha">'


class TestTheSchema:
    """ccs_update_schema makes it of the agent's metadata: every parameter is an attribute."""

    @pytest.fixture
    def schema(self, our_agent: Agent, tmp_path: pathlib.Path) -> pathlib.Path:
        missing = [name for name in ("xsltproc", "xmllint") if not shutil.which(name)]
        if missing or not RELAXNG.exists():
            pytest.skip(f"missing: {' '.join(missing) or RELAXNG} (package fence-agents)")
        (tmp_path / "metadata.xml").write_text(our_agent.run(None, "-o", "metadata").stdout)
        command = ["xsltproc", str(RELAXNG / "fence2rng.xsl"), str(tmp_path / "metadata.xml")]
        options = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        head, tail = ((RELAXNG / f"fence.rng.{end}").read_text() for end in ("head", "tail"))
        (tmp_path / "fence.rng").write_text(f"{GRAMMAR}{head}{options}{tail}</grammar>")
        return pathlib.Path(shutil.copy(pathlib.Path(__file__).parent / "cluster.rng", tmp_path))

    def is_valid(self, schema: pathlib.Path, conf: str) -> bool:
        command = ["xmllint", "--noout", "--relaxng", str(schema), "-"]
        done = subprocess.run(command, input=conf, capture_output=True, text=True, check=False)
        assert done.returncode in (0, 3), done.stderr
        return done.returncode == 0

    def test_accepts_the_example(self, schema: pathlib.Path, cluster: ExampleCluster) -> None:
        assert self.is_valid(schema, EXAMPLE.read_text("utf-8"))
        assert self.is_valid(schema, cluster.conf.read_text("utf-8"))

    @pytest.mark.parametrize("attribute", ["plug", "passwd_script", "consumer_key", "action"])
    def test_rejects_a_misspelt_attribute(self, schema: pathlib.Path, attribute: str) -> None:
        root = ElementTree.parse(EXAMPLE).getroot()
        element = next(each for each in root.iter() if attribute in each.attrib)
        element.set(f"{attribute}x", element.attrib.pop(attribute))
        assert not self.is_valid(schema, ElementTree.tostring(root, encoding="unicode"))


class TestTheCaller:
    """That it does to an agent what libfence does."""

    def test_input_byte_for_byte(self, cman: Cman) -> None:
        cman.add_agent("fence_ovh", f"echo $# >{cman.folder}/count; cat >{cman.folder}/input")
        conf = conf_of(
            [
                {
                    "agent": "fence_ovh",
                    "plug": "ns1234.ovh.net",
                    "login": "ab12345-ovh",
                    "passwd": 'a=b "c" <d> \u00e9',
                    "power_wait": "5",
                }
            ]
        )
        assert cman.run(conf).status == 0
        rest = (
            f"nodename={NODE}\nagent=fence_ovh\nplug=ns1234.ovh.net\nlogin=ab12345-ovh\n"
            'passwd=a=b "c" <d> \u00e9\npower_wait=5\n'
        )
        assert (cman.folder / "input").read_text("utf-8") == "action=off\n" + rest
        assert (cman.folder / "count").read_text() == "0\n"
        assert cman.run(conf, "--status").status == 0
        assert (cman.folder / "input").read_text("utf-8") == "action=status\n" + rest

    def test_a_nodename_of_the_device_stands(self, cman: Cman) -> None:
        cman.add_agent("fence_ovh", f"cat >{cman.folder}/input")
        conf = conf_of([{"agent": "fence_ovh"}], device='nodename="ns1" action="off"')
        assert cman.run(conf).status == 0
        assert (cman.folder / "input").read_text() == "nodename=ns1\naction=off\nagent=fence_ovh\n"

    def test_more_than_4_KiB_is_never_sent(self, cman: Cman) -> None:
        cman.add_agent("fence_ovh", f"cat >{cman.folder}/input")
        result = cman.run(conf_of([{"agent": "fence_ovh", "passwd": "x" * 4096}]), "-v")
        assert (result.status, results(result)) == (
            1,
            ["0.0 agent fence_ovh result: error config args"],
        )
        assert not (cman.folder / "input").exists()

    def test_nobody_reads_the_one_pipe_for_the_output(self, cman: Cman) -> None:
        program, seen = cman.folder / "fill.py", cman.folder / "seen"
        program.write_text(FILL_THE_PIPE)
        cman.add_agent("fence_full", f'exec "{sys.executable}" "{program}" "{seen}"')
        assert cman.run(conf_of([{"agent": "fence_full"}])).status == 0
        written, same, capacity = seen.read_text().split()
        assert (written, same) == (capacity, "True")

    @pytest.mark.parametrize("status", [1, 2, 3])
    def test_only_0_is_success(self, cman: Cman, status: int) -> None:
        cman.add_agent("fence_ovh", f"exit {status}")
        assert cman.run(conf_of([{"agent": "fence_ovh"}])).status == 1

    def test_a_signal_is_no_success(self, cman: Cman) -> None:
        cman.add_agent("fence_ovh", "kill -9 $$")
        assert cman.run(conf_of([{"agent": "fence_ovh"}])).status == 1
