"""What the front ends (SOAP and REST) have in common: a call and its response."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Callable, Protocol

from tests.simulator.model import Call, DataCentre


@dataclass(frozen=True)
class Response:
    """An HTTP response."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class AnswerLost(Exception):
    """Raised by an interceptor: the connection is closed and the caller gets no answer."""


Proceed = Callable[[], Response]
Interceptor = Callable[[Call, Proceed], Response]
"""Stands between the parsing of a call and its execution.

`proceed()` carries the call out and gives its response; the interceptor may do something else
before, after or instead, and may raise `AnswerLost`. It runs without the data centre's lock, so
that one call kept waiting does not hold up the others.
"""


class FrontEnd(Protocol):
    """One of the provider's APIs over a data centre.

    `settings` is a frozen dataclass, replaced as a whole when a setting is changed.
    """

    data_centre: DataCentre
    settings: Any
    intercept: Interceptor | None

    def takes(self, method: str, path: str) -> bool:
        """Whether a request with this method and path (with its query) is for this API."""

    def handle(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, scheme: str = "http"
    ) -> Response:
        """Answer one HTTP request; `scheme` is the one it came by."""
