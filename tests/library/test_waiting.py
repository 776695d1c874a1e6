# SPDX-License-Identifier: GPL-2.0-or-later
"""The line on a person's terminal that says what is being waited for."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
import time
from typing import Any

import pexpect
import pytest

from tests.library.toy_agent import LOGIN, Toy

# Each look says how many there were; the third finds the plug off.
LOOK = """
number = sys.looks = getattr(sys, "looks", 0) + 1
fencing.show_waiting("look " + str(number) + "x" * (20 - 5 * number))
if number >= 3:
    device["state"]["a"] = "off"
    save(device, "saw it off", "a")
"""
QUICK = "--stonith-status-sleep=0.3"


@pytest.fixture
def toy(tmp_path: pathlib.Path) -> Toy:
    toy = Toy(tmp_path)
    toy.reset(a="on", stuck="off")
    return toy


def spawn(
    toy: Toy, *more: str, look: str = LOOK, columns: int = 80, term: str = "xterm", **env: str
) -> pexpect.spawn[Any]:
    """`off` on a terminal."""
    command = toy.command("-o", "off", *LOGIN, "-n", "a", QUICK, "--power-timeout=60", *more)
    environment = toy.environment(FENCE_TOY_LOOK=look, **env)
    environment["TERM"] = term
    size = (24, columns)
    return pexpect.spawn(command[0], command[1:], env=environment, dimensions=size, timeout=60)


def shown(child: pexpect.spawn[Any]) -> bytes:
    """All that it shows, and that it ended well."""
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    return bytes(child.before)


def blank(text: str) -> str:
    return "\r" + " " * (len(text) + 2) + "\r"


def test_each_line_is_written_over_the_one_before(toy: Toy) -> None:
    first, second, third = "look 1" + "x" * 15, "look 2" + "x" * 10, "look 3" + "x" * 5
    wanted = f"\r{first}{blank(first)}{second}{blank(second)}{third}{blank(third)}"
    assert shown(spawn(toy)).decode() == f"{wanted}Success: Powered OFF\r\n"


def test_a_longer_line_needs_no_spaces(toy: Toy) -> None:
    look = LOOK.replace("20 - 5 * number", "number")
    begin = "\rlook 1x\rlook 2xx\rlook 3xxx"
    assert shown(spawn(toy, look=look)).decode().startswith(f"{begin}{blank('look 3xxx')}")


def test_a_message_finds_the_line_empty(toy: Toy) -> None:
    look = LOOK + "import logging\nlogging.warning('a message')"
    text = shown(spawn(toy, look=look)).decode()
    assert len(re.findall(r"\r {20,}\r[-0-9]+ [:,0-9]+ WARNING: a message\r\n", text)) >= 1
    assert not re.search("x[^\r]*WARNING", text)


def test_the_empty_text_removes_it(toy: Toy) -> None:
    look = LOOK + "fencing.show_waiting('')\nfencing.show_waiting('')"
    text = shown(spawn(toy, look=look)).decode()
    first = "look 1" + "x" * 15
    assert text.startswith(f"\r{first}{blank(first)}\rlook 2")


def test_it_is_gone_at_exit(toy: Toy) -> None:
    child = spawn(toy, FENCE_TOY_CLEAN_UP="fencing.show_waiting('cleaning')")
    assert shown(child).endswith(blank("cleaning").encode())


def test_it_is_gone_after_a_signal_with_what_the_terminal_shows(toy: Toy) -> None:
    toy.reset(a="on", stuck="off")
    child = spawn(toy, look="fencing.show_waiting('waiting')")
    child.expect("waiting")
    child.sendintr()
    child.expect_exact("^C" + blank("waiting"))
    child.expect("ERROR: ended by SIGINT\r\n")
    child.expect(pexpect.EOF)
    child.close()
    assert (child.exitstatus, child.before) == (1, b"")


def test_it_never_needs_a_second_line(toy: Toy) -> None:
    look = LOOK.replace("20 - 5 * number", "100")
    lines = re.split("[\r\n]+", shown(spawn(toy, look=look, columns=30)).decode())
    assert [len(line) for line in lines[1:3]] == [29, 29]
    assert max(map(len, lines)) == 29


def test_it_stays_one_line_whatever_the_text(toy: Toy) -> None:
    look = LOOK.replace('"look "', r'"a\n\x1b[1m\udc80 "')
    assert rb"a\n\x1b[1m\udc80 1" in shown(spawn(toy, look=look))


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_terminal_that_cannot_go_back(toy: Toy, term: str) -> None:
    assert shown(spawn(toy, term=term)) == b"Success: Powered OFF\r\n"


def test_quiet(toy: Toy) -> None:
    assert shown(spawn(toy, "-q")) == b"Success: Powered OFF\r\n"


@pytest.mark.parametrize("redirection", ["2>{}", "</dev/null", "<&-", "2>&-"])
def test_no_person_at_a_terminal(toy: Toy, redirection: str) -> None:
    path = toy.folder / "file"
    command = toy.command("-o", "off", *LOGIN, "-n", "a", QUICK)
    shell = ["-c", f'"$@" {redirection.format(path)}', "sh", *command]
    environment = {**toy.environment(FENCE_TOY_LOOK=LOOK), "TERM": "xterm"}
    child = pexpect.spawn("/bin/sh", shell, env=environment, timeout=60)
    assert shown(child) == b"Success: Powered OFF\r\n"
    assert not path.exists() or path.read_bytes() == b""


def test_nothing_is_a_terminal(toy: Toy) -> None:
    result = toy.run("-o", "off", *LOGIN, "-n", "a", QUICK, FENCE_TOY_LOOK=LOOK, TERM="xterm")
    assert (result.returncode, result.stdout, result.stderr) == (0, b"Success: Powered OFF\n", b"")


def test_a_terminal_that_goes_is_no_error(toy: Toy) -> None:
    """Without SIGHUP, as with nohup: what is written then fails."""
    ignore = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)"
    source = toy.agent.read_text()
    toy.agent.write_text(source.replace("def main():\n", f"def main():\n    {ignore}\n"))
    look = LOOK.replace(">= 3", ">= 9")
    child = spawn(toy, look=look)
    child.expect("look 2")
    os.close(child.fileno())
    child.closed = True
    deadline = time.monotonic() + 60
    while "saw it off" not in toy.device.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_terminal_that_is_stopped_holds_nothing_up(toy: Toy) -> None:
    """By Ctrl-S: writing to it would wait for ever."""
    child = spawn(toy, look=LOOK.replace(">= 3", ">= 9"), FENCE_TOY_CLEAN_UP="os._exit(0)")
    child.expect("look 1")
    child.send(b"\x13")
    deadline = time.monotonic() + 60
    while child.isalive():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert toy.state["a"] == "off"
    child.close()


def test_python_knows_this_module_without_a_terminal() -> None:
    """Called before anything is set up, with nothing there at all."""
    program = "import sys, fencing; sys.stdin = sys.stderr = None; fencing.show_waiting('x')"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")
