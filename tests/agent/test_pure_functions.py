"""The agent's pure functions."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import agent_module

agent = agent_module.load()


def netboot(id: int, kernel: str) -> Any:
    """A netboot whose kind follows from its kernel, as in the SOAP API."""
    return agent.Netboot(id, kernel, agent.kind_of_netboot(kernel))


class TestKindOfNetboot:
    @pytest.mark.parametrize(
        ("kernel", "said", "kind"),
        [
            ("hd", "harddisk", "harddisk"),
            ("hd", "", "harddisk"),
            ("local", "harddisk", "harddisk"),
            ("rescue12-customer", "rescue", "rescue"),
            ("rescue64-pro", "", "rescue"),
            ("rescue-pro", "", "rescue"),
            # Three of six servers in rescue had the type internal.
            ("rescue-customer", "internal", "rescue"),
            # The type rescue has more than rescue systems.
            ("ipxe-shell", "rescue", "other"),
            ("rescue-customer-windows", "rescue", "other"),
            ("winpe", "rescue", "other"),
            ("WinRescue", "rescue", "other"),
            ("bsd-rescue-pro", "rescue", "other"),
            ("ftp-rescue", "rescue", "other"),
            ("poweroff", "power", "power"),
            ("memtest", "network", "other"),
            ("", "rescue", "other"),
        ],
    )
    def test_the_name_decides_before_the_type(self, kernel: str, said: str, kind: str) -> None:
        assert agent.kind_of_netboot(kernel, said) == kind

    @pytest.mark.parametrize("kernel", ["hd", "bzImage-4.19-xxxx-grs-ipv6-64", "BZIMAGE"])
    def test_what_boots_the_disk(self, kernel: str) -> None:
        assert netboot(7, kernel).boots_the_disk()

    @pytest.mark.parametrize("kernel", ["rescue12-customer", "memtest", "ipxe-shell"])
    def test_what_does_not(self, kernel: str) -> None:
        assert not netboot(7, kernel).boots_the_disk()


OFFERED = [
    netboot(1, "hd"),
    netboot(1122, "rescue64-pro"),
    netboot(1140, "bsd-rescue-pro"),
    netboot(99999, "WinRescue"),
    netboot(8000, "rescue12-customer"),
    netboot(90000, "ipxe-shell"),
    netboot(70000, "bzImage-4.19-xxxx-grs-ipv6-64"),
    netboot(70001, "memtest"),
]


class TestChoiceOfNetboot:
    def test_the_newest_linux_rescue(self) -> None:
        assert agent.choose_netboot(OFFERED, "rescue").kernel == "rescue12-customer"

    @pytest.mark.parametrize("wanted", ["rescue64-pro", "1122", "WinRescue", "memtest"])
    def test_what_was_asked_for(self, wanted: str) -> None:
        chosen = agent.choose_netboot(OFFERED, "rescue", wanted)
        assert wanted in (chosen.kernel, str(chosen.id))

    @pytest.mark.parametrize(
        "wanted", ["hd", "1", "70000", "bzImage-4.19-xxxx-grs-ipv6-64", "nothing", "rescue"]
    )
    def test_never_what_runs_the_old_system(self, wanted: str) -> None:
        assert agent.choose_netboot(OFFERED, "rescue", wanted) is None

    def test_none_where_only_others_are_offered(self) -> None:
        others = [each for each in OFFERED if each.kind != "rescue"]
        assert agent.choose_netboot(others, "rescue") is None

    def test_the_disk(self) -> None:
        assert agent.choose_netboot(OFFERED, "harddisk").id == 1
        assert agent.choose_netboot(OFFERED[1:], "harddisk") is None

    def test_what_was_asked_for_is_a_rescue_system_only(self) -> None:
        assert agent.choose_netboot(OFFERED, "harddisk", "memtest").id == 1


class TestSoapRebootIsOver:
    @pytest.mark.parametrize(
        ("start", "end", "elapsed", "over"),
        [
            ("2026-01-02 04:00:00", "2026-01-02 04:05:00", 300.0, True),
            ("2026-01-02 04:00:00", "2026-01-02 04:05:00", 299.9, False),
            ("2026-01-02 04:00:01", "2026-01-02 04:00:01", 0.0, True),
            ("2026-01-02 04:00:00", "2026-01-02 03:59:59", 9e9, False),
            ("2026-01-02 04:00:00", "", 9e9, False),
            ("2026-01-02 04:00:00", "soon", 9e9, False),
            ("2026-01-02 04:00:00", "2026-01-02", 9e9, False),
            ("2026-01-02 04:00:00", "2026-01-02T04:05+01", 9e9, False),
            ("", "2026-01-02 04:00:00", 9e9, False),
            ("", "", 0.0, True),
            ("2025-01-02 04:00:00", "2025-01-02 04:00:10", 10.0, True),
        ],
    )
    def test_rule(self, start: str, end: str, elapsed: float, over: bool) -> None:
        assert agent.is_reboot_over(start, end, elapsed) is over

    @given(start=st.text(max_size=25), end=st.text(max_size=25), elapsed=st.floats(0, 1e9))
    def test_garbage_is_never_over(self, start: str, end: str, elapsed: float) -> None:
        if agent.is_reboot_over(start, end, elapsed) and (start or end):
            assert len(start) == len(end) == 19


class TestWordsOfAFault:
    """OVH documents no codes of its SOAP API."""

    @pytest.mark.parametrize(
        "words",
        [
            "You must login first",
            "Login failed",
            "session of ab12345-ovh expired",
            "invalid password",
            "log in, please",
        ],
    )
    def test_a_refused_login(self, words: str) -> None:
        error = agent.soap_fault("login", words)
        assert type(error) is agent.Denied
        assert "check login and passwd" in str(error)

    @pytest.mark.parametrize(
        "words", ["No dedicated named ns1", "unknown server", "ns1 does not exist", "No such host"]
    )
    def test_an_unknown_server(self, words: str) -> None:
        assert type(agent.soap_fault("dedicatedNetbootInfo", words)) is agent.NotFound

    @pytest.mark.parametrize(
        "words", ["internal error", "maintenance", "a task is running already", "", "Not for you"]
    )
    def test_all_others_may_pass(self, words: str) -> None:
        assert type(agent.soap_fault("dedicatedHardRebootDo", words)) is agent.Fault


class TestSecrets:
    @given(
        # "?" also stands for what cannot be printed.
        secret=st.text(st.characters(blacklist_characters="*?"), min_size=1, max_size=60).filter(
            lambda text: len(text.split()) == 1
        ),
        before=st.text(max_size=20),
        after=st.text(max_size=20),
    )
    def test_no_secret_is_left(self, secret: str, before: str, after: str) -> None:
        secret = secret.strip()
        shown = agent.in_words(before + secret + after, [secret])
        assert not any(secret in part for part in shown.split("***"))

    def test_the_rest_is_left(self) -> None:
        assert agent.in_words("wrong Secret-123 for ab1", ["Secret-123"]) == "wrong *** for ab1"
        assert agent.in_words("nothing here", ["", "Secret-123"]) == "nothing here"

    def test_a_secret_with_white_space_is_found_in_any_spelling(self) -> None:
        secret = "my secret pass phrase"
        for text in ("my secret\npass  phrase", "my\tsecret pass phrase", secret):
            assert agent.in_words(f"no: {text}!", [secret]) == "no: ***!"

    def test_words_are_one_printable_line(self) -> None:
        words = agent.in_words("a\nb\x1b[31m\x00" + "x" * 999, [])
        assert words.isprintable()
        assert len(words) == 300


BOMB = (
    b"""<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><x>&b;</x>"""
)


class TestNoTextInPlaceOfFencing:
    """A cluster's configuration may have help and version: both are in the metadata."""

    @pytest.mark.parametrize("more", [[], ["--action=off", "--version=1"], ["--help=0"]])
    @pytest.mark.parametrize("given", ["--action", "--plug", "--nodename"])
    def test_of_a_cluster(
        self, monkeypatch: pytest.MonkeyPatch, more: list[str], given: str
    ) -> None:
        monkeypatch.setattr(agent.sys, "argv", ["fence_ovh", *more])
        options = {given: "off", "--help": "1", "--version": "1"}
        agent.leave_out_docs(options)
        assert options == {given: "off"}

    @pytest.mark.parametrize("name", ["--help", "--version"])
    def test_alone(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        for words in ([], [name]):
            monkeypatch.setattr(agent.sys, "argv", ["fence_ovh", *words])
            options = {name: "1"}
            agent.leave_out_docs(options)
            assert options == {name: "1"}

    @pytest.mark.parametrize("given", ["--action", "--plug", "--nodename"])
    def test_bare(self, monkeypatch: pytest.MonkeyPatch, given: str) -> None:
        monkeypatch.setattr(agent.sys, "argv", ["fence_ovh", f"{given}=off", "--version"])
        with pytest.raises(SystemExit) as left:
            agent.leave_out_docs({given: "off", "--version": "1"})
        assert left.value.code == 1


@pytest.mark.parametrize(
    ("checked", "given", "limit"),
    [("0", {}, "30"), (0, {"--shell-timeout": "7"}, "7"), ("5", {"--shell-timeout": "7"}, "5")],
)
def test_no_time_is_the_default(checked: object, given: dict[str, str], limit: str) -> None:
    """Under Pacemaker the distribution's library makes all limits 0."""
    agent.define_new_opts()
    options = {"--shell-timeout": checked, "--login-timeout": checked, "--power-timeout": checked}
    agent.use_defaults_for_zero(options, given)
    assert options["--shell-timeout"] == limit


class TestXml:
    @pytest.mark.parametrize(
        "body",
        [BOMB, BOMB.decode().encode("utf-16"), b"", b"<a>", b"<html><br></html>", b"\0", b"{}"],
    )
    def test_what_is_no_answer_is_refused(self, body: bytes) -> None:
        assert agent.parse_xml(body) is None

    @given(st.binary(max_size=200))
    def test_garbage_is_refused(self, body: bytes) -> None:
        agent.parse_xml(body)


class TestJson:
    @pytest.mark.parametrize("body", [b"<html>", b"{", b"[" * 100_000, b"\xff", b"nul"])
    def test_what_is_no_answer_is_refused(self, body: bytes) -> None:
        assert agent.parse_json("GET /x", agent.Answer(200, {}, body)) is None

    @given(st.binary(max_size=200))
    def test_garbage_is_refused(self, body: bytes) -> None:
        agent.parse_json("GET /x", agent.Answer(200, {}, body))

    @pytest.mark.parametrize("value", [None, "7", 7.0, True, -1, 2**63, 10**40])
    def test_what_is_no_number(self, value: object) -> None:
        with pytest.raises(agent.Fault):
            agent.Document("GET /x", {"taskId": value}).number("taskId")


class TestRules:
    @pytest.mark.parametrize(
        ("rule", "covers"),
        [
            (("POST", "/dedicated/server/ns1/reboot"), True),
            (("POST", "/dedicated/server/*"), True),
            (("POST", "*"), True),
            (("GET", "*"), False),
            (("POST", "/dedicated/server/*/reboot/*"), False),
            (("POST", "/dedicated/server/.*/reboot"), False),
            (("POST", "/dedicated/server/ns1/rebooT"), False),
        ],
    )
    def test_cover(self, rule: tuple[str, str], covers: bool) -> None:
        assert agent.rule_covers(rule, "POST", "/dedicated/server/ns1/reboot") is covers

    def test_an_asterisk_asked_for_is_covered_by_one_only(self) -> None:
        path = "/dedicated/server/ns1/task/*"
        assert agent.rule_covers(("GET", path), "GET", path)
        assert not agent.rule_covers(("GET", path.replace("*", "7")), "GET", path)
