"""Lets hypothesis search for a schedule that breaks the property."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.search.property import violations
from tests.search.schedule import Schedule, schedules
from tests.search.world import RestWorld, World

WORLDS: dict[str, type[World]] = {"soap": World, "rest": RestWorld}


def search(api: str, examples: int, number: int | None = None) -> None:
    """Try so many schedules on one API.

    :param number: the seed; None lets hypothesis choose.
    :raises AssertionError: for the shortest failing schedule that was found.
    """

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
        print_blob=False,
    )
    @given(schedules(rest=api == "rest"))
    def holds(schedule: Schedule) -> None:
        world = WORLDS[api](schedule).run()
        found = violations(world)
        assert not found, "\n".join([*found, repr(schedule), *world.log])

    (holds if number is None else seed(number)(holds))()
