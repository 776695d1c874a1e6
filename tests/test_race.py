"""A search for a race of agents that fence the same server and in which one says what is not so."""

from __future__ import annotations

import pytest

from tests.search.runner import WORLDS, search_races

PARTS = 2
EXAMPLES = 600
"""Races for each API; in parts, so that they spread over processes."""


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("api", WORLDS)
def test_no_race_ends_in_a_false_success(api: str, part: int) -> None:
    # Always the same races, so that one commit has one verdict. `make soak` tries others.
    search_races(api, EXAMPLES // PARTS, number=part)
