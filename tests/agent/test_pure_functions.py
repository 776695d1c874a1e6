"""The agent's pure functions."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import agent_module

agent = agent_module.load()


def netboot(id: int, kernel: str, active: bool = True) -> object:
    """A netboot whose kind follows from its kernel, as in the SOAP API."""
    kind = "disk" if kernel == "hd" else "rescue" if "rescue" in kernel.lower() else "other"
    return agent.Netboot(id, kernel, kind, active)


OFFERED = [
    netboot(1, "hd"),
    netboot(22, "rescue-pro", active=False),
    netboot(1122, "rescue64-pro"),
    netboot(1140, "bsd-rescue-pro"),
    netboot(99999, "WinRescue"),
    netboot(8000, "rescue12-customer"),
    netboot(90000, "rescue13-customer", active=False),
    netboot(70000, "bzImage-4.19-xxxx-grs-ipv6-64"),
    netboot(70001, "memtest"),
]


class TestChoiceOfNetboot:
    def test_the_newest_active_linux_rescue(self) -> None:
        assert agent.choose_rescue(OFFERED).kernel == "rescue12-customer"

    @pytest.mark.parametrize("wanted", ["rescue-pro", "22", "WinRescue", "memtest"])
    def test_what_was_asked_for(self, wanted: str) -> None:
        assert wanted in (
            agent.choose_rescue(OFFERED, wanted).kernel,
            str(agent.choose_rescue(OFFERED, wanted).id),
        )

    @pytest.mark.parametrize(
        "wanted", ["hd", "1", "70000", "bzImage-4.19-xxxx-grs-ipv6-64", "nothing", "rescue"]
    )
    def test_never_what_runs_the_old_system(self, wanted: str) -> None:
        assert agent.choose_rescue(OFFERED, wanted) is None

    def test_none_where_only_others_are_offered(self) -> None:
        assert agent.choose_rescue([n for n in OFFERED if not n.active or not n.is_linux()]) is None

    def test_the_disk(self) -> None:
        assert agent.choose_kind(OFFERED, "disk").id == 1
        assert agent.choose_kind(OFFERED[1:], "disk") is None


BEFORE = ("2026-01-02 03:04:05", "2026-01-02 04:00:00")


class TestSoapRebootIsOver:
    @pytest.mark.parametrize(
        ("start", "end", "elapsed", "over"),
        [
            ("2026-01-02 04:00:00", "2026-01-02 04:05:00", 300.0, True),
            ("2026-01-02 04:00:00", "2026-01-02 04:05:00", 299.9, False),
            ("2026-01-02 04:00:01", "2026-01-02 04:00:01", 0.0, True),
            ("2026-01-02 04:00:00", "2026-01-02 04:00:00", 9e9, False),
            ("2026-01-02 04:00:00", "2026-01-02 03:59:59", 9e9, False),
            ("2026-01-02 04:00:00", "", 9e9, False),
            ("2026-01-02 04:00:00", "soon", 9e9, False),
            ("2026-01-02 04:00:00", "2026-01-02", 9e9, False),
            ("2026-01-02 04:00:00", "2026-01-02T04:05+01", 9e9, False),
            ("", "2026-01-02 04:00:00", 9e9, False),
            (BEFORE[0], "2026-01-02 04:05:00", 9e9, False),
            ("2025-01-02 04:00:00", "2025-01-02 04:00:10", 10.0, True),
        ],
    )
    def test_rule(self, start: str, end: str, elapsed: float, over: bool) -> None:
        assert agent.soap_reboot_is_over(BEFORE, start, end, elapsed) is over

    @given(start=st.text(max_size=25), end=st.text(max_size=25), elapsed=st.floats(0, 1e9))
    def test_garbage_is_never_over(self, start: str, end: str, elapsed: float) -> None:
        if agent.soap_reboot_is_over(BEFORE, start, end, elapsed):
            assert len(start) == len(end) == 19


class TestSecrets:
    @given(
        secret=st.text(st.characters(blacklist_characters="*"), min_size=1, max_size=60),
        before=st.text(max_size=20),
        after=st.text(max_size=20),
        data=st.data(),
    )
    def test_no_piece_of_a_secret_is_left(
        self, secret: str, before: str, after: str, data: st.DataObject
    ) -> None:
        """Servers quote a part of what they were sent, or are cut short in the middle of it."""
        size = min(8, len(secret))
        start = data.draw(st.integers(0, len(secret) - size))
        shown = agent.redact(before + secret[start:] + after, [secret])
        pieces = {secret[i : i + size] for i in range(len(secret) - size + 1)}
        assert not any(piece in part for piece in pieces for part in shown.split("***"))

    def test_the_rest_is_left(self) -> None:
        assert agent.redact("wrong Secret-123 for ab1", ["Secret-123"]) == "wrong *** for ab1"
        assert agent.redact("nothing here", ["", "Secret-123"]) == "nothing here"

    def test_a_secret_with_white_space_is_found_in_any_spelling(self) -> None:
        secret = "my secret pass phrase"
        for text in ("my secret\npass  phrase", "my\tsecret pass phrase", secret):
            assert agent.in_words(f"no: {text}!", [secret]) == "no: ***!"

    def test_no_more_of_an_answer_is_looked_through_than_a_message_needs(self) -> None:
        far = " " * agent.MOST_WORDS
        assert agent.in_words(f"no{far}at all") == "no"
        assert "Secret-1" not in agent.in_words(
            "x" * (agent.MOST_WORDS - 9) + " Secret-123", ["Secret-123"]
        )

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


def test_calls_keep_their_limits_where_power_timeout_is_lifted() -> None:
    agent.define_new_opts()
    options = {"--disable-timeout": "true", "--login-timeout": 0, "--shell-timeout": 0}
    agent.keep_call_limits(options, {"--shell-timeout": "7"})
    assert (options["--login-timeout"], options["--shell-timeout"]) == ("30", "7")


class TestXml:
    @pytest.mark.parametrize(
        "body",
        [BOMB, BOMB.decode().encode("utf-16"), b"", b"<a>", b"<html><br></html>", b"\0", b"{}"],
    )
    def test_what_is_no_answer_is_refused(self, body: bytes) -> None:
        with pytest.raises(ValueError):
            agent.parse_xml(body)

    @given(st.binary(max_size=200))
    def test_garbage_is_refused(self, body: bytes) -> None:
        with contextlib.suppress(ValueError):
            agent.parse_xml(body)


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("ns1234.ovh.net", True),
        ("NS1.ip-1-2-3.eu", True),
        ("a" * 63 + ".eu", True),
        ("a" * 64 + ".eu", False),
        ("", False),
        (".eu", False),
        ("a..b", False),
        ("a/b", False),
        ("a b", False),
        ("a\n", False),
        ("-a.eu", False),
        ("ns1234.ovh.net?x=1", False),
        ("١.eu", False),
    ],
)
def test_host_names(text: str, good: bool) -> None:
    assert agent.is_host_name(text) is good


@pytest.mark.parametrize(
    ("value", "seconds"), [("7", 7.0), ("", 0.0), ("soon", 0.0), ("-1", 0.0), ("9" * 400, 999999.0)]
)
def test_retry_after(value: str, seconds: float) -> None:
    assert agent.retry_after({"retry-after": value}) == seconds
