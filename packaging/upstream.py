#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Lay the agent into a checkout of fence-agents, and write the text of a pull request there.

Called by `make upstream`: upstream.py CHECKOUT TEXT. In that project its own fencing.py takes the
place of ours, so the metadata that its tests compare is what that one prints for the agent.
"""

from __future__ import annotations

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree

HERE = pathlib.Path(__file__).resolve().parent
OURS = HERE.parent / "fence_ovh"
FRAME = HERE / "upstream.md"

AGENT = "agents/ovh/fence_ovh.py"
LIBRARY = "lib/fencing.py.py"
METADATA = "tests/data/metadata/fence_ovh.xml"

PLACEHOLDERS = (
    ("#!/usr/bin/python3 ", "#!@PYTHON@ "),
    ('DISTRIBUTION = "/usr/share/fence"', 'DISTRIBUTION = "@FENCEAGENTSLIBDIR@"'),
)
"""What their build fills in: in place of what."""


def with_placeholders(source: str) -> str:
    """The agent as their build wants it.

    :raises SystemExit: the agent has changed where the placeholders go
    """
    for ours, theirs in PLACEHOLDERS:
        if source.count(ours) != 1:
            sys.exit(f"{OURS} must have exactly once: {ours}")
        source = source.replace(ours, theirs)
    return source


def before(checkout: pathlib.Path) -> str:
    """The metadata of the agent that they have, also when ours is committed on a branch.

    :raises SystemExit: this is no checkout
    """
    for missing in (name for name in (AGENT, LIBRARY, METADATA) if not (checkout / name).exists()):
        sys.exit(f"{checkout} is no checkout of fence-agents: it has no {missing}")
    for commit in ("origin/main", "HEAD"):
        command = ["git", "-C", str(checkout), "show", f"{commit}:{METADATA}"]
        shown = subprocess.run(command, capture_output=True, text=True)
        if shown.returncode == 0:
            return shown.stdout
    sys.exit(f"{checkout} is no checkout of fence-agents: {shown.stderr.strip()}")


def metadata(agent: str, library: pathlib.Path) -> str:
    """What the agent prints on their library.

    :raises SystemExit: it does not run
    """
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(library, pathlib.Path(folder, "fencing.py"))
        program = pathlib.Path(folder, "fence_ovh")
        program.write_text(agent, "utf-8")
        command = [sys.executable, str(program), "-o", "metadata"]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{done.stderr}Their library needs python3-pycurl and python3-pexpect")
    return done.stdout


def as_compared(document: str) -> str:
    """The lines that their tests compare: of a path or a file no default, which machines differ in."""
    lines = document.splitlines(keepends=True)
    found = (
        number for number, line in enumerate(lines) if re.search(r'name=".*_(path|file)"', line)
    )
    left_out = {number + 2 for number in found}
    return "".join(line for number, line in enumerate(lines) if number not in left_out)


# --- The text ---------------------------------------------------------------------------------


NONE = ("—", "")
GONE = ("gone", "")


def parameters(document: str) -> dict[str, tuple[str, str]]:
    """Each parameter, by its newest name: what may be given, and its description."""
    found = {}
    for each in ElementTree.fromstring(document).iter("parameter"):
        if each.get("deprecated"):
            continue
        content = each.find("content")
        default = content.get("default") if content is not None else None
        values = [option.get("value", "") for option in each.iter("option")]
        facts = ["required" if each.get("required") == "1" else "optional"]
        facts += [f"default {default}"] if default is not None else []
        facts += [f"one of {', '.join(values)}"] if values else []
        found[each.get("name", "")] = (", ".join(facts), each.findtext("shortdesc", ""))
    return found


def changes(old: str, new: str) -> str:
    """A table of what is different for who has configured the old agent."""
    was, now = parameters(old), parameters(new)
    rows = [
        f"| `{name}` | {was.get(name, NONE)[0]} | {now.get(name, GONE)[0]} | {now.get(name, GONE)[1]} |"
        for name in dict.fromkeys([*now, *was])
        if was.get(name, NONE)[0] != now.get(name, GONE)[0]
    ]
    before, after = map(actions, (old, new))
    rows += [f"| actions | {before} | {after} | |"] if before != after else []
    head = "| parameter | before | now | what it is |\n|---|---|---|---|\n"
    return head + "\n".join(rows) + "\n"


def actions(document: str) -> str:
    """The names of all actions."""
    return ", ".join(
        each.get("name", "") for each in ElementTree.fromstring(document).iter("action")
    )


def main() -> None:
    """Write the agent and its metadata into the checkout, and the text where it is wanted."""
    checkout, text = map(pathlib.Path, sys.argv[1:])
    old = before(checkout)
    agent = with_placeholders(OURS.read_text("utf-8"))
    new = as_compared(metadata(agent, checkout / LIBRARY))
    page = FRAME.read_text("utf-8").replace("@CHANGES@\n", changes(old, new))
    text.parent.mkdir(exist_ok=True)
    for path, content in ((checkout / AGENT, agent), (checkout / METADATA, new), (text, page)):
        path.write_text(content, "utf-8")
        print(path)


if __name__ == "__main__":
    main()
