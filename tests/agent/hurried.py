"""The agent with its long waits cut short: a copy of its file with other numbers in it.

Some rules take a minute, which no test has. The real numbers are tested on a virtual clock
(tests/safety).
"""

from __future__ import annotations

import pathlib
import re
import shutil

from tests.harness import AGENT, REPOSITORY, Agent

SECONDS = {
    "SILENCE": 3.0,
    "LOGIN_PAUSE": 1.7,  # twice that is more than DENIED_FOR
    "read_lag": 1.0,
    "list_lag": 2.0,
    "TASK_LAG": 4.0,
    "LATE": 1.0,
    "WAIT_EVERY": 0.5,
    "OTHER_LIMIT": 6.0,
    "DENIED_FOR": 3.0,
}
OFTEN = {"FAIR": 600.0}
"""Requests a minute."""


def hurried(agent: Agent, folder: pathlib.Path, **more: float) -> Agent:
    """The same agent, from a copy in that folder, on the same library.

    :param more: further numbers for it, by their names.
    """
    *python, script = agent.command
    text = pathlib.Path(script).read_text("utf-8")
    for name, number in {**SECONDS, **OFTEN, **more}.items():
        text, found = re.subn(rf"(?m)^( *){name} = [1-9][\d.]*$", rf"\g<1>{name} = {number}", text)
        assert found == 1, name
    place = folder / "hurried" / "sbin" / "fence_ovh"
    place.parent.mkdir(parents=True)
    place.write_text(text, "utf-8")
    place.chmod(0o755)
    if script == str(AGENT):
        shutil.copy(REPOSITORY / "fencing.py", place.parent)
    return Agent([*python, str(place)], agent.env)
