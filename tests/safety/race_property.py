"""What has to hold for agents that fence the same server at once."""

from __future__ import annotations

import math

from tests.safety.property import LIMITS, LOGOUT
from tests.safety.race import Finish, Race, Racer
from tests.safety.simulated_run import CALL_LIMIT, POLL, World, agent

WANTED = {"off": "rescue", "cycle": "harddisk"}

PER_FAULT = 2 * CALL_LIMIT
"""How much later a fault may let an agent look."""


def noticed_after(racer: Racer) -> float:
    """Seconds after which an agent has looked twice at a netboot that somebody changed."""
    faults = len(racer.faults) + bool(racer.asking)
    return float(agent.LOOK_EVERY) + POLL + 2 * 2 * max(racer.delays) / 10 + PER_FAULT * faults


def race_violations(race: Race, finish: Finish) -> list[str]:
    """What is wrong with how a race ended; empty when nothing is."""
    found = [f"a secret was shown: {text[:60]!r}" for text in finish.worlds[0].leaks()]
    if any("defect in fence_ovh" in line for line in finish.worlds[0].log):
        found.append("an exception that nobody expected")
    for number, (racer, world) in enumerate(zip(race.racers, finish.worlds)):
        if world.status == 0 and racer.action != "on":
            found += [f"agent {number}: {what}" for what in _false_success(racer, world, finish)]
        if world.status not in ((0, 1, -1) if racer.killed else (0, 1)):
            found.append(f"agent {number}: exit status {world.status}")
        if world.status >= 0 and world.ended > world.begun + LIMITS[racer.action] + LOGOUT:
            found.append(f"agent {number}: it did not end by its deadline")
        if world.status == 1 and _must_succeed(race):
            found.append(f"agent {number}: exit status 1, although nobody wanted anything else")
    return found


def _false_success(racer: Racer, world: World, finish: Finish) -> list[str]:
    """What exit status 0 of off or reboot says and is not true.

    Of what was so until the agent's last look: what somebody does later, no client can see.
    """
    action = racer.action
    looks = [world.begun + look for look in world.looks]
    end = world.ended if action == "onoff" else max(looks, default=0)
    if not any(world.begun <= cut <= end for cut in finish.cuts):
        return ["exit status 0, but the server was not cut at all"]
    if action == "onoff" or _soap_shows_the_end_of_another(world):
        return []
    wanted = WANTED[action]
    found = []
    if world.shown_at_last_look != wanted:
        found.append("exit status 0, but the netboot was changed")
    booted = [(at, kind) for at, kind in finish.boots if world.begun <= at < end]
    if wanted not in [kind for _, kind in booted]:
        found.append("exit status 0, but the server did not boot what was demanded")
    elif booted[-1][1] != wanted:
        begin, until = _when_another_netboot_was_chosen(booted[-1][0], wanted, finish)
        if until - begin > noticed_after(racer):
            found.append(f"exit status 0, but the server booted {booted[-1][1]}")
    return found


def _when_another_netboot_was_chosen(
    moment: float, wanted: str, finish: Finish
) -> tuple[float, float]:
    """From when until when it was not the wanted one, at that moment."""
    earlier = [at for at, kind in finish.netboots if at <= moment and kind == wanted]
    chosen = max(earlier, default=-math.inf)
    begin = min(at for at, kind in finish.netboots if at >= chosen and kind != wanted)
    later = [at for at, kind in finish.netboots if at > moment and kind == wanted]
    return begin, min(later, default=math.inf)


def _soap_shows_the_end_of_another(world: World) -> bool:
    """In the reading in which the end stays that of the reboot before, it may be another agent's."""
    return world.api == "soap" and world.schedule.reading == "A-previous"


def _must_succeed(race: Race) -> bool:
    """Whether two agents want the same cut, and nothing goes wrong."""

    def is_plain(racer: Racer) -> bool:
        troubled = racer.killed or racer.faults or racer.asking
        return racer.action == race.racers[0].action and not troubled

    # on looks first, and for that it has less time; two that do off and on are in each other's way.
    cut = race.racers[0].action in WANTED
    return cut and len(race.racers) == 2 and all(is_plain(racer) for racer in race.racers)
