# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures: one cluster that the tests share as long as none fails; logs of those that do."""

from __future__ import annotations

import os
import pathlib
import re
from collections.abc import Generator, Iterator
from typing import Any

import pytest

from tests.cluster.__main__ import FOLDER
from tests.cluster.nodes import Rack, call, make_network, wait_until
from tests.cluster.pacemaker import Cluster, first_cib

# Only `make check-cluster` has the namespaces that these tests need.
collect_ignore_glob = [] if FOLDER in os.environ else ["test_*.py"]


class Clusters:
    """At most one cluster at a time, of as many nodes as a test wants."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self._started = 0
        self.current: Cluster | None = None

    def get(self, number: int) -> Cluster:
        """A cluster of that many nodes, all of them members."""
        if self.current is not None and len(self.current.nodes) != number:
            self.drop()
        if self.current is None:
            self._started += 1
            folder = self._folder / "disks" / str(self._started)
            rack = Rack(folder, number, first_cib(folder / "shared"))
            self.current = cluster = Cluster(rack)
            rack.start()
            wait_until("a cluster", cluster.is_complete)
        return self.current

    def drop(self) -> None:
        """Switch the cluster off: the next test gets a new one."""
        if self.current is not None:
            self.current.rack.stop()
            self.current = None

    def save_logs(self, test: str) -> pathlib.Path | None:
        """Keep what tells a failure's cause; returns where."""
        if self.current is None:
            return None
        folder = self._folder / re.sub(r"[^\w.]+", "-", test).strip("-")
        self.current.save_logs(folder)
        return folder


_clusters = pytest.StashKey[Clusters]()


@pytest.fixture(scope="session")
def clusters(request: pytest.FixtureRequest) -> Iterator[Clusters]:
    """The clusters, on disks that are gone with them."""
    folder = pathlib.Path(os.environ[FOLDER])
    call("mount", "-t", "tmpfs", "tmpfs", str(folder / "disks"))
    make_network()
    found = request.config.stash[_clusters] = Clusters(folder)
    yield found
    found.drop()


@pytest.fixture(params=["soap", "rest"])
def api(request: pytest.FixtureRequest) -> str:
    """The API that the device uses. A service account is but another login, tested without one."""
    return str(request.param)


@pytest.fixture
def two(clusters: Clusters) -> Cluster:
    """Two nodes."""
    return clusters.get(2)


@pytest.fixture
def three(clusters: Clusters) -> Cluster:
    """Three nodes."""
    return clusters.get(3)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    """Keep the logs of a test that fails, say where, and trust its cluster no more."""
    outcome = yield
    report = outcome.get_result()
    clusters = item.config.stash.get(_clusters, None)
    if report.failed and clusters is not None:
        folder = clusters.save_logs(item.name)
        clusters.drop()
        if folder is not None:
            report.longrepr.addsection("Logs of the nodes, and what happened to them", str(folder))
