"""What a process costs: CPU time, wall time, memory."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess

from tests import harness

# A process inherits the peak size of the one that starts it, so a small one does.
_LAUNCHER = """
import json, os, sys, time
begun = time.monotonic()
files = zip((1, 2), (os.devnull, sys.argv[1]))
opened = [(os.POSIX_SPAWN_OPEN, fd, path, os.O_WRONLY, 0) for fd, path in files]
process = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ, file_actions=opened)
_, status, usage = os.wait4(process, 0)
wall = time.monotonic() - begun
cpu = usage.ru_utime + usage.ru_stime
print(json.dumps([cpu, wall, usage.ru_maxrss, os.waitstatus_to_exitcode(status)]))
"""


@dataclasses.dataclass(frozen=True)
class Usage:
    """What a process cost from its start to its end.

    Attributes:
        cpu: seconds, user and system.
        wall: seconds.
        memory: KiB, the largest resident size.
        status: its exit status.
    """

    cpu: float
    wall: float
    memory: int
    status: int


def start(
    command: list[str],
    standard_input: bytes = b"",
    stderr: str = os.devnull,
    environment: dict[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a command; `finish` waits for it. `stderr` is an existing file."""
    launcher = [harness.DEBIAN_PYTHON, "-S", "-c", _LAUNCHER, stderr, *command]
    process = subprocess.Popen(
        launcher, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )
    assert process.stdin is not None
    process.stdin.write(standard_input)
    process.stdin.close()
    process.stdin = None
    return process


def finish(process: subprocess.Popen[bytes]) -> Usage:
    """Wait for its end."""
    return Usage(*json.loads(process.communicate()[0]))


def measure(command: list[str], standard_input: bytes = b"") -> Usage:
    """Run a command."""
    return finish(start(command, standard_input))
