"""What becomes of `off` and `reboot` where much fails: `python -m bench.robustness`.

    python -m bench.robustness [--agent PATH | --revision COMMIT] [--api API] [--runs N]

For each kind of credentials 500 runs on a virtual clock: 10 to 50 % of all requests fail at random,
calls take 2 to 10 s, reads are up to 28 s old and lists up to 58 s, dates are off by hours. The
seeds are the same for any agent, so that two of them can be compared; the agent's own defaults hold.
Nothing in these worlds keeps an agent from fencing within its 900 s.

--agent is a file with its fencing.py beside it; --revision takes both from a commit.
"""

from __future__ import annotations

import argparse
import importlib.machinery
import importlib.util
import pathlib
import random
import subprocess
import sys
import tempfile
import time
from typing import Any

from tests import harness

RATES = (10, 20, 30, 40, 50)
"""How many per cent of all requests fail."""

RUNS = 500
"""For each kind of credentials."""

DEFAULTS = {"--shell-timeout": "30", "--login-timeout": "30", "--stonith-status-sleep": "2"}


def load(path: pathlib.Path) -> Any:
    """Make that file the agent of all that is imported later."""
    loader = importlib.machinery.SourceFileLoader("fence_ovh", str(path))
    spec = importlib.util.spec_from_file_location("fence_ovh", path, loader=loader)
    assert spec is not None
    agent = sys.modules["fence_ovh"] = importlib.util.module_from_spec(spec)
    loader.exec_module(agent)
    return agent


def take_out(revision: str, folder: pathlib.Path) -> pathlib.Path:
    """Write the agent and the library of a commit there; return the agent."""
    for name in ("fence_ovh", "fencing.py"):
        command = ["git", "-C", str(harness.REPOSITORY), "show", f"{revision}:{name}"]
        (folder / name).write_bytes(subprocess.run(command, check=True, stdout=-1).stdout)
    return folder / "fence_ovh"


def draw(api: str, number: int) -> Any:
    """The schedule of that number; all agents get the same."""
    from tests.safety.schedule import Schedule

    chance = random.Random(f"robustness {api} {number}")
    fields: dict[str, Any] = {
        "action": chance.choice(["off", "cycle"]),
        "rate": RATES[number % len(RATES)],
        "luck": number,
        "latency": chance.randint(2, 10),
        "cut_delay": chance.randint(2, 20),
        "boot_delay": chance.randint(5, 30),
        "rest": chance.randint(10, 60),
    }
    if api == "soap":
        fields["reading"] = chance.choice(["A-empty", "A-previous", "B"])
        fields["zone"] = chance.choice([0, -7, 12])
    else:
        fields["read_lag"] = chance.choice([0, chance.randint(0, 28)])
        fields["stale_reads"] = chance.choice(["all", "alternating", "random"])
        fields["list_lag"] = chance.choice([0, chance.randint(0, 58)])
        fields["task_unseen"] = chance.choice([0, 0, 30, 90])
        fields["date_offset"] = chance.choice([0, 0, -7200, 3600])
        fields["date_form"] = chance.choice(["zone", "no zone", "null"])
    return Schedule(**fields)


def run(agent: Any, api: str, number: int) -> Any:
    """Run that schedule; return its world."""
    from tests.safety.simulated_run import WORLDS

    world = WORLDS[api](draw(api, number))
    options = {**world.options(), **DEFAULTS}
    world.options = lambda: options  # type: ignore[method-assign]
    if hasattr(agent, "import_ovh"):  # 1.0.0 signs by OVH's own library, which reads a clock
        import ovh.client

        ovh.client.time = world.virtual
    return world.run()


def row(worlds: list[Any]) -> str:
    """What became of some runs."""
    from tests.safety.property import false_success

    failed = sum(world.status != 0 for world in worlds)
    false = sum(world.status == 0 and bool(false_success(world)) for world in worlds)
    extra = sum(max(0, len(world.own_reboots()) - 1) for world in worlds)
    requests = sum(len(world.asked) for world in worlds) / len(worlds)
    minutes = sum(world.ended - world.begun for world in worlds) / len(worlds) / 60
    return (
        f"{len(worlds):>5} {failed:>12} {false:>8} {extra:>17} {requests:>14.1f} {minutes:>13.1f}"
    )


def measure(agent: Any, apis: list[str], runs: int) -> None:
    """Print the table."""
    print(
        f"{'':<8} {'failing':>8} {'runs':>5} {'needless 1s':>12} {'false 0s':>8}"
        f" {'extra power cuts':>17} {'mean requests':>14} {'mean minutes':>13}"
    )
    for api in apis:
        begun = time.process_time()
        worlds = [run(agent, api, number) for number in range(runs)]
        for rate in RATES:
            print(f"{api:<8} {rate:>6} % {row([w for w in worlds if w.schedule.rate == rate])}")
        each = 1000 * (time.process_time() - begun) / runs
        print(f"{api:<8} {'all':>8} {row(worlds)}   ({each:.0f} ms of CPU each)", flush=True)


def main() -> None:
    """Measure the agent that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agent", type=pathlib.Path, default=harness.AGENT)
    parser.add_argument("--revision")
    parser.add_argument("--api", choices=["soap", "rest", "oauth2"], action="append")
    parser.add_argument("--runs", type=int, default=RUNS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.agent.resolve()
        if options.revision:
            path = take_out(options.revision, pathlib.Path(folder))
        print(f"agent: {options.revision or options.agent}")
        measure(load(path), options.api or ["soap", "rest", "oauth2"], options.runs)


if __name__ == "__main__":
    main()
