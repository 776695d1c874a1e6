# SPDX-License-Identifier: GPL-2.0-or-later
"""Usage, version, metadata and manual page."""

from __future__ import annotations

import pathlib
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fencing
from tests.library.toy_agent import DISTRIBUTION, DOCS, Toy, needs_distribution, problems

SCHEMA = pathlib.Path("/usr/share/cluster/relaxng/metadata.rng")
NASTY = {
    "shortdesc": "Fence <agent> for \"toys\" & 'such'",
    "longdesc": ".dot \\e first\n\n'quote -x --long-option\u00e9 /a-b ~^`\n\n    $ run --it 'now'\n"
    "    .next\n\n\nend ]]> \u20ac",
    "vendorurl": "https://example.org/?a=1&b=2",
    "symlink": [["fence_other", "Other <toys>"]],
    "agent_name": "fence_named",
}


@pytest.fixture
def toy(tmp_path: pathlib.Path) -> Toy:
    return Toy(tmp_path)


def metadata(toy: Toy, docs: dict[str, Any] = DOCS) -> bytes:
    result = toy.run("-o", "metadata", docs=docs)
    assert (result.returncode, result.stderr) == (0, b"")
    return result.stdout


Parameter = tuple[dict[str, str], str, dict[str, str], list[str]]


def parameters(text: bytes) -> dict[str, Parameter]:
    """Attributes, command line form, content and choices of every parameter."""
    found = {}
    for element in ElementTree.fromstring(text).iter("parameter"):
        content = element.find("content")
        getopt = element.find("getopt")
        assert content is not None and getopt is not None
        choices = [option.attrib["value"] for option in content]
        parameter = (element.attrib, getopt.attrib["mixed"], content.attrib, choices)
        found[element.attrib["name"]] = parameter
    return found


def test_names_are_sorted_by_order_then_name(toy: Toy) -> None:
    assert list(parameters(metadata(toy))) == [
        *("action", "login", "method", "passwd", "passwd_script", "password"),
        *("password_script", "plug", "port", "username", "toy_flag", "toy_kind", "toy_level"),
        *("quiet", "verbose", "verbose_level", "debug", "debug_file", "version", "help"),
        *("plug_separator", "separator", "delay", "disable_timeout", "login_timeout"),
        *("power_timeout", "power_wait", "shell_timeout", "stonith_status_sleep", "retry_on"),
    ]


def test_one_parameter(toy: Toy) -> None:
    found = parameters(metadata(toy))
    form = "-n, --plug=[id]"
    common = {"unique": "0", "required": "1"}
    text = {"type": "string"}
    assert found["plug"] == ({"name": "plug", "obsoletes": "port", **common}, form, text, [])
    assert found["port"] == ({"name": "port", "deprecated": "1", **common}, form, text, [])
    assert found["toy_kind"][2:] == ({"type": "select", "default": "Alpha"}, ["Alpha", "beta"])
    assert found["toy_flag"][1:] == ("--toy-flag", {"type": "boolean"}, [])


def test_actions(toy: Toy) -> None:
    actions = [element.attrib for element in ElementTree.fromstring(metadata(toy)).iter("action")]
    assert actions[0] == {"name": "on", "automatic": "0"}
    assert [action["name"] for action in actions] == list(fencing._ACTION_NAMES)


def test_text_is_escaped(toy: Toy) -> None:
    text = metadata(toy, NASTY)
    assert toy.run("-o", "metadata", docs=NASTY, PYTHONIOENCODING="ascii").stdout == text
    root = ElementTree.fromstring(text)
    assert root.attrib == {"name": "fence_named", "shortdesc": NASTY["shortdesc"]}
    assert root.findtext("longdesc") == NASTY["longdesc"]
    assert root.findtext("vendor-url") == NASTY["vendorurl"]
    assert [link.attrib["shortdesc"] for link in root.iter("symlink")] == ["Other <toys>"]


@given(text=st.text(st.characters(blacklist_categories=["Cs", "Cc", "Cn"])))
def test_any_text_survives_xml(text: str) -> None:
    assert ElementTree.fromstring(f'<a b="{fencing._xml(text)}"/>').attrib["b"] == text


@pytest.mark.skipif(not SCHEMA.exists(), reason=f"no {SCHEMA}")
@pytest.mark.skipif(not shutil.which("xmllint"), reason="no xmllint")
@pytest.mark.parametrize("docs", [DOCS, NASTY])
def test_metadata_fits_the_schema(toy: Toy, docs: dict[str, Any]) -> None:
    command = ["xmllint", "--noout", "--relaxng", str(SCHEMA), "-"]
    subprocess.run(command, input=metadata(toy, docs), check=True, capture_output=True)


@needs_distribution
def test_same_parameters_as_the_distribution(toy: Toy, tmp_path: pathlib.Path) -> None:
    ours = parameters(metadata(toy))
    theirs = parameters(metadata(Toy(tmp_path, DISTRIBUTION)))
    # It takes a value, which the distribution's usage line does not say.
    assert theirs["verbose_level"][1] == "--verbose-level"
    assert ours.pop("verbose_level")[1] == "--verbose-level=[level]"
    del theirs["verbose_level"]
    assert ours == theirs


@needs_distribution
def test_same_actions_as_the_distribution(toy: Toy, tmp_path: pathlib.Path) -> None:
    found = []
    for agent in (toy, Toy(tmp_path, DISTRIBUTION)):
        root = ElementTree.fromstring(metadata(agent))
        found.append([action.attrib for action in root.iter("action")])
    assert found[0] == found[1]


@pytest.mark.parametrize("lines", [b"action=metadata", b"option=meta-data\n", b"action=MetaData"])
def test_metadata_by_stdin(toy: Toy, lines: bytes) -> None:
    assert toy.run(stdin=lines).stdout == metadata(toy)


def test_manpage_is_the_metadata(toy: Toy) -> None:
    """As the field's agents do it: their tools make a page of it."""
    assert toy.run("-o", "manpage").stdout == metadata(toy)


def test_version(toy: Toy) -> None:
    for result in (toy.run("-V"), toy.run(stdin=b"version=1")):
        assert (result.returncode, result.stdout) == (0, f"{fencing.RELEASE_VERSION}\n".encode())


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_usage_fits_the_terminal(toy: Toy, width: int) -> None:
    result = toy.run("-h", "-o", "off", COLUMNS=str(width))
    assert (result.returncode, result.stderr) == (0, b"")
    lines = result.stdout.decode().splitlines()
    assert lines[:2] == ["Usage:", "   fence_toy [options]"]
    assert "For this device:" in lines
    assert all(len(line) <= width for line in lines)
    words = " ".join(result.stdout.decode().split())
    assert "-k, --toy-kind=[kind] Kind of the toy (default: Alpha)" in words
    for name in fencing._option_names(["login", "passwd", "port", "method"]):
        assert fencing._key(name) in words


@pytest.mark.parametrize("columns", ["", "0", "-1", "x", "5"])
def test_odd_widths(toy: Toy, columns: str) -> None:
    assert toy.run("-h", COLUMNS=columns).returncode == 0


@pytest.mark.parametrize("arguments", [("-h",), ("-V",), ("-o", "metadata"), ("-o", "manpage")])
@pytest.mark.parametrize("redirection", [">/dev/full", ">&-"])
def test_stdout_that_takes_nothing(toy: Toy, arguments: tuple[str, ...], redirection: str) -> None:
    command = ["/bin/sh", "-c", f'"$@" {redirection}', "sh", *toy.command(*arguments)]
    result = subprocess.run(command, env=toy.environment(), capture_output=True)
    assert result.returncode == 1
    assert len(problems(result)) == 1
    assert problems(result)[0].startswith("standard output cannot be written: ")


@pytest.mark.parametrize("arguments", [("-h",), ("-V",), ("-o", "metadata"), ("-o", "manpage")])
def test_documentation_imports_little(toy: Toy, arguments: tuple[str, ...]) -> None:
    command = toy.command(*arguments)
    command[1:1] = ["-I", "-S", "-X", "importtime"]
    result = subprocess.run(command, env=toy.environment(), capture_output=True, check=True)
    imported = {line.rpartition(b"|")[2].strip() for line in result.stderr.splitlines()}
    assert b"fencing" in imported
    costly = "re getopt argparse logging textwrap typing dataclasses enum signal collections"
    costly += " subprocess contextlib functools shlex shutil syslog getpass locale"
    assert not imported & {name.encode() for name in costly.split()}
