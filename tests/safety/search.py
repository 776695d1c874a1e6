"""Lets hypothesis search for a schedule that breaks the property."""

from __future__ import annotations

from typing import Callable

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.safety.property import violations
from tests.safety.race import Race, races, run
from tests.safety.race_property import race_violations
from tests.safety.schedule import Schedule, schedules
from tests.safety.simulated_run import RestWorld, World

WORLDS: dict[str, type[World]] = {"soap": World, "rest": RestWorld}


def search(api: str, examples: int, number: int | None = None) -> None:
    """Try so many schedules on one API.

    :param number: the seed; None lets hypothesis choose.
    :raises AssertionError: for the shortest failing schedule that was found.
    """

    @given(schedules(rest=api == "rest"))
    def holds(schedule: Schedule) -> None:
        world = WORLDS[api](schedule).run()
        found = violations(world)
        assert not found, "\n".join([*found, repr(schedule), *world.log])

    _try(holds, examples, number)


def search_races(api: str, examples: int, number: int | None = None) -> None:
    """Let agents race so often on one API; parameters and errors as in `search`."""

    @given(races(rest=api == "rest"))
    def holds(race: Race) -> None:
        finish = run(WORLDS[api], race)
        found = race_violations(race, finish)
        assert not found, "\n".join([*found, repr(race), *finish.worlds[0].log])

    _try(holds, examples, number)


def _try(holds: Callable[[], None], examples: int, number: int | None) -> None:
    limited = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
        print_blob=False,
    )(holds)
    (limited if number is None else seed(number)(limited))()
