# SPDX-License-Identifier: GPL-2.0-or-later
"""The agent under Pacemaker, checked against the ground truth and Pacemaker's own history.

The service prefers node1, so node1 is the victim wherever there is a choice. Where both nodes fence
each other, the delays of the device let node2 win.
"""

from __future__ import annotations

from tests.cluster.nodes import wait_until
from tests.cluster.pacemaker import Cluster


def prepare(cluster: Cluster, api: str) -> None:
    """Have the whole cluster run with a device for that API, and nothing to remember."""
    cluster.configure(cluster.parameters(api))
    cluster.wait_until_whole()
    cluster.begin()


def wait_for_recovery(cluster: Cluster) -> None:
    """Wait until the service runs on node2."""
    node2 = cluster.nodes[1]
    wait_until("recovery", lambda: cluster.running_on("service", node2) == {"node2"})


def check_fenced(cluster: Cluster, action: str = "reboot") -> None:
    """Check that node1 was cut, and it alone, before anybody took it for that.

    Pacemaker's history has no false success, and the service never ran twice.
    """
    cuts = cluster.cuts()
    assert {cut.node for cut in cuts} == {"node1"}
    first = min(cut.at for cut in cuts)
    node2 = cluster.nodes[1]
    successes = [event for event in cluster.history(node2) if event.succeeded]
    assert {(event.target, event.action) for event in successes} == {("node1", action)}
    # Its seconds are whole ones.
    assert all(event.completed + 1 > first for event in successes)
    starts = [event for event in cluster.journal() if event.node == "node2"]
    assert [event.what for event in starts][:1] == ["start"]
    assert starts[0].at > first
    assert "double" not in [event.what for event in cluster.journal()]


def test_link_down(two: Cluster, api: str) -> None:
    prepare(two, api)
    two.nodes[0].cut_off()
    wait_for_recovery(two)
    check_fenced(two)
    two.wait_until_whole()
    check_fenced(two)


def test_both_cut_off_from_each_other(two: Cluster, api: str) -> None:
    prepare(two, api)
    for node in two.nodes:
        node.cut_off()
    wait_for_recovery(two)
    check_fenced(two)
