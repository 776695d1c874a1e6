#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Print the manual page of fence_ovh, in the man(7) language.

The options come from the agent's metadata, the rest from sections.txt beside this file, which
says itself how it is written. `make man` writes the result to fence_ovh.8.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence

HERE = pathlib.Path(__file__).resolve().parent
AGENT = HERE.parent / "fence_ovh"
SECTIONS = HERE / "sections.txt"

# --- Text that roff takes literally ----------------------------------------------------------

ROFF = {"\\": "\\e", "'": "\\(aq", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti", '"': "\\(dq"}


def roff(text: str) -> str:
    """Text as roff shows it literally; its hyphens may be set as typographic ones."""
    plain = (char if char.isascii() else f"\\[u{ord(char):04X}]" for char in text)
    return "".join(ROFF.get(char, char) for char in plain)


def literal(text: str) -> str:
    """The same for what a reader may copy: hyphens stay hyphens."""
    return roff(text).replace("-", "\\-")


def prose(text: str) -> str:
    """Text on one line, in which options, paths and assignments are literal."""
    words = []
    for word in text.split():
        copied = word.lstrip("([\"'").startswith("-") or "/" in word or "=" in word
        words.append(literal(word) if copied else roff(word))
    line = " ".join(words)
    return "\\&" + line if line.startswith(".") else line


# --- The sections ----------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Block:
    """What stands between two blank lines.

    :ivar plain: the lines that are not indented
    :ivar indented: the lines below them that are, without four of their spaces
    """

    plain: Sequence[str]
    indented: Sequence[str]

    def lines(self, first: bool) -> list[str]:
        """Roff for a paragraph, an example, or a term and its explanation."""
        if not self.plain:
            example = ["\\&" + literal(line) for line in self.indented]
            return [".PP", ".RS 4", ".EX", *example, ".EE", ".RE"]
        text = prose(" ".join(self.plain))
        if not self.indented:
            return [text] if first else [".PP", text]
        term = literal(" ".join(self.plain))
        return [".TP", f"\\fB{term}\\fR", prose(" ".join(self.indented))]


def block_of(text: str) -> Block:
    """The block that some lines are.

    :raises ValueError: a line that is not indented below one that is
    """
    plain, indented = [], []
    for line in text.expandtabs().splitlines():
        if line.startswith("    "):
            indented.append(line[4:])
        elif indented:
            raise ValueError(f"not indented below what is: {line!r}")
        else:
            plain.append(line)
    return Block(plain, indented)


def sections_of(text: str) -> dict[str, list[Block]]:
    """The blocks below each heading, in the order of the text."""
    found = {}
    for part in re.split(r"^# ", text, flags=re.M)[1:]:
        heading, _, body = part.partition("\n")
        blocks = re.split(r"\n(?:[ \t]*\n)+", body.strip("\n"))
        found[heading.strip()] = [block_of(block) for block in blocks if block.strip()]
    return found


def section_lines(heading: str, blocks: Sequence[Block]) -> list[str]:
    """Roff for a section."""
    lines = [f'.SH "{roff(heading)}"']
    for number, block in enumerate(blocks):
        lines += block.lines(first=number == 0)
    return lines


# --- The options -----------------------------------------------------------------------------


def form_of(parameter: ElementTree.Element) -> str:
    """How an option is written on the command line: "-n, --plug=[name]", or "-v, --verbose"."""
    getopt = parameter.find("getopt")
    return "" if getopt is None else getopt.attrib["mixed"]


def option_lines(parameter: ElementTree.Element) -> list[str]:
    """Roff for an option: as a cluster writes it, its other forms, what it does, choices, default."""
    switches, _, argument = form_of(parameter).partition("=")
    name, old = parameter.attrib["name"], parameter.get("obsoletes")
    others = ", ".join(f"\\fB{literal(switch)}\\fR" for switch in switches.split(", "))
    also = f"also \\fB{literal(old)}\\fR; " if old else ""
    value = literal(argument or "[true/false]")
    head = f"\\fB{literal(name)}\\fR=\\fI{value}\\fR ({also}{others})"
    if name in ("help", "version"):  # for a person only
        head = others
    lines = [".TP", head, prose(parameter.findtext("shortdesc", "")) + "."]
    for content in parameter.iter("content"):
        choices = [option.attrib["value"] for option in content]
        if choices:
            lines.append(f"Choices: {literal(', '.join(choices))}.")
        default = content.get("default")
        if default is not None:
            shown = default if default.isalnum() else f'"{default}"'
            lines.append(f"Default: {literal(shown)}.")
    return lines


def options_lines(metadata: ElementTree.Element) -> list[str]:
    """Roff for all options, each once: the metadata has a second entry for an old name."""
    options: dict[str, ElementTree.Element] = {}
    for parameter in metadata.iter("parameter"):
        form = form_of(parameter)
        if form not in options or "deprecated" in options[form].attrib:
            options[form] = parameter
    return [line for parameter in options.values() for line in option_lines(parameter)]


# --- The page --------------------------------------------------------------------------------


def page(metadata: ElementTree.Element, version: str, sections: str) -> str:
    """The manual page.

    :param metadata: the agent's `<resource-agent>`
    :param version: the agent's version
    :param sections: the text of sections.txt; below its heading OPTIONS come the options
    """
    name = metadata.attrib["name"]
    title = literal(name)
    lines = [
        f'.TH "{roff(name.upper())}" 8 "" "{roff(name)} {version}" "Fence agents"',
        ".nh",  # names of options are copied and searched for
        ".nr HY 0",  # the same after an example
        ".ad l",
        ".SH NAME",
        f"{title} \\- {prose(metadata.attrib['shortdesc'])}",
        ".SH SYNOPSIS",
        f"\\fB{title}\\fR [\\fIoptions\\fR]",
        ".br",
        f"\\fB{title}\\fR < \\fIlines of name=value\\fR",
        *section_lines("DESCRIPTION", [Block([metadata.findtext("longdesc", "")], [])]),
    ]
    for heading, blocks in sections_of(sections).items():
        lines += section_lines(heading, blocks)
        if heading == "OPTIONS":
            lines += options_lines(metadata)
    return "\n".join(lines) + "\n"


def ask_agent(*arguments: str) -> str:
    """What the agent prints."""
    command = [sys.executable, str(AGENT), *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> None:
    """Print the page."""
    metadata = ElementTree.fromstring(ask_agent("-o", "metadata"))
    sys.stdout.write(page(metadata, ask_agent("-V").strip(), SECTIONS.read_text("utf-8")))


if __name__ == "__main__":
    main()
