# SPDX-License-Identifier: GPL-2.0-or-later
"""`make install` and `make uninstall`, into a folder of their own."""

from __future__ import annotations

import pathlib
import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from fencing import RELEASE_VERSION
from tests import harness
from tests.harness import Agent, Backend

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")

FOLDERS = ["prefix=/opt/ha", "sbindir=/opt/ha/bin/fencing"]


def make(target: str, root: pathlib.Path, *variables: str) -> None:
    command = ["make", "-s", "-C", str(harness.AGENT.parent), target, f"DESTDIR={root}", *variables]
    subprocess.run(command, check=True)


@pytest.fixture(params=[[], FOLDERS], ids=["usr", "other folders"])
def installed(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[Agent]:
    make("install", tmp_path, *request.param)
    yield Agent([str(next(tmp_path.rglob("*/fence_ovh")))])
    make("uninstall", tmp_path, *request.param)
    assert not [path for path in tmp_path.rglob("*") if not path.is_dir()]


def test_says_the_same_of_itself(installed: Agent, our_agent: Agent) -> None:
    for action in ("metadata", "manpage"):
        expected = our_agent.run({"action": action})
        assert installed.run({"action": action}) == expected
        assert expected.status == 0


def test_is_compiled_once(installed: Agent) -> None:
    """What makes it quick: neither module is compiled at a start."""
    command = [harness.DEBIAN_PYTHON, "-S", "-v", installed.command[0], "-o", "metadata"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    for module in ("fence_ovh", "fencing"):
        cached = rf"# code object from '.*/share/fence-ovh/__pycache__/{module}\."
        assert re.search(cached, result.stderr)


def test_fences(installed: Agent, ovh: Backend) -> None:
    if missing := harness.missing_for_debian(ovh.module):
        pytest.skip(missing)
    agent = Agent(installed.command, harness.debian_environment(ovh.module))
    assert agent.run(ovh.options("off")).status == 0
    assert ovh.cuts() == ["rescue12-customer"]
    assert agent.run(ovh.options("status")).status == 2


ALL_AGENTS = """
for agent in /usr/sbin/fence_*; do [ "$agent" = /usr/sbin/fence_ovh ] || echo "$agent"; done |
grep -v distrib | xargs -P 2 -I{} sh -c 'echo {} $({} -o metadata 2>&1 </dev/null | md5sum)' | sort
"""

# On a copy of /usr and /var that is gone with the namespace.
AMONG_OTHERS = f"""
set -e
mount -t tmpfs none "$1"
for folder in usr var; do
    mkdir -p "$1/$folder/upper" "$1/$folder/work"
    mount -t overlay none /$folder -o "lowerdir=/$folder,upperdir=$1/$folder/upper,\
workdir=$1/$folder/work"
done
cd "$2"
all_agents() {{ {ALL_AGENTS} }}
all_agents
echo
cp fencing.py /usr/sbin/
all_agents
rm /usr/sbin/fencing.py
make -s install >/dev/null
fence_ovh -V
all_agents
make -s uninstall >/dev/null
echo
dpkg --verify fence-agents
find "$1/usr/upper" -type f ! -name '*.pyc'
"""


def test_leaves_all_other_agents_as_they_were(namespace: None, tmp_path: pathlib.Path) -> None:
    if not harness.DISTRIBUTION_LIBRARY.exists():
        pytest.skip(f"{harness.DISTRIBUTION_LIBRARY} (package fence-agents) is missing")
    script = ["sh", "-c", AMONG_OTHERS, "sh", str(tmp_path), str(harness.AGENT.parent)]
    result = subprocess.run(["unshare", "--mount", *script], stdout=subprocess.PIPE, text=True)
    assert result.returncode == 0
    before, rest = result.stdout.split("\n\n", 1)
    installed, left = rest.split("\n\n", 1)
    assert before.count("/usr/sbin/fence_") > 50
    assert installed == f"{before}\n{RELEASE_VERSION}\n{before}"
    # dpkg-divert brings a package's file back by a rename, so it is in the upper layer.
    assert left.split() in ([], [f"{tmp_path}/usr/upper/sbin/fence_ovh"])
