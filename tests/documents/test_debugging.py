# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/debugging.md: its commands do what it says, and print what it shows.

Those for Pacemaker need a cluster; tests/cluster runs them.
"""

from __future__ import annotations

import pathlib
import subprocess
from collections.abc import Iterator

import pytest

from fencing import RELEASE_VERSION
from tests import harness
from tests.callers.cman import ExampleCluster
from tests.documents import documents
from tests.harness import REPOSITORY

PAGE = REPOSITORY / "docs" / "debugging.md"

HERE = ["The agent alone", "Through cman", "syslog", "The debug file"]
IN_A_CLUSTER = [
    "Through Pacemaker",
    "The last resort",
    "Pacemaker's log",
    "On the node that is to be fenced",
    "On another node",
]

NODE = "node1.example.com"


@pytest.fixture
def cluster(tmp_path: pathlib.Path) -> Iterator[ExampleCluster]:
    example = ExampleCluster(tmp_path)
    example.stand_in_for_ovh()
    with example.simulator:
        yield example


def follow(cluster: ExampleCluster, heading: str) -> None:
    """Run the commands of a section, in their order, as in a terminal."""
    for example in documents.examples(PAGE, heading):
        command = example.command.replace("/var/log/", f"{cluster.home}/")
        result = cluster.run("sh", "-c", f"exec 2>&1; {command}")
        assert (result.status, documents.difference(example, result.stdout)) == (0, "")


def test_every_command_is_run() -> None:
    (title,) = [line[2:] for line in PAGE.read_text("utf-8").splitlines() if line[:2] == "# "]
    assert all(block.startswith("$ ") for block in documents.blocks(PAGE, title))
    found = [
        each for heading in [*HERE, *IN_A_CLUSTER] for each in documents.examples(PAGE, heading)
    ]
    assert sorted(found, key=str) == sorted(documents.examples(PAGE, title), key=str)


def test_the_readme_shows_the_same_commands() -> None:
    commands = {
        example.command for example in documents.examples(PAGE, "When fencing does not work")
    }
    _, *others = documents.blocks(REPOSITORY / "README.md", "When something is wrong")
    assert {line for block in others for line in block.splitlines()} <= commands


def test_the_agent_alone(cluster: ExampleCluster) -> None:
    follow(cluster, "The agent alone")
    booted = cluster.booted()
    assert booted.pop(NODE) == ["rescue", "harddisk"]
    assert not any(booted.values())


def test_through_cman(cluster: ExampleCluster) -> None:
    follow(cluster, "Through cman")
    booted = cluster.booted()
    assert booted.pop(NODE) == ["rescue", "harddisk"]
    assert not any(booted.values())


def test_an_upgrade_does_not_change_the_launcher(tmp_path: pathlib.Path) -> None:
    """ccs_update_schema compares that file with the last time's. So it needs -f."""
    newer = tmp_path / "newer"
    harness.copy_sources(newer)
    agent, library = newer / "fence_ovh", newer / "fencing.py"
    agent.write_text(agent.read_text("utf-8").replace('"off_mode"', '"off_kind"'), "utf-8")
    library.write_text(library.read_text("utf-8").replace(RELEASE_VERSION, "99.0.0"), "utf-8")
    installed = []
    for sources, root in ((REPOSITORY, tmp_path / "1"), (newer, tmp_path / "2")):
        command = ["make", "-s", "-C", str(sources), "install", f"DESTDIR={root}"]
        subprocess.run(command, check=True)
        installed.append((root / "usr" / "sbin" / "fence_ovh").read_bytes())
    assert installed[0] == installed[1]


def test_every_page_knows_the_option_of_ccs_update_schema() -> None:
    others = ("README.md", "man/sections.txt", "examples/cluster.conf")
    for page in (PAGE, *(REPOSITORY / other for other in others)):
        text = page.read_text("utf-8")
        assert "ccs_update_schema -f" in text, page
        assert "ccs_update_schema --force" not in text, f"{page}: it has no such option"


def test_the_debug_file(cluster: ExampleCluster) -> None:
    follow(cluster, "The debug file")


JOURNALD = "/lib/systemd/systemd-journald"

WITH_A_JOURNAL = f"""
set -e
mount -t tmpfs run /run
mkdir -p /run/dev /run/systemd/journal /run/log/journal
for entry in full null random tty urandom zero; do
    touch /run/dev/$entry
    mount --bind /dev/$entry /run/dev/$entry
done
ln -s /proc/self/fd /run/dev/fd
ln -s /run/systemd/journal/dev-log /run/dev/log
mount --rbind /run/dev /dev
{JOURNALD} 2>/dev/null &
until [ -S /run/systemd/journal/dev-log ]; do
    kill -0 $!
    sleep 0.1
done
fence_ovh --api=rest -o off -n ns1001.ovh.net >/dev/null
journalctl --sync
eval "$1"
"""
"""A fencing, and what the journal says of it. All ends with the namespaces."""


def test_syslog(cluster: ExampleCluster, namespace: None) -> None:
    if not pathlib.Path(JOURNALD).exists():
        pytest.skip(f"{JOURNALD} is missing")
    (example,) = documents.examples(PAGE, "syslog")
    namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    result = cluster.run(*namespaces, "sh", "-c", WITH_A_JOURNAL, "sh", example.command)
    shown = documents.difference(example, result.stdout)
    assert (result.status, result.stderr, shown) == (0, "", "")
