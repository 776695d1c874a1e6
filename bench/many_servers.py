"""A whole rack is fenced at once: `python -m bench.many_servers [AGENTS [REQUESTS_PER_SECOND]]`.

All agents use one account of the REST API, which answers what is too much with 429 and a
Retry-After. Prints what that cost.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
import sys
import time
from collections import Counter
from typing import Any

from tests import harness
from tests.harness import LOGIN, PASSWORD, RestBackend
from tests.simulator import (
    Account,
    Call,
    DataCentre,
    Proceed,
    Response,
    RestFrontEnd,
    RestSettings,
    Server,
    SimulatorServer,
    SystemClock,
)

RETRY_AFTER = 1  # seconds


class Rack(RestBackend):
    """As many servers as agents, and an account with a limit.

    Attributes:
        statuses: how many answers there were of each HTTP status.
    """

    def __init__(self, size: int, rate_limit: int) -> None:
        self.names = [f"ns{number}.ovh.net" for number in range(1000, 1000 + size)]
        self.data_centre = DataCentre(
            SystemClock(),
            servers=[Server(name) for name in self.names],
            accounts=[Account(LOGIN, PASSWORD)],
            timing=harness.FAST,
            call_log=0,
        )
        settings = RestSettings(rate_limit=rate_limit, retry_after=RETRY_AFTER)
        self.statuses: Counter[int] = Counter()
        self.front_end = RestFrontEnd(self.data_centre, settings, self._count)
        self.simulator = SimulatorServer(self.front_end)

    def _count(self, call: Call, proceed: Proceed) -> Response:
        response = proceed()
        with self.data_centre.lock:
            self.statuses[response.status] += 1
        return response


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What it cost.

    Attributes:
        statuses: exit statuses of the agents.
        cut: the servers that were cut into rescue.
        cuts: how many power cuts there were.
        requests: all of them; `refused` are those answered with 429.
        wall: seconds from the first start to the last end.
        cpu: seconds, of all agents.
        memory: KiB, the sum of all agents' peaks; `largest` is that of one.
    """

    statuses: list[int]
    cut: set[str]
    cuts: int
    requests: int
    refused: int
    wall: float
    cpu: float
    memory: int
    largest: int


def fence(size: int, rate_limit: int, **options: Any) -> Outcome:
    """Start an agent for each server of a rack, all together, and wait for all of them."""
    rack = Rack(size, rate_limit)
    with rack.simulator:
        begun = time.monotonic()
        processes = [_start(rack.options("off", plug=name, **options)) for name in rack.names]
        ends = [os.wait4(process.pid, 0) for process in processes]
        wall = time.monotonic() - begun
        cuts = [cut for cut in rack.state()["power_cuts"] if cut["netboot"]]
    for process, (_, status, _) in zip(processes, ends):
        process.returncode = os.waitstatus_to_exitcode(status)
    usages = [usage for _, _, usage in ends]
    return Outcome(
        statuses=[int(process.returncode) for process in processes],
        cut={cut["server"] for cut in cuts if cut["netboot"]["type"] == "rescue"},
        cuts=len(cuts),
        requests=sum(rack.statuses.values()),
        refused=rack.statuses[429],
        wall=wall,
        cpu=sum(usage.ru_utime + usage.ru_stime for usage in usages),
        memory=sum(usage.ru_maxrss for usage in usages),
        largest=max(usage.ru_maxrss for usage in usages),
    )


def _start(options: dict[str, Any]) -> subprocess.Popen[str]:
    """Start an agent that writes to nobody."""
    return harness.agent_with_our_library().start(
        options, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def main(size: int = 50, rate_limit: int = 10) -> int:
    """Print the table; 1 when a server was not fenced."""
    with contextlib.suppress(BrokenPipeError):
        print(f"{size} agents at once, one account, {rate_limit} requests a second", flush=True)
        outcome = fence(size, rate_limit, power_timeout=900, shell_timeout=30, login_timeout=30)
        mib = 1024
        print(f"  fenced          {len(outcome.cut)} of {size}, {outcome.cuts} power cuts")
        print(f"  exit statuses   {dict(Counter(outcome.statuses))}")
        print(f"  wall            {outcome.wall:8.1f} s until the last one ended")
        print(f"  CPU             {outcome.cpu:8.1f} s of all, {outcome.cpu / size:.2f} s each")
        print(f"  peak memory     {outcome.memory / mib:8.1f} MiB of all,", end=" ")
        print(f"{outcome.largest / mib:.1f} MiB the largest")
        print(f"  requests        {outcome.requests:8d}  ({outcome.requests / size:.1f} each)")
        print(f"  of them 429     {outcome.refused:8d}")
    return 0 if set(outcome.statuses) == {0} and len(outcome.cut) == size else 1


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
