# SPDX-License-Identifier: GPL-2.0-or-later
"""A copy of the library in the folder of all agents: each agent gets the one that it asked for."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

import fencing

FOREIGN = 'sys.path.append("{distribution}")'
OURS = 'sys.path.insert(0, "{folder}")'
BOTH = f"{OURS}\n{FOREIGN}"


class Sbin:
    """A folder with a copy of fencing.py, and another library where the distribution has its own.

    :ivar distribution: the folder of the other library
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder / "sbin"
        self.distribution = folder / "share"
        self.folder.mkdir()
        self.distribution.mkdir()
        source = pathlib.Path(fencing.__file__).read_text("utf-8")
        assert source.count('"/usr/share/fence"') == 1
        source = source.replace("/usr/share/fence", str(self.distribution))
        (self.folder / "fencing.py").write_text(source)
        (self.distribution / "fencing.py").write_text("RELEASE_VERSION = 'of the distribution'\n")

    def imports(self, preparation: str, *flags: str, path: str = "sbin/fence_it") -> str:
        """The version of the library that a program gets which begins so."""
        agent = self.folder.parent / path
        lines = preparation.format(folder=self.folder, distribution=self.distribution)
        agent.write_text(
            f"import sys\n{lines}\nimport fencing\nfrom fencing import RELEASE_VERSION\n"
            "assert fencing.RELEASE_VERSION == RELEASE_VERSION\nprint(RELEASE_VERSION)\n"
        )
        command = [sys.executable, *flags, str(agent)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def sbin(tmp_path: pathlib.Path) -> Sbin:
    return Sbin(tmp_path)


@pytest.mark.parametrize("more", ["", "find_library = print\n"])
def test_an_agent_of_the_distribution(sbin: Sbin, more: str) -> None:
    assert sbin.imports(more + FOREIGN) == "of the distribution"


@pytest.mark.parametrize("flags", [[], ["-I", "-S"]])
@pytest.mark.parametrize("preparation", [OURS, BOTH])
def test_an_agent_of_ours(sbin: Sbin, preparation: str, flags: list[str]) -> None:
    assert sbin.imports(preparation, *flags) == fencing.RELEASE_VERSION


def test_an_agent_of_ours_elsewhere(sbin: Sbin) -> None:
    assert sbin.imports(BOTH, path="fence_it") == fencing.RELEASE_VERSION


def test_a_program_that_says_nothing(sbin: Sbin) -> None:
    assert sbin.imports("") == fencing.RELEASE_VERSION


def test_without_the_distributions_library(sbin: Sbin) -> None:
    (sbin.distribution / "fencing.py").unlink()
    assert sbin.imports(FOREIGN) == fencing.RELEASE_VERSION


@pytest.mark.parametrize("name", ["fence_ovh", "fence_copy"])
def test_a_copy_of_the_agent(sbin: Sbin, name: str) -> None:
    agent = pathlib.Path(fencing.__file__).with_name("fence_ovh")
    (sbin.folder / name).write_text(agent.read_text("utf-8"))
    command = [sys.executable, str(sbin.folder / name), "-V"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == fencing.RELEASE_VERSION
