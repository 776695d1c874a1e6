"""A search for a schedule of faults, or a race of agents, that ends in the wrong thing."""

from __future__ import annotations

import pytest

from tests.safety.search import WORLDS, search

PARTS = 4
SEARCHES = {"schedule": 2000, "race": 160}
"""How many of them for each API; in parts, so that they spread over processes."""


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("api", WORLDS)
@pytest.mark.parametrize("kind", SEARCHES)
def test_nothing_breaks_the_property(kind: str, api: str, part: int) -> None:
    # Always the same seeds, so that one commit has one verdict. `make soak` tries others.
    number = SEARCHES[kind] // PARTS
    search(kind, api, range(part * number, (part + 1) * number))
