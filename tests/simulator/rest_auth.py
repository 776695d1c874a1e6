"""Who may call the REST API: applications with consumer keys, and OAuth2 service accounts.

A consumer key is an application's right to act for one account, within rules of methods and paths.
A service account is granted actions, server by server. All moments are in seconds of the clock.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from tests.simulator.clock import Clock
from tests.simulator.rest_wire import ApiError, Request, bad_request, date, wrong_type

APPLICATION_KEY = "5f3a91c07be2d846"
APPLICATION_SECRET = "c81d0e5b7a2f4936d40b6e9f13a85c72"
CONSUMER_KEY = "9b47e2f06c1d8a35fe70b1924dc6583a"
CLIENT_ID = "EU.3c5e8a7190b2df46"
CLIENT_SECRET = "e2706bd94f1c83a5b05d7e61c9f8432a"

METHODS = ("GET", "POST", "PUT", "DELETE")
KEY_STATUSES = ("validated", "pendingValidation", "expired", "refused")

EVERY_SERVER = "*"
"""Stands for all servers of an account in what a service account is granted."""

FENCING_ACTIONS = frozenset(
    f"dedicatedServer:apiovh:{name}" for name in ("get", "put", "boot/get", "reboot", "task/get")
)
"""The actions of a service account that fences."""


@dataclass(frozen=True)
class Rule:
    """Calls that a consumer key may make; in `path` a `*` stands for anything."""

    method: str
    path: str

    def allows(self, method: str, path: str) -> bool:
        """Whether the call is one of them; `path` is without the API's root and the query."""
        return self.method == method and _pattern(self.path).fullmatch(path) is not None


FENCING_RULES = (
    Rule("GET", "/auth/currentCredential"),
    Rule("GET", "/dedicated/server"),
    Rule("GET", "/dedicated/server/*"),
    Rule("PUT", "/dedicated/server/*"),
    Rule("POST", "/dedicated/server/*/reboot"),
)
"""The rules of a consumer key that fences any server of its account."""


@dataclass(frozen=True)
class Application:
    """A program that its author registered with the provider."""

    key: str
    secret: str = field(repr=False)
    id: int = 52471
    name: str = "fence_ovh"


@dataclass
class ConsumerKey:
    """What an application may do for an account.

    Attributes:
        application: the key of the application.
        account: nic of the account; None until its owner confirmed the key.
        status: one of KEY_STATUSES; a validated one expires by itself at `expires_at`.
        allowed_ips: networks from which it may be used; empty for any.
    """

    key: str = field(repr=False)
    application: str
    account: str | None
    rules: tuple[Rule, ...] = FENCING_RULES
    status: str = "validated"
    expires_at: float | None = None
    allowed_ips: tuple[str, ...] = ()
    id: int = 613_482_107
    created_at: float = 0.0
    used_at: float | None = None
    redirection: str | None = None

    def status_at(self, now: float) -> str:
        """The status, expiry considered."""
        over = self.expires_at is not None and self.expires_at <= now
        return "expired" if over and self.status == "validated" else self.status

    def document(self, clock: Clock, application_id: int) -> dict[str, Any]:
        """What the API says of it."""
        return {
            "credentialId": self.id,
            "applicationId": application_id,
            "status": self.status_at(clock.monotonic()),
            "creation": date(clock, self.created_at),
            "expiration": date(clock, self.expires_at),
            "lastUse": date(clock, self.used_at),
            "rules": [{"method": rule.method, "path": rule.path} for rule in self.rules],
            "allowedIPs": list(self.allowed_ips) or None,
            "ovhSupport": False,
        }


@dataclass
class ServiceAccount:
    """A machine's identity within an account.

    Attributes:
        grants: for each server, or EVERY_SERVER, the actions it may take; one that ends in `*`
            stands for all that begin so. Actions that concern no server go by EVERY_SERVER.
        token_lifetime: seconds for which an access token is good; the provider says 3599.
    """

    id: str
    secret: str = field(repr=False)
    account: str
    grants: Mapping[str, Iterable[str]] = field(
        default_factory=lambda: {EVERY_SERVER: FENCING_ACTIONS}
    )
    token_lifetime: float = 3599.0

    def may(self, action: str, server: str | None) -> bool:
        """Whether it may take that action on that server (None: on none in particular)."""
        granted = [*self.grants.get(EVERY_SERVER, ()), *self.grants.get(server or "", ())]
        return any(_pattern(entry).fullmatch(action) for entry in granted)


@dataclass(frozen=True)
class Caller:
    """Whoever makes a call, once that is certain: a consumer key or a service account."""

    account: str
    key: ConsumerKey | None = None
    service: ServiceAccount | None = None

    @property
    def name(self) -> str:
        """As the ground truth has it."""
        return f"rest:{self.account}"

    def check_call(self, method: str, path: str) -> None:
        """Raise ApiError unless the key's rules allow the call."""
        if self.key and not any(rule.allows(method, path) for rule in self.key.rules):
            raise ApiError(
                403,
                "Client::Forbidden",
                "This call has not been granted",
                code="NOT_GRANTED_CALL",
            )

    def may(self, action: str, server: str | None) -> bool:
        """Whether a service account may take the action; a key's rules know no actions."""
        return self.service is None or self.service.may(action, server)

    def check_action(self, action: str, server: str | None) -> None:
        """Raise ApiError unless `may`."""
        if not self.may(action, server):
            raise ApiError(
                403,
                "Client::Forbidden",
                "User not granted for this request",
                code="FORBIDDEN",
                details={
                    "unauthorizedActionsByAuthentication": "",
                    "unauthorizedActionsByIAM": action,
                },
            )


@dataclass(frozen=True)
class _Token:
    service: ServiceAccount
    expires_at: float


class Credentials:
    """All applications, consumer keys and service accounts.

    `consumer_keys` and `service_accounts` (by key and id) may be changed at any time.
    """

    def __init__(
        self,
        applications: Iterable[Application],
        consumer_keys: Iterable[ConsumerKey] = (),
        service_accounts: Iterable[ServiceAccount] = (),
        *,
        seed: int = 0,
    ) -> None:
        """`seed` makes the keys and tokens that are given out."""
        self.applications = {application.key: application for application in applications}
        self.consumer_keys = {key.key: key for key in consumer_keys}
        self.service_accounts = {service.id: service for service in service_accounts}
        self._tokens: dict[str, _Token] = {}
        self._pending: dict[str, ConsumerKey] = {}
        self._rng = random.Random(seed)

    # Calls.

    def application(self, request: Request) -> Application:
        """The application that a request names; raises ApiError."""
        application = self.applications.get(request.headers.get("x-ovh-application", ""))
        if application is None:
            raise ApiError(
                403, "Client::Forbidden", "This application key is invalid", code="INVALID_KEY"
            )
        return application

    def caller(
        self,
        request: Request,
        clock: Clock,
        *,
        skew: float,
        signature_status: int,
        any_status: bool,
    ) -> Caller:
        """Who makes a request; raises ApiError if that is not certain.

        `skew` is in seconds; `signature_status` is the HTTP status for a wrong signature;
        `any_status` lets keys pass that are not valid (any more, or yet).
        """
        if "authorization" in request.headers:
            return self._bearer(request.headers["authorization"], clock.monotonic())
        if not any(name.startswith("x-ovh-") for name in request.headers):
            raise _must_login()
        application = self.application(request)
        key = self._consumer_key(request, application)
        _check_timestamp(request, clock, skew)
        _check_signature(request, application, key, signature_status)
        now = clock.monotonic()
        if not any_status:
            _check_usable(key, request.address, now)
        key.used_at = now
        return Caller(key.account or "", key=key)

    def _consumer_key(self, request: Request, application: Application) -> ConsumerKey:
        name = request.headers.get("x-ovh-consumer")
        if not name:
            raise _must_login()
        key = self.consumer_keys.get(name)
        if key is None or key.application != application.key:
            raise _invalid_credential("This credential does not exist")
        return key

    def _bearer(self, header: str, now: float) -> Caller:
        kind, _, text = header.partition(" ")
        token = self._tokens.get(text.strip()) if kind.lower() == "bearer" else None
        if token is None or token.expires_at <= now:
            raise ApiError(401, "Client::Unauthorized", "Invalid or expired token")
        return Caller(token.service.account, service=token.service)

    # Consumer keys that are asked for.

    def request_key(
        self, application: Application, document: Mapping[str, Any], now: float
    ) -> tuple[ConsumerKey, str]:
        """A new key that its owner has to confirm, and the token to do that with."""
        key = ConsumerKey(
            f"{self._rng.getrandbits(128):032x}",
            application.key,
            None,
            rules=_rules(document),
            status="pendingValidation",
            allowed_ips=_networks(document.get("allowedIPs") or ()),
            id=613_482_108 + len(self.consumer_keys),
            created_at=now,
            redirection=document.get("redirection"),
        )
        token = f"{self._rng.getrandbits(256):064x}"
        self.consumer_keys[key.key] = key
        self._pending[token] = key
        return key, token

    def pending(self, token: str) -> ConsumerKey | None:
        """The key that the token is for, if it waits for confirmation."""
        return self._pending.get(token)

    def decide(self, token: str, account: str | None) -> None:
        """Confirm a key that waits, for an account; None refuses it."""
        key = self._pending.pop(token)
        key.account = account
        key.status = "refused" if account is None else "validated"

    def confirm_all(self, account: str) -> None:
        """Confirm every key that waits."""
        for token in list(self._pending):
            self.decide(token, account)

    # Access tokens.

    def give_token(self, request: Request, now: float) -> tuple[int, dict[str, Any]]:
        """Answer a request for an access token: status and document, as OAuth2 has them."""
        form = request.form
        client_id, secret = _basic(request.headers.get("authorization", "")) or (
            form.get("client_id", ""),
            form.get("client_secret", ""),
        )
        service = self.service_accounts.get(client_id)
        if service is None or service.secret != secret:
            return 401, _oauth_error("invalid_client", "Client authentication failed")
        if form.get("grant_type") != "client_credentials":
            return 400, _oauth_error("unsupported_grant_type", "client_credentials is needed")
        token = f"eyJ{self._rng.getrandbits(512):0128x}"
        self._tokens = {t: v for t, v in self._tokens.items() if v.expires_at > now}
        self._tokens[token] = _Token(service, now + service.token_lifetime)
        return 200, {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": int(service.token_lifetime),
            "scope": form.get("scope", "all"),
        }

    def tokens(self) -> list[str]:
        """The tokens that are good or were a while ago."""
        return list(self._tokens)

    def end_tokens(self) -> None:
        """End every token, as a restart of the provider's service would."""
        self._tokens.clear()

    # The ground truth.

    def record(self, now: float) -> list[dict[str, Any]]:
        """What the ground truth says of them: of keys a digest, of secrets nothing."""
        keys = [_record_of_key(key, now) for key in self.consumer_keys.values()]
        return keys + [_record_of_service(service) for service in self.service_accounts.values()]


def default_credentials(account: str) -> Credentials:
    """The credentials of the demo: a consumer key and a service account, both able to fence."""
    return Credentials(
        [Application(APPLICATION_KEY, APPLICATION_SECRET)],
        [ConsumerKey(CONSUMER_KEY, APPLICATION_KEY, account)],
        [ServiceAccount(CLIENT_ID, CLIENT_SECRET, account)],
    )


def _record_of_key(key: ConsumerKey, now: float) -> dict[str, Any]:
    return {
        "kind": "consumer key",
        "digest": hashlib.sha256(key.key.encode()).hexdigest()[:12],
        "account": key.account,
        "status": key.status_at(now),
        "rules": [f"{rule.method} {rule.path}" for rule in key.rules],
        "expires_at": key.expires_at,
        "used_at": key.used_at,
    }


def _record_of_service(service: ServiceAccount) -> dict[str, Any]:
    return {
        "kind": "service account",
        "id": service.id,
        "account": service.account,
        "grants": {server: sorted(actions) for server, actions in service.grants.items()},
    }


# Checks of a call.


def _check_timestamp(request: Request, clock: Clock, skew: float) -> None:
    text = request.headers.get("x-ovh-timestamp", "")
    plain = text.isascii() and text.isdigit() and len(text) < 16
    if not plain or abs(int(text) - clock.time()) > skew:
        raise ApiError(400, "Client::BadRequest", "Query out of time", code="QUERY_TIME_OUT")


def _check_signature(
    request: Request, application: Application, key: ConsumerKey, status: int
) -> None:
    parts = (
        application.secret,
        key.key,
        request.method,
        request.origin + request.target,
        request.body.decode("utf-8", "replace"),
        request.headers["x-ovh-timestamp"],
    )
    expected = "$1$" + hashlib.sha1("+".join(parts).encode()).hexdigest()
    if request.headers.get("x-ovh-signature") != expected:
        kind = "Client::Forbidden" if status == 403 else "Client::BadRequest"
        raise ApiError(status, kind, "Invalid signature", code="INVALID_SIGNATURE")


def _check_usable(key: ConsumerKey, address: str, now: float) -> None:
    valid = key.status_at(now) == "validated"
    if not valid or not _is_within(address, key.allowed_ips):
        raise _invalid_credential("This credential is not valid")


def _is_within(address: str, networks: tuple[str, ...]) -> bool:
    if not networks:
        return True
    try:
        own = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(own in ipaddress.ip_network(network, strict=False) for network in networks)


def _must_login() -> ApiError:
    return ApiError(403, "Client::Forbidden", "You must login first", code="NOT_CREDENTIAL")


def _invalid_credential(message: str) -> ApiError:
    return ApiError(403, "Client::Forbidden", message, code="INVALID_CREDENTIAL")


@lru_cache(maxsize=1024)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, text.split("*"))), re.DOTALL)


# What is asked for.


def _rules(document: Mapping[str, Any]) -> tuple[Rule, ...]:
    given = document.get("accessRules")
    if not isinstance(given, list) or not given:
        raise bad_request("Missing accessRules")
    return tuple(_rule(entry) for entry in given)


def _rule(given: object) -> Rule:
    method = given.get("method") if isinstance(given, dict) else None
    path = given.get("path") if isinstance(given, dict) else None
    if method not in METHODS or not isinstance(path, str) or not path.startswith("/"):
        raise wrong_type("accessRules", given, "auth.AccessRule")
    return Rule(method, path)


def _networks(given: Iterable[object]) -> tuple[str, ...]:
    try:
        return tuple(str(ipaddress.ip_network(str(entry), strict=False)) for entry in given)
    except (TypeError, ValueError):
        raise wrong_type("allowedIPs", given, "ipBlock[]") from None


def _basic(header: str) -> tuple[str, str] | None:
    kind, _, text = header.partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        name, _, secret = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return name, secret


def _oauth_error(name: str, description: str) -> dict[str, Any]:
    return {"error": name, "error_description": description}
