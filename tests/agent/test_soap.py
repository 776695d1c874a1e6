"""What only the SOAP API does: its sessions, its vague times, its description."""

from __future__ import annotations

import time

import pytest

from tests import harness
from tests.harness import SERVER, Agent, SoapBackend
from tests.simulator import (
    READINGS,
    Account,
    Call,
    Proceed,
    Response,
    SoapSettings,
    Timing,
)


@pytest.fixture
def ovh() -> SoapBackend:
    """A data centre behind the SOAP API only."""
    backend = SoapBackend()
    with backend.simulator:
        yield backend


class TestTimes:
    @pytest.mark.parametrize("reading", READINGS)
    def test_off_and_on_in_every_reading_of_start_and_end(
        self, our_agent: Agent, ovh: SoapBackend, reading: str
    ) -> None:
        ovh.front_end.settings = SoapSettings(reading=reading)
        ovh.data_centre.timing = Timing(cut_delay=0.5, boot_delay=0.4, reboot_duration=2.0)
        assert our_agent.run(ovh.options("off")).status == 0
        assert ovh.cuts() == ["rescue12-customer"]
        assert our_agent.run(ovh.options("status")).status == 2
        assert our_agent.run(ovh.options("on")).status == 0
        assert ovh.cuts() == ["rescue12-customer", "hd"]

    @pytest.mark.parametrize("hours", [-11, 13])
    def test_neither_zone_nor_clock_matters(
        self, our_agent: Agent, ovh: SoapBackend, hours: int
    ) -> None:
        ovh.simulator.control(settings={"zone_offset": hours, "provider_offset": 40000})
        assert our_agent.run(ovh.options("off")).status == 0
        assert ovh.cuts() == ["rescue12-customer"]

    def test_the_end_of_an_earlier_reboot_is_not_the_end_of_ours(
        self, our_agent: Agent, ovh: SoapBackend
    ) -> None:
        ovh.front_end.settings = SoapSettings(reading="A-previous")
        assert our_agent.run(ovh.options("on", method="onoff")).status == 0
        assert our_agent.run(ovh.options("reboot")).status == 0
        ovh.data_centre.timing = Timing(
            queue_delay=2.0, cut_delay=0.5, boot_delay=0.4, reboot_duration=1.0
        )
        assert our_agent.run(ovh.options("off")).status == 0
        assert ovh.cuts() == ["hd", "rescue12-customer"]


def test_a_wrong_password_says_what_to_check(our_agent: Agent, ovh: SoapBackend) -> None:
    result = our_agent.run(ovh.options("monitor", passwd="wrong"))
    assert result.status == 1
    assert "check login and passwd" in result.stderr


@pytest.mark.parametrize("password", ["a&amp;b", "&lt;tag&gt;", "&#65;&quot;", "]]>'<"])
def test_a_password_that_looks_like_markup(agent: Agent, ovh: SoapBackend, password: str) -> None:
    ovh.data_centre.accounts[harness.LOGIN] = Account(harness.LOGIN, password)
    result = agent.run(ovh.options("monitor", passwd=password))
    assert result.status == 0, result.stderr


class TestSessions:
    def test_an_expired_session_is_renewed(self, our_agent: Agent, ovh: SoapBackend) -> None:
        ovh.front_end.settings = SoapSettings(session_lifetime=0.4)
        result = our_agent.run(ovh.options("off"))
        assert result.status == 0, result.stderr
        assert ovh.cuts() == ["rescue12-customer"]
        assert ovh.state()["logins"] > 1

    def test_other_sessions_of_the_account_live_on(
        self, our_agent: Agent, ovh: SoapBackend
    ) -> None:
        """A monitor must not break a fencing that is under way on another node."""
        ovh.data_centre.timing = Timing(cut_delay=0.5, boot_delay=0.4, reboot_duration=3.0)
        process = our_agent.start(ovh.options("off"))
        ovh.wait_until("the request", lambda: ovh.state()["servers"][SERVER]["pending_reboots"] > 0)
        assert our_agent.run(ovh.options("monitor")).status == 0
        process.communicate(timeout=120)
        assert process.returncode == 0
        assert ovh.state()["logins"] == 2

    def test_a_session_taken_over_by_another_login_is_renewed(
        self, our_agent: Agent, ovh: SoapBackend
    ) -> None:
        ovh.front_end.settings = SoapSettings(single_session=True)
        ovh.data_centre.timing = Timing(cut_delay=0.5, boot_delay=0.4, reboot_duration=3.0)
        # When both log in twice, the agent waits half a minute before its third login.
        process = our_agent.start(ovh.options("off", power_timeout=120))
        ovh.wait_until("the request", lambda: ovh.state()["servers"][SERVER]["pending_reboots"] > 0)
        assert our_agent.run(ovh.options("monitor")).status == 0
        process.communicate(timeout=120)
        assert process.returncode == 0
        assert ovh.cuts() == ["rescue12-customer"]


class TestDescription:
    def test_unknown_fields_and_types_are_passed_over(
        self, our_agent: Agent, ovh: SoapBackend
    ) -> None:
        ovh.front_end.settings = SoapSettings(extra_fields=True)
        result = our_agent.run(ovh.options("off"))
        assert result.status == 0, result.stderr
        assert ovh.cuts() == ["rescue12-customer"]

    def test_none_is_fetched(self, our_agent: Agent, ovh: SoapBackend) -> None:
        """wsdl of a configuration for 1.0.0 is ignored."""
        wsdl = f"{ovh.simulator.url}/soapi/soapi-re-1.59.wsdl"
        result = our_agent.run(ovh.options("off", wsdl=wsdl))
        assert result.status == 0, result.stderr
        assert "WARNING: wsdl is not used any more" in result.stderr
        assert "GET" not in str(ovh.calls())
        assert ovh.cuts() == ["rescue12-customer"]

    def test_no_cache_is_written(
        self, our_agent: Agent, ovh: SoapBackend, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        folder = tmp_path_factory.mktemp("temporary")
        result = our_agent.run(ovh.options("monitor"), env={"TMPDIR": str(folder)})
        assert result.status == 0
        assert list(folder.iterdir()) == []


def test_a_fault_says_operation_server_and_what_to_check(
    our_agent: Agent, ovh: SoapBackend
) -> None:
    result = our_agent.run(ovh.options("off", plug="ns9999", power_timeout=3))
    assert result.status == 1
    assert "dedicatedNetbootGetAvailable ns9999.ovh.net: refused" in result.stderr
    assert "check plug" in result.stderr


def test_the_words_of_a_fault_never_show_the_password(
    our_hurried_agent: Agent, ovh: SoapBackend
) -> None:
    def echo(call: object, proceed: object) -> Response:
        return soap_fault(f"bad {harness.PASSWORD}")

    ovh.front_end.intercept = echo
    result = our_hurried_agent.run(ovh.options("monitor", verbose=1))
    assert result.status == 1
    assert "bad ***" in result.stderr
    for start in range(len(harness.PASSWORD) - 8):
        assert harness.PASSWORD[start : start + 8] not in result.stderr


@pytest.mark.parametrize("action", ["status", "monitor", "list"])
def test_a_fault_that_lasts_ends_an_action_that_only_reads(
    our_hurried_agent: Agent, ovh: SoapBackend, action: str
) -> None:
    def fail(call: Call, proceed: Proceed) -> Response:
        return proceed() if call.operation in ("login", "logout") else soap_fault("maintenance")

    ovh.front_end.intercept = fail
    begun = time.monotonic()
    result = our_hurried_agent.run(ovh.options(action))
    assert result.status == 1
    assert "maintenance" in result.stderr
    assert time.monotonic() - begun < 6


def test_a_fault_in_unknown_words_may_pass(our_agent: Agent, ovh: SoapBackend) -> None:
    """Only words about login, session or an unknown server are a refusal."""
    failed: list[Call] = []

    def fail_often(call: Call, proceed: Proceed) -> Response:
        if call.operation != "dedicatedNetbootModifyById" or len(failed) == 5:
            return proceed()
        failed.append(call)
        return soap_fault("an operation is pending, please retry")

    ovh.front_end.intercept = fail_often
    result = our_agent.run(ovh.options("off"))
    assert result.status == 0, result.stderr
    assert len(failed) == 5
    assert ovh.cuts() == ["rescue12-customer"]


def test_two_reboots_that_start_in_one_second(our_hurried_agent: Agent, ovh: SoapBackend) -> None:
    """The times have no finer resolution: ours must not wait for ever for another start."""
    ovh.data_centre.timing = Timing(cut_delay=0, boot_delay=0, reboot_duration=0)
    asked: list[Call] = []

    def reboot_before(call: Call, proceed: Proceed) -> Response:
        if call.operation == "dedicatedHardRebootStatus" and not asked:
            asked.append(call)
            ovh.wait_until("a new second", lambda: time.time() % 1 < 0.1)
            ovh.reboot_by_hand()
        return proceed()

    ovh.front_end.intercept = reboot_before
    result = our_hurried_agent.run(ovh.options("off"))
    assert result.status == 0, result.stderr
    assert ovh.cuts()[-1] == "rescue12-customer"


def soap_fault(words: str) -> Response:
    """A fault as OVH words it."""
    body = (
        '<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body><Fault>'
        f"<faultcode>x</faultcode><faultstring>{words.replace('&', '&amp;')}"
        "</faultstring></Fault></Body></Envelope>"
    )
    return Response(500, {"Content-Type": "text/xml"}, body.encode())
