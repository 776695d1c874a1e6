"""Fuzzing of the two parsers of options: standard input and the command line.

Whatever comes in, the exit status is 0 or 1, no exception gets out, nothing of a value gets into a
message, and OVH is called only with options that make sense.
"""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import fencing
from tests import agent_module, harness
from tests.agent.secrets_shown import pieces_shown
from tests.harness import Agent, Backend, SoapBackend

agent = agent_module.load()

CANARY = "c4nary-W0rd/of+the=account"
"""A password: no message may show 8 characters of it."""

CALLED = "OVH was called"


class Called(Exception):
    """The agent got as far as to call OVH, with these options."""

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(CALLED)
        self.options = options


@pytest.fixture(scope="module")
def table() -> Iterator[None]:
    """The library's table of options, put back as it was."""
    before = copy.deepcopy(fencing.all_opt)
    yield
    fencing.all_opt.clear()
    fencing.all_opt.update(before)


@contextlib.contextmanager
def harmless() -> Iterator[None]:
    """Nothing that the input asks for gets out of this process: no command, file, call, syslog."""

    def call(options: dict[str, Any], network: Any, clock: Any) -> int:
        raise Called(options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agent, "run", call)
        patch.setattr(agent.atexit, "register", lambda function: None)
        patch.setattr(fencing, "_end", fencing._End())
        patch.setattr(fencing._End, "listen", lambda end: None)
        patch.setattr(fencing, "_run", lambda command, timeout, env=None: (1, b"", b""))
        patch.setattr(fencing, "_syslog_handler", logging.NullHandler)
        patch.setattr(fencing, "_open_debug_file", _dev_null)
        patch.setattr(fencing, "_stderr", fencing._Stderr())
        yield
    root = logging.getLogger()
    while fencing._handlers:
        root.removeHandler(fencing._handlers.pop())


def _dev_null(path: str) -> int:
    """What debug_file opens here: nothing, but what is no name of a file is refused."""
    os.fsencode(path)
    if "\0" in path:
        raise ValueError("embedded null byte")
    return os.open(os.devnull, os.O_WRONLY)


def run(arguments: Sequence[str], data: bytes = b"") -> tuple[int | dict[str, Any], str]:
    """Run main; return the exit status, or the options with which OVH is called, and stderr."""
    stderr = io.StringIO()
    with harmless(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(agent, "all_opt", fencing.all_opt)
        patch.setattr(sys, "argv", ["fence_ovh", *arguments])
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        patch.setattr(sys, "stdout", io.StringIO())
        patch.setattr(sys, "stderr", stderr)
        try:
            agent.main()
        except Called as called:
            return called.options, stderr.getvalue()
        except SystemExit as left:
            assert type(left.code) is int, left.code
            return left.code, stderr.getvalue()
    raise AssertionError("main returned")


def check(outcome: int | dict[str, Any], stderr: str, quiet: bool = False) -> None:
    """Check how it ended, and that the password was not shown."""
    assert not pieces_shown([CANARY], stderr)
    if isinstance(outcome, int):
        assert outcome in (0, 1)
        assert outcome == 0 or quiet or stderr.strip()
        return
    options = outcome
    assert options["--action"] in (*fencing._ACTION_NAMES, *agent.SETUP)
    assert options["--action"] not in ("metadata", "manpage", "validate-all")
    for name in ("power", "shell", "login"):
        assert 0 < float(options[f"--{name}-timeout"]) < 10**9
    assert 0 <= float(options["--stonith-status-sleep"]) < 10**9
    if options["--action"] in ("on", "off", "reboot", "status"):
        assert agent.split_plugs(options)
    for plug in agent.split_plugs(options):
        assert agent.is_host_name(agent.server_name(plug))
    assert options["--method"] in ("onoff", "cycle")
    assert options["--off-mode"] in ("rescue", "power")
    if agent.chosen_api(options) == "soap":
        assert options["--username"] and options["--password"]


# What comes in

NAMES = sorted(
    {
        *fencing.all_opt,
        *(str(entry["longopt"]).replace("-", "_") for entry in fencing.all_opt.values()),
        *agent.DEVICE_OPT,
        *("nodename", "option", "agent", "domain", "crm_feature_set"),
    }
)
GOOD = {
    "action": ["off", "on", "reboot", "status", "monitor", "list", "validate-all", "metadata"],
    "plug": ["ns1234.ovh.net", "ns1234", "a,b.c"],
    "login": ["ab12345-ovh"],
    "passwd": [CANARY],
    "power_timeout": ["60", "0", "1.5"],
    "method": ["cycle", "ONOFF"],
    "api": ["soap", "rest"],
    "off_mode": ["rescue", "power"],
    "verbose": ["1", "no"],
    "api_url": ["http://127.0.0.1/", "https://x"],
    "plug_separator": [",", " ", ""],
}
ODD = st.sampled_from(
    [
        *("", "-", "--", "=", "\0", "nan", "inf", "-1", "1e9", "9" * 400, "٣", "0x10", "1_000"),
        *("../..", "a b", '"', '""', '"a"', "\u202e", "\ud800", "\x1b[2J", "a" * 5000, "%s%n"),
        *("true", "off", "metadata", "-o", "--action=off", "#", "\r", "\x85", "\u2028", CANARY),
    ]
)
VALUES = st.one_of(
    ODD, st.text(max_size=20), *(st.sampled_from(values) for values in GOOD.values())
)
PAIRS = st.one_of(
    st.sampled_from([(name, value) for name, values in GOOD.items() for value in values]),
    st.tuples(st.sampled_from(NAMES), VALUES),
    st.tuples(st.text(max_size=10), VALUES),
)
COMPLETE = [("login", "ab12345-ovh"), ("passwd", CANARY), ("plug", "ns1234"), ("action", "off")]


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """Something like what a cluster writes to standard input."""
    pairs = [*(COMPLETE if draw(st.booleans()) else []), *draw(st.lists(PAIRS, max_size=8))]
    separator = draw(st.sampled_from([b"\n", b"\n", b"\r\n", b"\n\n", b"\r", b" "]))
    equals = draw(st.sampled_from(["=", "=", " = ", "==", ""]))
    made = [f"{name}{equals}{value}".encode("utf-8", "surrogatepass") for name, value in pairs]
    if draw(st.booleans()):
        made.insert(draw(st.integers(0, len(made))), draw(st.binary(max_size=30)))
    return separator.join(draw(st.permutations(made))) + draw(st.sampled_from([b"\n", b""]))


@st.composite
def words(draw: st.DrawFn) -> list[str]:
    """Something like a command line."""
    made: list[str] = []
    for name, value in draw(st.lists(PAIRS, min_size=1, max_size=8)):
        longopt = {"login": "username", "passwd": "password"}.get(name, name).replace("_", "-")
        letter = draw(st.sampled_from("aolpnmSvqDhVZzC-é"))
        made += draw(
            st.sampled_from(
                [
                    [f"--{longopt}={value}"],
                    [f"--{longopt}", value],
                    [f"--{longopt}"],
                    [f"-{letter}{value}"],
                    [f"-{letter}", value],
                    [value],
                ]
            )
        )
    # An argument cannot hold a NUL, and what is not UTF-8 comes as a surrogate.
    return [word.replace("\0", "") for word in made]


FUZZ = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "600")),
    derandomize="FUZZ_EXAMPLES" not in os.environ,  # so that one commit has one verdict
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@FUZZ
@given(data=lines())
@example(data=b"action=off\nplug=ns1\nlogin=x\npasswd=" + CANARY.encode())
@example(data=CANARY.encode())
@example(data=b"passwd " + CANARY.encode())
@example(data=b"\xef\xbb\xbfaction=off")
def test_standard_input(table: None, data: bytes) -> None:
    check(*run([], data), quiet=b"quiet" in data)


@FUZZ
@given(data=st.binary(max_size=300))
def test_any_bytes(table: None, data: bytes) -> None:
    outcome, stderr = run([], data)
    check(outcome, stderr)


@FUZZ
@given(arguments=words())
@example(arguments=["-o", "off", "-n", "ns1", "-l", "x", "-p", CANARY])
@example(arguments=["-o", "off", "-n", "ns1", "-l", "x", CANARY])
@example(arguments=["-p" + CANARY, "--explode"])
@example(arguments=["--pass=" + CANARY])
@example(arguments=["-X" + CANARY])
@example(arguments=["--action=off", "\udcff"])
def test_command_line(table: None, arguments: list[str]) -> None:
    check(*run(arguments), quiet=any("q" in word for word in arguments))


def test_complete_options_do_call(table: None) -> None:
    """The property above is not empty."""
    outcome, _ = run([], "".join(f"{name}={value}\n" for name, value in COMPLETE).encode())
    assert isinstance(outcome, dict)
    outcome, _ = run(["-o", "off", "-n", "ns1", "-l", "x", "-p", CANARY])
    assert isinstance(outcome, dict)


# Real processes


@pytest.fixture
def soap() -> Iterator[Backend]:
    """One API is enough for what calls none."""
    backend = SoapBackend()
    with backend.simulator:
        yield backend


SPOILERS = {
    "NUL": b"email=a\0b\n",
    "not UTF-8": b"email=\xff\xfe\n",
    "too long": b"email=" + b"x" * 70_000 + b"\n",
    "many lines": b"a=b\n" * 30_000,
    "plug": b"plug=ns1/../../me\n",
    "plugs": b"plug=ns1234,ns 1\n",
    "plug of digits of another script": "plug=ns٣\n".encode(),
    "negative": b"power_timeout=-1\n",
    "not a number": b"shell_timeout=nan\n",
    "huge": b"login_timeout=" + b"9" * 5000 + b"\n",
    "separator in a number": b"power_timeout=1_000\n",
    "action": b"action=explode\n",
    "action with NUL": b"action=off\0\n",
    "method": b"method=magic\n",
    "api": b"api=xmlrpc\n",
    "off_mode": b"off_mode=power\n",
    "api_url": b"api_url=file:///etc/passwd\n",
    "api_url with a space": b"api_url=http://127.0.0.1/ x\n",
    "switch": b"help=perhaps\n",
    "disable_timeout": b"disable_timeout=perhaps\n",
    "email": b"email=a@b\x1b[2J\n",
}


@pytest.mark.parametrize("place", ["first", "last"])
@pytest.mark.parametrize("name", SPOILERS)
def test_invalid_input_calls_nobody(
    our_agent: Agent, soap: Backend, tmp_path: pathlib.Path, name: str, place: str
) -> None:
    """Valid options and one line that spoils them; of two lines the later one counts."""
    options = soap.options("off")
    option = SPOILERS[name].partition(b"=")[0].decode()
    options.pop(option, None)
    good = harness.lines(options)
    data = SPOILERS[name] + good if place == "first" else good + SPOILERS[name]
    result = our_agent.run(data, cwd=tmp_path)
    assert result.status == 1
    assert result.stderr.strip()
    assert "Traceback" not in result.stderr
    assert not pieces_shown(soap.secrets, result.stdout, result.stderr)
    assert soap.state()["calls_total"] == 0


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.binary(max_size=2000))
def test_a_process_with_any_bytes(data: bytes) -> None:
    _check_process([], data)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(arguments=st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=6))
def test_a_process_with_any_arguments(arguments: list[bytes]) -> None:
    _check_process([word.replace(b"\0", b"") for word in arguments], b"")


def _check_process(arguments: Sequence[bytes], data: bytes) -> None:
    """Run the agent where it can reach nobody, whatever it is told."""
    result = subprocess.run(
        [*(word.encode() for word in harness.agent_with_our_library().command), *arguments],
        input=data,
        capture_output=True,
        cwd="/",
        env={"PATH": os.environ["PATH"], "https_proxy": "http://127.0.0.1:9"},
        timeout=60,
    )
    assert result.returncode in (0, 1)
    assert b"Traceback" not in result.stderr


# Memory

MUCH = 100 << 20


def peak(agent: Agent, source: str) -> tuple[int, int]:
    """Run the agent on the output of a shell command; its exit status and peak memory in KiB."""
    feeder = subprocess.Popen(
        ["sh", "-c", source], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert feeder.stdout is not None
    process = subprocess.Popen(
        agent.command,
        stdin=feeder.stdout,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    feeder.stdout.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    feeder.kill()
    feeder.wait()
    return process.returncode, usage.ru_maxrss


@pytest.mark.parametrize(
    "source",
    [
        f"head -c {MUCH} /dev/zero",
        f"head -c {MUCH} /dev/zero | tr '\\0' A",
        f"yes action=off | head -c {MUCH}",
        "yes passwd=x",
        "cat /dev/urandom",
    ],
)
def test_memory_is_bounded_on_standard_input(our_agent: Agent, source: str) -> None:
    status, nothing = peak(our_agent, "true")
    assert status == 1
    status, much = peak(our_agent, source)
    assert status == 1
    assert much < 3 * nothing


def test_memory_is_bounded_on_the_command_line(our_agent: Agent) -> None:
    _, nothing = peak(our_agent, "true")
    long = Agent([*our_agent.command, *["--plug=" + "x" * 100_000] * 15])
    status, much = peak(long, "true")
    assert status == 1
    assert much < 3 * nothing
