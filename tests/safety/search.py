"""Draws schedules and races from seeds, and looks for one that breaks the property.

    python -m tests.safety.search {schedule,race} API SEED [LAST]

runs those of some seeds, which is how a failure of the tests is looked at again.
"""

from __future__ import annotations

import argparse
import functools
import sys
from types import SimpleNamespace
from typing import Any, Callable
from unittest import mock

from tests.safety import race, schedule
from tests.safety.property import violations
from tests.safety.race_property import race_violations
from tests.safety.shrink import code, shrunk
from tests.safety.simulated_run import WORLDS, agent


def try_schedule(api: str, data: Any) -> tuple[list[str], list[str]]:
    """Run a schedule; return what is wrong with it, and what the agent logged."""
    world = WORLDS[api](data).run()
    return violations(world), world.log


def try_race(api: str, data: Any) -> tuple[list[str], list[str]]:
    """The same for a race."""
    finish = race.run(WORLDS[api], data)
    return race_violations(data, finish), finish.log


Try = Callable[[str, Any], tuple[list[str], list[str]]]
KINDS: dict[str, tuple[Callable[[str, int], Any], Try]] = {
    "schedule": (schedule.draw, try_schedule),
    "witness": (schedule.draw_witness, try_schedule),
    "race": (race.draw, try_race),
}


@functools.cache
def soap_client(url: str) -> Any:
    """The agent's suds client, which reads its description once and makes each envelope once.

    That takes four times as long as all else. The client keeps nothing of a run.
    """
    return SimpleNamespace(service=Envelopes(MAKES_ENVELOPES(url).service))


MAKES_ENVELOPES = agent.soap_client


class Envelopes:
    """What a suds client makes, remembered."""

    def __init__(self, service: Any) -> None:
        self._service = service

    def __getattr__(self, operation: str) -> Any:
        made = functools.lru_cache(maxsize=64)(getattr(self._service, operation))
        setattr(self, operation, made)
        return made


def search(kind: str, api: str, seeds: range) -> None:
    """Try the schedules, or the races, of those seeds on one API.

    :raises AssertionError: for the first that fails, made as short as may be.
    """
    draw, attempt = KINDS[kind]
    with mock.patch.object(agent, "soap_client", soap_client):
        for seed in seeds:
            if attempt(api, draw(api, seed))[0]:
                raise AssertionError(report(kind, api, seed))


def report(kind: str, api: str, seed: int) -> str:
    """What the failing schedule or race of a seed comes down to."""
    draw, attempt = KINDS[kind]
    data = draw(api, seed)
    found = attempt(api, data)[0]
    short = shrunk(data, lambda less: bool(set(attempt(api, less)[0]) & set(found)))
    shown, log = attempt(api, short)
    return "\n".join([f"{kind} {api} {seed}:", *shown, code(short), *log])


def main() -> int:
    """Try those that the command line names; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=list(KINDS))
    parser.add_argument("api", choices=list(WORLDS))
    parser.add_argument("seed", type=int)
    parser.add_argument("last", type=int, nargs="?")
    options = parser.parse_args()
    draw, attempt = KINDS[options.kind]
    bad = 0
    for seed in range(options.seed, (options.last or options.seed) + 1):
        if attempt(options.api, draw(options.api, seed))[0]:
            bad += 1
            print(report(options.kind, options.api, seed), end="\n\n", flush=True)
    print(f"{bad} of them fail")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
