# SPDX-License-Identifier: GPL-2.0-or-later
"""`make check-cluster` where it cannot run."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

from tests import harness


def test_says_what_is_missing(tmp_path: pathlib.Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "tests.cluster"],
        cwd=harness.REPOSITORY,
        env={"PATH": "/nonexistent", "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0
    expected = "package pacemaker" if os.geteuid() == 0 else "root"
    assert "skipped" in result.stdout
    assert expected in result.stdout
    assert not list(tmp_path.iterdir())
