# SPDX-License-Identifier: GPL-2.0-or-later
"""A signal ends an agent: it is logged, the agent cleans up, and the exit status is 1."""

from __future__ import annotations

import fcntl
import os
import pathlib
import signal
import subprocess
import sys
import termios
import time
from typing import IO

import pytest

import fencing
from tests.library.toy_agent import LOGIN, Toy, problems

SIGNALS = ["SIGTERM", "SIGINT", "SIGHUP", "SIGALRM"]


@pytest.fixture
def toy(tmp_path: pathlib.Path) -> Toy:
    toy = Toy(tmp_path)
    toy.reset(a="on", stuck="off on")
    return toy


def calls(toy: Toy) -> int:
    """How often the toy was called, and some more; also by an agent before."""
    return toy.device.read_text().count('"a"')


def wait_until_called(toy: Toy, process: subprocess.Popen[bytes], before: int) -> None:
    """Wait until the library has called the toy three times more: it polls then."""
    deadline = time.monotonic() + 60
    while calls(toy) < before + 3:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.1)


def wait_until_read(pipe: IO[bytes]) -> None:
    """Wait until nothing that was written to a pipe is left in it."""
    deadline = time.monotonic() + 60
    while int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4), sys.byteorder):
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Ended:
    """How an `off` ended that got signals: its status, and what it printed.

    It would go on for ten minutes without.
    """

    def __init__(self, toy: Toy, *signals: str, action: str = "off", **env: str) -> None:
        arguments = ("-o", action, *LOGIN, "-n", "a", "--power-timeout=600")
        before = calls(toy)
        self.process = subprocess.Popen(
            toy.command(*arguments),
            env=toy.environment(**env),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            wait_until_called(toy, self.process, before)
            for name in signals:
                self.process.send_signal(getattr(signal, name))
                time.sleep(0.1)
            stdout, stderr = self.process.communicate(timeout=60)
        finally:
            self.process.kill()
            self.process.wait()
        self.status = self.process.returncode
        self.stdout = stdout
        self.problems = problems(
            subprocess.CompletedProcess([], self.process.returncode, stdout, stderr)
        )


CLOSE = "open(DEVICE + '.closed', 'w').close()"


@pytest.mark.parametrize("name", SIGNALS)
def test_each_signal(toy: Toy, name: str) -> None:
    ended = Ended(toy, name, FENCE_TOY_CLEAN_UP=CLOSE)
    assert (ended.status, ended.stdout, ended.problems) == (1, b"", [f"ended by {name}"])
    assert os.path.exists(f"{toy.device}.closed")


def test_only_the_first_counts(toy: Toy) -> None:
    slow = f"import time; time.sleep(0.5); {CLOSE}"
    ended = Ended(toy, "SIGHUP", "SIGTERM", "SIGALRM", "SIGINT", "SIGHUP", FENCE_TOY_CLEAN_UP=slow)
    assert (ended.status, ended.problems) == (1, ["ended by SIGHUP"])
    assert os.path.exists(f"{toy.device}.closed")


def test_a_reboot_is_ended_while_it_switches_on(toy: Toy) -> None:
    toy.reset(a="on", stuck="on")
    ended = Ended(toy, "SIGTERM", action="reboot")
    assert (ended.status, ended.stdout, ended.problems) == (1, b"", ["ended by SIGTERM"])


def test_while_the_agent_waits_itself(toy: Toy) -> None:
    """In another thread's event, as one waits for an answer; and outside of fence_action."""
    toy.reset(a="on")
    wait = "import threading, json; d = load(); n = len(d['calls']); n > 3 or save(d, 'get', 'a');"
    wait += " n > 3 and threading.Event().wait(600); get_power(conn, options)"
    ended = Ended(toy, "SIGTERM", FENCE_TOY_LOOK=wait)
    assert (ended.status, ended.problems) == (1, ["ended by SIGTERM"])
    wait = "for n in range(4): save(load(), 'closing', 'a')\nimport time; time.sleep(600)"
    ended = Ended(toy, "SIGTERM", FENCE_TOY_CLEAN_UP=wait)
    assert (ended.status, ended.problems) == (1, ["ended by SIGTERM"])


RAISE = "__import__('signal').raise_signal(15)"
FORK = f"""\
import os, time, warnings
warnings.simplefilter("ignore")  # Python 3.12 and later warn of a fork beside a thread
os.register_at_fork(after_in_parent=lambda: {RAISE})
os.fork() or os._exit(0)
time.sleep(600)
"""
DESTRUCTOR = f"""\
import time
type('Last', (), {{'__del__': lambda self: {RAISE}}})()
time.sleep(600)
"""


@pytest.mark.parametrize("look", [FORK, DESTRUCTOR], ids=["fork", "destructor"])
def test_where_no_exception_gets_out(toy: Toy, look: str) -> None:
    """It ends all the same, and cleans up."""
    toy.reset(a="on")
    env = {"FENCE_TOY_LOOK": look, "FENCE_TOY_CLEAN_UP": CLOSE}
    result = toy.run("-o", "off", *LOGIN, "-n", "a", **env)
    assert (result.returncode, problems(result)) == (1, ["ended by SIGTERM"])
    assert b"Traceback" not in result.stderr
    assert os.path.exists(f"{toy.device}.closed")


def test_where_no_exception_gets_out_and_no_alarm_comes(toy: Toy) -> None:
    """Whoever started it ignores SIGALRM: it ends a little later."""
    toy.reset(a="on")
    ignore = "import signal; signal.signal(signal.SIGALRM, signal.SIG_IGN)"
    toy.agent.write_text(f"{ignore}\n{toy.agent.read_text()}")
    result = toy.run("-o", "off", *LOGIN, "-n", "a", FENCE_TOY_LOOK=DESTRUCTOR)
    assert (result.returncode, result.stdout, result.stderr) == (1, b"", b"")


@pytest.mark.parametrize(
    "clean_up",
    [
        "sys.exit(0)",
        "return",
        "print('lost?', end=''); sys.exit(2)",
        "raise fencing.Failed(1)",
        "raise ValueError",
    ],
)
def test_whatever_clean_up_does_the_status_is_1(toy: Toy, clean_up: str) -> None:
    if clean_up == "return":  # of main, which swallows the exit
        source = toy.agent.read_text()
        toy.agent.write_text(source.replace("    finally:\n", "    finally:\n        return\n"))
    ended = Ended(toy, "SIGTERM", FENCE_TOY_CLEAN_UP=clean_up)
    assert ended.status == 1
    assert ended.problems[0] == "ended by SIGTERM"
    assert ended.stdout == (b"lost?" if "lost?" in clean_up else b"")


@pytest.mark.parametrize(
    "clean_up",
    [
        "import time; time.sleep(600)",
        "import threading; threading.Thread(target=__import__('time').sleep, args=[600]).start()",
        # A call of the system that neither returns nor lets Python in, as a search for a host does.
        "import ctypes, signal\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\n"
        "ctypes.CDLL(None).sleep(600)",
    ],
    ids=["sleeps", "thread", "C"],
)
def test_clean_up_that_does_not_end(toy: Toy, clean_up: str) -> None:
    ended = Ended(toy, "SIGTERM", FENCE_TOY_CLEAN_UP=clean_up)
    assert (ended.status, ended.problems) == (1, ["ended by SIGTERM"])


def test_while_the_password_script_runs(toy: Toy) -> None:
    script = f'echo \'"a" "a" "a" "a"\' >> {toy.device}; exec sleep 60'
    command = toy.command("-o", "off", "-l", "u", "-n", "a", "--login-timeout=60", "-S", script)
    with subprocess.Popen(command, env=toy.environment(), stderr=subprocess.PIPE) as process:
        wait_until_called(toy, process, 0)
        process.terminate()
        assert process.stderr is not None
        assert b"ended by SIGTERM" in process.stderr.read()
    assert process.returncode == 1


def test_while_it_waits_for_its_input(toy: Toy) -> None:
    with subprocess.Popen(
        toy.command(), env=toy.environment(), stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(b"action=off\n")
        process.stdin.flush()
        wait_until_read(process.stdin)
        process.send_signal(signal.SIGINT)
        lines = process.stderr.read().splitlines()
        assert [line.endswith(b"ERROR: ended by SIGINT") for line in lines] == [True]
    assert process.returncode == 1


@pytest.mark.parametrize("action", ["metadata", "off"])
def test_documentation_listens_to_nothing(toy: Toy, action: str) -> None:
    """It ends at once, as any program does."""
    toy.reset(a="on")
    look = "import signal; print(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)"
    source = toy.agent.read_text().replace("    show_docs(", f"    {look}\n    show_docs(", 1)
    toy.agent.write_text(source)
    result = toy.run("-o", action, *LOGIN, "-n", "a")
    assert result.stdout.startswith(b"True" if action == "metadata" else b"False")


def test_handlers_of_the_agent_stay(toy: Toy) -> None:
    own = "import signal; signal.signal(signal.SIGTERM, lambda *x: os._exit(7))"
    source = toy.agent.read_text().replace(
        "    define_options()\n", f"    define_options()\n    {own}\n"
    )
    toy.agent.write_text(source)
    assert Ended(toy, "SIGTERM").status == 7


def test_what_is_ignored_at_the_start_stays_ignored(toy: Toy) -> None:
    """Started with nohup, it goes on when the terminal goes."""
    toy.agent.write_text(
        f"import signal; signal.signal(1, signal.SIG_IGN)\n{toy.agent.read_text()}"
    )
    assert Ended(toy, "SIGHUP", "SIGTERM").problems == ["ended by SIGTERM"]


def test_a_signal_at_the_very_end_changes_nothing(toy: Toy) -> None:
    """After the library's last act all is done: what was fenced stays fenced."""
    toy.reset(a="on")
    last = "import atexit, os; atexit.register(lambda: os.kill(os.getpid(), 15))"  # is run last
    toy.agent.write_text(f"{last}\n{toy.agent.read_text()}")
    result = toy.run("-o", "off", *LOGIN, "-n", "a")
    done = (0, b"Success: Powered OFF\n", b"")
    assert (result.returncode, result.stdout, result.stderr) == done


def test_interrupted() -> None:
    interrupted = fencing.Interrupted("SIGTERM")
    assert isinstance(interrupted, SystemExit)
    assert (interrupted.code, interrupted.signal_name) == (1, "SIGTERM")
