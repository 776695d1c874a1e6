"""The comparison of agents where much fails runs, and no run of this one ends in a false 0."""

from __future__ import annotations

import pytest

from bench import robustness
from tests.safety.property import false_success
from tests.safety.simulated_run import agent


@pytest.mark.parametrize("api", ["soap", "rest", "oauth2"])
def test_no_false_success(api: str) -> None:
    worlds = [robustness.run(agent, api, number) for number in range(20)]
    assert {world.schedule.rate for world in worlds} == set(robustness.RATES)
    assert not any(world.status == 0 and false_success(world) for world in worlds)
    assert sum(world.status == 0 for world in worlds) >= 18


def test_prints_a_row_for_each_rate(capsys: pytest.CaptureFixture[str]) -> None:
    robustness.measure(agent, ["rest"], 5)
    rows = capsys.readouterr().out.splitlines()
    assert [row.split()[1] for row in rows[1:]] == ["10", "20", "30", "40", "50", "all"]
