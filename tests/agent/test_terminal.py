"""What a person sees who runs the agent on a real terminal."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator

import pexpect
import pytest

from tests.harness import AGENT, SERVER, Backend, RestBackend
from tests.simulator import CONSUMER_KEY, Call, Proceed, Response, Timing


@pytest.fixture
def terminal(ovh: Backend) -> Iterator[pexpect.spawn]:
    """`fence_ovh -o off` on a terminal, without a password."""
    child = spawn_off(ovh, {"TERM": "xterm"})
    yield child
    child.close(force=True)


def spawn_off(
    ovh: Backend, environment: dict[str, str], columns: int = 200, action: str = "off"
) -> pexpect.spawn:
    """Start `fence_ovh -o off` without a password on a terminal."""
    ovh.data_centre.timing = Timing(cut_delay=0.5, boot_delay=0.5, reboot_duration=4.0)
    words = ["-IS", str(AGENT)]  # as its first line has it
    for name, value in ovh.options(action, stonith_status_sleep=2, power_timeout=8).items():
        if name not in ("nodename", "agent", "passwd"):
            words.append(f"--{'username' if name == 'login' else name.replace('_', '-')}={value}")
    return pexpect.spawn(
        sys.executable,
        words,
        encoding="utf-8",
        timeout=60,
        dimensions=(24, columns),
        env={**os.environ, **environment},
    )


def give_password(terminal: pexpect.spawn, ovh: Backend) -> str:
    """Type the password once it is asked for."""
    terminal.expect("assword: ")
    terminal.waitnoecho()
    password = str(ovh.keys()["passwd"])
    terminal.sendline(password)
    return password


def test_no_prompt_of_python_follows_a_failure(ovh: Backend) -> None:
    """Its end, by Ctrl-D, would be a success."""
    terminal = spawn_off(ovh, {"TERM": "xterm", "PYTHONINSPECT": "1"})
    terminal.expect("assword: ")
    terminal.waitnoecho()
    terminal.sendline("wrong")
    assert terminal.expect([pexpect.EOF, ">>> "]) == 0
    terminal.close()
    assert terminal.exitstatus == 1
    assert ovh.cuts() == []


def test_a_missing_password_is_asked_for_without_echo(
    terminal: pexpect.spawn, ovh: Backend
) -> None:
    password = give_password(terminal, ovh)
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0
    assert ovh.cuts() == ["rescue12-customer"]
    assert password not in terminal.before


def test_one_status_line_says_what_is_waited_for(terminal: pexpect.spawn, ovh: Backend) -> None:
    give_password(terminal, ovh)
    terminal.expect(rf"{SERVER}: waiting for the hard reboot to be over \(\d+ s\)")
    terminal.expect("\r +\r")
    terminal.expect("Success: Powered OFF")
    assert "\x1b" not in (terminal.before or "")


def test_status_says_what_it_waits_for(ovh: Backend) -> None:
    """Before an API that does not answer it would be silent for 15 seconds."""
    released = threading.Event()

    def intercept(call: Call, proceed: Proceed) -> Response:
        released.wait(30)
        return proceed()

    ovh.front_end.intercept = intercept
    child = spawn_off(ovh, {"TERM": "xterm"}, action="status")
    give_password(child, ovh)
    child.expect("(login|GET /auth/time|POST /auth/oauth2/token): waiting for an answer")
    released.set()
    child.expect("\r +\rStatus: ON")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_a_key_that_expires_soon_is_a_warning() -> None:
    """In a cluster, whose monitor runs every minute, it is none."""
    ovh = RestBackend()
    with ovh.simulator:
        key = ovh.front_end.credentials.consumer_keys[CONSUMER_KEY]
        key.expires_at = ovh.data_centre.clock.monotonic() + 10 * 24 * 3600
        child = spawn_off(ovh, {"TERM": "xterm"}, action="monitor")
        give_password(child, ovh)
        child.expect("WARNING: the consumer key expires in 10 days; make a consumer key")
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == 0


def test_a_dumb_terminal_gets_no_status_line(ovh: Backend) -> None:
    """TERM=dumb: what it shows cannot be written over."""
    child = spawn_off(ovh, {"TERM": "dumb"})
    give_password(child, ovh)
    child.expect("Success: Powered OFF")
    assert "waiting for" not in child.before


def test_a_narrow_terminal_gets_one_line_not_two(ovh: Backend) -> None:
    child = spawn_off(ovh, {"TERM": "xterm"}, columns=30)
    give_password(child, ovh)
    child.expect("Success: Powered OFF")
    lines = [line for line in child.before.replace("\n", "\r").split("\r") if line.strip()]
    assert lines
    assert all(len(line) < 30 for line in lines)


def test_ctrl_c_says_what_was_set_in_motion_and_how_to_undo_it(
    terminal: pexpect.spawn, ovh: Backend
) -> None:
    give_password(terminal, ovh)
    terminal.expect(rf"{SERVER}: waiting for the hard reboot to be over \(\d+ s\)")
    shown = terminal.match.group()
    terminal.sendintr()
    terminal.expect(r"\^C\r( +)\r")
    assert len(terminal.match.group(1)) == len(f"{shown}^C")
    terminal.expect("ended by SIGINT")
    terminal.expect(f"{SERVER} was left with netboot rescue12-customer .* set, hard reboot acc")
    terminal.expect(r"-o reboot \(to boot it from disk\)")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 1
