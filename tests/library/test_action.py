# SPDX-License-Identifier: GPL-2.0-or-later
"""Delay, on, off, reboot, status and the lists: on a virtual clock, then in processes."""

from __future__ import annotations

import contextlib
import logging
import os
import pathlib
import subprocess
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fencing
from tests.library.toy_agent import DISTRIBUTION, LOGIN, OURS, Toy, needs_distribution, problems

DEFAULTS = {
    "--plug": "a",
    "--plug-separator": ",",
    "--separator": ",",
    "--power-timeout": "20",
    "--power-wait": "0",
    "--stonith-status-sleep": "1",
    "--retry-on": "1",
    "--delay": "0",
    "--method": "onoff",
    "--password": "hunter2",
}


class VirtualClock(fencing.Clock):
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


class Device:
    """Plugs that reach the state asked for after `effect` seconds; None: never."""

    def __init__(self, clock: VirtualClock, **state: str) -> None:
        self.clock = clock
        self.state = state
        self.effect: dict[str, float | None] = {"on": 0.0, "off": 0.0}
        self.due: dict[str, tuple[float, str]] = {}
        self.calls: list[tuple[str, ...]] = []
        self.error: BaseException | None = None  # raised when switching on

    def get(self, conn: object, options: dict[str, Any]) -> str:
        assert conn is self
        plug = options["--plug"]
        self.calls.append(("get", plug, options["--action"]))
        if plug in self.due and self.due[plug][0] <= self.clock.now:
            self.state[plug] = self.due.pop(plug)[1]
        return self.state[plug]

    def set(self, conn: object, options: dict[str, Any]) -> None:
        assert conn is self
        plug, action = options["--plug"], options["--action"]
        self.calls.append(("set", plug, action))
        if action == "on" and self.error:
            raise self.error
        effect = self.effect[action]
        if effect is not None:
            self.due[plug] = (self.clock.now + effect, action)

    def sync(self, conn: object, options: dict[str, Any]) -> bool:
        self.set(conn, options)
        return self.effect[options["--action"]] is not None


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> VirtualClock:
    virtual = VirtualClock()
    monkeypatch.setattr(fencing, "clock", virtual)
    monkeypatch.setattr(fencing, "process_start", virtual.now)
    monkeypatch.setattr(fencing, "_handlers", [logging.NullHandler()])  # messages: see caplog
    monkeypatch.delenv("PCMK_service", raising=False)
    return virtual


@pytest.fixture
def device(clock: VirtualClock) -> Device:
    return Device(clock, a="on", b="on")


def act(device: Device, action: str, sync: bool = False, **more: Any) -> int:
    """Exit status of an action; options as keywords with `_`."""
    given = {"--" + name.replace("_", "-"): value for name, value in more.items()}
    options = {**DEFAULTS, "--action": action, **given}
    set_power = None if sync else device.set
    sync_set = device.sync if sync else None
    try:
        return fencing.fence_action(
            device, options, set_power, device.get, sync_set_power_fn=sync_set
        )
    except fencing.Failed as failed:
        assert failed.code == 1
        return 1


@pytest.mark.parametrize("action", ["off", "reboot", "on", "status", "list", "monitor"])
def test_delay(clock: VirtualClock, action: str) -> None:
    begin = clock.now
    clock.now += 2
    fencing.run_delay({"--action": action, "--delay": "5.5"})
    assert clock.now - begin == (5.5 if action in ("off", "reboot") else 2)
    clock.now += 60
    fencing.run_delay({"--action": action, "--delay": "5.5"})
    assert clock.now - begin >= 62


def test_off_waits_until_every_plug_is_off(
    device: Device, capsys: pytest.CaptureFixture[str]
) -> None:
    device.effect["off"] = 7.5
    assert act(device, "off", plug="a,b,a, ,") == 0
    assert device.calls[:4] == [
        *(("get", "a", "off"), ("get", "b", "off")),
        *(("set", "a", "off"), ("set", "b", "off")),
    ]
    assert device.clock.now == 1008
    assert capsys.readouterr().out == "Success: Powered OFF\n"


def test_one_plug_that_stays_on_fails_all(
    device: Device, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    device.effect["off"] = 3
    plain = device.set

    def set_power(conn: object, options: dict[str, Any]) -> None:
        if options["--plug"] == "a":
            plain(conn, options)

    device.set = set_power  # type: ignore[method-assign]
    assert act(device, "off", plug="a,b") == 1
    assert device.clock.now == 1020
    assert "b: not off after 20 seconds (--power-timeout)" in caplog.text
    assert capsys.readouterr().out == ""


@given(
    effect=st.floats(min_value=0, max_value=60),
    timeout=st.integers(min_value=0, max_value=60),
    pause=st.floats(min_value=0, max_value=30),
    wait=st.integers(min_value=0, max_value=5),
)
def test_time_limit_is_in_seconds(effect: float, timeout: int, pause: float, wait: int) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        clock = VirtualClock()
        monkeypatch.setattr(fencing, "clock", clock)
        monkeypatch.setattr(fencing, "_handlers", [logging.NullHandler()])
        monkeypatch.setattr(fencing, "_announce", lambda text: None)
        device = Device(clock, a="on")
        device.effect["off"] = effect
        limits = {"power_timeout": str(timeout), "power_wait": str(wait)}
        limits["stonith_status_sleep"] = f"{pause:f}"
        status = act(device, "off", False, **limits)
    deadline = 1000.0 + wait + timeout
    assert status == (0 if 1000.0 + effect <= deadline else 1)
    assert clock.now <= deadline
    assert status == 0 or clock.now == deadline


@pytest.mark.parametrize("lifted", ["true", "1", "YES", "on"])
def test_no_time_limit(device: Device, caplog: pytest.LogCaptureFixture, lifted: str) -> None:
    caplog.set_level(logging.INFO)
    device.effect["off"] = 600
    assert act(device, "off", disable_timeout=lifted) == 0
    assert device.clock.now == 1600
    notes = [text for text in caplog.messages if text.startswith("waiting for a to be off")]
    assert len(notes) == 9


def test_pacemaker_keeps_the_time_limit(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PCMK_service", "pacemaker-fenced")
    device.effect["off"] = 600
    assert act(device, "off", disable_timeout="false") == 1
    assert act(device, "off") == 0


def test_other_answers_are_accepted_only_while_waiting(device: Device) -> None:
    device.state["a"] = "rebooting"
    assert act(device, "off") == 1
    assert act(device, "status") == 1
    assert [call[0] for call in device.calls] == ["get", "get"]
    device.state["a"] = "on"
    answers = iter(["on", "rebooting", "unknown", "off"])
    device.get = lambda conn, options: next(answers)  # type: ignore[method-assign]
    assert act(device, "off") == 0


def test_already(device: Device, capsys: pytest.CaptureFixture[str]) -> None:
    assert act(device, "on", plug="a,b") == 0
    assert capsys.readouterr().out == "Success: Already ON\n"
    assert [call[0] for call in device.calls] == ["get", "get"]
    device.state["b"] = "off"
    assert act(device, "on", plug="a,b") == 0
    assert capsys.readouterr().out == "Success: Powered ON\n"


def test_on_is_tried_again(device: Device) -> None:
    device.state["a"] = "off"
    device.effect["on"] = None
    assert act(device, "on", retry_on="3") == 1
    assert device.calls.count(("set", "a", "on")) == 3
    assert device.clock.now == 1060
    device.calls.clear()
    assert act(device, "on", retry_on="0") == 1
    assert device.calls.count(("set", "a", "on")) == 1


def test_reboot(device: Device, capsys: pytest.CaptureFixture[str]) -> None:
    assert act(device, "reboot", plug="a,b") == 0
    assert device.calls == [
        *(("get", "a", "reboot"), ("get", "b", "reboot")),
        *(("set", "a", "off"), ("set", "b", "off"), ("get", "a", "off"), ("get", "b", "off")),
        *(("set", "a", "on"), ("set", "b", "on"), ("get", "a", "on"), ("get", "b", "on")),
    ]
    assert capsys.readouterr().out == "Success: Rebooted\n"


def test_reboot_of_what_is_off_switches_on(device: Device) -> None:
    device.state["a"] = "off"
    assert act(device, "reboot") == 0
    assert ("set", "a", "off") not in device.calls
    assert device.state["a"] == "on"


def test_reboot_needs_its_off_portion(device: Device, capsys: pytest.CaptureFixture[str]) -> None:
    device.effect["off"] = None
    assert act(device, "reboot") == 1
    assert ("set", "a", "on") not in device.calls
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (None, "Failed: timed out while waiting for power ON"),
        (fencing.Failed(1), ""),
        (RuntimeError("not now, hunter2"), "switching on failed: RuntimeError: not now, ********"),
    ],
)
def test_reboot_without_its_on_portion_succeeds(
    device: Device,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    error: BaseException | None,
    message: str,
) -> None:
    device.effect["on"] = None
    device.error = error
    assert act(device, "reboot") == 0
    assert message in "\n".join(caplog.messages)
    assert capsys.readouterr().out == "Success: Rebooted\n"


def test_an_exit_in_the_on_portion_is_not_swallowed(device: Device) -> None:
    device.error = SystemExit(1)  # for instance of a signal handler
    with pytest.raises(SystemExit):
        act(device, "reboot")


def test_cycle(device: Device, capsys: pytest.CaptureFixture[str]) -> None:
    options = {**DEFAULTS, "--plug": "a,b", "--action": "reboot", "--method": "CYCLE"}
    options["--retry-on"] = "2"
    answers = {"a": iter([False, True]), "b": iter([True])}
    seen = []

    def cycle(conn: object, options: dict[str, Any]) -> bool:
        seen.append((options["--plug"], options["--action"], options["--plugs"]))
        return next(answers[options["--plug"]])

    arguments = (device, options, device.set, device.get, None, cycle)
    assert fencing.fence_action(*arguments) == 0
    assert seen == [(plug, "reboot", ["a", "b"]) for plug in ("a", "a", "b")]
    assert {call[0] for call in device.calls} == {"get"}
    assert capsys.readouterr().out == "Success: Rebooted\n"

    seen.clear()
    options["--plug"] = "a,b"
    answers = {"a": iter([False, False]), "b": iter([True])}
    with pytest.raises(fencing.Failed):
        fencing.fence_action(*arguments)
    assert len(seen) == 3
    assert capsys.readouterr().out == ""


def test_cycle_needs_method_and_function(device: Device) -> None:
    def cycle(conn: object, options: dict[str, Any]) -> bool:
        raise AssertionError

    assert act(device, "reboot", method="cycle") == 0
    options = {**DEFAULTS, "--action": "reboot"}
    assert fencing.fence_action(device, options, device.set, device.get, None, cycle) == 0


def test_switching_that_waits_itself(device: Device) -> None:
    device.effect["off"] = 100
    assert act(device, "off", sync=True, plug="a,b") == 0
    assert device.clock.now == 1000
    device.effect["off"] = None
    assert act(device, "off", sync=True) == 1


def test_agent_without_a_list(device: Device) -> None:
    assert act(device, "list") == 1
    assert act(device, "monitor") == 0
    assert device.calls == [("get", "a", "monitor")]
    device.state["a"] = "off"
    assert act(device, "monitor") == 0


@pytest.mark.parametrize("action", ["on", "off", "reboot", "status"])
def test_no_plug(device: Device, action: str) -> None:
    assert act(device, action, plug=" , ") == 1
    assert device.calls == []


# --- In processes ----------------------------------------------------------------------------


@pytest.fixture
def toy(tmp_path: pathlib.Path) -> Toy:
    return Toy(tmp_path)


def test_status_alone_leaves_with_2(toy: Toy) -> None:
    assert toy.run("-o", "status", *LOGIN, "-n", "b").returncode == 2
    for action in ("on", "off", "reboot", "list", "list-status", "monitor", "validate-all"):
        toy.reset(a="off", b="off")
        assert toy.run("-o", action, *LOGIN, "-n", "b").returncode == 0
        toy.reset(a="odd", b="odd", stuck="on off")
        assert toy.run("-o", action, *LOGIN, "-n", "b").returncode in (0, 1)


def test_list_is_sorted_and_one_line_each(toy: Toy) -> None:
    odd_names: dict[str, Any] = {"b": "ON", "a": "off", "c\n\x1b": "odd"}
    toy.reset(**odd_names)
    listed = toy.run("-o", "list-status", *LOGIN, "-C", ";").stdout.decode().splitlines()
    assert listed == [
        "a;alias of a;off",
        "b;alias of b;ON",
        "c\\n\\x1b;alias of c\\n\\x1b;UNKNOWN",
    ]
    assert toy.run("-o", "monitor", *LOGIN).stdout == b""


def test_alias_and_status_may_be_unknown() -> None:
    assert fencing._outlet_line("a", (None, None), ",", with_status=True) == "a,,UNKNOWN\n"


def test_list_does_not_depend_on_the_locale(toy: Toy) -> None:
    euro: dict[str, Any] = {"\u20ac": "on"}
    toy.reset(**euro)
    result = toy.run("-o", "list", *LOGIN, PYTHONIOENCODING="ascii")
    assert (result.returncode, result.stdout) == (0, b"\\u20ac,alias of \\u20ac\n")


@pytest.mark.parametrize("redirection", [">/dev/full", ">&-"])
@pytest.mark.parametrize(
    ("action", "status"),
    [
        *[(action, 0) for action in ("on", "off", "reboot", "monitor")],
        *[(action, 1) for action in ("status", "list", "list-status")],
    ],
)
def test_stdout_that_takes_nothing(toy: Toy, action: str, status: int, redirection: str) -> None:
    """What was done is done; an answer that cannot be given is a failure."""
    arguments = toy.command("-o", action, *LOGIN, "-n", "a,b")
    command = ["/bin/sh", "-c", f'"$@" {redirection}', "sh", *arguments]
    result = subprocess.run(command, env=toy.environment(), capture_output=True)
    assert result.returncode == status
    assert len(problems(result)) == (action != "monitor")


def test_reader_that_left(toy: Toy) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.Popen(
        toy.command("-o", "off", *LOGIN, "-n", "a", "-v"),
        env=toy.environment(),
        stdout=writer,
        stderr=writer,
    )
    os.close(writer)
    assert process.wait(timeout=60) == 0
    assert toy.state["a"] == "off"


def test_stdout_is_given_up_after_a_failure(
    device: Device, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with contextlib.suppress(OSError), open("/dev/full", "w") as full:  # closing fails, too
        monkeypatch.setattr("sys.stdout", full)
        assert act(device, "off") == 0
    print("something else", flush=True)
    assert len(caplog.messages) == 1


SCENES: list[tuple[dict[str, Any], list[str]]] = [
    ({"a": "on"}, ["-o", "off", "-n", "a"]),
    ({"a": "off"}, ["-o", "off", "-n", "a"]),
    ({"a": "off"}, ["-o", "on", "-n", "a"]),
    ({"a": "on"}, ["-o", "ON", "-n", "a"]),
    ({"a": "on", "b": "off"}, ["-o", "off", "-n", "a,b"]),
    ({"a": "on", "b": "on"}, ["-o", "off", "-n", "a;b", "--plug-separator=;"]),
    ({"a": "on", "b": "off"}, ["-n", "a,b"]),
    ({"a": "off"}, ["-o", "reboot", "-n", "a"]),
    ({"a": "on", "b": "off"}, ["-o", "reboot", "-n", "a,b", "-m", "cycle"]),
    ({"a": "on", "cycle": False}, ["-o", "reboot", "-n", "a", "-m", "cycle"]),
    ({"a": "on", "stuck": "off"}, ["-o", "off", "-n", "a", "--power-timeout=1"]),
    ({"a": "off", "stuck": "on"}, ["-o", "on", "-n", "a", "--power-timeout=1"]),
    ({"a": "on", "stuck": "off"}, ["-o", "reboot", "-n", "a", "--power-timeout=1"]),
    ({"a": "on", "stuck": "on"}, ["-o", "reboot", "-n", "a", "--power-timeout=1"]),
    ({"a": "on"}, ["-o", "off", "-n", "unknown"]),
    ({"a": "odd"}, ["-o", "off", "-n", "a"]),
    ({"a": "on"}, ["-o", "status", "-n", "a"]),
    ({"a": "off"}, ["-o", "status", "-n", "a"]),
    ({"a": "on", "b": "off"}, ["-o", "status", "-n", "a,b"]),
    ({"a": "off", "b": "off"}, ["-o", "status", "-n", "a,b"]),
    ({"a": "odd"}, ["-o", "status", "-n", "a"]),
    ({"a": "on", "b": "off"}, ["-o", "monitor"]),
    ({"a": "on", "b": "OFF", "c": "odd"}, ["-o", "list"]),
    ({"a": "on", "b": "OFF", "c": "odd"}, ["-o", "list-status"]),
    ({"a": "on"}, ["-o", "list", "-C", ":"]),
    ({}, ["-o", "list"]),
]


@needs_distribution
@pytest.mark.parametrize(
    ("scene", "arguments"), SCENES, ids=[" ".join(arguments) for _, arguments in SCENES]
)
def test_same_as_the_distribution(
    tmp_path: pathlib.Path, scene: dict[str, Any], arguments: list[str]
) -> None:
    outcomes = []
    for library in (OURS, DISTRIBUTION):
        toy = Toy(tmp_path, library)
        toy.reset(**scene)
        result = toy.run(*arguments, *LOGIN)
        switched = [call for call in toy.calls if call[0] == "set"]
        unique = [call for number, call in enumerate(switched) if call not in switched[:number]]
        outcomes.append((result.returncode, result.stdout, toy.state, unique))
    assert outcomes[0] == outcomes[1]


@needs_distribution
@pytest.mark.parametrize(
    "lines",
    [
        b"action=off\nlogin=u\npasswd=p\nport=a\n",
        b"action=status\nusername=u\npassword=p\nplug=b\nagent=fence_toy\nnodename=a\n",
        b'login=u\r\npasswd="p"\r\nport=a\r\n# comment\r\n\r\n',
        b"action=status\nlogin=u\nport=a\n",
        b"action=list\nlogin=u\npasswd=p\nquiet=yes\nverbose=0\n",
    ],
)
def test_same_as_the_distribution_by_stdin(tmp_path: pathlib.Path, lines: bytes) -> None:
    outcomes = []
    for library in (OURS, DISTRIBUTION):
        toy = Toy(tmp_path, library)
        result = toy.run(stdin=lines)
        outcomes.append((result.returncode, result.stdout, toy.state))
    assert outcomes[0] == outcomes[1]
