# SPDX-License-Identifier: GPL-2.0-or-later
"""The cluster on the nodes, as its admin sees and sets it up."""

from __future__ import annotations

import calendar
import math
import pathlib
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import quoteattr

from tests import harness
from tests.cluster.nodes import Node, Rack, wait_until
from tests.simulator import APPLICATION_KEY, APPLICATION_SECRET, CONSUMER_KEY

DEVICE = "fence-ovh"

PROPERTIES = {
    "stonith-enabled": "true",
    "stonith-action": "reboot",
    "dc-deadtime": "5s",  # 20 s are for networks that need as long to come up.
    "load-threshold": "1000%",  # The load is the machine's, which no node can help.
    "cluster-infrastructure": "corosync",
}

CIB = """\
<cib crm_feature_set="3.0" validate-with="pacemaker-3.0" admin_epoch="0" epoch="1"
     num_updates="0">
  <configuration>
    {properties}
    <nodes/>
    {resources}
    <constraints>
      <rsc_location id="service-prefers-node1" rsc="service" node="node1" score="100"/>
    </constraints>
  </configuration>
  <status/>
</cib>
"""

SERVICE = """\
<primitive id="service" class="ocf" provider="test" type="service">
  <instance_attributes id="service-params">{parameters}</instance_attributes>
  <operations><op id="service-monitor" name="monitor" interval="10s"/></operations>
</primitive>
"""

STONITH = """\
<primitive id="{device}" class="stonith" type="fence_ovh">
  <instance_attributes id="{device}-params">{parameters}</instance_attributes>
  <operations><op id="{device}-monitor" name="monitor" interval="{interval}"/></operations>
</primitive>
"""


def nvpairs(owner: str, values: dict[str, Any]) -> str:
    """Names and values as the CIB has them."""
    return "".join(
        f'<nvpair id="{owner}-{name}" name="{name}" value={quoteattr(str(value))}/>'
        for name, value in values.items()
    )


def crm_config(properties: dict[str, str]) -> str:
    """The cluster's properties as the CIB has them."""
    pairs = nvpairs("option", {**PROPERTIES, **properties})
    return (
        f'<crm_config><cluster_property_set id="options">{pairs}</cluster_property_set>'
        "</crm_config>"
    )


def resources(shared: pathlib.Path, device: str = "") -> str:
    """The service, which keeps its lock there, and the device, as the CIB has them."""
    service = SERVICE.format(parameters=nvpairs("service", {"folder": shared}))
    return f"<resources>{device}{service}</resources>"


def first_cib(shared: pathlib.Path) -> str:
    """The CIB that nodes begin with: the service, and no device yet."""
    return CIB.format(properties=crm_config({}), resources=resources(shared))


@dataclass(frozen=True)
class Fencing:
    """An entry of Pacemaker's own history.

    Its moment is in whole seconds since 1970, math.inf while the fencing is under way.
    """

    target: str
    action: str
    status: str
    completed: float


@dataclass(frozen=True)
class Cut:
    """A power cut, and what was booted then: harddisk, rescue, or "" for nothing yet."""

    node: str
    at: float
    booted: str


@dataclass(frozen=True)
class Event:
    """What happened to the service: start, stop or double."""

    what: str
    node: str
    at: float


class Cluster:
    """Pacemaker on the nodes of a rack."""

    def __init__(self, rack: Rack) -> None:
        self.rack = rack
        self.nodes = rack.nodes
        self._begun = 0.0
        self._logs_begun: dict[str, int] = {}

    # The device and the service

    def keys(self, api: str) -> dict[str, Any]:
        """The parameters that choose the API and log in to it."""
        url = self.rack.simulator.url
        if api == "soap":
            return {"username": harness.LOGIN, "password": harness.PASSWORD, "api_url": url}
        return {
            "username": APPLICATION_KEY,
            "password": APPLICATION_SECRET,
            "consumer_key": CONSUMER_KEY,
            "api_url": f"{url}/1.0",
        }

    def parameters(self, api: str) -> dict[str, Any]:
        """What the admin gives the device."""
        host_map = ";".join(f"{node.name}:{node.server}" for node in self.nodes)
        return {
            **self.keys(api),
            "pcmk_host_map": host_map,
            # Of two nodes that fence each other at once, node2 is faster.
            "pcmk_delay_base": "node1:0s;node2:5s;node3:5s",
            "pcmk_reboot_timeout": 60,
            "pcmk_off_timeout": 60,
            "pcmk_on_timeout": 60,
            "stonith_status_sleep": 1,
            "shell_timeout": 5,
            "login_timeout": 5,
            "debug_file": "/var/log/fence_ovh.log",
        }

    def configure(
        self, parameters: dict[str, Any], interval: str = "20s", **properties: str
    ) -> None:
        """Set up the device, the service and the properties; wait until the cluster has it so."""
        device = STONITH.format(
            device=DEVICE, parameters=nvpairs(DEVICE, parameters), interval=interval
        )
        self.replace("crm_config", crm_config(properties))
        self.replace("resources", resources(self.rack.shared, device))

    def remove_device(self) -> None:
        """Leave the cluster without a device."""
        # Pacemaker never clears up after a device that goes while it is being started.
        self.settle()
        self.replace("resources", resources(self.rack.shared))
        wait_until("no device", lambda: not any(self.running_on(DEVICE, n) for n in self.nodes))
        self.settle()

    def replace(self, scope: str, xml: str) -> None:
        """Replace a section of the configuration."""
        self.somebody.run("cibadmin", "--replace", "--scope", scope, "--xml-pipe", input=xml)

    def save_logs(self, folder: pathlib.Path) -> None:
        """Keep what tells a failure's cause, what Pacemaker thinks of it included."""
        self.rack.save_logs(folder)
        for node in self.nodes:
            if node.first_pid:
                answers = [
                    node.try_(*command.split()).stdout
                    for command in ("ps axf", "crm_mon -1 -n -r -f -m2", "cibadmin -Q")
                ]
                (folder / node.name / "now.txt").write_text("\n".join(answers))

    # What Pacemaker knows

    @property
    def somebody(self) -> Node:
        """A node that is a member, as far as it knows."""
        return next(node for node in self.nodes if self.is_member(node))

    def is_member(self, node: Node) -> bool:
        """Whether the node's cluster software answers and has quorum."""
        if not node.first_pid:
            return False
        return node.try_("crm_node", "--quorum").stdout.strip() == "1"

    def monitor(self, node: Node) -> ElementTree.Element:
        """What crm_mon says on that node; an empty element when it says nothing."""
        if not node.first_pid:
            return ElementTree.Element("none")
        done = node.try_("crm_mon", "--one-shot", "--inactive", "--output-as=xml")
        try:
            return ElementTree.fromstring(done.stdout)
        except ElementTree.ParseError:
            return ElementTree.Element("none")

    def online(self, witness: Node) -> set[str]:
        """The nodes that are full members in the eyes of the witness."""
        return self._nodes(witness, pending="false")

    def pending(self, witness: Node) -> set[str]:
        """The nodes that are there and no full members yet, in the eyes of the witness."""
        return self._nodes(witness, pending="true")

    def _nodes(self, witness: Node, pending: str) -> set[str]:
        expected = {"online": "true", "unclean": "false", "pending": pending}
        nodes = self.monitor(witness).iterfind("./nodes/node")
        return {node.get("name", "") for node in nodes if expected.items() <= node.attrib.items()}

    def running_on(self, resource: str, witness: Node) -> set[str]:
        """Where a resource runs, in the eyes of the witness; empty if it failed there."""
        found = self.monitor(witness).find(f".//resource[@id='{resource}']")
        if found is None or found.get("active") != "true" or found.get("failed") == "true":
            return set()
        return {node.get("name", "") for node in found.iterfind("node")}

    def is_monitored(self) -> bool:
        """Whether the device's last monitor that runs on a schedule was well."""
        operations = self.monitor(self.somebody).findall(
            f".//resource_history[@id='{DEVICE}']/operation_history[@task='monitor']"
        )
        return bool(operations) and all(each.get("rc") == "0" for each in operations)

    def is_complete(self) -> bool:
        """Whether every node sees every node."""
        everybody = {node.name for node in self.nodes}
        return all(self.online(node) == everybody for node in self.nodes)

    def is_whole(self) -> bool:
        """Whether every node sees every node, and device and service run."""
        return self.is_complete() and all(
            len(self.running_on(DEVICE, node)) == 1
            and self.running_on("service", node) == {"node1"}
            for node in self.nodes
        )

    def wait_until_whole(self) -> None:
        """Wait until nothing is missing and nothing is under way."""
        wait_until("the whole cluster", self.is_whole)
        self.settle()

    def settle(self) -> None:
        """Wait until nothing is under way."""
        self.somebody.run("crm_resource", "--wait", "--timeout=60s")

    def history(self) -> list[Fencing]:
        """Pacemaker's own history of fencing, since the beginning, as node2 knows it."""
        command = ["stonith_admin", "--history=*", "--verbose", "--output-as=xml"]
        answer = self.nodes[1].run(*command)
        events = map(_fencing, ElementTree.fromstring(answer).iter("fence_event"))
        # A cleanup does not last: seconds after a node joined, the nodes send each other their
        # histories, and one sent in the moment of the cleanup brings back what it held.
        began = int(self._begun)  # The moments in the history are whole seconds.
        return [event for event in events if event.completed >= began]

    def successes(self) -> list[Fencing]:
        """What of it succeeded."""
        return [event for event in self.history() if event.status == "success"]

    def failures(self) -> list[Fencing]:
        """What of it failed."""
        return [event for event in self.history() if event.status == "failed"]

    def log(self, node: Node) -> str:
        """Pacemaker's log on that node, since the beginning."""
        return node.read_log("pacemaker/pacemaker.log")[self._logs_begun[node.name] :]

    def begin(self) -> None:
        """Forget what has been: Pacemaker's history and failures, and the ground truth."""
        self.clean_up()
        self.somebody.run("stonith_admin", "--cleanup", "--history=*")
        self._begun = time.time()
        self._logs_begun = {
            node.name: len(node.read_log("pacemaker/pacemaker.log")) for node in self.nodes
        }

    def clean_up(self) -> None:
        """Forget failures, so that what has failed may start again."""
        self.somebody.run("crm_resource", "--cleanup")

    # The ground truth since the beginning

    def cuts(self) -> list[Cut]:
        """The power cuts."""
        state = self.rack.state()
        names = {node.server: node.name for node in self.nodes}
        since_1970 = self.rack.data_centre.clock.time_at(0)
        cuts = [
            Cut(
                names[cut["server"]],
                cut["at"] + since_1970,
                cut["netboot"]["type"] if cut["netboot"] else "",
            )
            for cut in state["power_cuts"]
        ]
        return [cut for cut in cuts if cut.at > self._begun]

    def reboots(self) -> list[float]:
        """When the hard reboots were accepted, in seconds since 1970."""
        data_centre = self.rack.data_centre
        with data_centre.lock:
            since_1970 = data_centre.clock.time_at(0)
            servers = data_centre.servers.values()
            moments = [each.accepted_at for server in servers for each in server.hard_reboots]
        return [moment + since_1970 for moment in moments if moment + since_1970 > self._begun]

    def journal(self) -> list[Event]:
        """What happened to the service."""
        path = self.rack.shared / "journal"
        lines = path.read_text().splitlines() if path.exists() else []
        events = [Event(what, node, float(at)) for what, node, at in map(str.split, lines)]
        return [event for event in events if event.at > self._begun]


def _fencing(event: ElementTree.Element) -> Fencing:
    status = event.get("status", "")
    assert status in ("success", "failed", "pending"), ElementTree.tostring(event)
    completed = event.get("completed")
    if completed is None:
        moment = math.inf
    else:  # The nodes live in UTC.
        moment = calendar.timegm(time.strptime(completed[:19], "%Y-%m-%d %H:%M:%S"))
    return Fencing(event.get("target", ""), event.get("action", ""), status, moment)
