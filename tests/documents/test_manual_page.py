# SPDX-License-Identifier: GPL-2.0-or-later
"""The manual page: it is what man/build.py makes, it shows all, and man shows it."""

from __future__ import annotations

import pathlib
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from man import build
from tests.documents import documents
from tests.harness import REPOSITORY, Agent, need

PAGE = REPOSITORY / "man" / "fence_ovh.8"

OF_OTHERS = {"agent", "name", "nodeid", "node", "interval", "timeout"} | {
    f"application_{each}" for each in ("key", "secret")
}
"""Names in the examples that are no options of the agent."""

METADATA = """
<resource-agent name="fence_toy" shortdesc="Fence &lt;agent&gt; for &quot;toys&quot; &amp; 'such'" >
<longdesc>.dot \\e first 'quote -x --long-option\u00e9 /a-b ~^`</longdesc>
<parameters>
\t<parameter name="name" unique="0" required="0" deprecated="1">
\t\t<getopt mixed="-n, --plug=[id]" /><content type="string" default="," />
\t\t<shortdesc lang="en">Plug</shortdesc>
\t</parameter>
\t<parameter name="kind" unique="0" required="0">
\t\t<getopt mixed="-k, --kind=[kind]" />
\t\t<content type="select" default="Alpha"><option value="Alpha" /><option value="b-c" /></content>
\t\t<shortdesc lang="en">Kind of the toy</shortdesc>
\t</parameter>
\t<parameter name="plug" unique="0" required="0" obsoletes="name">
\t\t<getopt mixed="-n, --plug=[id]" /><content type="string" default="," />
\t\t<shortdesc lang="en">Plug</shortdesc>
\t</parameter>
</parameters>
</resource-agent>
"""

SECTIONS = r"""Not on the page.

# OPTIONS
'Options' come
from here.

# ODD "HEADING"


# EXAMPLES

First:

    $ run --it 'now'
    .next \e

and
more, end ]]> €

# TERMS

-o is a
term
    Its
    explanation.

a second
    .one
"""


def shown(page: str, width: int = 200) -> list[str]:
    """The lines that man shows, stripped."""
    need("man", pathlib.Path("/usr/bin/groff"))
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANWIDTH": str(width)}
    command = ["man", "--warnings", "-E", "UTF-8", "-l", "-"]
    done = subprocess.run(command, input=page.encode(), env=environment, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    return [line.strip() for line in done.stdout.decode().splitlines()]


@pytest.fixture
def toy_page() -> str:
    return build.page(ElementTree.fromstring(METADATA), "7.0", SECTIONS)


def test_it_is_what_the_build_makes() -> None:
    """After a change of the agent's options or of man/sections.txt: make man."""
    command = [sys.executable, str(REPOSITORY / "man" / "build.py")]
    assert subprocess.run(command, check=True, capture_output=True).stdout == PAGE.read_bytes()


def test_its_sections() -> None:
    lines = PAGE.read_text("utf-8").splitlines()
    assert [line[4:].strip('"') for line in lines if line.startswith(".SH ")] == [
        "NAME",
        "SYNOPSIS",
        "DESCRIPTION",
        "HOW IT WORKS",
        "CHOICE OF THE API",
        "OPTIONS",
        "ACTIONS",
        "EXIT STATUS",
        "WHAT STATUS CANNOT KNOW",
        "THE RESCUE MAIL ADDRESS",
        "FILES",
        "ENVIRONMENT",
        "EXAMPLES",
        "SECURITY",
        "DIAGNOSTICS",
        "SEE ALSO",
    ]


def test_man_shows_it_without_warnings() -> None:
    assert "EXIT STATUS" in shown(PAGE.read_text("utf-8"), width=80)


def test_groff_shows_it_without_warnings(toy_page: str) -> None:
    if not shutil.which("groff"):
        pytest.skip("no groff")
    for page in (toy_page, PAGE.read_text("utf-8")):
        command = ["groff", "-ww", "-man", "-Tutf8"]
        done = subprocess.run(command, input=page.encode(), capture_output=True)
        assert (done.returncode, done.stderr) == (0, b"")


def test_every_action_is_on_it(our_agent: Agent) -> None:
    metadata = ElementTree.fromstring(our_agent.run(None, "-o", "metadata").stdout)
    blocks = build.sections_of(build.SECTIONS.read_text("utf-8"))["ACTIONS"]
    terms = [" ".join(block.plain) for block in blocks]
    assert {action.attrib["name"] for action in metadata.iter("action")} <= set(terms)


def test_options_are_named_as_the_examples_write_them() -> None:
    """Also those of the README: who copies one finds every name of it on the page."""
    page = PAGE.read_text("utf-8").partition('.SH "OPTIONS"')[2].partition(".SH ")[0]
    heads = "\n".join(line for line in page.splitlines() if line.startswith("\\fB"))
    named = set(re.findall(r"\\fB(\w+)\\fR=|also \\fB(\w+)\\fR", heads))
    blocks = build.sections_of(build.SECTIONS.read_text("utf-8"))["EXAMPLES"]
    written = "\n".join(line for block in blocks for line in block.indented)
    readme = REPOSITORY / "README.md"
    for section in ("First steps", "In a cluster"):
        written += "\n".join(documents.blocks(readme, section))
    given = set(re.findall(r"(?<![-\w])([a-z]\w+)=(?!=)", written))
    given = {name for name in given if not name.startswith("pcmk_")} - OF_OTHERS
    assert {"consumer_key", "login", "username", "passwd_script", "plug"} <= given
    assert given - {name for pair in named for name in pair} == set()


def test_the_examples_of_the_help_are_on_it(our_agent: Agent) -> None:
    examples = our_agent.run(None, "-h").stdout.partition("\nExamples:\n")[2].splitlines()
    commands = [line[7:] for line in examples if line.startswith(" " * 7)]
    blocks = build.sections_of(build.SECTIONS.read_text("utf-8"))["EXAMPLES"]
    assert len(commands) > 3
    assert set(commands) <= {line for block in blocks for line in block.indented}


def test_everything_is_shown_literally(toy_page: str) -> None:
    lines = shown(toy_page)
    for line in (
        "fence_toy - Fence <agent> for \"toys\" & 'such'",
        ".dot \\e first 'quote -x --long-option\u00e9 /a-b ~^`",
        "'Options' come from here.",
        'ODD "HEADING"',
        "$ run --it 'now'",
        ".next \\e",
        "and more, end ]]> \u20ac",
        "-o is a term",
        "Its explanation.",
    ):
        assert line in lines
    assert "Not on the page." not in lines


def test_each_option_once_where_its_first_name_stands(toy_page: str) -> None:
    lines = shown(toy_page)
    head = "plug=[id] (also name; -n, --plug)"
    plug, kind = lines.index(head), lines.index("kind=[kind] (-k, --kind)")
    assert plug < kind
    assert sum("--plug" in line for line in lines) == 1
    assert re.match(r'Plug\. +Default: ","\.', lines[plug + 1])
    assert "Choices: Alpha, b-c." in lines[kind + 1]
    assert "Default: Alpha." in lines[kind + 1]


def test_what_is_neither_a_paragraph_nor_an_example_nor_a_term() -> None:
    with pytest.raises(ValueError, match="'more'"):
        build.sections_of("# EXAMPLES\n\n    example\nmore\n")


REQUESTS = (".PP", ".RS 4", ".EX", ".EE", ".RE", ".TP")


@given(text=st.text(st.characters(blacklist_categories=["Cs", "Cc"])))
def test_no_text_becomes_a_request(text: str) -> None:
    blocks = [build.block_of(text), build.block_of(f"    {text}"), build.block_of(f"x\n    {text}")]
    for line in build.section_lines("HEADING", blocks)[1:]:
        assert not line.startswith("'")
        assert line.startswith(".") <= (line in REQUESTS)
