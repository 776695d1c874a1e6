# SPDX-License-Identifier: GPL-2.0-or-later
"""The servers of the examples on a simulated data centre, and a node with cman's commands."""

from __future__ import annotations

import pathlib
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from typing import Any

from tests import harness
from tests.demo import environment_with_agent
from tests.harness import REPOSITORY, Result
from tests.simulator import (
    Account,
    Application,
    ConsumerKey,
    Credentials,
    DataCentre,
    RestFrontEnd,
    Server,
    SimulatorServer,
    SoapFrontEnd,
    SystemClock,
)

EXAMPLE = REPOSITORY / "examples" / "cluster.conf"

SERVERS = {
    "node1.example.com": "ns1001.ovh.net",
    "node2.example.com": "ns1002.ovh.net",
    "node3.example.com": "ns1003.ip-203-0-113.eu",
}
"""What the example's nodes are at OVH: two fenced by the REST API, the third by SOAP."""

LOGIN = "ab12345-ovh"
APPLICATION = Application("APPLICATION_KEY", "SrAsh0oQm3kd8bJ2VhXnF5eYw7TzLcUg")
SECRET_FILE = "/etc/fence_ovh.secret"


OVH_CONF = f"""\
[default]
endpoint=ovh-eu
[ovh-eu]
application_key={APPLICATION.key}
application_secret={APPLICATION.secret}
consumer_key=CONSUMER_KEY
"""

STAND_IN = """\
#!{python}
import os, subprocess, sys
agent, arguments = [sys.executable, {agent!r}], sys.argv[1:]
given = "\\n".join(arguments) or sys.stdin.read()
url = {urls!r}["rest" if "api=rest" in given else "soap"]
if arguments:
    os.execv(agent[0], [*agent, *arguments, "--api-url=" + url])
if "api_url=" not in given:
    given += "\\napi_url=" + url
sys.exit(subprocess.run(agent, input=given.encode()).returncode)
"""
"""A `fence_ovh` that takes the simulator for OVH, unless it is told where OVH is."""


class ExampleCluster:
    """The servers, both APIs, and an environment with `fence_ovh` and `fence_node`.

    Attributes:
        conf: the example of a cluster.conf with the simulator as OVH, and with `unfence` sections.
        home: a home with the keys where OVH's tools look for them.
        environment: for commands as an admin types them on a node.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self.data_centre = DataCentre(
            SystemClock(),
            servers=[Server(name, account=LOGIN) for name in SERVERS.values()],
            accounts=[Account(LOGIN, "secret")],
            timing=harness.FAST,
        )
        keys = Credentials([APPLICATION], [ConsumerKey("CONSUMER_KEY", APPLICATION.key, LOGIN)])
        self.simulator = SimulatorServer(
            RestFrontEnd(self.data_centre, credentials=keys), SoapFrontEnd(self.data_centre)
        )
        self.api_urls = {"soap": self.simulator.url, "rest": f"{self.simulator.url}/1.0"}
        self.secret_file = folder / "fence_ovh.secret"
        self.secret_file.write_text(APPLICATION.secret + "\n")
        self.conf = folder / "cluster.conf"
        self.conf.write_text(self._adapted_example())
        self.home = folder / "home"
        self.home.mkdir()
        (self.home / ".ovh.conf").write_text(OVH_CONF)
        (self.home / ".ovh.conf").chmod(0o600)
        self.environment = {**environment_with_agent(folder), "HOME": str(self.home)}
        self._add_fence_node(folder / "fence_node")

    def _adapted_example(self) -> str:
        text = EXAMPLE.read_text("utf-8").replace(SECRET_FILE, str(self.secret_file))
        root = ElementTree.fromstring(text)
        for fence_device in root.iter("fencedevice"):
            fence_device.set("api_url", self.api_urls[fence_device.get("api", "soap")])
        for node in root.iter("clusternode"):
            device = node.find("fence/method/device")
            assert device is not None
            unfence = ElementTree.SubElement(node, "unfence")
            ElementTree.SubElement(unfence, "device", {**device.attrib, "action": "on"})
        return ElementTree.tostring(root, encoding="unicode")

    def _add_fence_node(self, program: pathlib.Path) -> None:
        command = f'"{sys.executable}" -m tests.callers.libfence "{self.conf}" "$@"'
        program.write_text(f'#!/bin/sh\nPYTHONPATH="{REPOSITORY}" exec {command}\n')
        program.chmod(0o755)

    def stand_in_for_ovh(self) -> None:
        """Make a `fence_ovh` find the simulator where a command says nothing of it."""
        program = self.home.parent / "fence_ovh"
        agent, urls = str(harness.AGENT), self.api_urls
        program.write_text(STAND_IN.format(python=sys.executable, agent=agent, urls=urls))

    def run(self, *command: str, **more: Any) -> Result:
        """Run a command as on a node."""
        more = {"env": self.environment, **more}
        done = subprocess.run(command, capture_output=True, timeout=300, check=False, **more)
        return Result(done.returncode, harness.text(done.stdout), harness.text(done.stderr))

    def booted(self) -> dict[str, list[str]]:
        """The types of what each node's server booted at its power cuts."""
        cuts = self.simulator.state()["power_cuts"]
        return {
            node: [cut["netboot"]["type"] for cut in cuts if cut["server"] == server]
            for node, server in SERVERS.items()
        }
