"""What a person sets up once: a consumer key from OVH's page, a policy for a service account."""

from __future__ import annotations

import dataclasses
import json
import re
import urllib.parse
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import pytest

from tests import harness
from tests.agent.hurried import hurried
from tests.harness import LOGIN, OTHER_SERVER, SERVER, Agent, OAuth2Backend, RestBackend
from tests.simulator import (
    APPLICATION_KEY,
    CLIENT_ID,
    FENCING_ACTIONS,
    ConsumerKey,
    Rule,
    Server,
)

ovh_library = pytest.importorskip("ovh", reason="the provider's library ovh is not installed")

THIRD_SERVER = "ns777.ip-198-51-100.eu"
KEY = "77aa0f5c2be94d13860bb4fe2d9c1a55"
BOTH = f"{SERVER},{OTHER_SERVER}"
NOBODY = {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}

PAGES = {
    "ovh-eu": "https://eu.api.ovh.com/createToken/",
    "ovh-ca": "https://ca.api.ovh.com/createToken/",
    "ovh-us": "https://api.us.ovhcloud.com/createToken/",
    "kimsufi-eu": "https://eu.api.kimsufi.com/createToken/",
    "kimsufi-ca": "https://ca.api.kimsufi.com/createToken/",
    "soyoustart-eu": "https://eu.api.soyoustart.com/createToken/",
    "soyoustart-ca": "https://ca.api.soyoustart.com/createToken/",
}


def rules_for(*servers: str) -> list[tuple[str, str]]:
    """What fencing these servers needs, and nothing else."""
    needed = [
        ("GET", ""),
        ("PUT", ""),
        ("GET", "/boot"),
        ("GET", "/boot/*"),
        ("POST", "/reboot"),
        ("GET", "/task"),
        ("GET", "/task/*"),
    ]
    of_servers = [
        (method, f"/dedicated/server/{server}{path}")
        for server in servers
        for method, path in needed
    ]
    return [*of_servers, ("GET", "/auth/currentCredential")]


def link_in(text: str) -> urllib.parse.SplitResult:
    """The address that was printed."""
    (link,) = re.findall(r"https://\S+/createToken/\?\S+", text)
    return urllib.parse.urlsplit(link)


class TestLink:
    @pytest.mark.parametrize("endpoint", PAGES)
    def test_asks_for_exactly_the_rules_that_are_needed(
        self, our_agent: Agent, endpoint: str
    ) -> None:
        words = ["-o", "authorize", f"--endpoint={endpoint}", "-n", BOTH]
        result = our_agent.run(None, *words, env=NOBODY)
        assert (result.status, result.stderr) == (0, "")
        link = link_in(result.stdout)
        assert f"{link.scheme}://{link.netloc}{link.path}" == PAGES[endpoint]
        asked = urllib.parse.parse_qsl(link.query, strict_parsing=True)
        rules = [each for each in asked if each[0] in ("GET", "PUT", "POST", "DELETE")]
        assert sorted(rules) == sorted(rules_for(SERVER, OTHER_SERVER))
        others = dict(each for each in asked if each not in rules)
        assert others == {"applicationName": "fence_ovh", "duration": "Unlimited"}

    def test_every_endpoint_is_tested(self, our_agent: Agent) -> None:
        text = our_agent.run(None, "-o", "metadata").stdout
        parameter = ElementTree.fromstring(text).find(".//parameter[@name='endpoint']")
        assert parameter is not None
        assert {each.get("value") for each in parameter.iter("option")} == set(PAGES)

    def test_a_bare_plug_is_in_ovh_net(self, our_agent: Agent) -> None:
        result = our_agent.run(None, "-o", "authorize", "-n", SERVER.partition(".")[0])
        asked = urllib.parse.parse_qsl(link_in(result.stdout).query)
        assert ("PUT", f"/dedicated/server/{SERVER}") in asked

    def test_says_what_the_key_can_do(self, our_agent: Agent) -> None:
        said = " ".join(our_agent.run(None, "-o", "authorize", "-n", BOTH).stdout.split())
        for method, path in rules_for(SERVER, OTHER_SERVER):
            assert f"{method} {path}" in said

    def test_is_another_root_s_where_one_is_given(self, our_agent: Agent) -> None:
        words = ["-o", "authorize", "--api-url=https://api.example.com/1.0", "-n", SERVER]
        text = our_agent.run(None, *words).stdout
        assert link_in(text).netloc == "api.example.com"
        assert text.count("https://api.example.com/1.0") == 2, "in both configurations"

    @pytest.mark.parametrize("action", ["authorize", "iam-policy"])
    @pytest.mark.parametrize("plug", ["", "a b", "ns1/../../me", "ns1,*"])
    def test_needs_names_of_servers(self, our_agent: Agent, action: str, plug: str) -> None:
        result = our_agent.run(None, "-o", action, f"--plug={plug}")
        assert (result.status, result.stdout) == (1, "")
        assert "needs plug" in result.stderr

    @pytest.mark.parametrize("action", ["authorize", "iam-policy"])
    def test_needs_an_endpoint_that_exists(self, our_agent: Agent, action: str) -> None:
        result = our_agent.run(None, "-o", action, "-n", SERVER, "--endpoint=ovh-mars")
        assert (result.status, result.stdout) == (1, "")
        assert "--endpoint must be one of" in result.stderr

    @pytest.mark.parametrize("action", ["authorize", "iam-policy"])
    def test_is_refused_on_standard_input(self, our_agent: Agent, action: str) -> None:
        result = our_agent.run({"action": action, "plug": SERVER, "api": "rest"}, env=NOBODY)
        assert (result.status, result.stdout) == (1, "")
        assert "action" in result.stderr

    @pytest.mark.parametrize("action", ["authorize", "iam-policy"])
    def test_is_no_action_of_the_metadata(self, our_agent: Agent, action: str) -> None:
        text = our_agent.run(None, "-o", "metadata").stdout
        actions = [each.get("name") for each in ElementTree.fromstring(text).iter("action")]
        assert actions
        assert action not in actions


class TestConfiguration:
    @pytest.fixture
    def printed(self, our_agent: Agent) -> str:
        words = ["-o", "authorize", "-n", BOTH, "-l", "MY-LOGIN", "-p", "MY-SECRET-1"]
        return our_agent.run(None, *words).stdout

    def test_has_no_secret(self, printed: str) -> None:
        assert "MY-SECRET" not in printed

    def test_of_pacemaker(self, printed: str) -> None:
        (command,) = re.findall(r"^ *(pcs stonith create .*)$", printed.replace("\\\n", ""), re.M)
        for word in ("fence_ovh", "api=rest", "endpoint=ovh-eu", "pcmk_reboot_timeout=1200"):
            assert word in command.split()
        assert f"pcmk_host_map='NODE1:{SERVER};NODE2:{OTHER_SERVER}'" in command
        assert "pcmk_delay_base='NODE1:0s;NODE2:60s'" in command
        assert "\n  pcs cluster disable --all\n" in printed, (
            "or a node ends when it is back too early"
        )

    def test_one_node_needs_no_delay(self, our_agent: Agent) -> None:
        printed = our_agent.run(None, "-o", "authorize", "-n", SERVER).stdout
        assert "pcmk_delay_base" not in printed
        assert "\n\n" not in printed[printed.index("pcs stonith") : printed.index("op monitor")]

    def test_of_cluster_conf_works(
        self, printed: str, our_agent: Agent, ovh: RestBackend, tmp_path: Any
    ) -> None:
        lines = [line for line in printed.splitlines() if "<fencedevice" in line]
        devices = [dict(ElementTree.fromstring(line).attrib) for line in lines]
        assert [device["plug"] for device in devices] == [SERVER, OTHER_SERVER]
        assert {device.pop("agent") for device in devices} == {"fence_ovh"}
        secret = tmp_path / "secret"
        secret.write_text(f"{ovh.keys()['passwd']}\n")
        device = devices[0]
        device.pop("name")
        script = device["passwd_script"].replace("/etc/fence_ovh.secret", str(secret))
        options = {"action": "off", "power_timeout": 30, "stonith_status_sleep": 1, **device}
        given = {"passwd_script": script, "login": ovh.keys()["login"]}
        given |= {name: ovh.keys()[name] for name in ("consumer_key", "api_url")}
        result = our_agent.run(options | given)
        assert result.status == 0, result.stderr
        assert ovh.cuts() == ["rescue12-customer"]

    @pytest.fixture
    def ovh(self) -> Iterator[RestBackend]:
        backend = RestBackend()
        with backend.simulator:
            yield backend


class TestKey:
    """A key with the rules of the link."""

    @pytest.fixture
    def ovh(self, our_agent: Agent) -> Iterator[RestBackend]:
        backend = RestBackend()
        backend.data_centre.servers[THIRD_SERVER] = Server(THIRD_SERVER)
        text = our_agent.run(None, "-o", "authorize", "-n", BOTH).stdout
        asked = urllib.parse.parse_qsl(link_in(text).query)
        rules = tuple(Rule(*each) for each in asked if each[0].isupper())
        keys = backend.front_end.credentials.consumer_keys
        keys.clear()
        keys[KEY] = ConsumerKey(KEY, APPLICATION_KEY, LOGIN, rules=rules)
        with backend.simulator:
            yield backend

    @pytest.fixture
    def agent(self, our_agent: Agent) -> Agent:
        return hurried(our_agent)

    def options(self, ovh: RestBackend, action: str, *dropped: str, **more: Any) -> dict[str, Any]:
        options = ovh.options(action, **{"consumer_key": KEY, "plug": BOTH, **more})
        return {name: value for name, value in options.items() if name not in dropped}

    @pytest.mark.parametrize("mode", ["rescue", "power"])
    def test_is_good_for_monitor(self, agent: Agent, ovh: RestBackend, mode: str) -> None:
        result = agent.run(self.options(ovh, "monitor", off_mode=mode))
        assert (result.status, result.stderr) == (0, "")

    def test_is_good_for_a_monitor_without_plug(self, agent: Agent, ovh: RestBackend) -> None:
        """Pacemaker gives no plug, and the key may not see the account's list."""
        result = agent.run(self.options(ovh, "monitor", "plug", "nodename"))
        assert (result.status, result.stderr) == (0, "")

    def test_a_monitor_without_plug_checks_the_servers_of_the_key(
        self, agent: Agent, ovh: RestBackend
    ) -> None:
        keys = ovh.front_end.credentials.consumer_keys
        path = f"/dedicated/server/{SERVER}/reboot"
        kept = tuple(rule for rule in keys[KEY].rules if rule.path != path)
        assert len(kept) == len(keys[KEY].rules) - 1
        keys[KEY] = dataclasses.replace(keys[KEY], rules=kept)
        result = agent.run(self.options(ovh, "monitor", "plug", "nodename"))
        assert result.status == 1
        assert f"POST {path}: the consumer key lacks" in result.stderr

    def test_lists_its_servers(self, agent: Agent, ovh: RestBackend) -> None:
        """So that Pacemaker's dynamic-list works with it."""
        result = agent.run(self.options(ovh, "list", "plug", "nodename"))
        assert (result.status, result.stderr) == (0, "")
        rows = [line.rstrip(",") for line in result.stdout.splitlines()]
        assert rows == [SERVER, OTHER_SERVER]
        result = agent.run(self.options(ovh, "list-status", "plug", "nodename"))
        rows = [line.lower().rpartition(",")[2] for line in result.stdout.splitlines()]
        assert rows == ["on", "on"]

    def test_fences_its_servers(self, agent: Agent, ovh: RestBackend) -> None:
        assert agent.run(self.options(ovh, "off")).status == 0
        assert ovh.running(SERVER) == ovh.running(OTHER_SERVER) == "rescue"
        assert agent.run(self.options(ovh, "status")).status == 2
        assert agent.run(self.options(ovh, "reboot")).status == 0
        assert ovh.running(SERVER) == ovh.running(OTHER_SERVER) == "harddisk"

    @pytest.mark.parametrize("action", ["off", "reboot", "status", "monitor"])
    def test_does_not_fence_a_third_server(
        self, agent: Agent, ovh: RestBackend, action: str
    ) -> None:
        result = agent.run(self.options(ovh, action, plug=THIRD_SERVER))
        assert result.status == 1
        assert THIRD_SERVER in result.stderr
        assert ovh.cuts(THIRD_SERVER) == []

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("POST", f"/dedicated/server/{SERVER}/reinstall"),
            ("POST", f"/dedicated/server/{THIRD_SERVER}/reboot"),
            ("GET", f"/dedicated/server/{THIRD_SERVER}"),
            ("PUT", f"/dedicated/server/{THIRD_SERVER}"),
            ("POST", f"/dedicated/server/{SERVER}/task/1/cancel"),
            ("GET", "/dedicated/server"),
            ("GET", "/me"),
            ("GET", "/me/bill"),
        ],
    )
    def test_does_nothing_else(
        self, ovh: RestBackend, monkeypatch: pytest.MonkeyPatch, method: str, path: str
    ) -> None:
        root = f"{ovh.simulator.url}/1.0"
        monkeypatch.setitem(ovh_library.client.ENDPOINTS, "simulator", root)
        keys = ovh.keys()
        client = ovh_library.Client("simulator", keys["login"], keys["passwd"], KEY)
        with pytest.raises(ovh_library.exceptions.NotGrantedCall):
            client.call(method, path, {"bootId": 1} if method == "PUT" else None)
        assert ovh.state()["tasks"] == []


class TestPolicy:
    def test_of_iam(self, our_agent: Agent) -> None:
        words = ["-o", "iam-policy", "--endpoint=ovh-ca", "-n", BOTH]
        result = our_agent.run(None, *words, env=NOBODY)
        assert (result.status, result.stderr) == (0, "")
        policy = json.loads(result.stdout)
        allowed = [each["action"] for each in policy["permissions"]["allow"]]
        assert sorted(allowed) == sorted(FENCING_ACTIONS)
        assert [each["urn"] for each in policy["resources"]] == [
            f"urn:v1:ca:resource:dedicatedServer:{name}" for name in (SERVER, OTHER_SERVER)
        ]

    def test_a_bare_plug_is_in_ovh_net(self, our_agent: Agent) -> None:
        words = ["-o", "iam-policy", "-n", SERVER.partition(".")[0]]
        policy = json.loads(our_agent.run(None, *words).stdout)
        assert policy["resources"][0]["urn"].endswith(f":{SERVER}")

    def test_its_actions_suffice(self, our_agent: Agent) -> None:
        policy = json.loads(our_agent.run(None, "-o", "iam-policy", "-n", SERVER).stdout)
        granted = [each["action"] for each in policy["permissions"]["allow"]]
        ovh = OAuth2Backend()
        ovh.front_end.credentials.service_accounts[CLIENT_ID].grants = {SERVER: granted}
        agent = hurried(harness.agent_with_our_library())
        with ovh.simulator:
            for plug, status in ((SERVER, 0), (OTHER_SERVER, 1)):
                assert agent.run(ovh.options("monitor", plug=plug)).status == status
                assert agent.run(ovh.options("off", plug=plug)).status == status
            assert ovh.cuts(SERVER) == ["rescue12-customer"]
            assert ovh.cuts(OTHER_SERVER) == []
