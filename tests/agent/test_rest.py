"""What only the REST API does: its keys, tasks, pages and limits, and the making of keys."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import re
import socket
import threading
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any, Callable

import pytest

from tests import harness
from tests.agent import hurried as hurry
from tests.agent.hurried import hurried
from tests.agent.rest_only import every_key, rest_only
from tests.harness import (
    LOGIN,
    OTHER_SERVER,
    PASSWORD,
    SERVER,
    Agent,
    RestBackend,
    Result,
)
from tests.simulator import (
    APPLICATION_KEY,
    APPLICATION_SECRET,
    CLIENT_ID,
    CLIENT_SECRET,
    CONSUMER_KEY,
    EVERY_SERVER,
    FENCING_ACTIONS,
    FENCING_RULES,
    INTERNAL_RESCUE,
    IPXE_SHELL,
    OLD_RESCUE,
    WINDOWS_RESCUE,
    WINPE,
    AnswerLost,
    Call,
    Netboot,
    Proceed,
    Response,
    RestSettings,
    Rule,
    Server,
    SimulatorServer,
    SoapFrontEnd,
    SoapSettings,
    Timing,
)

HARD_DISK, RESCUE, POWER_OFF = 1, 230242, 95083
THIRD_SERVER = "ns777.ip-198-51-100.eu"
FOR_EVER = 3600.0  # seconds; no test lasts so long
DAY = 24 * 3600.0

# What the simulator calls the calls.
TIME, CREDENTIAL, TOKEN = "GET /auth/time", "GET /auth/currentCredential", "POST /auth/oauth2/token"
PUT = "PUT /dedicated/server/{serviceName}"
REBOOT = "POST /dedicated/server/{serviceName}/reboot"
BOOT = "GET /dedicated/server/{serviceName}/boot"
TASK = "GET /dedicated/server/{serviceName}/task/{taskId}"

SECRETS = (APPLICATION_SECRET, CONSUMER_KEY, CLIENT_SECRET)
KEYS_OF_THE_HARNESS = ("login", "passwd", "consumer_key")
OAUTH2_KEYS = {"api": "rest", "login": CLIENT_ID, "passwd": CLIENT_SECRET}


def assert_no_secret(written: str, *more: str) -> None:
    """No secret, no token, and no eight characters of one."""
    for secret in (*SECRETS, *more):
        for start in range(len(secret) - 7):
            assert secret[start : start + 8] not in written
    assert not re.search("eyJ[0-9a-f]{8}", written), "an OAuth2 token"


class CheckedAgent(Agent):
    """The agent; no run of it shows a secret."""

    def run(
        self, options: dict[str, Any] | bytes | None = None, *arguments: str, **more: Any
    ) -> Result:
        result = super().run(options, *arguments, **more)
        assert_no_secret(result.stdout + result.stderr)
        assert "defect in fence_ovh" not in result.stderr
        assert "Traceback" not in result.stderr
        return result


@pytest.fixture
def our_agent() -> Agent:
    """The agent with our library, with its long waits cut short."""
    agent = hurried(harness.agent_with_our_library())
    return CheckedAgent(agent.command)


ovh = pytest.fixture(rest_only)


def without(options: dict[str, Any], *names: str) -> dict[str, Any]:
    """Options with some left out."""
    return {name: value for name, value in options.items() if name not in names}


@dataclasses.dataclass
class Exchange:
    """A request as it came over the wire, and the status of its answer (0: it was lost)."""

    method: str
    target: str
    headers: dict[str, str]
    at: float
    status: int = 0


def recorded(ovh: RestBackend) -> list[Exchange]:
    """All requests from now on, as they come."""
    exchanges: list[Exchange] = []
    handle = ovh.front_end.handle

    def record(
        method: str, path: str, headers: Mapping[str, str], body: bytes, scheme: str = "http"
    ) -> Response:
        lowered = {name.lower(): value for name, value in headers.items()}
        exchange = Exchange(method, path.removeprefix("/1.0"), lowered, time.monotonic())
        exchanges.append(exchange)
        response: Response = handle(method, path, headers, body, scheme)
        exchange.status = response.status
        return response

    ovh.front_end.handle = record
    return exchanges


def refusal(status: int, kind: str, message: str, **headers: str) -> Response:
    """An error as the API words it."""
    body = json.dumps({"class": kind, "message": message}).encode()
    return Response(status, {"Content-Type": "application/json", **headers}, body)


def answer_once(ovh: RestBackend, operation: str, response: Response | None) -> list[Call]:
    """Answer the first call of that operation with this, in place of carrying it out.

    None loses it on its way. Returns the calls that were answered so.
    """
    taken: list[Call] = []

    def intercept(call: Call, proceed: Proceed) -> Response:
        if call.operation != operation or taken:
            return proceed()
        taken.append(call)
        if response is None:
            raise AnswerLost
        return response

    ovh.front_end.intercept = intercept
    return taken


def at_first(ovh: RestBackend, operation: str, act: Callable[[], None]) -> None:
    """Let somebody else act just before the first call of that operation is carried out."""
    acted: list[Call] = []

    def intercept(call: Call, proceed: Proceed) -> Response:
        if call.operation == operation and not acted:
            acted.append(call)
            act()
        return proceed()

    ovh.front_end.intercept = intercept


def is_rebooting(ovh: RestBackend) -> Callable[[], bool]:
    """Whether a hard reboot of the server is queued or under way."""
    return lambda: ovh.state()["servers"][SERVER]["pending_reboots"] > 0


def statuses_of_tasks(ovh: RestBackend) -> list[str]:
    """Of all tasks so far."""
    return [task["status"] for task in ovh.state()["tasks"]]


class TwoApis(RestBackend):
    """Both APIs at one address."""

    def __init__(self) -> None:
        super().__init__()
        soap = SoapFrontEnd(self.data_centre, SoapSettings())
        self.simulator = SimulatorServer(self.front_end, soap)


class TestChoiceOfTheApi:
    @pytest.fixture
    def ovh(self) -> Iterator[RestBackend]:
        backend = TwoApis()
        with backend.simulator:
            yield backend

    def used(self, agent: Agent, ovh: RestBackend, **keys: str) -> set[str]:
        """The protocols that a run with these keys used."""
        options = without(ovh.options("monitor"), *KEYS_OF_THE_HARNESS) | keys
        result = agent.run(options)
        assert result.status == 0, result.stderr
        return {call["protocol"] for call in ovh.state()["calls"]}

    @pytest.mark.parametrize(
        "more",
        [{}, {"api": "soap"}, {"api": "soap", "consumer_key": "x"}],
        ids=["default", "api", "api beats consumer_key"],
    )
    def test_a_nic_handle_is_for_soap(
        self, our_agent: Agent, ovh: RestBackend, more: dict[str, str]
    ) -> None:
        assert self.used(our_agent, ovh, login=LOGIN, passwd=PASSWORD, **more) == {"soap"}

    @pytest.mark.parametrize("more", [{}, {"api": "rest"}, {"endpoint": "ovh-eu"}])
    def test_a_consumer_key_is_for_rest(
        self, our_agent: Agent, ovh: RestBackend, more: dict[str, str]
    ) -> None:
        keys = {"login": APPLICATION_KEY, "passwd": APPLICATION_SECRET}
        assert self.used(our_agent, ovh, **keys, consumer_key=CONSUMER_KEY, **more) == {"rest"}
        assert TOKEN not in ovh.calls()

    @pytest.mark.parametrize("more", [{"api": "rest"}, {"endpoint": "ovh-ca"}])
    def test_rest_without_a_consumer_key_is_oauth2(
        self, our_agent: Agent, ovh: RestBackend, more: dict[str, str]
    ) -> None:
        keys = {"login": CLIENT_ID, "passwd": CLIENT_SECRET}
        assert self.used(our_agent, ovh, **keys, **more) == {"rest"}
        assert TOKEN in ovh.calls()

    def test_neither_login_nor_passwd_is_rest(self, our_agent: Agent, ovh: RestBackend) -> None:
        """With the keys of OVH's configuration files, of which there is none here."""
        result = our_agent.run(without(ovh.options("monitor"), *KEYS_OF_THE_HARNESS))
        assert result.status == 1
        assert "/etc/ovh.conf" in result.stderr
        assert ovh.calls() == []

    @pytest.mark.parametrize("said", [{}, {"api": "soap"}])
    @pytest.mark.parametrize("action", ["off", "validate-all"])
    def test_soap_cannot_switch_off(
        self, our_agent: Agent, ovh: RestBackend, action: str, said: dict[str, str]
    ) -> None:
        options = without(ovh.options(action, off_mode="power", **said), "consumer_key")
        result = our_agent.run(options)
        assert result.status == 1
        assert "off_mode" in result.stderr
        assert ovh.calls() == []

    @pytest.mark.parametrize("missing", ["login", "passwd"])
    def test_a_consumer_key_needs_the_application(
        self, our_agent: Agent, ovh: RestBackend, missing: str
    ) -> None:
        result = our_agent.run(without(ovh.options("monitor"), missing))
        assert result.status == 1
        assert "is missing" in result.stderr
        assert ovh.calls() == []

    @pytest.mark.parametrize(
        "wrong", [{"api": "xml-rpc"}, {"endpoint": "ovh-mars"}, {"off_mode": "explode"}]
    )
    def test_unknown_words(self, our_agent: Agent, ovh: RestBackend, wrong: dict[str, str]) -> None:
        result = our_agent.run(ovh.options("monitor") | wrong)
        assert result.status == 1
        assert next(iter(wrong)).replace("_", "-") in result.stderr
        assert ovh.calls() == []


class Proxy:
    """An HTTP proxy that notes where its clients want to go, and lets nobody through."""

    def __init__(self) -> None:
        self.wanted: list[str] = []
        self.asked = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.environment = {"https_proxy": url, "http_proxy": url}

    def close(self) -> None:
        """Stop it."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, connection.makefile("rwb") as stream:
                self.wanted.append(stream.readline().decode("latin-1").split(" ")[1])
                self.asked.set()
                while stream.readline().strip():
                    pass
                stream.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """A proxy that lets nobody through."""
    proxy = Proxy()
    yield proxy
    proxy.close()


class TestEndpoints:
    """Where the agent wants to go; a proxy keeps it from getting there."""

    def wanted(self, agent: Agent, proxy: Proxy, keys: dict[str, Any], **more: str) -> set[str]:
        options = {"action": "off", "plug": SERVER, **keys}
        process = agent.start(options, env={**proxy.environment, **more})
        try:
            assert proxy.asked.wait(60)
        finally:
            process.terminate()
            stdout, stderr = process.communicate(timeout=60)
        assert process.returncode == 1
        assert_no_secret(harness.text(stdout) + harness.text(stderr))
        return set(proxy.wanted)

    @pytest.mark.parametrize(
        ("endpoint", "host"),
        [
            ("", "eu.api.ovh.com"),
            ("ovh-eu", "eu.api.ovh.com"),
            ("ovh-ca", "ca.api.ovh.com"),
            ("ovh-us", "api.us.ovhcloud.com"),
            ("kimsufi-eu", "eu.api.kimsufi.com"),
            ("kimsufi-ca", "ca.api.kimsufi.com"),
            ("soyoustart-eu", "eu.api.soyoustart.com"),
            ("soyoustart-ca", "ca.api.soyoustart.com"),
        ],
    )
    def test_names_of_regions(
        self, our_agent: Agent, proxy: Proxy, endpoint: str, host: str
    ) -> None:
        keys = {"login": APPLICATION_KEY, "passwd": APPLICATION_SECRET, "consumer_key": "x"}
        if endpoint:
            keys["endpoint"] = endpoint
        assert self.wanted(our_agent, proxy, keys) == {f"{host}:443"}

    @pytest.mark.parametrize(
        ("endpoint", "host"),
        [("ovh-eu", "www.ovh.com"), ("ovh-ca", "ca.ovh.com"), ("ovh-us", "us.ovhcloud.com")],
    )
    def test_tokens_come_from_the_region(
        self, our_agent: Agent, proxy: Proxy, endpoint: str, host: str
    ) -> None:
        keys = {**OAUTH2_KEYS, "endpoint": endpoint}
        assert self.wanted(our_agent, proxy, keys) == {f"{host}:443"}

    def test_the_region_of_the_configuration(
        self, our_agent: Agent, proxy: Proxy, tmp_path: pathlib.Path
    ) -> None:
        write_configuration(tmp_path / ".ovh.conf", "ovh-ca", KEYS_IN_A_FILE)
        assert self.wanted(our_agent, proxy, {}, HOME=str(tmp_path)) == {"ca.api.ovh.com:443"}

    def test_the_option_beats_the_configuration(
        self, our_agent: Agent, proxy: Proxy, tmp_path: pathlib.Path
    ) -> None:
        path = tmp_path / ".ovh.conf"
        write_configuration(path, "ovh-ca", KEYS_IN_A_FILE)
        text = path.read_text()
        path.write_text(text + text.partition("\n\n")[2].replace("[ovh-ca]", "[ovh-eu]"))
        options = {"endpoint": "ovh-eu"}
        assert self.wanted(our_agent, proxy, options, HOME=str(tmp_path)) == {"eu.api.ovh.com:443"}


KEYS_IN_A_FILE = {
    "application_key": APPLICATION_KEY,
    "application_secret": APPLICATION_SECRET,
    "consumer_key": CONSUMER_KEY,
}
CLIENT_IN_A_FILE = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}


def write_configuration(
    path: pathlib.Path, endpoint: str, keys: dict[str, str], mode: int = 0o600
) -> None:
    """Write a configuration file as OVH's own clients have it."""
    entries = "".join(f"{name}={value}\n" for name, value in keys.items())
    path.write_text(f"[default]\nendpoint={endpoint}\n\n[{endpoint}]\n{entries}")
    path.chmod(mode)


class TestConfiguration:
    """Keys from OVH's own configuration files."""

    def options(self, ovh: RestBackend, action: str = "monitor") -> dict[str, Any]:
        return without(ovh.options(action), *KEYS_OF_THE_HARNESS)

    @pytest.mark.parametrize("endpoint", ["ovh-eu", "soyoustart-ca"])
    def test_a_file_at_home(
        self, our_agent: Agent, ovh: RestBackend, tmp_path: pathlib.Path, endpoint: str
    ) -> None:
        write_configuration(tmp_path / ".ovh.conf", endpoint, KEYS_IN_A_FILE)
        result = our_agent.run(self.options(ovh, "off"), env={"HOME": str(tmp_path)})
        assert (result.status, result.stderr) == (0, "")
        assert ovh.cuts() == ["rescue12-customer"]

    def test_a_file_with_a_service_account(
        self, our_agent: Agent, ovh: RestBackend, tmp_path: pathlib.Path
    ) -> None:
        write_configuration(tmp_path / ".ovh.conf", "ovh-eu", CLIENT_IN_A_FILE)
        env = {"HOME": str(tmp_path)}
        assert our_agent.run(self.options(ovh, "off"), env=env).status == 0
        assert ovh.cuts() == ["rescue12-customer"]
        assert TOKEN in ovh.calls()

    def test_a_section_of_the_endpoint_that_was_asked_for(
        self, our_agent: Agent, ovh: RestBackend, tmp_path: pathlib.Path
    ) -> None:
        write_configuration(tmp_path / ".ovh.conf", "ovh-ca", KEYS_IN_A_FILE)
        options = self.options(ovh)
        env = {"HOME": str(tmp_path)}
        assert our_agent.run(options | {"endpoint": "ovh-eu"}, env=env).status == 1
        assert our_agent.run(options | {"endpoint": "ovh-ca"}, env=env).status == 0

    @pytest.mark.parametrize("mode", [0o644, 0o604, 0o640])
    def test_warns_of_a_file_that_others_can_read(
        self, our_agent: Agent, ovh: RestBackend, tmp_path: pathlib.Path, mode: int
    ) -> None:
        path = tmp_path / ".ovh.conf"
        write_configuration(path, "ovh-eu", KEYS_IN_A_FILE, mode)
        result = our_agent.run(self.options(ovh), env={"HOME": str(tmp_path)})
        assert result.status == 0
        assert result.stderr.count(str(path)) == 1
        assert "WARNING" in result.stderr
        assert "chmod 600" in result.stderr

    def test_a_malformed_file_is_named_as_such(
        self, our_agent: Agent, ovh: RestBackend, tmp_path: pathlib.Path
    ) -> None:
        (tmp_path / ".ovh.conf").write_text(f"application_secret={APPLICATION_SECRET}\n")
        result = our_agent.run(self.options(ovh), env={"HOME": str(tmp_path)})
        assert result.status == 1
        assert f"{tmp_path}/.ovh.conf: the configuration file is unusable" in result.stderr

    @pytest.mark.parametrize("what", ["a folder", "no text"])
    def test_an_unusable_file_is_named(
        self, our_agent: Agent, ovh: RestBackend, tmp_path: pathlib.Path, what: str
    ) -> None:
        path = tmp_path / ".ovh.conf"
        path.mkdir() if what == "a folder" else path.write_bytes(b"[default]\nendpoint=\xff\n")
        result = our_agent.run(self.options(ovh), env={"HOME": str(tmp_path)})
        assert result.status == 1
        assert f"{path}: the configuration file is unusable" in result.stderr
        assert ovh.calls() == []

    def test_the_file_of_the_machine(
        self, our_agent: Agent, ovh: RestBackend, tmp_path: pathlib.Path, namespace: None
    ) -> None:
        """In /etc; what the file at home says wins."""
        place = tmp_path / "etc"
        place.mkdir()
        write_configuration(place / "ovh.conf", "ovh-eu", KEYS_IN_A_FILE)
        work = ["mkdir", "-p", str(tmp_path / "work")]
        layers = f"lowerdir={place}:/etc"
        agent = CheckedAgent(
            harness.in_namespace(
                our_agent.command, work, ["mount", "-t", "overlay", "none", "/etc", "-o", layers]
            )
        )
        result = agent.run(self.options(ovh, "off"))
        assert (result.status, result.stderr) == (0, "")
        assert ovh.cuts() == ["rescue12-customer"]
        home = tmp_path / ".ovh.conf"
        home.write_text(f"[ovh-eu]\napplication_key={'0' * 16}\n")
        home.chmod(0o600)
        result = agent.run(self.options(ovh), env={"HOME": str(tmp_path)})
        assert result.status == 1
        assert "This application key is invalid" in result.stderr

    @pytest.mark.parametrize("where", ["working directory", "environment"])
    def test_of_1_0_0_that_is_not_read_any_more(
        self, our_agent: Agent, ovh: RestBackend, tmp_path: pathlib.Path, where: str
    ) -> None:
        """A folder or an environment that others may write to decides nothing."""
        env = {f"OVH_{name.upper()}": value for name, value in KEYS_IN_A_FILE.items()}
        if where == "working directory":
            write_configuration(tmp_path / "ovh.conf", "ovh-eu", KEYS_IN_A_FILE)
            env = {}
        result = our_agent.run(self.options(ovh, "off"), env=env, cwd=tmp_path)
        assert result.status == 1
        assert "/etc/ovh.conf" in result.stderr
        assert ovh.calls() == []

    @pytest.mark.parametrize(
        "others",
        [
            pytest.param({"client_id": "EU.0", "client_secret": "x" * 20}, id="service account"),
            pytest.param(
                {"application_key": "0" * 16, "application_secret": "x" * 20, "consumer_key": "y"},
                id="application",
            ),
        ],
    )
    @pytest.mark.parametrize(
        "keys",
        [
            pytest.param({}, id="consumer key"),
            pytest.param(OAUTH2_KEYS, id="OAuth2"),
        ],
    )
    def test_keys_that_were_given_are_not_mixed_with_others(
        self,
        our_agent: Agent,
        ovh: RestBackend,
        tmp_path: pathlib.Path,
        keys: dict[str, str],
        others: dict[str, str],
    ) -> None:
        env = {"HOME": str(tmp_path)}
        write_configuration(tmp_path / ".ovh.conf", "ovh-eu", others)
        options = ovh.options("monitor")
        if keys:
            options = without(options, *KEYS_OF_THE_HARNESS) | keys
        result = our_agent.run(options, env=env)
        assert result.status == 0, result.stderr

    def test_a_malformed_file_that_is_not_needed(
        self, our_agent: Agent, ovh: RestBackend, tmp_path: pathlib.Path
    ) -> None:
        (tmp_path / ".ovh.conf").write_text("of something else\n")
        result = our_agent.run(ovh.options("monitor"), env={"HOME": str(tmp_path)})
        assert (result.status, result.stderr) == (0, "")

    def test_no_working_directory(
        self, our_agent: Agent, ovh: RestBackend, tmp_path: pathlib.Path
    ) -> None:
        """It was removed since the agent's caller was started."""
        removed = tmp_path / "removed"
        removed.mkdir()
        script = ["sh", "-c", 'cd "$0" && rmdir "$0" && exec "$@"', str(removed)]
        agent = Agent([*script, *our_agent.command], our_agent.env)
        result = agent.run(ovh.options("monitor"))
        assert (result.status, result.stderr) == (0, "")
        removed.mkdir()
        write_configuration(tmp_path / ".ovh.conf", "ovh-eu", KEYS_IN_A_FILE)
        result = agent.run(self.options(ovh, "monitor"), env={"HOME": str(tmp_path)})
        assert (result.status, result.stderr) == (0, "")

    def test_a_file_without_a_consumer_key(
        self, our_agent: Agent, ovh: RestBackend, tmp_path: pathlib.Path
    ) -> None:
        """No other try changes that."""
        keys = {name: key for name, key in KEYS_IN_A_FILE.items() if name != "consumer_key"}
        write_configuration(tmp_path / ".ovh.conf", "ovh-eu", keys)
        options = self.options(ovh, "off")
        result = our_agent.run(options, env={"HOME": str(tmp_path)})
        assert result.status == 1
        assert "no consumer_key for ovh-eu" in result.stderr
        assert "trying again" not in result.stderr

    def test_a_file_with_a_secret_in_the_wrong_line(
        self, our_agent: Agent, ovh: RestBackend, tmp_path: pathlib.Path
    ) -> None:
        secret = KEYS_IN_A_FILE["application_secret"]
        write_configuration(tmp_path / ".ovh.conf", secret, {})
        result = our_agent.run(self.options(ovh, "off"), env={"HOME": str(tmp_path)})
        assert result.status == 1
        assert "ovh.conf: no application_key" in result.stderr
        assert secret.lower() not in result.stderr.lower()

    def test_a_file_of_others_keys_gets_no_warning(
        self, our_agent: Agent, ovh: RestBackend, tmp_path: pathlib.Path
    ) -> None:
        """It is not used."""
        write_configuration(tmp_path / ".ovh.conf", "ovh-eu", {"consumer_key": "x"}, 0o644)
        result = our_agent.run(ovh.options("monitor"), env={"HOME": str(tmp_path)})
        assert (result.status, result.stderr) == (0, "")


class TestOAuth2:
    def run(self, agent: Agent, ovh: RestBackend, action: str, **more: Any) -> Result:
        options = without(ovh.options(action), *KEYS_OF_THE_HARNESS) | OAUTH2_KEYS | more
        return agent.run(options)

    def test_fences(self, our_agent: Agent, ovh: RestBackend) -> None:
        assert self.run(our_agent, ovh, "off").status == 0
        assert self.run(our_agent, ovh, "status").status == 2
        assert self.run(our_agent, ovh, "on").status == 0
        assert ovh.cuts() == ["rescue12-customer", "hd"]

    def test_a_wrong_secret_says_what_to_check(self, our_agent: Agent, ovh: RestBackend) -> None:
        result = self.run(our_agent, ovh, "monitor", passwd="wrong-Pa55-word")
        assert result.status == 1
        assert "without consumer_key, those of an OAuth2 service account" in result.stderr
        assert_no_secret(result.stdout + result.stderr, "wrong-Pa55-word")
        assert ovh.calls().count(TOKEN) == 1

    def test_a_secret_is_not_shown_in_the_form_in_which_it_is_sent(
        self, our_agent: Agent, ovh: RestBackend
    ) -> None:
        secret = "wrong+Pa55/word&%x"
        sent = urllib.parse.quote_plus(secret)
        told = json.dumps({"error": f"no such client_secret={sent}"}).encode()
        answer_once(ovh, TOKEN, Response(401, {"Content-Type": "application/json"}, told))
        result = self.run(our_agent, ovh, "monitor", passwd=secret)
        assert result.status == 1
        assert "no such client_secret=***" in result.stderr
        assert sent not in result.stderr

    def test_a_token_that_runs_out_is_renewed(self, our_agent: Agent, ovh: RestBackend) -> None:
        ovh.front_end.credentials.service_accounts[CLIENT_ID].token_lifetime = 3.0
        ovh.data_centre.timing = Timing(cut_delay=0.1, boot_delay=0.1, reboot_duration=6.0)
        assert self.run(our_agent, ovh, "off").status == 0
        assert ovh.cuts() == ["rescue12-customer"]
        assert ovh.calls().count(TOKEN) > 1

    def test_a_token_that_is_revoked_is_renewed(self, our_agent: Agent, ovh: RestBackend) -> None:
        """While the hard reboot is waited for."""
        revoked: list[Call] = []

        def intercept(call: Call, proceed: Proceed) -> Response:
            if call.operation == TOKEN:
                revoked.clear()
            elif revoked:
                return refusal(401, "Client::Unauthorized", "Invalid or expired token")
            response = proceed()
            if call.operation == REBOOT and response.status == 200:
                revoked.append(call)
            return response

        ovh.front_end.intercept = intercept
        result = self.run(our_agent, ovh, "off")
        assert result.status == 0, result.stderr
        assert ovh.cuts() == ["rescue12-customer"]

    @pytest.mark.parametrize(
        "trouble",
        [
            Response(502, {"Content-Type": "text/html"}, b"<html>Bad Gateway</html>"),
            Response(200, {"Content-Type": "text/html"}, b"<html>Maintenance</html>"),
            None,
        ],
        ids=["502", "maintenance", "lost"],
    )
    def test_a_fault_at_the_token_may_pass(
        self, our_agent: Agent, ovh: RestBackend, trouble: Response | None
    ) -> None:
        taken = answer_once(ovh, TOKEN, trouble)
        result = self.run(our_agent, ovh, "off")
        assert len(taken) == 1
        assert result.status == 0, result.stderr
        assert ovh.cuts() == ["rescue12-customer"]

    def test_monitor_says_once_what_it_could_not_check(
        self, our_agent: Agent, ovh: RestBackend
    ) -> None:
        ovh.front_end.settings = RestSettings(authorization_check_granted=False)
        before = ovh.state()["servers"]
        result = self.run(our_agent, ovh, "monitor")
        assert result.status == 0
        assert result.stderr.count("cannot be checked") == 1
        assert ovh.state()["servers"] == before

    def test_monitor_asks_for_the_rights(self, our_agent: Agent, ovh: RestBackend) -> None:
        result = self.run(our_agent, ovh, "monitor")
        assert (result.status, result.stderr) == (0, "")
        assert "POST /iam/resource/{resourceURN}/authorization/check" in ovh.calls()

    @pytest.mark.parametrize("missing", ["get", "put", "boot/get", "reboot", "task/get"])
    def test_monitor_names_the_right_that_is_missing(
        self, our_agent: Agent, ovh: RestBackend, missing: str
    ) -> None:
        right = f"dedicatedServer:apiovh:{missing}"
        granted = FENCING_ACTIONS - {right}
        ovh.front_end.credentials.service_accounts[CLIENT_ID].grants = {EVERY_SERVER: granted}
        result = self.run(our_agent, ovh, "monitor")
        assert result.status == 1
        assert re.search(f"{right}(?![/a-z])", result.stderr)

    @pytest.mark.parametrize("as_list", [False, True])
    def test_off_names_the_right_that_is_missing(
        self, our_agent: Agent, ovh: RestBackend, as_list: bool
    ) -> None:
        """OVH's details hold a text or a list."""
        right = "dedicatedServer:apiovh:reboot"

        def intercept(call: Call, proceed: Proceed) -> Response:
            if call.operation != REBOOT:
                return proceed()
            body = {
                "class": "Client::Forbidden",
                "message": "User not granted for this request",
                "details": {"unauthorizedActionsByIAM": [right, "x"] if as_list else right},
            }
            return Response(403, {"Content-Type": "application/json"}, json.dumps(body).encode())

        ovh.front_end.intercept = intercept
        result = self.run(our_agent, ovh, "off")
        assert result.status == 1
        assert f"which needs {right}" in result.stderr
        assert ovh.cuts() == []

    def test_two_servers_share_one_token(self, our_agent: Agent, ovh: RestBackend) -> None:
        assert self.run(our_agent, ovh, "off", plug=f"{SERVER},{OTHER_SERVER}").status == 0
        assert ovh.calls().count(TOKEN) == 1

    @pytest.mark.parametrize("missing", ["put", "reboot"])
    def test_off_without_the_right(self, our_agent: Agent, ovh: RestBackend, missing: str) -> None:
        granted = FENCING_ACTIONS - {f"dedicatedServer:apiovh:{missing}"}
        ovh.front_end.credentials.service_accounts[CLIENT_ID].grants = {EVERY_SERVER: granted}
        result = self.run(our_agent, ovh, "off", shell_timeout=1)
        assert result.status == 1
        assert "User not granted for this request" in result.stderr
        assert ovh.cuts() == []

    def test_no_output_shows_a_secret(
        self, our_agent: Agent, ovh: RestBackend, tmp_path: pathlib.Path
    ) -> None:
        debug = tmp_path / "debug.log"
        for action in ("off", "monitor", "list"):
            result = self.run(our_agent, ovh, action, verbose=1, debug_file=debug)
            assert result.status == 0, result.stderr
        assert_no_secret(debug.read_text())


class TestPowerOff:
    """off_mode=power."""

    def test_off_waits_until_the_power_is_off(self, our_agent: Agent, ovh: RestBackend) -> None:
        ovh.data_centre.timing = dataclasses.replace(harness.FAST, power_off_delay=3.0)
        result = our_agent.run(ovh.options("off", off_mode="power"))
        server = ovh.state()["servers"][SERVER]
        assert (result.status, result.stdout) == (0, "Success: Powered OFF\n")
        assert server["power"] == "off"
        assert ovh.cuts() == ["poweroff"]
        assert ovh.cuts(OTHER_SERVER) == []

    def test_off_on_every_library(self, agent: Agent, ovh: RestBackend) -> None:
        """The distribution's makes capitals of what off_mode has."""
        result = agent.run(ovh.options("off", off_mode="power"))
        assert result.status == 0, result.stderr
        assert ovh.cuts() == ["poweroff"]
        assert ovh.state()["servers"][SERVER]["power"] == "off"

    def test_off_fails_when_the_power_stays_on(self, our_agent: Agent, ovh: RestBackend) -> None:
        ovh.data_centre.timing = dataclasses.replace(harness.FAST, power_off_delay=FOR_EVER)
        result = our_agent.run(ovh.options("off", off_mode="power", power_timeout=6))
        assert result.status == 1
        assert "Success" not in result.stdout

    @pytest.mark.parametrize("mode", ["power", "rescue"])
    def test_status_is_on_while_it_powers_off(
        self, our_agent: Agent, ovh: RestBackend, mode: str
    ) -> None:
        ovh.data_centre.timing = dataclasses.replace(harness.FAST, power_off_delay=FOR_EVER)
        ovh.set_by_hand(POWER_OFF)
        ovh.reboot_by_hand()
        ovh.wait_until("the end of the reboot", lambda: statuses_of_tasks(ovh) == ["done"])
        assert ovh.running() == "power"
        result = our_agent.run(ovh.options("status", off_mode=mode))
        assert (result.status, result.stdout) == (0, "Status: ON\n")

    @pytest.mark.parametrize("mode", ["power", "rescue"])
    def test_status_is_off_after_it_on_after_on(
        self, our_agent: Agent, ovh: RestBackend, mode: str
    ) -> None:
        assert our_agent.run(ovh.options("off", off_mode="power")).status == 0
        assert our_agent.run(ovh.options("status", off_mode=mode)).status == 2
        listed = our_agent.run(ovh.options("list-status", off_mode=mode)).stdout
        assert re.search(f"^{SERVER},.*,off$", listed, re.MULTILINE)
        assert our_agent.run(ovh.options("on", off_mode=mode)).status == 0
        assert our_agent.run(ovh.options("status", off_mode=mode)).status == 0
        assert ovh.cuts() == ["poweroff", "hd"]
        assert ovh.running() == "harddisk"

    def test_reboot_with_onoff(self, our_agent: Agent, ovh: RestBackend) -> None:
        result = our_agent.run(ovh.options("reboot", off_mode="power", method="onoff"))
        assert (result.status, result.stdout) == (0, "Success: Rebooted\n")
        assert ovh.cuts() == ["poweroff", "hd"]

    def test_the_power_cut_of_a_reboot_is_no_power_off(
        self, our_agent: Agent, ovh: RestBackend
    ) -> None:
        """The API may say `poweroff` for a while before the server boots again."""
        ovh.simulator.control(settings={"cut_shown": True})
        ovh.data_centre.timing = Timing(
            cut_delay=0.1, boot_delay=2.0, reboot_duration=2.2, power_off_delay=FOR_EVER
        )
        result = our_agent.run(ovh.options("off", off_mode="power", power_timeout=6))
        assert result.status == 1
        ovh.wait_until("the boot", lambda: ovh.cuts() == ["poweroff"])

    def test_status_is_on_during_the_power_cut_of_a_reboot(
        self, our_agent: Agent, ovh: RestBackend
    ) -> None:
        ovh.simulator.control(settings={"cut_shown": True})
        ovh.data_centre.timing = Timing(
            cut_delay=0.1, boot_delay=FOR_EVER, reboot_duration=2 * FOR_EVER
        )
        ovh.reboot_by_hand()
        ovh.wait_until("the cut", lambda: ovh.state()["servers"][SERVER]["power"] == "off")
        assert our_agent.run(ovh.options("status")).status == 0

    @pytest.mark.parametrize("mode", ["power", "rescue"])
    def test_monitor_warns_that_a_technician_may_intervene(
        self, our_agent: Agent, ovh: RestBackend, mode: str
    ) -> None:
        ovh.data_centre.servers[SERVER].monitoring = True
        result = our_agent.run(ovh.options("monitor", off_mode=mode))
        assert result.status == 0
        assert re.search(f"WARNING.*{SERVER}.*monitoring.*technician", result.stderr)

    def test_does_not_warn_without_need(self, our_agent: Agent, ovh: RestBackend) -> None:
        ovh.data_centre.servers[OTHER_SERVER].monitoring = True
        ovh.data_centre.servers[OTHER_SERVER].no_intervention = True
        for plug in (SERVER, OTHER_SERVER):
            result = our_agent.run(ovh.options("monitor", off_mode="power", plug=plug))
            assert (result.status, result.stderr) == (0, "")

    def test_needs_a_netboot_of_that_type(self, our_agent: Agent, ovh: RestBackend) -> None:
        server = ovh.data_centre.servers[SERVER]
        server.netboots = tuple(n for n in server.netboots if n.type != "power")
        for action in ("monitor", "off"):
            result = our_agent.run(ovh.options(action, off_mode="power", shell_timeout=1))
            assert result.status == 1
            assert "power" in result.stderr
        assert ovh.cuts() == []
        assert our_agent.run(ovh.options("monitor")).status == 0


class TestTasks:
    def reboot_by_somebody_else(self, ovh: RestBackend, booted: str = "hd") -> None:
        """Just before our netboot is set; one into the disk has booted by then."""
        ovh.reboot_by_hand()
        if booted == "hd":
            ovh.wait_until("the boot", lambda: ovh.cuts() == ["hd"])

    @pytest.mark.parametrize("status", [404, 500])
    def test_a_task_that_is_not_to_be_seen_yet(
        self, our_agent: Agent, ovh: RestBackend, status: int
    ) -> None:
        ovh.front_end.settings = RestSettings(task_unseen=2.0, task_unseen_status=status)
        ovh.data_centre.timing = Timing(cut_delay=2.5, boot_delay=0.1, reboot_duration=3.0)
        assert our_agent.run(ovh.options("off")).status == 0
        assert ovh.cuts() == ["rescue12-customer"]

    def test_a_task_that_vanishes_proves_nothing(self, our_agent: Agent, ovh: RestBackend) -> None:
        ovh.front_end.settings = RestSettings(task_purged=0.0)
        result = our_agent.run(ovh.options("off", power_timeout=8))
        assert result.status == 1
        assert "OVH does not know the hard reboot; asking for another one" in result.stderr
        assert ovh.cuts() == ["rescue12-customer"] * 2

    def test_a_task_that_is_forgotten_later(self, our_agent: Agent, ovh: RestBackend) -> None:
        ovh.front_end.settings = RestSettings(task_purged=10.0)
        assert our_agent.run(ovh.options("off")).status == 0
        assert ovh.cuts() == ["rescue12-customer"]

    @pytest.mark.parametrize("after_cut", [False, True])
    @pytest.mark.parametrize("outcome", ["cancelled", "customerError", "ovhError"])
    def test_a_task_that_fails(
        self, our_agent: Agent, ovh: RestBackend, outcome: str, after_cut: bool
    ) -> None:
        comment = "The machine's power supply does not answer"
        ovh.front_end.settings = RestSettings(
            outcome=outcome, outcome_comment=comment, after_cut=after_cut
        )
        result = our_agent.run(ovh.options("off", power_timeout=5))
        assert result.status == 1
        assert "Success" not in result.stdout
        assert outcome in result.stderr
        assert comment in result.stderr

    @pytest.mark.parametrize("outcome", ["cancelled", "customerError", "ovhError"])
    @pytest.mark.parametrize("action", ["off", "reboot"])
    def test_a_task_that_fails_once_is_asked_for_again(
        self, our_agent: Agent, ovh: RestBackend, action: str, outcome: str
    ) -> None:
        ovh.front_end.settings = RestSettings(outcome=outcome, outcome_count=1)
        result = our_agent.run(ovh.options(action))
        assert result.status == 0, result.stderr
        assert outcome in result.stderr
        assert ovh.cuts() == ["rescue12-customer" if action == "off" else "hd"]
        assert ovh.calls().count(REBOOT) == 2

    def test_a_task_that_fails_in_a_cycle(self, our_agent: Agent, ovh: RestBackend) -> None:
        ovh.front_end.settings = RestSettings(outcome="ovhError", outcome_comment="no luck")
        result = our_agent.run(ovh.options("reboot", power_timeout=5))
        assert result.status == 1
        assert "no luck" in result.stderr

    def test_a_task_that_never_finishes(self, our_agent: Agent, ovh: RestBackend) -> None:
        ovh.front_end.settings = RestSettings(never_finishes=True)
        result = our_agent.run(ovh.options("off", power_timeout=6))
        assert result.status == 1
        assert "power_timeout" in result.stderr
        assert ovh.cuts() == ["rescue12-customer"]

    @pytest.mark.parametrize("mode", ["rescue", "power"])
    @pytest.mark.parametrize("status", [400, 409])
    def test_waits_for_another_task_and_then_asks_for_its_own(
        self, our_agent: Agent, ovh: RestBackend, status: int, mode: str
    ) -> None:
        ovh.front_end.settings = RestSettings(task_conflict_status=status)
        at_first(ovh, PUT, lambda: ovh.simulator.control(server=SERVER, reinstall=3.0))
        # Longer than a refusal is put up with.
        result = our_agent.run(ovh.options("off", off_mode=mode, shell_timeout=1))
        assert result.status == 0, result.stderr
        assert ovh.cuts() == ["rescue12-customer" if mode == "rescue" else "poweroff"]
        reinstallation, reboot = ovh.state()["tasks"]
        assert reboot["accepted_at"] >= reinstallation["accepted_at"] + 3.0

    def test_gives_up_on_another_task_that_never_ends(
        self, our_agent: Agent, ovh: RestBackend
    ) -> None:
        ovh.simulator.control(server=SERVER, reinstall=FOR_EVER)
        result = our_agent.run(ovh.options("off", power_timeout=6))
        assert result.status == 1
        assert "of type reinstallServer" in result.stderr
        assert ovh.cuts() == []

    @pytest.mark.parametrize("status", [400, 409])
    @pytest.mark.parametrize(
        ("boot_delay", "booted"),
        [(0.1, "hd"), (2.0, "rescue12-customer")],
        ids=["booted the disk", "boots what was set meanwhile"],
    )
    def test_a_reboot_by_somebody_else_does_not_count(
        self, our_agent: Agent, ovh: RestBackend, boot_delay: float, booted: str, status: int
    ) -> None:
        """It was accepted before our netboot was confirmed, whatever it boots in the end."""
        ovh.front_end.settings = RestSettings(task_conflict_status=status)
        ovh.data_centre.timing = Timing(cut_delay=0.1, boot_delay=boot_delay, reboot_duration=4.0)
        at_first(ovh, PUT, lambda: self.reboot_by_somebody_else(ovh, booted))
        result = our_agent.run(ovh.options("off"))
        assert result.status == 0, result.stderr
        assert ovh.cuts() == [booted, "rescue12-customer"]
        foreign, own = ovh.state()["tasks"]
        assert foreign["requested_by"] != own["requested_by"] == f"rest:{LOGIN}"

    def test_a_reboot_by_somebody_else_that_is_not_to_be_seen_yet(
        self, our_agent: Agent, ovh: RestBackend
    ) -> None:
        ovh.front_end.settings = RestSettings(task_unseen=2.0)
        ovh.data_centre.timing = Timing(cut_delay=0.1, boot_delay=0.1, reboot_duration=5.0)
        at_first(ovh, PUT, lambda: self.reboot_by_somebody_else(ovh))
        result = our_agent.run(ovh.options("off"))
        assert result.status == 0, result.stderr
        assert ovh.cuts() == ["hd", "rescue12-customer"]

    def test_such_a_reboot_does_not_count_either_when_the_refusal_is_lost(
        self, our_agent: Agent, ovh: RestBackend
    ) -> None:
        """Every refusal is; the task turns up after our netboot was confirmed."""
        ovh.front_end.settings = RestSettings(task_unseen=1.0)
        ovh.data_centre.timing = Timing(cut_delay=0.1, boot_delay=0.1, reboot_duration=4.0)
        rebooted: list[Call] = []

        def intercept(call: Call, proceed: Proceed) -> Response:
            if call.operation == PUT and not rebooted:
                rebooted.append(call)
                self.reboot_by_somebody_else(ovh)
            response = proceed()
            if call.operation == REBOOT and response.status != 200:
                raise AnswerLost
            return response

        ovh.front_end.intercept = intercept
        result = our_agent.run(ovh.options("off", power_timeout=60))
        assert result.status == 0, result.stderr
        assert ovh.cuts() == ["hd", "rescue12-customer"]

    def test_a_lost_answer_is_followed_by_a_second_cut(
        self, our_agent: Agent, ovh: RestBackend
    ) -> None:
        """Nobody knows whose the hard reboot is that is under way. Not earlier than it is over."""
        ovh.data_centre.timing = Timing(cut_delay=0.1, boot_delay=0.1, reboot_duration=3.0)
        ovh.lose_answer_of_reboot()
        result = our_agent.run(ovh.options("off"))
        assert result.status == 0, result.stderr
        assert ovh.cuts() == ["rescue12-customer"] * 2
        first, second = ovh.state()["tasks"]
        assert second["accepted_at"] >= first["accepted_at"] + 3.0

    def test_a_lost_request_is_repeated(self, our_agent: Agent, ovh: RestBackend) -> None:
        answer_once(ovh, REBOOT, None)
        assert our_agent.run(ovh.options("off")).status == 0
        assert ovh.cuts() == ["rescue12-customer"]
        assert ovh.calls().count(REBOOT) == 2

    def test_a_request_that_a_proxy_refused_is_repeated(
        self, our_agent: Agent, ovh: RestBackend
    ) -> None:
        bad_gateway = Response(502, {"Content-Type": "text/html"}, b"<html>Bad Gateway</html>")
        refused = answer_once(ovh, REBOOT, bad_gateway)
        assert our_agent.run(ovh.options("off")).status == 0
        assert len(refused) == 1
        assert ovh.cuts() == ["rescue12-customer"]

    def test_status_sees_a_task_that_begins_while_it_looks(
        self, our_agent: Agent, ovh: RestBackend
    ) -> None:
        """It is queued when tasks under way are asked for, and under way when queued ones are."""
        ovh.data_centre.timing = Timing(
            queue_delay=3.0, cut_delay=30, boot_delay=30, reboot_duration=60
        )
        ovh.set_by_hand(RESCUE)
        ovh.reboot_by_hand()
        looked: list[Call] = []

        def intercept(call: Call, proceed: Proceed) -> Response:
            response = proceed()
            if call.operation == "GET /dedicated/server/{serviceName}/task" and not looked:
                looked.append(call)
                ovh.wait_until("its beginning", lambda: statuses_of_tasks(ovh) == ["doing"])
            return response

        ovh.front_end.intercept = intercept
        result = our_agent.run(ovh.options("status", shell_timeout=60))
        assert (result.status, result.stdout) == (0, "Status: ON\n")


class TestNetboots:
    def renumber(self, ovh: RestBackend, *netboots: Netboot) -> None:
        """Give the server other netboots; it runs the first."""
        with ovh.data_centre.lock:
            server = ovh.data_centre.servers[SERVER]
            server.netboots = netboots
            server.netboot = server.running = netboots[0]

    def test_ids_are_looked_up_at_each_run(self, our_agent: Agent, ovh: RestBackend) -> None:
        for first in (10, 500_000):
            self.renumber(
                ovh,
                Netboot(first, "hd", "harddisk"),
                Netboot(first + 1, "rescue12-customer", "rescue"),
                Netboot(first + 2, "poweroff", "power"),
            )
            for action, mode in (("off", "rescue"), ("on", "rescue"), ("off", "power")):
                assert our_agent.run(ovh.options(action, off_mode=mode)).status == 0
            ids = [cut["netboot"]["id"] for cut in ovh.state()["power_cuts"]]
            assert ids[-3:] == [first + 1, first, first + 2]

    def test_ids_are_those_of_the_server(self, our_agent: Agent, ovh: RestBackend) -> None:
        """The same number may be another thing elsewhere."""
        self.renumber(
            ovh,
            Netboot(RESCUE, "hd", "harddisk"),
            Netboot(HARD_DISK, "rescue12-customer", "rescue"),
        )
        both = f"{SERVER},{OTHER_SERVER}"
        assert our_agent.run(ovh.options("status", plug=SERVER)).status == 0
        assert our_agent.run(ovh.options("off", plug=both)).status == 0
        assert ovh.running(SERVER) == ovh.running(OTHER_SERVER) == "rescue"

    def test_the_newest_linux_rescue(self, our_agent: Agent, ovh: RestBackend) -> None:
        self.renumber(
            ovh,
            Netboot(1, "hd", "harddisk"),
            Netboot(400_000, "rescue14-customer", "rescue", "Customer rescue system"),
            Netboot(300_000, "rescue13-customer", "rescue", "Customer rescue system"),
            Netboot(500_000, "WinRescue-2030", "rescue", "Rescue system (Windows)"),
            Netboot(600_000, "bsd-rescue-2030", "rescue", "Rescue system (FreeBSD)"),
            Netboot(700_000, "linux-7.0", "network", "Network kernel"),
        )
        assert our_agent.run(ovh.options("off")).status == 0
        assert ovh.cuts() == ["rescue14-customer"]

    def test_what_was_set_is_read_back(self, our_agent: Agent, ovh: RestBackend) -> None:
        """OVH says yes and does nothing."""
        taken = answer_once(ovh, PUT, Response(200, {"Content-Type": "application/json"}, b"null"))
        assert our_agent.run(ovh.options("off")).status == 0
        assert len(taken) == 1
        assert ovh.cuts() == ["rescue12-customer"]


@every_key
class TestOddNetboots:
    """What servers at OVH are set to and offered."""

    def set_to(self, ovh: RestBackend, netboot: Netboot) -> None:
        """Add a netboot, and set the server to it."""
        with ovh.data_centre.lock:
            server = ovh.data_centre.servers[SERVER]
            server.netboots += (netboot,)
            server.netboot = netboot

    def test_a_custom_ipxe_script_is_on(self, our_agent: Agent, ovh: RestBackend) -> None:
        """It has no number."""
        ovh.data_centre.servers[SERVER].boot_script = "#!ipxe"
        result = our_agent.run(ovh.options("status"))
        assert (result.status, result.stdout) == (0, "Status: ON\n")
        listed = our_agent.run(ovh.options("list-status")).stdout.lower()
        assert [line.rpartition(",")[2] for line in listed.splitlines()] == ["on", "on"]
        result = our_agent.run(ovh.options("monitor"))
        assert result.status == 0
        assert f"WARNING: {SERVER}: boots a custom iPXE script" in result.stderr

    @pytest.mark.parametrize("action", ["on", "reboot"])
    def test_a_cut_removes_a_custom_ipxe_script_and_says_so(
        self, agent: Agent, ovh: RestBackend, action: str
    ) -> None:
        """What it boots is not known: `on` proves the disk, although status says ON."""
        ovh.data_centre.servers[SERVER].boot_script = "#!ipxe"
        result = agent.run(ovh.options(action))
        assert result.status == 0
        assert "its custom iPXE script is removed" in result.stderr
        assert ovh.data_centre.servers[SERVER].boot_script == ""
        assert ovh.cuts() == ["hd"]

    def test_on_cuts_a_server_set_to_a_retired_rescue_system(
        self, our_agent: Agent, ovh: RestBackend
    ) -> None:
        """What it is cannot be asked any more."""
        self.set_to(ovh, OLD_RESCUE.retired())
        result = our_agent.run(ovh.options("on"))
        assert (result.status, ovh.cuts()) == (0, ["hd"]), result.stderr

    def test_a_rescue_system_of_type_internal_is_off(
        self, our_agent: Agent, ovh: RestBackend
    ) -> None:
        self.set_to(ovh, INTERNAL_RESCUE)
        assert our_agent.run(ovh.options("status")).status == 2
        listed = our_agent.run(ovh.options("list-status")).stdout.lower()
        assert f"{SERVER},,off" in listed
        assert our_agent.run(ovh.options("on")).status == 0
        assert ovh.cuts() == ["hd"]

    @pytest.mark.parametrize("status", [404, 500])
    def test_one_that_cannot_be_described_hides_no_other(
        self, our_agent: Agent, ovh: RestBackend, status: int
    ) -> None:
        odd = Netboot(999_001, "rescue99-customer", "rescue", description_status=status)
        ovh.data_centre.servers[SERVER].netboots += (odd,)
        result = our_agent.run(ovh.options("off"))
        assert (result.status, ovh.cuts()) == (0, ["rescue12-customer"]), result.stderr

    def test_one_that_cannot_be_described_may_be_asked_for(
        self, our_agent: Agent, ovh: RestBackend
    ) -> None:
        odd = Netboot(999_001, "rescue99-customer", "rescue", description_status=500)
        ovh.data_centre.servers[SERVER].netboots += (odd,)
        result = our_agent.run(ovh.options("off", rescue_boot="999001"))
        assert (result.status, ovh.cuts()) == (0, ["rescue99-customer"]), result.stderr

    def test_never_what_only_has_the_type_of_a_rescue_system(
        self, our_agent: Agent, ovh: RestBackend
    ) -> None:
        server = ovh.data_centre.servers[SERVER]
        server.netboots = tuple(each for each in server.netboots if "rescue" not in each.kernel)
        server.netboots += (IPXE_SHELL, WINDOWS_RESCUE, WINPE)
        result = our_agent.run(ovh.options("off"))
        assert (result.status, ovh.cuts()) == (1, [])
        for kernel in ("ipxe-shell", "rescue-customer-windows", "winpe"):
            assert kernel in result.stderr
        result = our_agent.run(ovh.options("off", rescue_boot="winpe"))
        assert (result.status, ovh.cuts()) == (0, ["winpe"]), result.stderr


@every_key
class TestMailOfTheRescueSystem:
    def mail(self, ovh: RestBackend) -> str:
        return str(ovh.state()["servers"][SERVER]["rescue_mail"])

    def test_is_left_alone_where_nothing_was_asked_for(
        self, our_agent: Agent, ovh: RestBackend
    ) -> None:
        ovh.data_centre.servers[SERVER].rescue_mail = "before@example.com"
        for options in (
            ovh.options("off"),
            ovh.options("on", email="admin@example.com"),
            ovh.options("off", off_mode="power", email="admin@example.com"),
        ):
            assert our_agent.run(options).status == 0
            assert self.mail(ovh) == "before@example.com"

    def test_one_that_is_refused_keeps_no_server_from_being_cut(
        self, our_agent: Agent, ovh: RestBackend
    ) -> None:
        ovh.data_centre.servers[SERVER].refuses_mail = True
        result = our_agent.run(ovh.options("off", email="admin@example.com"))
        assert result.status == 0, result.stderr
        assert "going on without it" in result.stderr
        assert ovh.cuts() == ["rescue12-customer"]

    def test_is_put_back_or_the_manual_says_why_not(
        self, our_agent: Agent, ovh: RestBackend
    ) -> None:
        ovh.data_centre.servers[SERVER].rescue_mail = "before@example.com"
        for action in ("off", "on"):
            options = ovh.options(action, email="admin@example.com")
            assert our_agent.run(options).status == 0
        manual = (harness.REPOSITORY / "man" / "fence_ovh.8").read_text("utf-8")
        manual = manual.replace("\\-", "-")
        if self.mail(ovh) != "before@example.com":
            assert re.search(r"\bemail\b[^.]*\..*\b(put back|stays|restored|for good)\b", manual)


def rules_without(method: str, path: str) -> tuple[Rule, ...]:
    """What fencing SERVER needs, without one of the rules."""
    server = f"/dedicated/server/{SERVER}"
    needed = (
        Rule("GET", "/auth/currentCredential"),
        Rule("GET", server),
        Rule("PUT", server),
        Rule("GET", f"{server}/boot"),
        Rule("GET", f"{server}/boot/*"),
        Rule("POST", f"{server}/reboot"),
        Rule("GET", f"{server}/task"),
        Rule("GET", f"{server}/task/*"),
    )
    missing = Rule(method, path.replace("{}", server))
    assert not method or missing in needed
    return tuple(rule for rule in needed if rule != missing)


class TestMonitor:
    def key(self, ovh: RestBackend) -> Any:
        return ovh.front_end.credentials.consumer_keys[CONSUMER_KEY]

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "{}"),
            ("PUT", "{}"),
            ("GET", "{}/boot"),
            ("GET", "{}/boot/*"),
            ("POST", "{}/reboot"),
            ("GET", "{}/task"),
            ("GET", "{}/task/*"),
        ],
    )
    def test_names_the_rule_that_is_missing(
        self, our_agent: Agent, ovh: RestBackend, method: str, path: str
    ) -> None:
        self.key(ovh).rules = rules_without(method, path)
        before = ovh.state()["servers"]
        result = our_agent.run(ovh.options("monitor"))
        assert result.status == 1
        assert f"{method} {path.format(f'/dedicated/server/{SERVER}')}" in result.stderr
        assert ovh.state()["servers"] == before

    def test_accepts_exactly_the_rules_that_are_needed(
        self, our_agent: Agent, ovh: RestBackend
    ) -> None:
        ovh.front_end.settings = RestSettings(current_credential_granted=False)
        self.key(ovh).rules = rules_without("", "")
        result = our_agent.run(ovh.options("monitor"))
        assert (result.status, result.stderr) == (0, "")
        assert our_agent.run(ovh.options("off")).status == 0

    def test_names_the_rule_of_the_server_that_lacks_it(
        self, our_agent: Agent, ovh: RestBackend
    ) -> None:
        other = tuple(
            Rule(rule.method, rule.path.replace(SERVER, OTHER_SERVER))
            for rule in rules_without("POST", "{}/reboot")
        )
        self.key(ovh).rules = (*rules_without("", ""), *other)
        result = our_agent.run(ovh.options("monitor", plug=f"{SERVER},{OTHER_SERVER}"))
        assert result.status == 1
        assert f"POST /dedicated/server/{OTHER_SERVER}/reboot" in result.stderr
        assert our_agent.run(ovh.options("monitor")).status == 0

    @pytest.mark.parametrize(
        "paths",
        [
            {"GET": "/*", "PUT": "/*", "POST": "/*"},
            {"GET": "*", "PUT": "/dedicated/*", "POST": "/dedicated/server/*"},
            {"GET": "/*", "PUT": "/dedicated/server/ns1*", "POST": "/*/*/*/reboot"},
        ],
    )
    def test_understands_wildcards(
        self, our_agent: Agent, ovh: RestBackend, paths: dict[str, str]
    ) -> None:
        self.key(ovh).rules = tuple(Rule(method, path) for method, path in paths.items())
        result = our_agent.run(ovh.options("monitor"))
        assert (result.status, result.stderr) == (0, "")

    @pytest.mark.parametrize(
        "path",
        [
            "/dedicated/server/*/reinstall",
            "/dedicated/server/*/reboot/*",
            "/dedicated/server/ns2*",
            "/dedicated/server/*/rebooT",
            "/dedicated/server/?*/reboot",
            "/dedicated/server/.*/reboot",
        ],
    )
    def test_is_not_fooled_by_a_rule_for_something_else(
        self, our_agent: Agent, ovh: RestBackend, path: str
    ) -> None:
        rules = [rule for rule in FENCING_RULES if rule.method != "POST"]
        self.key(ovh).rules = (*rules, Rule("POST", path), Rule("DELETE", "/*"))
        result = our_agent.run(ovh.options("monitor"))
        assert result.status == 1
        assert f"POST /dedicated/server/{SERVER}/reboot" in result.stderr

    @pytest.mark.parametrize("told", [False, True])
    @pytest.mark.parametrize("status", ["expired", "refused", "pendingValidation"])
    def test_a_key_that_is_not_valid(
        self, our_agent: Agent, ovh: RestBackend, status: str, told: bool
    ) -> None:
        ovh.front_end.settings = RestSettings(any_credential_told=told)
        self.key(ovh).status = status
        result = our_agent.run(ovh.options("monitor"))
        assert result.status == 1
        assert (f"is {status}" if told else "This credential is not valid") in result.stderr

    def test_a_key_that_does_not_exist(self, our_agent: Agent, ovh: RestBackend) -> None:
        result = our_agent.run(ovh.options("monitor", consumer_key="0123456789abcdef" * 2))
        assert result.status == 1
        assert "This credential does not exist" in result.stderr
        assert_no_secret(result.stderr, "0123456789abcdef" * 2)

    def test_an_application_that_does_not_exist(self, our_agent: Agent, ovh: RestBackend) -> None:
        result = our_agent.run(ovh.options("monitor", login="0" * 16))
        assert result.status == 1
        assert "This application key is invalid" in result.stderr

    @pytest.mark.parametrize(("days", "told"), [(10, True), (20, False), (None, False)])
    def test_tells_of_a_key_that_expires_soon(
        self, our_agent: Agent, ovh: RestBackend, days: int | None, told: bool
    ) -> None:
        """Not as a warning: a cluster's monitor runs every minute."""
        if days is not None:
            self.key(ovh).expires_at = ovh.data_centre.clock.monotonic() + days * DAY
        result = our_agent.run(ovh.options("monitor"))
        assert (result.status, result.stderr) == (0, "")
        result = our_agent.run(ovh.options("monitor", verbose=1))
        assert bool(re.search("INFO.*the consumer key expires in 10 days", result.stderr)) == told

    @pytest.mark.parametrize("hours", [-11, 13])
    def test_knows_the_zone_of_an_expiration(
        self, our_agent: Agent, ovh: RestBackend, hours: int
    ) -> None:
        """14 days and a few hours are more than 14 days."""
        ovh.simulator.control(settings={"zone_offset": hours})
        self.key(ovh).expires_at = ovh.data_centre.clock.monotonic() + 14.2 * DAY
        assert "expires" not in our_agent.run(ovh.options("monitor", verbose=1)).stderr

    @every_key
    @pytest.mark.parametrize(("state", "status"), [("hacked", 0), ("hackedBlocked", 1)])
    def test_says_what_ovh_has_done_to_a_server(
        self, our_agent: Agent, ovh: RestBackend, state: str, status: int
    ) -> None:
        ovh.data_centre.servers[SERVER].state = state
        result = our_agent.run(ovh.options("monitor"))
        assert result.status == status
        assert f"state {state}:" in result.stderr

    @every_key
    def test_a_service_that_is_expired(self, our_agent: Agent, ovh: RestBackend) -> None:
        ovh.data_centre.servers[SERVER].expired = True
        result = our_agent.run(ovh.options("monitor"))
        assert result.status == 1
        assert "This service is expired" in result.stderr

    def test_a_plug_of_another_account(self, our_agent: Agent, ovh: RestBackend) -> None:
        with ovh.data_centre.lock:
            ovh.data_centre.servers[THIRD_SERVER] = Server(THIRD_SERVER, account="zz98765-ovh")
        result = our_agent.run(ovh.options("monitor", plug=THIRD_SERVER))
        assert result.status == 1
        assert "This service does not exist" in result.stderr
        assert "check plug" in result.stderr

    @pytest.mark.parametrize("status", [400, 403])
    @pytest.mark.parametrize("codes", [True, False])
    def test_a_wrong_secret_in_every_wording(
        self, our_agent: Agent, ovh: RestBackend, status: int, codes: bool
    ) -> None:
        ovh.front_end.settings = RestSettings(signature_status=status, error_codes=codes)
        result = our_agent.run(ovh.options("monitor", passwd="wrong-Pa55-word"))
        assert result.status == 1
        assert "Invalid signature" in result.stderr
        assert "check the keys" in result.stderr
        assert_no_secret(result.stderr, "wrong-Pa55-word")

    def test_the_words_of_an_error_never_show_a_secret(
        self, our_agent: Agent, ovh: RestBackend
    ) -> None:
        def echo(call: Call, proceed: Proceed) -> Response:
            words = f"bad {APPLICATION_SECRET} and {CONSUMER_KEY} of {APPLICATION_SECRET}"
            return proceed() if call.operation == TIME else refusal(403, "Client::X", words)

        ovh.front_end.intercept = echo
        result = our_agent.run(ovh.options("monitor", verbose=1))
        assert result.status == 1
        assert "bad *** and *** of ***" in result.stderr


class TestManyServers:
    """An account with 10,000 servers."""

    @pytest.fixture
    def ovh(self, ovh: RestBackend) -> RestBackend:
        with ovh.data_centre.lock:
            centre = ovh.data_centre
            centre.servers = {
                server.name: server
                for server in (
                    Server(f"ns{number}.ip-198-51-100.eu", display_name=f"db-{number}")
                    for number in range(10_000)
                )
            }
            for number in range(0, 10_000, 100):
                server = centre.servers[f"ns{number}.ip-198-51-100.eu"]
                server.netboot = server.find_netboot(RESCUE)
        return ovh

    def test_list(self, our_agent: Agent, ovh: RestBackend) -> None:
        result = our_agent.run(without(ovh.options("list", shell_timeout=30), "plug", "nodename"))
        assert result.status == 0, result.stderr
        rows = [line.split(",")[0] for line in result.stdout.splitlines()]
        assert sorted(rows) == sorted(f"ns{number}.ip-198-51-100.eu" for number in range(10_000))
        assert ovh.state()["calls_total"] <= 6

    def test_list_status(self, our_agent: Agent, ovh: RestBackend) -> None:
        result = our_agent.run(
            without(ovh.options("list-status", shell_timeout=30), "plug", "nodename")
        )
        assert result.status == 0, result.stderr
        statuses = [line.lower().rpartition(",")[2] for line in result.stdout.splitlines()]
        assert (len(statuses), statuses.count("off"), statuses.count("on")) == (10_000, 100, 9_900)
        assert ovh.state()["calls_total"] <= 10

    def test_fencing_asks_for_no_list(self, our_agent: Agent, ovh: RestBackend) -> None:
        plug = "ns4321.ip-198-51-100.eu"
        assert our_agent.run(ovh.options("off", plug=plug)).status == 0
        assert ovh.cuts(plug) == ["rescue12-customer"]
        assert {call["server"] for call in ovh.state()["calls"]} == {None, plug}


class TestPages:
    @every_key
    def test_names_people_gave_are_not_listed(self, our_agent: Agent, ovh: RestBackend) -> None:
        """Pacemaker takes each word of a list for a server that can be fenced."""
        ovh.data_centre.servers[SERVER].display_name = "db 1, node1.example.com"
        ovh.data_centre.servers[OTHER_SERVER].reverse = "www.example.com."
        result = our_agent.run(ovh.options("list"))
        assert result.stdout == f"{SERVER},\n{OTHER_SERVER},\n"
        for plug in result.stdout.replace(",", " ").split():
            assert our_agent.run(ovh.options("status", plug=plug)).status == 0

    @every_key
    @pytest.mark.parametrize("action", ["list", "list-status", "monitor"])
    def test_names_are_enough(self, our_agent: Agent, ovh: RestBackend, action: str) -> None:
        """Some roots and proxies pass over the request for whole objects."""
        ovh.front_end.settings = RestSettings(pagination_ignored=True)
        result = our_agent.run(without(ovh.options(action), "plug", "nodename"))
        assert (result.status, result.stderr) == (0, "")
        if action != "monitor":
            rows = [line.split(",") for line in result.stdout.lower().splitlines()]
            assert [row[0] for row in rows] == [SERVER, OTHER_SERVER]
            assert action == "list" or [row[-1] for row in rows] == ["on", "on"]

    def test_one_page_of_whole_objects(self, our_agent: Agent, ovh: RestBackend) -> None:
        exchanges = recorded(ovh)
        assert our_agent.run(ovh.options("list")).status == 0
        pages = [each for each in exchanges if each.target == "/dedicated/server"]
        assert [each.headers.get("x-pagination-mode") for each in pages] == [
            "CachedObjectList-Pages"
        ]

    @pytest.mark.parametrize(
        ("action", "status"), [("off", 0), ("reboot", 0), ("on", 0), ("status", 2), ("monitor", 0)]
    )
    def test_no_proof_comes_from_a_cached_page(
        self, our_agent: Agent, ovh: RestBackend, action: str, status: int
    ) -> None:
        ovh.front_end.settings = RestSettings(cache_age=FOR_EVER)
        assert our_agent.run(ovh.options("off")).status == 0
        exchanges = recorded(ovh)
        assert our_agent.run(ovh.options(action)).status == status
        assert exchanges
        assert not [each for each in exchanges if "x-pagination-mode" in each.headers]
        assert "/dedicated/server" not in [each.target for each in exchanges]

    @pytest.mark.parametrize("odd", [[], {}, "1", -1])
    def test_an_odd_object_hides_no_other(
        self, our_agent: Agent, ovh: RestBackend, odd: object
    ) -> None:
        page = [{"name": SERVER, "bootId": odd}, {"name": OTHER_SERVER, "bootId": 1}]
        answer_once(ovh, "GET /dedicated/server", Response(200, {}, json.dumps(page).encode()))
        result = our_agent.run(ovh.options("list-status"))
        assert result.status == 0, result.stderr
        rows = [line.split(",") for line in result.stdout.lower().splitlines()]
        assert [(row[0], row[-1]) for row in rows] == [(SERVER, "unknown"), (OTHER_SERVER, "on")]

    def test_a_broken_page_is_fetched_again(self, our_agent: Agent, ovh: RestBackend) -> None:
        operation = "GET /dedicated/server"
        taken = answer_once(ovh, operation, Response(502, {}, b"<html>"))
        assert our_agent.run(ovh.options("list")).status == 0
        assert len(taken) == 1


class TestLimits:
    def test_a_rate_limit_is_got_along_with(self, our_agent: Agent, ovh: RestBackend) -> None:
        ovh.front_end.settings = RestSettings(rate_limit=3, retry_after=1)
        exchanges = recorded(ovh)
        result = our_agent.run(ovh.options("off", power_timeout=100))
        assert result.status == 0, result.stderr
        assert 429 in [each.status for each in exchanges]
        assert ovh.cuts() == ["rescue12-customer"]

    @pytest.mark.parametrize("status", [429, 503])
    @pytest.mark.parametrize("operation", [TIME, BOOT, PUT, REBOOT, TASK])
    def test_retry_after_is_honoured(
        self, our_agent: Agent, ovh: RestBackend, operation: str, status: int
    ) -> None:
        """The next request comes no sooner, whatever it asks for."""
        answer = refusal(status, "Client::X", "Too many requests", **{"Retry-After": "2"})
        taken = answer_once(ovh, operation, answer)
        exchanges = recorded(ovh)
        result = our_agent.run(ovh.options("off"))
        assert result.status == 0, result.stderr
        assert ovh.cuts() == ["rescue12-customer"]
        assert len(taken) == 1
        (index,) = [n for n, each in enumerate(exchanges) if each.status == status]
        assert exchanges[index + 1].at - exchanges[index].at >= 2

    def test_pauses_grow(self, our_agent: Agent, ovh: RestBackend) -> None:
        calls: list[float] = []

        def intercept(call: Call, proceed: Proceed) -> Response:
            if call.operation == BOOT:
                calls.append(time.monotonic())
                if len(calls) < 3:
                    return Response(503)
            return proceed()

        ovh.front_end.intercept = intercept
        assert our_agent.run(ovh.options("off")).status == 0
        first, second = (after - before for before, after in zip(calls, calls[1:]))
        assert first >= 0.25
        assert second >= 0.5

    def test_the_pause_begins_after_a_slow_answer(self, our_agent: Agent, ovh: RestBackend) -> None:
        """An API that fails slowly is one that is overloaded."""
        failed: list[float] = []
        returned: list[float] = []

        def intercept(call: Call, proceed: Proceed) -> Response:
            if failed and not returned:
                returned.append(time.monotonic())
            if call.operation == BOOT and not failed:
                time.sleep(1.5)  # The API's slowness, not a wait of the test.
                failed.append(time.monotonic())
                return Response(503, {"Retry-After": "1"})
            return proceed()

        ovh.front_end.intercept = intercept
        assert our_agent.run(ovh.options("off")).status == 0
        assert returned[0] - failed[0] >= 1

    @pytest.mark.parametrize(
        ("status", "message"),
        [(401, "Unauthorized"), (403, "This call has not been granted"), (400, "No"), (460, "No")],
    )
    @pytest.mark.parametrize("action", ["list", "monitor", "status"])
    def test_an_action_that_reads_believes_a_refusal_at_once(
        self, our_agent: Agent, ovh: RestBackend, action: str, status: int, message: str
    ) -> None:
        def intercept(call: Call, proceed: Proceed) -> Response:
            if call.operation == TIME:
                return proceed()
            return refusal(status, "Client::Forbidden", message)

        ovh.front_end.intercept = intercept
        result = our_agent.run(ovh.options(action))
        assert result.status == 1
        assert message in result.stderr
        # Once more with a new login: it may have been that.
        assert 1 <= len([call for call in ovh.calls() if call != TIME]) <= 3

    @pytest.mark.parametrize("operation", [BOOT, PUT, REBOOT, TASK])
    def test_a_refusal_that_passes_costs_no_fencing(
        self, our_agent: Agent, ovh: RestBackend, operation: str
    ) -> None:
        """A key server that hiccups."""
        begun: list[float] = []

        def intercept(call: Call, proceed: Proceed) -> Response:
            if call.operation == operation:
                begun.append(time.monotonic())
                if begun[-1] - begun[0] < hurry.SECONDS["DENIED_FOR"] / 2:
                    return refusal(403, "Client::Forbidden", "This credential is not valid")
            return proceed()

        ovh.front_end.intercept = intercept
        result = our_agent.run(ovh.options("off"))
        assert result.status == 0, result.stderr
        assert ovh.cuts() == ["rescue12-customer"]

    def test_a_refusal_that_lasts_is_believed(self, our_agent: Agent, ovh: RestBackend) -> None:
        def intercept(call: Call, proceed: Proceed) -> Response:
            if call.operation != PUT:
                return proceed()
            return refusal(403, "Client::Forbidden", "This call has not been granted")

        ovh.front_end.intercept = intercept
        begun = time.monotonic()
        result = our_agent.run(ovh.options("off"))
        assert result.status == 1
        assert hurry.SECONDS["DENIED_FOR"] <= time.monotonic() - begun < 10
        assert "This call has not been granted" in result.stderr
        assert ovh.calls().count(TIME) <= 3  # accounts lock
        assert ovh.cuts() == []

    def test_a_server_that_does_not_exist_is_asked_for_once_by_status(
        self, our_agent: Agent, ovh: RestBackend
    ) -> None:
        result = our_agent.run(ovh.options("status", plug="ns9999"))
        assert result.status == 1
        assert "ns9999.ovh.net" in result.stderr
        assert len([call for call in ovh.calls() if call != TIME]) == 1

    @pytest.mark.parametrize("action", ["off", "on", "reboot"])
    def test_a_refused_plug_does_not_keep_the_others_from_being_cut(
        self, our_agent: Agent, ovh: RestBackend, action: str
    ) -> None:
        ovh.set_by_hand(RESCUE)
        begun = time.monotonic()
        result = our_agent.run(ovh.options(action, plug=f"ns9999.ovh.net,{SERVER}"))
        assert result.status == 1
        assert time.monotonic() - begun < 12, "soon"
        assert "ns9999.ovh.net" in result.stderr
        assert ovh.cuts() == ["rescue12-customer" if action == "off" else "hd"]

    def test_a_refused_on_portion_does_not_keep_the_others_from_booting(
        self, hurried_agent: Agent, ovh: RestBackend
    ) -> None:
        """The distribution's library would be content with the first plug."""
        ovh.data_centre.timing = Timing(cut_delay=0.1, boot_delay=7.0, reboot_duration=8.0)

        def intercept(call: Call, proceed: Proceed) -> Response:
            if call.server == SERVER and call.operation == PUT and ovh.cuts():
                return refusal(403, "Client::Forbidden", "This call has not been granted")
            return proceed()

        ovh.front_end.intercept = intercept
        plugs = f"{SERVER},{OTHER_SERVER}"
        result = hurried_agent.run(ovh.options("reboot", method="onoff", plug=plugs))
        assert result.status == 0, result.stderr
        assert "This call has not been granted" in result.stderr
        assert ovh.running(OTHER_SERVER) == "harddisk"

    @pytest.mark.parametrize("how", ["silent", "faults", "refuses"])
    @pytest.mark.parametrize("action", ["status", "monitor", "list", "list-status"])
    def test_reading_actions_end_soon(
        self, our_agent: Agent, ovh: RestBackend, action: str, how: str
    ) -> None:
        """Pacemaker kills them after 20 s by default."""
        answers = {"faults": Response(503), "refuses": refusal(429, "Client::X", "Too many")}

        def intercept(call: Call, proceed: Proceed) -> Response:
            if call.operation != TIME and how in answers:
                return answers[how]
            if call.operation != TIME:
                time.sleep(hurry.SECONDS["SILENCE"] + 1)
            return proceed()

        ovh.front_end.intercept = intercept
        begun = time.monotonic()
        options = ovh.options(action, login_timeout=60, shell_timeout=60)
        assert our_agent.run(options).status == 1
        assert time.monotonic() - begun < 60, "not even one of the limits of a request"
        assert ovh.cuts() == []

    def test_on_cuts_no_server_that_runs_because_the_api_was_silent(
        self, our_agent: Agent, ovh: RestBackend
    ) -> None:
        silent: list[Call] = []

        def intercept(call: Call, proceed: Proceed) -> Response:
            if len(silent) < 8:
                silent.append(call)
                raise AnswerLost
            return proceed()

        ovh.front_end.intercept = intercept
        result = our_agent.run(ovh.options("on"))
        assert result.status == 0, result.stderr
        assert len(silent) == 8
        assert ovh.cuts() == []
        assert ovh.calls().count(PUT) == 0


class TestClocks:
    @pytest.mark.parametrize("seconds", [-40_000, 40_000])
    def test_that_of_the_provider_may_be_wrong(
        self, our_agent: Agent, ovh: RestBackend, seconds: int
    ) -> None:
        ovh.simulator.control(settings={"provider_offset": seconds, "zone_offset": -7})
        assert our_agent.run(ovh.options("off")).status == 0
        assert our_agent.run(ovh.options("status")).status == 2
        assert ovh.cuts() == ["rescue12-customer"]

    @pytest.mark.parametrize("seconds", [-40_000, 40_000])
    def test_a_clock_may_be_set_while_a_reboot_is_waited_for(
        self, our_agent: Agent, ovh: RestBackend, seconds: int
    ) -> None:
        """The provider's, or this node's: nodes that have just booted set theirs."""
        ovh.data_centre.timing = Timing(cut_delay=0.1, boot_delay=0.1, reboot_duration=5.0)
        process = our_agent.start(ovh.options("off"))
        ovh.wait_until("the request", is_rebooting(ovh))
        ovh.simulator.control(settings={"provider_offset": seconds})
        _, stderr = process.communicate(timeout=120)
        assert process.returncode == 0, harness.text(stderr)
        assert ovh.cuts() == ["rescue12-customer"]

    @pytest.mark.parametrize("action", ["off", "status", "monitor"])
    def test_a_query_out_of_time_is_asked_anew(
        self, our_agent: Agent, ovh: RestBackend, action: str
    ) -> None:
        """Even the first: this node's clock may jump just then."""
        words = refusal(400, "Client::BadRequest", "Query out of time")
        told = json.loads(words.body) | {"errorCode": "QUERY_TIME_OUT"}
        late = Response(400, words.headers, json.dumps(told).encode())
        first = BOOT if action == "off" else PUT.replace("PUT", "GET")
        taken = answer_once(ovh, CREDENTIAL if action == "monitor" else first, late)
        result = our_agent.run(ovh.options(action))
        assert (result.status, len(taken)) == (0, 1), result.stderr
        assert ovh.calls().count(TIME) == 2

    def test_a_clock_may_be_set_just_before_the_request(
        self, our_agent: Agent, ovh: RestBackend
    ) -> None:
        def intercept(call: Call, proceed: Proceed) -> Response:
            if call.operation == REBOOT and not ovh.data_centre.clock.offset:
                ovh.simulator.control(settings={"provider_offset": 40_000})
            return proceed()

        ovh.front_end.intercept = intercept
        result = our_agent.run(ovh.options("off"))
        assert result.status == 0, result.stderr
        assert ovh.cuts() == ["rescue12-customer"]


class TestSecrets:
    def test_keys_of_a_file_are_not_shown_either(
        self, our_agent: Agent, ovh: RestBackend, tmp_path: pathlib.Path
    ) -> None:
        write_configuration(tmp_path / ".ovh.conf", "ovh-eu", KEYS_IN_A_FILE, 0o644)
        debug = tmp_path / "debug.log"
        options = without(ovh.options("off", verbose=1, debug_file=debug), *KEYS_OF_THE_HARNESS)

        def echo(call: Call, proceed: Proceed) -> Response:
            words = f"bad {APPLICATION_SECRET} and {CONSUMER_KEY}"
            return proceed() if call.operation == TIME else refusal(403, "Client::X", words)

        assert our_agent.run(options, env={"HOME": str(tmp_path)}).status == 0
        ovh.front_end.intercept = echo
        assert our_agent.run(options, env={"HOME": str(tmp_path)}).status == 1
        assert_no_secret(debug.read_text())

    @pytest.mark.parametrize("option", ["passwd", "consumer_key"])
    def test_an_empty_secret_is_refused(
        self, our_agent: Agent, ovh: RestBackend, option: str
    ) -> None:
        """The library's message about an empty one quotes what it got."""
        result = our_agent.run(ovh.options("monitor", api="rest") | {option: ""})
        assert result.status == 1

    @pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="there is no /proc here")
    def test_no_secret_is_in_the_list_of_processes(
        self, our_agent: Agent, ovh: RestBackend
    ) -> None:
        ovh.data_centre.timing = Timing(cut_delay=0.1, boot_delay=0.1, reboot_duration=FOR_EVER)
        process = our_agent.start(ovh.options("off"))
        ovh.wait_until("the request", is_rebooting(ovh))
        folder = pathlib.Path("/proc", str(process.pid))
        shown = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
        process.kill()
        process.wait()
        assert b"fence_ovh" in shown
        assert_no_secret(harness.text(shown))


class TestWayOutOfSoap:
    """Where SOAP is no more, its errors name REST."""

    @pytest.fixture
    def soap(self) -> Iterator[harness.SoapBackend]:
        backend = harness.SoapBackend()
        with backend.simulator:
            yield backend

    def assert_names_rest(self, result: Result) -> None:
        assert result.status == 1
        for word in ("api=rest", "keys of its own"):
            assert word in result.stderr

    @pytest.mark.parametrize("action", ["off", "status", "monitor"])
    def test_an_endpoint_that_cannot_be_reached(
        self, our_agent: Agent, soap: harness.SoapBackend, action: str
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as nobody:
            url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        options = soap.options(action, login_timeout=2, shell_timeout=2, power_timeout=4)
        self.assert_names_rest(our_agent.run(options | {"api_url": url}))

    @pytest.mark.parametrize("operation", ["login", "dedicatedNetbootGetAvailable"])
    @pytest.mark.parametrize(
        "answer",
        [
            Response(410, {"Content-Type": "text/html"}, b"<html>Gone</html>"),
            Response(404),
            Response(
                500,
                {"Content-Type": "text/xml"},
                b'<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body><Fault>'
                b"<faultcode>SOAP-ENV:Client</faultcode><faultstring>Procedure not present"
                b"</faultstring></Fault></Body></Envelope>",
            ),
        ],
        ids=["410", "404", "fault"],
    )
    def test_an_operation_that_is_no_longer_offered(
        self, our_agent: Agent, soap: harness.SoapBackend, operation: str, answer: Response
    ) -> None:
        def intercept(call: Call, proceed: Proceed) -> Response:
            return answer if call.operation == operation else proceed()

        soap.front_end.intercept = intercept
        options = soap.options("monitor", login_timeout=2, shell_timeout=2)
        self.assert_names_rest(our_agent.run(options))


def test_no_file_is_written(
    our_agent: Agent, ovh: RestBackend, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("home")
    env = {"HOME": str(folder), "TMPDIR": str(folder)}
    assert our_agent.run(ovh.options("off"), env=env, cwd=folder).status == 0
    assert os.listdir(folder) == []
