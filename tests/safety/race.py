"""Several agents that fence the same server, in one process, on one virtual clock."""

from __future__ import annotations

import dataclasses
import itertools
import math
import threading
from collections.abc import Iterator
from typing import Any, Callable

from hypothesis import strategies as st

from tests.harness import SERVER
from tests.safety.schedule import Schedule
from tests.safety.simulated_run import World, agent, watched
from tests.simulator import VirtualClock

FAULTS = (
    "time-out before",
    "time-out after",
    "reset before",
    "reset after",
    "502",
    "500 after",
    "429",
    "403",
    "slow",
    "repeat",
)


@dataclasses.dataclass(frozen=True)
class Racer:
    """One of the agents.

    Attributes:
        begin: when it is started, in seconds.
        killed: how many seconds later it is killed; 0 for never.
        delays: tenths of seconds that a request takes to OVH and its answer back, over and over.
        faults: by the number of its call.
        asking: fault of its first request for a hard reboot.
    """

    action: str = "off"
    begin: int = 0
    killed: int = 0
    delays: tuple[int, ...] = (0,)
    faults: tuple[tuple[int, str], ...] = ()
    asking: str = ""


@dataclasses.dataclass(frozen=True)
class Race:
    """Agents, and how the data centre is (of a schedule only what is about that)."""

    racers: tuple[Racer, ...]
    centre: Schedule = Schedule()


@dataclasses.dataclass
class Finish:
    """How a race ended; all moments are of the virtual clock.

    Attributes:
        worlds: each agent's, all with the same log; one that was killed has status -1.
        cuts: when the server lost its power.
        boots: when it booted what type of netboot.
        netboots: since when what type of netboot was chosen.
    """

    worlds: list[World]
    cuts: list[float]
    boots: list[tuple[float, str]]
    netboots: list[tuple[float, str]]


class Killed(BaseException):
    """Ends an agent that is killed: what it still tries to do reaches nobody."""


class Turn:
    """An agent in a thread of its own."""

    def __init__(self, run: Callable[[], None], begin: float, end: float) -> None:
        self.due = begin
        self.end = end
        self.is_killed = self.is_over = False
        self.may_go_on = threading.Semaphore(0)
        self.failure: BaseException | None = None
        self._run = run

    def next(self) -> float:
        """When it goes on, or is killed."""
        return min(self.due, self.end)

    def run(self) -> None:
        """Run it to its end."""
        self.may_go_on.acquire()
        try:
            self._run()
        except Killed:
            pass
        except BaseException as failure:  # pytest's thread is to hear of it
            self.failure = failure
        self.is_over = True


class Turns:
    """The agents' clock. One of them runs until it sleeps; then it is the turn of the next."""

    def __init__(self, virtual: VirtualClock) -> None:
        self._virtual = virtual
        self._turns: list[Turn] = []
        self._is_asleep = threading.Semaphore(0)

    def monotonic(self) -> float:
        return self._virtual.monotonic()

    def add(self, turn: Turn) -> None:
        self._turns.append(turn)

    def sleep(self, seconds: float) -> None:
        if not self._turn.is_killed:
            turn = self._turn
            turn.due = self.monotonic() + max(0.0, seconds)
            self._is_asleep.release()
            turn.may_go_on.acquire()
        if self._turn.is_killed:
            raise Killed

    def run(self) -> None:
        """Let all of them run to their ends."""
        threads = [
            threading.Thread(target=self._run, args=(turn,), daemon=True) for turn in self._turns
        ]
        for thread in threads:
            thread.start()
        while waiting := [turn for turn in self._turns if not turn.is_over]:
            self._turn = turn = min(waiting, key=Turn.next)
            self._virtual.advance(max(0.0, turn.next() - self.monotonic()))
            turn.is_killed = turn.end <= self.monotonic()
            turn.may_go_on.release()
            self._is_asleep.acquire()
        for thread in threads:
            thread.join()
        for failure in (turn.failure for turn in self._turns if turn.failure):
            raise failure

    def _run(self, turn: Turn) -> None:
        turn.run()
        self._is_asleep.release()


def run(kind: type[World], race: Race) -> Finish:
    """Run the race to its end."""
    host = kind(race.centre)
    boots: list[tuple[float, str]] = []
    host.centre.on_boot.append(
        lambda server, netboot: boots.append((float(server.running_since or 0), netboot.type))
    )
    turns = Turns(host.virtual)
    worlds = [_join(host, turns, racer) for racer in race.racers]
    host.keep_time()
    with watched(turns) as (written, _):
        turns.run()
    host.come_to_rest()
    server = host.centre.server(SERVER)
    netboots = [(-math.inf, server.netboots[0].type)]
    for change in host.centre.state()["netboot_changes"]:
        netboots.append((change["at"], server.find_netboot(change["to"]).type))
    for world in worlds:
        world.log = written.lines
    return Finish(worlds, [cut.at for cut in host.centre.power_cuts], boots, netboots)


def _join(host: World, turns: Turns, racer: Racer) -> World:
    """Return the world of another agent at the same data centre."""
    world = type(host)(dataclasses.replace(host.schedule, action=racer.action, faults=racer.faults))
    world.centre, world.front_end = host.centre, host.front_end
    world.clock, world.virtual = turns, host.virtual
    world.begun = host.begun + racer.begin
    world.asking = racer.asking
    world.exchange = _delayed(world.exchange, turns, racer.delays)  # type: ignore[method-assign]
    end = world.begun + racer.killed if racer.killed else math.inf
    turns.add(Turn(world.act, world.begun, end))
    return world


def _delayed(exchange: Callable[..., Any], turns: Turns, delays: tuple[int, ...]) -> Any:
    """Let requests and answers take their time, and other agents act meanwhile."""
    seconds: Iterator[float] = (tenths / 10 for tenths in itertools.cycle(delays))

    def delayed(method: str, url: str, headers: Any, body: bytes | None, limit: float) -> Any:
        end = turns.monotonic() + limit

        def pass_time() -> None:
            delay, left = next(seconds), end - turns.monotonic()
            if delay > left:
                turns.sleep(left)
                raise agent.NoAnswer(f"no answer within {limit:g} s")
            if delay:
                turns.sleep(delay)

        pass_time()
        answer = exchange(method, url, headers, body, end - turns.monotonic())
        pass_time()
        return answer

    return delayed


def races(rest: bool) -> st.SearchStrategy[Race]:
    """All races for the REST API, or for the SOAP API."""
    racer = st.builds(
        Racer,
        action=st.sampled_from(["off", "off", "cycle", "on", "onoff"]),
        begin=st.one_of(st.integers(0, 20), st.integers(0, 300)),
        killed=st.one_of(st.just(0), st.just(0), st.integers(1, 400)),
        delays=st.lists(st.sampled_from([0, 0, 1, 3, 10, 40]), min_size=1, max_size=4).map(tuple),
        faults=st.lists(st.tuples(st.integers(0, 45), st.sampled_from(FAULTS)), max_size=3).map(
            tuple
        ),
        asking=st.sampled_from(["", "", *FAULTS]),
    )
    only_soap = {"reading": st.sampled_from(["A-empty", "A-previous", "B"])}
    only_rest = {
        "task_unseen": st.sampled_from([0, 0, 3, 30]),
        "task_purged": st.sampled_from([0, 0, 60, 90]),
    }
    centre = st.builds(
        Schedule,
        queue_delay=st.sampled_from([0, 0, 4, 45]),
        cut_delay=st.integers(0, 40),
        boot_delay=st.integers(0, 90),
        rest=st.integers(0, 90),
        earlier_reboots=st.integers(0, 1),
        **(only_rest if rest else only_soap),
    )
    return st.builds(Race, racers=st.lists(racer, min_size=2, max_size=3).map(tuple), centre=centre)
