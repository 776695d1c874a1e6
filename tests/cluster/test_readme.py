# SPDX-License-Identifier: GPL-2.0-or-later
"""The device definitions of the README and the examples, as they stand there."""

from __future__ import annotations

import re

import pytest

from tests import harness
from tests.cluster.nodes import Node
from tests.cluster.pacemaker import Cluster
from tests.documents import documents

README = harness.REPOSITORY / "README.md"
EXAMPLES = harness.REPOSITORY / "examples"
KEYS = "APPLICATION_KEY=ak CONSUMER_KEY=ck"

WAYS = {
    "README": documents.blocks(README, "Pacemaker")[0],
    "pcs": f"{KEYS} sh {EXAMPLES}/pacemaker-rest.sh",
    "crmsh": f"crm configure load update {EXAMPLES}/pacemaker-rest.crm",
}


def parameters(node: Node) -> dict[str, str]:
    """What Pacemaker knows of the device."""
    text = node.run("crm_resource", "--resource", "fence-ovh", "--query-xml")
    return dict(re.findall(r'<nvpair [^>]*name="([^"]+)" value="([^"]*)"', text))


@pytest.mark.parametrize("way", WAYS)
def test_device(two: Cluster, way: str) -> None:
    """It is defined. It cannot start: its keys are none, and OVH is not asked."""
    two.remove_device()
    node1 = two.nodes[0]
    node1.run("sh", "-ec", WAYS[way])
    found = parameters(node1)
    assert found["api"] == "rest"
    assert found["endpoint"] == "ovh-eu"
    assert found["pcmk_reboot_timeout"] == "1200"
    # Either a script prints the secret, or all keys are in /etc/ovh.conf.
    assert "password" not in found
    assert ("cat /etc/fence_ovh.secret" in found.values()) == (way != "crmsh")
    two.remove_device()
