"""What a person sees who runs the agent on a real terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pexpect
import pytest

from tests.harness import AGENT, SERVER, Backend
from tests.simulator import Timing


@pytest.fixture
def terminal(ovh: Backend) -> Iterator[pexpect.spawn]:
    """`fence_ovh -o off` on a terminal, without a password."""
    ovh.data_centre.timing = Timing(cut_delay=0.5, boot_delay=0.5, reboot_duration=4.0)
    words = [str(AGENT)]
    for name, value in ovh.options("off", stonith_status_sleep=2).items():
        if name not in ("nodename", "agent", "passwd"):
            words.append(f"--{'username' if name == 'login' else name.replace('_', '-')}={value}")
    child = pexpect.spawn(sys.executable, words, encoding="utf-8", timeout=60, dimensions=(24, 70))
    yield child
    child.close(force=True)


def give_password(terminal: pexpect.spawn, ovh: Backend) -> str:
    """Type the password once it is asked for."""
    terminal.expect("assword: ")
    terminal.waitnoecho()
    password = str(ovh.keys()["passwd"])
    terminal.sendline(password)
    return password


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
    terminal.expect(rf"{SERVER}: waiting for the hard reboot to be over, \d+ s")
    terminal.expect(r"\r\x1b\[K")
    terminal.expect("Success: Powered OFF")
