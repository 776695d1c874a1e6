"""The simulator over sockets and as a process."""

from __future__ import annotations

import http.client
import json
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.simulator import (
    AnswerLost,
    Call,
    ControlError,
    DataCentre,
    Proceed,
    Response,
    SimulatorServer,
    SoapFrontEnd,
    SystemClock,
    Timing,
    VirtualClock,
)

NAME, OTHER = "ns1234.ovh.net", "ns567890.ip-203-0-113.eu"
ROOT = Path(__file__).parent.parent.parent
PATIENCE = 60  # seconds after which a test that hangs is ended
LOGIN = (
    b'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>'
    b'<m:login xmlns:m="http://soapi.ovh.com/manager"><nic>ab12345-ovh</nic>'
    b"<password>secret</password><language>en</language><multisession>true</multisession>"
    b"</m:login></e:Body></e:Envelope>"
)


def connect(url: str) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    return http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=PATIENCE)


def request(url: str, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
    connection = connect(url)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def state_of(url: str) -> dict[str, Any]:
    status, body = request(url, "GET", "/state")
    assert status == 200
    state: dict[str, Any] = json.loads(body)
    return state


def post_control(url: str, document: object) -> tuple[int, dict[str, Any]]:
    status, body = request(url, "POST", "/control", json.dumps(document).encode())
    return status, json.loads(body)


@pytest.fixture
def simulator() -> Iterator[SimulatorServer]:
    with SimulatorServer(SoapFrontEnd(DataCentre(VirtualClock()))) as server:
        yield server


def virtual_clock(simulator: SimulatorServer) -> VirtualClock:
    clock = simulator.data_centre.clock
    assert isinstance(clock, VirtualClock)
    return clock


# Routes.


def test_soap_is_at_every_other_path(simulator: SimulatorServer) -> None:
    for path in ("/", "/soapi"):
        status, body = request(simulator.url, "POST", path, LOGIN)
        assert status == 200 and b"<loginResponse" in body
    assert simulator.state()["logins"] == 2


def test_the_state_is_served(simulator: SimulatorServer) -> None:
    state = state_of(simulator.url)
    assert state == simulator.state()
    assert list(state["servers"]) == [NAME, OTHER]


def test_what_else_can_be_got(simulator: SimulatorServer) -> None:
    status, body = request(simulator.url, "GET", "/")
    assert status == 200 and body.count(b"\n") == 1
    status, body = request(simulator.url, "GET", "/soapi/soapi-re-1.59.wsdl")
    assert status == 200 and f'location="{simulator.url}/"'.encode() in body
    assert request(simulator.url, "GET", "/none")[0] == 404
    assert request(simulator.url, "PUT", "/state")[0] == 404


# Control.


def test_the_operator_chooses_a_netboot_and_reboots(simulator: SimulatorServer) -> None:
    answer = post_control(simulator.url, {"server": NAME, "netboot": 95083, "hard_reboot": True})
    assert answer == (200, {"done": True})
    virtual_clock(simulator).advance(100)
    state = state_of(simulator.url)
    assert state["servers"][NAME]["running"]["kernel"] == "poweroff"
    assert state["power_cuts"][0]["requested_by"] == "operator"
    assert state["netboot_changes"][0]["by"] == "operator"
    assert state["calls_total"] == 0


def test_settings_reach_the_model_the_api_and_the_clock(simulator: SimulatorServer) -> None:
    settings = {"reboot_duration": 300, "reading": "B", "zone_offset": 2, "provider_offset": -60}
    assert post_control(simulator.url, {"settings": settings})[0] == 200
    assert simulator.data_centre.timing == Timing(reboot_duration=300)
    assert simulator.front_ends[0].settings.reading == "B"
    assert state_of(simulator.url)["provider_local_time"] == "2024-01-01 01:59:00"


def test_a_setting_can_be_one_servers(simulator: SimulatorServer) -> None:
    simulator.control(server=NAME, settings={"reboot_duration": 720})
    simulator.control(server=NAME, settings={"carried_out": False})
    servers = simulator.data_centre.servers
    assert servers[NAME].timing == Timing(reboot_duration=720, carried_out=False)
    assert servers[OTHER].timing is None
    assert simulator.data_centre.timing == Timing()


def test_the_operator_ends_all_sessions(simulator: SimulatorServer) -> None:
    request(simulator.url, "POST", "/", LOGIN)
    assert state_of(simulator.url)["open_sessions"] == 1
    simulator.control(end_sessions=True)
    assert state_of(simulator.url)["open_sessions"] == 0


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"serber": NAME},
        {"server": "ns1234", "hard_reboot": True},
        {"server": [NAME], "hard_reboot": True},
        {"server": NAME, "netboot": 4711, "hard_reboot": True},
        {"server": NAME, "netboot": "1", "hard_reboot": True},
        {"server": NAME, "hard_reboot": "yes"},
        {"hard_reboot": True},
        {"netboot": 1},
        {"settings": []},
        {"settings": {"readin": "B"}},
        {"settings": {"reboot_duration": 300, "reading": "C"}},
        {"settings": {"reboot_duration": 4}},
        {"settings": {"reboot_duration": "long"}},
        {"settings": {"zone_offset": 99}},
        {"settings": {"zone_offset": "CET"}},
        {"settings": {"provider_offset": True}},
        {"settings": {"reading": "B"}, "server": NAME, "netboot": 4711},
    ],
)
def test_a_document_that_is_wrong_in_part_does_nothing(
    simulator: SimulatorServer, document: object
) -> None:
    before, settings = state_of(simulator.url), simulator.front_ends[0].settings
    status, answer = post_control(simulator.url, document)
    assert status == 400 and answer["error"]
    assert state_of(simulator.url) == before
    assert simulator.front_ends[0].settings == settings
    assert simulator.data_centre.timing == Timing()


def test_control_in_the_process_raises(simulator: SimulatorServer) -> None:
    with pytest.raises(ControlError, match="unknown: reed"):
        simulator.control(settings={"reed": 1})
    assert request(simulator.url, "POST", "/control", b"{")[0] == 400


# Connections.


def test_a_connection_serves_several_requests(simulator: SimulatorServer) -> None:
    connection = connect(simulator.url)
    for _ in range(3):
        connection.request("POST", "/", LOGIN)
        assert connection.getresponse().read()
        assert connection.sock is not None
    connection.close()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Length": str(1 << 30)}, 413),
        ({"Content-Length": "-1"}, 400),
        ({"Content-Length": "many"}, 400),
        ({"Transfer-Encoding": "chunked"}, 411),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(
    simulator: SimulatorServer, headers: dict[str, str], status: int
) -> None:
    connection = connect(simulator.url)
    connection.putrequest("POST", "/")
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    assert (response.status, response.getheader("Connection")) == (status, "close")
    connection.close()


def test_a_client_that_leaves_is_not_an_error(
    simulator: SimulatorServer, capfd: pytest.CaptureFixture[str]
) -> None:
    others = set(threading.enumerate())
    arrived, left = threading.Event(), threading.Event()

    def answer_who_has_left(call: Call, proceed: Proceed) -> Response:
        arrived.set()
        assert left.wait(PATIENCE)
        return Response(200, {}, b"x" * 1_000_000)

    simulator.front_ends[0].intercept = answer_who_has_left
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(LOGIN)
    for sent in (b"", b"POST / HT", head, head + LOGIN[:50]):
        with socket.create_connection(("127.0.0.1", simulator.port)) as client:
            client.sendall(sent)
    with socket.create_connection(("127.0.0.1", simulator.port)) as client:
        client.sendall(head + LOGIN)
        assert arrived.wait(PATIENCE)
    left.set()
    for handler in set(threading.enumerate()) - others:
        handler.join(PATIENCE)
    assert state_of(simulator.url)["calls_total"] == 1
    assert capfd.readouterr() == ("", "")


def test_an_answer_that_is_lost_closes_the_connection(simulator: SimulatorServer) -> None:
    def lose(call: Call, proceed: Proceed) -> Response:
        proceed()
        raise AnswerLost

    simulator.front_ends[0].intercept = lose
    with pytest.raises(http.client.RemoteDisconnected):
        request(simulator.url, "POST", "/", LOGIN)
    assert simulator.state()["logins"] == 1


def test_a_call_that_is_held_up_does_not_hold_up_others(simulator: SimulatorServer) -> None:
    held, release = threading.Event(), threading.Event()

    def hold(call: Call, proceed: Proceed) -> Response:
        held.set()
        assert release.wait(PATIENCE)
        return proceed()

    simulator.front_ends[0].intercept = hold
    caller = threading.Thread(target=request, args=(simulator.url, "POST", "/", LOGIN))
    caller.start()
    assert held.wait(PATIENCE)
    assert state_of(simulator.url)["logins"] == 0
    release.set()
    caller.join(PATIENCE)
    assert state_of(simulator.url)["logins"] == 1


def test_stopping_closes_idle_connections() -> None:
    with SimulatorServer(SoapFrontEnd(DataCentre(VirtualClock()))) as simulator:
        connection = connect(simulator.url)
        connection.request("GET", "/state")
        connection.getresponse().read()
        url = simulator.url
    assert connection.sock.recv(1) == b""
    connection.close()
    with pytest.raises(ConnectionRefusedError):
        request(url, "GET", "/state")


def test_a_server_that_never_started_can_be_stopped() -> None:
    SimulatorServer(SoapFrontEnd(DataCentre(VirtualClock()))).stop()


def test_observers_hear_of_a_power_cut_though_nobody_asks() -> None:
    centre = DataCentre(
        SystemClock(), timing=Timing(cut_delay=0.01, boot_delay=0.01, reboot_duration=0.02)
    )
    cut, booted = threading.Event(), threading.Event()
    centre.on_cut.append(lambda server: cut.set())
    centre.on_boot.append(lambda server, netboot: booted.set())
    with SimulatorServer(SoapFrontEnd(centre)) as simulator:
        simulator.control(server=NAME, hard_reboot=True)
        assert cut.wait(PATIENCE) and booted.wait(PATIENCE)


def test_https(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    pem = tmp_path / "server.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
        + ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    pem.write_text((tmp_path / "key.pem").read_text() + (tmp_path / "cert.pem").read_text())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    front_end = SoapFrontEnd(DataCentre(VirtualClock()))
    with SimulatorServer(front_end, ssl_context=context) as simulator:
        assert simulator.url.startswith("https://127.0.0.1:")
        with socket.create_connection(("127.0.0.1", simulator.port)) as silent:
            trust = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
            connection = http.client.HTTPSConnection(
                "127.0.0.1", simulator.port, context=trust, timeout=PATIENCE
            )
            connection.request("GET", "/?wsdl")
            body = connection.getresponse().read()
            connection.close()
            silent.sendall(b"GET /state HTTP/1.1\r\n\r\n")
        assert f'location="{simulator.url}/"'.encode() in body


# A real SOAP client.


def suds_client(url: str) -> Any:
    client = pytest.importorskip("suds.client", reason="suds is the SOAP client of this test")
    doctor = pytest.importorskip("suds.xsd.doctor")
    imported = doctor.ImportDoctor(doctor.Import("http://schemas.xmlsoap.org/soap/encoding/"))
    return client.Client(f"{url}/soapi/soapi-re-1.59.wsdl", doctor=imported, cache=None)


def test_suds_understands_every_operation(simulator: SimulatorServer) -> None:
    service = suds_client(simulator.url).service
    session = service.login("ab12345-ovh", "secret", "en", True)
    assert [str(name) for name in service.dedicatedList(session)] == [NAME, OTHER]
    assert service.dedicatedInfo(session, NAME).hostname == NAME

    offered = service.dedicatedNetbootGetAvailable(session, NAME)
    rescue = next(entry for entry in offered if entry.kernel == "rescue12-customer")
    assert (rescue.id, rescue.smp, rescue.grsec) == (230242, True, False)
    service.dedicatedNetbootModifyById(session, NAME, rescue.id, "", "root@example.org")
    assert service.dedicatedNetbootInfo(session, NAME).id == 230242

    service.dedicatedHardRebootDo(session, NAME, "fencing", "root@example.org", "en")
    assert service.dedicatedHardRebootStatus(session, NAME).start == "2024-01-01 00:00:00"
    virtual_clock(simulator).advance(240)
    assert service.dedicatedHardRebootStatus(session, NAME).end == "2024-01-01 00:04:00"
    service.logout(session)

    state = simulator.state()
    assert state["power_cuts"][0]["netboot"]["kernel"] == "rescue12-customer"
    assert state["open_sessions"] == 0


def test_suds_gets_a_fault(simulator: SimulatorServer) -> None:
    service = suds_client(simulator.url).service
    fault = pytest.importorskip("suds").WebFault
    with pytest.raises(fault, match="invalid login or password"):
        service.login("ab12345-ovh", "wrong", "en", True)


# The process.


@pytest.fixture
def process(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    arguments = [
        *("--port", "0", "--port-file", str(tmp_path / "port"), "--server", "ns1.ovh.net"),
        *("--account", "nic-ovh:pass:word", "--cut-delay", "0", "--boot-delay", "0"),
        *("--reboot-duration", "0", "--reading", "B", "--zone-offset", "-3.5"),
    ]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.simulator", *arguments],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        yield process
        process.kill()


def output_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_serves_until_it_is_told_to_stop(
    process: subprocess.Popen[str], tmp_path: Path, number: signal.Signals
) -> None:
    url = output_of(process)
    assert url == f"http://127.0.0.1:{(tmp_path / 'port').read_text().strip()}"
    state = state_of(url)
    assert list(state["servers"]) == ["ns1.ovh.net"]
    assert output_of(process).startswith(f"REST: api=rest api_url={url}/1.0 login=")
    assert output_of(process) == f"SOAP: api=soap api_url={url} login=nic-ovh passwd=pass:word"
    local = datetime.fromisoformat(state["provider_local_time"] + "+00:00").timestamp()
    assert round((local - state["provider_time"]) / 3600, 2) == -3.5

    login = LOGIN.replace(b"ab12345-ovh", b"nic-ovh").replace(b">secret<", b">pass:word<")
    assert request(url, "POST", "/", login)[0] == 200

    document = {"server": "ns1.ovh.net", "netboot": 1122, "hard_reboot": True}
    assert post_control(url, document)[0] == 200
    assert state_of(url)["power_cuts"][0]["netboot"]["kernel"] == "rescue64-pro"

    process.send_signal(number)
    rest = process.communicate(timeout=PATIENCE)
    assert (rest, process.returncode) == (("", ""), 0)


def test_the_process_refuses_what_is_impossible() -> None:
    command = [sys.executable, "-m", "tests.simulator", "--reboot-duration", "0.5"]
    ended = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=PATIENCE)
    assert ended.returncode == 2
    assert "reboot_duration: 0.5 seconds are less than" in ended.stderr
