# SPDX-License-Identifier: GPL-2.0-or-later
"""Completion of the command line in a real bash."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
from collections.abc import Callable, Iterator

import pexpect
import pytest

from tests import agent_module, harness

BASH_COMPLETION = pathlib.Path("/usr/share/bash-completion/bash_completion")
INSERT_ALL = "\x1b*"  # Meta-*: readline writes all completions into the line
LINE_START = "\x01"

Complete = Callable[[str], list[str]]

pytestmark = [
    pytest.mark.skipif(not BASH_COMPLETION.exists(), reason="bash-completion is not installed"),
    pytest.mark.skipif(not shutil.which("make"), reason="make is not installed"),
]


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Complete]:
    """What bash makes of the end of a line, which it finds the installed completion for."""
    root = tmp_path_factory.mktemp("root")
    (root / "a debug file").touch()
    harness.make("install", root)
    environment = {
        "PATH": f"{root}/usr/sbin:{os.environ['PATH']}",
        "XDG_DATA_DIRS": f"{root}/usr/share",
        "HOME": str(root),
        "INPUTRC": "/dev/null",
        "TERM": "dumb",
    }
    (root / "bashrc").write_text(f"source {BASH_COMPLETION}\nPS1=READY\n")
    bash = pexpect.spawn(
        "bash",
        ["--rcfile", "bashrc", "-i"],
        env=environment,
        cwd=str(root),
        encoding="utf-8",
        timeout=30,
        dimensions=(24, 4000),
    )
    bash.expect_exact("READY")

    def words(line: str) -> list[str]:
        bash.send(f"{line}{INSERT_ALL}{LINE_START}printf '<%s>' \r\n")
        bash.expect(r"\r\n(<.*>)READY")
        return sorted(re.findall("<(.*?)>", bash.match[1])[line.count(" ") :])

    yield words
    bash.close(force=True)


def metadata(pattern: str) -> set[str]:
    """What the agent's metadata say."""
    shown = harness.agent_with_our_library().run({"action": "metadata"}).stdout
    return set(re.findall(pattern, shown))


@pytest.mark.parametrize("option", ["-o ", "--action ", "--action="])
def test_actions(complete: Complete, option: str) -> None:
    expected = metadata('<action name="(.*?)"') | set(agent_module.load().SETUP)
    assert {word.replace("--action=", "") for word in complete(f"fence_ovh {option}")} == expected


def test_every_option(complete: Complete) -> None:
    expected = metadata(r'<getopt mixed=".*(--[\w-]+=?)')
    assert "--off-mode=" in expected
    assert set(complete("fence_ovh --")) == expected
    assert {"-o", "-n", "--api="} <= set(complete("fence_ovh -"))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("fence_ovh --ap", ["--api-url=", "--api="]),
        ("fence_ovh --api=", ["--api=rest", "soap"]),
        ("fence_ovh --api r", ["rest"]),
        ("fence_ovh --endpoint=soyoustart-", ["--endpoint=soyoustart-ca", "soyoustart-eu"]),
        ("fence_ovh -m ", ["cycle", "onoff"]),
        ("fence_ovh --off-mode=p", ["--off-mode=power"]),
        ("fence_ovh --disable-timeout=", ["--disable-timeout=false", "true"]),
        ("fence_ovh -D a", ["a debug file"]),
        ("fence_ovh -o monitor --qu", ["--quiet"]),
        ("fence_ovh -q --verbose-", ["--verbose-level="]),
    ],
)
def test_what_may_follow(complete: Complete, line: str, expected: list[str]) -> None:
    assert complete(line) == expected


@pytest.mark.parametrize("typed", ["", "--password=", "x"])
def test_nothing_is_made_up(complete: Complete, typed: str) -> None:
    assert complete(f"fence_ovh -n {typed}") == ([typed] if typed else [])
