# SPDX-License-Identifier: GPL-2.0-or-later
"""A throw-away agent on fencing.py, or on the distribution's module, with a fake device."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys
from typing import Any

import pytest

import fencing

OURS = pathlib.Path(fencing.__file__).parent
DISTRIBUTION = pathlib.Path("/usr/share/fence")
# The distribution's module needs its packages, which only the system's Python finds.
PYTHON = {OURS: sys.executable, DISTRIBUTION: "/usr/bin/python3"}
LOGIN = ("-l", "user", "-p", "secret")

needs_distribution = pytest.mark.skipif(
    not (DISTRIBUTION / "fencing.py").exists(), reason="no fence-agents package here"
)

AGENT = r"""
import atexit, os, sys  # no more: a test lists what the library imports
sys.path.insert(0, os.environ["FENCING_DIR"])
import fencing
from fencing import all_opt, atexit_handler, check_input, process_input, run_delay, show_docs

DEVICE = os.environ["FENCE_TOY_DEVICE"]

def load():
    import json
    with open(DEVICE) as file:
        return json.load(file)

def save(device, *call):
    import json
    device["calls"].append(call)
    with open(DEVICE, "w") as file:
        json.dump(device, file)

def get_power(conn, options):
    device = load()
    save(device, "get", options["--plug"])
    exec(os.environ.get("FENCE_TOY_LOOK", ""))
    if options["--plug"] not in device["state"]:
        fencing.fail(fencing.EC_STATUS)
    return device["state"][options["--plug"]]

def set_power(conn, options):
    device = load()
    if options["--action"] not in device["stuck"]:
        device["state"][options["--plug"]] = options["--action"]
    save(device, "set", options["--plug"], options["--action"])

def cycle(conn, options):
    device = load()
    save(device, "cycle", options["--plug"])
    return device["cycle"]

def get_list(conn, options):
    return {plug: ("alias of " + plug, state) for plug, state in load()["state"].items()}

def define_options():
    common = {"required": "0", "order": 3}
    all_opt["toy_level"] = {
        "getopt": ":", "longopt": "toy-level", "help": "--toy-level=[n]  Level of the toy",
        "default": "7", "type": "integer", "shortdesc": "Level of the toy", **common}
    all_opt["toy_flag"] = {
        "getopt": "", "longopt": "toy-flag", "help": "--toy-flag  Flag of the toy",
        "shortdesc": "Flag of the toy", **common}
    all_opt["toy_kind"] = {
        "getopt": "k:", "longopt": "toy-kind", "help": "-k, --toy-kind=[kind]  Kind of the toy",
        "choices": ["Alpha", "beta"], "default": "Alpha", "shortdesc": "Kind of the toy",
        **common}
    all_opt["power_timeout"]["default"] = "3"

def main():
    atexit.register(atexit_handler)
    define_options()
    options = ["login", "passwd", "port", "method", "toy_level", "toy_flag", "toy_kind"]
    options += os.environ.get("FENCE_TOY_WORDS", "").split()
    own_checks = "FENCE_TOY_CHECKS" in os.environ
    opt = check_input(options, process_input(options), other_conditions=own_checks)
    if "FENCE_TOY_DUMP" in os.environ:
        import json
        with open(os.environ["FENCE_TOY_DUMP"], "w") as file:
            json.dump(opt, file)
    show_docs(opt, eval(os.environ["FENCE_TOY_DOCS"]))
    if own_checks:  # as an agent does that knows nothing of what the library found
        found = os.environ["FENCE_TOY_CHECKS"]
        if found:
            fencing.fail_usage("Failed: " + found, stop=False)
        if found or opt["--action"] == "validate-all":
            sys.exit(1 if found else 0)
    if "FENCE_TOY_CHATTER" in os.environ:
        import logging
        for number in range(2000):
            logging.debug("%d %s", number, os.environ["FENCE_TOY_CHATTER"] * 100)
        logging.warning("%s", "y" * 5000)
    try:
        run_delay(opt)
        status = fencing.fence_action(None, opt, set_power, get_power, get_list, cycle)
    finally:
        exec(os.environ.get("FENCE_TOY_CLEAN_UP", ""))
    sys.exit(status)

main()
"""

DOCS: dict[str, Any] = {
    "shortdesc": "Fence agent for a toy",
    "longdesc": "A toy.\n\nIt fences nothing.",
    "vendorurl": "https://example.org",
}


class Toy:
    """The agent in a folder of its own."""

    def __init__(self, folder: pathlib.Path, library: pathlib.Path = OURS) -> None:
        self.folder = folder
        self.library = library
        self.agent = folder / "fence_toy"
        self.agent.write_text(AGENT)
        self.device = folder / "device.json"
        self.reset(a="on", b="off")

    def reset(self, stuck: str = "", cycle: bool = True, **state: str) -> None:
        """Set the plugs' power status; `stuck`: the switching that has no effect."""
        device = {"state": state, "stuck": stuck.split(), "cycle": cycle, "calls": []}
        self.device.write_text(json.dumps(device))

    @property
    def calls(self) -> list[list[str]]:
        """What the library called."""
        return list(json.loads(self.device.read_text())["calls"])

    @property
    def state(self) -> dict[str, str]:
        """Power status of every plug."""
        return dict(json.loads(self.device.read_text())["state"])

    def environment(self, docs: dict[str, Any] = DOCS, **more: str) -> dict[str, str]:
        """Environment of the agent's process."""
        return {
            **{name: value for name, value in os.environ.items() if name != "COLUMNS"},
            "FENCING_DIR": str(self.library),
            "FENCE_TOY_DEVICE": str(self.device),
            "FENCE_TOY_DOCS": repr(docs),
            **more,
        }

    def command(self, *arguments: str) -> list[str]:
        """Command line of the agent."""
        return [PYTHON[self.library], str(self.agent), *arguments]

    def run(
        self, *arguments: str, stdin: bytes = b"", docs: dict[str, Any] = DOCS, **env: str
    ) -> subprocess.CompletedProcess[bytes]:
        """Run the agent to its end."""
        return subprocess.run(
            self.command(*arguments),
            input=stdin,
            capture_output=True,
            env=self.environment(docs, **env),
            timeout=120,
        )

    def options(self, *arguments: str, stdin: bytes = b"", **env: Any) -> dict[str, Any]:
        """What check_input returns."""
        dump = self.folder / "options.json"
        result = self.run(*arguments, stdin=stdin, FENCE_TOY_DUMP=str(dump), **env)
        assert dump.exists(), result.stderr
        return dict(json.loads(dump.read_text()))


def problems(result: subprocess.CompletedProcess[bytes]) -> list[str]:
    """Messages on stderr, without time and level, and without the closing hint."""
    lines = result.stderr.decode().splitlines()
    texts = [re.sub(r"^.*? (ERROR|WARNING): (Failed: )?", "", line) for line in lines]
    return [text for text in texts if not text.endswith("shows the options")]
