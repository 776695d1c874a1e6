"""Fixtures: the agent in its variants, and a simulated data centre for each back end."""

from __future__ import annotations

import gc
import logging
import os
import pathlib
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from tests import harness
from tests.agent.hurried import hurried
from tests.packaging.throw_away_root import ThrowAwayRoot


def pytest_configure(config: pytest.Config) -> None:
    """Share the agents with the workers, if any; let signals end what the tests start.

    Who runs the tests may ignore some: a shell does for what it starts in the background, and
    nohup. The agents would inherit that, and leave ignored signals ignored.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    if config.getoption("numprocesses", None):
        harness.share_agents()


def pytest_collection_finish() -> None:
    """Keep the garbage collector from the thousands of tests, which stay.

    To walk through them again and again costs a fifth of the search's time.
    """
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Spread the searches, which compute, among the other tests, which mostly wait."""
    searches = [item for item in items if item.nodeid.startswith("tests/safety/test_search.py")]
    others = [item for item in items if item not in searches]
    for number, search in enumerate(searches):
        others.insert((number + 1) * len(others) // (len(searches) + 1), search)
    items[:] = others


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests were skipped, and why: a line for each reason, not for each test."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in skipped)
    if reasons:
        terminalreporter.section(f"{len(skipped)} skipped, by reason")
    for reason, count in reasons.most_common():
        terminalreporter.line(f"{count:5}  {reason}")


@pytest.fixture(autouse=True)
def no_handler_left() -> Iterator[None]:
    """Take away what a test that calls the library in this process has set up for logging.

    The next one would log there, and find nothing where it looks.
    """
    yield
    library = sys.modules.get("fencing")
    while library and library._handlers:
        logging.getLogger().removeHandler(library._handlers.pop())


@pytest.fixture(params=harness.BACKENDS, ids=lambda backend: backend.name)
def ovh(request: pytest.FixtureRequest) -> Iterator[harness.Backend]:
    """A data centre of two servers, served on loopback, for each back end."""
    backend = request.param()
    with backend.simulator:
        yield backend


@pytest.fixture(params=["ours", "distribution"])
def agent(request: pytest.FixtureRequest, ovh: harness.Backend) -> harness.Agent:
    """The agent with our library, and with the distribution's; SOAP with Debian's suds if it is there.

    pip's suds is tried with `our_agent`.
    """
    missing = harness.missing_for_debian(ovh.module)
    if request.param == "ours":
        is_debian = ovh.name == "soap" and not missing
        return harness.agent_of_debian() if is_debian else harness.agent_with_our_library()
    if ovh.name == "oauth2":
        pytest.skip("a service account differs in its login alone: tried with our library")
    if missing:
        pytest.skip(missing)
    if not harness.DISTRIBUTION_LIBRARY.exists():
        pytest.skip(f"{harness.DISTRIBUTION_LIBRARY} (package fence-agents) is missing")
    return harness.agent_on_distribution_library()


@pytest.fixture
def our_agent() -> harness.Agent:
    """The agent with our library only, on this Python: what the distribution's does not refuse."""
    return harness.agent_with_our_library()


@pytest.fixture
def hurried_agent(agent: harness.Agent) -> harness.Agent:
    """Each of the two, with its long waits cut short."""
    return hurried(agent)


@pytest.fixture
def our_hurried_agent(our_agent: harness.Agent) -> harness.Agent:
    """The agent with our library only, with its long waits cut short."""
    return hurried(our_agent)


@pytest.fixture
def namespace() -> None:
    """Skips the test where there are no mount namespaces."""
    reason = harness.why_no_namespace()
    if reason:
        pytest.skip(reason)


@pytest.fixture
def root(namespace: None, tmp_path: pathlib.Path) -> Iterator[ThrowAwayRoot]:
    """This machine's files to do with as one likes."""
    with ThrowAwayRoot(tmp_path / "root") as root:
        yield root


MakeOnce = Callable[[str, Callable[[pathlib.Path], None]], pathlib.Path]


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> MakeOnce:
    """Returns a folder by its name; the first worker that asks for it fills it."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent

    def folder_of(name: str, fill: Callable[[pathlib.Path], None]) -> pathlib.Path:
        harness.fill_once(shared / name, fill)
        return shared / name

    return folder_of


@pytest.fixture
def deb(made_once: MakeOnce) -> pathlib.Path:
    """The Debian package, as `make deb` builds it."""
    harness.need("make", "dpkg-buildpackage", "dh", "dh_python3")

    def build(folder: pathlib.Path) -> None:
        harness.copy_sources(folder / "sources")
        command = harness.offline("make", "-s", "-C", str(folder / "sources"), "deb")
        subprocess.run(command, check=True, capture_output=True)

    return next((made_once("deb", build) / "sources" / "dist").glob("*.deb"))


@pytest.fixture
def wheels(made_once: MakeOnce) -> pathlib.Path:
    """A folder with wheels of all that the agent needs, to install from without a network."""
    reason = harness.why_no_wheels()
    if reason:
        pytest.skip(reason)
    return made_once("wheels", harness.pack_needed)


@pytest.fixture
def wheel(made_once: MakeOnce, wheels: pathlib.Path) -> pathlib.Path:
    """The wheel that pip makes of the sources."""

    def build(folder: pathlib.Path) -> None:
        harness.copy_sources(folder / "sources")
        harness.pip(wheels, "wheel", "--no-deps", "--wheel-dir", str(folder), f"{folder}/sources")

    return next(made_once("wheel", build).glob("*.whl"))


@pytest.fixture
def sdist(made_once: MakeOnce, wheels: pathlib.Path) -> pathlib.Path:
    """What `make sdist` makes of the last commit."""
    harness.need("make", "git", harness.REPOSITORY / ".git")
    return next(made_once("sdist", harness.make_sdist).glob("*/dist/*.tar.gz"))
