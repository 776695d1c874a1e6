"""The one way out of the agent, `Network.exchange`, in this process on real sockets."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests import agent_module
from tests.agent.test_endings import full_port

agent = agent_module.load()

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"


@contextlib.contextmanager
def server(*pieces: bytes, pause: float = 0.0) -> Iterator[int]:
    """A server that sends these pieces to whoever connects; its port."""
    stopped = threading.Event()

    def serve() -> None:
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.recv(65536)
                for piece in pieces:
                    connection.sendall(piece)
                    if stopped.wait(pause):
                        return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield int(listener.getsockname()[1])
        stopped.set()
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


def ask(url: str, seconds: float) -> Any:
    """Send a GET request."""
    return agent.Network().exchange("GET", url, {}, None, seconds)


def test_an_answer() -> None:
    with server(GOOD) as port:
        answer = ask(f"http://127.0.0.1:{port}/", 5)
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"hi", "2")


def test_an_address_that_does_not_answer_leaves_time_for_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An IPv6 black hole."""
    with full_port() as hole, server(GOOD) as port:

        def resolve(*args: Any, **more: Any) -> Any:
            kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
            return [(*kind, ("127.0.0.1", hole)), (*kind, ("127.0.0.1", port))]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        begun = time.monotonic()
        answer = ask("http://api.example.com/", 6)
    assert answer.body == b"hi"
    assert 1.5 <= time.monotonic() - begun < 4, "a third of the limit"


@pytest.mark.parametrize(
    ("pieces", "pause"),
    [
        ([], 30),
        ([GOOD[:1]] * 60, 0.2),
        ([GOOD[:-2]] + [b"h"] * 60, 0.2),
        ([GOOD.replace(b"Length: 2", b"Length: 999")] + [b"h"] * 60, 0.2),
    ],
    ids=["silent", "a status line that drips", "a body that drips", "one that is cut short"],
)
def test_the_limit_is_one_over_all(pieces: list[bytes], pause: float) -> None:
    with server(*pieces, b"", pause=pause) as port:
        begun = time.monotonic()
        with contextlib.suppress(agent.NoAnswer):
            ask(f"http://127.0.0.1:{port}/", 1)
        assert time.monotonic() - begun < 2


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "RemoteDisconnected"),
        (b"\x16\x03\x01garbage\r\n\r\n", "no HTTP answer"),
        (GOOD.replace(b"Length: 2", b"Length: 9"), "cut short"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (9 << 20), "more than 8388608 bytes"),
    ],
)
def test_what_is_no_answer(answer: bytes, words: str) -> None:
    with server(answer) as port, pytest.raises(agent.NoAnswer, match=words):
        ask(f"http://127.0.0.1:{port}/", 10)


def test_no_redirect_is_followed() -> None:
    moved = b"HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    with server(moved) as port:
        assert ask(f"http://127.0.0.1:{port}/", 5).status == 307


def test_what_speaks_no_tls_gets_no_request() -> None:
    with server(GOOD) as port, pytest.raises(agent.NoAnswer, match="no connection to"):
        ask(f"https://127.0.0.1:{port}/", 5)
