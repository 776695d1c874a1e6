# SPDX-License-Identifier: GPL-2.0-or-later
"""`make upstream`: the agent in a checkout of fence-agents, and its own build of it.

The build needs a real checkout: FENCE_AGENTS=FOLDER. It is cloned, never changed.
"""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from tests import agent_module, harness
from tests.conftest import MakeOnce
from tests.harness import AGENT, DEBIAN_PYTHON, REPOSITORY, Agent, Backend, need, offline

agent = agent_module.load()

THEIR_AGENT = "agents/ovh/fence_ovh.py"
THEIR_METADATA = "tests/data/metadata/fence_ovh.xml"
TEXT = REPOSITORY / "packaging" / "upstream.md"

OLD_METADATA = """<?xml version="1.0" ?>
<resource-agent name="fence_ovh" shortdesc="Old" >
<parameters>
	<parameter name="email" unique="0" required="1">
		<getopt mixed="-Z, --email=[email]" />
		<content type="string"  />
		<shortdesc lang="en">Reboot email</shortdesc>
	</parameter>
	<parameter name="power_timeout" unique="0" required="0">
		<getopt mixed="--power-timeout=[seconds]" />
		<content type="second" default="20"  />
		<shortdesc lang="en">Test X seconds</shortdesc>
	</parameter>
	<parameter name="moon" unique="0" required="0">
		<getopt mixed="--moon=[phase]" />
		<content type="string"  />
		<shortdesc lang="en">Phase of the moon</shortdesc>
	</parameter>
</parameters>
<actions>
	<action name="off" />
</actions>
</resource-agent>
"""


def git(folder: pathlib.Path, *arguments: str) -> str:
    """What git says of a checkout."""
    who = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    command = ["git", "-C", str(folder), *who, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def upstream(checkout: object, sources: pathlib.Path) -> subprocess.CompletedProcess[str]:
    """Run `make upstream` in a copy of the sources, into whose dist/ the text goes."""
    command = ["make", "-s", "-C", str(sources), "upstream", f"DIR={checkout}"]
    command.append(f"PYTHON={sys.executable}")
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture
def sources(tmp_path: pathlib.Path) -> pathlib.Path:
    need("make", "git")
    harness.copy_sources(tmp_path / "sources")
    return tmp_path / "sources"


@pytest.fixture
def checkout(tmp_path: pathlib.Path) -> pathlib.Path:
    """What `make upstream` looks at in a checkout. Our library stands in for theirs."""
    need("git")
    folder = tmp_path / "fence-agents"
    library = (REPOSITORY / "fencing.py").read_text("utf-8")
    files = {
        THEIR_AGENT: "old\n",
        "lib/fencing.py.py": library.replace("Print this help and exit", "THEIRS"),
        THEIR_METADATA: OLD_METADATA,
        "fence-agents.spec.in": "%package ovh\nRequires: python3-suds\n",
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "old")
    git(folder, "update-ref", "refs/remotes/origin/main", "HEAD")
    return folder


def test_two_lines_of_the_agent_differ(checkout: pathlib.Path, sources: pathlib.Path) -> None:
    assert upstream(checkout, sources).returncode == 0
    ours = AGENT.read_text("utf-8").splitlines()
    theirs = (checkout / THEIR_AGENT).read_text("utf-8").splitlines()
    assert len(ours) == len(theirs)
    assert [pair for pair in zip(ours, theirs) if pair[0] != pair[1]] == [
        ("#!/usr/bin/python3 -IS", "#!@PYTHON@ -IS"),
        ('DISTRIBUTION = "/usr/share/fence"', 'DISTRIBUTION = "@FENCEAGENTSLIBDIR@"'),
    ]


def test_nothing_else_is_touched(checkout: pathlib.Path, sources: pathlib.Path) -> None:
    assert upstream(checkout, sources).returncode == 0
    assert git(checkout, "status", "--short").split() == ["M", THEIR_AGENT, "M", THEIR_METADATA]
    assert git(checkout, "diff", "--summary") == ""  # no mode is changed


def test_the_metadata_is_what_their_library_prints(
    checkout: pathlib.Path, sources: pathlib.Path
) -> None:
    assert upstream(checkout, sources).returncode == 0
    document = ElementTree.parse(checkout / THEIR_METADATA)
    assert document.findtext(".//parameter[@name='help']/shortdesc") == "THEIRS"
    assert document.find(".//parameter[@name='api']/content") is not None
    # Their tests leave out a line of each option whose name ends so.
    assert document.find(".//parameter[@name='debug_file']/content") is None
    assert document.find(".//parameter[@name='debug_file']/shortdesc") is not None


def test_the_second_time_changes_nothing(checkout: pathlib.Path, sources: pathlib.Path) -> None:
    """Also when the first is committed: it is still compared with the agent that they have."""
    results = []
    for _ in range(2):
        assert upstream(checkout, sources).returncode == 0
        files = [checkout / THEIR_AGENT, checkout / THEIR_METADATA, sources / "dist/upstream.md"]
        results.append([path.read_bytes() for path in files])
        git(checkout, "commit", "-q", "--all", "--allow-empty", "-m", "new")
    assert results[0] == results[1]


def test_the_text_says_what_changes(checkout: pathlib.Path, sources: pathlib.Path) -> None:
    assert upstream(checkout, sources).returncode == 0
    text = (sources / "dist" / "upstream.md").read_text("utf-8")
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    cells = {row[0].strip("|` "): [cell.strip("| ") for cell in row[1:]] for row in rows}
    assert cells["email"][:2] == ["required", "optional"]
    assert cells["power_timeout"][:2] == ["optional, default 20", "optional, default 900"]
    assert cells["moon"][:2] == ["optional", "gone"]
    new, now, description = cells["off_mode"]
    assert (new, now) == ("—", "optional, default rescue, one of rescue, power")
    assert description == "What off leaves the server in; power is REST only"
    assert cells["actions"][0] == "off"
    assert ", status," in cells["actions"][1]
    assert "login" not in cells  # its newest name is username
    assert all(len(row) == 4 for row in rows)
    assert "@CHANGES@" not in text


@pytest.mark.parametrize("kind", ["none given", "missing", "empty", "other files", "no history"])
def test_refuses_what_is_no_checkout(
    checkout: pathlib.Path, sources: pathlib.Path, tmp_path: pathlib.Path, kind: str
) -> None:
    folder: object = tmp_path / "other"
    if kind == "none given":
        folder = ""
    elif kind != "missing":
        (tmp_path / "other").mkdir()
    if kind == "other files":
        (tmp_path / "other" / "lib").mkdir()
        (tmp_path / "other" / "lib" / "fencing.py.py").touch()
    if kind == "no history":
        folder = checkout
        (checkout / ".git").rename(tmp_path / "git")
    result = upstream(folder, sources)
    assert result.returncode != 0
    words = "DIR=" if kind == "none given" else f"{folder} is no checkout of fence-agents: "
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert (checkout / THEIR_AGENT).read_text() == "old\n"
    assert not (sources / "dist").exists()


def test_says_why_their_library_does_not_run(checkout: pathlib.Path, sources: pathlib.Path) -> None:
    (checkout / "lib" / "fencing.py.py").write_text("import no_such_module_xyz\n")
    result = upstream(checkout, sources)
    assert result.returncode != 0
    assert "no_such_module_xyz" in result.stderr
    assert "python3-pycurl" in result.stderr
    assert (checkout / THEIR_AGENT).read_text() == "old\n"


# What the text says by hand


def test_the_text_names_parameters_that_there_are(our_agent: Agent) -> None:
    document = ElementTree.fromstring(our_agent.run(None, "-o", "metadata").stdout)
    parameters = {each.get("name") for each in document.iter("parameter")}
    actions = {each.get("name") for each in document.iter("action")}
    others = {"AttributeError", "configure.ac", ".ovh.net"}
    named = {name.partition("=")[0] for name in re.findall("`([^`]+)`", TEXT.read_text("utf-8"))}
    named = {name for name in named if not name.startswith("pcmk_")}
    assert named - others <= parameters | actions
    assert len(named & parameters) >= 5


def test_the_text_has_the_facts_of_other_places() -> None:
    text = TEXT.read_text("utf-8")
    python = re.search('python_requires=">=(.+)"', (REPOSITORY / "setup.py").read_text("utf-8"))
    assert python
    assert f"needs Python {python[1]};" in text
    assert AGENT.read_text("utf-8").splitlines()[1] == "# SPDX-License-Identifier: GPL-2.0-or-later"
    assert "GPL-2.0-or-later" in text
    waits = re.search(r"pcmk_reboot_timeout`.* say (\d+)\.", text, re.S)
    assert waits
    assert int(waits[1]) > int(agent.DEFAULTS["power_timeout"])


# What their build wants


def test_no_option_of_ours_is_read_as_one_of_the_library() -> None:
    """Their check_used_options finds an agent's own options only where they are literals."""
    own = {"--" + name.replace("_", "-") for name, *_ in agent.NEW}
    reads = re.findall(r'options\["(-[^"]*)"\]|"(-[^"]*)" in options', AGENT.read_text("utf-8"))
    used = {name for pair in reads for name in pair if name}
    assert "--action" in used
    assert used & own == set()


def test_the_library_of_a_build_comes_before_the_installed_one(tmp_path: pathlib.Path) -> None:
    """Their build has it in PYTHONPATH."""
    source = AGENT.read_text("utf-8")
    for folder in ("build", "installed", "agents"):
        (tmp_path / folder).mkdir()
    for folder in ("build", "installed"):
        library = (REPOSITORY / "fencing.py").read_text("utf-8")
        library = re.sub("(?m)^RELEASE_VERSION = .*", f'RELEASE_VERSION = "{folder}"', library)
        (tmp_path / folder / "fencing.py").write_text(library)
    program = tmp_path / "agents" / "fence_ovh"
    program.write_text(source.replace('"/usr/share/fence"', repr(str(tmp_path / "installed"))))
    built = Agent([sys.executable, str(program)])
    path = {"PYTHONPATH": str(tmp_path / "build")}
    assert built.run(None, "-V", env=path).stdout == "build\n"
    assert built.run(None, "-V").stdout == "installed\n"


def succeed(command: list[str], **more: Any) -> None:
    """Run a command; if it fails, show what it wrote."""
    done = subprocess.run(command, capture_output=True, text=True, **more)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def build(made_once: MakeOnce) -> pathlib.Path:
    """A clone of the checkout, with the agent in it, built by its own makefiles."""
    folder = os.environ.get("FENCE_AGENTS")
    if not folder:
        pytest.skip("FENCE_AGENTS names no checkout of fence-agents")
    tools = ("make", "git", "autoreconf", "libtoolize", "gcc", "pkg-config", "xmllint", "xsltproc")
    need(*tools, pathlib.Path("/usr/bin/time"))
    for module in ("pycurl", "pexpect", "requests", "suds"):
        if missing := harness.missing_for_debian(module):
            pytest.skip(missing)

    def build_it(made: pathlib.Path) -> None:
        clone = made / "fence-agents"
        git(made, "clone", "-q", str(folder), str(clone))
        harness.copy_sources(made / "sources")
        command = ["make", "-s", "-C", str(made / "sources"), "upstream", f"DIR={clone}"]
        subprocess.run(command, check=True)
        for command in (
            ["./autogen.sh"],
            ["./configure", f"PYTHON={DEBIAN_PYTHON}", "--with-agents=ovh"],
            ["make", "-s", "-C", "lib"],
            ["make", "-s", "-C", "agents"],
        ):
            succeed(command, cwd=clone)

    return made_once("upstream", build_it) / "fence-agents"


def test_their_checks(build: pathlib.Path) -> None:
    """Used options, valid metadata and manual page, the same metadata, the delay. No network."""
    ours = (build / THEIR_METADATA).read_bytes()
    for target in ("check", "ovh/fence_ovh.xml-upload"):
        # The delay is 10 s; the agent must not try again for its power_timeout of 900 s.
        succeed(offline("make", "-s", "-C", "agents", target), cwd=build, timeout=300)
    assert (build / THEIR_METADATA).read_bytes() == ours


def test_fences_on_their_newest_library(build: pathlib.Path, ovh: Backend) -> None:
    program = str(build / "agents" / "ovh" / "fence_ovh")
    built = Agent([DEBIAN_PYTHON, program], {"PYTHONPATH": str(build / "lib")})
    result = built.run(ovh.options("off"))
    assert (result.status, ovh.cuts()) == (0, ["rescue12-customer"]), result.stderr
    assert built.run(ovh.options("status")).status == 2
    assert built.run(ovh.options("reboot")).status == 0
