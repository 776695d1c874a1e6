# SPDX-License-Identifier: GPL-2.0-or-later
"""Every agent of the distribution goes on as before, whichever way this one is installed."""

from __future__ import annotations

import pathlib

import pytest

from fencing import RELEASE_VERSION
from tests.conftest import MakeOnce
from tests.harness import DISTRIBUTION_LIBRARY, need
from tests.throwaway import ThrowAwayRoot

METADATA_OF_ALL = """
for agent in /usr/sbin/fence_*; do
    case $agent in */fence_ovh|*.distrib) ;; *) echo "$agent" ;; esac
done | xargs -P 2 -I{} sh -c 'echo {} $({} -o metadata 2>&1 </dev/null | sha256sum)' | sort
"""


@pytest.fixture
def before(namespace: None, made_once: MakeOnce) -> str:
    """The metadata of all other agents on this machine as it is."""
    if not DISTRIBUTION_LIBRARY.exists():
        pytest.skip(f"{DISTRIBUTION_LIBRARY} (package fence-agents) is missing")

    def ask_all(folder: pathlib.Path) -> None:
        with ThrowAwayRoot(folder / "root") as root:
            answers = root.run("sh", "-c", METADATA_OF_ALL)
        assert answers.count("/usr/sbin/fence_") > 50
        (folder / "answers").write_text(answers)

    return (made_once("metadata", ask_all) / "answers").read_text()


@pytest.mark.parametrize(
    ("install", "uninstall"),
    [
        ("cp fence_ovh fencing.py /usr/sbin/", ""),
        ("make -s install", "make -s uninstall"),
        ("dpkg --install $DEB", "dpkg --purge fence-ovh"),
    ],
    ids=["copied", "make", "deb"],
)
def test_their_metadata(
    request: pytest.FixtureRequest, before: str, root: ThrowAwayRoot, install: str, uninstall: str
) -> None:
    need("make")
    deb = request.getfixturevalue("deb") if "DEB" in install else ""
    root.run("sh", "-c", install, env={"DEB": str(deb)})
    assert root.run("fence_ovh", "-V").strip() == RELEASE_VERSION
    assert root.run("sh", "-c", METADATA_OF_ALL) == before
    if uninstall:
        root.run("sh", "-c", uninstall)
        assert root.changes() == []
