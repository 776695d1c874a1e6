# SPDX-License-Identifier: GPL-2.0-or-later
"""The Debian package, built and used on a copy of this machine, without a network."""

from __future__ import annotations

import pathlib
import subprocess

import pytest

from fencing import RELEASE_VERSION
from tests.harness import REPOSITORY, Agent, Backend, missing_for_debian, need
from tests.packaging.throw_away_root import ThrowAwayRoot

AGENT = "/usr/sbin/fence_ovh"
MANUAL = "/usr/share/man/man8/fence_ovh.8.gz"
ASIDE = "/usr/share/fence-ovh/distrib"
"""Where other packages' files of those names wait."""

# How 1.0.0 and 2.0.0 diverted: among the agents.
OLD_PREINST = f"""\
#!/bin/sh
set -e
for file in {AGENT} {MANUAL}; do
    dpkg-divert --package fence-ovh --add --rename \\
        --divert "$(echo "$file" | sed 's|/fence_ovh|&.distrib|')" "$file"
done
"""


def agents_of_that_name(root: ThrowAwayRoot) -> list[str]:
    """What cluster software would offer."""
    return root.run("sh", "-c", "ls /usr/sbin/fence_ovh*").split()


def other_is_whole(root: ThrowAwayRoot, there: bool = True) -> None:
    """The other package, if it is there, has its files back, and nothing is diverted."""
    if there:
        assert root.path(AGENT).read_text() == "other\n"
        assert root.run("dpkg", "--verify", "other-agents") == ""
    assert "fence_ovh" not in root.run("dpkg-divert", "--list")


def make_it_old(root: ThrowAwayRoot, there: bool) -> None:
    """Leave what `make install` of 2.0.0 did: it diverted only what was there."""
    for file in (AGENT, MANUAL):
        root.run("dpkg-divert", "--local", "--no-rename", "--remove", file)
        if there:
            old = file.replace("/fence_ovh", "/fence_ovh.distrib")
            root.run("mv", f"{ASIDE}/{file.rpartition('/')[2]}", old)
            root.run("dpkg-divert", "--local", "--no-rename", "--divert", old, "--add", file)
    root.run("rmdir", ASIDE)


def remade(package: pathlib.Path, folder: pathlib.Path, version: str, preinst: str = "") -> str:
    """The same package with another version, perhaps with another preinst."""
    content, built = folder / version, folder / f"{version}.deb"
    subprocess.run(["dpkg-deb", "--raw-extract", package, content], check=True)
    control = content / "DEBIAN" / "control"
    control.write_text(
        control.read_text().replace(f"Version: {RELEASE_VERSION}", f"Version: {version}")
    )
    if preinst:
        (content / "DEBIAN" / "preinst").write_text(preinst)
    command = ["dpkg-deb", "--root-owner-group", "--build", content, built]
    subprocess.run(command, check=True, capture_output=True)
    return str(built)


def test_lintian_has_nothing_to_say(deb: pathlib.Path) -> None:
    need("lintian")
    command = ["lintian", "--fail-on", "error,warning", deb]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("", 0)


def test_names_no_address(deb: pathlib.Path) -> None:
    """The project has none: a mail to one that somebody made up goes nowhere."""
    shown = subprocess.run(["dpkg-deb", "--field", deb], check=True, capture_output=True, text=True)
    assert "\nMaintainer: the fence_ovh authors\n" in shown.stdout
    assert "@" not in shown.stdout
    assert "@" not in (REPOSITORY / "debian" / "changelog").read_text("utf-8")


def test_comes_fences_is_upgraded_and_goes(
    root: ThrowAwayRoot, deb: pathlib.Path, ovh: Backend, our_agent: Agent, tmp_path: pathlib.Path
) -> None:
    need("man")
    if missing := missing_for_debian(ovh.module):
        pytest.skip(missing)
    agent = Agent(root.inside(AGENT))
    for package in (str(deb), remade(deb, tmp_path, "999")):
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
    alone: ThrowAwayRoot, deb: pathlib.Path, other_package: str
) -> None:
    alone.run("dpkg", "--install", str(deb))
    alone.run("dpkg", "--install", other_package)
    assert agents_of_that_name(alone) == [AGENT]
    assert alone.run("fence_ovh", "-V").strip() == RELEASE_VERSION
    alone.run("dpkg", "--purge", "fence-ovh")
    other_is_whole(alone)


def test_the_other_agent_is_where_nobody_looks_for_agents(
    root: ThrowAwayRoot, deb: pathlib.Path, there: bool
) -> None:
    root.run("dpkg", "--install", str(deb))
    assert agents_of_that_name(root) == [AGENT]
    if there:
        assert root.path(f"{ASIDE}/fence_ovh").read_text() == "other\n"
        assert root.run("zcat", f"{ASIDE}/fence_ovh.8.gz") == "other\n"


# Up to 2.0.0 it was /usr/sbin/fence_ovh.distrib


@pytest.mark.parametrize("cut_short", [False, True], ids=["once", "cut short"])
def test_an_upgrade_moves_the_other_agent_away(
    root: ThrowAwayRoot, deb: pathlib.Path, tmp_path: pathlib.Path, there: bool, cut_short: bool
) -> None:
    before = root.changes()
    root.run("dpkg", "--install", remade(deb, tmp_path, "1.0.0", OLD_PREINST))
    assert root.path(f"{AGENT}.distrib").exists() == there
    if cut_short:  # The machine stopped when the old diversion was gone, and no new one there.
        root.run("mkdir", "-p", ASIDE)
        if there:
            root.run("mv", f"{AGENT}.distrib", f"{ASIDE}/fence_ovh")
        root.run("dpkg-divert", "--package", "fence-ovh", "--no-rename", "--remove", AGENT)
    root.run("dpkg", "--install", str(deb))
    assert agents_of_that_name(root) == [AGENT]
    assert root.path(f"{ASIDE}/fence_ovh").exists() == there
    assert root.path(f"{ASIDE}/fence_ovh.8.gz").exists() == there
    assert root.run("fence_ovh", "-V").strip() == RELEASE_VERSION
    assert root.run("dpkg", "--verify", "fence-ovh") == ""
    root.run("dpkg", "--purge", "fence-ovh")
    assert root.changes() == before
    other_is_whole(root, there)


@pytest.mark.parametrize("cut_short", [False, True], ids=["once", "cut short"])
def test_make_install_moves_the_other_agent_away(
    root: ThrowAwayRoot, there: bool, cut_short: bool
) -> None:
    need("make")
    before = root.changes()
    root.run("make", "-s", "install")
    make_it_old(root, there)
    if there and cut_short:
        root.run("mkdir", "-p", ASIDE)
        root.run("mv", f"{AGENT}.distrib", f"{ASIDE}/fence_ovh")
        root.run("dpkg-divert", "--local", "--no-rename", "--remove", AGENT)
    root.run("make", "-s", "install")
    assert agents_of_that_name(root) == [AGENT]
    assert root.path(f"{ASIDE}/fence_ovh").exists() == there
    assert root.path(f"{ASIDE}/fence_ovh.8.gz").exists() == there
    assert root.run("fence_ovh", "-V").strip() == RELEASE_VERSION
    root.run("make", "-s", "uninstall")
    assert root.changes() == before
    other_is_whole(root, there)


def test_make_uninstall_brings_back_what_an_older_make_install_moved(
    root: ThrowAwayRoot, there: bool
) -> None:
    need("make")
    before = root.changes()
    root.run("make", "-s", "install")
    make_it_old(root, there)
    root.run("make", "-s", "uninstall")
    assert root.changes() == before
    other_is_whole(root, there)


# `make install` and packages


def test_a_package_that_comes_later_leaves_make_install_alone(
    alone: ThrowAwayRoot, other_package: str
) -> None:
    """It would bring an agent that never succeeds, and nobody would notice."""
    need("make")
    alone.run("make", "-s", "install")
    alone.run("dpkg", "--install", other_package)
    assert agents_of_that_name(alone) == [AGENT]
    assert alone.run("fence_ovh", "-V").strip() == RELEASE_VERSION
    alone.run("make", "-s", "uninstall")
    other_is_whole(alone)


@pytest.mark.parametrize("old", [False, True], ids=["now", "2.0.0"])
def test_the_package_refuses_make_install(
    root: ThrowAwayRoot, deb: pathlib.Path, there: bool, old: bool
) -> None:
    """Otherwise a purge would bring back a launcher without its modules."""
    need("make")
    before = root.changes()
    root.run("make", "-s", "install")
    if old:
        make_it_old(root, there)
    installed = root.changes()
    assert '"make uninstall"' in root.run("dpkg", "--install", str(deb), status=1)
    assert root.run("dpkg", "--audit") == ""
    assert root.changes() == installed
    assert root.run("fence_ovh", "-V").strip() == RELEASE_VERSION
    root.run("make", "-s", "uninstall")
    assert root.changes() == before
    root.run("dpkg", "--install", str(deb))
    root.run("dpkg", "--purge", "fence-ovh")
    assert root.changes() == before
    other_is_whole(root, there)


def test_make_refuses_the_package(root: ThrowAwayRoot, deb: pathlib.Path) -> None:
    need("make")
    root.run("dpkg", "--install", str(deb))
    for target in ("install", "uninstall"):
        assert "first apt remove fence-ovh" in root.run("make", "-s", target, status=2)
    assert root.run("dpkg", "--verify", "fence-ovh") == ""


# What Python writes


def test_no_compiled_module_is_left_by_the_package(root: ThrowAwayRoot, deb: pathlib.Path) -> None:
    """Not even by a monitor that runs when dpkg has just removed those that there were."""
    root.run("dpkg", "--install", str(deb))
    prerm = root.path("/var/lib/dpkg/info/fence-ovh.prerm")
    prerm.write_text(prerm.read_text() + "fence_ovh -o metadata >/dev/null\n")
    root.run("dpkg", "--purge", "fence-ovh")
    assert root.changes() == []


def test_no_compiled_module_is_left_by_make(root: ThrowAwayRoot) -> None:
    """Nor what a Python wrote that came later, or was killed while it wrote."""
    need("make")
    root.run("make", "-s", "install")
    compiled = root.path("/usr/share/fence-ovh/__pycache__")
    for name in ("fencing.cpython-39.pyc", "fencing.cpython-39.opt-1.pyc", "fencing.pyc.1400"):
        (compiled / name).touch()
    root.run("make", "-s", "uninstall")
    assert root.changes() == []
