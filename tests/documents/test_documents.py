"""What the agent says of itself: metadata, manual page, help, examples."""

from __future__ import annotations

import ast
import pathlib
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator

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


MESSAGE_AT = {
    # Of the agent
    "Fault": 1,
    "Denied": 1,
    "NotFound": 1,
    "Unfit": 1,
    "NoAnswer": 0,
    "warn": 0,
    "_fail": 0,
    # Of the library
    "fail_usage": 0,
    "_log_problem": 0,
    "_UsageProblem": 0,
}
"""Which argument of a call is the message."""

UNUSED = ("run_command", "_cycle", "cycle_one")
"""What the library says to agents of other kinds."""


def message_of(call: ast.Call) -> ast.expr | None:
    """What a call says to an admin, if it does."""
    called, arguments = ast.unparse(call.func), call.args
    name = called.rpartition(".")[2]
    if called == "log":
        return None if ast.unparse(arguments[0]) in ("'debug'", "'info'") else arguments[1]
    if name == "fault":  # of a client: call, answer, reason; of a document: reason
        return arguments[2 if len(arguments) > 1 else 0]
    if called in ("_logger().warning", "_logger().error"):
        return arguments[0]
    return arguments[MESSAGE_AT[name]] if name in MESSAGE_AT else None


def messages_in(function: ast.FunctionDef) -> Iterator[ast.expr]:
    """What a function says; for a variable, all that it is set to."""
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and (message := message_of(node)):
            yield message
            for other in ast.walk(function):
                if isinstance(other, (ast.Assign, ast.AugAssign)) and any(
                    ast.unparse(message) == ast.unparse(target)
                    for target in getattr(other, "targets", None) or [other.target]
                ):
                    yield other.value
        elif (
            isinstance(node, (ast.Yield, ast.Return)) and "problem" in function.name and node.value
        ):
            yield node.value


def pieces_of(message: ast.expr) -> list[str]:
    """The words of a message that never vary."""
    constants = [each.value for each in ast.walk(message) if isinstance(each, ast.Constant)]
    text = "%s".join(each for each in constants if isinstance(each, str))
    text = re.sub(r"(?<=no usable )\w+", "%s", text)
    pieces = [piece.strip(" :;()[]") for piece in re.split("%[.0-9]*[a-z]|;", text)]
    return [piece for piece in pieces if len(piece) > 6]


def message_texts() -> list[list[str]]:
    """The constant words of each warning and error of agent and library, in pieces."""
    texts = [path.read_text("utf-8") for path in (AGENT, REPOSITORY / "fencing.py")]
    nodes = [node for text in texts for node in ast.walk(ast.parse(text))]
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef)]
    used = [function for function in functions if function.name not in UNUSED]
    found = [pieces_of(message) for function in used for message in messages_in(function)]
    return [pieces for pieces in found if pieces]


def test_the_manual_page_explains_every_message() -> None:
    manual = (REPOSITORY / "man" / "fence_ovh.8").read_text("utf-8")
    page = manual.partition('.SH "DIAGNOSTICS"')[2]
    plain = page.replace("\\-", "-").replace("\\(dq", '"').replace("\\(aq", "'")
    texts = message_texts()
    assert len(texts) > 80
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
