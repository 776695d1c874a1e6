"""Each fault at each call of `off`, once: a real agent process on real sockets.

One run for each cell would take half an hour. So a run takes a different fault at each call: in
run k the call i meets the fault k + i, a Latin square, in which each fault meets each call. Every
call is let through when it comes again, so that the provider answers correctly in the end: then
the exit status must be 0 and the machine must have been cut.
"""

from __future__ import annotations

import dataclasses
import pathlib
import urllib.parse
from typing import Any

import pytest

from tests import harness
from tests.agent.faults import FAULTS, REFUSED, Fault, FaultProxy, Schedule
from tests.agent.secrets_shown import arguments_of, pieces_shown
from tests.harness import SERVER, Agent, Backend, OAuth2Backend, RestBackend, Result, SoapBackend


@dataclasses.dataclass(frozen=True)
class Matrix:
    """One API's side of the matrix.

    Attributes:
        steps: the calls of an `off` without faults, in order, and how often each came before.
        reboot: the step that asks for the hard reboot.
    """

    backend: type[Backend]
    steps: tuple[str, ...]
    reboot: str

    def faults(self) -> list[Fault]:
        """The faults of this API."""
        api = "soap" if self.backend is SoapBackend else "rest"
        return [fault for fault in FAULTS if fault.only in ("", api)]

    def schedule(self, k: int) -> dict[str, Fault]:
        """Which fault hits which step in run k."""
        every = self.faults()
        return {step: every[(k + i) % len(every)] for i, step in enumerate(self.steps)}


REST_STEPS = (
    "GET /boot?bootType=rescue #1",
    "GET /boot/230242 #1",
    "PUT  #1",
    "GET  #1",
    "POST /reboot #1",
    "GET /task/N #1",
    "GET  #2",
)
"""The calls of the REST API after the login."""

MATRICES = {
    "soap": Matrix(
        SoapBackend,
        (
            "login #1",
            "dedicatedNetbootGetAvailable #1",
            "dedicatedHardRebootStatus #1",
            "dedicatedNetbootModifyById #1",
            "dedicatedNetbootInfo #1",
            "dedicatedHardRebootStatus #2",
            "dedicatedHardRebootDo #1",
            "dedicatedHardRebootStatus #3",
            "dedicatedNetbootInfo #2",
            "logout #1",
        ),
        "dedicatedHardRebootDo #1",
    ),
    "rest": Matrix(RestBackend, ("GET /auth/time #1", *REST_STEPS), "POST /reboot #1"),
    "oauth2": Matrix(OAuth2Backend, ("POST /auth/oauth2/token #1", *REST_STEPS), "POST /reboot #1"),
}

NETBOOTS = (1, 230242)  # the disk and the rescue system

RUNS = [(name, k) for name, matrix in MATRICES.items() for k in range(len(matrix.faults()))]


@dataclasses.dataclass
class Run:
    """A run of `off` through the proxy."""

    ovh: Backend
    proxy: FaultProxy
    result: Result
    debug: str
    arguments: str

    def story(self) -> str:
        """What happened, for people."""
        lines = [*self.proxy.schedule.trace, "stdout:", self.result.stdout]
        return "\n".join([*lines, "stderr:", self.result.stderr])


def fence(backend: type[Backend], schedule: Schedule, agent: Agent, debug: pathlib.Path) -> Run:
    """Run `off` with these faults on its way, by an agent in a hurry: some rules take a minute."""
    ovh = backend()
    # One rescue system is enough: the agent looks at each of those offered.
    server = ovh.data_centre.servers[SERVER]
    server.netboots = tuple(each for each in server.netboots if each.id in NETBOOTS)
    with ovh.simulator, FaultProxy(ovh.simulator.port, schedule, debug) as proxy:
        options = ovh.options(
            "off", shell_timeout=1, login_timeout=1, power_timeout=120, verbose=1, debug_file=debug
        )
        url = urllib.parse.urlsplit(options["api_url"])
        options["api_url"] = url._replace(netloc=f"127.0.0.1:{proxy.port}").geturl()
        process = agent.start(options)
        arguments = arguments_of(process)
        stdout, stderr = process.communicate(timeout=300)
        result = Result(process.returncode, harness.text(stdout), harness.text(stderr))
        written = debug.read_text() if debug.exists() else ""
        return Run(ovh, proxy, result, written, arguments)


@pytest.fixture
def debug(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "debug.log"


@pytest.mark.parametrize("api", MATRICES)
def test_the_steps_are_those_of_an_undisturbed_off(
    our_hurried_agent: Agent, debug: pathlib.Path, api: str
) -> None:
    """When this fails the agent's calls have changed: `steps` must follow."""
    matrix = MATRICES[api]
    run = fence(matrix.backend, Schedule({}), our_hurried_agent, debug)
    assert run.result.status == 0, run.story()
    polling = matrix.steps[matrix.steps.index(matrix.reboot) + 1].rpartition(" #")[0]
    assert _without(polling, run.proxy.schedule.passed) == _without(polling, matrix.steps)
    assert run.ovh.cuts() == ["rescue12-customer"]


def _without(operation: str, steps: Any) -> list[str]:
    """The steps without those of an operation that is repeated for as long as it takes."""
    return [step for step in steps if step.rpartition(" #")[0] != operation]


@pytest.mark.parametrize(("api", "k"), RUNS)
def test_off_gets_through(our_hurried_agent: Agent, debug: pathlib.Path, api: str, k: int) -> None:
    matrix = MATRICES[api]
    faults = matrix.schedule(k)
    schedule = Schedule(faults, matrix.steps)
    run = fence(matrix.backend, schedule, our_hurried_agent, debug)
    assert run.result.status == 0, run.story()
    state = run.ovh.state()
    cuts = run.ovh.cuts()
    assert set(cuts) == {"rescue12-customer"}, run.story()
    assert len(cuts) <= (2 if faults[matrix.reboot].effect else 1), run.story()
    assert state["servers"][SERVER]["netboot"]["type"] == "rescue", run.story()
    assert not run.proxy.elsewhere, f"followed a redirect\n{run.story()}"
    assert "Traceback" not in run.result.stderr + run.debug
    assert "defect" not in run.debug, run.story()
    assert not schedule.faults, f"never met: {schedule.faults}\n{run.story()}"
    secrets = [*run.ovh.secrets, *run.proxy.secrets]
    written = (run.result.stdout, run.result.stderr, run.debug, run.arguments)
    assert not pieces_shown(secrets, *written), run.story()


@pytest.mark.parametrize("api", MATRICES)
def test_each_fault_meets_each_step(api: str) -> None:
    matrix = MATRICES[api]
    met = {
        (step, fault.name)
        for k in range(len(matrix.faults()))
        for step, fault in matrix.schedule(k).items()
    }
    expected = {(step, fault.name) for step in matrix.steps for fault in matrix.faults()}
    assert met == expected
    assert any(name == REFUSED for _, name in met)
