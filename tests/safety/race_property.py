"""What has to hold for agents that fence the same server at once."""

from __future__ import annotations

from tests.safety.property import ends_late, false_success
from tests.safety.race import Finish, Race
from tests.safety.simulated_run import World

MOST_CUTS = 4
"""Power cuts until two agents that want different things of one server have come to an end."""

CUTTING = ("off", "cycle")


def race_violations(race: Race, finish: Finish) -> list[str]:
    """What is wrong with how a race ended; empty when nothing is.

    What exit status 0 says must be true of each agent; the others are strangers to it, and the same
    is excused as where it is alone (tests/safety/property.py).
    """
    shown = {text for world in finish.worlds for text in world.leaks(finish.log)}
    found = [f"a secret was shown: {text[:60]!r}" for text in shown]
    if any("defect in fence_ovh" in line for line in finish.log):
        found.append("an exception that nobody expected")
    for number, (racer, world) in enumerate(zip(race.racers, finish.worlds)):
        if world.status == 0 and not _soap_tells_nothing(world):
            found += [f"agent {number}: {what}" for what in false_success(world)]
        if world.status not in ((0, 1, -1) if racer.killed else (0, 1)):
            found.append(f"agent {number}: exit status {world.status}")
        if world.status >= 0 and ends_late(world):
            found.append(f"agent {number}: it did not end by its deadline")
    return found + _end_of_two(race, finish)


def _soap_tells_nothing(world: World) -> bool:
    """SOAP shows the times of one hard reboot alone: another agent's is a stranger's."""
    return world.api == "soap"


def _end_of_two(race: Race, finish: Finish) -> list[str]:
    """What two agents come to when nothing fails."""
    actions = [racer.action for racer in race.racers]
    plain = all(racer.is_plain() and racer.action in CUTTING for racer in race.racers)
    if len(actions) != 2 or not plain:
        return []
    statuses = [world.status for world in finish.worlds]
    found = []
    if actions[0] == actions[1] and statuses != [0, 0]:
        found.append("exit status 1, although nobody wanted anything else")
    if 0 not in statuses:
        found.append("two agents that want different things both failed")
    begun = min(world.begun for world in finish.worlds)
    cuts = sum(cut.at >= begun for cut in finish.worlds[0].centre.power_cuts)
    if cuts > MOST_CUTS:
        found.append(f"{cuts} power cuts by two agents")
    return found
