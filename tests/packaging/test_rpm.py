# SPDX-License-Identifier: GPL-2.0-or-later
"""The package for the Red Hat family, built and used in a root that rpm finds empty.

That root has this machine's /usr, so scriptlets run. rpm knows of no package in there: what this one
requires is looked at by itself.
"""

from __future__ import annotations

import pathlib
import subprocess

import pytest

from fencing import RELEASE_VERSION
from tests import harness
from tests.conftest import MakeOnce
from tests.harness import Agent, Backend, missing_for_debian, need
from tests.packaging.throw_away_root import ThrowAwayRoot

AGENT = "/usr/sbin/fence_ovh"
MODULES = "/usr/share/fence-ovh"

ROOT = "/opt/root"
MAKE_ROOT = f"""
set -e
mkdir -p {ROOT}/usr /usr/share/licenses # a folder of every such system
mount --bind /usr {ROOT}/usr
for folder in bin lib lib64 sbin; do ln -s "usr/$folder" "{ROOT}/$folder"; done
"""

# The distribution's package, by its name alone.
OTHER_SPEC = """
Name: fence-agents-ovh
Version: 1
Release: 1
Summary: other
License: none
BuildArch: noarch
%description
%files
"""


@pytest.fixture
def rpms(made_once: MakeOnce) -> pathlib.Path:
    """A folder with the package, as `make rpm` builds it, a newer one, and the distribution's."""
    need("make", "rpm", "rpmbuild")

    def build(folder: pathlib.Path) -> None:
        sources = folder / "sources"
        harness.copy_sources(sources)
        environment = {"HOME": str(folder), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}

        def call(*command: str) -> None:
            subprocess.run(
                harness.offline(*command), env=environment, check=True, capture_output=True
            )

        for version in (RELEASE_VERSION, "999"):
            call("make", "-s", "-C", str(sources), "rpm", f"VERSION={version}")
            next((sources / "dist").glob("*.rpm")).rename(folder / f"{version}.rpm")
        assert {path.name for path in folder.iterdir()} == {
            "sources",
            f"{RELEASE_VERSION}.rpm",
            "999.rpm",
        }
        (folder / "other.spec").write_text(OTHER_SPEC)
        call("rpmbuild", "-bb", "--define", f"_topdir {folder}/other", f"{folder}/other.spec")
        next(folder.glob("other/RPMS/noarch/*.rpm")).rename(folder / "other.rpm")

    return made_once("rpms", build)


@pytest.fixture
def ours(rpms: pathlib.Path) -> str:
    """The package."""
    return str(rpms / f"{RELEASE_VERSION}.rpm")


@pytest.fixture
def machine(alone: ThrowAwayRoot) -> ThrowAwayRoot:
    """A machine without another agent of the same name, and a root for rpm."""
    alone.run("sh", "-c", MAKE_ROOT)
    return alone


def rpm(machine: ThrowAwayRoot, *arguments: str, status: int = 0) -> str:
    """What rpm prints; if it should fail, what it complains about."""
    return machine.run("rpm", "--root", ROOT, *arguments, status=status)


def query(package: str, *arguments: str) -> set[str]:
    """What a package says of itself, in lines."""
    command = ["rpm", "--query", "--package", package, *arguments]
    shown = subprocess.run(command, env={"HOME": "/nonexistent"}, check=True, capture_output=True)
    return {line for line in shown.stdout.decode().splitlines() if "rpmlib(" not in line}


def test_files(ours: str) -> None:
    files = query(ours, "--list")
    documents = {file for file in files if file.startswith(("/usr/share/doc/", "/usr/share/lic"))}
    assert {file.removesuffix(".gz") for file in files - documents} == {
        AGENT,
        MODULES,
        f"{MODULES}/fence_ovh.py",
        f"{MODULES}/fencing.py",
        "/usr/share/bash-completion/completions/fence_ovh",
        "/usr/share/man/man8/fence_ovh.8",
    }
    names = {pathlib.Path(file).name for file in documents}
    assert {"LICENSE", "README.md", "safety.md", "debugging.md", "examples"} <= names


def test_what_it_needs(ours: str) -> None:
    """Python 3.9 is what RHEL 9 has."""
    assert query(ours, "--requires") == {"/bin/sh", "/usr/bin/python3", "python3 >= 3.9"}
    assert query(ours, "--recommends") == {"python3-suds", "python3-pexpect"}
    assert query(ours, "--suggests") == {"openssh-clients"}
    assert query(ours, "--conflicts") == {"fence-agents-ovh"}


def test_says_what_it_is(ours: str) -> None:
    fields = "%{NAME} %{VERSION} %{ARCH} %{LICENSE}"
    assert query(ours, "--queryformat", fields) == {
        f"fence-ovh {RELEASE_VERSION} noarch GPL-2.0-or-later"
    }
    # No address: the project has none.
    assert query(ours, "--queryformat", "%{URL} %{PACKAGER}") == {"(none) (none)"}


def test_comes_fences_is_upgraded_and_goes(
    machine: ThrowAwayRoot, rpms: pathlib.Path, ovh: Backend, our_agent: Agent
) -> None:
    if missing := missing_for_debian(ovh.module):
        pytest.skip(missing)
    before = machine.changes()
    agent = Agent(machine.inside(AGENT))
    for version, how in ((RELEASE_VERSION, "--install"), ("999", "--upgrade")):
        rpm(machine, "--nodeps", how, str(rpms / f"{version}.rpm"))
        assert rpm(machine, "--query", "--all").startswith(f"fence-ovh-{version}-1")
        assert rpm(machine, "--verify", "--nodeps", "fence-ovh") == ""
        for module in ("fence_ovh", "fencing"):
            assert list(machine.path(f"{MODULES}/__pycache__").glob(f"{module}.*.pyc"))
        assert agent.run({"action": "metadata"}) == our_agent.run({"action": "metadata"})
        assert agent.run(ovh.options("monitor")).status == 0
        assert agent.run(ovh.options("off")).status == 0
    assert ovh.cuts() == ["rescue12-customer"] * 2
    (machine.path(MODULES) / "__pycache__" / "fencing.cpython-39.pyc").touch()
    rpm(machine, "--erase", "fence-ovh")
    assert without_root(machine.changes()) == without_root(before)


def without_root(changes: list[str]) -> list[str]:
    """Changes, without rpm's database and the rest of that root."""
    return [path for path in changes if not path.startswith(ROOT)]


def test_conflicts_with_the_distributions(
    machine: ThrowAwayRoot, rpms: pathlib.Path, ours: str
) -> None:
    rpm(machine, "--nodeps", "--install", ours)
    said = rpm(machine, "--install", str(rpms / "other.rpm"), status=1)
    assert "fence-agents-ovh conflicts with" in said


def test_refuses_make_install(machine: ThrowAwayRoot, ours: str) -> None:
    machine.run("make", "-s", "install")
    installed = machine.changes()
    assert '"make uninstall"' in rpm(machine, "--nodeps", "--install", ours, status=1)
    assert without_root(machine.changes()) == without_root(installed)
    assert machine.run("fence_ovh", "-V").strip() == RELEASE_VERSION
    machine.run("make", "-s", "uninstall")
    rpm(machine, "--nodeps", "--install", ours)
    assert machine.run("fence_ovh", "-V").strip() == RELEASE_VERSION


def test_make_refuses_the_package(alone: ThrowAwayRoot, ours: str) -> None:
    """Where dpkg is not at home. Any package's agent there would be overwritten for ever."""
    alone.run("sh", "-c", "rm /usr/bin/dpkg*")
    alone.run("rpm", "--nodeps", "--install", ours)
    for target in ("install", "uninstall"):
        said = alone.run("make", "-s", target, status=2)
        assert f"first dnf remove fence-ovh-{RELEASE_VERSION}" in said
    assert alone.run("rpm", "--verify", "--nodeps", "fence-ovh") == ""
    alone.run("rpm", "--erase", "fence-ovh")
    alone.run("make", "-s", "install")
    assert alone.run("fence_ovh", "-V").strip() == RELEASE_VERSION
    alone.run("make", "-s", "uninstall")
    assert not alone.path(AGENT).exists()
    assert not alone.path(MODULES).exists()
