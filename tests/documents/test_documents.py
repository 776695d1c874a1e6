"""What the agent says of itself: metadata, manual page, help, examples."""

from __future__ import annotations

import ast
import pathlib
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest

from tests.harness import AGENT, REPOSITORY, Agent, need

RELAXNG = pathlib.Path("/usr/share/cluster/relaxng")

SHIPPED_PARAMETERS = [
    "action",
    "debug",
    "debug_file",
    "delay",
    "disable_timeout",
    "email",
    "help",
    "login",
    "login_timeout",
    "passwd",
    "passwd_script",
    "password",
    "password_script",
    "plug",
    "plug_separator",
    "port",
    "power_timeout",
    "power_wait",
    "quiet",
    "retry_on",
    "separator",
    "shell_timeout",
    "stonith_status_sleep",
    "username",
    "verbose",
    "verbose_level",
    "version",
]
"""What the agent that distributions ship accepts (fence-agents 4.12.1)."""


@pytest.fixture
def metadata(our_agent: Agent) -> str:
    """What -o metadata prints."""
    result = our_agent.run(None, "-o", "metadata")
    assert (result.status, result.stderr) == (0, "")
    return result.stdout


def test_metadata_is_valid(metadata: str, tmp_path: pathlib.Path) -> None:
    need("xmllint", RELAXNG / "metadata.rng")
    path = tmp_path / "metadata.xml"
    path.write_text(metadata)
    subprocess.run(
        ["xmllint", "--noout", "--relaxng", str(RELAXNG / "metadata.rng"), str(path)],
        check=True,
        capture_output=True,
    )


def test_every_parameter_of_the_shipped_agent_is_there(metadata: str) -> None:
    names = {
        parameter.get("name") for parameter in ElementTree.fromstring(metadata).iter("parameter")
    }
    assert set(SHIPPED_PARAMETERS) <= names


def test_metadata_needs_no_login_and_no_package(our_agent: Agent) -> None:
    """On standard input, as Pacemaker asks for it, and under its other name."""
    for action in ("metadata", "meta-data"):
        result = our_agent.run({"action": action})
        assert (result.status, result.stderr) == (0, "")
    program = "import sys, runpy; sys.argv = ['fence_ovh', '-o', 'metadata']\n"
    program += (
        f"try: runpy.run_path({str(AGENT)!r}, run_name='__main__')\nexcept SystemExit: pass\n"
    )
    program += "sys.stderr.write(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert not set(done.stderr.split()) & {"suds", "ovh", "requests", "logging", "pexpect"}


ERRORS = (
    "Fault",
    "Nonsense",
    "Denied",
    "NoNetboot",
    "RebootFailed",
    "Unfit",
    "OutOfTime",
    "NoAnswer",
)


def message_texts() -> list[list[str]]:
    """The constant words of each warning and error of the agent, in pieces."""
    found = []
    for node in ast.walk(ast.parse(AGENT.read_text("utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func).rpartition(".")[2]
        arguments = node.args
        if called in ("warn_once", "nonsense") and not isinstance(arguments[0], ast.Name):
            message = arguments[0]
        elif called == "log" and ast.unparse(arguments[0]) in ("'warning'", "'error'"):
            message = arguments[1]
        elif called in ERRORS:
            message = arguments[2 if len(arguments) > 1 else 0]
        else:
            continue
        constants = [each.value for each in ast.walk(message) if isinstance(each, ast.Constant)]
        pieces = re.split("%[.0-9]*[a-z]|;", "%s".join(filter(None, map(str, constants))))
        found.append([stripped for piece in pieces if len(stripped := piece.strip(" :;()[]")) > 6])
    return [pieces for pieces in found if pieces]


def test_the_manual_page_explains_every_message() -> None:
    manual = (REPOSITORY / "man" / "fence_ovh.8").read_text("utf-8")
    page = manual.partition('.SH "DIAGNOSTICS"')[2]
    plain = page.replace("\\-", "-").replace("\\(dq", '"').replace("\\(aq", "'")
    texts = message_texts()
    assert len(texts) > 30
    assert [pieces for pieces in texts if not any(piece in plain for piece in pieces)] == []


def test_help_and_version(our_agent: Agent) -> None:
    result = our_agent.run(None, "-h")
    assert result.status == 0
    for words in (
        "--rescue-boot",
        "\nFor this device:\n",
        "\nExamples:\n",
        "\n       fence_ovh -o ",
    ):
        assert words in result.stdout
    result = our_agent.run(None, "-V")
    assert result.status == 0
    assert result.stdout.strip()


def test_the_example_is_valid_xml_with_three_nodes() -> None:
    root = ElementTree.parse(REPOSITORY / "examples" / "cluster.conf").getroot()
    assert len(root.findall(".//clusternode")) == 3
    devices = {device.get("name") for device in root.findall(".//fencedevice")}
    assert {device.get("name") for device in root.findall(".//device")} == devices
