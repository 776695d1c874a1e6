"""One run of the agent against the simulator, in one process, on a virtual clock.

The agent's network and clock are replaced, nothing else: options, the library's
action loop and suds are the real ones.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import itertools
import json
import logging
import math
import random
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Callable

from tests import agent_module
from tests.harness import LOGIN, PASSWORD, SERVER
from tests.safety import faults
from tests.safety.schedule import REINSTALLATION, Schedule
from tests.simulator import (
    APPLICATION_KEY,
    APPLICATION_SECRET,
    CLIENT_ID,
    CLIENT_SECRET,
    CONSUMER_KEY,
    OPERATOR,
    Account,
    DataCentre,
    HardReboot,
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

POLL = 15
KEY = "/etc/fence_ovh.key"
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDuH fence_ovh"
DAY = 24 * 3600.0

MACHINE_SAYS = {
    "odd": "rescue12-customer-eu\r\n-1.0 0.0\r\n",
    "junk": "\x1b[2Jrescue\r\nNaN 1\r\n",
    "no key": "root@203.0.113.7: Permission denied (publickey).",
}
"""What a machine may say now and then, by the schedule's word for it."""

LATE = 20.0
"""Seconds after which a request that was lost is carried out after all."""

CALL_LIMIT = 20.0
HARD_DISK, RESCUE = 1, 230242
POWER_OFF_DELAY = 20

OWN_TIME = 0.05
"""Seconds that an exchange takes at least."""

ACTIONS = {"cycle": "reboot", "onoff": "reboot"}
"""What an action of a schedule is called, if not so."""


class EventClock:
    """The agent's clock: when it moves on, what others do happens in its time."""

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
        end = self._clock.monotonic() + max(0.0, seconds)
        while self._events and self._events[0][0] <= end:
            moment, event = self._events.pop(0)
            self._clock.advance(max(0.0, moment - self._clock.monotonic()))
            event()
        self._clock.advance(max(0.0, end - self._clock.monotonic()))


class Written(logging.Handler):
    """Keeps what the agent logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@contextlib.contextmanager
def watched(clock: Any, luck: int = 0) -> Iterator[tuple[Written, io.StringIO]]:
    """Keep what is logged and printed meanwhile; the library's action loop uses that clock.

    :param luck: what the agent's pauses are drawn from.
    """
    written, stdout = Written(), io.StringIO()
    root = logging.getLogger()
    others, root.handlers = root.handlers, [written]
    fencing.clock = clock
    random.seed(luck)
    try:
        with contextlib.redirect_stdout(stdout):
            yield written, stdout
    finally:
        root.handlers = others


@dataclasses.dataclass
class Exchange:
    """One request of the agent, and what became of it; moments are of the virtual clock.

    Attributes:
        step: what it asks for: time, login, logout, offered, netboot, set, read, reboot, tasks,
            task, status (of a hard reboot, with SOAP) or other.
        number: the number of the task that it asks for.
        fault: what went wrong, or "".
        acted: when OVH carried it out; infinite if it did not.
        answer: what the agent got; None for nothing.
        reboot: the hard reboot that OVH accepted.
        changes: where the netboot's changes that OVH made stand in the data centre's list.
    """

    step: str
    number: str
    sent: float
    fault: str = ""
    acted: float = math.inf
    ended: float = math.inf
    answer: Response | None = None
    reboot: HardReboot | None = None
    changes: range = range(0)

    def is_good(self) -> bool:
        """Whether the agent got what OVH said, and that was no error."""
        return not self.fault and self.answer is not None and self.answer.status == 200


class World:
    """A data centre, an agent and what goes wrong between them.

    Attributes:
        status: the agent's exit status, after `run`.
        asked: its exchanges.
        delays: seconds that a request takes to OVH, then its answer back, and so on.
        boots: when the server booted what type of netboot.
        heard: what the machine itself said when it was asked: its host name, or "nothing".
        output: what it wrote to stdout.
        log: what it logged.
    """

    api = "soap"
    secrets: tuple[str, ...] = (PASSWORD,)
    refusals: tuple[str, ...] = ("401", "404", "session gone")
    steps = {
        "dedicatedNetbootGetAvailable": "offered",
        "dedicatedNetbootModifyById": "set",
        "dedicatedNetbootInfo": "read",
        "dedicatedHardRebootDo": "reboot",
        "dedicatedHardRebootStatus": "status",
    }

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        virtual = VirtualClock(utc_offset=schedule.zone)
        self.clock: Any = EventClock(virtual)
        self.virtual = virtual
        self._timing = Timing(
            queue_delay=schedule.queue_delay,
            cut_delay=schedule.cut_delay,
            boot_delay=schedule.boot_delay,
            reboot_duration=schedule.reboot_takes() - schedule.queue_delay,
            power_off_delay=POWER_OFF_DELAY,
        )
        server = Server(SERVER, ignores_netboot=schedule.netboot_ignored)
        self.centre = DataCentre(
            virtual, [server], [Account(LOGIN, PASSWORD)], seed=schedule.luck, call_log=0
        )
        self.boots: list[tuple[float, str]] = []
        self.centre.on_boot.append(
            lambda server, netboot: self.boots.append(
                (float(server.running_since or 0), netboot.type)
            )
        )
        self.front_end = self._front_end()
        self._live_through_the_past()
        self.begun = self.ended = self.clock.monotonic()
        self.weather = faults.Weather(schedule)
        self.asked: list[Exchange] = []
        self.delays: Iterator[float] = itertools.repeat((schedule.latency + OWN_TIME) / 2)
        self._reboots_asked = 0
        self.status = -1
        self.heard: list[str] = []
        self._chance = random.Random(schedule.luck)
        self.running_at_end = self.running_at_rest = self.centre.server(SERVER).running
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
            self.centre.hard_reboot(SERVER, by=OPERATOR)
            self.virtual.advance(100)
            self.centre.settle()
        if self.schedule.netboot_by_hand:
            self.centre.set_netboot(SERVER, RESCUE, by=OPERATOR)
            self.virtual.advance(100)
        self.centre.timing = self._timing
        if self.schedule.rebooted_before:
            self.centre.hard_reboot(SERVER, by=OPERATOR)
            self.virtual.advance(self.schedule.rebooted_before)
        self.centre.timing = self._next_timing(self.schedule.never)

    def _next_timing(self, never: int) -> Timing:
        if never > 0:
            return Timing(carried_out=False)
        before = len(self.centre.servers[SERVER].pending) if self.schedule.one_by_one else 0
        if before == 0:
            return self._timing
        wait = before * self.schedule.reboot_takes()
        return dataclasses.replace(self._timing, queue_delay=self._timing.queue_delay + wait)

    def _operate(self, event: str) -> None:
        """What somebody does who is not the agent."""
        if event == "netboot disk":
            self.centre.set_netboot(SERVER, HARD_DISK, by=OPERATOR)
        elif event == "netboot rescue":
            self.centre.set_netboot(SERVER, RESCUE, by=OPERATOR)
        elif event == "reboot":
            self._reboot_by_operator()
        elif event == "reinstall":
            self._reinstall()
        elif event == "sessions end":
            self._end_sessions()
        elif event == "zone jumps":
            self.virtual.utc_offset = -self.virtual.utc_offset or 5
        elif event == "clock jumps":
            self.virtual.offset += 3600
        elif event == "login elsewhere" and self.schedule.single_session:
            self._end_sessions()

    def _reboot_by_operator(self) -> None:
        self.centre.hard_reboot(SERVER, by=OPERATOR)

    def _reinstall(self) -> None:
        """SOAP knows no other tasks."""

    def _end_sessions(self) -> None:
        self.centre.sessions.end_all()

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
        scheme, _, rest = url.partition("://")
        host, _, path = rest.partition("/")
        step, task = self._step(method, "/" + path, body or b"")
        asked = Exchange(step, task, self.clock.monotonic())
        asked.fault = self.weather.fault(
            len(self.asked), asked.sent - self.begun, is_post=step == "reboot"
        )
        self.asked.append(asked)
        sent = {**headers, "Host": host}
        try:
            answer = self._answer(
                asked,
                lambda: self.front_end.handle(method, f"/{path}", sent, body or b"", scheme),
                seconds,
            )
        finally:
            asked.ended = self.clock.monotonic()
        asked.answer = answer
        return agent.Answer(
            answer.status,
            {name.lower(): value for name, value in answer.headers.items()},
            answer.body,
        )

    def public_half(self, key: str, check: bool) -> str:
        """The public half of the key."""
        assert key == KEY
        return PUBLIC_KEY

    def ask_machine(self, key: str, address: str, seconds: float) -> str:
        """What the machine itself prints over SSH, within the limit."""
        assert key == KEY
        self.clock.sleep(OWN_TIME)
        server = self.centre.server(SERVER)
        self.heard.append("nothing")
        if not address or server.running is None or self.schedule.machine == "silent":
            self.clock.sleep(seconds)
            return "ssh: connect to host 203.0.113.7 port 22: Connection timed out"
        if self.schedule.machine in MACHINE_SAYS and self._chance.random() < 0.5:
            return MACHINE_SAYS[self.schedule.machine]
        in_rescue = server.running.kernel.startswith("rescue")
        takes_key = server.rescue_ssh_key if in_rescue else self.schedule.machine == "takes the key"
        if not takes_key:
            return "root@203.0.113.7: Permission denied (publickey)."
        host = "rescue12-customer-eu" if in_rescue else "node1"
        since = self.clock.monotonic() - (server.running_since or self.begun - DAY)
        self.heard[-1] = host
        return f"{host}\r\n{since:.2f} {since / 2:.2f}\r\n"

    def _answer(self, asked: Exchange, act: Callable[[], Response], limit: float) -> Response:
        """What comes back within the limit; raises NoAnswer."""
        fault = asked.fault
        there, back = next(self.delays), next(self.delays)
        if fault == "slow":
            there = back = limit * 0.45
        if fault == "late":
            self.clock.sleep(limit)
            self.clock.at(self.clock.monotonic() + LATE, lambda: self._carry_out(asked, act))
            raise agent.NoAnswer(f"no answer within {limit:g} s")
        if fault in faults.NO_ANSWER or there + back > limit:
            if fault.endswith(" after") or (not fault and there <= limit):
                there = min(there, limit / 2)
                self.clock.sleep(there)
                self._carry_out(asked, act)
                limit -= there
            asked.fault = fault or "too slow"
            self.clock.sleep(limit)
            raise agent.NoAnswer(f"no answer within {limit:g} s")
        self.clock.sleep(there)
        made_up = faults.made_up(fault, self._refusal)
        response = None
        if fault.endswith(" after") or (made_up is None and fault not in faults.NO_CONNECTION):
            response = self._carry_out(asked, act)
        self.clock.sleep(back)
        if fault in faults.NO_CONNECTION:
            raise agent.NoAnswer(f"no connection ({fault})")
        if made_up is not None:
            return made_up
        assert response is not None, fault
        asked.fault = "" if fault == "slow" else fault
        if fault == "cut short":
            raise agent.NoAnswer("an answer cut short")
        if fault in ("wrong type", "missing"):
            garbled = self._garbled(fault, response.body)
            return Response(response.status, response.headers, garbled)
        return response

    def _carry_out(self, asked: Exchange, act: Callable[[], Response]) -> Response:
        """Have OVH carry it out."""
        reboots = self.centre.servers[SERVER].hard_reboots
        reboots_so_far, changes = len(reboots), len(self.centre.netboot_changes)
        asked.acted = self.clock.monotonic()
        try:
            return act()
        finally:
            asked.changes = range(changes, len(self.centre.netboot_changes))
            asked.reboot = reboots[-1] if len(reboots) > reboots_so_far else None
            self._reboots_asked += asked.step == "reboot"
            self.centre.timing = self._next_timing(self.schedule.never - self._reboots_asked)

    def _step(self, method: str, path: str, body: bytes) -> tuple[str, str]:
        found = re.search(rb"Body><[\w-]+:(\w+)", body)
        name = found.group(1).decode() if found else method
        return self.steps.get(name, name), ""

    def _refusal(self, fault: str) -> Response:
        return faults.soap_refusal(fault, self.secrets[0])

    def _garbled(self, fault: str, body: bytes) -> bytes:
        return faults.garbled_soap(fault, body)

    # The agent

    def options(self) -> dict[str, Any]:
        """What the library's check_input makes of the agent's input."""
        action = self.schedule.action
        return {
            "--action": ACTIONS.get(action, action),
            "--method": "onoff" if action == "onoff" else "cycle",
            "--plug": SERVER,
            **self.keys(),
            "--off-mode": self.schedule.off_mode,
            **({"--rescue-ssh-key": KEY} if self.schedule.witness else {}),
            "--power-timeout": str(self.schedule.power_timeout),
            "--shell-timeout": str(int(CALL_LIMIT)),
            "--login-timeout": str(int(CALL_LIMIT)),
            "--stonith-status-sleep": str(self.schedule.poll),
            "--power-wait": "0",
            "--retry-on": "1",
            "--delay": "0",
            "--plug-separator": ",",
            "--disable-timeout": "false",
        }

    def keys(self) -> dict[str, str]:
        """How the agent logs in."""
        return {
            "--api": "soap",
            "--username": LOGIN,
            "--password": PASSWORD,
            "--api-url": "http://127.0.0.1/",
        }

    def run(self) -> World:
        """Run the agent to its end."""
        with watched(self.clock, self.schedule.luck) as (written, stdout):
            self.act()
        self.log, self.output = written.lines, stdout.getvalue()
        self.come_to_rest()
        return self

    def come_to_rest(self) -> None:
        """Let a server that was cut last boot what was chosen; nobody acts any more."""
        self.virtual.advance(2000)
        self.running_at_rest = self.centre.server(SERVER).running

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

    def own_reboots(self) -> list[Exchange]:
        """The requests for a hard reboot of this agent that OVH accepted."""
        return [asked for asked in self.asked if asked.reboot is not None]

    def asks_in_vain(self) -> bool:
        """Whether a request for a hard reboot brought no answer."""
        return any(asked.step == "reboot" and asked.fault for asked in self.asked)

    def shown_number(self, asked: Exchange) -> int:
        """The id of the netboot that an answer about the server shows; 0 if it shows none."""
        body = asked.answer.body if asked.answer and asked.answer.status == 200 else b""
        found = re.search(self.shown_id, body) if asked.step == "read" else None
        return int(found.group(1)) if found else 0

    def shown_netboot(self, asked: Exchange) -> str:
        """Its type; "" if it shows none."""
        number = self.shown_number(asked)
        return self.centre.servers[SERVER].find_netboot(number).type if number else ""

    shown_id = rb"<id[^<>]*>(\d+)</id>"

    def shown_status(self, asked: Exchange) -> str:
        """The status of a task that an answer shows; "" if it shows none."""
        if asked.answer is None or asked.answer.status != 200:
            return ""
        try:
            document = json.loads(asked.answer.body)
        except (ValueError, RecursionError):
            return ""
        return str(document.get("status", "")) if isinstance(document, dict) else ""

    def shown_start(self, asked: Exchange) -> str | None:
        """The start of a hard reboot that an answer of SOAP shows; None if it shows none."""
        body = asked.answer.body if asked.answer and asked.answer.status == 200 else b""
        found = re.search(rb"<start[^<>]*?(?:/>|>([^<>]*)</start>)", body)
        return (found.group(1) or b"").decode() if found else None

    def old_system_runs(self) -> bool:
        """Whether the server still runs what it ran before."""
        return self.running_at_end is not None and self.running_at_end.type == "harddisk"

    def leaks(self, log: Sequence[str] = ()) -> list[str]:
        """The messages, and those of that log, that show 8 characters of a secret."""
        texts = [*self.log, *log, self.output]
        everything = "\n".join(texts)
        shown = [piece for piece in self._pieces() if piece in everything]
        return [text for text in texts if any(piece in text for piece in shown)]

    def _pieces(self) -> set[str]:
        secrets = (*self.secrets, *self.given_secrets())
        return {secret[start : start + 8] for secret in secrets for start in range(len(secret) - 7)}

    def given_secrets(self) -> list[str]:
        """The secrets that OVH gave the agent."""
        return self.centre.sessions.keys()


class RestWorld(World):
    """The same behind the REST API, with a consumer key."""

    api = "rest"
    secrets: tuple[str, ...] = (APPLICATION_SECRET, CONSUMER_KEY)
    refusals = ("401", "403", "403 after", "404", "session gone")
    shown_id = rb'"bootId": *(\d+)'

    def _front_end(self) -> Any:
        schedule = self.schedule
        return RestFrontEnd(
            self.centre,
            RestSettings(
                # What is carried out late was signed long ago: OVH looked at that when it came.
                timestamp_skew=30 + (CALL_LIMIT + LATE) * (schedule.post_fault == "late"),
                list_lag=schedule.list_lag,
                read_lag=schedule.read_lag,
                stale_reads=schedule.stale_reads,
                task_unseen=schedule.task_unseen,
                task_unseen_status=schedule.task_unseen_status,
                task_purged=schedule.task_purged or None,
                date_offset=schedule.date_offset,
                date_form=schedule.date_form,
                refuses_second_reboot=schedule.refuses_second_reboot,
                outcome=schedule.outcome or "done",
                outcome_count=schedule.outcome_count or None,
                after_cut=schedule.after_cut,
            ),
        )

    def _live_through_the_past(self) -> None:
        if self.schedule.stuck:
            self.front_end.tasks.get_stuck(SERVER, self.schedule.stuck, by=OPERATOR)
        super()._live_through_the_past()
        for service in self.front_end.credentials.service_accounts.values():
            service.token_lifetime = self.schedule.session_lifetime or service.token_lifetime

    def _reboot_by_operator(self) -> None:
        """OVH refuses him what it refuses the agent."""
        is_idle = not self.front_end.tasks.unfinished(SERVER)
        if is_idle or not self.schedule.refuses_second_reboot:
            super()._reboot_by_operator()

    def _reinstall(self) -> None:
        if not self.front_end.tasks.unfinished(SERVER):
            self.front_end.tasks.reinstall(SERVER, by=OPERATOR, seconds=REINSTALLATION)

    def _end_sessions(self) -> None:
        self.front_end.credentials.end_tokens()

    def _step(self, method: str, path: str, body: bytes) -> tuple[str, str]:
        path = path.partition("?")[0]
        if path.endswith("/auth/oauth2/token"):
            return "login", ""
        if path.endswith("/auth/time"):
            return "time", ""
        _, _, about = path.partition(f"/dedicated/server/{SERVER}")
        kind, _, number = about.lstrip("/").partition("/")
        if path.endswith(SERVER):
            return {"GET": "read", "PUT": "set"}.get(method, "other"), ""
        if kind == "boot":
            return "netboot" if number else "offered", ""
        if kind == "task":
            return "task" if number else "tasks", number
        return ("reboot" if kind == "reboot" and method == "POST" else "other"), ""

    def _refusal(self, fault: str) -> Response:
        return faults.rest_refusal(fault, self.secrets[0])

    def _garbled(self, fault: str, body: bytes) -> bytes:
        return faults.garbled_rest(fault, body)

    def keys(self) -> dict[str, str]:
        return {
            "--api": "rest",
            "--username": APPLICATION_KEY,
            "--password": APPLICATION_SECRET,
            "--consumer-key": CONSUMER_KEY,
            "--api-url": "http://127.0.0.1/1.0",
        }

    def given_secrets(self) -> list[str]:
        tokens: list[str] = self.front_end.credentials.tokens()
        return tokens


class OAuth2World(RestWorld):
    """The same with a service account."""

    api = "oauth2"
    secrets = (CLIENT_SECRET,)

    def keys(self) -> dict[str, str]:
        return {
            "--api": "rest",
            "--username": CLIENT_ID,
            "--password": CLIENT_SECRET,
            "--api-url": "https://127.0.0.1/1.0",
        }


WORLDS: dict[str, type[World]] = {each.api: each for each in (World, RestWorld, OAuth2World)}
