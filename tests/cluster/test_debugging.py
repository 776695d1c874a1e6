# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/debugging.md: its commands for Pacemaker do what it says, and print what it shows."""

from __future__ import annotations

from tests import harness
from tests.cluster.nodes import Node, wait_until
from tests.cluster.pacemaker import Cluster
from tests.documents import documents

PAGE = harness.REPOSITORY / "docs" / "debugging.md"


def follow(node: Node, heading: str) -> None:
    """Run the commands of a section on that node, in their order, as in a terminal.

    Of a command that is shown for several versions of a program, only the one for this node's.
    """
    done, left = set(), set()
    for example in documents.examples(PAGE, heading):
        command, _, version = example.command.partition("  # ")
        program, _, number = version.partition(" ")
        if version and not node.version(program).startswith(f"{number}."):
            left.add(command)
            continue
        done.add(command)
        result = node.try_("sh", "-c", f"exec 2>&1; {example.command}")
        assert (result.returncode, documents.difference(example, result.stdout)) == (0, "")
    assert left <= done, "shown for other versions only"


def test_the_page(two: Cluster, api: str) -> None:
    two.configure(two.parameters(api))
    two.wait_until_whole()
    two.begin()
    node1, node2 = two.nodes
    follow(node2, "Through Pacemaker")
    two.wait_until_whole()
    assert [cut.node for cut in two.cuts()] == ["node1"]
    follow(node2, "Pacemaker's log")
    follow(node1, "On the node that is to be fenced")
    wait_until("the fencing", lambda: len(two.cuts()) == 2)
    wait_until("recovery", lambda: two.running_on("service", node2) == {"node2"})
    follow(node2, "On another node")
    assert [cut.node for cut in two.cuts()] == ["node1"] * 2
    two.wait_until_whole()


def test_the_last_resort(two: Cluster, api: str) -> None:
    two.configure({**two.parameters(api), "pcmk_reboot_timeout": 10})
    two.wait_until_whole()
    two.begin()
    node1, node2 = two.nodes
    with two.rack.api_down():
        two.rack.hard_reboot(node1, "rescue")
        wait_until("fencing to fail", two.failures)
        assert not two.journal()
        follow(node2, "The last resort")
        wait_until("recovery", lambda: two.running_on("service", node2) == {"node2"})
    two.rack.hard_reboot(node1, "harddisk")
    two.clean_up()
    two.wait_until_whole()
    assert len(two.cuts()) == 2
