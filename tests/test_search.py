"""A search for a schedule of faults under which the agent does the wrong thing."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.search.property import violations
from tests.search.schedule import Schedule, schedules
from tests.search.world import RestWorld, World

WORLDS = {"soap": World, "rest": RestWorld}
EXAMPLES = int(os.environ.get("SEARCH_EXAMPLES", "2000"))


@pytest.mark.parametrize("api", WORLDS)
def test_no_schedule_breaks_the_property(api: str) -> None:
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
        phases=[phase for phase in Phase if phase is not Phase.explain],
    )
    @given(schedules(rest=api == "rest"))
    def search(schedule: Schedule) -> None:
        world = WORLDS[api](schedule).run()
        found = violations(world)
        assert not found, "\n".join([*found, *world.log])

    search()
