"""How the agent ends: by a signal, without anyone to write to, beside others, out of time."""

from __future__ import annotations

import concurrent.futures
import contextlib
import logging
import os
import pathlib
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from types import MappingProxyType
from typing import Any, Callable

import pytest

import fencing
from tests import agent_module, harness
from tests.agent.secrets_shown import arguments_of, pieces_shown
from tests.harness import OTHER_SERVER, SERVER, Agent, Backend, in_namespace, text
from tests.simulator import Call, Proceed, Response, SoapFrontEnd, Timing, VirtualClock

HANG = 60
"""Seconds that a hanging call would last if nothing ended it."""

SOON = 10
"""Seconds within which the agent is gone after a signal, generously: a sixth of HANG."""

SIGNALS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM]
SLOW = Timing(cut_delay=30, boot_delay=30, reboot_duration=HANG)


def patient(ovh: Backend, action: str = "off", **more: Any) -> dict[str, Any]:
    """Options with which nothing but a signal ends a hanging call."""
    limits = {"shell_timeout": HANG, "login_timeout": HANG, "power_timeout": 2 * HANG}
    return ovh.options(action, **limits, **more)


def end(process: subprocess.Popen[str], number: int) -> str:
    """Send a signal; return what was written to stderr; check how and when it ended."""
    sent = time.monotonic()
    process.send_signal(number)
    return ended(process, sent)


def ended(process: subprocess.Popen[str], sent: float) -> str:
    """Wait for the end of an agent that got a signal; return what it wrote to stderr."""
    stdout, stderr = process.communicate(timeout=HANG)
    assert time.monotonic() - sent < SOON
    assert process.returncode == 1
    assert "Success" not in text(stdout)
    assert "Traceback" not in text(stderr)
    assert "defect" not in text(stderr)
    return text(stderr)


class Moment:
    """A call of the agent, kept waiting in the simulator until it is let go."""

    def __init__(self, ovh: Backend, number: int, after: bool = False) -> None:
        """Call `number`, counted from 1; `after`: wait once it is carried out."""
        self.reached = threading.Event()
        self.released = threading.Event()
        self.over = threading.Event()
        self._number = number
        self._after = after
        ovh.front_end.intercept = self._intercept

    def _intercept(self, call: Call, proceed: Proceed) -> Response:
        if call.number != self._number:
            return proceed()
        response = proceed() if self._after else None
        self.reached.set()
        self.released.wait(HANG)
        try:
            return response or proceed()
        finally:
            self.over.set()

    def wait(self) -> None:
        assert self.reached.wait(HANG), "the call did not come"


@contextlib.contextmanager
def full_port() -> Iterator[int]:
    """A port that neither accepts nor refuses: a connect to it hangs."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        address = listener.getsockname()
        while True:
            client = stack.enter_context(socket.socket())
            client.settimeout(0.3)
            try:
                client.connect(address)
            except TimeoutError:
                break
        yield int(address[1])


def is_connecting(port: int) -> bool:
    """Whether somebody waits for a connection to that port, as the kernel tells."""
    wanted = f"0100007F:{port:04X} 02"
    return pathlib.Path("/proc/net/tcp").read_text().count(wanted) > 1


@contextlib.contextmanager
def full_pipe() -> Iterator[int]:
    """The writing end of a pipe that takes nothing more, and that nobody reads."""
    reading, writing = os.pipe()
    try:
        os.set_blocking(writing, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writing, b"x" * 65536)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writing, b"x")
        os.set_blocking(writing, True)
        yield writing
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_full_pipe_keeps_no_server_from_being_cut(
    our_agent: Agent, ovh: Backend, stream: str
) -> None:
    with full_pipe() as pipe:
        process = our_agent.start(ovh.options("off", verbose_level=3), **{stream: pipe})
        process.communicate(timeout=HANG)
    assert process.returncode == 0
    assert ovh.cuts() == ["rescue12-customer"]


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_signal_ends_an_agent_whose_pipe_is_full(
    our_agent: Agent, ovh: Backend, stream: str
) -> None:
    ovh.data_centre.timing = SLOW
    with full_pipe() as pipe:
        process = our_agent.start(patient(ovh, verbose_level=3), **{stream: pipe})
        ovh.wait_until("the request", lambda: ovh.reboot_operation in ovh.calls())
        end(process, signal.SIGTERM)
    assert ovh.state()["open_sessions"] == 0


class TestSignals:
    @pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
    @pytest.mark.parametrize("call", [1, 2, 3, 5, 8])
    def test_while_a_call_is_answered(
        self, our_agent: Agent, ovh: Backend, call: int, number: int
    ) -> None:
        """The answer comes just after the signal."""
        moment = Moment(ovh, call)
        process = our_agent.start(patient(ovh))
        moment.wait()
        threading.Timer(0.2, moment.released.set).start()
        end(process, number)
        assert moment.over.wait(HANG)
        if call > 1:  # of a login nobody waits for the answer
            assert ovh.state()["open_sessions"] == 0

    @pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
    @pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
    def test_while_a_call_hangs(
        self, our_agent: Agent, ovh: Backend, after: bool, number: int
    ) -> None:
        moment = Moment(ovh, 3, after=after)
        process = our_agent.start(patient(ovh))
        moment.wait()
        stderr = end(process, number)
        assert signal.Signals(number).name in stderr
        moment.released.set()
        assert ovh.state()["open_sessions"] == 0

    @pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
    def test_while_it_waits(self, our_agent: Agent, ovh: Backend, number: int) -> None:
        ovh.data_centre.timing = SLOW
        process = our_agent.start(patient(ovh, stonith_status_sleep=HANG))
        task, status = "GET /dedicated/server/{serviceName}/task/{taskId}", "HardRebootStatus"
        ovh.wait_until(
            "the request",
            lambda: (
                ovh.reboot_operation in ovh.calls() and ovh.calls()[-1].endswith((task, status))
            ),
        )
        end(process, number)
        assert ovh.state()["open_sessions"] == 0

    @pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
    def test_while_it_connects(self, our_agent: Agent, ovh: Backend, number: int) -> None:
        with full_port() as port:
            url = f"http://127.0.0.1:{port}/1.0"
            process = our_agent.start({**patient(ovh), "api_url": url})
            ovh.wait_until("the connection", lambda: is_connecting(port))
            end(process, number)

    @pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
    def test_while_a_name_is_looked_up(
        self,
        our_agent: Agent,
        ovh: Backend,
        number: int,
        tmp_path: pathlib.Path,
        namespace: None,
    ) -> None:
        """A name server that does not answer; a lookup cannot be interrupted."""
        host = f"127.77.{os.getpid() % 250 + 1}.{number}"
        resolver = tmp_path / "resolv.conf"
        resolver.write_text(f"nameserver {host}\noptions timeout:{HANG // 2}\n")
        preparation = ["mount", "--bind", str(resolver), "/etc/resolv.conf"]
        agent = Agent(in_namespace(our_agent.command, preparation))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as name_server:
            name_server.bind((host, 53))
            name_server.settimeout(HANG)
            process = agent.start({**patient(ovh), "api_url": "http://api.ovh.invalid.example/1.0"})
            assert name_server.recv(512)
            end(process, number)

    def test_a_second_one_changes_nothing(self, our_agent: Agent, ovh: Backend) -> None:
        ovh.data_centre.timing = SLOW
        process = our_agent.start(patient(ovh))
        ovh.wait_until("the request", lambda: ovh.reboot_operation in ovh.calls())
        sent = time.monotonic()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            process.send_signal(number)
        ended(process, sent)
        assert ovh.state()["open_sessions"] == 0

    def test_more_until_it_is_gone_change_nothing(self, our_agent: Agent, ovh: Backend) -> None:
        """Python's own end takes its handlers away."""
        process = our_agent.start(ovh.options("off"), stdout=subprocess.DEVNULL)
        ovh.wait_until("the request", lambda: ovh.reboot_operation in ovh.calls())
        while process.poll() is None:
            process.send_signal(signal.SIGTERM)
            time.sleep(0.001)
        assert process.returncode == 1

    def test_none_is_lost(self, ovh: Backend, tmp_path: pathlib.Path) -> None:
        """A handler that raises does so anywhere, also where it is swallowed or leaves a lock held.

        So each of these runs gets its signal at another line of the agent's fifth request.
        """
        server = ovh.data_centre.servers[SERVER]  # then the fifth is the first after the change
        server.netboots = tuple(each for each in server.netboots if each.id in (1, 230242))
        lines = int(_signal_at(0).run(ovh.options("off")).stderr.split()[-1])
        assert lines > 10
        ovh.data_centre.timing = SLOW

        def run(line: int) -> tuple[int, str]:
            process = _signal_at(line).start(patient(ovh))
            try:
                stderr = process.communicate(timeout=HANG)[1]
            except subprocess.TimeoutExpired:
                process.kill()
                stderr = process.communicate()[1]
            return line, f"{process.returncode} {text(stderr)}"

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            ends = list(pool.map(run, range(2, lines, 11)))
        good = re.compile(
            r"1 [^\n]* ERROR: ended by SIGTERM\n[^\n]* ERROR: \S+ was left with [^\n]*\n"
        )
        assert not [end for end in ends if not good.fullmatch(end[1])]

    def test_a_second_one_during_the_logout_changes_nothing(
        self, our_agent: Agent, ovh: Backend
    ) -> None:
        """The logout hangs: it is given up, the process ends as after the first signal."""
        if not isinstance(ovh.front_end, SoapFrontEnd):
            pytest.skip("only SOAP has sessions")
        logging_out, ended_test = threading.Event(), threading.Event()

        def intercept(call: Call, proceed: Proceed) -> Response:
            if call.operation == "logout":
                logging_out.set()
                ended_test.wait(HANG)
            return proceed()

        ovh.front_end.intercept = intercept
        ovh.data_centre.timing = SLOW
        process = our_agent.start(patient(ovh))
        ovh.wait_until("the request", lambda: ovh.reboot_operation in ovh.calls())
        sent = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert logging_out.wait(HANG)
        process.send_signal(signal.SIGINT)
        ended(process, sent)
        ended_test.set()


def _signal_at(line: int) -> Agent:
    """The agent, with a signal at some line of its fifth request: each is two calls."""
    command = [sys.executable, "-m", "tests.agent.signal_at", "10", str(line)]
    return Agent(command, {"PYTHONPATH": str(harness.REPOSITORY)})


CLOSED = {
    "stdout closed": ">&-",
    "stderr closed": "2>&-",
    "both closed": ">&- 2>&-",
    "stdout full": ">/dev/full",
    "stderr full": "2>/dev/full",
    "both full": ">/dev/full 2>/dev/full",
}
ONLY_STDOUT = {name: how for name, how in CLOSED.items() if "2>" not in how}


def redirected(agent: Agent, how: str) -> Agent:
    """The agent started by a shell with redirections."""
    return Agent(["sh", "-c", f'exec "$@" {how}', "sh", *agent.command], agent.env)


class TestNobodyToWriteTo:
    @pytest.mark.parametrize("how", CLOSED)
    def test_off_is_carried_out(self, our_agent: Agent, ovh: Backend, how: str) -> None:
        result = redirected(our_agent, CLOSED[how]).run(ovh.options("off", verbose=1))
        assert result.status == 0, result.stderr
        assert ovh.cuts() == ["rescue12-customer"]
        assert ovh.state()["open_sessions"] == 0

    @pytest.mark.parametrize("how", CLOSED)
    def test_a_failing_off_is_one(self, our_agent: Agent, ovh: Backend, how: str) -> None:
        ovh.data_centre.timing = Timing(carried_out=False)
        result = redirected(our_agent, CLOSED[how]).run(ovh.options("off", power_timeout=2))
        assert result.status == 1

    @pytest.mark.parametrize("how", CLOSED)
    def test_a_debug_file_gets_nothing_but_messages(
        self, our_agent: Agent, ovh: Backend, how: str, tmp_path: pathlib.Path
    ) -> None:
        """A file that is opened takes the number of a descriptor that was closed."""
        debug = tmp_path / "debug.log"
        options = ovh.options("off", verbose=1, debug_file=debug)
        assert redirected(our_agent, CLOSED[how]).run(options).status == 0
        for line in debug.read_text().splitlines():
            assert re.match(r"\d{4}-\d\d-\d\d [\d:,]+ [A-Z]+: ", line), line

    @pytest.mark.parametrize("how", ONLY_STDOUT)
    @pytest.mark.parametrize("action", ["status", "list", "list-status", "metadata", "manpage"])
    def test_an_answer_that_is_lost_is_a_failure(
        self, our_agent: Agent, ovh: Backend, how: str, action: str
    ) -> None:
        result = redirected(our_agent, CLOSED[how]).run(ovh.options(action))
        assert result.status == 1
        assert result.stderr.strip()
        assert "Traceback" not in result.stderr

    def test_a_reader_that_left(self, our_agent: Agent, ovh: Backend) -> None:
        """The caller closed its ends of both pipes."""
        process = our_agent.start(ovh.options("off", verbose=1))
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        process.stderr.close()
        assert process.wait(timeout=120) == 0
        assert ovh.cuts() == ["rescue12-customer"]

    def test_one_pipe_for_both_that_is_read_at_the_end(
        self, our_agent: Agent, ovh: Backend
    ) -> None:
        """As libfence does, which reads once the agent has ended; and two of three calls fail."""
        ovh.fail_calls(number for number in range(9) if number % 3 < 2)
        options = ovh.options("off", verbose_level=3, power_timeout=120)
        process = our_agent.start(options, stderr=subprocess.STDOUT)
        assert process.wait(timeout=300) == 0
        output, _ = process.communicate()
        assert len(output) < 32 * 1024
        assert ovh.cuts()

    def test_messages_without_end_and_nobody_reads(
        self, our_hurried_agent: Agent, ovh: Backend
    ) -> None:
        """Each fault has other words, of which the pipe could not hold the whole."""
        words = endless_words()

        def intercept(call: Call, proceed: Proceed) -> Response:
            if call.operation.startswith(("login", "GET /auth/time")):
                return proceed()
            return Response(500, {}, next(words))

        ovh.front_end.intercept = intercept
        options = ovh.options("list-status", verbose=1, shell_timeout=5, login_timeout=5)
        process = our_hurried_agent.start(options, stderr=subprocess.STDOUT)
        assert process.wait(timeout=300) == 1
        output, _ = process.communicate()
        assert len(output) < 32 * 1024


def endless_words() -> Iterator[bytes]:
    """Faults of OVH that are long, and never the same."""
    number = 0
    while True:
        number += 1
        yield (
            b'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><e:Fault>'
            b"<faultstring>session " + b"%d " % number * 5000 + b"</faultstring></e:Fault>"
            b"</e:Body></e:Envelope>"
        )


class TestSyslog:
    @pytest.fixture
    def device(self, namespace: None) -> Iterator[tuple[list[str], socket.socket]]:
        """The preparation that gives a namespace a /dev/log, and the socket behind it."""
        with tempfile.TemporaryDirectory(dir="/tmp") as folder:
            commands = []
            for name in ("null", "zero", "urandom"):
                path = f"{folder}/{name}"
                pathlib.Path(path).touch()
                commands.append(shlex.join(["mount", "--bind", f"/dev/{name}", path]))
            commands.append(shlex.join(["mount", "--rbind", folder, "/dev"]))
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
                log.bind(f"{folder}/log")
                log.setblocking(False)
                yield ["sh", "-c", " && ".join(commands)], log

    def test_gets_every_step_and_no_secret(
        self, our_agent: Agent, ovh: Backend, device: tuple[list[str], socket.socket]
    ) -> None:
        preparation, log = device
        agent = Agent(in_namespace(our_agent.command, preparation))
        ovh.fail_calls([1, 4])
        process = agent.start(ovh.options("off", verbose=1))
        received = _drain(log, process)
        assert process.returncode == 0
        assert ovh.cuts()
        # unshare and sh become the agent: all have the same number.
        start = re.compile(rf"<\d+>\w{{3}} [ \d]\d [\d:]{{8}} fence_ovh\[{process.pid}\]: [A-Z]+: ")
        assert received
        for line in received:
            assert start.match(line), line
        assert any(f"{SERVER}: hard reboot accepted" in line for line in received)
        assert any("WARNING" in line and "502" in line for line in received)
        assert not pieces_shown(ovh.secrets, *received)

    def test_is_not_needed(
        self, our_agent: Agent, ovh: Backend, namespace: None, tmp_path: pathlib.Path
    ) -> None:
        """A /dev without log, as in many containers."""
        (tmp_path / "null").touch()
        preparations = (
            ["mount", "--bind", "/dev/null", str(tmp_path / "null")],
            ["mount", "--rbind", str(tmp_path), "/dev"],
        )
        result = Agent(in_namespace(our_agent.command, *preparations)).run(ovh.options("off"))
        assert result.status == 0, result.stderr
        assert ovh.cuts() == ["rescue12-customer"]

    def test_nobody_reads_it(
        self, our_agent: Agent, ovh: Backend, device: tuple[list[str], socket.socket]
    ) -> None:
        """A log daemon that hangs: the socket's queue is full, and must not stop a fencing."""
        preparation, log = device
        agent = Agent(in_namespace(our_agent.command, preparation))
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            other.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    other.sendto(b"<13>x", log.getsockname())
        process = agent.start(ovh.options("off", verbose=1))
        try:
            process.communicate(timeout=HANG)
        finally:
            process.kill()
        assert process.returncode == 0
        assert ovh.cuts() == ["rescue12-customer"]


def _drain(log: socket.socket, process: subprocess.Popen[str]) -> list[str]:
    """Read a socket until a process has ended."""
    received = []
    while True:
        over = process.poll() is not None
        with contextlib.suppress(BlockingIOError):
            while True:
                received.append(text(log.recv(65536)).rstrip("\0"))
        if over:
            process.communicate()
            return received
        time.sleep(0.02)


class TestSideBySide:
    def test_two_agents_cut_the_same_server(self, our_hurried_agent: Agent, ovh: Backend) -> None:
        ovh.data_centre.timing = Timing(cut_delay=0.5, boot_delay=0.5, reboot_duration=2.0)
        begun = ovh.state()["monotonic"]
        statuses = self._together(our_hurried_agent, *[ovh.options("off", power_timeout=60)] * 2)
        assert set(statuses) <= {0, 1}
        assert 0 in statuses
        self._check_cut(ovh, begun, "rescue12-customer")
        assert ovh.running() == "rescue"
        assert ovh.state()["open_sessions"] == 0

    def test_an_off_that_begins_during_another(
        self, our_hurried_agent: Agent, ovh: Backend
    ) -> None:
        """The other's cut is not ours: it may have come before we asked."""
        ovh.data_centre.timing = Timing(cut_delay=0.5, boot_delay=0.5, reboot_duration=4.0)
        first = our_hurried_agent.start(ovh.options("off", power_timeout=60))
        ovh.wait_until("the first cut", lambda: len(ovh.cuts()) == 1)
        begun = ovh.state()["monotonic"]
        second = our_hurried_agent.run(ovh.options("off", power_timeout=60))
        first.communicate(timeout=120)
        assert (first.returncode, second.status) == (0, 0), second.stderr
        self._check_cut(ovh, begun, "rescue12-customer")

    @pytest.mark.parametrize("method", ["cycle", "onoff"])
    def test_an_off_beside_a_reboot(
        self, our_hurried_agent: Agent, ovh: Backend, method: str
    ) -> None:
        """Each undoes the other's netboot. Whoever says 0 has cut into what it demands."""
        begun = ovh.state()["monotonic"]
        off, reboot = self._together(
            our_hurried_agent,
            ovh.options("off", power_timeout=10),
            ovh.options("reboot", method=method, power_timeout=10),
        )
        assert {off, reboot} <= {0, 1}
        if off == 0:
            self._check_cut(ovh, begun, "rescue12-customer")
        if reboot == 0:
            self._check_cut(ovh, begun, "hd" if method == "cycle" else "rescue12-customer")

    def test_each_cuts_the_server_of_the_other(
        self, our_hurried_agent: Agent, ovh: Backend
    ) -> None:
        """With one account: its sessions must not get in each other's way."""
        begun = ovh.state()["monotonic"]
        options = [ovh.options("off", plug=plug) for plug in (SERVER, OTHER_SERVER)]
        assert self._together(our_hurried_agent, *options) == [0, 0]
        for server in (SERVER, OTHER_SERVER):
            self._check_cut(ovh, begun, "rescue12-customer", server)
            assert ovh.cuts(server) == ["rescue12-customer"]

    def test_one_session_for_an_account(self, our_hurried_agent: Agent, ovh: Backend) -> None:
        """Where OVH allows one only, each login ends the other's session."""
        if not isinstance(ovh.front_end, SoapFrontEnd):
            pytest.skip("only SOAP has sessions")
        ovh.simulator.control(settings={"single_session": True})
        options = [
            ovh.options("off", plug=plug, power_timeout=60) for plug in (SERVER, OTHER_SERVER)
        ]
        assert self._together(our_hurried_agent, *options) == [0, 0]

    def _together(self, agent: Agent, *options: dict[str, Any]) -> list[int]:
        """Run several agents at once; their exit statuses."""
        processes = [agent.start(each) for each in options]
        for process in processes:
            process.communicate(timeout=200)
        return [process.returncode for process in processes]

    def _check_cut(self, ovh: Backend, begun: float, kernel: str, server: str = SERVER) -> None:
        """Check that the server was cut into that netboot since."""
        kernels = [
            cut["netboot"]["kernel"]
            for cut in ovh.state()["power_cuts"]
            if cut["server"] == server and cut["accepted_at"] >= begun and cut["netboot"]
        ]
        assert kernel in kernels


class TestDeadline:
    """A limit of 3 s, whatever the other limits are, and far from HANG."""

    LIMITS = MappingProxyType({"power_timeout": 3, "shell_timeout": HANG, "login_timeout": HANG})

    def _check(self, agent: Agent, options: dict[str, Any]) -> None:
        begun = time.monotonic()
        result = agent.run({**options, **self.LIMITS})
        assert time.monotonic() - begun < HANG / 2
        assert result.status == 1
        assert "Traceback" not in result.stderr
        assert "defect" not in result.stderr

    @pytest.mark.parametrize("action", ["off", "reboot"])
    def test_an_api_that_is_down(self, our_agent: Agent, ovh: Backend, action: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as nobody:
            port = nobody.getsockname()[1]
        self._check(our_agent, {**ovh.options(action), "api_url": f"http://127.0.0.1:{port}/1.0"})

    @pytest.mark.parametrize("action", ["off", "reboot"])
    def test_an_api_that_accepts_and_hangs(
        self, our_agent: Agent, ovh: Backend, action: str
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            url = f"http://127.0.0.1:{port}/1.0"
            self._check(our_agent, {**ovh.options(action), "api_url": url})

    def test_an_api_that_cannot_be_connected_to(self, our_agent: Agent, ovh: Backend) -> None:
        with full_port() as port:
            url = f"http://127.0.0.1:{port}/1.0"
            self._check(our_agent, {**ovh.options("off"), "api_url": url})

    @pytest.mark.parametrize("call", [2, 4, 7, 9])
    def test_an_api_that_begins_to_hang(self, our_agent: Agent, ovh: Backend, call: int) -> None:
        released = threading.Event()

        def intercept(logged: Call, proceed: Proceed) -> Response:
            if logged.number >= call:
                released.wait(HANG)
            return proceed()

        ovh.front_end.intercept = intercept
        ovh.data_centre.timing = SLOW
        try:
            self._check(our_agent, ovh.options("off"))
        finally:
            released.set()

    def test_a_reboot_that_does_not_end(self, our_agent: Agent, ovh: Backend) -> None:
        ovh.data_centre.timing = SLOW
        self._check(our_agent, ovh.options("off", stonith_status_sleep=HANG))

    def test_status_of_an_api_that_hangs(self, our_hurried_agent: Agent, ovh: Backend) -> None:
        """It has no power_timeout, but ends when OVH was silent for long."""
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}/1.0"
            options = ovh.options("status", api_url=url, login_timeout=1, shell_timeout=1)
            begun = time.monotonic()
            assert our_hurried_agent.run(options).status == 1
            assert time.monotonic() - begun < HANG / 2


class Hours(VirtualClock):
    """A virtual clock on which a signal comes after some time."""

    def __init__(self, seconds: float, interrupt: Callable[[], None]) -> None:
        super().__init__()
        self._end = self.monotonic() + seconds
        self._interrupt = interrupt

    def sleep(self, seconds: float) -> None:
        self.advance(max(0.0, seconds))
        if self.monotonic() >= self._end:
            self._interrupt()


class TestWithoutDeadline:
    """In this process, on a virtual clock."""

    HOURS = 3600

    @pytest.fixture
    def run(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> Callable[..., tuple[int, float, list[str]]]:
        """Runs `off` while OVH does not answer; exit status, seconds, what was waited for."""
        agent = agent_module.load()
        caplog.set_level(logging.DEBUG)

        class Nothing:
            def exchange(self, method: str, url: str, *args: Any) -> Any:
                clock.advance(1.0)
                raise agent.NoAnswer("no connection (Connection refused)")

        def interrupt() -> None:
            raise agent.Interrupted("SIGTERM")

        clock = Hours(self.HOURS, interrupt)
        monkeypatch.setattr(fencing, "clock", clock)

        def run(**more: str) -> tuple[int, float, list[str]]:
            begun = clock.monotonic()
            try:
                status = agent.run({**_checked_options(), **more}, Nothing(), clock)
            except SystemExit as left:
                status = int(left.code or 0)
            messages = [record.getMessage() for record in caplog.records]
            waiting = [each for each in messages if "still waiting" in each]
            return status, clock.monotonic() - begun, waiting

        return run

    def test_power_timeout_ends_it(self, run: Callable[..., tuple[int, float, list[str]]]) -> None:
        status, seconds, waiting = run()
        assert status == 1
        assert 900 <= seconds < 930
        assert 12 <= len(waiting) <= 15

    @pytest.mark.parametrize("word", ["true", "1"])
    def test_disable_timeout_lifts_it_and_it_says_what_it_waits_for(
        self, run: Callable[..., tuple[int, float, list[str]]], word: str
    ) -> None:
        status, seconds, waiting = run(**{"--disable-timeout": word})
        self._check_lifted(status, seconds, waiting)

    @pytest.mark.parametrize("more", [{}, {"--disable-timeout": "false"}])
    def test_pacemaker_does_not(
        self,
        run: Callable[..., tuple[int, float, list[str]]],
        monkeypatch: pytest.MonkeyPatch,
        more: dict[str, str],
    ) -> None:
        """It has a limit of its own; where that is the longer one, ours says what went wrong."""
        monkeypatch.setenv("PCMK_service", "pacemaker-fenced")
        status, seconds, _ = run(**more)
        assert status == 1
        assert 900 <= seconds < 930

    def _check_lifted(self, status: int, seconds: float, waiting: list[str]) -> None:
        assert status == 1
        assert self.HOURS <= seconds < self.HOURS + 60
        minutes = self.HOURS // 60
        assert 0.8 * minutes <= len(waiting) <= minutes
        assert all(SERVER in each for each in waiting)


def _checked_options() -> dict[str, Any]:
    """What the library's check_input makes of an `off`."""
    return {
        "--action": "off",
        "--method": "cycle",
        "--plug": SERVER,
        "--plug-separator": ",",
        "--api": "soap",
        "--username": harness.LOGIN,
        "--password": harness.PASSWORD,
        "--api-url": "http://127.0.0.1/",
        "--off-mode": "rescue",
        "--power-timeout": "900",
        "--shell-timeout": "20",
        "--login-timeout": "20",
        "--stonith-status-sleep": "5",
        "--power-wait": "0",
        "--retry-on": "1",
        "--delay": "0",
    }


class TestArguments:
    def test_show_no_secret_given_on_standard_input(self, our_agent: Agent, ovh: Backend) -> None:
        moment = Moment(ovh, 2)
        process = our_agent.start(ovh.options("off"))
        moment.wait()
        environment = pathlib.Path(f"/proc/{process.pid}/environ").read_bytes()
        shown = (arguments_of(process), text(environment))
        moment.released.set()
        process.communicate(timeout=120)
        assert process.returncode == 0
        assert not pieces_shown(ovh.secrets, *shown)
