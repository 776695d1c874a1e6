"""What the agent that distributions ship does, seen from outside, and what this one does there.

A program runs as it is, in namespaces of its own in which www.ovh.com is this host and the
simulator answers there, with a certificate made for the occasion. Each run has what the shipped
agent needs to do its work, unless the lack is what the run is about: an e-mail address, a server
that offers netboot 28, an account whose session nobody else ends.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from typing import Any

from bench import process_cost
from tests import harness
from tests.simulator import (
    Account,
    DataCentre,
    Netboot,
    Response,
    Server,
    SimulatorServer,
    SoapFrontEnd,
    SystemClock,
    Timing,
    default_netboots,
)
from tests.simulator.operations import OPERATIONS, STRUCTS
from tests.simulator.wsdl import describe

PACKAGED = pathlib.Path("/usr/sbin/fence_ovh")
DIVERTED = pathlib.Path("/usr/share/fence-ovh/distrib/fence_ovh")
"""Where `make install` moves it."""

HOST = "www.ovh.com"
WSDL_PORT, SOAP_PORT = 443, 1664
COPIES = 73
"""How often the operations and types are in the description: the real one had 650 to 900
operations, and takes time to parse. The copies go by other names."""

TIME_LIMIT = 280  # seconds, for all runs together
DURATIONS = (30, 120, 240, 480, 720)  # seconds of the simulated hard reboots
SHORTEST = DURATIONS[0]
PASSWORD = "correct-horse-battery"  # nothing in it that XML would write otherwise
OLD_RESCUE = Netboot(28, "rescue-pro", "rescue", "Rescue system of 2013")
KINDS = ("--mount", "--net", "--pid", "--fork", "--kill-child")


@dataclasses.dataclass(frozen=True)
class Trial:
    """One run: what is asked of the agent, and the server that it is asked for."""

    name: str
    action: str = "off"
    plug: str = ""
    duration: int = SHORTEST
    netboot_offered: bool = True
    more: str = "email=admin@example.com\n"


TRIALS = (
    *(Trial(f"off {seconds}", duration=seconds) for seconds in DURATIONS),
    Trial("off, verbose=true", more="email=admin@example.com\nverbose=true\n"),
    Trial("off, no e-mail address", more=""),
    Trial("off, netboot 28 not offered", netboot_offered=False),
    Trial("off, a name with dots", plug="ns567890.ip-203-0-113.eu"),
    Trial("on", action="on"),
    Trial("reboot", action="reboot"),
    Trial("status", action="status"),
    Trial("list", action="list"),
    Trial("monitor", action="monitor"),
)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of a trial.

    Attributes:
        usage: what the process cost, and its exit status.
        cut: seconds from its start until the server's power was cut; None if it was not.
        netboot: id of what the server is set to boot.
        asked_for: the names by which it asked for servers.
        stderr: bytes that it wrote there.
        passwords: how often the password is in them.
        reason: the last line of them.
    """

    usage: process_cost.Usage
    cut: float | None
    netboot: int
    asked_for: list[str]
    stderr: int
    passwords: int
    reason: str


def agent() -> pathlib.Path:
    """The shipped program."""
    return DIVERTED if DIVERTED.exists() else PACKAGED


def why_not() -> str | None:
    """Why it cannot run here; None if it can."""
    if not package():
        return f"Debian's package fence-agents has not installed {PACKAGED}"
    missing = harness.missing_for_debian("suds")
    if missing:
        return missing
    for program in ("unshare", "ip", "openssl"):
        if not shutil.which(program):
            return f"{program} is missing"
    command = harness.in_namespace(["true"], ["ip", "link", "set", "lo", "up"], kinds=KINDS)
    tried = subprocess.run(command, capture_output=True, check=False)
    return None if tried.returncode == 0 else f"no namespaces: {harness.text(tried.stderr).strip()}"


def package() -> str:
    """The package that has the program, with its version; empty when there is none."""
    if not shutil.which("dpkg-query"):
        return ""
    command = ["dpkg-query", "-S", str(PACKAGED)]
    owners = subprocess.run(command, capture_output=True, check=False, text=True).stdout
    names = [
        line.partition(": ")[0] for line in owners.splitlines() if line.endswith(str(PACKAGED))
    ]
    # A package of this agent has a file of that name, too.
    for name in ", ".join(names).split(", "):
        if name.startswith("fence-agents"):
            command = ["dpkg-query", "-W", "-f", "${Package} ${Version}", name]
            return subprocess.run(command, capture_output=True, check=True, text=True).stdout
    return ""


def observe(program: pathlib.Path, *names: str) -> dict[str, Outcome]:
    """Carry the trials of those names out, or all, with that agent; return what came of each.

    :raises subprocess.TimeoutExpired: when they take too long; none of them goes on then.
    """
    folder = tempfile.mkdtemp(prefix="fence_ovh-shipped-")
    try:
        _prepare(pathlib.Path(folder))
        command = harness.in_namespace(
            [sys.executable, "-m", "bench.shipped_agent", folder, str(program), *names],
            ["ip", "link", "set", "lo", "up"],
            ["mount", "--bind", f"{folder}/hosts", "/etc/hosts"],
            kinds=KINDS,
        )
        done = subprocess.run(
            command, stdout=subprocess.PIPE, check=True, timeout=TIME_LIMIT, cwd=harness.REPOSITORY
        )
    finally:
        shutil.rmtree(folder)
    return {
        name: Outcome(**{**found, "usage": process_cost.Usage(**found["usage"])})
        for name, found in json.loads(done.stdout).items()
    }


def _prepare(folder: pathlib.Path) -> None:
    """Make the table of hosts and the certificate."""
    (folder / "hosts").write_text(f"127.0.0.1 localhost {HOST}\n")
    command = ["openssl", "req", "-x509", "-nodes", "-days", "2", "-subj", f"/CN={HOST}"]
    command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command += ["-addext", f"subjectAltName=DNS:{HOST}"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    subprocess.run([*command, *files], check=True, capture_output=True)


# In the namespaces


class FullDescription(SoapFrontEnd):
    """A SoAPI whose description is as long as the provider's."""

    def __init__(self, data_centre: DataCentre) -> None:
        super().__init__(data_centre)
        self._description = describe(
            f"https://{HOST}:{SOAP_PORT}/", _copied(OPERATIONS), _copied(STRUCTS)
        )

    def handle(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, scheme: str = "http"
    ) -> Response:
        if method == "GET":
            return Response(200, {"Content-Type": "text/xml"}, self._description)
        return super().handle(method, path, headers, body, scheme)


def _copied(named: Mapping[str, Any]) -> dict[str, Any]:
    names = {name: [name, *(f"{name}V{number}" for number in range(1, COPIES))] for name in named}
    return {copy: named[name] for name, copies in names.items() for copy in copies}


class Laboratory:
    """A server and an account for each trial, and the trials."""

    def __init__(self, folder: pathlib.Path, program: str, names: list[str]) -> None:
        self._folder = folder
        self._program = program
        self._trials = [trial for trial in TRIALS if not names or trial.name in names]
        self._servers = [_server(number, trial) for number, trial in enumerate(self._trials)]
        accounts = [Account(server.account, PASSWORD) for server in self._servers]
        self._centre = DataCentre(SystemClock(), self._servers, accounts)

    def run(self) -> dict[str, dict[str, Any]]:
        """Carry all out; they wait side by side, but what keeps a processor busy does not."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._folder / "certificate.pem", self._folder / "key.pem")
        front_end = FullDescription(self._centre)
        begun, processes = [], []
        wsdl = SimulatorServer(front_end, port=WSDL_PORT, ssl_context=context)
        soap = SimulatorServer(front_end, port=SOAP_PORT, ssl_context=context)
        with wsdl, soap:
            for number in range(len(self._trials)):
                begun.append(time.monotonic())
                processes.append(self._start(number))
                self._wait_until_idle(number, processes[-1])
            usages = [process_cost.finish(process) for process in processes]
            self._wait_for_cuts(wsdl)
            state = wsdl.state()
        return {
            trial.name: self._result(number, begun[number], usages[number], state)
            for number, trial in enumerate(self._trials)
        }

    def _start(self, number: int) -> subprocess.Popen[bytes]:
        trial, server = self._trials[number], self._servers[number]
        options = f"action={trial.action}\nlogin={server.account}\npasswd={PASSWORD}\n"
        options += f"plug={trial.plug or server.name}\n{trial.more}"
        stderr = self._stderr(number)
        stderr.touch()
        environment = {
            "PATH": os.environ["PATH"],
            "SSL_CERT_FILE": str(self._folder / "certificate.pem"),
            "HOME": str(self._folder),
            "TMPDIR": str(self._folder),
        }
        return process_cost.start([self._program], options.encode(), str(stderr), environment)

    def _stderr(self, number: int) -> pathlib.Path:
        return self._folder / f"stderr{number}"

    def _wait_until_idle(self, number: int, process: subprocess.Popen[bytes]) -> None:
        """Until it has ended or asked for the hard reboot: what follows is waiting."""
        while process.poll() is None and not self._reboots([self._servers[number]]):
            time.sleep(0.05)

    def _wait_for_cuts(self, simulator: SimulatorServer) -> None:
        """Until every hard reboot that was asked for has cut its server."""
        while len(simulator.state()["power_cuts"]) < self._reboots(self._servers):
            time.sleep(0.05)

    def _reboots(self, servers: list[Server]) -> int:
        """How many hard reboots of them were asked for."""
        with self._centre.lock:
            return sum(len(server.hard_reboots) for server in servers)

    def _result(
        self, number: int, begun: float, used: process_cost.Usage, state: dict[str, Any]
    ) -> dict[str, Any]:
        trial, server = self._trials[number], self._servers[number]
        cuts = [cut["at"] for cut in state["power_cuts"] if cut["server"] == server.name]
        plug = trial.plug or server.name
        asked_for = {call["server"] for call in state["calls"] if call["server"]}
        written = self._stderr(number).read_text("utf-8", "replace")
        lines = [line for line in written.splitlines() if line.strip()]
        outcome = Outcome(
            usage=used,
            cut=cuts[0] - begun if cuts else None,
            netboot=server.netboot.id,
            asked_for=sorted(name for name in asked_for if name.startswith(plug)),
            stderr=len(written.encode()),
            passwords=written.count(PASSWORD),
            reason=lines[-1] if lines else "",
        )
        return dataclasses.asdict(outcome)


def _server(number: int, trial: Trial) -> Server:
    offered = (OLD_RESCUE,) if trial.netboot_offered else ()
    return Server(
        trial.plug or f"ns{1000 + number}.ovh.net",
        account=f"ab{1000 + number}-ovh",
        netboots=(*default_netboots(), *offered),
        timing=Timing(cut_delay=5, boot_delay=20, reboot_duration=trial.duration),
    )


if __name__ == "__main__":
    laboratory = Laboratory(pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
    json.dump(laboratory.run(), sys.stdout)
