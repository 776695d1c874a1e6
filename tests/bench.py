"""`make bench`: what the agent costs, in CPU time and memory, as whole processes.

Figures are medians of several runs, user and system time together, with the
largest resident size of any run. They belong to the machine they were taken on;
the ratios travel better.
"""

from __future__ import annotations

import pathlib
import statistics
import subprocess
import sys
import tempfile

from tests import harness, rack

RUNS = 15
SHIPPED_AGENT = pathlib.Path("/usr/sbin/fence_ovh")


# A process inherits the peak size of the one that starts it, so a small one does.
LAUNCHER = """
import os, sys, time
begun = time.monotonic()
quiet = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2)]
process = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet)
usage = os.wait4(process, 0)[2]
print(usage.ru_utime + usage.ru_stime, time.monotonic() - begun, usage.ru_maxrss)
"""


def measure(command: list[str], standard_input: bytes = b"") -> tuple[float, float, float]:
    """Run a command; return CPU seconds, wall seconds and peak KiB."""
    launcher = [harness.DEBIAN_PYTHON, "-S", "-c", LAUNCHER, *command]
    done = subprocess.run(launcher, input=standard_input, stdout=subprocess.PIPE, check=True)
    cpu, wall, memory = done.stdout.split()
    return float(cpu), float(wall), float(memory)


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
    """Print the table, then what a whole rack costs at once."""
    print(f"{'median of ' + str(RUNS) + ' runs':<44} {'CPU':>9} {'':7} {'wall':>9} {'peak':>11}")
    base = row("/usr/bin/python3 -c pass", [harness.DEBIAN_PYTHON, "-c", "pass"])
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            ["make", "-s", "-C", harness.AGENT.parent, "install", f"DESTDIR={folder}"], check=True
        )
        installed = f"{folder}/usr/sbin/fence_ovh"
        row("installed fence_ovh -o metadata", [installed, "-o", "metadata"], base=base)
    row("copied fence_ovh -o metadata", [str(harness.AGENT), "-o", "metadata"], base=base)
    if SHIPPED_AGENT.exists():
        row("shipped fence_ovh -o metadata", [str(SHIPPED_AGENT), "-o", "metadata"], base=base)
    for backend_class in harness.BACKENDS:
        backend = backend_class()
        with backend.simulator:
            options = harness.lines(backend.options("monitor"))
            command = [sys.executable, str(harness.AGENT)]
            row(f"fence_ovh monitor, {backend.name}", command, options, base)
    print()
    sys.exit(rack.main())


if __name__ == "__main__":
    main()
