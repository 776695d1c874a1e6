# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading the options: the command line, standard input, and what is wrong with either."""

from __future__ import annotations

import io
import pathlib
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fencing
from tests.library.toy_agent import OURS, Toy, problems

OPTIONS = ["login", "passwd", "port", "method", "no_login"]


class Input:
    """process_input in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def arguments(self, *words: str) -> fencing.Options:
        self._monkeypatch.setattr(sys, "argv", ["fence_toy", *words])
        return fencing.process_input(OPTIONS)

    def stdin(self, data: bytes) -> fencing.Options:
        self._monkeypatch.setattr(sys, "argv", ["fence_toy"])
        self._monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        return fencing.process_input(OPTIONS)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Input:
    return Input(monkeypatch)


@pytest.fixture
def toy(tmp_path: pathlib.Path) -> Toy:
    return Toy(tmp_path)


@pytest.mark.parametrize(
    "words",
    [
        ("--plug=a=b",),
        ("--plug", "a=b"),
        ("-n", "a=b"),
        ("-na=b",),
        ("-n", "first", "-n", "a=b", "--"),
    ],
)
def test_value_on_the_command_line(read: Input, words: tuple[str, ...]) -> None:
    assert read.arguments(*words) == {"--plug": "a=b"}


def test_switches_on_the_command_line(read: Input) -> None:
    both = {"--verbose": "1", "--quiet": "1", "--verbose-level": "2"}
    assert read.arguments("-vvq") == both
    assert read.arguments("-v", "--verbose", "--quiet") == both
    assert read.arguments("-qvvnx") == {**both, "--plug": "x"}
    assert read.arguments("--verbose=no", "--quiet=YES") == {"--quiet": "1"}
    assert read.arguments("-q", "--quiet=off") == {}
    assert read.arguments("-vv", "--verbose-level=1")["--verbose-level"] == "1"


def test_hyphen_and_underscore_are_the_same(read: Input) -> None:
    wanted = {"--password-script": "x"}
    assert read.arguments("--password_script=x") == wanted
    assert read.stdin(b"passwd-script=x") == read.stdin(b"password_script=x") == wanted


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--hunter2", "x"), "argument 1 on the command line is an unknown option"),
        (("-q", "--secret=hunter2"), "unknown option --secret"),
        (("--pasword=hunter2",), "unknown option --pasword"),
        (("--no_such-thing=hunter2",), "unknown option --no_such-thing"),
        (("--paswordhunter2",), "argument 1 on the command line is an unknown option"),
        (("--hunter2=x",), "argument 1 on the command line is an unknown option"),
        (("--Hunter=x",), "argument 1 on the command line is an unknown option"),
        (("--passwordhunter=x",), "argument 1 on the command line is an unknown option"),
        (("--passwdhunter=x",), "argument 1 on the command line is an unknown option"),
        (("--password_scripthunter=",), "argument 1 on the command line is an unknown option"),
        (("--" + "hunter" * 6 + "=x",), "argument 1 on the command line is an unknown option"),
        (("--=hunter2",), "argument 1 on the command line is an unknown option"),
        (("-zhunter2",), "unknown option -z"),
        (("-vz",), "unknown option -z"),
        (("-vn",), "option -n needs a value"),
        (("--plug",), "option --plug needs a value"),
        (("-o", "off", "hunter2"), "argument 3 on the command line is not an option"),
        (("-q", "--", "hunter2"), "argument 3 on the command line is not an option"),
        (("-",), "argument 1 on the command line is not an option"),
        (("--port",), "option --plug needs a value"),
        (("--help=hunter2",), "--help is a switch: its value must be yes or no (or 1, 0, ...)"),
    ],
)
def test_wrong_command_line(toy: Toy, words: tuple[str, ...], message: str) -> None:
    result = toy.run(*words)
    assert (result.returncode, result.stdout, problems(result)) == (1, b"", [message])


@pytest.mark.parametrize(
    "words",
    [
        ("--plug=right", "--port=wrong", "--nodename", "wrong"),
        ("-n", "right", "--port", "wrong"),
        ("--port=wrong", "--port", "right"),
        ("--port=right", "--nodename=wrong"),
        ("--plug=", "--port=right"),
        ("--nodename=right",),
    ],
)
def test_old_and_new_names_on_the_command_line(read: Input, words: tuple[str, ...]) -> None:
    """Of two names the newer one wins, as on standard input."""
    assert read.arguments(*words) == {"--plug": "right"}


def test_other_old_names_on_the_command_line(read: Input) -> None:
    words = ("--option=on", "--login", "u", "--passwd=p", "--passwd-script=s", "--debug=d")
    assert read.arguments(*words) == {
        "--action": "on",
        "--username": "u",
        "--password": "p",
        "--password-script": "s",
        "--debug-file": "d",
    }


def test_a_number_is_a_level(read: Input) -> None:
    both = {"--verbose": "1", "--verbose-level": "2"}
    assert read.stdin(b"verbose=2") == read.arguments("--verbose=2") == both
    assert read.arguments("--verbose=1", "-v") == both
    assert read.arguments("-vvv", "--verbose=2") == both
    assert read.stdin(b"verbose=0") == read.arguments("-vv", "--verbose=0") == {}


def test_arguments_that_are_not_text(toy: Toy) -> None:
    command = [*map(str.encode, toy.command("-o", "off", "-n")), b"\xff"]
    result = subprocess.run(command, env=toy.environment(), capture_output=True)
    assert (result.returncode, problems(result)) == (1, ["the command line is not UTF-8 text"])


def test_example_of_libfence(read: Input) -> None:
    data = (
        b'action=off\nnodename=node1\nagent=fence_ovh\nplug=ns1\nlogin=u\npasswd="p=w "\n'
        b"power_wait=5\r\n# a comment\n \n  # another\ncrm_feature_set=3\nCRM_meta_x=1"
    )
    assert read.stdin(data) == {
        "--action": "off",
        "--plug": "ns1",
        "--username": "u",
        "--password": "p=w ",
        "--power-wait": "5",
    }


@pytest.mark.parametrize(
    "lines",
    [
        "nodename=wrong\nport=wrong\nplug=right\nport=wrong\nnodename=wrong",
        "plug=\nport=right\nnodename=wrong",
        "plug=\nport=\nnodename=right",
        "port=wrong\nport=right",
        "  plug = right \t\r",
        'plug="right"',
    ],
)
def test_which_plug(read: Input, lines: str) -> None:
    assert read.stdin(lines.encode()) == {"--plug": "right"}


def test_old_and_new_names(read: Input) -> None:
    data = b"option=on\nusername=u\nlogin=old\npassword=p\npasswd=old\naction=off\n"
    assert read.stdin(data) == {"--action": "off", "--username": "u", "--password": "p"}
    assert read.stdin(b"option=on") == {"--action": "on"}


def test_switches_on_stdin(read: Input) -> None:
    for word in ("1", "yes", "ON", "True"):
        assert read.stdin(f"quiet={word}".encode()) == {"--quiet": "1"}
    for word in ("0", "no", "OFF", "False"):
        assert read.stdin(f"quiet=1\nquiet={word}".encode()) == {}
    assert read.stdin(b"verbose=1\nverbose=1") == {"--verbose": "1", "--verbose-level": "1"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no options: standard input has no name=value line"),
        (b"\n# hunter2\n", "no options: standard input has no name=value line"),
        (b"action=on\npasswd=hunter2\0", "standard input, line 2: a NUL byte"),
        (b"action=on\n\npasswd=hunter2\xff", "standard input, line 3: not UTF-8 text"),
        (b"passwd=" + b"hunter2" * 150000, "standard input is longer than 64 KiB"),
        (b"help=hunter2", "--help is a switch: its value must be yes or no (or 1, 0, ...)"),
        (
            b"-e action=monitor\npasswd=hunter2",
            "standard input, line 1: white space in a name "
            "(echo -e does that in some shells: use printf)",
        ),
        (b"plug=a\nactoin=on", "standard input, line 2: no action, but a name like it"),
        (b"ACTION=on", "standard input, line 1: no action, but a name like it"),
    ],
    ids=["empty", "comment", "NUL", "not UTF-8", "too long", "switch", "echo", "actoin", "ACTION"],
)
def test_wrong_stdin(toy: Toy, data: bytes, message: str) -> None:
    result = toy.run(stdin=data)
    assert (result.returncode, result.stdout, problems(result)) == (1, b"", [message])


def test_line_without_equals_sign_is_ignored(toy: Toy) -> None:
    result = toy.run(stdin=b"action=status\nhunter2\nlogin=u\npasswd=p\nport=a\n")
    assert result.returncode == 0
    assert problems(result) == ["standard input: no '=' in line 2: ignored"]


def test_endless_stdin_ends(toy: Toy) -> None:
    with open("/dev/zero", "rb") as zero:
        result = subprocess.run(
            toy.command(), stdin=zero, env=toy.environment(), capture_output=True, timeout=60
        )
    assert result.returncode == 1


def test_closed_stdin(toy: Toy) -> None:
    command = ["/bin/sh", "-c", '"$@" <&-', "sh", *toy.command()]
    result = subprocess.run(command, env=toy.environment(), capture_output=True)
    assert (result.returncode, problems(result)) == (1, ["no options: standard input is closed"])


PLAIN = st.text(
    st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters='"'), min_size=1
).filter(lambda text: text == text.strip(" "))


@given(values=st.dictionaries(st.sampled_from(["login", "passwd", "action"]), PLAIN, min_size=1))
def test_any_value_survives(values: dict[str, str]) -> None:
    wanted = {fencing._key(name): value for name, value in values.items()}
    data = "".join(f"{name}={value}\r\n" for name, value in values.items()).encode()
    pairs = [fencing._pair(line) for _, line in fencing._raw_lines(data)]
    names = fencing._option_names(OPTIONS)
    assert fencing._options_of(fencing._known_pairs(pairs, names)) == wanted
    words = [f"{fencing._key(name)}={value}" for name, value in values.items()]
    given = fencing._argument_pairs(words, names)
    assert fencing._options_of(fencing._known_pairs(given, names)) == wanted


@given(value=PLAIN.map(lambda text: f" {text} "))
def test_quotes_keep_white_space(value: str) -> None:
    assert fencing._pair(f'passwd = "{value}"') == ("passwd", value)


@given(data=st.binary(max_size=200))
def test_any_bytes_give_lines_or_a_problem(data: bytes) -> None:
    try:
        lines = fencing._raw_lines(data)
    except fencing._UsageProblem:
        return
    assert all(text and text.encode() in data for _, text in lines)


WORDS = st.lists(st.one_of(st.text(), st.sampled_from(["-n", "--plug", "-vq", "--", "-o"])))


@given(words=WORDS)
def test_any_words_give_options_or_a_problem(words: list[str]) -> None:
    names = fencing._option_names(OPTIONS)
    try:
        given = fencing._argument_pairs(words, names)
        options = fencing._options_of(fencing._known_pairs(given, names))
    except fencing._UsageProblem:
        return
    assert all(key.startswith("--") for key in options)


@pytest.mark.parametrize("word", ["fabric_fencing", "web", "ipaddr", "no_such_option"])
@pytest.mark.parametrize(
    "arguments", [("-o", "metadata"), ("-h",), ("-V",), ("-o", "off", "-n", "a"), ("--unknown",)]
)
def test_an_agent_that_wants_what_is_not_here(
    toy: Toy, word: str, arguments: tuple[str, ...]
) -> None:
    """Passed over, fabric_fencing would mean a reboot in place of an off."""
    result = toy.run(*arguments, FENCE_TOY_WORDS=word)
    assert (result.returncode, result.stdout, toy.calls) == (1, b"", [])
    wanted = f"the agent asks its library (device_opt) for what it does not have: {word}"
    assert problems(result) == [wanted]


def test_repository_is_what_is_tested() -> None:
    assert pathlib.Path(__file__).parent.parent.parent == OURS
