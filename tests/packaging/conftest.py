# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures: another package with an agent of the same name, there or not."""

from __future__ import annotations

import pathlib
import subprocess

import pytest

from tests.conftest import MakeOnce
from tests.harness import need
from tests.packaging.throw_away_root import ThrowAwayRoot

# fence-agents on Debian 12, fence-agents-ovh on Debian 13.
PURGE_OWNERS = """
dpkg-query --search /usr/sbin/fence_ovh /usr/share/man/man8/fence_ovh.8.gz | cut -d: -f1 | sort -u |
    xargs --no-run-if-empty dpkg --purge --force-depends
"""

# Stands for them.
OTHER_PACKAGE = """
set -e
mkdir -p "$1/DEBIAN" "$1/usr/sbin" "$1/usr/share/man/man8"
printf '%s\\n' 'Package: other-agents' 'Version: 1' 'Architecture: all' \
    'Maintainer: nobody <nobody@example.com>' 'Description: other' >"$1/DEBIAN/control"
echo other >"$1/usr/sbin/fence_ovh"
echo other | gzip >"$1/usr/share/man/man8/fence_ovh.8.gz"
dpkg-deb --build "$1" "$1.deb" >/dev/null
"""


@pytest.fixture
def alone(root: ThrowAwayRoot) -> ThrowAwayRoot:
    """A machine without another agent of the same name."""
    need("dpkg-deb")
    root.run("sh", "-c", PURGE_OWNERS)
    return root


@pytest.fixture
def other_package(made_once: MakeOnce) -> str:
    """A package with files of the same names."""

    def build(folder: pathlib.Path) -> None:
        subprocess.run(["sh", "-c", OTHER_PACKAGE, "sh", str(folder / "other")], check=True)

    return str(made_once("other package", build) / "other.deb")


@pytest.fixture(params=[True, False], ids=["other agent", "alone"])
def there(request: pytest.FixtureRequest, alone: ThrowAwayRoot, other_package: str) -> bool:
    """Whether that package is installed on the machine."""
    if request.param:
        alone.run("dpkg", "--install", other_package)
    return bool(request.param)
