"""A world in which a test chooses the answer of each call: for tests of single decisions."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Callable
from xml.sax.saxutils import escape

from tests import agent_module
from tests.harness import SERVER
from tests.safety.schedule import Schedule
from tests.safety.simulated_run import HARD_DISK, RESCUE, OAuth2World, RestWorld, World
from tests.simulator import Call, HardReboot, Proceed, Response, Server

agent = agent_module.load()

ANY = "any step"
"""Instead of a step: whatever the agent asks for about a server."""

_ONE_SERVER = "/dedicated/server/{serviceName}"
STEPS = {
    "dedicatedNetbootGetAvailable": "offered",
    "dedicatedNetbootModifyById": "set",
    "dedicatedNetbootInfo": "read",
    "dedicatedHardRebootDo": "reboot",
    "dedicatedHardRebootStatus": "status",
    f"GET {_ONE_SERVER}/boot": "offered",
    f"GET {_ONE_SERVER}/boot/{{bootId}}": "netboot",
    f"PUT {_ONE_SERVER}": "set",
    f"GET {_ONE_SERVER}": "read",
    f"POST {_ONE_SERVER}/reboot": "reboot",
    f"GET {_ONE_SERVER}/task": "tasks",
    f"GET {_ONE_SERVER}/task/{{taskId}}": "task",
    "GET /auth/time": "time",
    "POST /auth/oauth2/token": "login",
    "login": "login",
    "logout": "logout",
}
"""What the tests call the operations of both APIs. With SOAP `status` is both the list of the hard
reboots (`tasks`) and the progress of one (`task`)."""

When = Callable[[int, float], bool]
"""Whether the call of a step is meant, by its number (from 0) and the seconds since the start."""

Handler = Callable[[Proceed], Response]

POLL = "5"
"""Seconds between two questions whether a hard reboot is over."""

TOO_LONG = 20_000.0
"""Seconds of the virtual clock after which a run that does not end is ended."""


def nth(*numbers: int) -> When:
    """The calls with these numbers."""
    return lambda number, elapsed: number in numbers


def between(begin: float, end: float) -> When:
    """The calls from `begin` to before `end`, in seconds since the start."""
    return lambda number, elapsed: begin <= elapsed < end


def always(number: int, elapsed: float) -> bool:
    """Every call."""
    return True


class EndlessRun(BaseException):
    """The agent does not end. Not an Exception: the agent takes those for defects of its own."""


class Stage:
    """A world, what the agent asked for there, and the answers that a test gives.

    Attributes:
        steps: what the agent asked for: seconds since the start, step.
        limits: per request: seconds since the start, limit that the agent set.
    """

    def __init__(self, kind: type[World], schedule: Schedule, **options: str) -> None:
        """`options` are those of the agent with underscores: power_timeout="60"."""
        self.world = kind(schedule)
        self.centre = self.world.centre
        self.server = self.centre.server(SERVER)
        self.steps: list[tuple[float, str]] = []
        self.limits: list[tuple[float, float]] = []
        self._earlier = len(self.server.hard_reboots)
        self._handlers: list[tuple[str, When, Handler]] = []
        options = {"stonith_status_sleep": POLL, **options}
        self._options = {f"--{name.replace('_', '-')}": value for name, value in options.items()}
        self._put_in_between()

    def _put_in_between(self) -> None:
        world = self.world
        options = {**world.options(), **self._options}
        exchange = world.exchange

        def watched(
            method: str, url: str, headers: Mapping[str, str], body: bytes | None, seconds: float
        ) -> Any:
            self.limits.append((self.elapsed(), seconds))
            return exchange(method, url, headers, body, seconds)

        world.options = lambda: options
        world.exchange = watched
        world.front_end.intercept = self._intercept
        world.clock.at(world.begun + TOO_LONG, self._end)
        world.clock.sleep = self._passing(world.clock.sleep)

    def _end(self) -> None:
        raise EndlessRun

    def _passing(self, sleep: Callable[[float], None]) -> Callable[[float], None]:
        """That sleep, unless the agent goes round and round without letting time pass."""
        naps = 0

        def passing(seconds: float) -> None:
            nonlocal naps
            naps = 0 if seconds > 0 else naps + 1
            if naps > 1000:
                self._end()
            sleep(seconds)

        return passing

    def _intercept(self, call: Call, proceed: Proceed) -> Response:
        step = STEPS.get(call.operation, call.operation)
        number, elapsed = self.count(step), self.elapsed()
        self.steps.append((elapsed, step))
        for wanted, when, handler in self._handlers:
            meant = wanted == step or (wanted == ANY and step in STEPS.values() and step != "time")
            if meant and when(number, elapsed):
                return handler(proceed)
        return proceed()

    # Before the run

    def at(self, step: str, when: When, handler: Handler) -> None:
        """Let `handler` answer those calls; it may call `proceed` to have them carried out."""
        self._handlers.append((step, when, handler))

    def add_server(self, name: str) -> Server:
        """One more server of the account."""
        server = self.centre.servers[name] = Server(name)
        return server

    # Answers

    @staticmethod
    def lost_before(proceed: Proceed) -> Response:
        """Nothing is done and nothing answered."""
        raise agent.NoAnswer("lost before")

    @staticmethod
    def lost_after(proceed: Proceed) -> Response:
        """It is done, but nothing answered."""
        proceed()
        raise agent.NoAnswer("lost after")

    @staticmethod
    def bad_gateway(proceed: Proceed) -> Response:
        """A proxy's page."""
        return Response(502, {}, b"<html>Bad Gateway</html>")

    def denied(self, proceed: Proceed) -> Response:
        """A refusal in OVH's words."""
        return self.refused("Not for you: no such login")(proceed)

    def refused(self, words: str, kind: str = "Client::Forbidden", status: int = 403) -> Handler:
        """Answers with that refusal, with SOAP a fault, and does nothing."""
        if self.world.api != "soap":
            return answering(status, {"class": kind, "message": words})
        envelope = (
            '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><e:Fault>'
            f"<faultcode>e:1</faultcode><faultstring>{escape(words)}</faultstring>"
            "</e:Fault></e:Body></e:Envelope>"
        )
        return lambda proceed: Response(500, {}, envelope.encode())

    def taking(self, seconds: float, answer: Handler | None = None) -> Handler:
        """Answers after that time, as `answer` does; if None, truly."""

        def late(proceed: Proceed) -> Response:
            self.world.clock.sleep(seconds)
            return answer(proceed) if answer else proceed()

        return late

    def ignored(self, proceed: Proceed) -> Response:
        """A good answer to a choice of netboot that has no effect."""
        with self._netboot_kept():
            return proceed()

    def saying_netboot(self, netboot_id: int) -> Handler:
        """Answers as if that netboot were chosen."""

        def answer(proceed: Proceed) -> Response:
            with self._netboot_kept():
                self.server.netboot = self.server.find_netboot(netboot_id)
                return proceed()

        return answer

    @contextlib.contextmanager
    def _netboot_kept(self) -> Iterator[None]:
        self.centre.settle()  # what was due before this moment boots the real one
        kept = self.server.netboot
        try:
            yield
        finally:
            self.server.netboot = kept

    # After, and during it

    def run(self, defects: int = 0) -> World:
        """Run the agent to its end.

        A handler that fails looks like a defect of the agent, and like the status 1 that many a
        test expects: there are none but those that the test makes.
        """
        world = self.world.run()
        assert len(self.said("defect in fence_ovh")) == defects, world.log
        return world

    def elapsed(self) -> float:
        """Seconds since the start."""
        return self.world.clock.monotonic() - self.world.begun

    def duration(self) -> float:
        """Seconds that the run took."""
        return self.world.ended - self.world.begun

    def count(self, step: str) -> int:
        """How often it was asked for."""
        return len(self.times(step))

    def times(self, step: str) -> list[float]:
        """When it was asked for, in seconds since the start."""
        return [at for at, each in self.steps if each == step]

    def most_in_a_minute(self, since: float = 0.0) -> int:
        """The most requests that any 60 seconds have seen, from that second on."""
        sent = [at for at, _ in self.steps if at >= since]
        return max(sum(begin <= at < begin + 60 for at in sent) for begin in sent)

    def reboots(self) -> list[HardReboot]:
        """The hard reboots accepted since the start."""
        return self.server.hard_reboots[self._earlier :]

    def booted(self, server: str = SERVER) -> list[str]:
        """The types of netboot that the server booted at its power cuts since the start."""
        cuts = [cut for cut in self.centre.power_cuts if cut.at >= self.world.begun]
        return [cut.netboot.type for cut in cuts if cut.server == server and cut.netboot]

    def said(self, words: str) -> list[str]:
        """The messages with these words."""
        return [line for line in self.world.log if words in line]


def saying(old: str, new: str) -> Handler:
    """Answers with what the pattern `old` matches replaced."""

    def answer(proceed: Proceed) -> Response:
        response = proceed()
        body = re.sub(old.encode(), new.encode(), response.body)
        return Response(response.status, response.headers, body)

    return answer


def answering(status: int, body: object, **headers: str) -> Handler:
    """Answers with that and does nothing."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda proceed: Response(status, named, json.dumps(body).encode())


__all__ = [
    "ANY",
    "EndlessRun",
    "HARD_DISK",
    "OAuth2World",
    "RESCUE",
    "RestWorld",
    "Schedule",
    "Stage",
    "World",
    "agent",
    "always",
    "answering",
    "between",
    "nth",
    "saying",
]
