"""The provider's tasks: what it has been asked to do to a server, and how far that is.

A task's status is a function of time. The course of a hard reboot is the model's; every hard reboot
has a task, whoever asked for it.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import Any, Callable, Optional

from tests.simulator.model import DataCentre, HardReboot

STATUSES = ("init", "todo", "doing", "done", "cancelled", "customerError", "ovhError")
OPEN_STATUSES = ("init", "todo", "doing")
OUTCOMES = ("done", "cancelled", "customerError", "ovhError")

_FIRST_ID = 500_000_001

WriteDate = Callable[[Optional[float]], Optional[str]]
"""How a moment (seconds of the clock; None if it is not yet) is written."""


@dataclass(frozen=True)
class Ending:
    """How a task ends.

    Attributes:
        outcome: one of OUTCOMES. One that is not `done` comes at the moment of the power cut.
        comment: what the task says then.
        never: it does not end at all.
    """

    outcome: str = "done"
    comment: str = ""
    never: bool = False


@dataclass
class Task:
    """Something to be done to a server.

    Attributes:
        accepted_at: in seconds of the clock, as all moments.
        reboot: the hard reboot that it is; None for a task that does nothing but last `seconds`,
            half of them in the queue.
        in_the_way: whether no other task is accepted before its end.
    """

    id: int
    server: str
    function: str
    requested_by: str
    accepted_at: float
    reboot: HardReboot | None = None
    seconds: float = 0.0
    in_the_way: bool = True
    ending: Ending = field(default_factory=Ending)
    cancelled_at: float | None = None

    @property
    def begun_at(self) -> float | None:
        """When it began or will; None if that is not known."""
        if self.reboot is not None:
            return self.reboot.begun_at
        return self.accepted_at + self.seconds / 2

    @property
    def ended_at(self) -> float | None:
        """When it ended or will; None if that is not known."""
        if self.cancelled_at is not None:
            return self.cancelled_at
        if self.ending.never:
            return None
        if self.reboot is None:
            return self.accepted_at + self.seconds
        if self.ending.outcome == "done":
            return self.reboot.over_at
        begun = self.reboot.begun_at
        return None if begun is None else begun + self.reboot.timing.cut_delay

    def status(self, now: float) -> str:
        """One of STATUSES."""
        if _reached(self.ended_at, now):
            return "cancelled" if self.cancelled_at is not None else self.ending.outcome
        if _reached(self.begun_at, now):
            return "doing"
        queue = self.reboot.timing.queue_delay if self.reboot else 0.0
        return "init" if now < self.accepted_at + queue / 2 else "todo"

    def document(self, now: float, write: WriteDate, status: str | None = None) -> dict[str, Any]:
        """What the API says of it; `status`: instead of its own."""
        ended = self.ended_at if _reached(self.ended_at, now) else None
        begun = self.begun_at if _reached(self.begun_at, now) else None
        updated = ended if ended is not None else begun
        return {
            "taskId": self.id,
            "function": self.function,
            "status": status or self.status(now),
            "comment": self.ending.comment if ended is not None else "",
            "startDate": write(self.accepted_at),
            "lastUpdate": write(self.accepted_at if updated is None else updated),
            "doneDate": write(ended),
            "needSchedule": False,
            "note": None,
            "plannedInterventionId": None,
            "tags": [],
            "ticketReference": None,
        }

    def record(self, now: float) -> dict[str, Any]:
        """What the ground truth says of it."""
        return {
            "id": self.id,
            "server": self.server,
            "function": self.function,
            "status": self.status(now),
            "requested_by": self.requested_by,
            "accepted_at": self.accepted_at,
        }


class Tasks:
    """All tasks of a data centre. Whoever asks settles it first."""

    def __init__(self, data_centre: DataCentre) -> None:
        self._data_centre = data_centre
        self._ids = itertools.count(_FIRST_ID)
        self._of_server: dict[str, dict[int, Task]] = {}
        self._open: dict[str, list[Task]] = {}
        data_centre.on_hard_reboot.append(self._take_reboot)

    def of_server(self, server: str) -> dict[int, Task]:
        """The tasks of a server by their ids, in the order of their acceptance."""
        return self._of_server.get(server, {})

    def of_reboot(self, reboot: HardReboot) -> Task:
        """The task that a hard reboot is."""
        tasks = reversed(self._of_server[reboot.server].values())
        return next(task for task in tasks if task.reboot is reboot)

    def unfinished(self, server: str) -> list[Task]:
        """The tasks of the server that are queued or under way and in the way of others."""
        now = self._data_centre.clock.monotonic()
        tasks = [t for t in self._open.get(server, ()) if t.status(now) in OPEN_STATUSES]
        self._open[server] = tasks
        return tasks

    def reboot(self, server: str, *, by: str, ending: Ending, after_cut: bool) -> Task:
        """Accept a hard reboot of the server; the power is cut if `after_cut`, or if it is done."""
        cut = after_cut or ending.outcome == "done"
        task = self.of_reboot(self._data_centre.hard_reboot(server, by=by, cut=cut))
        task.ending = ending
        return task

    def reinstall(self, server: str, *, by: str, seconds: float) -> Task:
        """Accept a task that lasts `seconds`, is in the way of others and reboots nothing."""
        now = self._data_centre.settle()
        return self._add(Task(next(self._ids), server, "reinstallServer", by, now, seconds=seconds))

    def get_stuck(self, server: str, function: str, *, by: str) -> Task:
        """Accept a task that stays in todo for ever, in nobody's way."""
        now = self._data_centre.settle()
        task = Task(next(self._ids), server, function, by, now, seconds=math.inf, in_the_way=False)
        return self._add(task)

    def cancel(self, task: Task) -> bool:
        """End a task that has not begun; returns whether it could be."""
        now = self._data_centre.settle()
        if task.status(now) not in ("init", "todo"):
            return False
        if task.reboot is not None:
            self._data_centre.cancel(task.reboot)
        task.cancelled_at = now
        return True

    def record(self) -> list[dict[str, Any]]:
        """What the ground truth says of them, in the order of their acceptance."""
        now = self._data_centre.settle()
        tasks = itertools.chain.from_iterable(t.values() for t in self._of_server.values())
        return [task.record(now) for task in sorted(tasks, key=lambda task: task.id)]

    def _take_reboot(self, reboot: HardReboot) -> None:
        self._add(
            Task(
                next(self._ids),
                reboot.server,
                "hardReboot",
                reboot.requested_by,
                reboot.accepted_at,
                reboot,
            )
        )

    def _add(self, task: Task) -> Task:
        self._of_server.setdefault(task.server, {})[task.id] = task
        if task.in_the_way:
            self._open.setdefault(task.server, []).append(task)
        return task


def _reached(moment: float | None, now: float) -> bool:
    return moment is not None and moment <= now
