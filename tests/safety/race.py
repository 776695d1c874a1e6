"""Several agents that fence the same server, in one process, on one virtual clock."""

from __future__ import annotations

import dataclasses
import itertools
import math
import random
import threading
from typing import Any, Callable

from tests.safety.schedule import AFTER, BEFORE, Schedule
from tests.safety.simulated_run import OWN_TIME, World, watched
from tests.simulator import VirtualClock

FAULTS = (*BEFORE, *AFTER, "403", "slow")


@dataclasses.dataclass(frozen=True)
class Racer:
    """One of the agents.

    Attributes:
        begin: when it is started, in seconds.
        killed: how many seconds later it is killed; 0 for never.
        delays: tenths of seconds that a request takes to OVH and its answer back, over and over.

    The others are as in a Schedule.
    """

    action: str = "off"
    begin: int = 0
    killed: int = 0
    delays: tuple[int, ...] = (0,)
    faults: tuple[tuple[int, str], ...] = ()
    posts_lost: int = 0
    post_fault: str = "504 after"
    rate: int = 0

    def is_plain(self) -> bool:
        """Whether nothing befalls it."""
        return not (self.killed or self.faults or self.posts_lost or self.rate)


@dataclasses.dataclass(frozen=True)
class Race:
    """Agents, and how the data centre is (of a schedule only what is about that)."""

    racers: tuple[Racer, ...] = ()
    centre: Schedule = Schedule()


@dataclasses.dataclass
class Finish:
    """How a race ended.

    Attributes:
        worlds: each agent's; one that was killed has status -1.
        log: what they logged, all together.
    """

    worlds: list[World]
    log: list[str]


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
    turns = Turns(host.virtual)
    worlds = [_join(host, turns, racer) for racer in race.racers]
    with watched(turns, race.centre.luck) as (written, _):
        turns.run()
    host.come_to_rest()
    for world in worlds:
        world.running_at_rest = host.running_at_rest
    return Finish(worlds, written.lines)


def _join(host: World, turns: Turns, racer: Racer) -> World:
    """Return the world of another agent at the same data centre."""
    own = ("action", "faults", "posts_lost", "post_fault", "rate")
    schedule = dataclasses.replace(host.schedule, **{name: getattr(racer, name) for name in own})
    world = type(host)(schedule)
    world.centre, world.front_end, world.boots = host.centre, host.front_end, host.boots
    world.clock, world.virtual = turns, host.virtual
    world.begun = host.begun + racer.begin
    world.delays = itertools.cycle([OWN_TIME / 2 + tenths / 10 for tenths in racer.delays or (0,)])
    end = world.begun + racer.killed if racer.killed else math.inf
    turns.add(Turn(world.act, world.begun, end))
    return world


def draw(api: str, seed: int) -> Race:
    """The race of that seed for an API: soap, rest or oauth2."""
    chance = random.Random(f"race {api} {seed}")
    is_plain = chance.random() < 0.4
    racers = tuple(_drawn_racer(chance, is_plain) for _ in range(chance.choice([2, 2, 2, 3])))
    fields: dict[str, Any] = {
        "queue_delay": chance.choice([0, 0, 4, 45]),
        "cut_delay": chance.randint(0, 40),
        "boot_delay": chance.randint(0, 90),
        "rest": chance.randint(0, 90),
        "earlier_reboots": chance.randint(0, 1),
        "poll": chance.choice([1, 3, 5, 15, 15, 15]),
        "luck": seed,
    }
    if api == "soap":
        fields["reading"] = chance.choice(["A-empty", "A-previous", "B"])
    else:
        fields["list_lag"] = chance.choice([0, 0, 5, 58])
        fields["read_lag"] = chance.choice([0, 0, 5, 28])
        fields["stale_reads"] = chance.choice(["all", "alternating", "random"])
        fields["task_unseen"] = chance.choice([0, 0, 3, 30])
        fields["refuses_second_reboot"] = chance.random() < 0.8
    return Race(racers, Schedule(**fields))


def _drawn_racer(chance: random.Random, is_plain: bool) -> Racer:
    fields: dict[str, Any] = {
        "action": chance.choice(["off", "off", "cycle", "cycle", "on", "onoff"]),
        "begin": chance.choice([0, chance.randint(0, 20), chance.randint(0, 300)]),
        "delays": tuple(chance.choice([0, 0, 1, 3, 10, 40]) for _ in range(chance.randint(1, 4))),
    }
    if not is_plain:
        fields["killed"] = chance.choice([0, 0, chance.randint(1, 400)])
        calls = range(chance.randint(0, 3))
        fields["faults"] = tuple((chance.randint(0, 45), chance.choice(FAULTS)) for _ in calls)
        fields["posts_lost"] = chance.choice([0, 0, 1, 2, 99])
        fields["post_fault"] = chance.choice(AFTER + BEFORE)
        fields["rate"] = chance.choice([0, 0, 20, 50])
    return Racer(**fields)
