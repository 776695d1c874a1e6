"""Several agents at once on an account with a low limit; `bench/many_servers.py` does a rack."""

from __future__ import annotations

from bench import many_servers

AGENTS = 8
RATE_LIMIT = 4


def test_all_fence_and_none_hammers() -> None:
    outcome = many_servers.fence(AGENTS, RATE_LIMIT, power_timeout=600)
    assert outcome.statuses == [0] * AGENTS
    assert len(outcome.cut) == outcome.cuts == AGENTS
    allowed = outcome.requests - outcome.refused
    assert allowed < 40 * AGENTS
    # Who asks again at once is refused some hundred times a second.
    assert outcome.refused < 3 * allowed
