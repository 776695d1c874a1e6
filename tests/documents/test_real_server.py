# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/real-server.md: its ten steps on a simulated server, and the log that can be shared."""

from __future__ import annotations

import os
import pathlib
import shlex
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.agent.machine import Machines
from tests.agent.rest_only import rest_only
from tests.agent.secrets_shown import pieces_shown
from tests.documents import documents
from tests.harness import AGENT, LOGIN, OTHER_SERVER, REPOSITORY, RestBackend, need
from tests.simulator import Timing

PAGE = REPOSITORY / "docs" / "real-server.md"
TITLE = "On a real server"
KEY_FILE = "/etc/fence_ovh.key"

STEPS = [
    "1. A key for this server",
    "2. A look that changes nothing",
    "3. off",
    "4. The console",
    "5. status",
    "6. on",
    "7. reboot",
    "8. The machine's own word",
    "9. A wrong boot order",
    "10. Back to normal",
]
SHARE = "What to send"

BOOT = Timing(cut_delay=0.5, boot_delay=5.0, reboot_duration=1.0)
"""As in the tests of the witness: the boot is later than the request by more than an answer takes."""

HURRY = "--power-timeout=20 --stonith-status-sleep=1"

ovh = pytest.fixture(rest_only)


class Admin:
    """Who follows the page, in one shell: what it sets in step 1 is there in all others."""

    def __init__(self, ovh: RestBackend, folder: pathlib.Path) -> None:
        self.ovh, self.folder = ovh, folder
        self.path = os.environ["PATH"]
        bin_folder = folder / "bin"
        bin_folder.mkdir()
        agent = f"{shlex.quote(sys.executable)} {shlex.quote(str(AGENT))}"
        program = bin_folder / "fence_ovh"
        url = ovh.keys()["api_url"]
        program.write_text(f'#!/bin/sh\nexec {agent} "$@" --api-url={url} {HURRY}\n')
        program.chmod(0o755)
        keys = ovh.keys()
        conf = documents.blocks(PAGE, STEPS[0])[1]
        for name, value in (
            ("APPLICATION_KEY", keys["login"]),
            ("APPLICATION_SECRET", keys["passwd"]),
            ("CONSUMER_KEY", keys["consumer_key"]),
        ):
            assert f"={name}" in conf
            conf = conf.replace(f"={name}", f"={value}")
        (folder / ".ovh.conf").write_text(conf)
        (folder / ".ovh.conf").chmod(0o600)
        first, _, second = documents.examples(PAGE, STEPS[0])
        self.set_up = f"{first.command}\n{second.command}"

    def run(self, command: str) -> str:
        """Type a command; return what the terminal shows."""
        command = command.replace(KEY_FILE, f"{self.folder}/fence_ovh.key")
        done = subprocess.run(
            ["sh", "-c", f"exec 2>&1\n{self.set_up}\n{command}"],
            cwd=self.folder,
            env={"PATH": f"{self.folder}/bin:{self.path}", "HOME": str(self.folder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            timeout=300,
            check=True,
        )
        return done.stdout.replace(f"{self.folder}/fence_ovh.key", KEY_FILE)

    def follow(self, heading: str) -> None:
        """Do what a step says, and see what it shows; then look at the console until it boots."""
        self.do(documents.examples(PAGE, heading))

    def do(self, examples: list[documents.Example]) -> None:
        """The same for some of its commands."""
        for example in examples:
            assert documents.difference(example, self.run(example.command)) == ""
            self.ovh.wait_until("a boot", lambda: self.ovh.running(OTHER_SERVER) != "")

    def booted(self) -> list[str]:
        """What the server booted at each power cut."""
        return self.ovh.cuts(OTHER_SERVER)


@pytest.fixture
def admin(ovh: RestBackend, tmp_path: pathlib.Path) -> Admin:
    ovh.data_centre.timing = BOOT
    return Admin(ovh, tmp_path)


@pytest.fixture
def machines(ovh: RestBackend, admin: Admin) -> Iterator[Machines]:
    """What answers for the server, with the key that the page has made."""
    need("ssh-keygen")
    admin.run(documents.examples(PAGE, STEPS[7])[0].command)
    public = (admin.folder / "fence_ovh.key.pub").read_text()
    folder = admin.folder / "machines"
    folder.mkdir()
    with Machines(ovh, folder, public).listening() as machines:
        admin.path = machines.env["PATH"]
        yield machines


def test_every_command_is_run() -> None:
    found = [each for heading in [*STEPS, SHARE] for each in documents.examples(PAGE, heading)]
    assert found == documents.examples(PAGE, TITLE)
    headings = [line[3:] for line in PAGE.read_text("utf-8").splitlines() if line[:3] == "## "]
    assert headings == [*STEPS, SHARE]


def test_off_status_on_reboot_and_what_is_shared(admin: Admin) -> None:
    for heading in STEPS[:7]:
        admin.follow(heading)
    assert admin.booted() == ["rescue12-customer", "hd", "hd"]
    admin.follow(SHARE)
    log, shared = (
        (admin.folder / f"{name}.log").read_text() for name in ("real-server", "to-share")
    )
    assert (OTHER_SERVER in log, OTHER_SERVER in shared) == (True, False)
    (block,) = (each for each in documents.blocks(PAGE, SHARE) if each.startswith("== "))
    off = next(part for part in shared.split("== ")[1:] if part.startswith("fence_ovh -o off"))
    shown = documents.Example("", tuple(block.splitlines()))
    assert documents.difference(shown, f"== {off}") == ""


def test_the_witness_a_wrong_boot_order_and_back(
    admin: Admin, machines: Machines, ovh: RestBackend
) -> None:
    _, *others = documents.examples(PAGE, STEPS[7])
    admin.do(others)
    server = ovh.data_centre.servers[OTHER_SERVER]
    server.ignores_netboot = True
    admin.follow(STEPS[8])
    server.ignores_netboot = False
    admin.follow(STEPS[9])
    assert admin.booted() == ["rescue12-customer", "hd", "hd", "hd", "hd"]
    admin.follow(SHARE)
    log, shared = (
        (admin.folder / f"{name}.log").read_text() for name in ("real-server", "to-share")
    )
    private = (admin.folder / "fence_ovh.key").read_text().splitlines()[1:-1]
    assert pieces_shown([*ovh.secrets, ovh.keys()["login"]], log) == []
    assert not [line for line in private[1:] if line in log]
    assert (server.address in log, server.address in shared) == (True, False)
    assert OTHER_SERVER not in shared
    assert "answers: rescueNAME, up" in shared
    assert "hard reboot accepted" in shared


@pytest.mark.parametrize(
    "line, gone",
    [
        ("ns1.ovh.net: not cut, says the machine (mynode, up 7 s); again", "mynode"),
        ("x: in vain (at 2001:41d0:1:2::7 answers: nothing)", "2001"),
        ('PUT: refused: "bad rescueMail jane.doe@example.org" (HTTP status 400)', "jane"),
        (f'refused: "not of {LOGIN}"', LOGIN),
        ("no connection to proxy.mycompany.com (refused)", "mycompany"),
        ("was left; next: fence_ovh -n ns1.ip-198-51-100.eu -o status (to look)", "198"),
    ],
)
def test_other_messages_can_be_shared(admin: Admin, line: str, gone: str) -> None:
    time = "2026-11-30 09:00:00,100 ERROR: "
    (admin.folder / "real-server.log").write_text(f"{time}{line}\n")
    admin.follow(SHARE)
    shared = (admin.folder / "to-share.log").read_text()
    assert gone not in shared
    assert shared.startswith(time)
