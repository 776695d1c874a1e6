"""What the end-to-end tests share: the agent as a real process, the simulator, the back ends."""

from __future__ import annotations

import atexit
import compileall
import dataclasses
import fcntl
import functools
import hashlib
import importlib.metadata
import itertools
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterable
from typing import Any, Callable

from tests.simulator import (
    APPLICATION_KEY,
    APPLICATION_SECRET,
    CLIENT_ID,
    CLIENT_SECRET,
    CONSUMER_KEY,
    Account,
    AnswerLost,
    Call,
    DataCentre,
    Proceed,
    Response,
    RestFrontEnd,
    RestSettings,
    Server,
    SimulatorServer,
    SoapFrontEnd,
    SoapSettings,
    SystemClock,
    Timing,
)

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
AGENT = REPOSITORY / "fence_ovh"
DEBIAN_PYTHON = "/usr/bin/python3"
DISTRIBUTION_LIBRARY = pathlib.Path("/usr/share/fence/fencing.py")

LOGIN = "ab12345-ovh"
PASSWORD = "Zq7#correct=horse&battery"
SERVER = "ns1234.ovh.net"
OTHER_SERVER = "ns567890.ip-203-0-113.eu"

LONG_NAMES = {"login": "username", "passwd": "password"}
"""Options whose long name differs from the one on standard input."""

FAST = Timing(cut_delay=0.1, boot_delay=0.1, reboot_duration=1.0, power_off_delay=0.5)
"""A hard reboot of a second: the SOAP API's times have no finer resolution."""


@dataclasses.dataclass
class Result:
    """How a run of the agent ended."""

    status: int
    stdout: str
    stderr: str


@dataclasses.dataclass
class Agent:
    """The agent as a program: `command` is what starts it, `env` what it needs to."""

    command: list[str]
    env: dict[str, str] = dataclasses.field(default_factory=dict)

    def start(
        self,
        options: dict[str, Any] | bytes | None = None,
        *arguments: str,
        env: dict[str, str] | None = None,
        **more: Any,
    ) -> subprocess.Popen[str]:
        """Start it, with the options on its standard input (None: nothing there)."""
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            **self.env,
            **(env or {}),
        }
        process = subprocess.Popen(
            [*self.command, *arguments],
            stdin=subprocess.PIPE,
            stdout=more.pop("stdout", subprocess.PIPE),
            stderr=more.pop("stderr", subprocess.PIPE),
            env=environment,
            **more,
        )
        assert process.stdin is not None
        try:
            process.stdin.write(options if isinstance(options, bytes) else lines(options or {}))
            process.stdin.close()
        except BrokenPipeError:
            pass  # It refused its input before the end, which is its right.
        process.stdin = None
        return process

    def run(
        self, options: dict[str, Any] | bytes | None = None, *arguments: str, **more: Any
    ) -> Result:
        """Run it to its end."""
        process = self.start(options, *arguments, **more)
        try:
            stdout, stderr = process.communicate(timeout=300)
        finally:
            process.kill()
            process.wait()
        return Result(process.returncode, text(stdout), text(stderr))


def text(output: bytes | None) -> str:
    """What a program wrote."""
    return (output or b"").decode("utf-8", "replace")


def lines(options: dict[str, Any]) -> bytes:
    """Options as a cluster writes them to an agent's standard input."""
    return "".join(f"{name}={value}\n" for name, value in options.items()).encode()


def module_of(launcher: str) -> pathlib.Path:
    """The agent's module that a launcher of `laid_out` starts."""
    return pathlib.Path(launcher).parent.parent / "share" / "fence_ovh.py"


AGENTS = "FENCE_OVH_AGENTS"
"""The environment variable that says where the agents are that processes of tests share."""


def share_agents() -> None:
    """Have this process and those that it starts install their agents in one folder."""
    if AGENTS not in os.environ:
        folder = os.environ[AGENTS] = tempfile.mkdtemp(prefix="fence_ovh-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        os.chmod(folder, 0o755)  # other users run them, too


def fill_once(folder: pathlib.Path, fill: Callable[[pathlib.Path], Any]) -> None:
    """Make and fill a folder, unless another process has done so or does so now."""
    done = folder.with_name(f"{folder.name}.done")
    with open(folder.with_name(f"{folder.name}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            fill(folder)
            done.touch()


@functools.cache
def laid_out(text: str, with_library: bool) -> str:
    """Install an agent as `make install` does, once for all tests; returns its launcher.

    It is compiled there: that is a third of what a run of the script itself costs.
    """
    start = (REPOSITORY / "packaging" / "launcher").read_text("utf-8")
    files = {"sbin/fence_ovh": start.replace("@SHARE@", "../share"), "share/fence_ovh.py": text}
    if with_library:
        files["share/fencing.py"] = (REPOSITORY / "fencing.py").read_text("utf-8")

    def fill(folder: pathlib.Path) -> None:
        for name, content in files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(content, "utf-8")
        (folder / "sbin" / "fence_ovh").chmod(0o755)
        compileall.compile_dir(folder / "share", quiet=1)

    share_agents()
    digest = hashlib.sha256(repr(files).encode()).hexdigest()
    folder = pathlib.Path(os.environ[AGENTS], digest)
    fill_once(folder, fill)
    return str(folder / "sbin" / "fence_ovh")


def agent_with_our_library() -> Agent:
    """The agent of this repository, run by the Python that runs the tests."""
    return Agent([sys.executable, "-IS", laid_out(AGENT.read_text("utf-8"), True)])


def agent_of_debian() -> Agent:
    """The same on Debian's Python."""
    return Agent([DEBIAN_PYTHON, "-IS", laid_out(AGENT.read_text("utf-8"), True)])


def agent_on_distribution_library() -> Agent:
    """The same with no library of ours in sight, so that it takes the distribution's."""
    return Agent([DEBIAN_PYTHON, "-IS", laid_out(AGENT.read_text("utf-8"), False)])


@functools.cache
def missing_for_debian(module: str) -> str | None:
    """Why the agent cannot run on Debian's Python with that module; None if it can."""
    command = [DEBIAN_PYTHON, "-c", f"import {module}"]
    try:
        found = subprocess.run(command, stderr=subprocess.DEVNULL, check=False)
    except OSError:
        return f"{DEBIAN_PYTHON} is missing"
    return None if found.returncode == 0 else f"{DEBIAN_PYTHON} has no {module}"


def make(target: str, root: pathlib.Path, *variables: str) -> None:
    """Run `make` of the repository with a folder as the root of what it installs."""
    command = ["make", "-s", "-C", str(REPOSITORY), target, f"DESTDIR={root}", *variables]
    subprocess.run(command, check=True)


def need(*required: str | pathlib.Path) -> None:
    """Skip the test when a program (by its name) or a file (by its path) is missing."""

    def is_there(each: str | pathlib.Path) -> bool:
        return each.exists() if isinstance(each, pathlib.Path) else bool(shutil.which(each))

    missing = [str(each) for each in required if not is_there(each)]
    if missing:
        import pytest  # here: the demo runs without it

        pytest.skip(f"missing: {', '.join(missing)}")


def copy_sources(folder: pathlib.Path) -> None:
    """Copy the repository, without what building and testing leave in it."""
    left = ("build", "dist", "*.egg-info", "__pycache__", ".git", ".venv*", ".*_cache", "soak-*")
    shutil.copytree(REPOSITORY, folder, ignore=shutil.ignore_patterns(*left))


def make_sdist(folder: pathlib.Path, umask: int = 0o022) -> None:
    """Run `make sdist` in a clone."""
    clone = folder / "clone"
    subprocess.run(["git", "clone", "--quiet", REPOSITORY, clone], check=True)
    command = ["make", "-s", "-C", str(clone), "sdist", f"PYTHON={sys.executable}"]
    subprocess.run(offline(*command), check=True, capture_output=True, umask=umask)


def offline(*command: str) -> list[str]:
    """A command that has no network, where that can be arranged."""
    return ["unshare", "--net", *command] if why_no_namespace() is None else list(command)


# Packages for pip, without an index


def pip_settings(wheels: pathlib.Path) -> dict[str, str]:
    """The environment in which pip installs from that folder and from nowhere else."""
    return {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheels),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_CACHE_DIR": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
    }


def pip(wheels: pathlib.Path, *arguments: str) -> None:
    """Run the pip of this Python."""
    command = offline(sys.executable, "-m", "pip", "--quiet", *arguments)
    subprocess.run(command, check=True, env={"PATH": os.environ["PATH"], **pip_settings(wheels)})


NEEDED = ["suds-community", "pexpect", "setuptools", "wheel"]


def why_no_wheels() -> str | None:
    """Why this Python's packages are not enough to build and install the agent."""
    for name in [*NEEDED, "pip"]:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            return f"{name} is not installed"
        if name == "setuptools" and int(version.partition(".")[0]) < 66:
            return f"setuptools {version} is older than 66"
    return None


def pack_needed(folder: pathlib.Path) -> None:
    """Make wheels of the installed packages that are needed, and of those that they need."""
    names = list(NEEDED)
    for name in names:  # grows
        try:
            package = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # for another Python or another system
        pack_again(package, folder)
        required = [each for each in package.requires or [] if "extra ==" not in each]
        others = re.findall(r"^[\w.-]+", "\n".join(required), re.M)
        names += [other for other in others if other not in names]


def pack_again(package: importlib.metadata.Distribution, folder: pathlib.Path) -> None:
    """Make a wheel of an installed package."""
    tags = re.findall("^Tag: (.+)$", package.read_text("WHEEL") or "", re.M)
    name = re.sub("[-.]+", "_", package.metadata["Name"])
    with zipfile.ZipFile(folder / f"{name}-{package.version}-{tags[-1]}.whl", "w") as wheel:
        for file in package.files or []:
            if ".." not in file.parts and "__pycache__" not in file.parts:
                wheel.write(file.locate(), str(file))


def in_namespace(
    command: list[str], *preparations: list[str], kinds: tuple[str, ...] = ("--mount",)
) -> list[str]:
    """A command that runs in a mount namespace of its own, after some preparations.

    :param kinds: the options of `unshare` that say which namespaces.
    """
    script = " && ".join([*(shlex.join(each) for each in preparations), 'exec "$@"'])
    return ["unshare", *kinds, "sh", "-c", script, "sh", *command]


@functools.cache
def why_no_namespace() -> str | None:
    """Why there is no mount namespace to be had; None if there is."""
    if os.geteuid() != 0:
        return "a mount namespace needs root"
    if not shutil.which("unshare"):
        return "unshare is missing"
    command = ["unshare", "--mount", "mount", "--bind", "/etc/hosts", "/etc/resolv.conf"]
    tried = subprocess.run(command, capture_output=True, check=False)
    return None if tried.returncode == 0 else f"no mount namespace here: {text(tried.stderr)}"


class Backend:
    """A simulated data centre behind one of OVH's APIs.

    Attributes:
        module: what the agent needs to speak this API.
        reboot_operation: what the simulator calls the request for a hard reboot.
        secrets: what no output may show.
        demo_options: the options that the demo gives.
    """

    name = ""
    title = ""
    module = "json"
    reboot_operation = ""
    secrets: tuple[str, ...] = ()
    demo_options: tuple[str, ...] = ("plug", "login", "passwd", "api_url")
    demo_cuts = ("rescue12-customer", "hd")

    def __init__(self) -> None:
        self.data_centre = DataCentre(
            SystemClock(),
            servers=[Server(SERVER), Server(OTHER_SERVER)],
            accounts=[Account(LOGIN, PASSWORD)],
            timing=FAST,
        )
        self.front_end: Any = self.make_front_end()
        self.simulator = SimulatorServer(self.front_end)

    def make_front_end(self) -> Any:
        """The API."""
        raise NotImplementedError

    def keys(self) -> dict[str, Any]:
        """The options that choose the API and log in."""
        raise NotImplementedError

    def options(self, action: str, plug: str = SERVER, **more: Any) -> dict[str, Any]:
        """What a cluster gives the agent for that action."""
        return {
            "action": action,
            "nodename": "node1.example.com",
            "agent": "fence_ovh",
            "plug": plug,
            **self.keys(),
            "stonith_status_sleep": 1,
            "shell_timeout": 3,
            "login_timeout": 3,
            "power_timeout": 30,
            **more,
        }

    # The ground truth

    def state(self) -> dict[str, Any]:
        """All of it."""
        return self.simulator.state()

    def cuts(self, server: str = SERVER) -> list[str]:
        """The kernels that the server booted at its power cuts."""
        cuts = [cut for cut in self.state()["power_cuts"] if cut["server"] == server]
        return [cut["netboot"]["kernel"] if cut["netboot"] else "" for cut in cuts]

    def running(self, server: str = SERVER) -> str:
        """The type of what the server runs: harddisk, rescue, …"""
        running = self.state()["servers"][server]["running"]
        return running["type"] if running else ""

    def calls(self) -> list[str]:
        """The operations called so far."""
        return [call["operation"] for call in self.state()["calls"]]

    # What the provider or an operator does

    def set_by_hand(self, netboot_id: int, server: str = SERVER) -> None:
        """Choose a netboot, without a reboot."""
        self.simulator.control(server=server, netboot=netboot_id)

    def reboot_by_hand(self, server: str = SERVER) -> None:
        """Hard-reboot the server."""
        self.simulator.control(server=server, hard_reboot=True)

    def fail_calls(self, numbers: Iterable[int]) -> None:
        """Answer the calls of these numbers, counted from 0, with an HTTP 502 of a proxy."""
        failing = set(numbers)
        calls = itertools.count()

        def intercept(call: Call, proceed: Proceed) -> Response:
            if next(calls) in failing:
                return Response(502, {"Content-Type": "text/html"}, b"<html>Bad Gateway</html>")
            return proceed()

        self.front_end.intercept = intercept

    def lose_answer_of_reboot(self) -> None:
        """Carry out the first hard reboot that is asked for, but drop the connection."""
        lost = []

        def intercept(call: Call, proceed: Proceed) -> Response:
            response = proceed()
            if call.operation == self.reboot_operation and not lost:
                lost.append(call)
                raise AnswerLost
            return response

        self.front_end.intercept = intercept

    def wait_until(self, what: str, condition: Callable[[], bool]) -> None:
        """Wait for something that is about to happen; fail when it has not after a minute."""
        end = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < end, f"waited a minute for {what}"
            time.sleep(0.02)


class SoapBackend(Backend):
    """The SOAP API."""

    name = "soap"
    title = "The SOAP API"
    module = "suds"
    reboot_operation = "dedicatedHardRebootDo"
    secrets = (PASSWORD,)

    def make_front_end(self) -> SoapFrontEnd:
        return SoapFrontEnd(self.data_centre, SoapSettings())

    def keys(self) -> dict[str, Any]:
        return {"login": LOGIN, "passwd": PASSWORD, "api_url": self.simulator.url}


class RestBackend(Backend):
    """The REST API, with a consumer key."""

    name = "rest"
    title = "The REST API"
    module = "json"
    reboot_operation = "POST /dedicated/server/{serviceName}/reboot"
    secrets = (APPLICATION_SECRET, CONSUMER_KEY)
    demo_options = (*Backend.demo_options, "consumer_key")

    def make_front_end(self) -> RestFrontEnd:
        return RestFrontEnd(self.data_centre, RestSettings())

    def keys(self) -> dict[str, Any]:
        return {
            "login": APPLICATION_KEY,
            "passwd": APPLICATION_SECRET,
            "consumer_key": CONSUMER_KEY,
            "api_url": f"{self.simulator.url}/1.0",
        }


class OAuth2Backend(RestBackend):
    """The REST API, with a service account."""

    name = "oauth2"
    title = "The REST API, with a service account"
    secrets = (CLIENT_SECRET,)
    demo_options = ("api", *Backend.demo_options)

    def keys(self) -> dict[str, Any]:
        return {
            "api": "rest",
            "login": CLIENT_ID,
            "passwd": CLIENT_SECRET,
            "api_url": f"{self.simulator.url}/1.0",
        }


BACKENDS = [SoapBackend, RestBackend, OAuth2Backend]
