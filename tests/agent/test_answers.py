"""What the agent makes of OVH's JSON documents: one file each in the folder `answers`.

Their members are those of OVH's published description and of what was seen of it; the values are
invented.
"""

from __future__ import annotations

import pathlib
from typing import Any

import pytest

from tests import agent_module

agent = agent_module.load()

ANSWERS = pathlib.Path(__file__).parent / "answers"
NAME = "ns1234.ip-203-0-113.eu"
OPTIONS = {
    "--action": "off",
    "--username": "application",
    "--password": "application secret",
    "--consumer-key": "consumer key",
    "--login-timeout": "30",
    "--shell-timeout": "30",
}


class Clock:
    """Time that passes only while somebody sleeps."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Network:
    """Answers each path with a file. A path that has none is a mistake of the test."""

    def __init__(self, answers: dict[str, tuple[int, str]]) -> None:
        self._answers = answers

    def exchange(self, method: str, url: str, headers: Any, body: Any, seconds: float) -> Any:
        path = url.partition(".com")[2]
        if path.endswith("/auth/time"):
            return agent.Answer(200, {}, b"1786000000")
        end = max((end for end in self._answers if path.endswith(end)), key=len)
        status, file = self._answers[end]
        return agent.Answer(status, {}, (ANSWERS / f"{file}.json").read_bytes())


def api(**options: str) -> Any:
    """Returns what makes the REST API; it takes the answers by the ends of their paths."""

    def make(answers: dict[str, tuple[int, str]]) -> Any:
        return agent.RestApi({**OPTIONS, **options}, Network(answers), Clock())

    return make


def reboot_of(answers: dict[str, tuple[int, str]]) -> Any:
    """The hard reboot that these documents describe."""
    return agent.RestReboot(api()(answers), NAME, 563254948)


def server(file: str, boot: str = "boot_disk", status: int = 200) -> Any:
    """The server that these documents describe."""
    number = {"server": 1, "server_in_rescue": 230242, "server_switched_off": 95083}.get(file, 0)
    answers = {f"/{NAME}": (200, file), f"/boot/{number}": (status, boot)}
    return api()(answers).server(NAME)


class TestServer:
    def test_from_disk(self) -> None:
        netboot, powered = server("server")
        assert (netboot.kind, netboot.id, powered) == (agent.DISK, 1, True)

    def test_in_rescue(self) -> None:
        netboot, powered = server("server_in_rescue", "boot_rescue")
        assert (netboot.kind, powered) == (agent.RESCUE, True)

    def test_switched_off(self) -> None:
        netboot, powered = server("server_switched_off", "boot_power")
        assert (netboot.kind, powered) == (agent.POWER, False)

    def test_with_a_script_nobody_knows_what_it_boots(self) -> None:
        netboot, _ = server("server_with_a_script")
        assert netboot.kind == agent.UNKNOWN

    def test_set_to_an_entry_that_is_no_longer_offered(self) -> None:
        netboot, _ = server("server_in_rescue", "error_no_such_boot", 404)
        assert netboot.kind == agent.UNKNOWN

    def test_blocked_is_an_error_of_monitor(self) -> None:
        answers = {
            f"/{NAME}": (200, "server_blocked"),
            "/auth/currentCredential": (200, "credential"),
        }
        with pytest.raises(agent.Denied, match="hackedBlocked"):
            api()(answers).check([NAME], agent.RESCUE)


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("boot_disk", "harddisk"),
        ("boot_power", "power"),
        ("boot_rescue", "rescue"),
        ("boot_rescue_of_before", "rescue"),
        ("boot_rescue_of_type_internal", "rescue"),
        ("boot_rescue_windows", "other"),
        ("boot_shell", "other"),
        ("boot_winpe", "other"),
    ],
)
def test_kind_of_netboot(file: str, kind: str) -> None:
    document = agent.parse_json("", agent.Answer(200, {}, (ANSWERS / f"{file}.json").read_bytes()))
    said = document.text("kernel"), document.text("bootType")
    assert agent.kind_of_netboot(*said) == kind


@pytest.mark.parametrize(
    ("file", "state"),
    [
        ("task_init", "alive"),
        ("task_todo", "alive"),
        ("task_doing", "alive"),
        ("task_done", "over"),
        ("task_short", "over"),
        ("task_cancelled", "cancelled: Cancelled by our team"),
    ],
)
def test_state_of_a_hard_reboot(file: str, state: str) -> None:
    reboot = reboot_of({"/task/563254948": (200, file)})
    assert reboot.state() == state


@pytest.mark.parametrize("status", [404, 500])
def test_an_unknown_task_proves_nothing(status: int) -> None:
    reboot = reboot_of({"/task/563254948": (status, "error_no_such_boot")})
    assert reboot.state() == "unknown"


def test_a_task_of_another_kind_is_no_answer() -> None:
    reboot = reboot_of({"/task/563254948": (200, "task_of_another_kind")})
    with pytest.raises(agent.Fault, match="is no hard reboot"):
        reboot.state()


@pytest.mark.parametrize(
    ("status", "file", "kind", "words"),
    [
        (403, "error_not_granted", "Denied", "This call has not been granted"),
        (403, "error_iam_text", "Denied", "needs dedicatedServer:apiovh:reboot"),
        (
            403,
            "error_iam_list",
            "Denied",
            "needs dedicatedServer:apiovh:put, dedicatedServer:apiovh",
        ),
        (460, "error_without_class", "Denied", "This service is expired"),
        (404, "error_no_such_boot", "NotFound", "must be on list"),
        (400, "error_out_of_time", "Fault", "Query out of time"),
    ],
)
def test_error(status: int, file: str, kind: str, words: str) -> None:
    with pytest.raises(agent.OvhError, match=words) as error:
        api()({f"/{NAME}": (status, file)}).server(NAME)
    assert type(error.value).__name__ == kind


def test_a_task_in_the_way() -> None:
    with pytest.raises(agent.Busy, match="of type reinstallServer with status todo"):
        api()({"/reboot": (400, "error_task_exists")}).hard_reboot(NAME)


def test_a_key_may_fence_the_servers_that_its_rules_name() -> None:
    answers = {f"/{NAME}": (200, "server"), "/auth/currentCredential": (200, "credential")}
    api()(answers).check([NAME], agent.RESCUE)
    with pytest.raises(agent.Denied, match="lacks this rule"):
        api()(answers).check(["ns5678.ip-203-0-113.eu"], agent.RESCUE)


class TestServiceAccount:
    make = staticmethod(api(**{"--consumer-key": ""}))

    def test_lacks_an_action(self) -> None:
        answers = {
            "/auth/oauth2/token": (200, "token"),
            f"/{NAME}": (200, "server"),
            "/authorization/check": (200, "authorization"),
        }
        with pytest.raises(agent.Denied, match="lacks dedicatedServer:apiovh:reboot"):
            self.make(answers).check([NAME], agent.RESCUE)

    def test_a_wrong_secret(self) -> None:
        answers = {"/auth/oauth2/token": (400, "token_refused")}
        with pytest.raises(agent.Denied, match='no OAuth2 token: "invalid_client"'):
            self.make(answers).server(NAME)
