"""`make bench`: what the agent costs, in CPU time and memory, as whole processes.

Figures are medians of several runs, user and system time together, with the
largest resident size of any run. They belong to the machine they were taken on;
the ratios travel better. Where the agent that distributions ship is installed, both
do the same work on the same input (docs/comparison.md). Writes docs/time-to-fence.svg.
"""

from __future__ import annotations

import pathlib
import statistics
import sys
import tempfile

from bench import many_servers, plot, process_cost, shipped_agent
from tests import harness

RUNS = 15


def row(title: str, command: list[str], standard_input: bytes = b"", base: float = 0.0) -> float:
    """Measure and print one line; return the median CPU time."""
    runs = [process_cost.measure(command, standard_input) for _ in range(RUNS)]
    cpu = statistics.median(run.cpu for run in runs)
    wall = statistics.median(run.wall for run in runs)
    memory = max(run.memory for run in runs) / 1024
    ratio = f"{cpu / base:5.2f} x" if base else " " * 7
    print(f"{title:<44} {cpu:7.3f} s {ratio} {wall:7.3f} s {memory:7.1f} MiB", flush=True)
    return cpu


def costs(installed: pathlib.Path) -> None:
    """Print what short actions cost."""
    print(f"{'median of ' + str(RUNS) + ' runs':<44} {'CPU':>9} {'':7} {'wall':>9} {'peak':>11}")
    base = row("/usr/bin/python3 -c pass", [harness.DEBIAN_PYTHON, "-c", "pass"])
    row("installed fence_ovh -o metadata", [str(installed), "-o", "metadata"], base=base)
    row("copied fence_ovh -o metadata", [str(harness.AGENT), "-o", "metadata"], base=base)
    if shipped_agent.package():
        command = [str(shipped_agent.agent()), "-o", "metadata"]
        row("shipped fence_ovh -o metadata", command, base=base)
    for backend_class in harness.BACKENDS:
        backend = backend_class()
        with backend.simulator:
            options = harness.lines(backend.options("monitor"))
            command = [sys.executable, str(harness.AGENT)]
            row(f"fence_ovh monitor, {backend.name}", command, options, base)


def compare(installed: pathlib.Path) -> dict[str, shipped_agent.Outcome]:
    """Print what both agents do on the same input; return what the shipped one did."""
    names = [
        trial.name for trial in shipped_agent.TRIALS if trial.duration == shipped_agent.SHORTEST
    ]
    ours = shipped_agent.observe(installed, *names)
    theirs = shipped_agent.observe(shipped_agent.agent())
    print(
        f"\nthis agent (SOAP) and {shipped_agent.package()}, hard reboots of {shipped_agent.SHORTEST} s"
    )
    print(
        f"{'':<40} {'exit':>4} {'after':>8} {'power cut':>9} {'CPU':>8} {'peak':>10} {'stderr':>10}"
        f" {'password':>8}  asked about"
    )
    for name in names:
        _print_outcome(f"{name}: this agent", ours[name])
        _print_outcome(f"{' ' * len(name)}  shipped", theirs[name])
    return theirs


def _print_outcome(title: str, outcome: shipped_agent.Outcome) -> None:
    used = outcome.usage
    cut = "never" if outcome.cut is None else f"{outcome.cut:.1f} s"
    print(
        f"{title:<40} {used.status:>4} {used.wall:>6.1f} s {cut:>9} {used.cpu:>6.2f} s"
        f" {used.memory / 1024:>6.1f} MiB {outcome.stderr:>8} B {outcome.passwords:>6} x "
        f" {', '.join(outcome.asked_for) or 'no server'}",
        flush=True,
    )


def times_to_fence(figures: plot.Figures) -> None:
    """Print what the plot shows."""
    print("\nseconds until off exits, simulated, for a reboot of", *plot.REBOOTS)
    for api in plot.APIS:
        print(f"  this agent, {api}: ", *(seconds for _, seconds in figures[api]))
    of = figures["shipped"]
    for reboot, seconds, status, cut in of["runs"]:
        print(f"  {of['package']}, {reboot} s: exit {status} after {seconds} s, cut after {cut} s")
    print(f"written: {plot.PLOT.relative_to(harness.REPOSITORY)}")


def main() -> None:
    """Print all of it, then what a whole rack costs at once."""
    why_not = shipped_agent.why_not()
    theirs = None
    with tempfile.TemporaryDirectory() as folder:
        harness.make("install", pathlib.Path(folder))
        installed = pathlib.Path(folder, "usr/sbin/fence_ovh")
        costs(installed)
        if why_not is None:
            theirs = plot.of_shipped(shipped_agent.package(), compare(installed))
        else:
            print(
                f"\nthe shipped agent does not run here: {why_not}; its figures stay as they were"
            )
    times_to_fence(plot.update(theirs))
    print()
    sys.exit(many_servers.main())


if __name__ == "__main__":
    main()
