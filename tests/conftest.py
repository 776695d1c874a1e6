"""Fixtures: the agent in its variants, and a simulated data centre for each back end."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import pytest

from tests import harness


@pytest.fixture(params=harness.BACKENDS, ids=lambda backend: backend.name)
def ovh(request: pytest.FixtureRequest) -> Iterator[harness.Backend]:
    """A data centre of two servers, served on loopback, for each back end."""
    backend = request.param()
    with backend.simulator:
        yield backend


@pytest.fixture(params=["ours", "debian", "distribution"])
def agent(
    request: pytest.FixtureRequest, ovh: harness.Backend, tmp_path: pathlib.Path
) -> harness.Agent:
    """The agent with our library; on Debian's packages; with the distribution's library."""
    if request.param == "ours":
        return harness.agent_with_our_library()
    missing = harness.missing_for_debian(ovh.module)
    if missing:
        pytest.skip(missing)
    if request.param == "debian":
        return harness.agent_of_debian(ovh.module)
    if not harness.DISTRIBUTION_LIBRARY.exists():
        pytest.skip(f"{harness.DISTRIBUTION_LIBRARY} (package fence-agents) is missing")
    return harness.agent_on_distribution_library(ovh.module, tmp_path)


@pytest.fixture
def our_agent() -> harness.Agent:
    """The agent with our library only: for input that the distribution's does not refuse."""
    return harness.agent_with_our_library()


@pytest.fixture
def namespace() -> None:
    """Skips the test where there are no mount namespaces."""
    reason = harness.why_no_namespace()
    if reason:
        pytest.skip(reason)
