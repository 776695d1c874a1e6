"""How soon `off` returns once OVH says that the server was cut, on a virtual clock."""

from __future__ import annotations

import pytest

from tests.harness import SERVER
from tests.safety.schedule import Schedule
from tests.safety.simulated_run import POLL, RestWorld, World


@pytest.mark.parametrize("rest", range(0, 40, 7))
@pytest.mark.parametrize(
    ("api", "reading"), [("soap", "A-empty"), ("soap", "A-previous"), ("soap", "B"), ("rest", "")]
)
def test_off_returns_within_one_look_and_a_second(api: str, reading: str, rest: int) -> None:
    schedule = Schedule(rest=rest, reading=reading or "B")
    world = (RestWorld if api == "rest" else World)(schedule).run()
    assert world.status == 0
    over_at = world.centre.servers[SERVER].hard_reboots[-1].over_at
    assert over_at is not None
    assert 0 <= world.ended - over_at <= POLL + 1
