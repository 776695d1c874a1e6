"""The agent that distributions ship can be watched where its package is."""

from __future__ import annotations

import pytest

from tests import shipped


def test_it_reaches_the_simulator_in_its_namespace() -> None:
    reason = shipped.why_not()
    if reason:
        pytest.skip(reason)
    (outcome,) = shipped.observe(shipped.agent(), f"off {shipped.SHORTEST}").values()
    assert outcome.netboot == shipped.OLD_RESCUE.id
    assert outcome.cut is not None
