# SPDX-License-Identifier: GPL-2.0-or-later
"""The README's commands, as they stand there; those that install are tried in tests/packaging."""

from __future__ import annotations

import pathlib
import shlex
import subprocess
import sys

from tests import harness
from tests.documents import documents
from tests.harness import REPOSITORY, RestBackend

README = REPOSITORY / "README.md"


def test_the_installation_is_in_sight() -> None:
    """Who wants to try it has not read three pages before: a screen and a half at most."""
    text = README.read_text("utf-8")
    assert len(text.partition("\n## Install\n")[0].split()) < 300
    assert len(text.partition("\n## First steps\n")[0].splitlines()) <= 60


def test_it_does_not_grow() -> None:
    """What most need, and links to the rest."""
    assert len(README.read_text("utf-8").split()) < 2_900


def test_first_steps(tmp_path: pathlib.Path) -> None:
    """The look, then the same line with other actions, as the steps say."""
    (line,) = (each for each in documents.blocks(README, "First steps") if "monitor" in each)
    ovh, secret = RestBackend(), tmp_path / "secret"
    keys = ovh.keys()
    secret.write_text(f"{keys['passwd']}\n")
    for shown, here in {
        "APPLICATION_KEY": keys["login"],
        "CONSUMER_KEY": keys["consumer_key"],
        "/etc/fence_ovh.secret": str(secret),
        "plug=ns1001.ip-203-0-113.eu": f"plug={harness.OTHER_SERVER} api_url={keys['api_url']}",
        "fence_ovh;": f"'{sys.executable}' '{harness.AGENT}';",
    }.items():
        assert shown in line
        line = line.replace(shown, here)
    with ovh.simulator:
        for action, output in {
            "monitor": "0\n",
            "off": "Success: Powered OFF\n0\n",
            "on": "Success: Powered ON\n0\n",
        }.items():
            command = ["sh", "-c", line.replace("action=monitor", f"action={action}")]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            assert (done.stdout, done.stderr) == (output, "")
        assert ovh.cuts(harness.OTHER_SERVER) == ["rescue12-customer", "hd"]


def test_by_hand(tmp_path: pathlib.Path) -> None:
    """The simulator in one terminal, the agent in another."""
    start, commands = (
        block.replace(".venv/bin/python", sys.executable)
        for block in documents.blocks(README, "The simulator by hand")
    )
    command = [*shlex.split(start), "--reboot-duration=1", "--cut-delay=0.1", "--boot-delay=0.1"]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as simulator:
        try:
            assert simulator.stdout
            url, rest = (simulator.stdout.readline().strip() for _ in range(2))
            script = commands.replace("http://127.0.0.1:PORT", url)
            script = script.replace("what stands behind REST:", rest.partition("REST: ")[2])
            done = subprocess.run(
                ["sh", "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True
            )
        finally:
            simulator.terminate()
    off, status = "Success: Powered OFF\n0\n", "Status: OFF\n2\n"
    assert done.stdout == f"{off}{status}ns1234.ovh.net rescue12-customer\n"
