"""The second witness: with rescue_ssh_key the machine itself has to say that it was cut."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import re
import shutil
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests import agent_module, harness
from tests.agent.hurried import hurried
from tests.agent.machine import IN_RESCUE, ON_DISK, Machines, Ssh, make_key, write_program
from tests.agent.rest_only import every_key, rest_only
from tests.agent.secrets_shown import pieces_shown
from tests.harness import OTHER_SERVER, SERVER, Agent, RestBackend, Result
from tests.simulator import Call, Proceed, Response, Timing

RESCUE, POWER_OFF = 230242, 95083
DAY = 24 * 3600.0
PUT = "PUT /dedicated/server/{serviceName}"
REBOOT = RestBackend.reboot_operation
TASK = "GET /dedicated/server/{serviceName}/task/{taskId}"

BOOT = Timing(cut_delay=0.5, boot_delay=5.0, reboot_duration=1.0)
"""A boot that is later than the request by more than the machine's answer takes: else it may have
been before, for all that the agent can know."""

SLOW = Timing(cut_delay=3.0, boot_delay=1.5, reboot_duration=5.0)
"""Leaves time for a look before the cut."""

IN_VAIN = 16
"""power_timeout of what is to fail: even a busy computer has asked the machine by then."""

NOTHING = 8
"""The same where no real ssh is asked."""

ovh = pytest.fixture(rest_only)


@dataclasses.dataclass
class Key:
    """A private key without a passphrase.

    :ivar secrets: the lines that nothing may show.
    """

    path: pathlib.Path
    public: str
    secrets: list[str]


@pytest.fixture
def key(tmp_path: pathlib.Path) -> Key:
    """The key that the agent is given."""
    harness.need("ssh-keygen")
    path = tmp_path / "id"
    public = make_key(path)
    return Key(path, public, path.read_text().splitlines()[2:-1])


@pytest.fixture
def machines(ovh: RestBackend, key: Key, tmp_path: pathlib.Path) -> Iterator[Machines]:
    """What answers for the servers."""
    ovh.data_centre.timing = BOOT
    with Machines(ovh, tmp_path, key.public).listening() as machines:
        yield machines


class Fence:
    """The agent with a key; no run of it shows the private one."""

    def __init__(self, agent: Agent, ovh: RestBackend, key: Key) -> None:
        self.agent, self.ovh, self.key = agent, ovh, key

    def options(self, action: str, **more: Any) -> dict[str, Any]:
        """With the key, unless `more` has an empty one, and all in haste."""
        quick = {"stonith_status_sleep": 0.3, "power_timeout": 90, "verbose": 1}
        options = self.ovh.options(action, **quick | {"rescue_ssh_key": self.key.path} | more)
        return {name: value for name, value in options.items() if value != ""}

    def run(self, action: str, ssh: Ssh | None = None, **more: Any) -> Result:
        """Run it with that `ssh`."""
        result = self.agent.run(self.options(action, **more), env=ssh.env if ssh else None)
        written = result.stdout + result.stderr
        shown = pieces_shown([*self.key.secrets, *self.ovh.secrets], written)
        assert [piece for piece in shown if piece not in self.key.public] == []
        assert "defect in fence_ovh" not in written
        assert "Traceback" not in written
        assert all(char.isprintable() or char == "\n" for char in written), repr(written)
        return result


@pytest.fixture
def fence(
    request: pytest.FixtureRequest,
    our_agent: Agent,
    ovh: RestBackend,
    key: Key,
) -> Fence:
    """The agent with our library, with its long waits cut short; those, too, that a test names.

    ssh may be slow: so may a busy computer.
    """
    more = {"WORD_LIMIT": 30.0, **getattr(request, "param", {})}
    return Fence(hurried(our_agent, **more), ovh, key)


impatient = pytest.mark.parametrize("fence", [{"WORD_LIMIT": 1.5}], indirect=True, ids=["hasty"])
"""Gives the programs that it runs less time."""

distrustful = pytest.mark.parametrize("fence", [{"BOOT_LAG": 2.0}], indirect=True, ids=["hasty"])
"""Doubts OVH's word sooner, when the machine says another."""


def words_of_machine(result: Result) -> list[str]:
    """The lines that say that the machine itself has answered, without time and level.

    The distribution's library writes each twice.
    """
    lines = [line for line in result.stderr.splitlines() if "the machine itself answers" in line]
    return list(dict.fromkeys(re.sub("^.*?INFO:(root:)? ?", "", line) for line in lines))


def assert_in_rescue(ovh: RestBackend, server: str = SERVER) -> None:
    """The ground truth: it was cut, and has booted the rescue system since."""
    state = ovh.state()
    cut = [cut for cut in state["power_cuts"] if cut["server"] == server][-1]
    assert state["servers"][server]["running"]["kernel"] == "rescue12-customer"
    assert state["servers"][server]["running_since"] > cut["at"]


def key_at_ovh(ovh: RestBackend, server: str = SERVER) -> str:
    """The public key that OVH was given for the rescue system."""
    return str(ovh.state()["servers"][server]["rescue_ssh_key"])


def say_done_early(ovh: RestBackend) -> None:
    """Let OVH say of each task that it is done, whatever it is."""

    def intercept(call: Call, proceed: Proceed) -> Response:
        response = proceed()
        if call.operation == TASK and response.status == 200:
            task = json.loads(response.body)
            response = Response(
                200, response.headers, json.dumps({**task, "status": "done"}).encode()
            )
        return response

    ovh.front_end.intercept = intercept


class TestAllWell:
    @every_key
    def test_off(self, fence: Fence, ovh: RestBackend, machines: Machines) -> None:
        result = fence.run("off", machines)
        assert (result.status, result.stdout) == (0, "Success: Powered OFF\n"), machines.log()
        assert_in_rescue(ovh)
        assert ovh.cuts() == ["rescue12-customer"]
        (line,) = words_of_machine(result)
        assert re.fullmatch(rf"{SERVER}: the machine itself answers: {IN_RESCUE}, up \d+ s", line)
        assert key_at_ovh(ovh) == fence.key.public

    def test_off_on_every_library(
        self, agent: Agent, ovh: RestBackend, key: Key, machines: Machines
    ) -> None:
        harness_of_agent = Fence(agent, ovh, key)
        if agent.command[0] == harness.DEBIAN_PYTHON and harness.missing_for_debian("pexpect"):
            pytest.skip(str(harness.missing_for_debian("pexpect")))
        result = harness_of_agent.run("off", machines, stonith_status_sleep=1)
        assert result.status == 0, result.stderr
        assert_in_rescue(ovh)
        assert len(words_of_machine(result)) == 1

    def test_what_is_no_utf_8_hides_nothing(
        self, agent: Agent, ovh: RestBackend, key: Key, tmp_path: pathlib.Path
    ) -> None:
        if agent.command[0] == harness.DEBIAN_PYTHON and harness.missing_for_debian("pexpect"):
            pytest.skip(str(harness.missing_for_debian("pexpect")))
        says = r"printf 'D\351marr\351\n%s\n0.10 0.10\n' " + IN_RESCUE
        result = Fence(agent, ovh, key).run("off", Ssh(tmp_path, says), stonith_status_sleep=1)
        assert result.status == 0, result.stderr

    def test_each_of_several_is_asked_itself(
        self, fence: Fence, ovh: RestBackend, machines: Machines
    ) -> None:
        result = fence.run("off", machines, plug=f"{SERVER},{OTHER_SERVER}")
        assert result.status == 0, result.stderr
        assert_in_rescue(ovh, SERVER)
        assert_in_rescue(ovh, OTHER_SERVER)
        words = "\n".join(words_of_machine(result))
        assert f"{SERVER}: the machine" in words
        assert f"{OTHER_SERVER}: the machine" in words

    def test_a_later_boot_is_waited_for(
        self, fence: Fence, ovh: RestBackend, machines: Machines
    ) -> None:
        """OVH says that the reboot is over long before anything runs."""
        ovh.data_centre.timing = Timing(cut_delay=0.1, boot_delay=5.0, reboot_duration=0.5)
        assert fence.run("off", machines).status == 0
        assert_in_rescue(ovh)

    @pytest.mark.parametrize("method", ["", "cycle"])
    def test_reboot_is_off_and_then_on(
        self, fence: Fence, ovh: RestBackend, machines: Machines, method: str
    ) -> None:
        result = fence.run("reboot", machines, method=method)
        assert (result.status, result.stdout) == (0, "Success: Rebooted\n"), result.stderr
        ovh.wait_until("the disk", lambda: ovh.running() == "harddisk")
        assert ovh.cuts() == ["rescue12-customer", "hd"]
        assert len(words_of_machine(result)) == 1

    def test_on_asks_no_machine(self, fence: Fence, ovh: RestBackend, machines: Machines) -> None:
        ovh.set_by_hand(RESCUE)
        assert fence.run("on", machines).status == 0
        ovh.wait_until("the disk", lambda: ovh.running() == "harddisk")
        assert ovh.cuts() == ["hd"]
        assert machines.asked() == []
        assert key_at_ovh(ovh) == ""

    def test_off_mode_power_asks_no_machine(
        self, fence: Fence, ovh: RestBackend, machines: Machines
    ) -> None:
        ovh.data_centre.timing = harness.FAST
        assert fence.run("off", machines, off_mode="power").status == 0
        assert ovh.cuts() == ["poweroff"]
        assert machines.asked() == []
        assert key_at_ovh(ovh) == ""

    def test_status_asks_no_machine(self, fence: Fence, machines: Machines) -> None:
        assert fence.run("status", machines).status == 0
        assert machines.asked() == []


class TestNotInRescue:
    """The machine was cut, but OVH's word is not the whole truth."""

    def test_the_netboot_has_no_effect(
        self, fence: Fence, ovh: RestBackend, machines: Machines
    ) -> None:
        """Network boot is not first in its BIOS; its system does not know the key."""
        ovh.data_centre.servers[SERVER].ignores_netboot = True
        result = fence.run("off", machines, power_timeout=IN_VAIN)
        assert (result.status, result.stdout) == (1, "")
        assert ovh.cuts() == ["hd"]
        assert "boot order" in result.stderr
        assert "a system that does not take the key" in result.stderr
        assert f"{SERVER} was left with netboot rescue12-customer" in result.stderr
        assert words_of_machine(result) == []

    def test_the_netboot_has_no_effect_and_the_disk_knows_the_key(
        self, fence: Fence, ovh: RestBackend, machines: Machines
    ) -> None:
        ovh.data_centre.servers[SERVER].ignores_netboot = True
        machines.let_in_on_disk(fence.key.public)
        result = fence.run("off", machines, power_timeout=IN_VAIN)
        assert (result.status, result.stdout) == (1, "")
        assert ovh.cuts() == ["hd"]
        assert f"answers: {ON_DISK}, up " in result.stderr
        assert "boot order" in result.stderr

    def test_without_the_key_it_is_not_noticed(self, fence: Fence, ovh: RestBackend) -> None:
        """As the documents say."""
        ovh.data_centre.servers[SERVER].ignores_netboot = True
        assert fence.run("off", rescue_ssh_key="").status == 0
        assert ovh.cuts() == ["hd"]

    def test_reboot_does_not_go_on_to_on(
        self, fence: Fence, ovh: RestBackend, machines: Machines
    ) -> None:
        ovh.data_centre.servers[SERVER].ignores_netboot = True
        assert fence.run("reboot", machines, power_timeout=IN_VAIN).status == 1
        assert ovh.cuts() == ["hd"]

    def test_one_of_several_is_not(
        self, fence: Fence, ovh: RestBackend, machines: Machines
    ) -> None:
        ovh.data_centre.servers[OTHER_SERVER].ignores_netboot = True
        result = fence.run("off", machines, plug=f"{SERVER},{OTHER_SERVER}", power_timeout=IN_VAIN)
        assert (result.status, result.stdout) == (1, "")
        (line,) = words_of_machine(result)
        assert f"{SERVER}: the machine" in line

    def test_nothing_boots(self, fence: Fence, ovh: RestBackend, machines: Machines) -> None:
        ovh.data_centre.timing = Timing(cut_delay=0.1, boot_delay=DAY, reboot_duration=0.5)
        result = fence.run("off", machines, power_timeout=IN_VAIN)
        assert result.status == 1
        assert "answers: nothing" in result.stderr
        assert ovh.cuts() == [""]

    def test_another_key_is_in_the_rescue_system(
        self, fence: Fence, ovh: RestBackend, machines: Machines, tmp_path: pathlib.Path
    ) -> None:
        """The .pub beside the private key is that of another one."""
        other = make_key(tmp_path / "other")
        pathlib.Path(f"{fence.key.path}.pub").write_text(other)
        result = fence.run("off", machines, power_timeout=IN_VAIN)
        assert result.status == 1
        assert "a system that does not take the key" in result.stderr
        assert ovh.cuts() == ["rescue12-customer"]


class TestNotCut:
    """OVH says `done` of a hard reboot before the power was cut, or without."""

    def test_the_old_system_still_answers(
        self, fence: Fence, ovh: RestBackend, machines: Machines
    ) -> None:
        ovh.data_centre.timing = SLOW
        machines.has_run_for(ovh.data_centre.servers[SERVER], DAY)
        machines.let_in_on_disk(fence.key.public)
        say_done_early(ovh)
        assert fence.run("off", machines).status == 0
        assert len(machines.asked()) > 1, "not asked before the cut"
        assert_in_rescue(ovh)
        assert ovh.cuts() == ["rescue12-customer"]

    @pytest.mark.parametrize("age", [0.0, DAY], ids=["seconds", "a day"])
    def test_an_old_rescue_system_still_answers(
        self, fence: Fence, ovh: RestBackend, machines: Machines, age: float
    ) -> None:
        """It was off already: the host name alone proves nothing."""
        ovh.data_centre.servers[SERVER].rescue_ssh_key = fence.key.public
        ovh.set_by_hand(RESCUE)
        ovh.reboot_by_hand()
        ovh.wait_until("rescue", lambda: ovh.running() == "rescue")
        ovh.wait_until("its end", lambda: ovh.state()["servers"][SERVER]["pending_reboots"] == 0)
        machines.has_run_for(ovh.data_centre.servers[SERVER], age)
        ovh.data_centre.timing = SLOW
        say_done_early(ovh)
        result = fence.run("off", machines)
        assert result.status == 0, result.stderr
        assert len(machines.asked()) > 1, "not asked before the cut"
        assert ovh.cuts() == ["rescue12-customer"] * 2
        assert_in_rescue(ovh)

    @distrustful
    def test_a_machine_that_was_never_cut_is_cut_again(
        self, fence: Fence, ovh: RestBackend, machines: Machines
    ) -> None:
        settings = dataclasses.replace(
            ovh.front_end.settings, outcome="cancelled", outcome_count=1, after_cut=False
        )
        ovh.front_end.settings = settings
        machines.has_run_for(ovh.data_centre.servers[SERVER], DAY)
        machines.let_in_on_disk(fence.key.public)
        say_done_early(ovh)
        result = fence.run("off", machines)
        assert result.status == 0, result.stderr
        assert f"{SERVER}: was not cut, says the machine ({ON_DISK}, up 864" in result.stderr
        assert ovh.cuts() == ["rescue12-customer"]
        assert_in_rescue(ovh)

    @distrustful
    def test_a_machine_that_is_never_cut(
        self, fence: Fence, ovh: RestBackend, machines: Machines
    ) -> None:
        ovh.front_end.settings = dataclasses.replace(
            ovh.front_end.settings, outcome="cancelled", after_cut=False
        )
        machines.let_in_on_disk(fence.key.public)
        say_done_early(ovh)
        result = fence.run("off", machines, power_timeout=IN_VAIN)
        assert (result.status, result.stdout) == (1, "")
        assert ovh.cuts() == []
        assert "was not cut" in result.stderr


def answering(host: str, uptime: str) -> str:
    """A program that says this of the machine, at once."""
    return f"printf '%b\\n' '{host}' '{uptime} 1.00'"


STRANGE = {
    "a banner without end": "exec yes rescue12-customer-eu",
    "one line without end": "exec tr '\\0' 'r' < /dev/zero",
    "a password prompt": "printf 'root password: ' > /dev/tty; read word < /dev/tty; echo $word",
    "it hangs": 'echo $$ >> "$HERE/pids"; exec sleep 1000',
    "it hangs, deaf": "trap '' INT QUIT TERM; sleep 1000 & echo $! $$ >> \"$HERE/pids\"; wait",
    "it closes": "exit 255",
    "it crashes": "kill -SEGV $$",
    "no number": answering(IN_RESCUE, "nan"),
    "a negative uptime": answering(IN_RESCUE, "-1.00"),
    "a long uptime": answering(IN_RESCUE, "86400.00"),
    "control characters": answering(r"\033[2Jrescue12\a\0000", "1.00"),
    "not UTF-8": answering(r"rescue12\0377\0376", "1.00"),
}

NO_TESTIMONY = [
    "",
    "rescue12-customer-eu\n",
    "rescue12-customer-eu\n1",
    "rescue12-customer-eu\n1.00",  # it may go on: 1.0012345
    "rescue12-customer-eu\n1 1\n",
    "rescue12-customer-eu\n -1.00 1.00\n",
    "rescue12-customer-eu\n-1.00 1.00\n",
    "rescue12-customer-eu\n+1.00 1.00\n",
    "rescue12-customer-eu\nnan nan\n",
    "rescue12-customer-eu\ninf inf\n",
    "rescue12-customer-eu\n1e0 1e0\n",
    "rescue12-customer-eu\n1,00 1,00\n",
    "rescue12-customer-eu\n99999999999999999999.00 1.00\n",
    "rescue12-customer-eu\n\n1.00 1.00\n",
    "rescue12-customer-eu 1.00 1.00\n",
    "1.00 1.00\nrescue12-customer-eu\n",
    "rescue12\a-customer\n1.00 1.00\n",
    "\x1b[2Jrescue12\n1.00 1.00\n",
    "rescue12\0\n1.00 1.00\n",
    "node1\rrescue12\n1.00 1.00\n",
    "node1 rescue12\n1.00 1.00\n",
    " rescue12\n1.00 1.00\n",
    "-rescue12\n1.00 1.00\n",
    f"{'rescue' * 50}\n1.00 1.00\n",
    "rescue12\u0660\n1.00 1.00\n",
    "rescue12\n\u0661.\u0660\u0660 1.00\n",
    "rescue12\u2028\n1.00 1.00\n",
]

TESTIMONY = {
    "rescue12-customer-eu\r\n12.34 20.00\r\n": (IN_RESCUE, 12.34),
    "rescue12-customer-eu\n12.34 20.00\n": (IN_RESCUE, 12.34),
    "rescue12-customer-eu\n12.34 2": (IN_RESCUE, 12.34),
    "\r\nWelcome!\r\n\r\nnode1\r\n86400.00 9.00\r\n": (ON_DISK, 86400.0),
    "Pseudo-terminal will not be allocated\nnode1\n0.00 0.00\n": (ON_DISK, 0.0),
}


@pytest.mark.parametrize("said", NO_TESTIMONY, ids=ascii)
def test_no_testimony(said: str) -> None:
    assert agent_module.load().testimony(said) is None


@pytest.mark.parametrize(("said", "wanted"), TESTIMONY.items(), ids=ascii)
def test_testimony(said: str, wanted: tuple[str, float]) -> None:
    assert agent_module.load().testimony(said) == wanted


class TestStrangeAnswers:
    """A program in place of `ssh`: whatever it says or does, nothing but proof is a 0."""

    @pytest.mark.parametrize("script", STRANGE.values(), ids=STRANGE)
    @impatient
    def test_is_no_proof(
        self, fence: Fence, ovh: RestBackend, tmp_path: pathlib.Path, script: str
    ) -> None:
        ssh = Ssh(tmp_path, script)
        result = fence.run("off", ssh, power_timeout=NOTHING)
        assert (result.status, result.stdout) == (1, "")
        assert "power_timeout" in result.stderr
        assert len(ssh.asked()) > 0
        assert max(map(len, result.stderr.splitlines())) < 600
        for word in ("root password", "RESCUE12", "rescuerescue", "1.00"):
            assert word not in result.stderr
        assert_all_gone(ssh)

    def test_a_banner_before_the_answer(
        self, fence: Fence, tmp_path: pathlib.Path, ovh: RestBackend
    ) -> None:
        """As a shell's start-up file may print: the answer counts."""
        ssh = Ssh(tmp_path, f"printf 'Welcome!\\n\\n'; {answering(IN_RESCUE, '0.01')}")
        assert fence.run("off", ssh).status == 0

    @impatient
    def test_no_ssh_at_all(self, fence: Fence, ovh: RestBackend, tmp_path: pathlib.Path) -> None:
        result = fence.run("off", without_ssh(tmp_path), power_timeout=NOTHING)
        assert (result.status, result.stdout) == (1, "")
        assert "openssh-client" in result.stderr

    @pytest.mark.parametrize(
        "address",
        ["", None, "ns1234.ovh.net", "-oProxyCommand=touch injected", "::1%;injected;", 5, True],
        ids=str,
    )
    @impatient
    def test_an_address_that_is_none(
        self, fence: Fence, ovh: RestBackend, tmp_path: pathlib.Path, address: Any
    ) -> None:
        """No machine is asked, and no word of OVH's reaches a shell."""

        def intercept(call: Call, proceed: Proceed) -> Response:
            response = proceed()
            if call.operation == PUT.replace("PUT", "GET") and response.status == 200:
                server = {**json.loads(response.body), "ip": address}
                response = Response(200, response.headers, json.dumps(server).encode())
            return response

        ovh.front_end.intercept = intercept
        ssh = Ssh(tmp_path, "exit 255")
        write_program(tmp_path / "bin" / "injected", f"echo hit >> {tmp_path}/hit")
        result = fence.run("off", ssh, power_timeout=NOTHING)
        assert result.status == 1
        assert ovh.cuts() == ["rescue12-customer"]
        assert not (tmp_path / "hit").exists(), "a program that OVH named was run"
        assert ssh.asked() == []

    def test_a_signal_while_it_hangs(
        self, fence: Fence, ovh: RestBackend, tmp_path: pathlib.Path
    ) -> None:
        ssh = Ssh(tmp_path, STRANGE["it hangs"])
        process = fence.agent.start(fence.options("off", power_timeout=900), env=ssh.env)
        try:
            ovh.wait_until("ssh", (tmp_path / "pids").exists)
            process.send_signal(signal.SIGTERM)
            _, stderr = process.communicate(timeout=300)
        finally:
            process.kill()
            process.wait()
        assert process.returncode == 1
        assert "ended by SIGTERM" in harness.text(stderr)
        assert_all_gone(ssh)

    @impatient
    def test_what_hangs_is_gone_although_hang_ups_are_ignored(
        self, fence: Fence, ovh: RestBackend, tmp_path: pathlib.Path
    ) -> None:
        """As under nohup, and as what such a shell starts."""
        ssh = Ssh(tmp_path, STRANGE["it hangs"])
        options = fence.options("off", power_timeout=NOTHING)
        agent = Agent(["nohup", *fence.agent.command])
        assert agent.run(options, env=ssh.env).status == 1
        assert_all_gone(ssh)


def is_alive(pid: int) -> bool:
    """Whether there is such a process that has not ended."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def assert_all_gone(ssh: Ssh) -> None:
    """No process is left of those that noted their numbers. Ends what is."""
    path = ssh.here / "pids"
    pids = [int(pid) for pid in path.read_text().split()] if path.exists() else []
    end = time.monotonic() + 60
    while (left := [pid for pid in pids if is_alive(pid)]) and time.monotonic() < end:
        time.sleep(0.02)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == [], "ssh goes on after the agent"


def without_ssh(folder: pathlib.Path) -> Ssh:
    """A PATH with what a shell needs, and no ssh."""
    ssh = Ssh(folder, "")
    for name in ("sh", "head", "ssh-keygen"):
        path = folder / "few" / name
        path.parent.mkdir(exist_ok=True)
        path.symlink_to(str(shutil.which(name)))
    ssh.env["PATH"] = str(folder / "few")
    return ssh


def change_nothing(ovh: RestBackend) -> bool:
    """Whether nothing was done to any server, as the ground truth has it."""
    state = ovh.state()
    keys = [server["rescue_ssh_key"] for server in state["servers"].values()]
    return not any((state["power_cuts"], state["netboot_changes"], state["tasks"], *keys))


class TestKey:
    """What the option may be, and what OVH is given."""

    @impatient
    def test_from_the_file_beside_it(
        self, fence: Fence, ovh: RestBackend, tmp_path: pathlib.Path
    ) -> None:
        pathlib.Path(f"{fence.key.path}.pub").write_text("ssh-ed25519 AAAAbeside me@node\n")
        assert fence.run("off", Ssh(tmp_path, "exit 255"), power_timeout=NOTHING).status == 1
        assert key_at_ovh(ovh) == "ssh-ed25519 AAAAbeside me@node"

    @pytest.mark.parametrize("beside", [None, "", "no key\n", "\udcff"], ids=ascii)
    @impatient
    def test_from_the_private_one(
        self, fence: Fence, ovh: RestBackend, tmp_path: pathlib.Path, beside: str | None
    ) -> None:
        path = pathlib.Path(f"{fence.key.path}.pub")
        path.unlink()
        if beside is not None:
            path.write_bytes(beside.encode("utf-8", "surrogateescape"))
        result = fence.run("off", Ssh(tmp_path, "exit 255"), power_timeout=NOTHING)
        assert key_at_ovh(ovh).split()[:2] == fence.key.public.split(), result.stderr

    @pytest.mark.parametrize("more", [{}, {"email": "admin@example.com"}], ids=["", "email"])
    def test_one_that_ovh_refuses_does_not_keep_it_from_the_netboot(
        self, fence: Fence, ovh: RestBackend, machines: Machines, more: dict[str, str]
    ) -> None:
        """What OVH does not take it cannot install: no proof, but the server is cut."""
        ovh.data_centre.servers[SERVER].refuses_key = True
        result = fence.run("off", machines, power_timeout=IN_VAIN, **more)
        assert result.status == 1
        assert ovh.cuts() == ["rescue12-customer"]
        assert "rescueSshKey may be the reason" in result.stderr
        assert "a system that does not take the key" in result.stderr
        assert ovh.state()["servers"][SERVER]["rescue_mail"] == more.get("email", "")

    def test_an_email_that_ovh_refuses_does_not_keep_the_key_from_it(
        self, fence: Fence, ovh: RestBackend, machines: Machines
    ) -> None:
        ovh.data_centre.servers[SERVER].refuses_mail = True
        result = fence.run("off", machines, email="admin@example.com")
        assert result.status == 0, result.stderr
        assert "rescueMail may be the reason" in result.stderr
        assert_in_rescue(ovh)

    def refused(self, fence: Fence, action: str, **more: Any) -> str:
        """What it says when it ends with 1 before it asks OVH."""
        result = fence.run(action, **more)
        assert (result.status, result.stdout) == (1, "")
        assert fence.ovh.calls() == []
        return result.stderr

    @pytest.mark.parametrize("action", ["off", "reboot", "monitor", "validate-all"])
    def test_no_file(self, fence: Fence, action: str) -> None:
        fence.key.path.rename(f"{fence.key.path}.old")
        said = self.refused(fence, action)
        assert "rescue_ssh_key must be a file that nobody else can read" in said
        assert str(fence.key.path) not in said, "it may be a secret in the wrong option"

    def test_a_folder(self, fence: Fence, tmp_path: pathlib.Path) -> None:
        assert "must be a file" in self.refused(fence, "off", rescue_ssh_key=tmp_path)

    def test_a_file_that_is_missing_on_every_library(
        self, agent: Agent, ovh: RestBackend, tmp_path: pathlib.Path
    ) -> None:
        result = agent.run(ovh.options("off", rescue_ssh_key=tmp_path / "none"))
        assert result.status == 1
        assert "rescue_ssh_key must be a file that nobody else can read" in result.stderr
        assert ovh.calls() == []

    @pytest.mark.parametrize("action", ["on", "status", "list"])
    def test_a_file_that_is_missing_stops_nothing_that_uses_none(
        self, agent: Agent, ovh: RestBackend, tmp_path: pathlib.Path, action: str
    ) -> None:
        result = agent.run(ovh.options(action, rescue_ssh_key=tmp_path / "none"))
        assert result.status == 0, result.stderr

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
    def test_others_can_read_it(self, fence: Fence, mode: int) -> None:
        """ssh does not use it then."""
        fence.key.path.chmod(mode)
        assert "chmod 600" in self.refused(fence, "off")

    @pytest.mark.parametrize("action", ["off", "reboot", "monitor"])
    def test_a_passphrase(self, fence: Fence, tmp_path: pathlib.Path, action: str) -> None:
        make_key(tmp_path / "locked", "secret words", with_public=False)
        said = self.refused(fence, action, rescue_ssh_key=tmp_path / "locked")
        assert "without a passphrase" in said
        assert "ssh-keygen -t ed25519 -N ''" in said

    @pytest.mark.parametrize("action", ["off", "reboot", "monitor"])
    def test_no_key_in_the_file(self, fence: Fence, tmp_path: pathlib.Path, action: str) -> None:
        (tmp_path / "junk").write_text("-----BEGIN JUNK-----\nsecret!\x1b[2J\n")
        (tmp_path / "junk").chmod(0o600)
        said = self.refused(fence, action, rescue_ssh_key=tmp_path / "junk")
        assert "secret!" not in said

    @pytest.mark.parametrize(
        "name",
        [
            "a key",
            "a'key",
            'a"key',
            "a;key",
            "a$HOME",
            "a`id`",
            "a\\key",
            "ké",
            "a*",
            "~key",
            "a%h",
        ],
    )
    def test_a_path_that_a_shell_would_not_take_as_it_is(
        self, fence: Fence, tmp_path: pathlib.Path, name: str
    ) -> None:
        path = fence.key.path.rename(tmp_path / name)
        assert "rescue_ssh_key must be the absolute path" in self.refused(
            fence, "off", rescue_ssh_key=path
        )

    @pytest.mark.parametrize("path", ["id", "./id", "~/id", "-oProxyCommand=x"])
    def test_a_path_that_is_not_absolute(self, fence: Fence, path: str) -> None:
        said = self.refused(fence, "off", rescue_ssh_key=path)
        assert "rescue_ssh_key must be the absolute path" in said

    @pytest.mark.parametrize("action", ["off", "monitor", "validate-all"])
    def test_soap_cannot(self, fence: Fence, action: str) -> None:
        more = {"api": "soap", "login": harness.LOGIN, "passwd": harness.PASSWORD}
        said = self.refused(fence, action, consumer_key="", **more)
        assert "rescue_ssh_key needs api=rest" in said

    def test_validate_all(self, fence: Fence) -> None:
        assert fence.run("validate-all").status == 0
        assert fence.ovh.calls() == []


class TestMonitor:
    """Finds what would keep off from its proof, and touches nothing."""

    @every_key
    def test_all_is_well(self, fence: Fence, ovh: RestBackend, machines: Machines) -> None:
        result = fence.run("monitor", machines)
        assert result.status == 0, result.stderr
        assert change_nothing(ovh)
        assert all(SERVER not in line and "127." not in line for line in machines.asked())

    def test_no_ssh(self, fence: Fence, ovh: RestBackend, tmp_path: pathlib.Path) -> None:
        result = fence.run("monitor", without_ssh(tmp_path))
        assert result.status == 1
        assert "openssh-client" in result.stderr
        assert change_nothing(ovh)

    @pytest.mark.parametrize(
        "script",
        [
            "echo 'ssh: error while loading shared libraries: libcrypto.so.3' >&2; exit 127",
            "exit 0",
            "exec sleep 1000",
            "exec yes",
        ],
        ids=["broken", "silent", "hangs", "endless"],
    )
    @impatient
    def test_an_ssh_that_does_not_work(
        self, fence: Fence, ovh: RestBackend, tmp_path: pathlib.Path, script: str
    ) -> None:
        result = fence.run("monitor", Ssh(tmp_path, script))
        assert result.status == 1
        assert "ssh" in result.stderr
        assert change_nothing(ovh)

    def test_a_passphrase_with_a_public_half_beside_it(
        self, fence: Fence, ovh: RestBackend, machines: Machines, tmp_path: pathlib.Path
    ) -> None:
        make_key(tmp_path / "locked", "secret words")
        result = fence.run("monitor", machines, rescue_ssh_key=tmp_path / "locked")
        assert result.status == 1
        assert "passphrase" in result.stderr
        assert change_nothing(ovh)

    def test_a_public_half_of_another_key(
        self, fence: Fence, ovh: RestBackend, machines: Machines, tmp_path: pathlib.Path
    ) -> None:
        other = make_key(tmp_path / "other")
        pathlib.Path(f"{fence.key.path}.pub").write_text(other)
        result = fence.run("monitor", machines)
        assert result.status == 1
        assert f"{fence.key.path}.pub" in result.stderr
        assert change_nothing(ovh)

    @pytest.mark.parametrize("mode", [0o666, 0o622, 0o620])
    def test_a_public_half_that_others_can_write_is_not_used(
        self, fence: Fence, ovh: RestBackend, machines: Machines, tmp_path: pathlib.Path, mode: int
    ) -> None:
        public = pathlib.Path(f"{fence.key.path}.pub")
        public.write_text(make_key(tmp_path / "other"))
        public.chmod(mode)
        fence.run("off", machines, power_timeout=NOTHING)  # in vain: ssh itself uses what is there
        assert key_at_ovh(ovh).split()[:2] == fence.key.public.split()[:2]

    def test_no_address(self, fence: Fence, ovh: RestBackend, machines: Machines) -> None:
        ovh.data_centre.servers[SERVER].address = "none"
        result = fence.run("monitor", machines)
        assert result.status == 1
        assert "rescue_ssh_key needs one" in result.stderr

    def test_off_mode_power_needs_no_ssh(
        self, fence: Fence, ovh: RestBackend, tmp_path: pathlib.Path
    ) -> None:
        result = fence.run("monitor", without_ssh(tmp_path), off_mode="power")
        assert result.status == 0, result.stderr
