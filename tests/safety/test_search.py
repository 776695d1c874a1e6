"""A search for a schedule of faults, or a race of agents, that ends in the wrong thing."""

from __future__ import annotations

import pytest

from tests.safety.search import WORLDS, search, search_races

PARTS = 4
SEARCHES = {"schedule": (search, 2000), "race": (search_races, 600)}
"""How many of them for each API; in parts, so that they spread over processes."""


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("api", WORLDS)
@pytest.mark.parametrize("kind", SEARCHES)
def test_nothing_breaks_the_property(kind: str, api: str, part: int) -> None:
    # Always the same ones, so that one commit has one verdict. `make soak` tries others.
    trial, examples = SEARCHES[kind]
    trial(api, examples // PARTS, number=part)
