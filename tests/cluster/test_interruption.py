# SPDX-License-Identifier: GPL-2.0-or-later
"""What an interrupted run leaves on the machine: nothing."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys

import pytest

from tests import harness
from tests.cluster.nodes import call, wait_until

ENDS = {
    "Ctrl-C": lambda run: os.killpg(run.pid, signal.SIGINT),
    "kill": lambda run: run.terminate(),
    "kill -9": lambda run: run.kill(),
}


def programs() -> list[str]:
    """What runs, in all namespaces below this one."""
    return [name for name in map(program, pathlib.Path("/proc").glob("[0-9]*")) if name]


def program(process: pathlib.Path) -> str:
    """The name of a process's program; empty for a dead one."""
    try:
        name, state = (process / "stat").read_text().partition("(")[2].rpartition(")")[::2]
    except OSError:
        return ""
    return "" if state.split()[0] == "Z" else name


def traces() -> list[object]:
    """What a run could change."""
    return [
        sorted(programs()),
        pathlib.Path("/proc/self/mounts").read_text(),
        call("ip", "-brief", "link"),
        call("ip", "netns"),
        call("iptables", "-S"),
    ]


@pytest.mark.parametrize("end", ENDS)
def test_interrupted_run_leaves_nothing(end: str, tmp_path: pathlib.Path) -> None:
    before = traces()
    with subprocess.Popen(
        [sys.executable, "-m", "tests.cluster", "-k", "link_down"],
        cwd=harness.REPOSITORY,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
        # Whoever started the tests may have had them ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as run:
        wait_until("the nodes", lambda: programs().count("pacemaker-contr") == 2)
        ENDS[end](run)
    assert run.returncode != 0
    wait_until("the end of all that it started", lambda: traces() == before)
    left = [path for path in tmp_path.rglob("*") if not path.is_dir()]
    assert not left
    assert end == "kill -9" or not list(tmp_path.iterdir())
