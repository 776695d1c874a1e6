# SPDX-License-Identifier: GPL-2.0-or-later
"""Every agent of the distribution goes on as before, whichever way this one is installed."""

from __future__ import annotations

import pathlib

import pytest

from fencing import RELEASE_VERSION
from tests.conftest import MakeOnce
from tests.harness import DISTRIBUTION_LIBRARY, need
from tests.packaging.throw_away_root import ThrowAwayRoot

METADATA = """
for agent in {agents}; do
    case $agent in */fence_ovh) ;; *) echo "$agent" ;; esac
done | xargs -P 2 -I@ sh -c 'echo @ $(@ -o metadata 2>&1 </dev/null | sha256sum)' | sort
"""
ALL = METADATA.format(agents="/usr/sbin/fence_*")
SOME = METADATA.format(agents="/usr/sbin/fence_a* /usr/sbin/fence_v*")
"""Ask those agents, one like the other: the library beside them or in their way is the same."""


@pytest.fixture
def before(namespace: None, made_once: MakeOnce) -> str:
    """The metadata of all other agents on this machine as it is."""
    if not DISTRIBUTION_LIBRARY.exists():
        pytest.skip(f"{DISTRIBUTION_LIBRARY} (package fence-agents) is missing")

    def ask_all(folder: pathlib.Path) -> None:
        with ThrowAwayRoot(folder / "root") as root:
            answers = root.run("sh", "-c", ALL)
        assert answers.count("/usr/sbin/fence_") > 50
        (folder / "answers").write_text(answers)

    return (made_once("metadata", ask_all) / "answers").read_text()


@pytest.mark.parametrize(
    ("install", "package", "uninstall"),
    [
        ("cp fence_ovh fencing.py /usr/sbin/", None, None),
        ("make -s install", None, "make -s uninstall"),
        ("dpkg --install", "deb", "dpkg --purge fence-ovh"),
        (
            "pip install --no-index --no-deps --break-system-packages",
            "wheel",
            "pip uninstall --yes --break-system-packages fence_ovh",
        ),
    ],
    ids=["copied", "make", "deb", "pip"],
)
def test_their_metadata(
    before: str,
    root: ThrowAwayRoot,
    install: str,
    package: str | None,
    uninstall: str | None,
    request: pytest.FixtureRequest,
) -> None:
    need("make", pathlib.Path("/usr/bin/pip"))
    packages = [str(request.getfixturevalue(package))] if package else []
    root.run(*install.split(), *packages)
    assert root.run("fence_ovh", "-V").strip() == RELEASE_VERSION
    if package:  # all of them were asked after the other ways
        before = "".join(line for line in before.splitlines(True) if line[15:17] in ("_a", "_v"))
    assert root.run("sh", "-c", SOME if package else ALL) == before
    if uninstall:
        root.run(*uninstall.split())
        assert set(root.changes()) <= {"/usr/local/bin"}  # pip removes it when it is empty
