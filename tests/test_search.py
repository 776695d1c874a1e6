"""A search for a schedule of faults under which the agent does the wrong thing."""

from __future__ import annotations

import pytest

from tests.search.runner import WORLDS, search

PARTS = 4
EXAMPLES = 2000
"""Schedules for each API; in parts, so that they spread over processes."""


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("api", WORLDS)
def test_no_schedule_breaks_the_property(api: str, part: int) -> None:
    # Always the same schedules, so that one commit has one verdict. `make soak` tries others.
    search(api, EXAMPLES // PARTS, number=part)
