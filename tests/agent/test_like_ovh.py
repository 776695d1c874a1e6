"""What the agent does as OVH's own Python library `ovh` does: signatures, configuration files."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import agent_module
from tests.simulator import VirtualClock

library = pytest.importorskip("ovh", reason="the provider's library ovh is not installed")
client_module = pytest.importorskip("ovh.client")
agent = agent_module.load()

KEYS = {"--username": "5f3a91c07be2d846", "--password": "c81d0e5b7a2f", "--consumer-key": "9b47e2"}
LIMITS = {"--action": "off", "--shell-timeout": "30", "--login-timeout": "30"}


class Recorder:
    """A network that notes the requests, and answers with an empty object."""

    def __init__(self, clock: VirtualClock, now: int) -> None:
        self.sent: list[tuple[str, str, dict[str, str], bytes | None]] = []
        self._clock = clock
        self._now = now

    def exchange(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None, seconds: float
    ) -> Any:
        """Answer the question for the time; note any other request."""
        if url.endswith("/auth/time"):
            return agent.Answer(200, {}, str(self._now).encode())
        self.sent.append((method, url, headers, body))
        return agent.Answer(200, {}, b"{}")


def sent_by_the_library(
    method: str, path: str, data: Any, now: int, **keys: str
) -> tuple[str, str, dict[str, str], Any]:
    """What the library sends for the same call at the same time."""
    sent: list[Any] = []

    class Session:
        def request(self, method: str, url: str, headers: Any, data: Any, timeout: Any) -> None:
            sent.append((method, url, headers, data))

    client = client_module.Client("ovh-ca", **keys)
    client._session, client._time_delta = Session(), 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client_module.time, "time", lambda: float(now))
        client.raw_call(method, path, data)
    return sent[0]  # type: ignore[no-any-return]


@given(
    method=st.sampled_from(["GET", "PUT", "POST"]),
    path=st.sampled_from(["/dedicated/server/ns1/boot", "/dedicated/server/ns1/task?status=todo"]),
    text=st.text(max_size=20),
    now=st.integers(1_000_000_000, 3_000_000_000),
)
def test_signature(method: str, path: str, text: str, now: int) -> None:
    data = None if method == "GET" else {"bootId": 7, "rescueMail": text}
    clock = VirtualClock()
    network = Recorder(clock, now)
    api = agent.RestApi({**LIMITS, **KEYS, "--endpoint": "ovh-ca"}, network, clock)
    path, mark, query = path.partition("?")
    api.call(method, path, data, mark + query)
    ((_, url, headers, body),) = network.sent
    keys = {"application_key": KEYS["--username"], "application_secret": KEYS["--password"]}
    keys["consumer_key"] = KEYS["--consumer-key"]
    # The library signs the text that it sends: that of another JSON writer is another one.
    theirs = sent_by_the_library(method, path + mark + query, data, now, **keys)
    assert (theirs[0], theirs[1]) == (method, url)
    assert json.loads(theirs[3] or "null") == json.loads(body or b"null")
    same_text = (theirs[3] or "") == (body or b"").decode()
    for name in ("Application", "Consumer", "Timestamp", *(["Signature"] if same_text else [])):
        assert headers[f"X-Ovh-{name}"] == theirs[2][f"X-Ovh-{name}"]
    assert same_text or data


def test_endpoints() -> None:
    assert agent.ENDPOINTS == client_module.ENDPOINTS


def test_where_tokens_come_from() -> None:
    if not hasattr(client_module, "OAUTH2_TOKEN_URLS"):
        pytest.skip("this release of ovh has no OAuth2")
    assert agent.TOKENS == client_module.OAUTH2_TOKEN_URLS


APPLICATION = "application_key=1f\napplication_secret = 2e\nconsumer_key : 3d\n"
FILES = {
    "plain": f"[default]\nendpoint=ovh-eu\n[ovh-eu]\n{APPLICATION}",
    "comments": f"; of us\n[default]\n# the region\nendpoint=ovh-ca\n\n[ovh-ca]\n{APPLICATION}",
    "percent": "[default]\nendpoint=ovh-eu\n[ovh-eu]\napplication_key=%(x)s\n"
    "application_secret=%%\nconsumer_key=a%b\n",
    "others": f"[default]\nendpoint=ovh-us\n[ovh-eu]\nconsumer_key=x\n[ovh-us]\n{APPLICATION}",
    "capitals": "[default]\nEndpoint=ovh-eu\n[ovh-eu]\nApplication_Key=A\n"
    "application_secret=B\nconsumer_key=C\n",
    "quotes": '[default]\nendpoint=ovh-eu\n[ovh-eu]\napplication_key="1"\n'
    "application_secret='2'\nconsumer_key=3 ; no comment\n",
    "account": "[default]\nendpoint=ovh-ca\n[ovh-ca]\nclient_id=EU.1\nclient_secret=2\n",
    "two endpoints": f"[default]\nendpoint=soyoustart-eu\n[soyoustart-eu]\n{APPLICATION}"
    "[ovh-eu]\nclient_id=EU.1\nclient_secret=2\n",
}


@pytest.mark.parametrize("name", FILES)
def test_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, name: str) -> None:
    path = tmp_path / "ovh.conf"
    path.write_text(FILES[name])
    path.chmod(0o600)
    monkeypatch.setattr(agent, "CONFIGURATION", (str(path),))
    ours = agent.Keys({})
    theirs = client_module.Client(config_file=str(path))
    assert ours.root == theirs._endpoint
    if theirs._client_id:
        assert (ours.login, ours.secret) == (theirs._client_id, theirs._client_secret)
        assert ours.consumer_key == ""
    else:
        assert (ours.login, ours.secret) == (theirs._application_key, theirs._application_secret)
        assert ours.consumer_key == theirs._consumer_key


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[default]\nendpoint=ovh-mars\n",
        "[default]\nendpoint=ovh-eu\n[ovh-eu]\napplication_key=1\n",
        "[default]\nendpoint=kimsufi-eu\n[kimsufi-eu]\nclient_id=1\nclient_secret=2\n",
    ],
)
def test_useless_configuration(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, text: str
) -> None:
    path = tmp_path / "ovh.conf"
    path.write_text(text)
    monkeypatch.setattr(agent, "CONFIGURATION", (str(path),))
    with pytest.raises(agent.Unfit):
        agent.Keys({})
    with pytest.raises((library.exceptions.InvalidConfiguration, library.exceptions.InvalidRegion)):
        client_module.Client(config_file=str(path))
