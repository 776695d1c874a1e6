# SPDX-License-Identifier: GPL-2.0-or-later
"""Wheel and sdist, installed with pip into virtual environments, without a network."""

from __future__ import annotations

import email.message
import pathlib
import subprocess
import sys
import tarfile
import time
import zipfile

import pytest

from fencing import RELEASE_VERSION
from tests import harness
from tests.conftest import MakeOnce
from tests.harness import REPOSITORY, Agent, Backend, need


def test_the_wheel_has_only_what_is_used(wheel: pathlib.Path) -> None:
    """Above all no module `fencing`: it would hide the one of all other agents."""
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    data = f"fence_ovh-{RELEASE_VERSION}.data"
    assert names == {
        f"{data}/scripts/fence_ovh",
        f"{data}/data/share/fence-ovh/fencing.py",
        f"{data}/data/share/man/man8/fence_ovh.8",
    }


def metadata(wheel: pathlib.Path) -> email.message.Message:
    """What an index shows of it."""
    name = f"fence_ovh-{RELEASE_VERSION}.dist-info/METADATA"
    return email.message_from_bytes(zipfile.ZipFile(wheel).read(name))


def test_metadata(wheel: pathlib.Path) -> None:
    shown = metadata(wheel)
    assert (shown["Name"].replace("-", "_"), shown["Version"]) == ("fence_ovh", RELEASE_VERSION)
    assert shown["Requires-Python"] == ">=3.9"
    assert "GPL-2.0-or-later" in (shown["License"], shown["License-Expression"])
    assert shown["Summary"] == "Fence agent for clusters on OVH dedicated servers"
    assert shown["Description-Content-Type"] == "text/markdown"
    assert str(shown.get_payload()).startswith("# fence_ovh\n")
    assert set(shown.get_all("Provides-Extra", [])) == {"test"}
    for field in ("Author", "Keywords", "Classifier", "Project-URL", "License-File"):
        assert shown[field], field


def test_an_index_would_take_it(wheel: pathlib.Path) -> None:
    """By the index's own client, where that is installed."""
    pytest.importorskip("twine", reason="twine is not installed")
    pytest.importorskip("readme_renderer.markdown", reason="readme_renderer is not installed")
    command = [sys.executable, "-m", "twine", "check", "--strict", str(wheel)]
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture(params=["wheel", "sdist"])
def environment(
    request: pytest.FixtureRequest, made_once: MakeOnce, wheels: pathlib.Path
) -> pathlib.Path:
    """A virtual environment with the agent and what it needs."""
    package = str(request.getfixturevalue(request.param))

    def install(folder: pathlib.Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        harness.pip(wheels, "--python", str(folder / "bin" / "python"), "install", package)

    return made_once(f"environment-{request.param}", install)


def test_in_a_virtual_environment(
    environment: pathlib.Path, our_agent: Agent, ovh: Backend
) -> None:
    installed = Agent([str(environment / "bin" / "fence_ovh")])
    for action in ("metadata", "manpage"):
        assert installed.run({"action": action}) == our_agent.run({"action": action})
    assert installed.run(None, "-V").stdout.strip() == RELEASE_VERSION
    result = installed.run(ovh.options("monitor"))
    assert (result.status, result.stderr) == (0, "")


def test_the_manual_page_is_found(environment: pathlib.Path) -> None:
    """By man itself, for a program in the path."""
    need("man")
    path = {"PATH": f"{environment / 'bin'}:/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    command = ["man", "--where", "fence_ovh"]
    found = subprocess.run(command, env=path, check=True, capture_output=True, text=True).stdout
    assert found.strip() == str(environment / "share" / "man" / "man8" / "fence_ovh.8")
    shown = subprocess.run(["man", "-l", found.strip()], env=path, check=True, capture_output=True)
    assert b"WHAT STATUS CANNOT KNOW" in shown.stdout


def test_no_module_is_in_the_way_of_others(environment: pathlib.Path) -> None:
    command = [environment / "bin" / "python", "-c", "import fencing"]
    done = subprocess.run(command, cwd="/", check=False, capture_output=True, text=True)
    assert "No module named 'fencing'" in done.stderr


# The sdist


def test_the_sdist_has_every_file_of_the_repository(sdist: pathlib.Path) -> None:
    command = ["git", "-C", str(REPOSITORY), "ls-tree", "-r", "-z", "--name-only", "HEAD"]
    files = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    with tarfile.open(sdist) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    assert set(files.split("\0")) <= packed


def test_the_sdist_is_the_same_bytes_again(sdist: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Made at another time, in another folder, by a user with another umask."""
    first = sdist.stat().st_mtime
    while int(time.time()) == int(first):
        time.sleep(0.05)
    harness.make_sdist(tmp_path, umask=0o077)
    again = next(tmp_path.glob("*/dist/*.tar.gz"))
    assert again.read_bytes() == sdist.read_bytes()
    with tarfile.open(again) as archive:
        shown = {(each.uid, each.gid, each.mtime, each.mode) for each in archive if each.isfile()}
    assert len(shown) == 2  # Only one bit differs: whether it is a program.
