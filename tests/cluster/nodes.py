# SPDX-License-Identifier: GPL-2.0-or-later
"""The machines: nodes in namespaces, and the simulator as the data centre that has them.

A power cut in the simulator kills a node with all that it runs; a boot from disk starts it and its
cluster software again; in rescue a node runs nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sysconfig
import threading
import time
from collections.abc import Iterator
from typing import Any, Callable

from tests import harness
from tests.simulator import (
    CONSUMER_KEY,
    Account,
    DataCentre,
    Netboot,
    RestFrontEnd,
    Server,
    SimulatorServer,
    SoapFrontEnd,
    SystemClock,
    Timing,
)

HERE = pathlib.Path(__file__).parent
ADDRESS = "10.77.0.254"
"""The data centre's, where the simulator listens."""

SERVERS = {
    "node1": "ns1001.ip-203-0-113.eu",
    "node2": "ns1002.ovh.net",
    "node3": "ns1003.ovh.net",
}
FAST = Timing(cut_delay=0.3, boot_delay=0.3, reboot_duration=1.0, power_off_delay=0.5)

OS_START = 4.0
"""Seconds from a node's boot until its cluster software starts."""

COROSYNC = """\
totem {{
    version: 2
    cluster_name: ovh
    transport: udpu
    token: 1000
}}
system {{
    move_to_root_cgroup: no
}}
logging {{
    to_stderr: no
    to_syslog: no
    to_logfile: yes
    logfile: /var/log/corosync/corosync.log
    timestamp: hires
}}
quorum {{
    provider: corosync_votequorum
    two_node: {two_node}
}}
nodelist {{
{nodes}}}
"""

COROSYNC_NODE = """\
    node {{
        name: {name}
        nodeid: {number}
        ring0_addr: {address}
    }}
"""

ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "TMPDIR": "/var/tmp",
}


def call(*command: str, **options: Any) -> str:
    """Run a command that must succeed; returns what it prints."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
    return str(done.stdout)


def wait_until(what: str, condition: Callable[[], object], seconds: float = 90) -> None:
    """Wait for something that is about to happen; fail when it has not in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds:g} seconds for {what}"
        time.sleep(0.2)


def install(folder: pathlib.Path) -> pathlib.Path:
    """Put together what the nodes' /usr has more than the machine's; returns its folder."""
    call("make", "-s", "-C", str(harness.REPOSITORY), "install", f"DESTDIR={folder}")
    resources = folder / "usr/lib/ocf/resource.d/test"
    resources.mkdir(parents=True)
    shutil.copy(HERE / "service.py", resources / "service")
    # Debian has no package of OVH's library. Its own packages go first.
    packages = folder / "usr/lib/python3/dist-packages"
    packages.mkdir(parents=True)
    (packages / "zz-more.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "usr"


class Node:
    """A machine.

    Attributes:
        name: the cluster's for it.
        server: the provider's for it.
        disk: what it has in /etc, /root, /usr and /var, also while it is off.
    """

    def __init__(self, number: int, usr: pathlib.Path, folder: pathlib.Path) -> None:
        self.name = f"node{number}"
        self.number = number
        self.server = SERVERS[self.name]
        self.address = f"10.77.0.{number}"
        self.disk = folder / self.name
        self._process: subprocess.Popen[bytes] | None = None
        self._timer: threading.Timer | None = None
        self._lock = threading.Lock()
        for name in ("etc", "root", "usr", "var"):
            (self.disk / name).mkdir(parents=True)
        _mount_overlay(self.disk / "usr", f"lowerdir={usr}:/usr")
        for name in ("etc", "root", "var"):
            upper, work = self.disk / f"{name}.upper", self.disk / f"{name}.work"
            upper.mkdir()
            work.mkdir()
            options = f"lowerdir=/{name},upperdir={upper},workdir={work}"
            _mount_overlay(self.disk / name, options)

    def write_configuration(self, nodes: list[Node], cib: str) -> None:
        """Write what its cluster software reads when it starts for the first time."""
        blocks = [
            COROSYNC_NODE.format(name=each.name, number=each.number, address=each.address)
            for each in nodes
        ]
        two_node = int(len(nodes) == 2)
        text = COROSYNC.format(two_node=two_node, nodes="".join(blocks))
        (self.disk / "etc/corosync").mkdir(exist_ok=True)
        (self.disk / "etc/corosync/corosync.conf").write_text(text)
        # Of a cluster that the machine itself may be in.
        for old in (self.disk / "var/lib/pacemaker/cib").iterdir():
            old.unlink()
        path = self.disk / "var/lib/pacemaker/cib/cib.xml"
        path.write_text(cib)
        shutil.chown(path, "hacluster", "haclient")

    def switch_on(self, netboot: Netboot) -> None:
        """Boot; in time its cluster software starts, if it was from disk."""
        with self._lock:
            if netboot.type == "harddisk":
                self._timer = threading.Timer(OS_START, lambda: self._start(timer))
                timer = self._timer
                timer.daemon = True
                timer.start()

    def cut_power(self) -> None:
        """Kill all that it runs; returns once it is dead."""
        with self._lock:
            self._timer = None
            if self._process is not None:
                first = self.first_pid
                os.kill(first or self._process.pid, signal.SIGKILL)
                self._process.wait()
                self._process = None

    def _start(self, timer: threading.Timer) -> None:
        with self._lock:
            if self._timer is not timer:
                return  # Its power was cut in the meantime.
            command = [str(HERE / "boot.sh"), str(self.disk), self.name, self.address]
            with open(self.disk / "var/log/console.log", "ab") as console:
                self._process = subprocess.Popen(
                    [*_NAMESPACES, *command],
                    stdin=subprocess.PIPE,
                    stdout=console,
                    stderr=console,
                    env=ENVIRONMENT,
                    start_new_session=True,  # A Ctrl-C is not for them.
                )
            self._plug_in(self._process)

    def _plug_in(self, process: subprocess.Popen[bytes]) -> None:
        wait_until(f"{self.name} to have namespaces", lambda: self.first_pid, 10)
        # The kernel takes its time to remove the one of the last boot.
        subprocess.run(["ip", "link", "delete", self.name], stderr=subprocess.DEVNULL, check=False)
        peer = ["peer", "name", "eth0", "netns", str(process.pid)]
        call("ip", "link", "add", self.name, "type", "veth", *peer)
        call("ip", "link", "set", self.name, "master", "br0", "up")
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.close()

    @property
    def first_pid(self) -> int:
        """Its first process, seen from outside; 0 while it is off."""
        if self._process is None:
            return 0
        pid = self._process.pid
        try:
            children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        except OSError:
            return 0  # It is dying.
        return int(children[0]) if children else 0

    def pids(self, program: str = "") -> list[int]:
        """Its processes, seen from outside; only those of a program, if one is named."""
        try:
            space = os.readlink(f"/proc/{self.first_pid}/ns/pid")
        except OSError:
            return []
        return [
            pid
            for pid in map(int, filter(str.isdecimal, os.listdir("/proc")))
            if _belongs(pid, space, program)
        ]

    def freeze(self) -> None:
        """Stop all that it runs, as a node that hangs."""
        for _ in range(3):  # What is being started meanwhile is stopped by the next round.
            for pid in self.pids():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)

    def kill(self, program: str) -> None:
        """kill -9."""
        pids = self.pids(program)
        assert pids, f"{self.name} does not run {program}"
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    def cut_off(self, *match: str) -> None:
        """Drop what corosync receives, as the README does to try a broken link.

        With that a node does not hear itself, either, and waits for ever to form a cluster. With
        `match` "-i eth0" it hears itself, and takes the others for lost.
        """
        for port in ("5404", "5405"):
            rule = ["INPUT", *match, "-p", "udp", "--destination-port", port, "-j", "DROP"]
            self.run("iptables", "-A", *rule)

    def run(self, *command: str, check: bool = True, input: str | None = None) -> str:
        """Run a command as this node, which must succeed if `check`; returns what it prints."""
        done = self.try_(*command, input=input)
        if check:
            assert done.returncode == 0, (
                f"{self.name}: {' '.join(command)}: {done.stdout}{done.stderr}"
            )
        return done.stdout

    def try_(self, *command: str, input: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command as this node."""
        spaces = ["--mount", "--uts", "--ipc", "--net", "--pid"]
        enter = ["nsenter", "-t", str(self.first_pid), *spaces]
        return subprocess.run(
            [*enter, *command],
            capture_output=True,
            text=True,
            input=input,
            env=ENVIRONMENT,
            check=False,
            timeout=120,
        )

    def version(self, program: str) -> str:
        """The version of a program that it has, as 2.1.5."""
        found = re.search(r"\d+(\.\d+)+", self.run(program, "--version"))
        assert found, program
        return found[0]

    def heal(self) -> None:
        """Undo what `cut_off` does."""
        self.run("iptables", "-F", "INPUT")

    def read_log(self, name: str) -> str:
        """A file in /var/log, with what all boots have written there."""
        path = self.disk / "var/log" / name
        return path.read_text("utf-8", "replace") if path.exists() else ""


_NAMESPACES = [
    "unshare",
    "--net",
    "--mount",
    "--uts",
    "--ipc",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
]


def _mount_overlay(where: pathlib.Path, options: str) -> None:
    call("mount", "-t", "overlay", "overlay", str(where), "-o", options)


def _belongs(pid: int, space: str, program: str) -> bool:
    try:
        name = pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
        return os.readlink(f"/proc/{pid}/ns/pid") == space and program in ("", name)
    except OSError:
        return False  # It has ended.


class Rack:
    """The data centre: the provider's APIs, the nodes that are its servers, and their network.

    Attributes:
        folder: where the nodes' disks are.
        shared: a folder that all nodes see: what their service keeps.
    """

    def __init__(self, folder: pathlib.Path, number: int, cib: str) -> None:
        """`number` nodes begin with that CIB."""
        self.folder = folder
        self.shared = folder / "shared"
        self.shared.mkdir(parents=True)
        usr = install(folder / "install")
        self.nodes = [Node(each, usr, folder) for each in range(1, number + 1)]
        for node in self.nodes:
            node.write_configuration(self.nodes, cib)
        self.data_centre = DataCentre(
            SystemClock(),
            servers=[Server(node.server) for node in self.nodes],
            accounts=[Account(harness.LOGIN, harness.PASSWORD)],
            timing=FAST,
        )
        by_server = {node.server: node for node in self.nodes}
        self.data_centre.on_cut.append(lambda server: by_server[server.name].cut_power())
        self.data_centre.on_boot.append(
            lambda server, netboot: by_server[server.name].switch_on(netboot)
        )
        self.rest = RestFrontEnd(self.data_centre)
        soap = SoapFrontEnd(self.data_centre)
        self.simulator = SimulatorServer(self.rest, soap, host=ADDRESS)

    def start(self) -> None:
        """Switch everything on."""
        self.simulator.start()
        for node in self.nodes:
            node.switch_on(self.data_centre.servers[node.server].netboot)

    def stop(self) -> None:
        """Switch everything off."""
        self.simulator.stop()
        for node in self.nodes:
            node.cut_power()

    def state(self) -> dict[str, Any]:
        """The ground truth."""
        return self.simulator.state()

    def hard_reboot(self, node: Node, kind: str) -> None:
        """Do what a person does in the provider's manager: a hard reboot into harddisk or rescue."""
        netboots = self.data_centre.servers[node.server].netboots
        netboot = next(each.id for each in netboots if each.type == kind)
        self.simulator.control(server=node.server, netboot=netboot, hard_reboot=True)

    def set_timing(self, timing: Timing) -> None:
        """How hard reboots go that are asked for from now on."""
        with self.data_centre.lock:
            self.data_centre.timing = timing

    @contextlib.contextmanager
    def api_down(self) -> Iterator[None]:
        """Refuse all connections to the API meanwhile."""
        rule = ["INPUT", "-p", "tcp", "--destination-port", str(self.simulator.port)]
        rule += ["-j", "REJECT", "--reject-with", "tcp-reset"]
        call("iptables", "-I", *rule)
        try:
            yield
        finally:
            call("iptables", "-D", *rule)

    @contextlib.contextmanager
    def login_refused(self) -> Iterator[None]:
        """Meanwhile the nic-handle has another password, and the consumer key is expired."""
        accounts = self.data_centre.accounts
        key = self.rest.credentials.consumer_keys[CONSUMER_KEY]
        good = accounts[harness.LOGIN]
        with self.data_centre.lock:
            accounts[harness.LOGIN], key.status = Account(good.nic, "changed"), "expired"
        try:
            yield
        finally:
            with self.data_centre.lock:
                accounts[harness.LOGIN], key.status = good, "validated"

    def save_logs(self, folder: pathlib.Path) -> None:
        """Keep what tells a failure's cause."""
        folder.mkdir(parents=True)
        (folder / "state.json").write_text(json.dumps(self.state(), indent=2))
        shutil.copytree(self.shared, folder / "shared")
        for node in self.nodes:
            for name in ("corosync", "pacemaker", "console.log", "fence_ovh.log"):
                source = node.disk / "var/log" / name
                if source.is_dir():
                    shutil.copytree(source, folder / node.name / name)
                elif source.exists():
                    shutil.copy(source, folder / node.name / name)


def make_network() -> None:
    """The switch that all nodes are plugged into, with the data centre at ADDRESS."""
    call("ip", "link", "set", "lo", "up")
    # With an address of its own, or it takes a node's, and loses it with that node's power.
    call("ip", "link", "add", "br0", "address", "02:00:00:00:00:fe", "type", "bridge")
    call("ip", "address", "add", f"{ADDRESS}/24", "dev", "br0")
    call("ip", "link", "set", "br0", "up")
