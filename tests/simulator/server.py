"""The simulator as an HTTP server: the provider's APIs, the ground truth, the operator's hand."""

from __future__ import annotations

import contextlib
import json
import socket
import socketserver
import ssl
import sys
import threading
import traceback
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import TracebackType
from typing import Any, final

from tests.simulator.control import control
from tests.simulator.frontend import AnswerLost, FrontEnd, Response

_MAX_BODY = 1 << 20  # bytes
_SETTLE_INTERVAL = 0.05  # seconds
_ABOUT = (
    b"Simulator of OVH dedicated servers: GET /state, POST /control, REST below /1.0/, /v2/ and /auth/,"
    b" SOAP by any other POST.\n"
)


@final
class SimulatorServer:
    """Serves front ends of one data centre, in a thread of its own, from `start()` to `stop()`.

    Entering and leaving it as a context manager does the same. While it serves, use the data centre
    with its lock held. Events are carried out as they become due, so that observers of power cuts
    and boots hear of them in time.
    """

    def __init__(
        self,
        *front_ends: FrontEnd,
        host: str = "127.0.0.1",
        port: int = 0,
        ssl_context: ssl.SSLContext | None = None,
        verbose: bool = False,
    ) -> None:
        """Listen on `port` (0: a free one); each request goes to the first that takes it."""
        if not front_ends:
            raise ValueError("a front end is needed")
        self.front_ends = front_ends
        self.data_centre = front_ends[0].data_centre
        self.scheme = "http" if ssl_context is None else "https"
        self.verbose = verbose
        self._http = _HttpServer(self, (host, port), ssl_context)
        self._thread = threading.Thread(target=self._serve, name="simulator", daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._http.server_address[1])

    @property
    def url(self) -> str:
        """Where it is, without a slash at the end."""
        return f"{self.scheme}://{self._http.server_address[0]!s}:{self.port}"

    def state(self) -> dict[str, Any]:
        """The ground truth."""
        with self.data_centre.lock:
            return self.data_centre.state()

    def control(self, **document: Any) -> None:
        """Do what POST /control would; raises ControlError."""
        control(self.data_centre, self.front_ends, document)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Stop serving and close all connections."""
        if self._thread.is_alive():
            self._http.shutdown()
            self._thread.join()
        self._http.server_close()
        self._http.close_connections()

    def __enter__(self) -> SimulatorServer:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _serve(self) -> None:
        self._http.serve_forever(poll_interval=_SETTLE_INTERVAL)

    def settle(self) -> None:
        """Carry out what is due."""
        with self.data_centre.lock:
            self.data_centre.settle()

    def respond(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Response:
        """Answer one HTTP request."""
        if (method, path) == ("GET", "/state"):
            return _json(200, self.state())
        if (method, path) == ("POST", "/control"):
            return self._respond_to_control(body)
        for front_end in self.front_ends:
            if front_end.takes(method, path):
                return front_end.handle(method, path, headers, body, self.scheme)
        if (method, path) == ("GET", "/"):
            return Response(200, {"Content-Type": "text/plain"}, _ABOUT)
        return _json(404, {"error": f"nothing answers {method} {path}"})

    def _respond_to_control(self, body: bytes) -> Response:
        try:
            control(self.data_centre, self.front_ends, json.loads(body))
        except (ValueError, RecursionError) as error:
            return _json(400, {"error": str(error)})
        return _json(200, {"done": True})


def _json(status: int, document: dict[str, Any]) -> Response:
    body = json.dumps(document, indent=2).encode() + b"\n"
    return Response(status, {"Content-Type": "application/json"}, body)


class _HttpServer(socketserver.ThreadingMixIn, HTTPServer):
    """A thread per connection; knows its connections, to be able to close them."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(
        self,
        simulator: SimulatorServer,
        address: tuple[str, int],
        ssl_context: ssl.SSLContext | None,
    ) -> None:
        self.simulator = simulator
        self._ssl_context = ssl_context
        self._connections: set[socket.socket] = set()
        self._connections_lock = threading.Lock()
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # HTTPServer looks the host's name up, which may take long and is of no use here.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        if self._ssl_context is not None:
            # The handshake is left to the first read, in the connection's own thread: a client may
            # be slow at it.
            connection = self._ssl_context.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        with self._connections_lock:
            self._connections.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        with self._connections_lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        with self._connections_lock:
            connections = list(self._connections)
        for connection in connections:
            with contextlib.suppress(OSError):  # The client may have been faster.
                connection.shutdown(socket.SHUT_RDWR)

    def service_actions(self) -> None:
        try:
            self.simulator.settle()
        except Exception:  # noqa: BLE001
            # An observer's error must not end the service.
            traceback.print_exc()

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            traceback.print_exc()


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version = "ovh-simulator"
    disable_nagle_algorithm = True
    wbufsize = -1  # Buffered: a response leaves as one piece.
    server: _HttpServer

    def do_GET(self) -> None:
        self._respond()

    do_POST = do_PUT = do_DELETE = do_GET

    def _respond(self) -> None:
        body = self._read_body()
        if body is None:
            return
        # As behind the provider's load balancer; in there, keys may be bound to addresses.
        headers = {"X-Forwarded-For": str(self.client_address[0]), **dict(self.headers.items())}
        try:
            response = self.server.simulator.respond(self.command, self.path, headers, body)
        except AnswerLost:
            self.close_connection = True
            return
        self._send(response)

    def _read_body(self) -> bytes | None:
        """The request's body; None once a request without a proper one was refused."""
        if "Transfer-Encoding" in self.headers:
            self._refuse(411, "a Content-Length is needed")
            return None
        length = self.headers.get("Content-Length", "0")
        if not (length.isascii() and length.isdigit()):
            self._refuse(400, "the Content-Length is not a number")
            return None
        if int(length) > _MAX_BODY:
            self._refuse(413, f"more than {_MAX_BODY} bytes")
            return None
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise ConnectionResetError("the client left before the end of its request")
        return body

    def _refuse(self, status: int, reason: str) -> None:
        # What follows on the connection cannot be told from the body that was not read.
        self.close_connection = True
        self._send(_json(status, {"error": reason}))

    def _send(self, response: Response) -> None:
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(response.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(response.body)

    def log_message(self, format: str, *args: Any) -> None:
        if self.server.simulator.verbose:
            super().log_message(format, *args)
