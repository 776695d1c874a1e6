"""The simulator's SOAP API: what is on the wire, sessions, faults, both readings of a status."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.simulator import (
    READINGS,
    Account,
    AnswerLost,
    Call,
    DataCentre,
    Proceed,
    Response,
    Server,
    SoapFrontEnd,
    SoapSettings,
    Timing,
    VirtualClock,
)

NAMESPACE = "http://soapi.ovh.com/manager"
NAME, OTHER, FOREIGN = "ns1234.ovh.net", "ns567890.ip-203-0-113.eu", "ns99.ovh.net"
LOGIN = {"nic": "ab12345-ovh", "password": "secret", "language": "en", "multisession": "true"}
REBOOT = {"hostname": NAME, "reason": "fencing", "email": "", "emailLanguage": "en"}
TIMING = Timing(cut_delay=5, boot_delay=60, reboot_duration=240)


class Fault(Exception):
    """A SOAP fault that came back."""


def envelope(operation: str, parameters: dict[str, str], prolog: str = "") -> bytes:
    parts = "".join(f"<{name}>{value}</{name}>" for name, value in parameters.items())
    return (
        f'{prolog}<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>'
        f'<m:{operation} xmlns:m="{NAMESPACE}">{parts}</m:{operation}></e:Body></e:Envelope>'
    ).encode()


def decode(element: ElementTree.Element) -> Any:
    """The value of an element as strings, lists and dicts."""
    attributes = {key.rpartition("}")[2]: value for key, value in element.attrib.items()}
    if attributes.get("type") == "soapenc:Array":
        return [decode(item) for item in element]
    if len(element):
        return {part.tag.rpartition("}")[2]: decode(part) for part in element}
    return None if attributes.get("nil") == "true" else element.text or ""


class Api:
    """A front end on a virtual clock and a client of it that has logged in."""

    def __init__(self, settings: SoapSettings | None = None, timing: Timing = TIMING) -> None:
        self.clock = VirtualClock(utc_offset=2)
        accounts = [Account("ab12345-ovh", "secret"), Account("cd67890-ovh", "other")]
        servers = [Server(NAME), Server(OTHER), Server(FOREIGN, account="cd67890-ovh")]
        self.centre = DataCentre(self.clock, servers, accounts, timing=timing)
        self.front_end = SoapFrontEnd(self.centre, settings)
        self.session = self.login()

    def post(self, body: bytes, headers: dict[str, str] | None = None) -> Response:
        return self.front_end.handle("POST", "/", headers or {}, body)

    def wire(self, operation: str, **parameters: str) -> str:
        """The element inside the body of the response."""
        text = self.post(envelope(operation, parameters)).body.decode()
        match = re.search("<soap:Body>(.*)</soap:Body></soap:Envelope>$", text)
        assert match, text
        return match.group(1)

    def call(self, operation: str, **parameters: str) -> Any:
        response = self.post(envelope(operation, parameters))
        root = ElementTree.fromstring(response.body)
        if response.status != 200:
            raise Fault(f"{root.findtext('.//faultcode')} {root.findtext('.//faultstring')}")
        result = root.find(f".//{{{NAMESPACE}}}return")
        return None if result is None else decode(result)

    def ask(self, operation: str, **parameters: str) -> Any:
        """Call with the session."""
        return self.call(operation, session=self.session, **parameters)

    def login(self, **changes: str) -> str:
        return str(self.call("login", **{**LOGIN, **changes}))

    def choose(self, netboot_id: str, name: str = NAME, mail: str = "") -> None:
        self.ask(
            "dedicatedNetbootModifyById", hostname=name, id=netboot_id, root="", rescueEmail=mail
        )

    def reboot(self) -> None:
        self.ask("dedicatedHardRebootDo", **REBOOT)

    def status(self) -> tuple[str, str]:
        status = self.ask("dedicatedHardRebootStatus", hostname=NAME)
        return status["start"], status["end"]


# The wire.


def test_a_response_has_the_shape_of_soap_lite() -> None:
    api = Api()
    response = api.post(envelope("login", LOGIN))
    assert response.status == 200
    assert response.headers["Content-Type"] == "text/xml; charset=utf-8"
    assert response.body.startswith(b'<?xml version="1.0" encoding="UTF-8"?><soap:Envelope ')
    assert re.fullmatch(
        f'<loginResponse xmlns="{NAMESPACE}"><return xsi:type="xsd:string">[0-9a-f]{{40}}</return>'
        "</loginResponse>",
        api.wire("login", **LOGIN),
    )


def test_an_operation_without_result_answers_an_empty_element() -> None:
    api = Api()
    assert api.wire("logout", session=api.session) == f'<logoutResponse xmlns="{NAMESPACE}" />'


def test_an_array_of_strings() -> None:
    api = Api()
    assert api.wire("dedicatedList", session=api.session) == (
        f'<dedicatedListResponse xmlns="{NAMESPACE}">'
        '<return soapenc:arrayType="xsd:string[2]" xsi:type="soapenc:Array">'
        f'<item xsi:type="xsd:string">{NAME}</item><item xsi:type="xsd:string">{OTHER}</item>'
        "</return></dedicatedListResponse>"
    )


def test_a_struct_with_typed_members() -> None:
    api = Api()
    assert api.wire("dedicatedNetbootInfo", session=api.session, hostname=NAME) == (
        f'<dedicatedNetbootInfoResponse xmlns="{NAMESPACE}">'
        '<return xsi:type="namesp1:dedicatedNetbootStruct">'
        '<kernel xsi:type="xsd:string">hd</kernel>'
        '<cpufamily xsi:type="xsd:string" /><root xsi:type="xsd:string" />'
        '<smp xsi:type="xsd:boolean">true</smp><ipv6 xsi:type="xsd:boolean">true</ipv6>'
        '<grsec xsi:type="xsd:boolean">false</grsec><hz xsi:type="xsd:string" />'
        '<id xsi:type="xsd:int">1</id><state xsi:type="xsd:string">active</state>'
        "</return></dedicatedNetbootInfoResponse>"
    )


def test_a_fault() -> None:
    api = Api()
    response = api.post(envelope("login", {**LOGIN, "password": "wrong"}))
    assert response.status == 500
    assert response.headers["Content-Type"] == "text/xml; charset=utf-8"
    assert (
        b"<soap:Body><soap:Fault><faultcode>soap:101</faultcode>"
        b"<faultstring>invalid login or password</faultstring></soap:Fault></soap:Body>"
    ) in response.body


def test_text_is_escaped_both_ways() -> None:
    api = Api()
    with pytest.raises(Fault, match="no dedicated server a<b&c"):
        api.ask("dedicatedInfo", hostname="a&lt;b&amp;c")


def test_an_account_without_servers_gets_an_empty_array() -> None:
    api = Api()
    for server in api.centre.servers.values():
        server.account = "nobody"
    assert '<return soapenc:arrayType="xsd:string[0]" xsi:type="soapenc:Array" />' in api.wire(
        "dedicatedList", session=api.session
    )


# The operations.


def test_the_netboots_on_offer_leave_out_those_of_type_power() -> None:
    offered = Api().ask("dedicatedNetbootGetAvailable", hostname=NAME)
    kernels = {entry["kernel"]: int(entry["id"]) for entry in offered}
    assert kernels["hd"] == 1
    assert kernels["rescue12-customer"] == 230242
    assert "poweroff" not in kernels


def test_a_netboot_is_chosen_by_its_id() -> None:
    api = Api()
    api.choose("1122", mail="root@example.org")
    assert api.ask("dedicatedNetbootInfo", hostname=NAME)["kernel"] == "rescue64-pro"
    assert api.ask("dedicatedNetbootInfo", hostname=OTHER)["kernel"] == "hd"
    state = api.centre.state()
    assert state["servers"][NAME]["rescue_mail"] == "root@example.org"
    assert state["netboot_changes"][0]["by"] == "soap:ab12345-ovh"


@pytest.mark.parametrize("netboot_id", ["4711", "95083", "hd", "", "-1"])
def test_a_netboot_that_is_not_on_offer_is_refused(netboot_id: str) -> None:
    api = Api()
    with pytest.raises(Fault, match="soap:202"):
        api.choose(netboot_id)
    assert api.centre.state()["netboot_changes"] == []


def test_a_netboot_that_an_operator_chose_is_shown_whatever_it_is() -> None:
    api = Api()
    api.centre.set_netboot(NAME, 95083, by="operator")
    assert api.ask("dedicatedNetbootInfo", hostname=NAME)["kernel"] == "poweroff"


def test_a_hard_reboot_reaches_the_machine() -> None:
    api = Api()
    api.choose("1122")
    api.reboot()
    api.clock.advance(65)
    state = api.centre.state()
    assert state["servers"][NAME]["running"]["kernel"] == "rescue64-pro"
    assert state["power_cuts"][0]["requested_by"] == "soap:ab12345-ovh"


def test_the_details_of_a_server() -> None:
    api = Api()
    info = api.ask("dedicatedInfo", hostname=NAME)
    assert info == {"hostname": NAME, "datacenter": "rbx8", "os": "debian12_64"}
    api.centre.servers[NAME].os = None
    assert '<os xsi:nil="true" />' in api.wire("dedicatedInfo", session=api.session, hostname=NAME)


@pytest.mark.parametrize("name", [FOREIGN, "ns1234", "NS1234.OVH.NET", ""])
@pytest.mark.parametrize(
    "operation",
    [
        "dedicatedInfo",
        "dedicatedNetbootInfo",
        "dedicatedNetbootGetAvailable",
        "dedicatedHardRebootStatus",
    ],
)
def test_a_server_that_the_account_does_not_have_is_unknown(operation: str, name: str) -> None:
    with pytest.raises(Fault, match="soap:201"):
        Api().ask(operation, hostname=name)


def test_a_foreign_server_is_neither_rebooted_nor_changed() -> None:
    api = Api()
    with pytest.raises(Fault, match="soap:201"):
        api.ask("dedicatedHardRebootDo", **{**REBOOT, "hostname": FOREIGN})
    with pytest.raises(Fault, match="soap:201"):
        api.choose("1122", name=FOREIGN)
    foreign = api.centre.servers[FOREIGN]
    assert foreign.hard_reboots == [] and foreign.netboot.id == 1


# What start and end mean.


@pytest.mark.parametrize("reading", READINGS)
def test_a_server_that_was_never_rebooted_has_neither_start_nor_end(reading: str) -> None:
    assert Api(SoapSettings(reading=reading)).status() == ("", "")


@pytest.mark.parametrize("reading", ["A-empty", "A-previous"])
def test_reading_a_has_no_end_before_the_reboot_is_over(reading: str) -> None:
    api = Api(SoapSettings(reading=reading))
    api.reboot()
    assert api.status() == ("2024-01-01 02:00:00", "")
    api.clock.advance(239)
    assert api.status() == ("2024-01-01 02:00:00", "")
    api.clock.advance(1)
    assert api.status() == ("2024-01-01 02:00:00", "2024-01-01 02:04:00")


@pytest.mark.parametrize(("reading", "end"), [("A-empty", ""), ("A-previous", "02:04:00")])
def test_reading_a_at_the_second_reboot(reading: str, end: str) -> None:
    api = Api(SoapSettings(reading=reading))
    api.reboot()
    api.clock.advance(600)
    api.reboot()
    assert api.status() == ("2024-01-01 02:10:00", f"2024-01-01 {end}" if end else "")
    api.clock.advance(240)
    assert api.status() == ("2024-01-01 02:10:00", "2024-01-01 02:14:00")


def test_reading_b_has_an_end_in_the_future_from_the_beginning() -> None:
    api = Api(SoapSettings(reading="B"))
    api.reboot()
    for _ in range(3):
        assert api.status() == ("2024-01-01 02:00:00", "2024-01-01 02:04:00")
        api.clock.advance(200)


def test_the_estimate_is_not_shorter_than_the_reboot() -> None:
    timing = Timing(cut_delay=0, boot_delay=0, reboot_duration=2.5)
    api = Api(SoapSettings(reading="B"), timing)
    api.reboot()
    assert api.status() == ("2024-01-01 02:00:00", "2024-01-01 02:00:03")


@pytest.mark.parametrize("reading", READINGS)
def test_a_queued_reboot_leaves_the_status_as_it_was(reading: str) -> None:
    api = Api(SoapSettings(reading=reading))
    api.reboot()
    api.clock.advance(600)
    before = api.status()
    api.centre.timing = replace(TIMING, queue_delay=100)
    api.reboot()
    api.clock.advance(99)
    assert api.status() == before
    api.clock.advance(1)
    assert api.status()[0] == "2024-01-01 02:11:40"


def test_a_zone_and_an_offset_change_the_status() -> None:
    api = Api()
    api.clock.offset, api.clock.utc_offset = 30, -3.5
    api.reboot()
    assert api.status()[0] == "2023-12-31 20:30:30"


def test_two_reboots_in_the_same_second_have_two_starts() -> None:
    api = Api()
    api.reboot()
    api.clock.advance(0.4)
    api.reboot()
    assert api.status()[0] == "2024-01-01 02:00:01"


@pytest.mark.parametrize("reading", READINGS)
def test_two_reboots_in_the_same_second_can_have_one_start(reading: str) -> None:
    timing = Timing(cut_delay=0.1, boot_delay=0, reboot_duration=0.2)
    api = Api(SoapSettings(reading=reading, unique_starts=False), timing)
    seen = []
    for _ in range(2):
        api.reboot()
        api.clock.advance(0.3)
        seen.append(api.status())
    end = "02:00:01" if reading == "B" else "02:00:00"
    assert seen == [("2024-01-01 02:00:00", f"2024-01-01 {end}")] * 2


# Sessions.


@pytest.mark.parametrize(
    "changes", [{"password": "wrong"}, {"nic": "nobody-ovh"}, {"password": ""}, {"nic": ""}]
)
def test_a_login_with_wrong_credentials_opens_nothing(changes: dict[str, str]) -> None:
    api = Api()
    with pytest.raises(Fault, match="soap:101"):
        api.login(**changes)
    assert api.centre.state()["logins"] == 1


def test_sessions_of_one_account_live_side_by_side() -> None:
    api = Api()
    second = api.login()
    assert second != api.session
    assert api.ask("dedicatedList") == api.call("dedicatedList", session=second)


@pytest.mark.parametrize("multisession", ["false", "0", ""])
def test_a_login_without_multisession_ends_the_accounts_other_sessions(multisession: str) -> None:
    api = Api()
    other = api.login(nic="cd67890-ovh", password="other")
    api.login(multisession=multisession)
    with pytest.raises(Fault, match="soap:102"):
        api.ask("dedicatedList")
    assert api.call("dedicatedList", session=other) == [FOREIGN]


def test_a_single_session_ends_the_others_whatever_multisession_says() -> None:
    api = Api(SoapSettings(single_session=True))
    api.login()
    with pytest.raises(Fault, match="soap:102"):
        api.ask("dedicatedList")


def test_a_session_expires() -> None:
    api = Api(SoapSettings(session_lifetime=30))
    api.clock.advance(29)
    api.ask("dedicatedList")
    api.clock.advance(1)
    with pytest.raises(Fault, match="soap:102"):
        api.ask("dedicatedList")


def test_a_session_that_was_logged_out_is_no_longer_valid() -> None:
    api = Api()
    assert api.ask("logout") is None
    with pytest.raises(Fault, match="soap:102"):
        api.ask("logout")
    state = api.centre.state()
    assert (state["open_sessions"], state["logins"], state["logouts"]) == (0, 1, 1)


def test_without_a_session_nothing_is_done() -> None:
    api = Api()
    for session in ("", "0" * 40):
        with pytest.raises(Fault, match="soap:102"):
            api.call("dedicatedHardRebootDo", session=session, **REBOOT)
    assert api.centre.servers[NAME].hard_reboots == []


# Requests that are not what they should be.


@pytest.mark.parametrize("missing", list(LOGIN))
def test_every_parameter_is_needed(missing: str) -> None:
    parameters = {name: value for name, value in LOGIN.items() if name != missing}
    with pytest.raises(Fault, match="login needs the parameters nic, password, language"):
        Api().call("login", **parameters)


def test_parameters_are_needed_in_order() -> None:
    api = Api()
    with pytest.raises(Fault, match="needs the parameters"):
        api.call("dedicatedInfo", hostname=NAME, session=api.session)


def test_an_operation_that_does_not_exist() -> None:
    with pytest.raises(Fault, match="there is no operation dedicatedDestroy"):
        Api().ask("dedicatedDestroy")


BODY = envelope("login", LOGIN)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "not an XML document"),
        (b"<e:Envelope", "not an XML document"),
        (b"\xff\xfe\x00", "not an XML document"),
        (b'<?xml version="1.0" encoding="none"?><a/>', "not an XML document"),
        (b"<Envelope/>", "not a SOAP 1.1 envelope"),
        (BODY.replace(b"schemas.xmlsoap.org", b"www.w3.org"), "not a SOAP 1.1 envelope"),
        (BODY.replace(b"Body>", b"Header>"), "a SOAP body with one call is needed"),
        (BODY.replace(b"/manager", b"/other"), "not in the namespace"),
        (BODY.replace(b"<multisession>true", b"<multisession>yes"), "not a boolean"),
    ],
)
def test_a_malformed_request_is_the_clients_fault(body: bytes, text: str) -> None:
    response = Api().post(body)
    assert response.status == 500
    fault = response.body.decode()
    assert "<faultcode>soap:Client</faultcode>" in fault and text in fault


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_document_type_is_refused(encoding: str) -> None:
    prolog = '<!DOCTYPE e [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
    text = envelope("login", {**LOGIN, "nic": "&b;"}, prolog).decode()
    assert b"a document type declaration is not allowed" in Api().post(text.encode(encoding)).body


@pytest.mark.parametrize(
    ("action", "status"),
    [
        (f'"{NAMESPACE}#login"', 200),
        (f"{NAMESPACE}#login", 200),
        ('""', 200),
        ("", 200),
        (f'"{NAMESPACE}#logout"', 500),
    ],
)
def test_the_action_fits_the_call_or_is_empty(action: str, status: int) -> None:
    assert Api().post(BODY, {"soapaction": action}).status == status


def test_only_post_is_soap() -> None:
    assert Api().front_end.handle("PUT", "/", {}, BODY).status == 405


# What else there is.


def test_extra_fields_have_types_that_no_wsdl_defines() -> None:
    api = Api(SoapSettings(extra_fields=True))
    for operation in ("dedicatedNetbootInfo", "dedicatedHardRebootStatus"):
        wire = api.wire(operation, session=api.session, hostname=NAME)
        assert 'xmlns:ext="http://soapi.ovh.com/extension" xsi:type="ext:healthStruct"' in wire
    assert api.ask("dedicatedNetbootGetAvailable", hostname=NAME)[0]["health"] == {"score": "97"}
    assert "health" not in api.ask("dedicatedInfo", hostname=NAME)


@pytest.mark.parametrize("path", ["/soapi/soapi-re-1.59.wsdl", "/?wsdl", "/any?WSDL"])
def test_the_wsdl_names_the_address_it_was_asked_at(path: str) -> None:
    headers = {"host": "sim.example:1664"}
    response = Api().front_end.handle("GET", path, headers, b"", scheme="https")
    root = ElementTree.fromstring(response.body)
    wsdl = "{http://schemas.xmlsoap.org/wsdl/}"
    address = root.find(f".//{wsdl}port/{{http://schemas.xmlsoap.org/wsdl/soap/}}address")
    assert address is not None and address.get("location") == "https://sim.example:1664/"
    assert len(root.findall(f"{wsdl}portType/{wsdl}operation")) == 9


def test_calls_are_logged_without_credentials() -> None:
    api = Api()
    api.reboot()
    with pytest.raises(Fault):
        api.ask("dedicatedInfo", hostname="ns1")
    state = api.centre.state()
    assert [(call["operation"], call["server"]) for call in state["calls"]] == [
        ("login", None),
        ("dedicatedHardRebootDo", NAME),
        ("dedicatedInfo", "ns1"),
    ]
    assert state["calls"][1]["session"] == state["calls"][2]["session"] is not None
    assert "secret" not in str(state) and api.session not in str(state)


def test_an_interceptor_sees_the_call_and_decides() -> None:
    api = Api()
    seen: list[Call] = []

    def refuse_reboots(call: Call, proceed: Proceed) -> Response:
        seen.append(call)
        return Response(503) if call.operation == "dedicatedHardRebootDo" else proceed()

    api.front_end.intercept = refuse_reboots
    assert api.post(envelope("dedicatedHardRebootDo", {"session": "x", **REBOOT})).status == 503
    assert api.centre.servers[NAME].hard_reboots == []
    assert api.ask("dedicatedList") == [NAME, OTHER]
    assert seen[0] == Call("soap", "dedicatedHardRebootDo", NAME, 2)
    assert seen[1] == Call("soap", "dedicatedList", None, 3)


def test_an_interceptor_can_lose_the_answer_of_a_call_that_was_carried_out() -> None:
    api = Api()

    def lose(call: Call, proceed: Proceed) -> Response:
        proceed()
        raise AnswerLost

    api.front_end.intercept = lose
    with pytest.raises(AnswerLost):
        api.reboot()
    assert len(api.centre.servers[NAME].hard_reboots) == 1


@pytest.mark.parametrize(
    "settings",
    [{"reading": "C"}, {"session_lifetime": -1}, {"single_session": "yes"}, {"unique_starts": 0}],
)
def test_impossible_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        SoapSettings(**settings)
