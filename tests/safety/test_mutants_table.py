"""The table of tests/safety/mutants.py fits the agent: `make mutants` itself takes minutes."""

from __future__ import annotations

import pytest

from tests.harness import AGENT
from tests.safety import test_decisions
from tests.safety.mutants import MUTANTS, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_applies_once(mutant: Mutant) -> None:
    """Else the agent was changed: say in the table how this decision reads now."""
    text = AGENT.read_text()
    assert mutant.applied_to(text) != text


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_names_a_test_that_exists(mutant: Mutant) -> None:
    case, _, test = mutant.test.partition("::")
    assert callable(getattr(getattr(test_decisions, case), test or "__init__"))


def test_names_are_told_apart() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 150
