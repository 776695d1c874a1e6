# SPDX-License-Identifier: GPL-2.0-or-later
"""`make install` and `make uninstall`, into a folder of their own."""

from __future__ import annotations

import pathlib
import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from fencing import RELEASE_VERSION
from tests import harness
from tests.harness import Agent, Backend, need
from tests.packaging.throw_away_root import ThrowAwayRoot

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")

FOLDERS = ["prefix=/opt/ha", "sbindir=/opt/ha/bin/fencing"]


@pytest.fixture(params=[[], FOLDERS], ids=["usr", "other folders"])
def installed(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[Agent]:
    harness.make("install", tmp_path, *request.param)
    sbin = "opt/ha/bin/fencing" if request.param else "usr/sbin"
    yield Agent([str(tmp_path / sbin / "fence_ovh")])
    harness.make("uninstall", tmp_path, *request.param)
    assert not [path for path in tmp_path.rglob("*") if not path.is_dir()]


def test_says_the_same_of_itself(installed: Agent, our_agent: Agent) -> None:
    for action in ("metadata", "manpage"):
        expected = our_agent.run({"action": action})
        assert installed.run({"action": action}) == expected
        assert expected.status == 0


def test_is_compiled_once(installed: Agent) -> None:
    """What makes it quick: neither module is compiled at a start."""
    command = [harness.DEBIAN_PYTHON, "-S", "-v", installed.command[0], "-o", "metadata"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    for module in ("fence_ovh", "fencing"):
        cached = rf"# code object from '.*/share/fence-ovh/__pycache__/{module}\."
        assert re.search(cached, result.stderr)


def test_fences(installed: Agent, ovh: Backend) -> None:
    if missing := harness.missing_for_debian(ovh.module):
        pytest.skip(missing)
    agent = Agent(installed.command)
    assert agent.run(ovh.options("off")).status == 0
    assert ovh.cuts() == ["rescue12-customer"]
    assert agent.run(ovh.options("status")).status == 2


def test_a_copy_of_another_name(tmp_path: pathlib.Path) -> None:
    """Beside our library: that steps aside for the distribution's only where an agent is not ours."""
    need(harness.DISTRIBUTION_LIBRARY)
    for file, copy in (("fence_ovh", "fence_ovh.new"), ("fencing.py", "fencing.py")):
        shutil.copy(harness.REPOSITORY / file, tmp_path / copy)
    result = Agent([harness.DEBIAN_PYTHON, "-S", str(tmp_path / "fence_ovh.new")]).run(None, "-V")
    assert (result.status, result.stdout) == (0, f"{RELEASE_VERSION}\n")


def test_a_package_of_the_same_name_comes_back(root: ThrowAwayRoot) -> None:
    """The agent and the manual page of Debian's fence-agents give way to ours, and return."""
    need("man")
    if not harness.DISTRIBUTION_LIBRARY.exists():
        pytest.skip(f"{harness.DISTRIBUTION_LIBRARY} (package fence-agents) is missing")
    for _ in range(2):  # the second time as an upgrade
        root.run("make", "-s", "install")
        assert root.run("fence_ovh", "-V").strip() == RELEASE_VERSION
        assert root.run("man", "-w", "fence_ovh").strip() == "/usr/share/man/man8/fence_ovh.8"
    root.run("make", "-s", "uninstall")
    assert root.changes() == []
