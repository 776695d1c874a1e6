# SPDX-License-Identifier: GPL-2.0-or-later
"""Under cman: the example of a cluster.conf fences its nodes, and fits into cman's schema."""

from __future__ import annotations

import pathlib
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
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
        assert (result.status, result.stdout) == (0, "")
        said, args, end = result.stderr.splitlines()
        assert said == f"fence {node} dev 0.0 agent fence_ovh result: success"
        assert args.startswith(f"agent args: action=off nodename={node} agent=fence_ovh plug=")
        assert end == f"fence {node} success"
        assert cluster.booted() == {node: ["rescue"], **others}
        assert self.status(cluster, node) == (0, f"status {node} success off\n")
        assert cluster.run("fence_node", "-U", node).status == 0
        assert cluster.booted() == {node: ["rescue", "harddisk"], **others}
        assert self.status(cluster, node) == (0, f"status {node} success on\n")

    @staticmethod
    def status(cluster: ExampleCluster, node: str) -> tuple[int, str]:
        result = cluster.run("fence_node", "-S", node)
        return result.status, result.stderr

    def test_unfencing_leaves_a_running_node_alone(self, cluster: ExampleCluster) -> None:
        """Each node does that to itself when it joins."""
        assert cluster.run("fence_node", "-U", NODE).status == 0
        assert cluster.booted()[NODE] == []

    @pytest.mark.parametrize("task", ["-S", "-U"])
    def test_an_action_on_a_fencedevice_cuts_whatever_is_asked(
        self, cluster: ExampleCluster, task: str
    ) -> None:
        """It comes last. README, the page and the example say so."""
        conf = cluster.conf.read_text("utf-8")
        cluster.conf.write_text(
            conf.replace('name="fence01" plug', 'name="fence01" action="off" plug')
        )
        assert cluster.run("fence_node", task, NODE).status == 0
        assert cluster.booted()[NODE] == ["rescue"]

    def test_an_api_that_is_down_is_an_error(self, cluster: ExampleCluster) -> None:
        impatient = 'name="fence01" power_timeout="1" login_timeout="1" shell_timeout="1"'
        conf = cluster.conf.read_text("utf-8")
        cluster.conf.write_text(conf.replace('name="fence01" plug', f"{impatient} plug"))
        cluster.simulator.stop()
        result = cluster.run("fence_node", "-v", NODE)
        failed = (
            f"fence {NODE} dev 0.0 agent fence_ovh result: error from agent\nfence {NODE} failed\n"
        )
        assert (result.status, result.stderr) == (1, failed)
        result = cluster.run("fence_node", "-v", "-S", NODE)
        assert (result.status, results(result)) == (1, ["0.0 agent fence_ovh result: status error"])


def conf_of(
    *methods: list[dict[str, Any]],
    device: str = 'action="off"',
    names: Sequence[str] = (),
    unfence: Sequence[dict[str, Any]] = (),
) -> str:
    """A cluster.conf for one node; a method is the attributes of its fence devices.

    Args:
        device: the other attributes of each `<device>`.
        names: those of the methods, by default 0, 1, …; an empty one is left out.
    """
    defined: list[str] = []

    def use(devices: Sequence[dict[str, Any]]) -> str:
        first = len(defined)
        for number, attributes in enumerate(devices, first):
            pairs = (f"{key}={quoteattr(str(value))}" for key, value in attributes.items())
            defined.append(f'<fencedevice {" ".join(pairs)} name="d{number}"/>')
        numbers = range(first, len(defined))
        return "".join(f'<device name="d{number}" {device}/>' for number in numbers)

    used = ""
    for name, devices in zip(names or map(str, range(len(methods))), methods):
        attribute = f' name="{name}"' if name else ""
        used += f"<method{attribute}>{use(devices)}</method>"
    undoes = f"<unfence>{use(unfence)}</unfence>" if unfence else ""
    return (
        f'<cluster><clusternodes><clusternode name="{NODE}"><fence>{used}</fence>{undoes}'
        f"</clusternode></clusternodes><fencedevices>{''.join(defined)}</fencedevices></cluster>"
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

    def add_agents(self, **statuses: int) -> None:
        """Add agents that end with that exit status, and write their name into a file."""
        for name, status in statuses.items():
            self.add_agent(name, f"echo {name} >>{self.folder}/ran; exit {status}")

    def ran(self) -> list[str]:
        """The agents of `add_agents` that were run, in their order."""
        file = self.folder / "ran"
        return file.read_text().split() if file.exists() else []

    def run(self, conf: str, *options: str, node: str = NODE) -> Result:
        path = self.folder / "cluster.conf"
        path.write_text(conf)
        command = [sys.executable, "-m", "tests.callers.libfence", *options, str(path), node]
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
    return [line.partition(" dev ")[2] for line in result.stderr.splitlines() if " dev " in line]


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
        assert (result.status, results(result)) == (2, ["0.0 agent none result: error no method"])

    def test_a_verbose_agent_does_not_hold_up_the_fencing(self, ovh: Backend, cman: Cman) -> None:
        log = cman.folder / "log"
        loud = fence_device(ovh, verbose_level=3, debug_file=log)
        result = cman.run(conf_of([loud]), "-vv")
        assert result.status == 0
        assert "DEBUG" in log.read_text()
        assert "DEBUG" not in result.stdout + result.stderr


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
    """That it does to an agent what libfence does, and says what fence_node says."""

    @staticmethod
    def input_of(cman: Cman, conf: str, *options: str, node: str = NODE) -> str:
        """What the agent gets."""
        cman.add_agent("fence_ovh", f"echo $# >{cman.folder}/count; cat >{cman.folder}/input")
        assert cman.run(conf, *options, node=node).status == 0
        assert (cman.folder / "count").read_text() == "0\n"
        return (cman.folder / "input").read_text("utf-8")

    def test_input_byte_for_byte(self, cman: Cman) -> None:
        options = {
            "agent": "fence_ovh",
            "action": "on",
            "plug": "ns1234.ovh.net",
            "login": "ab12345-ovh",
            "passwd": 'a=b "c" <d> \u00e9',
            "power_wait": "5",
        }
        conf = conf_of([options], unfence=[options], device='action="off" uuid="1"')
        rest = (
            "agent=fence_ovh\naction=on\nplug=ns1234.ovh.net\nlogin=ab12345-ovh\n"
            'passwd=a=b "c" <d> \u00e9\npower_wait=5\n'
        )
        fence = f"action=off\nuuid=1\nnodename={NODE}\n{rest}"
        assert self.input_of(cman, conf) == fence
        assert self.input_of(cman, conf, "-U") == fence
        status = f"uuid=1\nnodename={NODE}\naction=status\n{rest}"
        assert self.input_of(cman, conf, "-S") == status

    def test_a_nodename_of_the_device_stands(self, cman: Cman) -> None:
        conf = conf_of([{"agent": "fence_ovh"}], device='nodename="ns1" action="off"')
        assert self.input_of(cman, conf) == "nodename=ns1\naction=off\nagent=fence_ovh\n"
        status = "nodename=ns1\naction=status\nagent=fence_ovh\n"
        assert self.input_of(cman, conf, "-S") == status

    def test_a_short_node_name_is_resolved(self, cman: Cman) -> None:
        conf = conf_of([{"agent": "fence_ovh"}], device="")
        expected = f"nodename={NODE}\nagent=fence_ovh\n"
        assert self.input_of(cman, conf, node=NODE.partition(".")[0]) == expected

    @pytest.mark.parametrize("size", [4094, 4095])
    def test_arguments_are_4094_bytes_at_most(self, cman: Cman, size: int) -> None:
        cman.add_agent("fence_ovh", f"cat >{cman.folder}/input")
        others = f"action=off\nnodename={NODE}\nagent=fence_ovh\npasswd=\n"
        password = "x" * (size - len(others))
        result = cman.run(conf_of([{"agent": "fence_ovh", "passwd": password}]), "-v")
        if size == 4094:
            assert result.status == 0
            assert (cman.folder / "input").stat().st_size == size
        else:
            assert result.status == 1
            assert results(result) == ["0.0 agent fence_ovh result: error config args"]
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

    def test_all_goes_to_standard_error_and_the_arguments_end_with_a_blank(
        self, cman: Cman
    ) -> None:
        cman.add_agent("fence_ovh", "echo out; echo error >&2")
        result = cman.run(conf_of([{"agent": "fence_ovh"}]), "-vvv")
        assert (result.status, result.stdout) == (0, "")
        assert result.stderr == (
            f"fence {NODE} dev 0.0 agent fence_ovh result: success\n"
            f"agent args: action=off nodename={NODE} agent=fence_ovh \n"
            f"fence {NODE} success\n"
        )

    @pytest.mark.parametrize(
        ("statuses", "status", "said"),
        [
            ([0], 0, "success on"),
            ([2], 0, "success off"),
            ([2, 0], 0, "success on"),
            ([2, 2], 0, "success off"),
            ([1, 0], 1, "failed -1"),
            ([0, 3], 1, "failed -1"),
        ],
    )
    def test_a_status_asks_every_device_of_every_method(
        self, cman: Cman, statuses: list[int], status: int, said: str
    ) -> None:
        agents = {f"fence_{number}": each for number, each in enumerate(statuses)}
        cman.add_agents(**agents)
        apart = conf_of(*([{"agent": name}] for name in agents))
        together = conf_of([{"agent": name} for name in agents])
        for conf in (apart, together):
            result = cman.run(conf, "-S", "-v")
            assert result.status == status
            assert result.stderr.endswith(f"\nstatus {NODE} {said}\n")
        words = {0: "status on", 2: "status off"}
        shown = [words.get(each, "status error") for each in statuses]
        assert [line.partition(": ")[2] for line in results(result)] == shown
        assert cman.ran() == [*agents, *agents]

    @pytest.mark.parametrize(
        ("conf", "task", "node"),
        [
            (conf_of(), "fence", NODE),
            (conf_of(), "status", NODE),
            (conf_of([{"agent": "fence_a"}]), "unfence", NODE),
            (conf_of([{"agent": "fence_a"}]), "fence", "node2.example.com"),
            (conf_of([{"agent": "fence_a"}], names=[""]), "fence", NODE),
            (conf_of([{"agent": "fence_a"}], names=[""]), "status", NODE),
        ],
        ids=["none", "none for a status", "none for -U", "unknown node", "nameless", "nameless -S"],
    )
    def test_no_method_is_undefined(self, cman: Cman, conf: str, task: str, node: str) -> None:
        cman.add_agents(fence_a=0)
        options = {"fence": [], "status": ["-S"], "unfence": ["-U"]}[task]
        result = cman.run(conf, *options, node=node)
        assert (result.status, result.stderr) == (2, f"{task} {node} undefined\n")
        assert cman.ran() == []

    def test_unfencing_runs_the_others_after_a_failure(self, cman: Cman) -> None:
        cman.add_agents(fence_a=1, fence_b=0)
        result = cman.run(conf_of(unfence=[{"agent": "fence_a"}, {"agent": "fence_b"}]), "-U")
        assert (result.status, result.stderr) == (1, f"unfence {NODE} failed\n")
        assert cman.ran() == ["fence_a", "fence_b"]

    def test_of_two_methods_of_one_name_the_first_ones_devices_run_twice(self, cman: Cman) -> None:
        cman.add_agents(fence_a=1, fence_b=0)
        conf = conf_of([{"agent": "fence_a"}], [{"agent": "fence_b"}], names=["1", "1"])
        assert cman.run(conf).status == 1
        assert cman.ran() == ["fence_a", "fence_a"]

    def test_eight_methods_and_eight_devices_are_the_most(self, cman: Cman) -> None:
        cman.add_agents(fence_a=1, fence_b=0)
        assert cman.run(conf_of(*[[{"agent": "fence_a"}]] * 8, [{"agent": "fence_b"}])).status == 1
        assert cman.ran() == ["fence_a"] * 8
        (cman.folder / "ran").unlink()
        cman.run(conf_of([{"agent": "fence_b"}] * 9))
        assert cman.ran() == ["fence_b"] * 8
