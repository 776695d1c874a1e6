"""The simulator's REST API: logging in, servers, tasks, pages; in the process and over sockets."""

from __future__ import annotations

import base64
import hashlib
import http.client
import ipaddress
import json
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.simulator import (
    APPLICATION_KEY,
    APPLICATION_SECRET,
    CLIENT_ID,
    CLIENT_SECRET,
    CONSUMER_KEY,
    FENCING_ACTIONS,
    FENCING_RULES,
    INTERNAL_RESCUE,
    IPXE_SHELL,
    OLD_RESCUE,
    WINDOWS_RESCUE,
    WINPE,
    Account,
    AnswerLost,
    Application,
    Call,
    ConsumerKey,
    ControlError,
    DataCentre,
    Netboot,
    Proceed,
    Response,
    RestFrontEnd,
    RestSettings,
    Rule,
    Server,
    ServiceAccount,
    SimulatorServer,
    SoapFrontEnd,
    Timing,
    VirtualClock,
    default_credentials,
    default_netboots,
    default_servers,
)

NAME, OTHER, FOREIGN = "ns1234.ovh.net", "ns567890.ip-203-0-113.eu", "ns99.ip-192-0-2.eu"
NIC, STRANGER = "ab12345-ovh", "zz98765-ovh"
DISK, RESCUE, POWER_OFF = 1, 230242, 95083
TIMING = Timing(queue_delay=20, cut_delay=5, boot_delay=60, reboot_duration=240)
ROOT = Path(__file__).parent.parent.parent
DESCRIPTION = ROOT.parent / "shared" / "reference" / "ovh-dedicated-server.openapi.json"
PATIENCE = 60  # seconds after which a test that hangs is ended

SERVER = f"/dedicated/server/{NAME}"
ALL_RULES = tuple(Rule(method, "/*") for method in ("GET", "POST", "PUT", "DELETE"))
Answer = tuple[int, Any]


def signature(key: str, method: str, url: str, body: bytes, timestamp: str) -> str:
    signed = "+".join([APPLICATION_SECRET, key, method, url, body.decode(), timestamp])
    return "$1$" + hashlib.sha1(signed.encode()).hexdigest()


class Api:
    """A data centre of three servers, one of them another account's, and a client of its API."""

    def __init__(self, timing: Timing = TIMING, seed: int = 0, **settings: Any) -> None:
        self.clock = VirtualClock()
        servers = [*default_servers(), Server(FOREIGN, account=STRANGER)]
        accounts = [Account(NIC, "secret"), Account(STRANGER, "other")]
        self.centre = DataCentre(self.clock, servers, accounts, timing=timing, seed=seed)
        self.front_end = RestFrontEnd(self.centre, RestSettings(**settings))
        self.credentials = self.front_end.credentials
        self.key = self.credentials.consumer_keys[CONSUMER_KEY]
        self.server = self.centre.servers[NAME]

    def set(self, **settings: Any) -> None:
        self.front_end.settings = replace(self.front_end.settings, **settings)

    def send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        root: str = "/1.0",
    ) -> Response:
        headers = {"Host": "simulator:1234", **(headers or {})}
        assert self.front_end.takes(method, root + path)
        return self.front_end.handle(method, root + path, headers, body)

    def headers(
        self, method: str, path: str, body: bytes = b"", *, key: str = CONSUMER_KEY
    ) -> dict[str, str]:
        """Those of a call that is signed as it should be."""
        timestamp = str(int(self.clock.time()))
        url = f"http://simulator:1234/1.0{path}"
        return {
            "X-Ovh-Application": APPLICATION_KEY,
            "X-Ovh-Consumer": key,
            "X-Ovh-Timestamp": timestamp,
            "X-Ovh-Signature": signature(key, method, url, body, timestamp),
        }

    def response(
        self,
        method: str,
        path: str,
        document: object = None,
        *,
        key: str = CONSUMER_KEY,
        **more: str,
    ) -> Response:
        """Make a signed call; `more` are further headers."""
        body = b"" if document is None else json.dumps(document).encode()
        extra = {name.replace("_", "-"): value for name, value in more.items()}
        headers = {**self.headers(method, path, body, key=key), **extra}
        return self.send(method, path, headers, body)

    def call(self, method: str, path: str, document: object = None, **more: str) -> Answer:
        response = self.response(method, path, document, **more)
        return response.status, json.loads(response.body)

    def get(self, path: str) -> Any:
        status, document = self.call("GET", path)
        assert status == 200, document
        return document

    def put(self, document: object) -> Answer:
        return self.call("PUT", SERVER, document)

    def reboot(self) -> int:
        status, task = self.call("POST", f"{SERVER}/reboot")
        assert status == 200, task
        return int(task["taskId"])

    def status(self, task: int) -> str:
        return str(self.get(f"{SERVER}/task/{task}")["status"])

    def cuts(self) -> list[str]:
        return [c["netboot"]["kernel"] for c in self.centre.state()["power_cuts"] if c["netboot"]]

    def token(self, client: str = CLIENT_ID, secret: str = CLIENT_SECRET) -> Answer:
        basic = base64.b64encode(f"{client}:{secret}".encode()).decode()
        response = self.send(
            "POST",
            "/auth/oauth2/token",
            {"Authorization": f"Basic {basic}"},
            b"grant_type=client_credentials&scope=all",
            root="",
        )
        return response.status, json.loads(response.body)

    def bearer(self, method: str, path: str, token: str) -> Answer:
        response = self.send(method, path, {"Authorization": f"Bearer {token}"})
        return response.status, json.loads(response.body)


@pytest.fixture
def api() -> Api:
    return Api()


def refusal(status: int, message: str, kind: str = "Client::Forbidden", code: str = "") -> Answer:
    document = {"class": kind, "message": message}
    if code:
        reason = {400: "Bad Request", 403: "Forbidden"}[status]
        document |= {"errorCode": code, "httpCode": f"{status} {reason}"}
    return status, document


NOT_GRANTED = refusal(403, "This call has not been granted", code="NOT_GRANTED_CALL")
NOT_VALID = refusal(403, "This credential is not valid", code="INVALID_CREDENTIAL")
NO_SERVICE = refusal(404, "This service does not exist", "Client::NotFound")
BAD_SIGNATURE = refusal(400, "Invalid signature", "Client::BadRequest", "INVALID_SIGNATURE")
OUT_OF_TIME = refusal(400, "Query out of time", "Client::BadRequest", "QUERY_TIME_OUT")


# Signed calls.


def test_the_time_is_the_providers_and_needs_no_key(api: Api) -> None:
    api.clock.offset = -90
    response = api.send("GET", "/auth/time")
    assert (response.status, json.loads(response.body)) == (200, 1_704_067_200 - 90)
    assert response.headers["Content-Type"].startswith("application/json")


def test_a_signed_call_is_answered(api: Api) -> None:
    assert api.get("/dedicated/server") == [NAME, OTHER]


def test_every_answer_has_an_id_of_its_own(api: Api) -> None:
    answers = [api.response("GET", path) for path in ("/dedicated/server", "/me", "/none")]
    assert [answer.status for answer in answers] == [200, 403, 404]
    assert len({answer.headers["X-Ovh-QueryID"] for answer in answers}) == 3


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (
            {"X-Ovh-Application": "0123456789abcdef"},
            refusal(403, "This application key is invalid", code="INVALID_KEY"),
        ),
        (
            {"X-Ovh-Consumer": "0" * 32},
            refusal(403, "This credential does not exist", code="INVALID_CREDENTIAL"),
        ),
        (
            {"X-Ovh-Consumer": ""},
            refusal(403, "You must login first", code="NOT_CREDENTIAL"),
        ),
        ({"X-Ovh-Signature": "$1$" + "0" * 40}, BAD_SIGNATURE),
        ({"X-Ovh-Signature": ""}, BAD_SIGNATURE),
        ({"Host": "elsewhere:1234"}, BAD_SIGNATURE),
        ({"X-Ovh-Timestamp": "1704067169"}, OUT_OF_TIME),
        ({"X-Ovh-Timestamp": "1704067231"}, OUT_OF_TIME),
        ({"X-Ovh-Timestamp": "now"}, OUT_OF_TIME),
        ({"X-Ovh-Timestamp": "9" * 5000}, OUT_OF_TIME),
        ({"X-Ovh-Timestamp": "1704067201"}, BAD_SIGNATURE),
    ],
)
def test_a_call_that_is_not_signed_as_it_should_be(
    api: Api, changed: dict[str, str], expected: Answer
) -> None:
    headers = {**api.headers("GET", SERVER), **changed}
    response = api.send("GET", SERVER, headers)
    assert (response.status, json.loads(response.body)) == expected


def test_a_key_is_one_applications(api: Api) -> None:
    api.credentials.applications["app2"] = Application("app2", APPLICATION_SECRET)
    headers = {**api.headers("GET", SERVER), "X-Ovh-Application": "app2"}
    document = json.loads(api.send("GET", SERVER, headers).body)
    assert document["message"] == "This credential does not exist"


def test_a_call_without_any_key(api: Api) -> None:
    response = api.send("GET", SERVER)
    expected = refusal(403, "You must login first", code="NOT_CREDENTIAL")
    assert (response.status, json.loads(response.body)) == expected


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", SERVER, b'{"bootId":1}'),
        ("PUT", f"/dedicated/server/{OTHER}", b'{"bootId":1}'),
        ("PUT", SERVER + "?x=1", b'{"bootId":1}'),
        ("PUT", SERVER, b'{"bootId":2}'),
        ("PUT", SERVER, b'{"bootId": 1}'),
    ],
)
def test_the_signature_covers_method_url_and_body(
    api: Api, method: str, path: str, body: bytes
) -> None:
    good = api.headers("PUT", SERVER, b'{"bootId":1}')
    assert api.send("PUT", SERVER, good, b'{"bootId":1}').status == 200
    if (method, path) == ("POST", SERVER):
        path += "/reboot"
        good = {**good, **api.headers("GET", path)}
    assert json.loads(api.send(method, path, good, body).body) == BAD_SIGNATURE[1]


def test_a_clock_that_jumps_makes_any_call_too_late(api: Api) -> None:
    assert api.call("GET", SERVER)[0] == 200
    headers = api.headers("GET", SERVER)
    api.clock.offset += 31
    response = api.send("GET", SERVER, headers)
    assert (response.status, json.loads(response.body)) == OUT_OF_TIME
    assert api.call("GET", SERVER)[0] == 200


def test_a_timestamp_may_differ_a_little(api: Api) -> None:
    headers = api.headers("GET", SERVER)
    api.clock.advance(30)
    assert api.send("GET", SERVER, headers).status == 200
    api.clock.advance(1)
    assert api.send("GET", SERVER, headers).status == 400
    api.set(timestamp_skew=31)
    assert api.send("GET", SERVER, headers).status == 200


def test_a_proxy_before_the_simulator_has_the_url_that_is_signed(api: Api) -> None:
    url, timestamp = "https://api.example/ovh/1.0/dedicated/server", str(int(api.clock.time()))
    headers = {
        **api.headers("GET", "/dedicated/server"),
        "X-Ovh-Signature": signature(CONSUMER_KEY, "GET", url, b"", timestamp),
    }
    assert api.send("GET", "/dedicated/server", headers).status == 400
    api.set(public_url="https://api.example/ovh/1.0/")
    assert api.send("GET", "/dedicated/server", headers).status == 200


def test_the_scheme_is_signed_too(api: Api) -> None:
    headers = {"Host": "simulator:1234", **api.headers("GET", "/dedicated/server")}
    path = "/1.0/dedicated/server"
    assert api.front_end.handle("GET", path, headers, b"", "http").status == 200
    assert api.front_end.handle("GET", path, headers, b"", "https").status == 400


def test_errors_of_today_have_no_codes(api: Api) -> None:
    api.set(error_codes=False, signature_status=403)
    assert api.call("GET", "/me") == refusal(403, "This call has not been granted")
    headers = {**api.headers("GET", SERVER), "X-Ovh-Signature": "$1$"}
    response = api.send("GET", SERVER, headers)
    assert (response.status, json.loads(response.body)) == refusal(403, "Invalid signature")


# What a consumer key may do.


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/me"),
        ("GET", "/me/bill"),
        ("POST", f"{SERVER}/reinstall"),
        ("POST", f"{SERVER}/task/500000001/cancel"),
        ("POST", "/dedicated/server"),
    ],
)
def test_a_fencing_key_gets_no_further(api: Api, method: str, path: str) -> None:
    expected = NOT_GRANTED
    if (method, path) == ("POST", "/dedicated/server"):
        expected = refusal(404, "Got an invalid (or empty) URL", "Client::NotFound")
    assert api.call(method, path) == expected
    assert api.centre.state()["tasks"] == []


def test_with_a_rule_for_them_these_calls_are_answered(api: Api) -> None:
    api.key.rules = ALL_RULES
    assert api.get("/me")["nichandle"] == NIC
    assert api.get("/me/bill") == ["FR12345678"]
    status, task = api.call("POST", f"{SERVER}/reinstall")
    assert (status, task["function"], task["status"]) == (200, "reinstallServer", "init")


@pytest.mark.parametrize(
    ("rule", "path", "allowed"),
    [
        (Rule("GET", "/dedicated/server/*"), SERVER, True),
        (Rule("GET", "/dedicated/server/*"), f"{SERVER}/boot", True),
        (Rule("GET", "/dedicated/server/*"), "/dedicated/server", False),
        (Rule("GET", "/dedicated/server*"), "/dedicated/server", True),
        (Rule("GET", SERVER), SERVER, True),
        (Rule("GET", SERVER), f"{SERVER}?x=1", True),
        (Rule("GET", SERVER), f"{SERVER}/boot", False),
        (Rule("GET", SERVER), f"/dedicated/server/{OTHER}", False),
        (Rule("GET", SERVER), SERVER.replace(".", "-"), False),
        (Rule("GET", "/*"), SERVER, True),
        (Rule("POST", "/*"), SERVER, False),
    ],
)
def test_rules(api: Api, rule: Rule, path: str, allowed: bool) -> None:
    api.key.rules = (rule,)
    status, document = api.call("GET", path)
    assert (status, document) == NOT_GRANTED if not allowed else status == 200


@pytest.mark.parametrize("status", ["pendingValidation", "expired", "refused"])
def test_a_key_that_is_not_valid(api: Api, status: str) -> None:
    api.key.status = status
    assert api.call("GET", SERVER) == NOT_VALID
    assert api.call("GET", "/auth/currentCredential") == NOT_VALID
    api.set(any_credential_told=True)
    assert api.call("GET", SERVER) == NOT_VALID
    assert api.get("/auth/currentCredential")["status"] == status


def test_a_key_expires(api: Api) -> None:
    api.key.expires_at = api.clock.monotonic() + 60
    api.clock.utc_offset = 2
    credential = api.get("/auth/currentCredential")
    assert credential["expiration"] == "2024-01-01T02:01:00+02:00"
    assert credential["status"] == "validated"
    api.clock.advance(59)
    assert api.call("GET", SERVER)[0] == 200
    api.clock.advance(1)
    assert api.call("GET", SERVER) == NOT_VALID
    assert api.centre.state()["credentials"][0]["status"] == "expired"


def test_a_key_may_be_bound_to_networks(api: Api) -> None:
    api.key.allowed_ips = ("192.0.2.0/28", "127.0.0.1/32")
    assert api.call("GET", SERVER)[0] == 200
    assert api.call("GET", SERVER, X_Forwarded_For="192.0.2.7")[0] == 200
    for address in ("192.0.2.16", "nowhere"):
        assert api.call("GET", SERVER, X_Forwarded_For=address) == NOT_VALID


def test_a_key_can_ask_about_itself(api: Api) -> None:
    credential = api.get("/auth/currentCredential")
    rules = [{"method": rule.method, "path": rule.path} for rule in FENCING_RULES]
    assert (credential["rules"], credential["allowedIPs"]) == (rules, None)
    assert credential["expiration"] is None
    api.key.rules = ()
    assert api.get("/auth/currentCredential")["rules"] == []
    api.set(current_credential_granted=False)
    assert api.call("GET", "/auth/currentCredential") == NOT_GRANTED


# Consumer keys that are asked for.


def ask_for_key(api: Api, document: object, application: str = APPLICATION_KEY) -> Answer:
    headers = {"X-Ovh-Application": application}
    response = api.send("POST", "/auth/credential", headers, json.dumps(document).encode())
    return response.status, json.loads(response.body)


WISH = {
    "accessRules": [{"method": "GET", "path": "/dedicated/server"}],
    "redirection": None,
    "allowedIPs": None,
}


def visit(api: Api, url: str, more: str = "", method: str = "GET", body: bytes = b"") -> Response:
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc) == ("http", "simulator:1234")
    return api.send(method, f"{parts.path}?{parts.query}{more}", {}, body, root="")


def test_a_key_is_valid_once_its_owner_confirmed_it(api: Api) -> None:
    status, wanted = ask_for_key(api, WISH)
    assert (status, wanted["state"]) == (200, "pendingValidation")
    key, url = wanted["consumerKey"], wanted["validationUrl"]
    assert api.call("GET", "/dedicated/server", key=key) == NOT_VALID

    page = visit(api, url)
    assert page.status == 200 and b"GET /dedicated/server" in page.body and b"<form" in page.body
    assert api.call("GET", "/dedicated/server", key=key) == NOT_VALID

    assert b"validated" in visit(api, url, method="POST", body=b"confirm=1").body
    assert api.call("GET", "/dedicated/server", key=key) == (200, [NAME, OTHER])
    assert api.call("GET", SERVER, key=key) == NOT_GRANTED
    assert visit(api, url).status == 404


def test_a_key_is_its_owners(api: Api) -> None:
    _, wanted = ask_for_key(api, WISH)
    url = wanted["validationUrl"]
    assert visit(api, url, "&confirm=1&account=nobody").status == 403
    assert visit(api, url, f"&confirm=1&account={STRANGER}").status == 200
    assert api.call("GET", "/dedicated/server", key=wanted["consumerKey"]) == (200, [FOREIGN])


def test_a_key_can_be_refused(api: Api) -> None:
    _, wanted = ask_for_key(api, WISH)
    assert b"refused" in visit(api, wanted["validationUrl"], "&confirm=0").body
    assert api.call("GET", "/dedicated/server", key=wanted["consumerKey"]) == NOT_VALID


def test_confirmation_leads_back_to_the_application(api: Api) -> None:
    _, wanted = ask_for_key(api, {**WISH, "redirection": "https://app.example/"})
    page = visit(api, wanted["validationUrl"], "&confirm=1")
    assert (page.status, page.headers["Location"]) == (302, "https://app.example/")


def test_the_operator_confirms_what_waits(api: Api) -> None:
    _, wanted = ask_for_key(api, {**WISH, "allowedIPs": ["127.0.0.1/32"]})
    SimulatorServer(api.front_end).control(confirm_credential=True)
    assert api.call("GET", "/dedicated/server", key=wanted["consumerKey"])[0] == 200
    elsewhere = {"key": wanted["consumerKey"], "X_Forwarded_For": "192.0.2.1"}
    assert api.call("GET", "/dedicated/server", **elsewhere) == NOT_VALID


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        {"accessRules": []},
        {"accessRules": ["GET /me"]},
        {"accessRules": [{"method": "PATCH", "path": "/me"}]},
        {"accessRules": [{"method": "GET", "path": "me"}]},
        {"accessRules": [{"method": "GET"}]},
        {**WISH, "allowedIPs": ["everywhere"]},
        {**WISH, "allowedIPs": 4},
    ],
)
def test_a_wish_that_makes_no_sense(api: Api, document: object) -> None:
    status, error = ask_for_key(api, document)
    assert (status, error["class"]) == (400, "Client::BadRequest")
    assert len(api.credentials.consumer_keys) == 1


def test_a_key_is_for_an_application(api: Api) -> None:
    assert ask_for_key(api, WISH, application="none")[1]["errorCode"] == "INVALID_KEY"


# Service accounts.


def test_a_service_account_fences(api: Api) -> None:
    status, given = api.token()
    assert (status, given["token_type"], given["expires_in"]) == (200, "Bearer", 3599)
    token = given["access_token"]
    assert api.bearer("GET", "/dedicated/server", token) == (200, [NAME, OTHER])
    assert api.bearer("POST", f"{SERVER}/reboot", token)[0] == 200
    api.clock.advance(TIMING.queue_delay)
    assert api.centre.state()["tasks"][0]["status"] == "doing"


def test_a_service_account_without_its_secret(api: Api) -> None:
    for client, secret in ((CLIENT_ID, "wrong"), ("EU.0", CLIENT_SECRET)):
        status, error = api.token(client, secret)
        assert (status, error["error"]) == (401, "invalid_client")
    form = f"grant_type=password&client_id={CLIENT_ID}&client_secret={CLIENT_SECRET}".encode()
    response = api.send("POST", "/auth/oauth2/token", {}, form, root="")
    assert json.loads(response.body)["error"] == "unsupported_grant_type"


def test_a_token_expires(api: Api) -> None:
    api.credentials.service_accounts[CLIENT_ID].token_lifetime = 10
    given = api.token()[1]
    token = given["access_token"]
    assert given["expires_in"] == 10
    api.clock.advance(9)
    assert api.bearer("GET", SERVER, token)[0] == 200
    api.clock.advance(1)
    assert api.bearer("GET", SERVER, token)[0] == 401
    assert api.bearer("GET", SERVER, "made-up")[0] == 401


def test_a_service_account_acts_where_it_is_granted(api: Api) -> None:
    api.credentials.service_accounts[CLIENT_ID].grants = {
        NAME: ["dedicatedServer:apiovh:get", "dedicatedServer:apiovh:boot/*"],
        FOREIGN: ["*"],
    }
    token = api.token()[1]["access_token"]
    denied = {
        "class": "Client::Forbidden",
        "message": "User not granted for this request",
        "errorCode": "FORBIDDEN",
        "httpCode": "403 Forbidden",
        "details": {
            "unauthorizedActionsByAuthentication": "",
            "unauthorizedActionsByIAM": "dedicatedServer:apiovh:reboot",
        },
    }
    assert api.bearer("GET", "/dedicated/server", token) == (200, [NAME])
    assert api.bearer("GET", SERVER, token)[0] == 200
    assert api.bearer("GET", f"{SERVER}/boot/1", token)[0] == 200
    assert api.bearer("POST", f"{SERVER}/reboot", token) == (403, denied)
    assert api.bearer("GET", f"/dedicated/server/{OTHER}", token)[0] == 403
    assert api.bearer("GET", f"/dedicated/server/{FOREIGN}", token) == NO_SERVICE
    assert api.bearer("GET", "/me", token)[0] == 403
    assert api.centre.state()["tasks"] == []


CHECK = f"/iam/resource/urn%3Av1%3Aeu%3Aresource%3AdedicatedServer%3A{NAME}/authorization/check"


def check(api: Api, document: object, path: str = CHECK) -> Answer:
    token = api.token()[1]["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    response = api.send("POST", path, headers, json.dumps(document).encode(), root="/v2")
    return response.status, json.loads(response.body)


def test_a_service_account_can_ask_what_it_may_do(api: Api) -> None:
    reboot, get = "dedicatedServer:apiovh:reboot", "dedicatedServer:apiovh:get"
    assert api.get(SERVER)["iam"]["urn"] in CHECK.replace("%3A", ":")
    account = api.credentials.service_accounts[CLIENT_ID]
    for grants, may in (
        ({NAME: FENCING_ACTIONS}, [reboot, get]),
        ({NAME: [get], OTHER: FENCING_ACTIONS}, [get]),
        ({}, []),
    ):
        account.grants = grants
        may_not = [action for action in (reboot, get) if action not in may]
        assert check(api, {"actions": [reboot, get]}) == (
            200,
            {"authorizedActions": may, "unauthorizedActions": may_not},
        )
    assert api.centre.state()["tasks"] == []
    assert "POST /iam/resource/{resourceURN}/authorization/check" in [
        call["operation"] for call in api.centre.state()["calls"]
    ]


def test_what_cannot_be_asked_of_it(api: Api) -> None:
    for document in ({}, {"actions": "reboot"}, {"actions": [1]}):
        assert check(api, document)[0] == 400
    for path in (CHECK.replace(NAME, FOREIGN), CHECK.replace("%3Aeu%3A", "%3Aus%3A")):
        assert check(api, {"actions": []}, path) == NO_SERVICE
    api.set(authorization_check_granted=False)
    status, error = check(api, {"actions": []})
    assert (status, error["message"]) == (403, "User not granted for this request")
    assert api.bearer("GET", SERVER, api.token()[1]["access_token"])[0] == 200


def test_the_api_has_another_name(api: Api) -> None:
    url, timestamp = f"http://simulator:1234/v1{SERVER}", str(int(api.clock.time()))
    headers = {
        **api.headers("GET", SERVER),
        "X-Ovh-Signature": signature(CONSUMER_KEY, "GET", url, b"", timestamp),
    }
    response = api.send("GET", SERVER, headers, root="/v1")
    assert (response.status, json.loads(response.body)) == (200, api.get(SERVER))
    assert api.send("GET", SERVER, headers).status == 400
    api.key.rules = (Rule("GET", "/dedicated/server"),)
    assert json.loads(api.send("GET", SERVER, headers, root="/v1").body) == NOT_GRANTED[1]


def test_a_service_account_without_grants_has_no_list(api: Api) -> None:
    api.credentials.service_accounts["EU.1"] = ServiceAccount("EU.1", "s", NIC, grants={})
    token = api.token("EU.1", "s")[1]["access_token"]
    assert api.bearer("GET", "/dedicated/server", token)[0] == 403
    assert api.bearer("GET", "/auth/currentCredential", token)[0] == 403


# Servers.


def test_a_server_of_another_account_does_not_exist(api: Api) -> None:
    for name in (FOREIGN, "ns1.ovh.net", "ns1234"):
        for method, rest in (("GET", ""), ("GET", "/boot"), ("POST", "/reboot"), ("GET", "/task")):
            assert api.call(method, f"/dedicated/server/{name}{rest}") == NO_SERVICE
    assert api.call("PUT", f"/dedicated/server/{FOREIGN}", {"bootId": POWER_OFF}) == NO_SERVICE
    assert api.centre.servers[FOREIGN].netboot.id == DISK


def test_a_service_that_expired(api: Api) -> None:
    api.server.expired = True
    status, error = api.call("POST", f"{SERVER}/reboot")
    assert (status, error["message"]) == (460, "This service is expired")


def test_what_is_said_of_a_server(api: Api) -> None:
    api.server.display_name, api.server.state = "web-1", "hacked"
    said = api.get(SERVER)
    assert (said["bootId"], said["powerState"], said["state"]) == (DISK, "poweron", "hacked")
    assert (said["rescueMail"], said["monitoring"]) == (None, False)
    assert said["iam"]["displayName"] == "web-1"
    assert api.get(f"/dedicated/server/{OTHER}")["iam"]["displayName"] == OTHER


def test_a_server_is_changed(api: Api) -> None:
    changes: dict[str, Any]
    changes = {"bootId": RESCUE, "rescueMail": "root@example.org", "rescueSshKey": "ssh-rsa A"}
    changes |= {"monitoring": True, "noIntervention": True, "rootDevice": "/dev/sda1"}
    response = api.response("PUT", SERVER, changes)
    assert (response.status, response.body) == (200, b"null")
    said = api.get(SERVER)
    assert {name: said[name] for name in changes} == changes
    state = api.centre.state()
    assert state["netboot_changes"][0] | {"at": 0} == {
        "server": NAME,
        "at": 0,
        "from": DISK,
        "to": RESCUE,
        "by": f"rest:{NIC}",
    }
    record = state["servers"][NAME]
    assert (record["rescue_mail"], record["rescue_ssh_key"]) == ("root@example.org", "ssh-rsa A")


def test_the_address_of_a_server(api: Api) -> None:
    assert api.get(SERVER)["ip"].startswith("198.")
    api.server.address = "127.0.0.1"
    assert api.get(SERVER)["ip"] == "127.0.0.1"


def test_a_netboot_is_chosen_without_touching_the_root_device(api: Api) -> None:
    api.put({"rootDevice": "/dev/sda1"})
    api.put({"bootId": RESCUE})
    assert api.get(SERVER)["rootDevice"] == "/dev/sda1"


@pytest.mark.parametrize("empty", ["", None])
def test_a_rescue_mail_can_be_taken_back(api: Api, empty: str | None) -> None:
    assert api.put({"rescueMail": "root@example.org"})[0] == 200
    assert api.put({"bootId": RESCUE})[0] == 200
    assert api.get(SERVER)["rescueMail"] == "root@example.org"
    assert api.put({"bootId": DISK, "rescueMail": empty}) == (200, None)
    assert api.get(SERVER)["rescueMail"] is None
    assert api.centre.state()["servers"][NAME]["rescue_mail"] == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"bootId": "1"},
        {"bootId": True},
        {"bootId": None},
        {"rescueMail": 5},
        {"monitoring": "yes"},
        {"powerState": "poweroff"},
        {"bootID": 1},
        [],
    ],
)
def test_a_change_that_is_wrong_in_part_changes_nothing(api: Api, changes: Any) -> None:
    if isinstance(changes, dict):
        changes = {"rescueSshKey": "ssh-rsa A", "noIntervention": True, **changes}
    before = api.get(SERVER)
    status, error = api.put(changes)
    assert (status, error["class"]) == (400, "Client::BadRequest")
    assert api.get(SERVER) == before
    assert api.centre.state()["netboot_changes"] == []


@pytest.mark.parametrize("netboot", [4711, 22])
def test_a_netboot_that_is_not_offered(api: Api, netboot: int) -> None:
    before = api.get(SERVER)
    assert api.put({"rescueSshKey": "ssh-rsa A", "bootId": netboot}) == refusal(
        404,
        f"Netboot id {netboot} is not valid, must be on list : 1, 1122, 1140, 1155, 230242,"
        " 203323, 95083",
        "Client::NotFound",
    )
    assert api.get(SERVER) == before


@pytest.mark.parametrize(
    ("attribute", "name"), [("refuses_mail", "rescueMail"), ("refuses_key", "rescueSshKey")]
)
def test_a_change_with_something_that_is_not_liked_is_refused_whole(
    api: Api, attribute: str, name: str
) -> None:
    setattr(api.server, attribute, True)
    status, error = api.put({"bootId": RESCUE, name: "something"})
    assert (status, error["class"]) == (400, "Client::BadRequest")
    assert name in error["message"]
    assert (api.get(SERVER)["bootId"], api.get(SERVER)[name]) == (DISK, None)
    assert api.put({"bootId": RESCUE, name: None}) == (200, None)
    assert api.centre.state()["servers"][NAME]["netboot"]["id"] == RESCUE


def test_a_script_takes_the_place_of_the_netboot_until_one_is_chosen(api: Api) -> None:
    api.server.boot_script = "#!ipxe"
    said = api.get(SERVER)
    assert (said["bootId"], said["bootScript"]) == (None, "#!ipxe")
    assert api.centre.state()["servers"][NAME]["boot_script"] == "#!ipxe"
    api.reboot()
    api.clock.advance(260)
    assert api.cuts() == ["hd"]
    assert api.put({"rescueMail": "root@example.org"})[0] == 200
    assert api.get(SERVER)["bootScript"] == "#!ipxe"
    assert api.put({"bootId": RESCUE})[0] == 200
    said = api.get(SERVER)
    assert (said["bootId"], said["bootScript"]) == (RESCUE, None)
    assert api.centre.state()["servers"][NAME]["boot_script"] == ""
    assert api.put({"bootScript": "#!ipxe"})[0] == 200
    assert api.get(SERVER)["bootId"] is None


def test_a_server_that_is_blocked_is_not_rebooted(api: Api) -> None:
    api.server.state = "hacked"
    assert api.get(SERVER)["state"] == "hacked"
    api.reboot()
    api.clock.advance(260)
    api.server.state = "hackedBlocked"
    status, error = api.call("POST", f"{SERVER}/reboot")
    assert (status, error["class"], "hacked" in error["message"]) == (
        403,
        "Client::Forbidden",
        True,
    )
    assert (api.get(SERVER)["state"], api.put({"bootId": RESCUE})[0]) == ("hackedBlocked", 200)
    assert len(api.centre.state()["tasks"]) == 1


def test_a_body_that_is_not_json(api: Api) -> None:
    body = b"bootId=1"
    response = api.send("PUT", SERVER, api.headers("PUT", SERVER, body), body)
    assert (response.status, json.loads(response.body)["message"]) == (400, "Invalid JSON received")


def test_netboots(api: Api) -> None:
    assert api.get(f"{SERVER}/boot") == [1, 1122, 1140, 1155, 230242, 203323, 95083]
    assert api.get(f"{SERVER}/boot?bootType=rescue") == [1122, 1140, 1155, 230242, 203323]
    assert api.get(f"{SERVER}/boot?bootType=power") == [POWER_OFF]
    assert api.get(f"{SERVER}/boot?bootType=network") == []
    assert api.get(f"{SERVER}/boot/{POWER_OFF}") == {
        "bootId": 95083,
        "bootType": "power",
        "kernel": "poweroff",
        "description": "Power-off server",
    }
    assert api.call("GET", f"{SERVER}/boot/4711") == refusal(
        404, "The requested object (bootId = 4711) does not exist", "Client::NotFound"
    )
    assert api.call("GET", f"{SERVER}/boot/hd")[0] == 400
    assert api.call("GET", f"{SERVER}/boot?bootType=disk")[0] == 400


def test_rescue_systems_and_what_is_called_so(api: Api) -> None:
    others = (OLD_RESCUE, WINDOWS_RESCUE, WINPE, INTERNAL_RESCUE)
    api.server.netboots = (*default_netboots(), *others)
    of_rescue = api.get(f"{SERVER}/boot?bootType=rescue")
    assert IPXE_SHELL.id in of_rescue and INTERNAL_RESCUE.id not in of_rescue
    assert {netboot.id for netboot in others[:3]} < set(of_rescue)
    assert api.get(f"{SERVER}/boot/{IPXE_SHELL.id}")["description"] == "iPXE shell"
    internal = api.get(f"{SERVER}/boot/{INTERNAL_RESCUE.id}")
    assert (internal["bootType"], internal["kernel"]) == ("internal", "rescue-customer")
    api.put({"bootId": INTERNAL_RESCUE.id})
    api.reboot()
    api.clock.advance(260)
    assert api.cuts() == ["rescue-customer"]


def test_a_netboot_that_nobody_can_describe_can_be_chosen(api: Api) -> None:
    api.server.netboots += (replace(OLD_RESCUE, description_status=500),)
    assert OLD_RESCUE.id in api.get(f"{SERVER}/boot?bootType=rescue")
    status, error = api.call("GET", f"{SERVER}/boot/{OLD_RESCUE.id}")
    assert (status, error["class"]) == (500, "Server::InternalServerError")
    assert api.call("GET", f"{SERVER}/boot/{RESCUE}")[0] == 200
    assert api.put({"bootId": OLD_RESCUE.id}) == (200, None)


def test_a_server_stays_on_a_netboot_that_was_retired(api: Api) -> None:
    retired = OLD_RESCUE.retired()
    api.server.netboots += (retired,)
    SimulatorServer(api.front_end).control(server=NAME, netboot=retired.id)
    assert api.get(SERVER)["bootId"] == retired.id
    assert retired.id not in api.get(f"{SERVER}/boot")
    assert api.call("GET", f"{SERVER}/boot/{retired.id}")[0] == 404
    api.reboot()
    api.clock.advance(260)
    assert api.cuts() == ["rescue-customer"]
    assert api.put({"bootId": DISK}) == (200, None)
    assert api.put({"bootId": retired.id})[0] == 404


def test_a_server_that_boots_the_power_entry_is_off_in_the_end(api: Api) -> None:
    api.put({"bootId": POWER_OFF})
    api.reboot()
    seen = [(0, api.get(SERVER)["powerState"])]
    for moment in (19, 20, 25, 26, 84, 85, 227, 228, 1000):
        api.clock.advance(moment - seen[-1][0])
        seen.append((moment, api.get(SERVER)["powerState"]))
        # The power cut at 25 is not shown, but it is the truth.
        power = api.centre.state()["servers"][NAME]["power"]
        assert power == ("off" if 25 <= moment < 85 or moment >= 228 else "on")
    assert {moment for moment, state in seen if state == "poweroff"} == {228, 1000}
    assert api.cuts() == ["poweroff"]

    api.reboot()
    api.clock.advance(20 + 5 + 60)
    assert api.get(SERVER)["powerState"] == "poweron"
    api.clock.advance(143)
    assert api.get(SERVER)["powerState"] == "poweroff"

    api.put({"bootId": DISK})
    assert api.get(SERVER)["powerState"] == "poweroff"
    api.clock.advance(240)
    api.reboot()
    api.clock.advance(240)
    assert api.get(SERVER)["powerState"] == "poweron"
    assert api.cuts() == ["poweroff", "poweroff", "hd"]


def test_the_power_cut_of_a_reboot_can_be_shown(api: Api) -> None:
    api.set(cut_shown=True)
    api.reboot()
    api.clock.advance(25)
    assert api.get(SERVER)["powerState"] == "poweroff"
    api.clock.advance(60)
    assert api.get(SERVER)["powerState"] == "poweron"


# Tasks.


def test_the_life_of_a_reboot(api: Api) -> None:
    api.put({"bootId": RESCUE})
    api.clock.utc_offset = 1
    status, task = api.call("POST", f"{SERVER}/reboot", {})
    assert status == 200
    assert (task["function"], task["status"], task["doneDate"]) == ("hardReboot", "init", None)
    seen: list[tuple[int, str]] = []
    for moment, cuts in ((0, 0), (10, 0), (19, 0), (20, 0), (25, 1), (259, 1), (260, 1)):
        api.clock.advance(moment - (seen[-1][0] if seen else 0))
        seen.append((moment, api.status(task["taskId"])))
        assert len(api.centre.state()["power_cuts"]) == cuts
    statuses = ["init", "todo", "todo", "doing", "doing", "doing", "done"]
    assert [status for _, status in seen] == statuses
    document = api.get(f"{SERVER}/task/{task['taskId']}")
    assert document["startDate"] == "2024-01-01T01:00:00+01:00"
    assert document["doneDate"] == document["lastUpdate"] == "2024-01-01T01:04:20+01:00"
    assert api.cuts() == ["rescue12-customer"]


def test_tasks_are_in_the_ground_truth(api: Api) -> None:
    api.reboot()
    api.centre.hard_reboot(OTHER, by="operator")
    api.clock.advance(20)
    tasks = api.centre.state()["tasks"]
    assert [(t["server"], t["status"], t["requested_by"]) for t in tasks] == [
        (NAME, "doing", f"rest:{NIC}"),
        (OTHER, "doing", "operator"),
    ]
    assert tasks[0]["id"] < tasks[1]["id"]


@pytest.mark.parametrize("when", [0, 10, 20, 259])
def test_a_second_task_is_refused(api: Api, when: float) -> None:
    task = api.reboot()
    api.clock.advance(when)
    assert api.call("POST", f"{SERVER}/reboot") == refusal(
        400,
        f"Task {task} of type hardReboot with status {api.status(task)} is already running on"
        f" server {NAME}",
        "Client::BadRequest::TaskAlreadyExists",
    )
    assert api.call("POST", f"/dedicated/server/{OTHER}/reboot")[0] == 200
    api.clock.advance(300)
    assert len(api.cuts()) == 2
    api.set(task_conflict_status=409)
    assert api.reboot() > task
    status, error = api.call("POST", f"{SERVER}/reboot")
    assert (status, error["class"]) == (409, "Client::Conflict::TaskAlreadyExists")


def test_a_reinstallation_is_in_the_way_and_reboots_nothing(api: Api) -> None:
    simulator = SimulatorServer(api.front_end)
    simulator.control(server=NAME, reinstall=100)
    task = api.get(f"{SERVER}/task")[0]
    expected = f"Task {task} of type reinstallServer with status todo is already running on"
    assert api.call("POST", f"{SERVER}/reboot")[1]["message"] == f"{expected} server {NAME}"
    api.clock.advance(50)
    assert api.status(task) == "doing"
    api.clock.advance(50)
    assert api.status(task) == "done"
    assert api.centre.state()["power_cuts"] == []
    api.reboot()


def test_what_an_operator_asks_for_is_in_the_way_too(api: Api) -> None:
    SimulatorServer(api.front_end).control(server=NAME, hard_reboot=True)
    assert api.call("POST", f"{SERVER}/reboot")[0] == 400
    assert api.get(f"{SERVER}/task?function=hardReboot&status=init") != []


def test_the_operator_needs_the_rest_api_for_that(api: Api) -> None:
    soap, both = SimulatorServer(SoapFrontEnd(api.centre)), SimulatorServer(api.front_end)
    document: dict[str, Any]
    for document in (
        {"server": NAME, "reinstall": 1},
        {"server": NAME, "stuck_task": "addVirtualMac"},
        {"confirm_credential": True},
    ):
        with pytest.raises(ControlError, match="the REST API is not there"):
            soap.control(**document)
    for document in (
        {"reinstall": 1},
        {"server": NAME, "reinstall": "long"},
        {"stuck_task": "addVirtualMac"},
        {"server": NAME, "stuck_task": True},
        {"server": NAME, "stuck_task": ""},
        {"confirm_credential": 1},
        {"settings": {"outcome": "lost"}},
        {"settings": {"rate_limit": 0}},
    ):
        with pytest.raises(ControlError):
            both.control(**document)
    assert api.centre.state()["tasks"] == []


def test_a_new_task_is_not_found_for_a_while(api: Api) -> None:
    api.set(task_unseen=15)
    task = api.reboot()
    expected = f"The requested object (taskId = {task}) does not exist"
    path = f"{SERVER}/task/{task}"
    api.clock.advance(14)
    assert api.call("GET", path) == refusal(404, expected, "Client::NotFound")
    assert api.get(f"{SERVER}/task") == [task]
    assert api.call("POST", f"{SERVER}/reboot")[0] == 400
    api.set(task_unseen_status=500)
    assert api.call("GET", path)[0] == 500
    api.clock.advance(1)
    assert api.status(task) == "todo"
    assert api.get(f"{SERVER}/task") == [task]


def test_a_list_shows_what_was_true_a_while_ago(api: Api) -> None:
    api.set(list_lag=30)
    task = api.reboot()
    seen: dict[str, list[int]] = {}
    for moment in range(320):
        listed = api.get(f"{SERVER}/task?function=hardReboot")
        assert listed == ([task] if moment >= 30 else [])
        for status in ("init", "todo", "doing", "done"):
            if api.get(f"{SERVER}/task?status={status}"):
                seen.setdefault(status, []).append(moment)
        assert api.status(task) == api.centre.state()["tasks"][0]["status"]
        api.clock.advance(1)
    # In truth it is in todo after 10 seconds, begins after 20 and is done after 260.
    assert {status: (at[0], at[-1]) for status, at in seen.items()} == {
        "init": (30, 39),
        "todo": (40, 49),
        "doing": (50, 289),
        "done": (290, 319),
    }


def test_a_list_that_is_late_forgets_late(api: Api) -> None:
    api.set(list_lag=60, task_purged=30)
    task = api.reboot()
    api.clock.advance(260 + 30)
    assert api.call("GET", f"{SERVER}/task/{task}")[0] == 404
    api.clock.advance(59)
    assert api.get(f"{SERVER}/task?status=done") == [task]
    api.clock.advance(1)
    assert api.get(f"{SERVER}/task") == []


def test_a_list_that_is_late_shows_no_cancellation_before_its_time(api: Api) -> None:
    api.key.rules = ALL_RULES
    api.set(list_lag=15)
    task = api.reboot()
    api.clock.advance(15)
    assert api.call("POST", f"{SERVER}/task/{task}/cancel") == (200, None)
    assert api.get(f"{SERVER}/task?status=init") == [task]
    api.clock.advance(14)
    assert api.get(f"{SERVER}/task?status=todo") == [task]
    api.clock.advance(1)
    assert api.get(f"{SERVER}/task?status=cancelled") == [task]


def test_a_task_that_is_stuck_is_in_nobodys_way(api: Api) -> None:
    SimulatorServer(api.front_end).control(server=NAME, stuck_task="addVirtualMac")
    api.clock.advance(10**6)
    (stuck,) = api.get(f"{SERVER}/task?status=todo")
    document = api.get(f"{SERVER}/task/{stuck}")
    assert (document["function"], document["status"]) == ("addVirtualMac", "todo")
    assert document["doneDate"] is None
    task = api.reboot()
    assert api.call("POST", f"{SERVER}/reboot")[1]["message"].startswith(f"Task {task} of type")
    api.clock.advance(260)
    assert (api.status(stuck), api.status(task), api.cuts()) == ("todo", "done", ["hd"])


def test_a_second_reboot_can_be_accepted_and_cuts_once_more(api: Api) -> None:
    api.set(refuses_second_reboot=False)
    first = api.reboot()
    api.clock.advance(100)
    second = api.reboot()
    assert (api.status(first), api.status(second)) == ("doing", "init")
    api.clock.advance(260)
    assert api.cuts() == ["hd", "hd"]
    assert (api.status(first), api.status(second)) == ("done", "done")
    SimulatorServer(api.front_end).control(server=NAME, reinstall=100)
    status, error = api.call("POST", f"{SERVER}/reboot")
    assert (status, error["message"].split(" with")[0][-15:]) == (400, "reinstallServer")


def test_a_second_task_of_another_kind_is_refused_all_the_same(api: Api) -> None:
    api.key.rules = ALL_RULES
    api.set(refuses_second_reboot=False)
    api.reboot()
    assert api.call("POST", f"{SERVER}/reinstall")[0] == 400


@pytest.mark.parametrize(
    ("offset", "form", "start", "end"),
    [
        (0, "zone", "2024-01-01T01:00:00+01:00", "2024-01-01T01:04:20+01:00"),
        (7200, "zone", "2024-01-01T03:00:00+01:00", "2024-01-01T03:04:20+01:00"),
        (-7200.0, "no zone", "2023-12-31T23:00:00", "2023-12-31T23:04:20"),
        (0, "null", None, None),
    ],
)
def test_dates_of_tasks_can_be_wrong(
    api: Api, offset: float, form: str, start: str | None, end: str | None
) -> None:
    api.set(date_offset=offset, date_form=form)
    api.clock.utc_offset = 1
    status, task = api.call("POST", f"{SERVER}/reboot")
    assert (status, task["startDate"], task["lastUpdate"], task["doneDate"]) == (
        *(200, start, start),
        None,
    )
    api.clock.advance(260)
    task = api.get(f"{SERVER}/task/{task['taskId']}")
    assert (task["startDate"], task["lastUpdate"], task["doneDate"]) == (start, end, end)
    assert api.centre.state()["tasks"][0]["accepted_at"] == 1000
    assert api.get("/auth/currentCredential")["creation"] is not None


def test_a_task_is_forgotten_after_its_end(api: Api) -> None:
    api.set(task_purged=30)
    task = api.reboot()
    api.clock.advance(260 + 29)
    assert api.status(task) == "done"
    api.clock.advance(1)
    assert api.call("GET", f"{SERVER}/task/{task}")[0] == 404
    assert api.get(f"{SERVER}/task") == []
    assert [task["status"] for task in api.centre.state()["tasks"]] == ["done"]


@pytest.mark.parametrize("outcome", ["cancelled", "customerError", "ovhError"])
@pytest.mark.parametrize("after_cut", [False, True])
def test_a_reboot_that_comes_to_nothing(api: Api, outcome: str, after_cut: bool) -> None:
    api.set(outcome=outcome, outcome_comment="No power unit answers", after_cut=after_cut)
    task = api.reboot()
    api.clock.advance(24)
    assert api.status(task) == "doing"
    api.clock.advance(1)
    document = api.get(f"{SERVER}/task/{task}")
    assert (document["status"], document["comment"]) == (outcome, "No power unit answers")
    assert len(api.centre.state()["power_cuts"]) == after_cut
    api.set(outcome="done")
    api.reboot()
    api.clock.advance(1000)
    assert len(api.centre.state()["power_cuts"]) == 1 + after_cut
    assert api.status(task) == outcome


def test_a_reboot_that_comes_to_nothing_once(api: Api) -> None:
    api.set(outcome="cancelled", outcome_comment="no operator", outcome_count=2)
    tasks = []
    for _ in range(3):
        tasks.append(api.reboot())
        api.clock.advance(300)
    assert [api.status(task) for task in tasks] == ["cancelled", "cancelled", "done"]
    assert api.get(f"{SERVER}/task/{tasks[2]}")["comment"] == ""
    assert api.cuts() == ["hd"]
    status, task = api.call("POST", f"/dedicated/server/{OTHER}/reboot")
    api.clock.advance(300)
    document = api.get(f"/dedicated/server/{OTHER}/task/{task['taskId']}")
    assert (status, document["status"]) == (200, "cancelled")


def test_a_task_that_never_finishes(api: Api) -> None:
    api.set(never_finishes=True)
    task = api.reboot()
    api.clock.advance(100_000)
    assert api.status(task) == "doing"
    assert api.cuts() == ["hd"]
    assert api.call("POST", f"{SERVER}/reboot")[0] == 400


def test_a_reboot_that_is_never_begun_stays_in_the_queue() -> None:
    api = Api(Timing(carried_out=False))
    task = api.reboot()
    api.clock.advance(100_000)
    assert api.status(task) == "todo"
    assert api.centre.state()["power_cuts"] == []


def test_a_task_is_cancelled_before_it_begins(api: Api) -> None:
    api.key.rules = ALL_RULES
    task = api.reboot()
    api.clock.advance(19)
    assert api.call("POST", f"{SERVER}/task/{task}/cancel") == (200, None)
    assert api.status(task) == "cancelled"
    second = api.reboot()
    api.clock.advance(20)
    status, error = api.call("POST", f"{SERVER}/task/{second}/cancel")
    assert (status, error["class"]) == (400, "Client::BadRequest")
    api.clock.advance(240)
    assert (api.status(task), api.status(second)) == ("cancelled", "done")
    assert api.centre.state()["servers"][NAME]["pending_reboots"] == 0
    assert len(api.centre.state()["power_cuts"]) == 1
    assert api.call("POST", f"{SERVER}/task/4711/cancel")[0] == 404


def test_tasks_are_listed_by_function_and_status(api: Api) -> None:
    first = api.reboot()
    api.clock.advance(260)
    api.front_end.tasks.reinstall(NAME, by="operator", seconds=100)
    install = api.get(f"{SERVER}/task?function=reinstallServer")
    assert api.get(f"{SERVER}/task") == [first, *install]
    assert api.get(f"{SERVER}/task?function=hardReboot") == [first]
    assert api.get(f"{SERVER}/task?status=todo") == install
    assert api.get(f"{SERVER}/task?function=hardReboot&status=doing") == []
    assert api.get(f"{SERVER}/task?function=addVirtualMac") == []
    assert api.call("GET", f"{SERVER}/task?status=over")[0] == 400
    assert api.get(f"/dedicated/server/{OTHER}/task") == []
    assert api.call("GET", f"/dedicated/server/{OTHER}/task/{first}")[0] == 404


def test_thousands_of_fencings(api: Api) -> None:
    for _ in range(2000):
        assert api.put({"bootId": POWER_OFF})[0] == 200
        api.reboot()
        api.clock.advance(300)
        assert api.get(SERVER)["powerState"] == "poweroff"
    assert api.cuts() == ["poweroff"] * 2000


# Pages.

PAGES = {"X_Pagination_Mode": "CachedObjectList-Pages"}


def test_ten_thousand_servers_take_two_calls() -> None:
    clock, names = VirtualClock(), [f"ns{i}.ip-192-0-2.eu" for i in range(10_000)]
    centre = DataCentre(clock, [Server(name) for name in names])
    api = Api()
    api.centre, api.front_end = centre, RestFrontEnd(centre)
    assert api.get("/dedicated/server") == names
    found: list[str] = []
    more = {"X_Pagination_Size": "99999"}
    while True:
        response = api.response("GET", "/dedicated/server", **PAGES, **more)
        found += [server["name"] for server in json.loads(response.body)]
        if "X-Pagination-Cursor-Next" not in response.headers:
            break
        more["X_Pagination_Cursor"] = response.headers["X-Pagination-Cursor-Next"]
    assert found == names
    assert centre.state()["calls_total"] == 1 + 2


def test_pages_of_a_size(api: Api) -> None:
    first = api.response("GET", "/dedicated/server", **PAGES, X_Pagination_Size="1")
    assert [server["name"] for server in json.loads(first.body)] == [NAME]
    cursor = first.headers["X-Pagination-Cursor-Next"]
    more = {"X_Pagination_Size": "1", "X_Pagination_Cursor": cursor}
    second = api.response("GET", "/dedicated/server", **PAGES, **more)
    assert [server["name"] for server in json.loads(second.body)] == [OTHER]
    assert "X-Pagination-Cursor-Next" not in second.headers
    large = api.response("GET", "/dedicated/server", **PAGES, X_Pagination_Size="9000")
    assert len(json.loads(large.body)) == 2


def test_pages_that_are_not_to_be_had(api: Api) -> None:
    api.set(pagination_ignored=True)
    response = api.response("GET", "/dedicated/server", **PAGES, X_Pagination_Size="1")
    assert (response.status, json.loads(response.body)) == (200, [NAME, OTHER])
    assert "X-Pagination-Cursor-Next" not in response.headers


@pytest.mark.parametrize(
    "headers",
    [
        {"X_Pagination_Cursor": "nonsense"},
        {"X_Pagination_Cursor": "YWZ0ZXI6OTk="},
        {"X_Pagination_Cursor": "YWZ0ZXI6"},
        {"X_Pagination_Size": "0"},
        {"X_Pagination_Size": "all"},
    ],
)
def test_a_page_that_cannot_be(api: Api, headers: dict[str, str]) -> None:
    assert api.call("GET", "/dedicated/server", **PAGES, **headers)[0] == 400


def page(api: Api) -> dict[str, Any]:
    status, documents = api.call("GET", "/dedicated/server", **PAGES)
    assert status == 200
    return next(document for document in documents if document["name"] == NAME)


def test_pages_are_as_old_as_the_cache(api: Api) -> None:
    assert page(api) == api.get(SERVER)
    api.set(cache_age=100)
    before = api.get(SERVER)
    api.clock.advance(10)
    api.put({"bootId": POWER_OFF, "rescueMail": "root@example.org"})
    api.reboot()
    for moment in (0, 50, 99):
        api.clock.advance(moment - (api.clock.monotonic() - 1010))
        assert page(api) == before
    assert api.get(SERVER)["bootId"] == POWER_OFF
    api.clock.advance(1)
    assert (page(api)["bootId"], page(api)["rescueMail"]) == (POWER_OFF, "root@example.org")
    # It has been off since 228.
    api.clock.advance(227)
    assert (api.get(SERVER)["powerState"], page(api)["powerState"]) == ("poweroff", "poweron")
    api.clock.advance(1)
    assert page(api)["powerState"] == "poweroff"


def test_what_happened_unobserved_reaches_pages_as_of_its_time(api: Api) -> None:
    api.set(cache_age=100)
    api.put({"bootId": POWER_OFF})
    api.reboot()
    api.clock.advance(228 + 50)
    assert page(api)["powerState"] == "poweron"
    api.clock.advance(50)
    assert page(api)["powerState"] == "poweroff"


def test_what_an_operator_does_reaches_pages_as_late(api: Api) -> None:
    api.set(cache_age=100)
    SimulatorServer(api.front_end).control(server=NAME, netboot=RESCUE)
    api.clock.advance(99)
    assert page(api)["bootId"] == DISK
    api.clock.advance(1)
    assert page(api)["bootId"] == RESCUE


def test_every_change_reaches_pages_as_late(api: Api) -> None:
    api.set(cache_age=100)
    api.put({"monitoring": True})
    api.clock.advance(99)
    assert page(api)["monitoring"] is False
    api.clock.advance(1)
    assert page(api)["monitoring"] is True


def test_a_cut_that_is_shown_reaches_pages_as_late(api: Api) -> None:
    api.set(cache_age=100, cut_shown=True)
    api.reboot()
    seen = []
    for _ in range(200):
        seen.append(page(api)["powerState"])
        api.clock.advance(1)
    # Cut at 25, booted at 85.
    assert seen == ["poweron"] * 125 + ["poweroff"] * 60 + ["poweron"] * 15


# Stale reads of one server.


def test_an_answer_about_a_server_can_be_of_a_while_ago(api: Api) -> None:
    api.set(read_lag=30)
    before = api.get(SERVER)
    api.put({"bootId": POWER_OFF, "rescueMail": "root@example.org"})
    api.reboot()
    seen = []
    for moment in range(300):
        if moment < 30:
            assert api.get(SERVER) == before
        seen.append((api.get(SERVER)["bootId"], api.get(SERVER)["powerState"]))
        truth = api.centre.state()["servers"][NAME]
        assert truth["netboot"]["id"] == POWER_OFF
        api.clock.advance(1)
    # In truth it is off after 228 seconds.
    assert seen == [
        *([(DISK, "poweron")] * 30),
        *([(POWER_OFF, "poweron")] * 228),
        *([(POWER_OFF, "poweroff")] * 42),
    ]


def test_a_stale_answer_never_shows_what_never_was(api: Api) -> None:
    api.set(read_lag=30)
    for netboot in (RESCUE, DISK, POWER_OFF):
        api.put({"bootId": netboot})
        api.clock.advance(20)
    # Changes at 0, 20 and 40; it is 60.
    seen = []
    for _ in range(40):
        seen.append(api.get(SERVER)["bootId"])
        api.clock.advance(1)
    assert seen == [DISK] * 10 + [POWER_OFF] * 30


@pytest.mark.parametrize(
    ("stale_reads", "seed", "stale"),
    [
        ("all", 0, [True, True, True, True]),
        ("alternating", 0, [True, False, True, False]),
        ("random", 0, [False, False, True, True]),
        ("random", 1, [True, False, False, True]),
    ],
)
def test_which_answers_are_stale(stale_reads: str, seed: int, stale: list[bool]) -> None:
    api = Api(seed=seed, read_lag=30, stale_reads=stale_reads)
    api.put({"bootId": RESCUE})
    other = f"/dedicated/server/{OTHER}"
    assert api.call("PUT", other, {"bootId": RESCUE})[0] == 200
    assert [api.get(SERVER)["bootId"] == DISK for _ in stale] == stale
    if stale_reads == "alternating":
        assert [api.get(other)["bootId"] for _ in range(2)] == [DISK, RESCUE]
    api.clock.advance(30)
    assert [api.get(SERVER)["bootId"] for _ in stale] == [RESCUE] * 4


def test_pages_and_answers_about_one_server_have_ages_of_their_own(api: Api) -> None:
    api.set(read_lag=10, cache_age=100)
    api.put({"bootId": RESCUE})
    api.clock.advance(10)
    assert (api.get(SERVER)["bootId"], page(api)["bootId"]) == (RESCUE, DISK)
    assert api.get(f"{SERVER}/boot/{RESCUE}")["bootId"] == RESCUE


# Limits, interceptors, the record.


def test_too_many_calls(api: Api) -> None:
    api.set(rate_limit=3)
    assert [api.call("GET", SERVER)[0] for _ in range(5)] == [200, 200, 200, 429, 429]
    response = api.response("GET", SERVER)
    assert response.headers["Retry-After"] == "1"
    assert json.loads(response.body)["class"] == "Client::TooManyRequests"
    api.credentials.consumer_keys["c"] = ConsumerKey("c", APPLICATION_KEY, STRANGER)
    assert api.call("GET", f"/dedicated/server/{FOREIGN}", key="c")[0] == 200
    assert api.send("GET", "/auth/time").status == 200
    api.clock.advance(0.5)
    assert api.call("GET", SERVER)[0] == 429
    api.clock.advance(0.5)
    assert [api.call("GET", SERVER)[0] for _ in range(4)] == [200, 200, 200, 429]
    api.set(retry_after=None)
    assert "Retry-After" not in api.response("GET", SERVER).headers


def test_an_interceptor_stands_before_the_call(api: Api) -> None:
    calls: list[Call] = []

    def lose(call: Call, proceed: Proceed) -> Response:
        calls.append(call)
        proceed()
        raise AnswerLost

    api.front_end.intercept = lose
    with pytest.raises(AnswerLost):
        api.call("POST", f"{SERVER}/reboot")
    assert calls == [Call("rest", "POST /dedicated/server/{serviceName}/reboot", NAME, 1)]
    assert len(api.centre.state()["tasks"]) == 1


def test_calls_are_recorded_and_secrets_are_not(api: Api) -> None:
    api.reboot()
    api.send("GET", "/auth/time")
    api.token()
    token = api.token()[1]["access_token"]
    api.bearer("GET", SERVER, token)
    api.call("GET", "/nothing/here")
    _, wanted = ask_for_key(api, WISH)
    state = api.centre.state()
    operations = [call["operation"] for call in state["calls"]]
    assert operations == [
        "POST /dedicated/server/{serviceName}/reboot",
        "GET /auth/time",
        "POST /auth/oauth2/token",
        "POST /auth/oauth2/token",
        "GET /dedicated/server/{serviceName}",
        "GET (unknown)",
        "POST /auth/credential",
    ]
    assert [c["status"] for c in state["credentials"] if c["kind"] == "consumer key"] == [
        "validated",
        "pendingValidation",
    ]
    text = json.dumps(state)
    for secret in (APPLICATION_SECRET, CONSUMER_KEY, CLIENT_SECRET, token, wanted["consumerKey"]):
        assert secret not in text
    assert CONSUMER_KEY not in repr(api.key) and APPLICATION_SECRET not in repr(
        list(api.credentials.applications.values())
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"timestamp_skew": -1},
        {"cache_age": 3601},
        {"cache_age": "old"},
        {"task_unseen": None},
        {"task_unseen_status": 410},
        {"task_purged": -1},
        {"task_conflict_status": 200},
        {"outcome": "doing"},
        {"pagination_ignored": 1},
        {"authorization_check_granted": None},
        {"outcome_count": 0},
        {"list_lag": -1},
        {"read_lag": 3601},
        {"stale_reads": "some"},
        {"refuses_second_reboot": 0},
        {"date_offset": "late"},
        {"date_offset": float("-inf")},
        {"date_form": "UTC"},
        {"after_cut": 1},
        {"rate_limit": 0},
        {"rate_limit": True},
        {"signature_status": 401},
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        RestSettings(**settings)


# Over sockets.


@pytest.fixture
def simulator(api: Api) -> Iterator[SimulatorServer]:
    with SimulatorServer(api.front_end, SoapFrontEnd(api.centre)) as server:
        yield server


def test_rest_and_soap_are_served_together(simulator: SimulatorServer) -> None:
    parts = urlsplit(simulator.url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=PATIENCE)
    for method, path, kind in (
        ("GET", "/1.0/auth/time", "application/json"),
        ("GET", "/1.0/none", "application/json"),
        ("DELETE", "/1.0/none", "application/json"),
        ("GET", "/?wsdl", "text/xml"),
        ("POST", "/", "text/xml"),
        ("GET", "/state", "application/json"),
    ):
        connection.request(method, path, b"")
        response = connection.getresponse()
        assert str(response.getheader("Content-Type")).startswith(kind), path
        response.read()
    connection.close()


def test_a_key_is_bound_to_the_address_that_a_connection_comes_from(
    api: Api, simulator: SimulatorServer
) -> None:
    url = f"{simulator.url}/1.0{SERVER}"
    timestamp = str(int(api.clock.time()))
    headers = {
        **api.headers("GET", SERVER),
        "X-Ovh-Signature": signature(CONSUMER_KEY, "GET", url, b"", timestamp),
    }
    statuses = []
    api.key.allowed_ips = ("127.0.0.2/32",)
    for address in ("127.0.0.1", "127.0.0.2"):
        connection = http.client.HTTPConnection(
            "127.0.0.1", simulator.port, timeout=PATIENCE, source_address=(address, 0)
        )
        connection.request("GET", f"/1.0{SERVER}", headers=headers)
        statuses.append(connection.getresponse().status)
        connection.close()
    assert statuses == [403, 200]


class Library:
    """The provider's own client library, pointed at the simulator."""

    def __init__(self, simulator: SimulatorServer, monkeypatch: pytest.MonkeyPatch) -> None:
        reason = "ovh is the REST client of this test"
        self.module = pytest.importorskip("ovh", reason=reason)
        client = pytest.importorskip("ovh.client", reason=reason)
        monkeypatch.setitem(client.ENDPOINTS, "simulator", f"{simulator.url}/1.0")
        token_url = f"{simulator.url}/auth/oauth2/token"
        monkeypatch.setitem(client.OAUTH2_TOKEN_URLS, "simulator", token_url)
        # Its OAuth2 library insists on HTTPS otherwise.
        monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")

    def client(self, **changed: str) -> Any:
        keys = {
            "application_key": APPLICATION_KEY,
            "application_secret": APPLICATION_SECRET,
            "consumer_key": CONSUMER_KEY,
        }
        return self.module.Client("simulator", timeout=PATIENCE, **{**keys, **changed})

    def service(self, **changed: str) -> Any:
        keys = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
        return self.module.Client("simulator", timeout=PATIENCE, **{**keys, **changed})


@pytest.fixture
def library(simulator: SimulatorServer, monkeypatch: pytest.MonkeyPatch) -> Library:
    return Library(simulator, monkeypatch)


def test_the_library_fences(api: Api, library: Library) -> None:
    client = library.client()
    assert client.get("/auth/time", _need_auth=False) == 1_704_067_200
    assert client.get("/dedicated/server") == [NAME, OTHER]
    (rescue,) = client.get(f"{SERVER}/boot", bootType="power")
    assert client.put(SERVER, bootId=rescue) is None
    task = client.post(f"{SERVER}/reboot")
    assert client.get(f"{SERVER}/task", function="hardReboot", status="init") == [task["taskId"]]
    with pytest.raises(library.module.exceptions.BadParametersError, match="is already running"):
        client.post(f"{SERVER}/reboot")
    api.clock.advance(260)
    client = library.client()  # One that knows the time.
    assert client.get(f"{SERVER}/task/{task['taskId']}")["status"] == "done"
    assert client.get(SERVER)["powerState"] == "poweroff"
    assert api.cuts() == ["poweroff"]


def test_the_library_tells_refusals_apart(api: Api, library: Library) -> None:
    errors, client = library.module.exceptions, library.client()
    with pytest.raises(errors.NotGrantedCall, match="This call has not been granted"):
        client.get("/me")
    with pytest.raises(errors.ResourceNotFoundError, match="This service does not exist"):
        client.get(f"/dedicated/server/{FOREIGN}")
    api.server.expired = True
    with pytest.raises(errors.ResourceExpiredError):
        client.get(SERVER)
    for changed, error in (
        ({"application_key": "0" * 16}, errors.InvalidKey),
        ({"application_secret": "0" * 32}, errors.BadParametersError),
        ({"consumer_key": "0" * 32}, errors.InvalidCredential),
    ):
        with pytest.raises(error):
            library.client(**changed).get(SERVER)
    api.key.status = "expired"
    with pytest.raises(errors.InvalidCredential):
        client.get("/dedicated/server")


def test_the_library_corrects_its_clock_once(api: Api, library: Library) -> None:
    client = library.client()
    client.get(SERVER)
    api.clock.offset += 600
    with pytest.raises(library.module.exceptions.BadParametersError, match="Query out of time"):
        client.get(SERVER)
    assert library.client().get(SERVER)["name"] == NAME


def test_the_library_logs_in_as_a_service_account(api: Api, library: Library) -> None:
    client = library.service()
    assert client.get("/dedicated/server") == [NAME, OTHER]
    assert client.post(f"{SERVER}/reboot")["function"] == "hardReboot"
    with pytest.raises(library.module.exceptions.Forbidden, match="User not granted"):
        client.get("/me")
    with pytest.raises(library.module.exceptions.OAuth2FailureError, match="invalid_client"):
        library.service(client_secret="wrong").get(SERVER)


def test_the_library_asks_for_a_consumer_key(api: Api, library: Library) -> None:
    client = library.client(consumer_key="")
    wish = client.new_consumer_key_request()
    wish.add_rules(library.module.API_READ_ONLY, "/dedicated/server")
    wanted = wish.request()
    assert wanted["state"] == "pendingValidation"
    with pytest.raises(library.module.exceptions.InvalidCredential):
        client.get("/dedicated/server")
    with urllib.request.urlopen(f"{wanted['validationUrl']}&confirm=1", timeout=PATIENCE) as done:
        assert b"validated" in done.read()
    assert client.get("/dedicated/server") == [NAME, OTHER]


# The process.


def test_the_process_serves_rest(tmp_path: Path) -> None:
    arguments = [
        *("--account", "nic-ovh:password", "--server", "ns1.ovh.net", "--consumer-key", "ck"),
        *("--application", f"{APPLICATION_KEY}:{APPLICATION_SECRET}", "--cache-age", "60"),
        *("--task-unseen", "3600", "--task-purged", "5", "--rate-limit", "2"),
        *("--service-account", "EU.1:se:cret", "--cut-delay", "0", "--boot-delay", "0"),
    ]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.simulator", *arguments],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
    ) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            server = "/1.0/dedicated/server/ns1.ovh.net"
            status, task = signed(url, "POST", f"{server}/reboot")
            assert (status, task["function"]) == (200, "hardReboot")
            assert signed(url, "GET", f"{server}/task/{task['taskId']}")[0] == 404
            with urllib.request.urlopen(f"{url}/state", timeout=PATIENCE) as response:
                state = json.load(response)
            assert [task["server"] for task in state["tasks"]] == ["ns1.ovh.net"]
            assert [entry["account"] for entry in state["credentials"]] == ["nic-ovh"] * 2
        finally:
            process.kill()


def signed(url: str, method: str, path: str) -> Answer:
    """A call of the simulator's process, with the consumer key `ck`."""
    parts, timestamp = urlsplit(url), str(int(time.time()))
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=PATIENCE)
    headers = {
        "X-Ovh-Application": APPLICATION_KEY,
        "X-Ovh-Consumer": "ck",
        "X-Ovh-Timestamp": timestamp,
        "X-Ovh-Signature": signature("ck", method, url + path, b"", timestamp),
    }
    connection.request(method, path, b"", headers)
    response = connection.getresponse()
    answer = response.status, json.loads(response.read())
    connection.close()
    return answer


# The provider's description.


class Description:
    """The provider's OpenAPI description, and whether an answer is as it says."""

    def __init__(self) -> None:
        self._document = json.loads(DESCRIPTION.read_text())

    @property
    def calls(self) -> list[tuple[str, str]]:
        paths = self._document["paths"]
        return [(method.upper(), path) for path in paths for method in paths[path]]

    def check_answer(self, method: str, path: str, answer: Any) -> None:
        good = self._document["paths"][path][method.lower()]["responses"]["200"]
        if "content" not in good:
            assert answer is None, path
        else:
            self.check(good["content"]["application/json"]["schema"], answer, f"{method} {path}")

    def check_page(self, answer: Any) -> None:
        schema = self._document["components"]["schemas"]["dedicated.server.DedicatedWithIAM"]
        self.check({"type": "array", "items": schema}, answer, "page")

    def check(self, schema: dict[str, Any], value: Any, where: str) -> None:
        """Every property has to be there, and no others: the provider leaves none out."""
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            return self.check(self._document["components"]["schemas"][name], value, where)
        if value is None:
            assert schema.get("nullable"), f"{where} may not be null"
            return None
        for part in schema.get("allOf", ()):
            self.check(part, value, where)
        if "enum" in schema:
            assert value in schema["enum"], f"{where}: {value}"
        if "type" in schema:
            kinds = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}
            assert type(value) is kinds[schema["type"]], f"{where}: {value!r}"
        self._check_format(schema.get("format"), value)
        for number, item in enumerate(value if "items" in schema else ()):
            self.check(schema["items"], item, f"{where}[{number}]")
        if "properties" in schema:
            assert set(value) == set(schema["properties"]), where
            for name, item in value.items():
                self.check(schema["properties"][name], item, f"{where}.{name}")
        return None

    @staticmethod
    def _check_format(form: str | None, value: Any) -> None:
        if form == "date-time":
            assert datetime.fromisoformat(value).tzinfo is not None
        elif form == "ipv4":
            ipaddress.IPv4Address(value)
        elif form == "uuid":
            uuid.UUID(value)
        else:
            assert form is None, form


def bodies(api: Api) -> dict[tuple[str, str], Any]:
    """A good answer of every call of the description, by method and path of that call."""
    server, answers = "/dedicated/server/{serviceName}", {}
    api.key.rules = ALL_RULES

    def ask(method: str, path: str, document: object = None, **parameters: int) -> Any:
        real = path.format(serviceName=NAME, **parameters)
        status, answers[method, path] = api.call(method, real, document)
        assert status == 200, path
        return answers[method, path]

    ask("GET", "/dedicated/server")
    ask("GET", server)
    ask("PUT", server, {"bootId": RESCUE})
    ask("GET", f"{server}/boot")
    ask("GET", f"{server}/boot/{{bootId}}", bootId=RESCUE)
    task = ask("POST", f"{server}/reboot")["taskId"]
    ask("GET", f"{server}/task")
    ask("POST", f"{server}/task/{{taskId}}/cancel", taskId=task)
    ask("GET", f"{server}/task/{{taskId}}", taskId=task)
    return answers


needs_description = pytest.mark.skipif(
    not DESCRIPTION.exists(), reason="the provider's OpenAPI description is not beside the project"
)


@needs_description
def test_answers_are_as_the_provider_describes_them(api: Api) -> None:
    description, answers = Description(), bodies(api)
    assert set(answers) == set(description.calls)
    for (method, path), answer in answers.items():
        description.check_answer(method, path, answer)
    description.check_page(api.call("GET", "/dedicated/server", **PAGES)[1])


@needs_description
def test_so_are_servers_and_tasks_in_every_state(api: Api) -> None:
    description, server = Description(), "/dedicated/server/{serviceName}"
    api.server.netboots = (*default_netboots(), Netboot(7, "ipxe", "network", "iPXE"))
    api.server.os, api.server.reverse, api.server.display_name = None, "", ""
    api.server.boot_script, api.server.state = "#!ipxe", "hackedBlocked"
    description.check_answer("GET", server, api.get(SERVER))
    api.server.state = "ok"
    api.put({"bootId": 7, "rescueMail": "a@example.org", "rescueSshKey": "k", "rootDevice": "/"})
    api.set(outcome="ovhError", after_cut=True)
    task = api.reboot()
    for _ in range(30):
        description.check_answer("GET", server, api.get(SERVER))
        document = api.get(f"{SERVER}/task/{task}")
        description.check_answer("GET", f"{server}/task/{{taskId}}", document)
        api.clock.advance(1)
    description.check_answer("GET", f"{server}/boot/{{bootId}}", api.get(f"{SERVER}/boot/7"))


def test_the_default_credentials_belong_to_the_account() -> None:
    credentials = default_credentials(NIC)
    assert credentials.consumer_keys[CONSUMER_KEY].account == NIC
    assert credentials.service_accounts[CLIENT_ID].account == NIC
