# SPDX-License-Identifier: GPL-2.0-or-later
"""CONTRIBUTING.md: its map is true, and a run of the tests shows what it says."""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys

import pytest

from tests.documents import documents
from tests.harness import REPOSITORY

PAGE = REPOSITORY / "CONTRIBUTING.md"

SKIPPED = """\
import pytest

@pytest.mark.parametrize("number", range(7))
def test_of_the_rack(number):
    pytest.skip("no rack here")

@pytest.mark.skip(reason="no key of it")
def test_of_the_door():
    pass

def test_that_runs():
    pass
"""


def rows(heading: str) -> list[str]:
    """The first cells of a section's table."""
    lines = documents.section(PAGE, heading).splitlines()
    return [line.split(" | ")[0] for line in lines if line.startswith("| `")]


def test_the_map_names_what_there_is() -> None:
    text = documents.section(PAGE, "The map")
    named = {name.rstrip("/") for row in rows("The map") for name in re.findall("`(.+?)`", row)}
    assert [name for name in named if not (REPOSITORY / name).exists()] == []
    done = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("no repository: nothing says which folders are part of it")
    files = [pathlib.PurePath(line) for line in done.stdout.splitlines()]
    tests = {f"tests/{file.parts[1]}" for file in files if file.match("tests/*/*")}
    folders = tests | {file.parts[0] for file in files if len(file.parts) > 1} - {"tests"}
    assert [folder for folder in folders if f"`{folder}/`" not in text] == []


def test_the_map_has_every_section_of_the_agent() -> None:
    sections = re.findall(r"^# (\d+)\. ", (REPOSITORY / "fence_ovh").read_text("utf-8"), re.M)
    named: list[int] = []
    for row in rows("The map"):
        if row.startswith("| `fence_ovh` "):
            numbers = [int(number) for number in re.findall(r"\d+", row)]
            named += range(numbers[0], numbers[-1] + 1) if " to " in row else numbers
    assert named == [int(number) for number in sections]


def test_every_command_is_there_and_has_a_time() -> None:
    makefile = (REPOSITORY / "Makefile").read_text("utf-8")
    lines = documents.section(PAGE, "What to run").splitlines()
    found = [line.strip("| ").split(" | ") for line in lines if line.startswith("| `make ")]
    assert len(found) > 8
    for command, _, time in found:
        assert re.search(rf"^{command.strip('`').split()[1]}:", makefile, re.M), command
        assert re.search("second|minute|hour", time), command


@pytest.mark.parametrize("workers", ["0", "2"])
def test_skips_are_a_count_for_each_reason(workers: str, tmp_path: pathlib.Path) -> None:
    """With one process and, as `make check` does, with several."""
    (tmp_path / "test_skipped.py").write_text(SKIPPED)
    ours = ["-c", f"{REPOSITORY}/pyproject.toml", "-p", "tests.conftest", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *ours, "-n", workers, str(tmp_path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    _, _, summary = done.stdout.partition(" 8 skipped, by reason ")
    assert re.findall(r"^ +(\d+)  (.+)$", summary, re.M) == [
        ("7", "no rack here"),
        ("1", "no key of it"),
    ]
    assert done.stdout.count("no rack here") == 1
