"""One run of the agent against the simulator, in one process, on a virtual clock.

The agent's network and clock are replaced, nothing else: options, the library's
action loop, suds and the provider's library are the real ones.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Callable

import ovh.client

from tests import agent_module
from tests.harness import LOGIN, PASSWORD, SERVER
from tests.safety.schedule import LIES, Schedule
from tests.simulator import (
    APPLICATION_KEY,
    APPLICATION_SECRET,
    CONSUMER_KEY,
    Account,
    DataCentre,
    PowerCut,
    Response,
    RestFrontEnd,
    RestSettings,
    Server,
    SoapFrontEnd,
    SoapSettings,
    Timing,
    VirtualClock,
)

agent = agent_module.load()
fencing = sys.modules["fencing"]

POWER_TIMEOUT = 900.0
POLL = 15
CALL_LIMIT = 20.0
HARD_DISK, RESCUE = 1, 230242

REFUSALS = ("401", "403", "403 after", "404", "session gone")

BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">]><x>&a;&a;&a;&a;&a;</x>'


class EventClock:
    """The agent's clock: when it moves on, what an operator does happens in its time."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._events: list[tuple[float, Callable[[], None]]] = []

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def at(self, moment: float, event: Callable[[], None]) -> None:
        """Let something happen at a moment of this clock."""
        self._events.append((moment, event))
        self._events.sort(key=lambda each: each[0])

    def sleep(self, seconds: float) -> None:
        end = self.monotonic() + max(0.0, seconds)
        while self._events and self._events[0][0] <= end:
            moment, event = self._events.pop(0)
            self._clock.advance(max(0.0, moment - self.monotonic()))
            event()
        self._clock.advance(max(0.0, end - self.monotonic()))


class Written(logging.Handler):
    """Keeps what the agent logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@contextlib.contextmanager
def watched(clock: Any) -> Iterator[tuple[Written, io.StringIO]]:
    """Keep what is logged and printed meanwhile; the library's action loop uses that clock."""
    written, stdout = Written(), io.StringIO()
    root = logging.getLogger()
    others, root.handlers = root.handlers, [written]
    fencing.clock = clock
    try:
        with contextlib.redirect_stdout(stdout):
            yield written, stdout
    finally:
        root.handlers = others


class World:
    """A data centre, an agent and what goes wrong between them.

    Attributes:
        status: the agent's exit status, after `run`.
        looks: when the netboot was asked for and told truly, in seconds since the start.
        shown_at_last_look: its type at the last of them.
        asking: fault of the first request for a hard reboot.
        output: what it wrote to stdout.
        log: what it logged.
    """

    api = "soap"
    reboot_operation = "dedicatedHardRebootDo"
    first_operations: tuple[str, ...] = ("login", "logout")
    looking: tuple[str, ...] = ("dedicatedNetbootInfo",)
    secrets = (PASSWORD,)

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        virtual = VirtualClock(utc_offset=schedule.zone)
        self.clock: Any = EventClock(virtual)
        self.virtual = virtual
        self._timing = Timing(
            queue_delay=schedule.queue_delay,
            cut_delay=schedule.cut_delay,
            boot_delay=schedule.boot_delay,
            reboot_duration=schedule.cut_delay + schedule.boot_delay + schedule.rest,
            power_off_delay=20,
        )
        self.centre = DataCentre(virtual, [Server(SERVER)], [Account(LOGIN, PASSWORD)])
        self.front_end = self._front_end()
        self._live_through_the_past()
        self.begun = self.clock.monotonic()
        self.calls = 0
        self.last_trouble = schedule.last_trouble()
        self._answers: dict[str, Response] = {}
        self._lied: set[str] = set()
        self._faults = dict(schedule.faults)
        self.asking = ""
        self._reboots_asked = 0
        self.lied_about_acceptance = False
        self.refused_at_first = False
        self.netboot_at_last_look = ""
        self.looks: list[float] = []
        self.shown_at_last_look = ""
        self._refused_since = 0.0
        self._granted = False
        self.status = -1
        self.output = ""
        self.log: list[str] = []
        for at, event in schedule.events:
            self.clock.at(self.begun + at, lambda event=event: self._operate(event))

    # The data centre

    def _front_end(self) -> Any:
        return SoapFrontEnd(
            self.centre,
            SoapSettings(
                reading=self.schedule.reading,
                single_session=self.schedule.single_session,
                session_lifetime=self.schedule.session_lifetime or None,
            ),
        )

    def _live_through_the_past(self) -> None:
        self.centre.timing = Timing(cut_delay=1, boot_delay=1, reboot_duration=5)
        for _ in range(self.schedule.earlier_reboots):
            self.centre.hard_reboot(SERVER, by="operator")
            self.virtual.advance(100)
            self.centre.settle()
        if self.schedule.netboot_by_hand:
            self.centre.set_netboot(SERVER, RESCUE, by="operator")
        self.centre.timing = self._next_timing(self.schedule.never)

    def _next_timing(self, never: int) -> Timing:
        if never > 0:
            return Timing(carried_out=False)
        return self._timing

    def _operate(self, event: str) -> None:
        if event == "netboot disk":
            self.centre.set_netboot(SERVER, HARD_DISK, by="operator")
        elif event == "netboot rescue":
            self.centre.set_netboot(SERVER, RESCUE, by="operator")
        elif event == "reboot":
            self._reboot_by_operator()
        elif event == "sessions end":
            self.centre.sessions.end_all()
        elif event == "zone jumps":
            self.virtual.utc_offset = -self.virtual.utc_offset or 5
        elif event == "login elsewhere" and self.schedule.single_session:
            self.centre.sessions.end_all()

    def _reboot_by_operator(self) -> None:
        self.centre.hard_reboot(SERVER, by="operator")

    def keep_time(self) -> None:
        """Let whatever reads a clock by itself read this one."""

    # The network

    def exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        seconds: float,
    ) -> Any:
        """What HttpNetwork does, with this schedule's faults."""
        number, self.calls = self.calls, self.calls + 1
        self.clock.sleep(0.05)
        path = "/" + url.split("/", 3)[3] if url.count("/") > 2 else "/"
        subject = self._subject(method, path, body or b"")
        sent = {**headers, "Host": "127.0.0.1"}

        def proceed() -> Response:
            response = self.front_end.handle(method, path, sent, body or b"", "http")
            if self._is_reboot(subject):
                self._count_reboot()
            if subject != "logout":
                self.netboot_at_last_look = self.centre.server(SERVER).netboot.type
            return response

        if self._is_reboot(subject) and self.asking:
            self._faults[number], self.asking = self.asking, ""
        fault = self._fault(number)
        self._note_refusal(fault, subject)
        if fault in LIES:
            response = self._lie(fault, subject, proceed)
        else:
            response = self._answer(fault, subject, proceed, min(seconds, CALL_LIMIT))
            if not fault and response.status == 200 and subject in self.looking:
                self.looks.append(self.clock.monotonic() - self.begun)
                self.shown_at_last_look = self.centre.server(SERVER).netboot.type
            if not fault and response.status == 200:
                self._lied.discard(subject)
                # A refusal that nobody injected (an expired session) grants nothing.
                self._granted = self._granted or not subject.startswith(self.first_operations)
        return agent.Answer(
            response.status,
            {name.lower(): value for name, value in response.headers.items()},
            response.body,
        )

    def _note_refusal(self, fault: str, subject: str) -> None:
        """Remember a refusal that the agent believes: of a server not yet known, or for long."""
        if fault in REFUSALS:
            self._refused_since = self._refused_since or self.clock.monotonic()
            lasted = self.clock.monotonic() - self._refused_since
            if not self._granted or lasted >= CALL_LIMIT / 2:
                self.refused_at_first = True
        else:
            self._refused_since = 0.0

    def _subject(self, method: str, path: str, body: bytes) -> str:
        found = re.search(rb"Body><[\w-]+:(\w+)", body)
        return found.group(1).decode() if found else method + path

    def _is_reboot(self, subject: str) -> bool:
        return subject == self.reboot_operation

    def _count_reboot(self) -> None:
        self._reboots_asked += 1
        self.centre.timing = self._next_timing(self.schedule.never - self._reboots_asked)

    def _fault(self, number: int) -> str:
        elapsed = self.clock.monotonic() - self.begun
        for begin, length, fault in self.schedule.outages:
            if begin <= elapsed < begin + length:
                return fault
        fault = self._faults.get(number, "")
        if fault:
            self.last_trouble = max(self.last_trouble, elapsed + CALL_LIMIT)
        return fault

    def _answer(
        self, fault: str, subject: str, proceed: Callable[[], Response], limit: float
    ) -> Response:
        if fault.endswith(" after"):
            proceed()
        if fault in ("refused", "reset before", "reset after", "TLS failure", "too long"):
            raise agent.NoAnswer(f"no connection ({fault})")
        if fault in ("time-out before", "time-out after", "drip"):
            self.clock.sleep(limit)
            raise agent.NoAnswer(f"no answer within {limit:g} s")
        if fault == "slow":
            self.clock.sleep(limit * 0.9)
        made = self._made_up(fault)
        if made is not None:
            return made
        response = proceed()
        if fault == "cut short":
            return Response(
                response.status, response.headers, response.body[: len(response.body) // 2]
            )
        if response.status == 200:
            self._answers[subject] = response
        return response

    def _made_up(self, fault: str) -> Response | None:
        html = b"<html><body>Sorry</body></html>"
        simple = {
            "empty": Response(200, {}, b""),
            "HTML": Response(200, {}, html),
            "HTML after": Response(200, {}, html),
            "502": Response(502, {}, html),
            "500 after": Response(500, {}, html),
            "503 with Retry-After": Response(503, {"Retry-After": "7"}, html),
            "429": Response(429, {}, html),
            "429 with Retry-After": Response(429, {"Retry-After": "99999"}, html),
            "redirect": Response(302, {"Location": "http://127.0.0.1/elsewhere"}, b""),
            "bomb": Response(200, {}, BOMB),
            "nesting": Response(200, {}, b"[" * 100000),
            "garbage": Response(200, {}, bytes(range(256))),
        }
        return simple.get(fault) or self._refusal(fault)

    def _refusal(self, fault: str) -> Response | None:
        words = {
            "401": f"You must login first, not with {PASSWORD}",
            "403": f"Not for {PASSWORD}",
            "403 after": f"Not for {PASSWORD}",
            "404": f"No such thing as {PASSWORD}",
            "session gone": f"session of {PASSWORD} expired",
        }
        if fault not in words:
            return None
        return self._refusal_in_words(words[fault], fault)

    def _refusal_in_words(self, words: str, fault: str) -> Response:
        text = words.replace("&", "&amp;")
        return Response(
            500,
            {"Content-Type": "text/xml"},
            b'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><e:Fault>'
            b"<faultcode>e:1</faultcode><faultstring>" + text.encode() + b"</faultstring>"
            b"</e:Fault></e:Body></e:Envelope>",
        )

    def _lie(self, fault: str, subject: str, proceed: Callable[[], Response]) -> Response:
        """Answer falsely, but never twice in a row about the same thing; errors do not count."""
        if subject in self._lied:
            self._lied.discard(subject)
            return self._answer("", subject, proceed, CALL_LIMIT)
        self._lied.add(subject)
        if fault == "repeat" and subject in self._answers:
            self.lied_about_acceptance |= self._is_reboot(subject)
            return self._answers[subject]
        response = proceed()
        return Response(response.status, response.headers, self._falsified(fault, response.body))

    def _falsified(self, fault: str, body: bytes) -> bytes:
        if fault == "blank":
            return re.sub(rb">[^<>]+</(start|end|kernel|id|return)>", rb"></\1>", body)
        if fault == "wrong type":
            return re.sub(rb">[^<>]+</(id|end|start)>", rb">many</\1>", body)
        if fault == "missing":
            return re.sub(rb"<(kernel|end|id)[^<>]*>[^<>]*</\1>", b"", body)
        if fault == "wrong times":
            body = re.sub(rb">[^<>]*</start>", b">2031-01-01 00:00:00</start>", body)
            return re.sub(rb">[^<>]*</end>", b">2031-01-01 00:00:01</end>", body)
        body = body.replace(b">230242<", b">?<").replace(b">1<", b">230242<")
        return body.replace(b">?<", b">1<")

    # The agent

    def options(self) -> dict[str, Any]:
        """What the library's check_input makes of the agent's input."""
        action = {"cycle": "reboot", "onoff": "reboot"}.get(
            self.schedule.action, self.schedule.action
        )
        return {
            "--action": action,
            "--method": "onoff" if self.schedule.action == "onoff" else "cycle",
            "--plug": SERVER,
            "--api": self.api,
            **self.keys(),
            "--off-mode": self.schedule.off_mode,
            "--power-timeout": str(int(POWER_TIMEOUT)),
            "--shell-timeout": str(int(CALL_LIMIT)),
            "--login-timeout": str(int(CALL_LIMIT)),
            "--stonith-status-sleep": str(POLL),
            "--power-wait": "0",
            "--retry-on": "1",
            "--delay": "0",
            "--plug-separator": ",",
            "--disable-timeout": "false",
        }

    def keys(self) -> dict[str, str]:
        """How the agent logs in."""
        return {
            "--username": LOGIN,
            "--password": PASSWORD,
            "--api-url": "http://127.0.0.1/",
        }

    def run(self) -> World:
        """Run the agent to its end."""
        self.keep_time()
        with watched(self.clock) as (written, stdout):
            self.act()
        self.log, self.output = written.lines, stdout.getvalue()
        self.come_to_rest()
        return self

    def come_to_rest(self) -> None:
        """Let a server that was cut last boot what was chosen; nobody acts any more."""
        self.virtual.advance(1000)
        self.centre.settle()

    def act(self) -> None:
        """Run the agent to its end, where `watched` holds."""
        try:
            self.status = agent.run(self.options(), self, self.clock)
        except SystemExit as left:
            self.status = int(left.code or 0)
        self.ended = self.clock.monotonic()
        self.running_at_end = self.centre.server(SERVER).running

    # The ground truth

    def wanted(self) -> str:
        """The type of netboot that the action demands."""
        if self.schedule.action == "off":
            return "power" if self.schedule.off_mode == "power" else "rescue"
        return "harddisk"

    def cuts(self) -> list[PowerCut]:
        """The server's power cuts in the agent's time."""
        return [cut for cut in self.centre.power_cuts if self.begun <= cut.at <= self.ended]

    def was_cut(self) -> bool:
        """Whether the server was cut in the agent's time, and booted what was demanded.

        A reboot by off and on demands the cut alone: what was on is off, whatever boots next.
        """
        if self.schedule.action == "onoff":
            return bool(self.cuts())
        booted = [cut.netboot.type for cut in self.cuts() if cut.netboot is not None]
        return bool(booted) and booted[-1] == self.wanted()

    def netboot_is_as_wanted(self) -> bool:
        """Whether the netboot was what the action demands when the agent asked for the last time.

        What somebody does after that, while it logs out, no client can see.
        """
        return self.netboot_at_last_look == self.wanted()

    def old_system_runs(self) -> bool:
        """Whether the server still runs what it ran before."""
        return self.running_at_end is not None and self.running_at_end.type == "harddisk"

    def leaks(self) -> list[str]:
        """The messages that show 8 characters of a secret."""
        pieces = {
            secret[start : start + 8] for secret in self.secrets for start in range(len(secret) - 7)
        }
        texts = [*self.log, self.output]
        return [text for text in texts if any(piece in text for piece in pieces)]


class RestWorld(World):
    """The same behind the REST API."""

    api = "rest"
    reboot_operation = f"POST/1.0/dedicated/server/{SERVER}/reboot"
    looking = (f"GET/1.0/dedicated/server/{SERVER}",)
    first_operations = ("GET/1.0/auth/time", f"GET/1.0/dedicated/server/{SERVER}/boot")
    secrets = (APPLICATION_SECRET, CONSUMER_KEY)

    def _front_end(self) -> Any:
        return RestFrontEnd(
            self.centre,
            RestSettings(
                task_unseen=self.schedule.task_unseen,
                task_purged=self.schedule.task_purged or None,
                outcome=self.schedule.outcome or "done",
            ),
        )

    def keep_time(self) -> None:
        ovh.client.time = self.virtual  # the provider's library

    def _subject(self, method: str, path: str, body: bytes) -> str:
        return method + path

    def _refusal_in_words(self, words: str, fault: str) -> Response:
        status = int(fault[:3]) if fault[:3].isdigit() else 403
        words = words.replace(PASSWORD, APPLICATION_SECRET)
        body = json.dumps({"class": "Client::Forbidden", "message": words})
        return Response(status, {"Content-Type": "application/json"}, body.encode())

    def _falsified(self, fault: str, body: bytes) -> bytes:
        if fault == "blank":
            return re.sub(rb'"(status|kernel|bootType|function)": *"\w+"', rb'"\1": ""', body)
        if fault == "wrong type":
            return re.sub(rb'"(bootId|taskId)": *\d+', rb'"\1": "many"', body)
        if fault == "missing":
            return re.sub(rb'"(bootId|taskId|status)": *[^,}]+[,]', b"", body)
        if fault == "wrong times":
            return re.sub(rb'"taskId": *\d+', b'"taskId": 77', body)
        swapped = {b"1": b"230242", b"230242": b"1"}
        return re.sub(
            rb'"bootId": *(\d+)',
            lambda found: b'"bootId": ' + swapped.get(found.group(1), found.group(1)),
            body,
        )

    def keys(self) -> dict[str, str]:
        return {
            "--username": APPLICATION_KEY,
            "--password": APPLICATION_SECRET,
            "--consumer-key": CONSUMER_KEY,
            "--api-url": "http://127.0.0.1/1.0",
        }
