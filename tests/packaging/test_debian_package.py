# SPDX-License-Identifier: GPL-2.0-or-later
"""The Debian package, built and used on a copy of this machine, without a network."""

from __future__ import annotations

import pathlib
import subprocess

import pytest

from fencing import RELEASE_VERSION
from tests.harness import Agent, Backend, missing_for_debian, need
from tests.packaging.throw_away_root import ThrowAwayRoot

AGENT = "/usr/sbin/fence_ovh"
MANUAL = "/usr/share/man/man8/fence_ovh.8.gz"

# fence-agents on Debian 12, fence-agents-ovh on Debian 13.
PURGE_OWNERS = f"""
dpkg-query --search {AGENT} {MANUAL} | cut -d: -f1 | sort -u |
    xargs --no-run-if-empty dpkg --purge --force-depends
"""

# Stands for it: another package with files of the same names.
OTHER_PACKAGE = """
set -e
mkdir -p "$1/DEBIAN" "$1/usr/sbin" "$1/usr/share/man/man8"
printf '%s\\n' 'Package: other-agents' 'Version: 1' 'Architecture: all' \
    'Maintainer: nobody <nobody@example.com>' 'Description: other' >"$1/DEBIAN/control"
echo other >"$1/usr/sbin/fence_ovh"
echo other | gzip >"$1/usr/share/man/man8/fence_ovh.8.gz"
dpkg-deb --build "$1" "$1.deb" >/dev/null
"""


def newer(package: pathlib.Path, folder: pathlib.Path) -> str:
    """The same package with a higher version."""
    subprocess.run(["dpkg-deb", "--raw-extract", package, folder / "newer"], check=True)
    control = folder / "newer" / "DEBIAN" / "control"
    control.write_text(control.read_text().replace(f"Version: {RELEASE_VERSION}", "Version: 999"))
    built = folder / "newer.deb"
    command = ["dpkg-deb", "--root-owner-group", "--build", folder / "newer", built]
    subprocess.run(command, check=True, capture_output=True)
    return str(built)


def test_lintian_has_nothing_to_say(deb: pathlib.Path) -> None:
    need("lintian")
    command = ["lintian", "--fail-on", "error,warning", deb]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("", 0)


def test_comes_fences_is_upgraded_and_goes(
    root: ThrowAwayRoot, deb: pathlib.Path, ovh: Backend, our_agent: Agent, tmp_path: pathlib.Path
) -> None:
    need("man")
    if missing := missing_for_debian(ovh.module):
        pytest.skip(missing)
    agent = Agent(root.inside(AGENT))
    for package in (str(deb), newer(deb, tmp_path)):
        root.run("dpkg", "--install", package)
        assert agent.run({"action": "metadata"}) == our_agent.run({"action": "metadata"})
        assert root.run("fence_ovh", "-V").strip() == RELEASE_VERSION
        assert root.run("man", "-w", "fence_ovh").strip() == MANUAL
        assert agent.run(ovh.options("monitor")).status == 0
        assert agent.run(ovh.options("off")).status == 0
    assert ovh.cuts() == ["rescue12-customer"] * 2
    assert root.run("dpkg-query", "--show", "--showformat=${Version}", "fence-ovh") == "999"
    root.run("dpkg", "--remove", "fence-ovh")
    root.run("dpkg", "--purge", "fence-ovh")
    assert root.changes() == []


def test_its_modules_are_compiled(root: ThrowAwayRoot, deb: pathlib.Path) -> None:
    root.run("dpkg", "--install", str(deb))
    for module in ("fence_ovh", "fencing"):
        assert list(root.path("/usr/share/fence-ovh/__pycache__").glob(f"{module}.*.pyc"))


def test_another_package_with_the_same_files_may_come_later(
    root: ThrowAwayRoot, deb: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    subprocess.run(["sh", "-c", OTHER_PACKAGE, "sh", str(tmp_path / "other")], check=True)
    root.run("sh", "-c", PURGE_OWNERS)
    root.run("dpkg", "--install", str(deb))
    root.run("dpkg", "--install", str(tmp_path / "other.deb"))
    assert root.run("fence_ovh", "-V").strip() == RELEASE_VERSION
    root.run("dpkg", "--purge", "fence-ovh")
    assert root.path(AGENT).read_text() == "other\n"
    assert root.run("zcat", MANUAL) == "other\n"
    assert root.run("dpkg", "--verify", "other-agents") == ""


def test_make_install_and_the_package_do_not_mix(root: ThrowAwayRoot, deb: pathlib.Path) -> None:
    """Whichever comes second fails, and breaks nothing."""
    need("man", pathlib.Path("/usr/sbin/fence_ack_manual"))
    root.run("make", "-s", "install")
    assert "clashes with 'local diversion" in root.run("dpkg", "--install", str(deb), status=1)
    assert root.run("dpkg", "--audit") == ""
    assert root.run("fence_ovh", "-V").strip() == RELEASE_VERSION
    root.run("make", "-s", "uninstall")
    assert root.changes() == []
    root.run("dpkg", "--install", str(deb))
    for target in ("install", "uninstall"):
        assert "first apt remove fence-ovh" in root.run("make", "-s", target, status=2)
    assert root.run("dpkg", "--verify", "fence-ovh") == ""
