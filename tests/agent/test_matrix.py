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
from tests.harness import SERVER, Agent, Backend, RestBackend, Result, SoapBackend
from tests.simulator import CLIENT_ID, CLIENT_SECRET


class OAuth2Backend(RestBackend):
    """The REST API, with a service account."""

    name = "oauth2"
    secrets = (CLIENT_SECRET,)

    def keys(self) -> dict[str, Any]:
        return {
            "api": "rest",
            "login": CLIENT_ID,
            "passwd": CLIENT_SECRET,
            "api_url": f"{self.simulator.url}/1.0",
        }


@dataclasses.dataclass(frozen=True)
class Matrix:
    """One API's side of the matrix.

    Attributes:
        steps: the calls of an `off` without faults, in order, and how often each came before.
        known_from: the first step before which OVH has granted something about the server. Before
            that a refusal is final, by design.
        reboot: the step that asks for the hard reboot.
        spoilt: the steps that faults hit; without any, all.
    """

    backend: type[Backend]
    steps: tuple[str, ...]
    known_from: str
    reboot: str
    spoilt: tuple[str, ...] = ()

    def faults(self) -> list[Fault]:
        """The faults of this API."""
        api = "soap" if self.backend is SoapBackend else "rest"
        return [fault for fault in FAULTS if fault.only in ("", api)]

    def schedule(self, k: int) -> dict[str, Fault]:
        """Which fault hits which step in run k."""
        every = self.faults()
        harmless = [fault for fault in every if not fault.denial]
        chosen = {}
        for i, step in enumerate(self.spoilt or self.steps):
            fits = harmless if step in self.first_contact() else every
            chosen[step] = fits[(k + i) % len(fits)]
        return chosen

    def first_contact(self) -> tuple[str, ...]:
        """The steps before OVH has granted anything about the server."""
        return self.steps[: self.steps.index(self.known_from)]


def _rest_steps(login: tuple[str, ...], time: int) -> tuple[str, ...]:
    """The calls of the REST API: those of the login, and how often its time was asked for there."""
    return (
        *login,
        "GET /boot?bootType=rescue #1",
        "GET /boot/230242 #1",
        "PUT  #1",
        "GET  #1",
        "GET /boot/230242 #2",
        "GET  #2",
        "GET /task?function=hardReboot #1",
        "GET /task?function=hardReboot #2",
        f"GET /auth/time #{time + 1}",
        f"GET /auth/time #{time + 2}",
        "POST /reboot #1",
        "GET /task/N #1",
        "GET  #3",
        "GET /boot/230242 #3",
        "GET  #4",
    )


MATRICES = {
    "soap": Matrix(
        SoapBackend,
        (
            "login #1",
            "dedicatedNetbootGetAvailable #1",
            "dedicatedNetbootModifyById #1",
            "dedicatedNetbootInfo #1",
            "dedicatedNetbootInfo #2",
            "dedicatedHardRebootStatus #1",
            "dedicatedHardRebootStatus #2",
            "dedicatedHardRebootDo #1",
            "dedicatedHardRebootStatus #3",
            "dedicatedHardRebootStatus #4",
            "dedicatedNetbootInfo #3",
            "dedicatedNetbootInfo #4",
            "logout #1",
        ),
        "dedicatedNetbootModifyById #1",
        "dedicatedHardRebootDo #1",
    ),
    "rest": Matrix(
        RestBackend,
        _rest_steps(("GET /auth/time #1", "GET /auth/time #2"), 2),
        "PUT  #1",
        "POST /reboot #1",
    ),
    "oauth2": Matrix(
        OAuth2Backend,
        _rest_steps(("POST /auth/oauth2/token #1",), 0),
        "PUT  #1",
        "POST /reboot #1",
        spoilt=(
            "POST /auth/oauth2/token #1",
            "GET /auth/time #1",
            "GET /auth/time #2",
            "POST /reboot #1",
        ),
    ),
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
    """Run `off` with these faults on its way."""
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
        # The OAuth2 library refuses plain HTTP otherwise.
        process = agent.start(options, env={"OAUTHLIB_INSECURE_TRANSPORT": "1"})
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
    our_agent: Agent, debug: pathlib.Path, api: str
) -> None:
    """When this fails the agent's calls have changed: `steps` must follow."""
    matrix = MATRICES[api]
    run = fence(matrix.backend, Schedule({}), our_agent, debug)
    assert run.result.status == 0, run.story()
    polling = matrix.steps[matrix.steps.index(matrix.reboot) + 1].rpartition(" #")[0]
    assert _without(polling, run.proxy.schedule.passed) == _without(polling, matrix.steps)


def _without(operation: str, steps: Any) -> list[str]:
    """The steps without those of an operation that is repeated for as long as it takes."""
    return [step for step in steps if step.rpartition(" #")[0] != operation]


@pytest.mark.parametrize(("api", "k"), RUNS)
def test_off_gets_through(our_agent: Agent, debug: pathlib.Path, api: str, k: int) -> None:
    matrix = MATRICES[api]
    faults = matrix.schedule(k)
    schedule = Schedule(faults, matrix.steps)
    run = fence(matrix.backend, schedule, our_agent, debug)
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
    expected = {
        (step, fault.name)
        for step in matrix.spoilt or matrix.steps
        for fault in matrix.faults()
        if not (fault.denial and step in matrix.first_contact())
    }
    assert met == expected
    assert any(name == REFUSED for _, name in met)
