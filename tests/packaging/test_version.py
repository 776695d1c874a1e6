# SPDX-License-Identifier: GPL-2.0-or-later
"""The version stands in fencing.py; what repeats it says the same."""

from __future__ import annotations

import re

from fencing import RELEASE_VERSION
from tests.harness import REPOSITORY, Agent


def test_the_agent_says_it(our_agent: Agent) -> None:
    assert our_agent.run(None, "-V").stdout == f"{RELEASE_VERSION}\n"


def test_the_manual_page_has_it() -> None:
    title = (REPOSITORY / "man" / "fence_ovh.8").read_text("utf-8").splitlines()[0]
    assert f'"fence_ovh {RELEASE_VERSION}"' in title


def test_the_changes_have_it() -> None:
    versions = re.findall(r"^## (\d\S*)", (REPOSITORY / "CHANGELOG.md").read_text("utf-8"), re.M)
    assert versions[0] == RELEASE_VERSION


def test_the_debian_package_has_it() -> None:
    newest = (REPOSITORY / "debian" / "changelog").read_text("utf-8").splitlines()[0]
    assert newest.startswith(f"fence-ovh ({RELEASE_VERSION}) ")
