# SPDX-License-Identifier: GPL-2.0-or-later
"""Installing, in each way that the README has, with its commands as they stand there."""

from __future__ import annotations

import pathlib
import re
import sys
import textwrap

import pytest

from fencing import RELEASE_VERSION
from tests import harness
from tests.documents import documents
from tests.harness import DEBIAN_PYTHON, REPOSITORY, Agent, Backend, RestBackend, need
from tests.packaging.throw_away_root import ThrowAwayRoot

README = REPOSITORY / "README.md"


def indented(text: str) -> list[str]:
    """The indented blocks of a text."""
    return [textwrap.dedent(block) for block in re.findall(r"(?:^    .+\n)+", text, re.M)]


def blocks() -> list[str]:
    """Those that install it."""
    sections = ("Install", "Other ways to install")
    return [block for name in sections for block in indented(documents.section(README, name))]


DEBIAN_PACKAGES = pathlib.Path("/usr/lib/python3/dist-packages")

WAYS = {
    "make install": "/usr/sbin/fence_ovh",
    "make deb": "/usr/sbin/fence_ovh",
    "-m venv": "/opt/fence_ovh/bin/fence_ovh",
    "cp fence_ovh": "/usr/sbin/fence_ovh",
}
"""Where each way puts the agent."""

RPM = "make rpm"

# Names are packages that are there; files are rpm's work. It knows of none of Debian's packages.
DNF = """\
#!/bin/sh
for each; do
    case $each in ./*) rpm --install --nodeps "$each" ;; esac
done
"""


def test_every_block_is_known() -> None:
    assert [block for block in blocks() if sum(way in block for way in (*WAYS, RPM)) != 1] == []


@pytest.fixture
def machine(root: ThrowAwayRoot, wheels: pathlib.Path, tmp_path: pathlib.Path) -> ThrowAwayRoot:
    """A machine with the sources, where nothing newer can be had than what is installed."""
    need("apt", "dpkg-buildpackage", "dh", "dh_python3", "make", pathlib.Path("/usr/bin/pip"))
    need(DEBIAN_PACKAGES / "suds")
    version = f"Python {sys.version.split()[0]}"
    if root.run(DEBIAN_PYTHON, "-V").split(".")[:2] != version.split(".")[:2]:
        pytest.skip(f"the wheels of {version} are not for {DEBIAN_PYTHON}")
    root.run("find", "/var/lib/apt/lists", "-type", "f", "-delete")
    harness.copy_sources(tmp_path / "sources")
    return root


def do(machine: ThrowAwayRoot, block: str, folder: pathlib.Path, wheels: pathlib.Path) -> None:
    """Run what a block says."""
    script = f"cd '{folder}/sources'\n{block}"
    machine.run("sh", "-ec", script, env=harness.pip_settings(wheels))


def monitor(agent: Agent, ovh: Backend) -> None:
    """A monitor works."""
    with ovh.simulator:
        result = agent.run(ovh.options("monitor"))
    assert (result.status, result.stderr) == (0, "")


@pytest.mark.parametrize("way", WAYS)
def test_install(
    machine: ThrowAwayRoot, way: str, wheels: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    do(machine, next(block for block in blocks() if way in block), tmp_path, wheels)
    program = WAYS[way]
    assert machine.run(program, "-V").strip() == RELEASE_VERSION
    for backend in harness.BACKENDS:
        monitor(Agent(machine.inside(program)), backend())


def test_install_with_dnf(
    machine: ThrowAwayRoot, wheels: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    need("rpm", "rpmbuild")
    dnf = machine.path("/usr/local/bin/dnf")
    dnf.write_text(DNF)
    dnf.chmod(0o755)
    do(machine, next(block for block in blocks() if RPM in block), tmp_path, wheels)
    assert "fence-ovh" in machine.run("rpm", "--query", "--all")
    assert machine.run("fence_ovh", "-V").strip() == RELEASE_VERSION
    monitor(Agent(machine.inside("/usr/sbin/fence_ovh")), RestBackend())


def test_rest_needs_nothing_but_python(machine: ThrowAwayRoot, deb: pathlib.Path) -> None:
    """With the Debian package, as its README.Debian says."""
    for folder in ("suds", "requests", "ovh"):
        machine.run("rm", "-rf", str(DEBIAN_PACKAGES / folder))
    machine.run("dpkg", "--install", str(deb))
    monitor(Agent(machine.inside("/usr/sbin/fence_ovh")), RestBackend())
