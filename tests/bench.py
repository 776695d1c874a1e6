"""`make bench`: what the agent costs, in CPU time and memory, as whole processes.

Figures are medians of several runs, user and system time together, with the
largest resident size of any run. They belong to the machine they were taken on;
the ratios travel better.
"""

from __future__ import annotations

import os
import pathlib
import statistics
import sys
import time

from tests import harness

RUNS = 15
SHIPPED_AGENT = pathlib.Path("/usr/sbin/fence_ovh")


def measure(command: list[str], standard_input: bytes = b"") -> tuple[float, float, int]:
    """Run a command; return CPU seconds, wall seconds and peak KiB."""
    reading, writing = os.pipe()
    os.write(writing, standard_input)
    os.close(writing)
    begun = time.monotonic()
    process = os.posix_spawn(
        command[0],
        command,
        dict(os.environ),
        file_actions=[
            (os.POSIX_SPAWN_DUP2, reading, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
        ],
    )
    os.close(reading)
    _, _, usage = os.wait4(process, 0)
    wall = time.monotonic() - begun
    return usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss


def row(title: str, command: list[str], standard_input: bytes = b"", base: float = 0.0) -> float:
    """Measure and print one line; return the median CPU time."""
    runs = [measure(command, standard_input) for _ in range(RUNS)]
    cpu = statistics.median(run[0] for run in runs)
    wall = statistics.median(run[1] for run in runs)
    memory = max(run[2] for run in runs) / 1024
    ratio = f"{cpu / base:5.2f} x" if base else " " * 7
    print(f"{title:<44} {cpu:7.3f} s {ratio} {wall:7.3f} s {memory:7.1f} MiB", flush=True)
    return cpu


def main() -> None:
    """Print the table."""
    print(f"{'median of ' + str(RUNS) + ' runs':<44} {'CPU':>9} {'':7} {'wall':>9} {'peak':>11}")
    base = row("/usr/bin/python3 -c pass", [harness.DEBIAN_PYTHON, "-c", "pass"])
    row("fence_ovh -o metadata", [str(harness.AGENT), "-o", "metadata"], base=base)
    if SHIPPED_AGENT.exists():
        row("shipped fence_ovh -o metadata", [str(SHIPPED_AGENT), "-o", "metadata"], base=base)
    for backend_class in harness.BACKENDS:
        backend = backend_class()
        with backend.simulator:
            options = harness.lines(backend.options("monitor"))
            command = [sys.executable, str(harness.AGENT)]
            row(f"fence_ovh monitor, {backend.name}", command, options, base)


if __name__ == "__main__":
    main()
