# SPDX-License-Identifier: GPL-2.0-or-later
"""CONTRIBUTING.md: its map is true, and a run of the tests shows what it says."""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys

import pytest

from tests.harness import REPOSITORY

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
