# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs that an agent talks to in a pseudo-terminal."""

from __future__ import annotations

import ast
import inspect
import logging
import pathlib
import shlex
import subprocess
import sys
import time

import pexpect
import pytest

import fencing
from tests.library.toy_agent import needs_distribution

LIMIT = 0.5
"""Seconds."""


class TestRun:
    def test_returns_what_was_printed(self) -> None:
        assert fencing.frun("echo a word") == "a word\r\n"

    def test_and_the_exit_status(self) -> None:
        command = "sh -c 'echo out; echo err >&2; exit 3'"
        assert fencing.frun(command, withexitstatus=True) == ("out\r\nerr\r\n", 3)

    def test_runs_in_a_terminal(self) -> None:
        assert fencing.frun("sh -c 'test -t 0 && test -t 1 && tty'").startswith("/dev/")

    def test_text_whatever_the_bytes(self) -> None:
        assert fencing.frun(r"printf '\303\251\377'") == "é\N{REPLACEMENT CHARACTER}"

    def test_answers_what_is_asked(self) -> None:
        command = "sh -c 'printf name?; read name; echo hello $name'"
        said = fencing.frun(command, events={r"name\?": "you\n"})
        assert said.endswith("hello you\r\n")

    def test_where_and_with_what_environment(self, tmp_path: pathlib.Path) -> None:
        env = {"PATH": "/usr/bin:/bin", "WORD": "x"}
        said = fencing.frun("sh -c 'echo $WORD; pwd'", cwd=str(tmp_path), env=env)
        assert said.split() == ["x", str(tmp_path)]

    def test_the_limit_ends_an_endless_program(self) -> None:
        began = time.monotonic()
        said, status = fencing.frun("timeout 60 yes", timeout=LIMIT, withexitstatus=True)
        assert time.monotonic() - began >= LIMIT
        assert said.startswith("y\r\ny\r\n")
        assert status is None, "it ended by itself"

    @pytest.mark.parametrize("deaf", ["", "trap '' HUP INT TERM; "])
    def test_the_limit_ends_a_silent_one(self, tmp_path: pathlib.Path, deaf: str) -> None:
        """What it printed before is returned, and it does not live on."""
        script = f"{deaf}echo $$ > {tmp_path}/pid; echo ready; exec sleep 1000"
        command = f"sh -c {shlex.quote(script)}"
        said, status = fencing.frun(command, timeout=LIMIT + 1, withexitstatus=True)
        assert (said, status) == ("ready\r\n", None)
        pid = (tmp_path / "pid").read_text().strip()
        assert not pathlib.Path(f"/proc/{pid}").exists()

    def test_the_limit_holds_without_the_exit_status(self) -> None:
        said = fencing.frun("sh -c 'echo ready; sleep 60; echo late'", timeout=LIMIT + 1)
        assert said == "ready\r\n"

    def test_no_such_program(self) -> None:
        with pytest.raises(pexpect.ExceptionPexpect):
            fencing.frun("no-such-program-anywhere")

    def test_logs_nothing(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        command = "sh -c 'printf word?; read word; echo $word'"
        assert "secret" in fencing.frun(command, events={r"word\?": "secret\n"})
        assert caplog.text == ""


class TestSpawn:
    def test_expect_and_send(self) -> None:
        child = fencing.fspawn({"eol": "\n"}, "sh -c 'printf name:; read name; echo hi $name'")
        assert child.log_expect("name:", 30) == 0
        child.send_eol("you")
        assert child.log_expect(["nobody", "hi you\r\n"], 30) == 1
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == 0

    def test_the_usual_end_of_a_line(self) -> None:
        child = fencing.fspawn({}, "sh -c 'stty raw -echo; echo ready; head -c 4 | od -c'")
        child.log_expect("ready", 30)
        child.send_eol("ab")
        child.log_expect(r"a +b +\\r +\\n", 30)
        child.close()

    def test_what_does_not_come_is_no_end_of_the_process(self) -> None:
        child = fencing.fspawn({}, "sh -c 'echo ready; exec sleep 1000'")
        with pytest.raises(pexpect.TIMEOUT):
            child.log_expect("never", LIMIT)
        child.close(force=True)
        assert not child.isalive()

    def test_what_ends_too_early(self) -> None:
        child = fencing.fspawn({}, "echo bye")
        with pytest.raises(pexpect.EOF):
            child.log_expect("never", 30)
        child.close()

    def test_nothing_sent_or_received_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        options = {"--verbose": "1", "--verbose-level": 9, "eol": "\n"}
        script = "stty -echo; printf password:; read word; echo got $word; echo topsecret"
        child = fencing.fspawn(options, f"sh -c {shlex.quote(script)}")
        child.log_expect("password:", 30)
        child.send_eol("hunter22")
        child.log_expect("got hunter22", 30)
        child.log_expect("topsecret", 30)
        child.close()
        for word in ("hunter22", "topsecret", "password:", "read word"):
            assert word not in caplog.text


def test_imported_only_when_used() -> None:
    program = "import sys, fencing; sys.exit('pexpect' in sys.modules)"
    folder = pathlib.Path(fencing.__file__).parent
    assert subprocess.run([sys.executable, "-c", program], cwd=folder, check=False).returncode == 0


@needs_distribution
def test_the_distributions_library_takes_the_same() -> None:
    """So that an agent runs on either."""
    source = pathlib.Path("/usr/share/fence/fencing.py").read_text("utf-8")
    (function,) = (
        each
        for each in ast.parse(source).body
        if isinstance(each, ast.FunctionDef) and each.name == "frun"
    )
    theirs = [argument.arg for argument in function.args.args]
    ours = inspect.getfullargspec(fencing.frun).args
    assert ours == theirs
