"""The agent that distributions ship can be watched where its package is."""

from __future__ import annotations

import pytest

from bench import shipped_agent


def test_it_reaches_the_simulator_in_its_namespace() -> None:
    reason = shipped_agent.why_not()
    if reason:
        pytest.skip(reason)
    (outcome,) = shipped_agent.observe(
        shipped_agent.agent(), f"off {shipped_agent.SHORTEST}"
    ).values()
    assert outcome.netboot == shipped_agent.OLD_RESCUE.id
    assert outcome.cut is not None
