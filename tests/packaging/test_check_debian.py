# SPDX-License-Identifier: GPL-2.0-or-later
"""`make check-debian` where it cannot run."""

from __future__ import annotations

import os
import subprocess
import sys

from tests import harness


def test_says_what_is_missing() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "tests.debian"],
        cwd=harness.REPOSITORY,
        env={"PATH": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (1, "")
    assert ("debootstrap" if os.geteuid() == 0 else "root") in result.stdout
