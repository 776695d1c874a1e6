"""A data centre behind the REST API alone. A module has it as `ovh = pytest.fixture(rest_only)`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness import OAuth2Backend, RestBackend


def rest_only(request: pytest.FixtureRequest) -> Iterator[RestBackend]:
    """With a consumer key, unless a test says more."""
    backend = getattr(request, "param", RestBackend)()
    with backend.simulator:
        yield backend


every_key = pytest.mark.parametrize(
    "ovh", [RestBackend, OAuth2Backend], indirect=True, ids=lambda kind: kind.name
)
