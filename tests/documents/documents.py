# SPDX-License-Identifier: GPL-2.0-or-later
"""The code blocks of a page (Markdown), for tests that do what the page says."""

from __future__ import annotations

import dataclasses
import pathlib
import re
import textwrap


@dataclasses.dataclass(frozen=True)
class Example:
    """A command as the page shows it, and the lines shown below it."""

    command: str
    output: tuple[str, ...]


def section(page: pathlib.Path, heading: str) -> str:
    """The text below a heading, subsections included."""
    text = page.read_text("utf-8")
    start = re.search(rf"^(#+) {re.escape(heading)}$\n", text, re.M)
    assert start, f"{page} has no section {heading!r}"
    rest = text[start.end() :]
    end = re.search(rf"^#{{1,{len(start[1])}}} ", rest, re.M)
    return rest[: end.start()] if end else rest


def blocks(page: pathlib.Path, heading: str) -> list[str]:
    """The code blocks of a section: what is indented by four spaces or more."""
    found = re.findall(r"(?:^ {4,}\S.*\n|(?<=\n)\n(?= {4}))+", section(page, heading), re.M)
    return [textwrap.dedent(block).strip("\n") for block in found]


def examples(page: pathlib.Path, heading: str) -> list[Example]:
    """The commands of a section, in their order: in its code blocks, after `$ `.

    A line that ends in a backslash goes on in the next.
    """
    found = []
    for block in blocks(page, heading):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            lines = part.rstrip("\n").split("\n")
            last = next(i for i, line in enumerate(lines) if not line.endswith("\\"))
            found.append(Example("\n".join(lines[: last + 1]), tuple(lines[last + 1 :])))
    return found


VARYING = [
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d([.,]\d+)?", "<time>"),
    (
        r"\b[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(\.\d+)? \S+ (?=fence_ovh|pacemaker)",
        "<time> <host> ",
    ),
    (r"\[\d+\]", "[<pid>]"),
    (r"\b(stonith_admin|pacemaker-controld)\.\d+", r"\1.<pid>"),
    (r"\bcall \d+\b", "call <number>"),
    (r"\bStarted \S+", "Started <node>"),
    (r" api_url=\S+", ""),
    (r"cat \S+/fence_ovh\.secret", "cat <secret>"),
    (r"\b\d+ ms$", "<number> ms"),
    (r"/task/\d+", "/task/<number>"),
    (r"\b(waited|up) \d+ s\b", r"\1 <number> s"),
    (r"\bat [\d.]+ answers", "at <address> answers"),
    (r"\s+", " "),
]
"""What differs from one run to the next."""


def normal(line: str) -> str:
    """A line of output without what differs from one run to the next."""
    for pattern, replacement in VARYING:
        line = re.sub(pattern, replacement, line)
    return line.rstrip()


def difference(example: Example, output: str) -> str:
    """How a command's output differs from what the page shows; a line `…` stands for any lines."""
    pattern = "".join(
        r"(?:.*\n)*?" if line == "…" else re.escape(normal(line)) + "\n" for line in example.output
    )
    actual = "".join(normal(line) + "\n" for line in output.splitlines())
    if re.fullmatch(pattern, actual):
        return ""
    shown = "\n".join(example.output)
    return f"$ {example.command}\nThe page shows:\n{shown}\nIt prints:\n{output}"
