"""What can go wrong in one run of the agent, as data that hypothesis draws and shrinks."""

from __future__ import annotations

import dataclasses

from hypothesis import strategies as st

FAULTS = (
    # No answer. "before" and "after" the provider acted on the request.
    "refused",
    "time-out before",
    "time-out after",
    "reset before",
    "reset after",
    "TLS failure",
    "drip",
    # An answer that is none.
    "empty",
    "HTML",
    "HTML after",
    "502",
    "500 after",
    "503 with Retry-After",
    "429",
    "429 with Retry-After",
    "redirect",
    "cut short",
    "too long",
    "bomb",
    "nesting",
    "garbage",
    # A refusal that is not meant: any call may get it between two good answers.
    "401",
    "403",
    "404",
    "403 after",
    "session gone",
    # A good answer, late.
    "slow",
)
"""Faults of a single call."""

LIES = ("repeat", "blank", "wrong type", "missing", "wrong times", "wrong boot")
"""Answers that look good and are not: two in a row about the same thing are more than any
client can see through (docs/safety.md), so the search never makes them."""

EVENTS = (
    "netboot disk",
    "netboot rescue",
    "reboot",
    "sessions end",
    "zone jumps",
    "login elsewhere",
)


@dataclasses.dataclass(frozen=True)
class Schedule:
    """One run: what the agent is to do, how the data centre is, and what goes wrong.

    Seconds are seconds of the virtual clock, counted from the agent's start.

    Attributes:
        action: off, on, cycle, onoff or status.
        faults: by the number of the call.
        outages: begin, length in seconds, fault of every call meanwhile.
        events: seconds, what an operator does then.
        queue_delay, cut_delay, boot_delay, rest: seconds of a hard reboot's phases.
        never: how many of the hard reboots, from the first, are accepted and never carried out.
    """

    action: str = "off"
    faults: tuple[tuple[int, str], ...] = ()
    outages: tuple[tuple[int, int, str], ...] = ()
    events: tuple[tuple[int, str], ...] = ()
    queue_delay: int = 0
    cut_delay: int = 2
    boot_delay: int = 5
    rest: int = 10
    never: int = 0
    reading: str = "A-empty"
    zone: int = 0
    earlier_reboots: int = 1
    netboot_by_hand: bool = False
    single_session: bool = False
    session_lifetime: int = 0
    task_unseen: int = 0
    task_purged: int = 0
    off_mode: str = "rescue"
    outcome: str = ""

    def last_trouble(self) -> float:
        """When the last outage or event is over, in seconds."""
        ends = [begin + length for begin, length, _ in self.outages]
        return float(max([0, *ends, *(at for at, _ in self.events)]))


def _seconds(most: int) -> st.SearchStrategy[int]:
    return st.integers(0, most)


def schedules(rest: bool) -> st.SearchStrategy[Schedule]:
    """All schedules for the REST API, or for the SOAP API."""
    fault = st.sampled_from(FAULTS + LIES)
    only_soap = {
        "reading": st.sampled_from(["A-empty", "A-previous", "B"]),
        "zone": st.sampled_from([0, 0, -7, 12]),
        "single_session": st.booleans(),
        "session_lifetime": st.sampled_from([0, 0, 7, 60]),
    }
    only_rest = {
        "task_unseen": st.sampled_from([0, 0, 3, 30]),
        "task_purged": st.sampled_from([0, 0, 60, 90]),
        "off_mode": st.sampled_from(["rescue", "rescue", "power"]),
        "outcome": st.sampled_from(["", "", "", "", "cancelled", "customerError", "ovhError"]),
    }
    return st.builds(
        Schedule,
        action=st.sampled_from(["off", "off", "cycle", "cycle", "onoff", "on", "status"]),
        faults=st.lists(st.tuples(st.integers(0, 45), fault), max_size=8).map(tuple),
        outages=st.lists(
            st.tuples(_seconds(300), _seconds(250), st.sampled_from(FAULTS)), max_size=2
        ).map(tuple),
        events=st.lists(st.tuples(_seconds(120), st.sampled_from(EVENTS)), max_size=2).map(tuple),
        queue_delay=st.sampled_from([0, 0, 0, 4, 45, 400]),
        cut_delay=_seconds(30),
        boot_delay=_seconds(30),
        rest=_seconds(60),
        never=st.sampled_from([0, 0, 0, 0, 1, 9]),
        earlier_reboots=_seconds(2),
        netboot_by_hand=st.booleans(),
        **(only_rest if rest else only_soap),
    )
