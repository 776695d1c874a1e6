"""The agent with its long waits cut short: a copy of its file with other numbers in it.

Some rules take a minute, which no test has. The real numbers are tested on a virtual clock
(tests/safety).
"""

from __future__ import annotations

import re

from tests.harness import Agent, laid_out, module_of

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
    "KEY_REFUSED_FOR": 2.5,
}
OFTEN = {"FAIR": 600.0}
"""Requests a minute."""


def hurried(agent: Agent, **more: float) -> Agent:
    """The same agent, from a copy, on the same library.

    :param more: further numbers for it, by their names.
    """
    *python, script = agent.command
    module = module_of(script)
    text = module.read_text("utf-8")
    for name, number in {**SECONDS, **OFTEN, **more}.items():
        text, found = re.subn(rf"(?m)^( *{name} =) [1-9][\d.]*(?=$|  #)", rf"\g<1> {number}", text)
        assert found == 1, name
    has_library = module.with_name("fencing.py").exists()
    return Agent([*python, laid_out(text, has_library)], agent.env)
