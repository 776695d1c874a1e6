"""Bad input gets a clear error and exit status 1, and OVH is not called."""

from __future__ import annotations

import os
import pathlib
import time

import pytest

from tests import harness
from tests.harness import PASSWORD, SERVER, Agent, Backend


def without(options: dict[str, object], *names: str) -> dict[str, object]:
    """Options with some left out."""
    return {name: value for name, value in options.items() if name not in names}


WRONG_VALUES = {
    "action": ["explode", "enable", "disable", "off off"],
    "power_timeout": ["soon", "-1", "nan", "inf", "1e999"],
    "shell_timeout": ["-0.5", "x"],
    "login_timeout": ["-3"],
    "stonith_status_sleep": ["two"],
    "delay": ["-1"],
    "method": ["cyclone"],
    "plug": [
        *("ns1 234", "ns1/../../me", "ns1'", 'a"b', "ns1\x07", "-ns1", "ns_1", "x" * 254, "ü"),
        *("1", "203.0.113.5", "ns1,2", "1-2"),  # no letter: a number or an address is no name
    ],
    "api_url": [
        "ftp://x",
        "https://",
        "javascript:x",
        "https://a b",
        "file:///etc/passwd",
        "https://me:pw@host",
    ],
    "email": ["a@b\x1bc"],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG_VALUES.items() for value in values]
)
def test_wrong_value(our_agent: Agent, ovh: Backend, name: str, value: str) -> None:
    result = our_agent.run(ovh.options("off") | {name: value})
    assert result.status == 1
    assert result.stderr.strip()
    assert "Traceback" not in result.stderr
    assert ovh.calls() == []


@pytest.mark.parametrize("names", [("plug", "nodename"), ("login",), ("passwd",)])
def test_missing_option(our_agent: Agent, ovh: Backend, names: tuple[str, ...]) -> None:
    result = our_agent.run(without(ovh.options("off"), *names))
    assert result.status == 1
    assert result.stderr.strip()
    assert ovh.calls() == []


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n\n# nothing\n",
        b"action=off\nplug=a\x00b\nlogin=x\npasswd=y\n",
        b"action=off\nplug=\xff\xfe\nlogin=x\npasswd=y\n",
        b"action=off\npasswd=" + b"A" * (1 << 20) + b"\n",
    ],
    ids=["nothing", "no options", "NUL", "not UTF-8", "1 MiB"],
)
def test_unusable_standard_input(our_agent: Agent, data: bytes) -> None:
    result = our_agent.run(data)
    assert result.status == 1
    assert result.stderr.strip()
    assert "Traceback" not in result.stderr
    assert "AAAA" not in result.stderr


@pytest.mark.parametrize(
    "arguments", [["--explode"], ["-X"], ["--plug"], ["off"], ["--action", "off", "ns1"]]
)
def test_unusable_command_line(our_agent: Agent, arguments: list[str]) -> None:
    result = our_agent.run(None, *arguments)
    assert result.status == 1
    assert result.stderr.strip()
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "script",
    [
        "exit 3",
        "echo $SECRET; exit 1",
        "true",
        "echo; echo",
        "sleep 60",
        "echo $SECRET >&2; exit 1",
    ],
)
def test_useless_password_script(
    our_agent: Agent, ovh: Backend, tmp_path: pathlib.Path, script: str
) -> None:
    path = tmp_path / "script"
    path.write_text(f"#!/bin/sh\nSECRET='{PASSWORD}'\n{script}\n")
    os.chmod(path, 0o700)
    options = without(ovh.options("off", passwd_script=path, login_timeout=1, verbose=1), "passwd")
    result = our_agent.run(options)
    assert result.status == 1
    assert result.stderr.strip()
    assert PASSWORD not in result.stderr + result.stdout
    assert ovh.calls() == []


def test_missing_password_script(our_agent: Agent, ovh: Backend) -> None:
    options = without(ovh.options("off", passwd_script="/nonexistent/script"), "passwd")
    result = our_agent.run(options)
    assert result.status == 1
    assert ovh.calls() == []


def test_validate_all_says_everything_at_once(our_agent: Agent, ovh: Backend) -> None:
    options = without(
        ovh.options(
            "validate-all",
            plug="a b",
            power_timeout="never",
            delay="-1",
            method="magic",
            api_url="ftp://x",
            api=ovh.name,
            consumer_key="x",
        ),
        "login",
        "passwd",
    )
    result = our_agent.run(options)
    assert result.status == 1
    words = ("plug", "power time limit", "delay", "method", "api_url", "username", "password")
    for word in words:
        assert word in result.stderr.lower(), word
    assert ovh.calls() == []


def test_validate_all_accepts_good_options(our_agent: Agent, ovh: Backend) -> None:
    result = our_agent.run(ovh.options("validate-all"))
    assert result.status == 0, result.stderr
    assert ovh.calls() == []


LIMITS = ["login_timeout", "shell_timeout", "power_timeout"]


def test_no_time_is_the_default(agent: Agent, ovh: Backend) -> None:
    """Under Pacemaker the distribution's library makes all of them 0."""
    result = agent.run(ovh.options("off", **dict.fromkeys(LIMITS, "0")))
    assert (result.status, ovh.cuts()) == (0, ["rescue12-customer"]), result.stderr


@pytest.mark.parametrize("limit", LIMITS)
def test_less_than_no_time_is_an_error(our_agent: Agent, ovh: Backend, limit: str) -> None:
    result = our_agent.run(ovh.options("validate-all", **{limit: "-5"}))
    assert result.status == 1
    assert limit.replace("_timeout", " time limit") in result.stderr


def test_less_than_no_time_ends_no_fencing(agent: Agent, ovh: Backend) -> None:
    """The distribution's library takes it for a number of seconds; then the default holds."""
    result = agent.run(ovh.options("off", **dict.fromkeys(LIMITS, "-5")))
    assert (result.status, bool(ovh.cuts())) in [(0, True), (1, False)]


def test_a_plug_without_a_letter_is_refused_after_the_delay(agent: Agent, ovh: Backend) -> None:
    """The build of fence-agents calls an agent so, and wants the delay to come before all else."""
    begun = time.monotonic()
    result = agent.run(without(ovh.options("reboot", port="1", delay="2"), "plug"))
    assert time.monotonic() - begun >= 2
    assert result.status == 1
    assert "plug must be the name of a server" in result.stderr
    assert ovh.calls() == []


@pytest.mark.parametrize("name", ["power_timeout", "power_wait", "stonith_status_sleep", "delay"])
def test_what_is_no_number_is_one_error(our_agent: Agent, ovh: Backend, name: str) -> None:
    result = our_agent.run(ovh.options("validate-all", **{name: "soon"}))
    assert (result.status, result.stderr.count("\n")) == (1, 1)
    assert name.replace("_timeout", " time limit").replace("_", "-") in result.stderr


def test_an_unknown_api_is_one_error(our_agent: Agent, ovh: Backend) -> None:
    result = our_agent.run(ovh.options("validate-all", api="grpc"))
    assert (result.status, result.stderr.count("\n")) == (1, 1)
    assert "--api must be one of: rest, soap" in result.stderr


def test_wsdl_is_accepted_and_not_used(agent: Agent, ovh: Backend) -> None:
    """Configurations of 1.0.0 may have it."""
    result = agent.run(ovh.options("status", wsdl="/etc/passwd"))
    assert (result.status, result.stdout) == (0, "Status: ON\n")
    assert "WARNING: wsdl is not used any more" in result.stderr


def test_no_time_left_after_power_wait_is_an_error(our_agent: Agent, ovh: Backend) -> None:
    result = our_agent.run(ovh.options("off", power_wait="60", power_timeout="60"))
    assert result.status == 1
    assert "power time limit must be more than power_wait" in result.stderr
    assert ovh.calls() == []


def test_no_power_timeout_is_none_where_it_is_lifted(our_agent: Agent, ovh: Backend) -> None:
    options = ovh.options("off", power_timeout="0")
    result = our_agent.run(options, env={"PCMK_service": "pacemaker-fenced"})
    assert result.status == 0, result.stderr
    assert ovh.cuts() == ["rescue12-customer"]


def test_unknown_names_are_passed_over(our_agent: Agent, ovh: Backend) -> None:
    result = our_agent.run(
        ovh.options("status", crm_feature_set="3.16", CRM_meta_x="y", domain="z")
    )
    assert (result.status, result.stdout) == (0, "Status: ON\n"), SERVER


@pytest.mark.parametrize("first", ["-e action=status", "actoin=status"])
def test_a_misspelt_action_is_no_reboot(our_agent: Agent, ovh: Backend, first: str) -> None:
    """`echo -e` of sh prints the -e; and reboot is the default."""
    text = harness.lines(without(ovh.options("status"), "action"))
    result = our_agent.run(first.encode() + b"\n" + text)
    assert result.status == 1
    assert "line 1" in result.stderr
    assert ovh.calls() == []


def test_a_misspelt_name_is_told(our_agent: Agent, ovh: Backend) -> None:
    result = our_agent.run(ovh.options("status", metod="onoff"))
    assert result.status == 0
    assert "ignored; its name is unknown, but resembles method" in result.stderr


def test_a_password_in_plug_is_not_shown(our_agent: Agent, ovh: Backend) -> None:
    password = str(ovh.keys()["passwd"])
    result = our_agent.run(ovh.options("status", plug=password))
    assert result.status == 1
    assert "plug contains the password" in result.stderr
    assert password not in result.stderr
    assert ovh.calls() == []
