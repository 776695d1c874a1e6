"""The provider's SOAP API (SoAPI): RPC/encoded SOAP 1.1 with the wire shape of Perl's SOAP::Lite.

The provider's fault numbers are not known. Those here are the simulator's own, one per cause.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Callable
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from tests.simulator import wsdl
from tests.simulator.frontend import Interceptor, Response
from tests.simulator.model import (
    Call,
    DataCentre,
    HardReboot,
    Netboot,
    Server,
    UnknownNetboot,
    UnknownServer,
    check_flag,
    check_seconds,
)
from tests.simulator.operations import NAMESPACE, OPERATIONS, STRUCTS, Operation
from tests.simulator.sessions import Session

_SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
_ENCODING = "http://schemas.xmlsoap.org/soap/encoding/"
_HEADERS = {"Content-Type": "text/xml; charset=utf-8"}

_ENVELOPE_START = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    f'<soap:Envelope soap:encodingStyle="{_ENCODING}" xmlns:namesp1="{NAMESPACE}"'
    f' xmlns:soap="{_SOAP}" xmlns:soapenc="{_ENCODING}"'
    ' xmlns:xsd="http://www.w3.org/2001/XMLSchema"'
    ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soap:Body>'
)
_ENVELOPE_END = "</soap:Body></soap:Envelope>"

_EXTRA_FIELDS = (
    '<health xmlns:ext="http://soapi.ovh.com/extension" xsi:type="ext:healthStruct">'
    '<score xsi:type="ext:percent">97</score></health>'
)
_STRUCTS_WITH_EXTRA_FIELDS = ("dedicatedNetbootStruct", "dedicatedHardRebootStatusStruct")

READINGS = ("A-empty", "A-previous", "B")


@dataclass(frozen=True)
class SoapSettings:
    """How this SoAPI behaves where the real one is not documented, or was seen to differ.

    Attributes:
        reading: what `end` means in a reboot's status. `A-empty`: nothing until the reboot is over;
            `A-previous`: the end that was recorded last, so that of an earlier reboot until this
            one is over; `B`: from the beginning an estimate, `reboot_duration` after the start.
        single_session: whether an account has one session at most, whatever `multisession` says.
        session_lifetime: seconds from the login until the session expires; None for never. Holds
            for sessions that begin after it is set.
        extra_fields: whether netboots and statuses have a field of a type that no WSDL defines.
        unique_starts: whether a reboot's start is moved on, by whole seconds, until no other
            reboot of the server has it; if not, two of the same second look the same.
    """

    reading: str = "A-empty"
    single_session: bool = False
    session_lifetime: float | None = None
    extra_fields: bool = False
    unique_starts: bool = True

    def __post_init__(self) -> None:
        if self.reading not in READINGS:
            raise ValueError(f"reading: one of {', '.join(READINGS)} is needed")
        check_flag("single_session", self.single_session)
        check_flag("extra_fields", self.extra_fields)
        check_flag("unique_starts", self.unique_starts)
        if self.session_lifetime is not None:
            check_seconds("session_lifetime", self.session_lifetime)


class SoapFault(Exception):
    """What a call is answered with when it fails."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def _malformed(text: str) -> SoapFault:
    return SoapFault("Client", text)


def _invalid_login() -> SoapFault:
    return SoapFault("101", "invalid login or password")


def _invalid_session() -> SoapFault:
    return SoapFault("102", "your session is invalid or has expired, please log in again")


def _unknown_server(name: str) -> SoapFault:
    return SoapFault("201", f"you have no dedicated server {name}")


def _unknown_netboot(server: str, netboot_id: str) -> SoapFault:
    return SoapFault("202", f"netboot {netboot_id} is not available for {server}")


@dataclass(frozen=True)
class _Request:
    """A parsed call; parameters are in the order in which they came."""

    operation: str
    parameters: dict[str, str] = field(repr=False)


_Values = Mapping[str, str]
_Act = Callable[[_Values], Any]


class SoapFrontEnd:
    """SoAPI over a data centre. `settings` may be replaced at any time."""

    def __init__(
        self,
        data_centre: DataCentre,
        settings: SoapSettings | None = None,
        intercept: Interceptor | None = None,
    ) -> None:
        self.data_centre = data_centre
        self.settings = settings or SoapSettings()
        self.intercept = intercept
        self._acts: dict[str, _Act] = {
            "login": self._login,
            "logout": self._logout,
            "dedicatedList": self._list,
            "dedicatedInfo": self._info,
            "dedicatedNetbootInfo": self._netboot_info,
            "dedicatedNetbootGetAvailable": self._netboot_get_available,
            "dedicatedNetbootModifyById": self._netboot_modify,
            "dedicatedHardRebootDo": self._hard_reboot_do,
            "dedicatedHardRebootStatus": self._hard_reboot_status,
        }

    def takes(self, method: str, path: str) -> bool:
        """Every POST is SOAP, and every GET that asks for a WSDL."""
        return method == "POST" or (method == "GET" and _asks_for_wsdl(path))

    def handle(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, scheme: str = "http"
    ) -> Response:
        """Answer one HTTP request; `scheme` is the one it came by."""
        if method == "GET" and _asks_for_wsdl(path):
            return Response(200, dict(_HEADERS), wsdl.describe(_own_address(scheme, headers)))
        if method != "POST":
            return Response(405, {"Allow": "POST"})
        try:
            request = _parse(body)
            _check_action(request.operation, _header(headers, "SOAPAction"))
        except SoapFault as fault:
            return _encode_fault(fault)
        call = self._log(request)
        if self.intercept is None:
            return self._answer(request)
        return self.intercept(call, lambda: self._answer(request))

    def _log(self, request: _Request) -> Call:
        server, key = request.parameters.get("hostname"), request.parameters.get("session")
        with self.data_centre.lock:
            return self.data_centre.log_call("soap", request.operation, server, key)

    def _answer(self, request: _Request) -> Response:
        try:
            operation = OPERATIONS.get(request.operation)
            if operation is None:
                raise _malformed(f"there is no operation {request.operation}")
            _check_parameters(request, operation)
            with self.data_centre.lock:
                result = self._acts[request.operation](request.parameters)
        except SoapFault as fault:
            return _encode_fault(fault)
        return _encode_result(request.operation, operation, result, self.settings.extra_fields)

    # What a call is about.

    def _session(self, values: _Values) -> Session:
        session = self.data_centre.sessions.find(values["session"])
        if session is None:
            raise _invalid_session()
        return session

    def _server(self, values: _Values) -> Server:
        account = self._session(values).account
        try:
            return self.data_centre.server_of(account, values["hostname"])
        except UnknownServer:
            raise _unknown_server(values["hostname"]) from None

    def _caller(self, values: _Values) -> str:
        return f"soap:{self._session(values).account.nic}"

    # The operations.

    def _login(self, values: _Values) -> str:
        account = self.data_centre.accounts.get(values["nic"])
        if account is None or account.password != values["password"]:
            raise _invalid_login()
        settings = self.settings
        alone = settings.single_session or not _boolean("multisession", values)
        session = self.data_centre.sessions.login(account, settings.session_lifetime, alone=alone)
        return session.key

    def _logout(self, values: _Values) -> None:
        self.data_centre.sessions.logout(self._session(values))

    def _list(self, values: _Values) -> list[str]:
        account = self._session(values).account
        return [server.name for server in self.data_centre.servers_of(account)]

    def _info(self, values: _Values) -> dict[str, Any]:
        server = self._server(values)
        return {"hostname": server.name, "datacenter": server.datacenter, "os": server.os}

    def _netboot_info(self, values: _Values) -> dict[str, Any]:
        server = self._server(values)
        return _netboot_members(server.netboot, server.netboot_root)

    def _netboot_get_available(self, values: _Values) -> list[dict[str, Any]]:
        server = self._server(values)
        return [_netboot_members(netboot) for netboot in server.netboots if _is_offered(netboot)]

    def _netboot_modify(self, values: _Values) -> None:
        server = self._server(values)
        chosen = _offered_netboot(server, values["id"])
        self.data_centre.set_netboot(
            server.name,
            chosen.id,
            by=self._caller(values),
            root=values["root"],
            rescue_mail=values["rescueEmail"],
        )

    def _hard_reboot_do(self, values: _Values) -> None:
        server = self._server(values)
        self.data_centre.hard_reboot(server.name, by=self._caller(values))

    def _hard_reboot_status(self, values: _Values) -> dict[str, Any]:
        server = self._server(values)
        if not server.reported:
            return {"start": "", "end": ""}
        return {
            "start": _date(self._start(server.reported[-1])),
            "end": _date(self._reported_end(server)),
        }

    def _reported_end(self, server: Server) -> datetime | None:
        latest = server.reported[-1]
        if self.settings.reading == "A-empty":
            return self._end(latest)
        if self.settings.reading == "A-previous":
            return self._end(server.last_over) if server.last_over else None
        # An estimate in whole seconds that is not shorter than the reboot.
        return self._start(latest) + timedelta(seconds=math.ceil(latest.timing.reboot_duration))

    def _start(self, reboot: HardReboot) -> datetime:
        start = reboot.unique_start if self.settings.unique_starts else reboot.start
        assert start is not None, "a reported reboot has a start"
        return start

    def _end(self, reboot: HardReboot) -> datetime | None:
        # A start that was moved on must not lie after its end.
        return None if reboot.end is None else max(reboot.end, self._start(reboot))


# What the API says of the model.


def _is_offered(netboot: Netboot) -> bool:
    """Netboots of type power came with the REST API."""
    return netboot.type != "power"


def _offered_netboot(server: Server, netboot_id: str) -> Netboot:
    try:
        netboot = server.find_netboot(int(netboot_id))
    except (ValueError, UnknownNetboot):
        raise _unknown_netboot(server.name, netboot_id) from None
    if not _is_offered(netboot):
        raise _unknown_netboot(server.name, netboot_id)
    return netboot


def _netboot_members(netboot: Netboot, root: str = "") -> dict[str, Any]:
    disk = netboot.type == "harddisk"
    return {
        "kernel": netboot.kernel,
        "cpufamily": "" if disk else "x86_64",
        "root": root,
        "smp": True,
        "ipv6": True,
        "grsec": False,
        "hz": "" if disk else "1000",
        "id": netboot.id,
        "state": netboot.state,
    }


def _date(moment: datetime | None) -> str:
    return "" if moment is None else moment.strftime("%Y-%m-%d %H:%M:%S")


def _boolean(name: str, values: _Values) -> bool:
    text = values[name].strip()
    if text in ("true", "1"):
        return True
    if text in ("false", "0", ""):
        return False
    raise _malformed(f"{name} is not a boolean")


# Requests.


class _NoDoctype(ElementTree.TreeBuilder):
    """Refuses a document type: entities in it could be made to grow without bound."""

    def doctype(self, name: str, public_id: str | None, system_id: str | None) -> None:
        raise _malformed("a document type declaration is not allowed")


def _parse(body: bytes) -> _Request:
    try:
        envelope = ElementTree.fromstring(body, ElementTree.XMLParser(target=_NoDoctype()))
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise _malformed(f"not an XML document: {error}") from None
    if envelope.tag != f"{{{_SOAP}}}Envelope":
        raise _malformed("not a SOAP 1.1 envelope")
    calls = envelope.findall(f"{{{_SOAP}}}Body/*")
    if len(calls) != 1:
        raise _malformed("a SOAP body with one call is needed")
    namespace, _, operation = calls[0].tag.rpartition("}")
    if namespace != f"{{{NAMESPACE}":
        raise _malformed(f"the call is not in the namespace {NAMESPACE}")
    parameters = {_local_name(part.tag): part.text or "" for part in calls[0]}
    return _Request(operation, parameters)


def _local_name(tag: str) -> str:
    return tag.rpartition("}")[2]


def _check_action(operation: str, action: str | None) -> None:
    """SOAP::Lite refuses an action that does not fit the call; an absent or empty one passes."""
    if action and action.strip('"') not in ("", f"{NAMESPACE}#{operation}"):
        raise _malformed(f"SOAPAction shall match '{NAMESPACE}#{operation}'")


def _check_parameters(request: _Request, operation: Operation) -> None:
    """SOAP::Lite passes parameters by position, so all of them are needed, in order."""
    expected = [name for name, _ in operation.parameters]
    if list(request.parameters) != expected:
        raise _malformed(f"{request.operation} needs the parameters {', '.join(expected)}")


def _header(headers: Mapping[str, str], name: str) -> str | None:
    for key, value in headers.items():
        if key.lower() == name.lower():
            return value
    return None


def _asks_for_wsdl(path: str) -> bool:
    path, _, query = path.partition("?")
    return path.lower().endswith(".wsdl") or query.lower() == "wsdl"


def _own_address(scheme: str, headers: Mapping[str, str]) -> str:
    return f"{scheme}://{_header(headers, 'Host') or 'localhost'}/"


# Responses.


def _encode_result(name: str, operation: Operation, result: Any, extra_fields: bool) -> Response:
    tag = f"{name}Response"
    if operation.returns is None:
        element = f'<{tag} xmlns="{NAMESPACE}" />'
    else:
        value = _encode("return", operation.returns, result, extra_fields)
        element = f'<{tag} xmlns="{NAMESPACE}">{value}</{tag}>'
    return _envelope(200, element)


def _encode_fault(fault: SoapFault) -> Response:
    return _envelope(
        500,
        f"<soap:Fault><faultcode>soap:{fault.code}</faultcode>"
        f"<faultstring>{escape(fault.text)}</faultstring></soap:Fault>",
    )


def _envelope(status: int, element: str) -> Response:
    body = f"{_ENVELOPE_START}{element}{_ENVELOPE_END}"
    return Response(status, dict(_HEADERS), body.encode())


def _encode(tag: str, kind: str, value: Any, extra_fields: bool) -> str:
    """An element of a type as operations.py names them."""
    if value is None:
        return f'<{tag} xsi:nil="true" />'
    if kind.endswith("[]"):
        return _encode_array(tag, kind[:-2], value, extra_fields)
    if kind in STRUCTS:
        return _encode_struct(tag, kind, value, extra_fields)
    text = str(value).lower() if isinstance(value, bool) else escape(str(value))
    # SOAP::Lite closes an empty element at once.
    return f'<{tag} xsi:type="{kind}">{text}</{tag}>' if text else f'<{tag} xsi:type="{kind}" />'


def _encode_array(tag: str, kind: str, items: list[Any], extra_fields: bool) -> str:
    item_type = f"namesp1:{kind}" if kind in STRUCTS else kind
    head = f'{tag} soapenc:arrayType="{item_type}[{len(items)}]" xsi:type="soapenc:Array"'
    if not items:
        return f"<{head} />"
    return f"<{head}>{''.join(_encode('item', kind, i, extra_fields) for i in items)}</{tag}>"


def _encode_struct(tag: str, kind: str, members: Mapping[str, Any], extra_fields: bool) -> str:
    parts = [_encode(name, type_, members[name], extra_fields) for name, type_ in STRUCTS[kind]]
    if extra_fields and kind in _STRUCTS_WITH_EXTRA_FIELDS:
        parts.append(_EXTRA_FIELDS)
    return f'<{tag} xsi:type="namesp1:{kind}">{"".join(parts)}</{tag}>'
