# SPDX-License-Identifier: GPL-2.0-or-later
"""The agent under Pacemaker, checked against the ground truth and Pacemaker's own history.

The service prefers node1, so node1 is the victim wherever there is a choice. Where both nodes fence
each other, the delays of the device let node2 win.
"""

from __future__ import annotations

import pathlib
import re
import shutil
import subprocess
import time
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from tests.cluster.nodes import FAST, wait_until
from tests.cluster.pacemaker import DEVICE, Cluster
from tests.simulator import Timing


def prepare(
    cluster: Cluster,
    api: str,
    interval: str = "20s",
    properties: dict[str, str] | None = None,
    **more: Any,
) -> None:
    """Have the whole cluster run with a device for that API, and nothing to remember."""
    cluster.configure({**cluster.parameters(api), **more}, interval, **(properties or {}))
    cluster.wait_until_whole()
    cluster.begin()


def wait_for_recovery(cluster: Cluster) -> None:
    """Wait until the service runs elsewhere, never twice."""

    def is_recovered() -> bool:
        assert "double" not in [event.what for event in cluster.journal()]
        return bool(cluster.running_on("service", cluster.nodes[1]) - {"node1"})

    wait_until("recovery", is_recovered)


def check_fenced(cluster: Cluster, action: str = "reboot") -> None:
    """Check that node1 was cut, and it alone, before anybody took it for that.

    Pacemaker's history has no false success, and the service never ran twice.
    """
    cuts = cluster.cuts()
    assert {cut.node for cut in cuts} == {"node1"}
    first = min(cut.at for cut in cuts)
    successes = cluster.successes()
    assert {(event.target, event.action) for event in successes} == {("node1", action)}
    # Its seconds are whole ones.
    assert not [event for event in successes if event.completed + 1 <= first], cuts
    journal = cluster.journal()
    assert "double" not in [event.what for event in journal]
    starts = [event for event in journal if event.node != "node1"]
    assert starts[0].what == "start"
    assert starts[0].at > first


def check_untouched(cluster: Cluster) -> None:
    """Check that nothing was cut, nothing is taken for cut, and nothing was recovered."""
    check_not_recovered(cluster)
    assert not cluster.cuts()


def check_not_recovered(cluster: Cluster) -> None:
    """Check that nothing is taken for cut, and nothing was recovered."""
    assert not cluster.successes()
    assert not cluster.journal()


def documentation(cluster: Cluster) -> dict[str, str]:
    """What the agent says of its parameters."""
    metadata = ElementTree.fromstring(cluster.nodes[0].run("fence_ovh", "-o", "metadata"))
    return {
        parameter.get("name", ""): parameter.findtext("shortdesc", "")
        for parameter in metadata.iterfind("./parameters/parameter")
        if not parameter.get("deprecated")
    }


def test_register_with_pcs(two: Cluster, api: str) -> None:
    node1 = two.nodes[0]
    two.remove_device()
    create = ["pcs", "stonith", "create", DEVICE, "fence_ovh", "--agent-validation"]
    given = [f"{name}={value}" for name, value in two.parameters(api).items()]
    unknown = node1.try_(*create, *given, "colour=red")
    assert unknown.returncode != 0
    assert "invalid stonith option 'colour'" in unknown.stderr
    wrong = node1.try_(*create, *given, "power_wait=99999")
    assert wrong.returncode != 0
    assert "power time limit must be more than power_wait" in wrong.stderr
    node1.run(*create, *given, "op", "monitor", "interval=20s")
    two.wait_until_whole()
    assert two.is_monitored()


def test_register_with_crmsh(two: Cluster, api: str) -> None:
    node1 = two.nodes[0]
    two.remove_device()
    create = ["crm", "configure", "primitive", DEVICE, "stonith:fence_ovh", "params"]
    given = [f"{name}={value}" for name, value in two.parameters(api).items()]
    unknown = node1.try_(*create, *given, "colour=red")
    assert unknown.returncode != 0
    assert 'parameter "colour" is not known' in unknown.stderr
    node1.run(*create, *given, "op", "monitor", "interval=20s")
    two.wait_until_whole()
    assert two.is_monitored()


def test_documentation_in_pcs_and_crmsh(two: Cluster) -> None:
    node1 = two.nodes[0]
    pcs = node1.run("pcs", "stonith", "describe", "fence_ovh")
    crmsh = node1.run("crm", "ra", "info", "stonith:fence_ovh")
    parameters = documentation(two)
    assert {"api", "plug", "username", "password", "consumer_key"} <= set(parameters)
    between = {"0.11": ": ", "0.12": "\n    Description: "}[node1.version("pcs")[:4]]
    for name, text in parameters.items():
        assert len(text) > 10
        assert re.search(rf"^{name} \(.*\): {re.escape(text)}$", crmsh, re.MULTILINE)
        # These are no parameters of a device, so pcs hides them.
        if name not in ("action", "help", "version"):
            assert f"\n  {name}{between}{text}\n" in pcs


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
        node.cut_off("-i", "eth0")
    wait_for_recovery(two)
    two.nodes[1].heal()
    two.wait_until_whole()
    check_fenced(two)


def test_corosync_killed(two: Cluster, api: str) -> None:
    prepare(two, api)
    two.nodes[0].kill("corosync")
    wait_for_recovery(two)
    two.wait_until_whole()
    check_fenced(two)


def test_frozen_node(two: Cluster, api: str) -> None:
    prepare(two, api)
    two.nodes[0].freeze()
    wait_for_recovery(two)
    two.wait_until_whole()
    check_fenced(two)


def test_reboot_comes_back_by_itself(two: Cluster, api: str) -> None:
    prepare(two, api)
    two.nodes[1].run("stonith_admin", "--reboot", "node1")
    assert [cut.booted for cut in two.cuts()] == ["harddisk"]
    two.wait_until_whole()
    check_fenced(two)


def test_off_stays_out_until_on(two: Cluster, api: str) -> None:
    two.configure(two.parameters(api), **{"stonith-action": "off"})
    two.wait_until_whole()
    two.begin()
    node1, node2 = two.nodes
    node1.cut_off()
    wait_for_recovery(two)
    check_fenced(two, "off")
    assert [cut.booted for cut in two.cuts()] == ["rescue"]
    assert not node1.pids()
    assert two.online(node2) == {"node2"}
    node2.run("stonith_admin", "--unfence", "node1")
    assert [cut.booted for cut in two.cuts()] == ["rescue", "harddisk"]
    two.wait_until_whole()


def test_api_down_at_the_moment_of_need(two: Cluster, api: str) -> None:
    # No monitor meanwhile: a reboot that waits too long behind one is given up and carried out all
    # the same, and Pacemaker's history has its success at the moment when it was given up.
    prepare(two, api, interval="10min", pcmk_reboot_timeout=10)
    with two.rack.api_down():
        two.nodes[0].kill("corosync")

        def is_failed() -> bool:
            check_untouched(two)
            return bool(two.failures())

        wait_until("fencing to fail", is_failed)
    wait_for_recovery(two)
    two.clean_up()
    two.wait_until_whole()
    check_fenced(two)


def is_logged(cluster: Cluster, text: str) -> bool:
    """Whether Pacemaker's log has that text on every node."""
    return all(text in cluster.log(node) for node in cluster.nodes)


REFUSALS = {"soap": "invalid login or password", "rest": "Invalid signature"}


def test_wrong_password(two: Cluster, api: str) -> None:
    prepare(two, api)
    two.configure({**two.parameters(api), "password": "wrong"})
    wait_until("a refusal in the log", lambda: is_logged(two, REFUSALS[api]))
    check_device_is_of_no_use(two)
    repair(two, api)


def test_login_that_is_good_no_more(two: Cluster, api: str) -> None:
    prepare(two, api, interval="5s")
    refusal = {"soap": "invalid login or password", "rest": "This credential is not valid"}[api]
    with two.rack.login_refused():
        wait_until("a refusal in the log", lambda: is_logged(two, refusal))
        check_device_is_of_no_use(two)
    repair(two, api)


def check_device_is_of_no_use(two: Cluster) -> None:
    """Check that the device does not run, and that node1 is needed and not fenced."""
    wait_until("the device to be stopped", lambda: not two.running_on(DEVICE, two.nodes[1]))
    two.nodes[0].kill("corosync")
    wait_until("fencing to fail", two.failures)
    check_untouched(two)


def repair(two: Cluster, api: str) -> None:
    """Do what the admin does then: set the device right and fence by hand."""
    two.configure(two.parameters(api))
    two.clean_up()
    by_hand = ["stonith_admin", "--reboot", "node1"]
    # It fails when it joins a fencing that is under way with the bad password.
    wait_until("a success", lambda: two.successes() or two.nodes[1].try_(*by_hand).returncode == 0)
    wait_for_recovery(two)
    two.wait_until_whole()
    check_fenced(two)


SLOW = Timing(cut_delay=15, boot_delay=0.3, reboot_duration=16)


def test_longer_than_the_time_limit(two: Cluster, api: str) -> None:
    """The second agent finds the netboot as it wants it, and the first one's hard reboot."""
    prepare(two, api, pcmk_reboot_timeout=10)
    node1, node2 = two.nodes
    two.rack.set_timing(SLOW)
    node1.kill("corosync")
    wait_until("a hard reboot", two.reboots)
    two.rack.set_timing(FAST)
    first = node2.pids("fence_ovh")
    assert first
    wait_until("the agent to be killed", lambda: not set(first) & set(node2.pids()))
    killed = time.time()
    check_untouched(two)
    wait_for_recovery(two)
    two.wait_until_whole()
    check_fenced(two)
    own = [reboot for reboot in two.reboots() if reboot > killed]
    assert own
    assert all(event.completed + 1 > min(own) for event in two.successes())


def test_back_before_ovh_says_so(two: Cluster) -> None:
    """Pacemaker on a node that hears of its own fencing ends, and has to be started again.

    Until then Pacemaker 2 takes the node for a full member; Pacemaker 3 lets it wait, and may
    plan with it once more after it is gone. Then only its next look starts the service.
    """
    prepare(two, "rest", properties={"cluster-recheck-interval": "15s"})
    node1, node2 = two.nodes
    two.rack.set_timing(Timing(cut_delay=0.3, boot_delay=0.3, reboot_duration=30))
    node1.kill("corosync")
    wait_until("a hard reboot", two.reboots)
    two.rack.set_timing(FAST)
    back = {"2": two.online, "3": two.pending}[node2.version("crm_mon")[0]]
    wait_until("node1 to be back", lambda: two.cuts() and "node1" in back(node2))
    check_not_recovered(two)
    wait_for_recovery(two)
    wait_until("Pacemaker to end", lambda: not node1.pids("pacemakerd"))
    assert "We were allegedly just fenced" in two.log(node1)
    check_fenced(two)
    two.rack.hard_reboot(node1, "harddisk")
    two.wait_until_whole()


@pytest.mark.parametrize("witness", [False, True])
def test_netboot_without_effect(two: Cluster, tmp_path: pathlib.Path, witness: bool) -> None:
    """The disk boots, which OVH does not know: success all the same, unless the machine is asked."""
    key = tmp_path / "key"
    if witness and not all(map(shutil.which, ("ssh", "ssh-keygen"))):
        pytest.skip("ssh is missing (package openssh-client)")
    if witness:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    more = {"rescue_ssh_key": key, "power_timeout": 10} if witness else {}
    prepare(two, "rest", **more)
    node1, node2 = two.nodes
    server = two.rack.data_centre.servers[node1.server]
    server.ignores_netboot = True
    try:
        done = node2.try_("stonith_admin", "--fence", "node1")
        wait_until("the cut", two.cuts)
    finally:
        server.ignores_netboot = False
    assert (done.returncode == 0) == (not witness), done.stderr
    assert bool(two.successes()) == (not witness)
    assert ("the machine's own word" in two.log(node2)) == witness
    two.wait_until_whole()


@pytest.mark.parametrize("host_check", ["static-list", "dynamic-list"])
def test_three_nodes(three: Cluster, api: str, host_check: str) -> None:
    prepare(three, api, pcmk_host_check=host_check)
    node1, *others = three.nodes
    node1.cut_off("-i", "eth0")
    wait_for_recovery(three)
    three.wait_until_whole()
    check_fenced(three)
    # Whoever fenced it says how it knew that the device can.
    assert any(f"'{node1.server}'): {host_check}" in three.log(node) for node in others)
