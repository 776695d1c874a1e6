# SPDX-License-Identifier: GPL-2.0-or-later
"""Checking the options, the password script, and where messages go."""

from __future__ import annotations

import contextlib
import logging
import os
import pathlib
import re
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fencing
from tests.library.toy_agent import LOGIN, Toy, needs_distribution, problems

SECRET = b"hunter2"
NO_USERNAME = "--username is missing (username= on standard input)"
NO_PASSWORD = "--password or --password-script is missing"
NO_PLUG = "--plug is missing (plug= on standard input)"


@pytest.fixture
def toy(tmp_path: pathlib.Path) -> Toy:
    return Toy(tmp_path)


def script(folder: pathlib.Path, text: str) -> str:
    """Path of a shell script."""
    path = folder / "script"
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return str(path)


def test_defaults_and_normal_forms(toy: Toy) -> None:
    options = toy.options("-o", "STATUS", *LOGIN, "-n", "a", "-m", "CYCLE", "-k", "ALPHA")
    assert options["--action"] == "status"
    assert options["--method"] == "cycle"
    assert options["--toy-kind"] == "Alpha"
    assert options["--power-timeout"] == "3"
    assert options["--stonith-status-sleep"] == "1"
    assert options["--verbose-level"] == 0
    assert options["device_opt"][:2] == ["login", "passwd"]
    assert toy.options("-o", "meta-data")["--action"] == "metadata"


@pytest.mark.parametrize(
    ("arguments", "level"),
    [(("-v",), 1), (("-vvv",), 3), (("--verbose-level=2",), 2), (("-v", "--verbose-level=0"), 0)],
)
def test_verbosity(toy: Toy, arguments: tuple[str, ...], level: int) -> None:
    options = toy.options("-o", "status", *LOGIN, "-n", "a", *arguments)
    assert options["--verbose-level"] == level


def test_verbosity_from_stdin(toy: Toy) -> None:
    common = b"action=status\nlogin=u\npasswd=p\nport=a\n"
    assert toy.options(stdin=common + b"verbose=yes\nverbose=yes")["--verbose-level"] == 1
    assert toy.options(stdin=common + b"verbose_level=3")["--verbose-level"] == 3


@pytest.mark.parametrize(
    ("action", "wanted"),
    [
        *[(name, [NO_USERNAME, NO_PLUG, NO_PASSWORD]) for name in ("on", "off", "status")],
        *[(name, [NO_USERNAME, NO_PASSWORD]) for name in ("list", "monitor", "validate-all")],
        ("enable", None),
        ("hunter2", None),
    ],
)
def test_missing_options(toy: Toy, action: str, wanted: list[str] | None) -> None:
    result = toy.run("-o", action)
    names = ", ".join(fencing._ACTION_NAMES)
    bad_action = [f"--action must be one of: {names}", NO_USERNAME, NO_PASSWORD]
    assert result.returncode == 1
    assert problems(result) == (wanted if wanted is not None else bad_action)


@pytest.mark.parametrize("action", ["", " "])
def test_an_empty_action_is_one_problem(toy: Toy, action: str) -> None:
    text = f"action={action}\nlogin=u\npasswd=p\nport=a\n"
    result = toy.run(stdin=text.encode())
    assert result.returncode == 1
    assert problems(result) == [f"--action must be one of: {', '.join(fencing._ACTION_NAMES)}"]


def test_words_that_lift_requirements(toy: Toy) -> None:
    words = "no_login no_password"
    assert toy.run("-o", "status", "-n", "a", FENCE_TOY_WORDS=words).returncode == 0


def test_everything_wrong_is_reported_at_once(toy: Toy) -> None:
    result = toy.run(
        *("-o", "off", "-n", " , ", "-m", "hunter2", "--delay=-1", "--toy-level=1.5"),
        *("--power-timeout=inf", "--disable-timeout=hunter2"),
    )
    assert (result.returncode, toy.calls) == (1, [])
    assert SECRET not in result.stderr
    assert set(problems(result)) == {
        "--method must be one of: onoff, cycle",
        "--toy-level must be a whole number, not negative",
        "--delay must be a number of seconds, not negative",
        "disable time limit must be true or false",
        "power time limit must be a number of seconds, not negative",
        NO_USERNAME,
        NO_PLUG,
        NO_PASSWORD,
    }


@given(value=st.floats(min_value=0, max_value=10**8).map(lambda value: f"{value:.3f}"))
def test_numbers(value: str) -> None:
    assert fencing._is_number(value, fraction=True)
    assert not fencing._is_number(value, fraction=False)
    assert fencing._is_number(str(int(float(value))), fraction=False)


@pytest.mark.parametrize(
    "text", ["", " 1", "1 ", "+1", "-1", "1e3", "nan", "inf", "1.", ".5", "1_0", "٣", "²", "1" * 10]
)
def test_no_numbers(text: str) -> None:
    assert not fencing._is_number(text, fraction=True)
    assert not fencing._is_number(text, fraction=False)


@given(text=st.text())
def test_a_number_can_be_slept(text: str) -> None:
    if fencing._is_number(text, fraction=True):
        assert 0 <= float(text) < 10**9


def test_validate_all(toy: Toy) -> None:
    good = toy.run("-o", "validate-all", *LOGIN)
    assert (good.returncode, good.stdout, good.stderr, toy.calls) == (0, b"", b"", [])
    assert toy.run("-o", "validate-all", "-l", "u").returncode == 1


def test_validate_all_with_checks_of_the_agent(toy: Toy) -> None:
    """Everything is said at once, and the status is 1 although the agent found nothing itself."""
    result = toy.run("-o", "validate-all", "-l", "u", FENCE_TOY_CHECKS="a check of the toy")
    assert (result.returncode, problems(result)) == (1, [NO_PASSWORD, "a check of the toy"])
    result = toy.run("-o", "validate-all", "-l", "u", FENCE_TOY_CHECKS="")
    assert (result.returncode, problems(result), toy.calls) == (1, [NO_PASSWORD], [])
    result = toy.run("-o", "validate-all", *LOGIN, FENCE_TOY_CHECKS="a check of the toy")
    assert (result.returncode, problems(result)) == (1, ["a check of the toy"])
    result = toy.run("-o", "validate-all", *LOGIN, FENCE_TOY_CHECKS="")
    assert (result.returncode, result.stderr, toy.calls) == (0, b"", [])
    # For other actions the agent's checks are not reached.
    result = toy.run("-o", "list", "-l", "u", FENCE_TOY_CHECKS="a check of the toy")
    assert (result.returncode, problems(result)) == (1, [NO_PASSWORD])


BAD_SWITCH = "is a switch: its value must be yes or no (or 1, 0, ...)"
BAD_LOGGING = [
    ("verbose=hunter2", f"--verbose {BAD_SWITCH}"),
    ("verbose=", f"--verbose {BAD_SWITCH}"),
    ("quiet=", f"--quiet {BAD_SWITCH}"),
    ("quiet=2", f"--quiet {BAD_SWITCH}"),
    ("verbose_level=high", "--verbose-level must be a whole number, not negative"),
    ("verbose_level=", "--verbose-level must be a whole number, not negative"),
    (
        "debug_file=/nowhere/hunter2",
        "the debug file (--debug-file) cannot be written: No such file or directory",
    ),
]


@pytest.mark.parametrize(("line", "warning"), BAD_LOGGING)
def test_what_is_logged_never_stops_a_fencing(toy: Toy, line: str, warning: str) -> None:
    text = f"login=u\npasswd=p\nport=a\n{line}\n"
    result = toy.run(stdin=f"action=off\n{text}".encode())
    assert (result.returncode, problems(result)) == (0, [f"ignored: {warning}"])
    assert (toy.state["a"], SECRET in result.stderr) == ("off", False)
    result = toy.run(stdin=f"action=validate-all\n{text}".encode())
    assert (result.returncode, problems(result)) == (0, [f"ignored: {warning}"])
    result = toy.run(stdin=f"action=metadata\n{text}".encode())
    assert (result.returncode, result.stderr) == (0, b"")
    name, _, value = line.partition("=")
    result = toy.run("-o", "off", *LOGIN, "-n", "a", f"--{name}={value}")
    assert (result.returncode, problems(result)) == (0, [f"ignored: {warning}"])


def test_a_bad_value_counts_as_none(toy: Toy) -> None:
    common = b"action=status\nlogin=u\npasswd=p\nport=a\n"
    for more, level in (
        (b"verbose=hunter2", 0),
        (b"verbose=", 0),
        (b"verbose=1\nverbose_level=high", 1),
        (b"verbose=1" + b"0" * 20, 0),
    ):
        options = toy.options(stdin=common + more)
        assert (options["--verbose-level"], "--verbose" in options) == (level, level > 0)
    assert "--quiet" not in toy.options(stdin=common + b"quiet=")


@pytest.mark.parametrize(
    ("text", "password"),
    [
        ("echo hunter2", "hunter2"),
        ("printf ' hunter2 '", " hunter2 "),
        ("printf 'hunter2\\r\\nurl: x\\n'", "hunter2"),
        ("echo hunter2; echo hunter2 >&2", "hunter2"),
    ],
)
def test_password_script(toy: Toy, text: str, password: str) -> None:
    path = script(toy.folder, text)
    arguments = ("-o", "status", "-l", "u", "-n", "a", "-vv", "-S", path)
    assert toy.options(*arguments)["--password"] == password
    result = toy.run(*arguments)
    assert result.returncode == 0
    assert SECRET not in result.stdout + result.stderr


def test_password_script_may_have_arguments(toy: Toy) -> None:
    path = script(toy.folder, 'echo "$1"')
    options = toy.options("-o", "status", "-l", "u", "-n", "a", "-S", f"{path} 'a b'")
    assert options["--password"] == "a b"


def test_a_given_password_wins(toy: Toy) -> None:
    path = script(toy.folder, "touch ran")
    assert toy.options("-o", "status", *LOGIN, "-n", "a", "-S", path)["--password"] == "secret"
    assert not os.path.exists("ran")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "echo hunter2; exit 3",
            "the password script ended with status 3: run it by hand to see why",
        ),
        ("kill -9 $$", "the password script ended with status -9: run it by hand to see why"),
        ("echo", "the password script printed no password"),
        ("echo; echo hunter2", "the password script printed no password"),
        ("printf 'hunter2\\377'", "the password script printed something that is not UTF-8 text"),
    ],
)
def test_failing_password_script(toy: Toy, text: str, problem: str) -> None:
    path = script(toy.folder, "echo hunter2 >&2\n" + text)
    result = toy.run("-o", "off", "-l", "u", "-n", "a", "-vv", "-S", f"exec {path}")
    assert (result.returncode, problems(result), toy.calls) == (1, [problem], [])
    assert SECRET not in result.stdout + result.stderr


def test_missing_password_script(toy: Toy) -> None:
    result = toy.run("-o", "off", "-l", "u", "-n", "a", "-S", "/nowhere/hunter2")
    assert problems(result) == [
        "the password script ended with status 127: run it by hand to see why"
    ]


def is_running(pid: int) -> bool:
    status = pathlib.Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_slow_password_script_is_killed_with_its_children(toy: Toy) -> None:
    pids = toy.folder / "pids"
    path = script(toy.folder, f"sleep 600 & echo $! > {pids}; echo $$ >> {pids}; wait")
    arguments = ("-o", "off", "-l", "u", "-n", "a", "--login-timeout=1.5", "-S", path)
    result = toy.run(*arguments)
    assert problems(result) == ["the password script did not end within 1.5 seconds"]
    deadline = time.monotonic() + 30
    while any(is_running(int(pid)) for pid in pids.read_text().split()):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("arguments", [("-o", "metadata"), ("-o", "manpage"), ("-h",), ("-V",)])
def test_documentation_needs_and_runs_nothing(toy: Toy, arguments: tuple[str, ...]) -> None:
    path = script(toy.folder, f"touch {toy.folder}/ran")
    result = toy.run(*arguments, "-S", path, "-D", str(toy.folder / "debug"), "--delay=x")
    assert (result.returncode, result.stderr) == (0, b"")
    assert not (toy.folder / "ran").exists()
    assert not (toy.folder / "debug").exists()


def test_levels_on_stderr(toy: Toy) -> None:
    arguments = ("-o", "off", *LOGIN, "-n", "a")
    assert toy.run(*arguments).stderr == b""
    toy.reset(a="on")
    stderr = toy.run(*arguments, "-v").stderr
    assert b"DEBUG: status of a: off" in stderr
    assert b"status of a: on" not in stderr, "an agent may guess before it switches"
    toy.reset(a="on")
    assert toy.run(*arguments, "-v", "-q").stderr == b""
    assert toy.run("-o", "off", "-q").stderr == b""


@pytest.mark.parametrize("sign", ["x", "\u20ac"])
def test_stderr_has_a_budget(toy: Toy, sign: str) -> None:
    debug = toy.folder / "debug"
    arguments = ("-o", "off", *LOGIN, "-n", "a", "-vvv", "-D", str(debug))
    result = toy.run(*arguments, FENCE_TOY_CHATTER=sign, PYTHONIOENCODING="ascii")
    assert result.returncode == 0
    assert 20 * 1024 < len(result.stderr) <= 24 * 1024
    assert result.stderr.endswith(fencing._STDERR_FULL)
    assert len(debug.read_bytes()) > 200 * 1024
    assert b"y" * 5000 in debug.read_bytes()


def test_one_message_on_stderr_is_cut(toy: Toy) -> None:
    result = toy.run("-o", "off", *LOGIN, "-n", "a", FENCE_TOY_CHATTER="1")
    assert result.stderr.count(b"y") > 1900
    assert len(result.stderr) < 2100
    assert result.stderr.endswith(b"y [cut]\n")


def test_debug_file(toy: Toy) -> None:
    debug = toy.folder / "debug"
    arguments = ("-o", "status", *LOGIN, "-n", "a", "-q", "-D", str(debug))
    old = os.umask(0)
    try:
        assert toy.run(*arguments).returncode == 0
    finally:
        os.umask(old)
    assert stat.S_IMODE(debug.stat().st_mode) == 0o600
    debug.chmod(0o640)
    assert toy.run(*arguments).returncode == 0
    assert stat.S_IMODE(debug.stat().st_mode) == 0o640
    assert debug.read_text().count("DEBUG: status of a: on") == 2
    assert "secret" not in debug.read_text()


@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_unsuitable_debug_file(toy: Toy, kind: str) -> None:
    debug = toy.folder / "debug"
    if kind == "link":
        debug.symlink_to(toy.folder / "target")
    elif kind == "fifo":
        os.mkfifo(debug)
    else:
        debug.mkdir()
    result = toy.run("-o", "off", *LOGIN, "-n", "a", "-D", str(debug))
    assert (result.returncode, toy.state["a"]) == (0, "off")
    assert len(problems(result)) == 1
    assert problems(result)[0].startswith(
        "ignored: the debug file (--debug-file) cannot be written: "
    )


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-"])
def test_stderr_that_takes_nothing(toy: Toy, redirection: str) -> None:
    arguments = toy.command("-o", "off", *LOGIN, "-n", "a", "-vv")
    command = ["/bin/sh", "-c", f'"$@" {redirection}', "sh", *arguments]
    result = subprocess.run(command, env=toy.environment(), stdout=subprocess.PIPE)
    assert (result.returncode, result.stdout) == (0, b"Success: Powered OFF\n")


def test_full_debug_file(toy: Toy) -> None:
    result = toy.run("-o", "off", *LOGIN, "-n", "a", "-D", "/dev/full")
    assert (result.returncode, result.stderr) == (0, b"")


class Syslog:
    """A log daemon's socket, and what came in."""

    def __init__(self, log: socket.socket) -> None:
        self._log = log

    @property
    def lines(self) -> list[tuple[int, str]]:
        """Severity and text of the messages since the last look."""
        start = re.compile(rf"<(\d+)>\w{{3}} [ \d]\d [\d:]{{8}} fence_toy\[{os.getpid()}\]: ")
        lines = []
        with contextlib.suppress(BlockingIOError):
            while True:
                message = self._log.recv(65536).decode()
                match = start.match(message)
                assert match, message
                facility, severity = divmod(int(match[1]), 8)
                assert facility == 3  # daemon
                lines.append((severity, message[match.end() :]))
        return lines


@pytest.fixture
def syslog(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> Iterator[Syslog]:
    monkeypatch.setattr(sys, "argv", ["/usr/sbin/fence_toy"])
    monkeypatch.setattr(fencing, "_SYSLOG", str(tmp_path / "log"))
    root = logging.getLogger()
    level = root.level
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(tmp_path / "log"))
        log.setblocking(False)
        yield Syslog(log)
    while fencing._handlers:
        root.removeHandler(fencing._handlers.pop())
    root.setLevel(level)


def test_syslog(syslog: Syslog) -> None:
    fencing._set_up_logging({"--quiet": "1"})
    logging.debug("not wanted")
    # Past the root logger: pytest listens there, and cannot report what is no text.
    message = "two\nlines, \x1b[1m and \udc80 and \0"
    record = logging.makeLogRecord({"levelname": "INFO", "levelno": 20, "msg": message})
    for handler in fencing._handlers:
        handler.handle(record)
    logging.error("%d", "not a number")
    logging.critical("worst")
    assert syslog.lines == [
        (6, "INFO: two"),
        (6, "lines, \\x1b[1m and \\udc80 and \\x00"),
        (3, "CRITICAL: worst"),
    ]


def test_verbose_goes_to_syslog(syslog: Syslog) -> None:
    fencing._set_up_logging({"--quiet": "1", "--verbose-level": 1})
    logging.debug("wanted")
    assert syslog.lines == [(7, "DEBUG: wanted")]


def test_failures(syslog: Syslog) -> None:
    names = [name for name in vars(fencing) if name.startswith("EC_")]
    messages = set()
    for name in names:
        with pytest.raises(SystemExit) as caught:
            fencing.fail(getattr(fencing, name))
        assert caught.value.code == 1
        messages.add(syslog.lines[-1][1])
    assert len(messages) == len(names) == 13
    fencing.fail(fencing.EC_TIMED_OUT, stop=False)
    fencing.fail_usage("Failed: x", stop=False)
    assert syslog.lines[-1] == (3, "ERROR: Failed: x")


def test_run_command(syslog: Syslog) -> None:
    options = {"--shell-timeout": "30"}
    command = "sh -c 'echo hunter2; echo hunter2 >&2; exit \"$X\"'"
    fencing._set_up_logging({"--verbose-level": 1})
    result = fencing.run_command(options, command, env={"X": "2"}, log_command="it")
    assert result == (2, "hunter2\n", "hunter2\n")
    assert fencing.run_command(options, ["echo", "a b"]) == (0, "a b\n", "")
    for bad in ("/nowhere", "'", ""):
        with pytest.raises(SystemExit) as caught:
            fencing.run_command(options, bad, log_command="it")
        assert caught.value.code == 1
    with pytest.raises(SystemExit) as caught:
        fencing.run_command(options, "sleep 600", timeout=0.1)
    assert caught.value.code == 1
    assert not any("hunter2" in line for _, line in syslog.lines)


def test_is_executable(tmp_path: pathlib.Path) -> None:
    assert fencing.is_executable("/bin/sh")
    assert not fencing.is_executable(str(tmp_path))
    assert not fencing.is_executable("/nowhere")


@needs_distribution
@pytest.mark.parametrize(
    "arguments",
    [
        ("-o", "status", "-n", "a"),
        ("-o", "status", *LOGIN),
        ("-o", "list", "-l", "u"),
        ("-o", "enable", *LOGIN),
        ("-o", "on", *LOGIN, "-n", "a", "-m", "bad"),
        ("-o", "on", *LOGIN, "-n", "a", "--toy-level=x"),
        ("-o", "on", *LOGIN, "-n", "a", "--delay=nan"),
        ("-o", "validate-all", *LOGIN, "-n", "a"),
        ("-o", "validate-all", "-l", "u"),
        ("--unknown=x",),
    ],
)
def test_same_verdict_as_the_distribution(
    tmp_path: pathlib.Path, arguments: tuple[str, ...]
) -> None:
    results = []
    for library in (fencing.__file__, "/usr/share/fence/fencing.py"):
        result = Toy(tmp_path, pathlib.Path(library).parent).run(*arguments)
        results.append((result.returncode, result.stdout))
    assert results[0] == results[1]
