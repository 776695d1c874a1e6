"""Faults on the wire: a proxy on loopback between the agent and the simulator.

What an interceptor in the simulator cannot do needs sockets: a refused connection, a reset, an
answer without an end. The agent makes one connection for each request, so the proxy reads one
request from a connection, spoils what it is told to spoil, and closes it.

`FAULTS` is the list of what can go wrong; `FaultProxy` does it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import re
import socket
import struct
import threading
import time
from types import TracebackType
from typing import Any, Callable

MANY = 10 << 20
"""Bytes of an answer that is much too long."""

HTML = b"<html><body><h1>Sorry</h1><p>We will be back soon.</p></body></html>"
BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a0 "aaaaaaaaaa">'
    + b"".join(b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 10))
    + b"]><b>&a9;</b>"
)

DENIALS = {401: "You must login first", 403: "This call has not been granted", 404: "No such thing"}

_SOAP_FAULT = (
    '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><e:Fault>'
    "<faultcode>e:999</faultcode><faultstring>internal error, please contact the support"
    "</faultstring></e:Fault></e:Body></e:Envelope>"
)


@dataclasses.dataclass(frozen=True)
class Request:
    """A request of the agent; `raw` is all of it, `operation` what it asks for."""

    method: str
    path: str
    raw: bytes
    operation: str


@dataclasses.dataclass(frozen=True)
class Answer:
    """An answer of the simulator."""

    status: int
    head: bytes
    body: bytes

    def with_body(self, body: bytes) -> bytes:
        """The answer with another body, as it goes over the wire."""
        length = b"Content-Length: %d" % len(body)
        return re.sub(rb"(?i)content-length: *\d+", length, self.head) + b"\r\n\r\n" + body


def read_request(connection: socket.socket) -> Request | None:
    """Read a request from a connection; None when the client left before its end."""
    data = _read_message(connection)
    if data is None:
        return None
    method, path, _ = data.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
    return Request(method, path, data, _operation(method, path, data))


def _operation(method: str, path: str, data: bytes) -> str:
    called = re.search(rb"Body>\s*<(?:[\w-]+:)?(\w+)", data)
    if called:
        return called.group(1).decode()
    path = re.sub(r"^/1\.0(/dedicated/server/[^/?]+)?", "", path)
    # The number of a task is another in each run.
    return f"{method} {re.sub(r'/task/[0-9]+', '/task/N', path)}"


def _read_message(connection: socket.socket) -> bytes | None:
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: *(\d+)", head)
    while length and len(body) < int(length.group(1)):
        more = connection.recv(65536)
        if not more:
            return None
        body += more
    return head + b"\r\n\r\n" + body


class Exchange:
    """One request and what the agent gets for it.

    Attributes:
        request: what the agent sent.
        spoils: what to do with it.
    """

    def __init__(
        self, proxy: FaultProxy, connection: socket.socket, request: Request, fault: Fault | None
    ) -> None:
        self.request = request
        self.fault = fault
        self._proxy = proxy
        self._connection = connection

    def proceed(self) -> Answer:
        """Let the simulator carry the request out; return its answer."""
        with socket.create_connection(("127.0.0.1", self._proxy.target)) as inner:
            inner.sendall(self.request.raw)
            data = _read_message(inner)
        if data is None:
            raise ConnectionAbortedError("the simulator has stopped")
        head, _, body = data.partition(b"\r\n\r\n")
        self._proxy.note_secrets(body)
        return Answer(int(head.split(b" ", 2)[1]), head, body)

    def send(self, data: bytes) -> None:
        """Send something to the agent; an OSError when it left."""
        self._connection.sendall(data)

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        """Send an answer that the simulator did not give."""
        lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", "Connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def hold(self) -> None:
        """Keep the agent waiting until it leaves."""
        while self._connection.recv(65536):
            pass

    def reset(self) -> None:
        """End the connection with a reset."""
        linger = struct.pack("ii", 1, 0)
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    def pause(self, seconds: float) -> None:
        """Wait, or fail at once when the proxy is stopped."""
        if self._proxy.stopped.wait(seconds):
            raise ConnectionAbortedError

    @property
    def is_soap(self) -> bool:
        """Whether the answer is expected in XML."""
        return not self.request.path.startswith(("/1.0/", "/auth/"))


@dataclasses.dataclass(frozen=True)
class Fault:
    """Something that goes wrong with an exchange.

    Attributes:
        act: does it; the connection is closed after it.
        effect: whether the simulator carries the request out.
        denial: whether it is a refusal, in OVH's own words.
        only: the API that has it, if not both.
    """

    name: str
    act: Callable[[Exchange], None]
    effect: bool
    denial: bool = False
    only: str = ""


REFUSED = "connection refused"


def _closed(exchange: Exchange) -> None:
    """Accepted and closed."""


def _reset_before(exchange: Exchange) -> None:
    exchange.reset()


def _reset_after(exchange: Exchange) -> None:
    exchange.proceed()
    exchange.reset()


def _reset_within(exchange: Exchange) -> None:
    answer = exchange.proceed()
    data = answer.with_body(answer.body)
    exchange.send(data[: len(data) - 5])
    exchange.reset()


def _time_out_before(exchange: Exchange) -> None:
    exchange.hold()


def _time_out_after(exchange: Exchange) -> None:
    exchange.proceed()
    exchange.hold()


def _carried_out_late(exchange: Exchange) -> None:
    exchange.hold()
    exchange.proceed()


def _cut_short(exchange: Exchange) -> None:
    answer = exchange.proceed()
    exchange.send(answer.with_body(answer.body + b" " * 100)[:-100])


def _drip(exchange: Exchange) -> None:
    answer = exchange.proceed()
    for byte in answer.with_body(answer.body):
        exchange.send(bytes([byte]))
        exchange.pause(1.0)


def _garbage(exchange: Exchange) -> None:
    exchange.proceed()
    exchange.send(b"\x16\x03\x01 \xff\xfe garbage\r\n\r\n" + bytes(range(256)))


def _endless(exchange: Exchange) -> None:
    exchange.proceed()
    exchange.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    while not exchange._proxy.stopped.is_set():
        exchange.send(b" " * 65536)


def _spoilt(spoil: Callable[[Answer, bool], bytes]) -> Callable[[Exchange], None]:
    """The simulator's answer with another body."""

    def act(exchange: Exchange) -> None:
        answer = exchange.proceed()
        exchange.send(answer.with_body(spoil(answer, exchange.is_soap)))

    return act


def _says(status: int, body: bytes, effect: bool = False, **headers: str) -> dict[str, Any]:
    """An answer that a proxy or a load balancer makes up."""

    def act(exchange: Exchange) -> None:
        if effect:
            exchange.proceed()
        exchange.answer(status, body, Content_Type="text/html", **headers)

    return {"act": act, "effect": effect}


def _denies(status: int) -> dict[str, Any]:
    """A refusal in OVH's form; SOAP has none with these statuses, so a page of HTML there."""

    def act(exchange: Exchange) -> None:
        body = json.dumps({"class": "Client::Refused", "message": DENIALS[status]}).encode()
        exchange.answer(status, HTML if exchange.is_soap else body)

    return {"act": act, "effect": False, "denial": True}


def _soap_fault(exchange: Exchange) -> None:
    exchange.answer(500, _SOAP_FAULT.encode(), Content_Type="text/xml")


def _nested(answer: Answer, soap: bool) -> bytes:
    if not soap:
        return b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    deep = b"<a>" * 100_000 + b"</a>" * 100_000
    return re.sub(rb"(<(\w+Response)[^<>]*?)(/>|>.*</\2>)", rb"\1>" + deep + rb"</\2>", answer.body)


def _malformed(answer: Answer, soap: bool) -> bytes:
    return answer.body[:-1] + b"<&" if soap else b"{" + answer.body + b",]"


def _wrong_types(answer: Answer, soap: bool) -> bytes:
    if soap:
        return re.sub(rb">[^<>]+</", b">many</", answer.body)
    return _json_with(answer.body, lambda value: 7 if isinstance(value, str) else "many")


def _missing_fields(answer: Answer, soap: bool) -> bytes:
    if soap:
        return re.sub(rb"<([\w-]+)[^<>]*(?:>[^<>]*</\1>|/>)", b"", answer.body)
    value = json.loads(answer.body)
    return json.dumps({} if isinstance(value, dict) else [None]).encode()


def _huge_numbers(answer: Answer, soap: bool) -> bytes:
    if soap:
        return re.sub(rb">[^<>]*\d[^<>]*</", b">" + b"9" * 40 + b"</", answer.body)
    return _json_with(answer.body, lambda value: 10**40 if type(value) is int else value)


def _json_with(body: bytes, change: Callable[[Any], Any]) -> bytes:
    """A JSON document with every value in it changed."""

    def changed(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: changed(each) for name, each in value.items()}
        if isinstance(value, list):
            return [changed(each) for each in value]
        return change(value)

    return json.dumps(changed(json.loads(body))).encode()


def _whole_answer_and_more(answer: Answer, soap: bool) -> bytes:
    return answer.body + b" " * MANY


FAULTS = (
    Fault(REFUSED, _closed, effect=False),  # the proxy closes its port instead
    Fault("accepted and closed", _closed, effect=False),
    Fault("reset before", _reset_before, effect=False),
    Fault("reset after", _reset_after, effect=True),
    Fault("reset within", _reset_within, effect=True),
    Fault("time-out before", _time_out_before, effect=False),
    Fault("time-out after", _time_out_after, effect=True),
    Fault("carried out late", _carried_out_late, effect=True),
    Fault("cut short", _cut_short, effect=True),
    Fault("drip", _drip, effect=True),
    Fault("empty", _spoilt(lambda answer, soap: b""), effect=True),
    Fault("empty, not carried out", **_says(200, b"")),
    Fault("HTML", **_says(200, HTML, effect=True)),
    Fault("HTML, not carried out", **_says(200, HTML)),
    Fault("malformed", _spoilt(_malformed), effect=True),
    Fault("entity bomb", _spoilt(lambda answer, soap: BOMB), effect=True),
    Fault("nesting", _spoilt(_nested), effect=True),
    Fault("wrong types", _spoilt(_wrong_types), effect=True),
    Fault("missing fields", _spoilt(_missing_fields), effect=True),
    Fault("huge numbers", _spoilt(_huge_numbers), effect=True),
    Fault("10 MiB", _spoilt(_whole_answer_and_more), effect=True),
    Fault("endless", _endless, effect=True),
    Fault("429", **_says(429, HTML)),
    Fault("429 with Retry-After", **_says(429, HTML, Retry_After="1")),
    Fault("500", **_says(500, HTML)),
    Fault("500, carried out", **_says(500, HTML, effect=True)),
    Fault("502", **_says(502, HTML)),
    Fault("503 with Retry-After", **_says(503, b"", Retry_After="1")),
    Fault("redirect", **_says(307, b"", Location="/1.0/elsewhere")),
    Fault("garbage", _garbage, effect=True),
    Fault("401", **_denies(401)),
    Fault("403", **_denies(403)),
    Fault("404", **_denies(404)),
    Fault("SOAP fault", _soap_fault, effect=False, denial=True, only="soap"),
)


class _Door:
    """A port of loopback that can be closed and opened again, and stays ours meanwhile."""

    def __init__(self) -> None:
        self._holder = _bound(0)
        self.port = int(self._holder.getsockname()[1])
        self._listener: socket.socket | None = None

    def open(self) -> None:
        if self._listener is None:
            self._listener = _bound(self.port)
            self._listener.listen(64)

    def close(self) -> None:
        """From now on connections are refused; whoever waits in `accept` gets an OSError."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def accept(self) -> socket.socket | None:
        """The next connection; None while the door is closed."""
        listener = self._listener
        if listener is None:
            return None
        try:
            return listener.accept()[0]
        except OSError:
            return None

    def give_up(self) -> None:
        self.close()
        self._holder.close()


def _bound(port: int) -> socket.socket:
    """A socket bound to that port. Several may be while only one of them listens."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    return bound


class Schedule:
    """Which fault hits which step of an action.

    A step is an operation and how often it was let through before: its first request is spoilt,
    the next one is let through.

    Attributes:
        faults: by step; those not hit yet.
        trace: what happened, for people.
    """

    def __init__(self, faults: dict[str, Fault], steps: tuple[str, ...] = ()) -> None:
        self.faults = dict(faults)
        self.steps = steps
        self.trace: list[str] = []
        self.passed: list[str] = []
        self._lock = threading.Lock()

    def refuses_at_first(self) -> bool:
        """Whether the first connection of all is to be refused."""
        return bool(self.steps) and self._is_refused(self.steps[0])

    def take(self, operation: str) -> tuple[str, Fault | None]:
        """The step that a request is, and the fault that it meets, once."""
        with self._lock:
            step = (
                f"{operation} #{sum(p.rpartition(' #')[0] == operation for p in self.passed) + 1}"
            )
            fault = self.faults.pop(step, None)
            if fault is None:
                self.passed.append(step)
            self.trace.append(f"{step}: {fault.name if fault else 'let through'}")
            return step, fault

    def refuses_after(self, step: str) -> bool:
        """Whether the connection that follows this step is to be refused."""
        place = self.steps.index(step) + 1 if step in self.steps else len(self.steps)
        return place < len(self.steps) and self._is_refused(self.steps[place])

    def refuse(self, step: str = "") -> None:
        """Note that the step after `step` (the first, without it) was refused."""
        place = self.steps.index(step) + 1 if step else 0
        self.faults.pop(self.steps[place], None)
        self.trace.append(f"{self.steps[place]}: {REFUSED}")

    def _is_refused(self, step: str) -> bool:
        return step in self.faults and self.faults[step].name == REFUSED


class FaultProxy:
    """Listens on loopback and passes requests on to the simulator, or does worse.

    Attributes:
        target: the simulator's port.
        schedule: what goes wrong.
        secrets: sessions and tokens that the simulator gave out.
        elsewhere: requests that followed a redirect.
        stopped: set when it is over.
    """

    def __init__(self, target: int, schedule: Schedule, log: pathlib.Path | None = None) -> None:
        """`log` is where the agent writes that a connection was refused; nothing else tells."""
        self.target = target
        self.schedule = schedule
        self.secrets: set[str] = set()
        self.elsewhere: list[str] = []
        self.stopped = threading.Event()
        self._log = log
        self._door = _Door()
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()

    @property
    def port(self) -> int:
        """The port for the agent."""
        return self._door.port

    def __enter__(self) -> FaultProxy:
        if self.schedule.refuses_at_first():
            self._in_thread(self._refuse_one, "", self._refusals())
        else:
            self._door.open()
        self._in_thread(self._serve)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stopped.set()
        self._door.give_up()
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def note_secrets(self, body: bytes) -> None:
        """Remember the sessions and tokens in an answer."""
        for pattern in (
            rb"<loginResponse[^>]*>\s*<return[^>]*>([^<]+)<",
            rb'"access_token": *"([^"]+)"',
        ):
            self.secrets.update(found.decode() for found in re.findall(pattern, body))

    def _in_thread(self, function: Callable[..., None], *args: Any) -> None:
        threading.Thread(target=function, args=args, daemon=True).start()

    def _serve(self) -> None:
        while not self.stopped.is_set():
            connection = self._door.accept()
            if connection is None:
                time.sleep(0.005)
                continue
            with self._lock:
                self._connections.add(connection)
            self._in_thread(self._handle, connection)

    def _handle(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            request = read_request(connection)
            if request is not None:
                self._exchange(connection, request)
        with self._lock:
            self._connections.discard(connection)

    def _exchange(self, connection: socket.socket, request: Request) -> None:
        if "elsewhere" in request.path:
            self.elsewhere.append(request.path)
        step, fault = self.schedule.take(request.operation)
        exchange = Exchange(self, connection, request, fault)
        if fault is not None:
            fault.act(exchange)
            return
        answer = exchange.proceed()
        refuses, refusals = self.schedule.refuses_after(step), self._refusals()
        if refuses:
            self._door.close()
        exchange.send(answer.with_body(answer.body))
        if refuses:
            connection.close()
            self._refuse_one(step, refusals)

    def _refuse_one(self, step: str, before: int) -> None:
        """Keep the door closed until the agent says once more than before that it was refused."""
        while self._refusals() == before:
            if self.stopped.wait(0.01):
                return
        self.schedule.refuse(step)
        self._door.open()

    def _refusals(self) -> int:
        written = self._log.read_text() if self._log and self._log.exists() else ""
        return written.count("refused)")
