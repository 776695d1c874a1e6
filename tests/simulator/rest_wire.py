"""What a call of the REST API and its answer are made of, whatever the call is about."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta, timezone
from typing import Any
from urllib.parse import parse_qsl, unquote

from tests.simulator.clock import Clock
from tests.simulator.frontend import Response

DATE_FORMS = ("zone", "no zone", "null")
"""How a date is written: with its zone, without, or not at all."""

_REASONS = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    409: "Conflict",
    429: "Too Many Requests",
    460: "Expired",
    500: "Internal Server Error",
}


@dataclass(frozen=True)
class Request:
    """One HTTP request.

    Attributes:
        origin: scheme and host as the client used them.
        target: path and query as they were sent; `path` is the former, decoded.
        headers: with their names in lower case.
    """

    method: str
    origin: str
    target: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def path(self) -> str:
        """The path, without the query, decoded."""
        return unquote(self.target.partition("?")[0])

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters; of those that repeat, the last."""
        return dict(parse_qsl(self.target.partition("?")[2], keep_blank_values=True))

    @property
    def form(self) -> dict[str, str]:
        """The body's parameters, if it is a form."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    @property
    def address(self) -> str:
        """Where the client is, as the provider's load balancer says."""
        return self.headers.get("x-forwarded-for", "127.0.0.1").partition(",")[0].strip()

    def document(self) -> dict[str, Any]:
        """The body, a JSON object; an empty one counts as `{}`. Raises ApiError."""
        if not self.body:
            return {}
        try:
            document = json.loads(self.body)
        except (ValueError, RecursionError):
            raise bad_request("Invalid JSON received") from None
        if not isinstance(document, dict):
            raise bad_request("Invalid JSON received")
        return document


class ApiError(Exception):
    """What a call is answered with when it fails.

    Attributes:
        kind: the answer's `class`, `Client::Forbidden` say.
        code: the errorCode that the older part of the API gives besides, if any.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        *,
        code: str | None = None,
        details: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.code = code
        self.details = details
        self.headers = dict(headers or {})

    def response(self, *, codes: bool) -> Response:
        """`codes`: whether errorCode and httpCode are given where the API has them."""
        document: dict[str, Any] = {"class": self.kind, "message": self.message}
        if codes and self.code:
            document["errorCode"] = self.code
            document["httpCode"] = f"{self.status} {_REASONS[self.status]}"
        if self.details:
            document["details"] = dict(self.details)
        return answer(document, self.status, self.headers)


def bad_request(message: str) -> ApiError:
    """What was asked makes no sense."""
    return ApiError(400, "Client::BadRequest", message)


def wrong_type(name: str, value: object, kind: str) -> ApiError:
    """A parameter is not of the type that the API gives it."""
    return bad_request(f"[{name}] Given data ({value}) is not valid for type {kind}")


def internal_error() -> ApiError:
    """Something is wrong at the provider's."""
    return ApiError(500, "Server::InternalServerError", "Internal server error")


def not_found(name: str, value: object) -> ApiError:
    """There is no object with that id."""
    return ApiError(
        404, "Client::NotFound", f"The requested object ({name} = {value}) does not exist"
    )


def answer(document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    body = json.dumps(document, separators=(",", ":")).encode()
    kind = {"Content-Type": "application/json; charset=utf-8"}
    return Response(status, {**kind, **(headers or {})}, body)


def date(
    clock: Clock, moment: float | None, *, offset: float = 0.0, form: str = DATE_FORMS[0]
) -> str | None:
    """`moment` (seconds of the clock) as the API writes it: local time with its zone.

    `offset` is by how many seconds it is too late; `form` is one of DATE_FORMS.
    """
    if moment is None or form == "null":
        return None
    local = clock.local_at(moment + offset)
    if form == "zone":
        local = local.replace(tzinfo=timezone(timedelta(hours=clock.utc_offset)))
    return local.isoformat()
