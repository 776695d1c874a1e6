# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine to install on: this one's files, with changes that last as long as a process."""

from __future__ import annotations

import filecmp
import os
import pathlib
import subprocess

import pytest

from tests import harness

FOLDERS = ("etc", "opt", "usr", "var")

HOLD = """
set -e
mkdir -p "$1"
mount -t tmpfs none "$1"
for folder in etc opt usr var; do
    mkdir -p "$1/$folder" "$1/work/$folder"
    mount -t overlay none /$folder \
        -o "lowerdir=/$folder,upperdir=$1/$folder,workdir=$1/work/$folder"
done
echo ready
read -r _
"""

NOT_FILES_OF_PACKAGES = ("var/cache/", "var/lib/apt/", "var/lib/dpkg/", "var/log/")
"""What packages leave behind wherever they go: logs, lists and caches of the tools."""


class ThrowAwayRoot:
    """A mount namespace in which /etc, /opt, /usr and /var are writable copies.

    Loopback is the machine's own: the agent in there reaches a simulator out here.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", HOLD, "sh", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def __enter__(self) -> ThrowAwayRoot:
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != b"ready\n":
            _, errors = self._holder.communicate()
            pytest.skip(f"no overlay file system here: {harness.text(errors)}")
        return self

    def __exit__(self, *_: object) -> None:
        self._holder.communicate()  # closes its standard input, which is what it waits for

    def inside(self, *command: str) -> list[str]:
        """A command that runs another one in there."""
        enter = ["nsenter", f"--target={self._holder.pid}", "--mount", "--root"]
        return [*enter, "env", "-C", str(harness.REPOSITORY), *command]

    def run(self, *command: str, env: dict[str, str] | None = None, status: int = 0) -> str:
        """What a command prints in there, without a network, when it ends as it should.

        When it should fail: what it complains about.
        """
        environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self._folder / "home"),
            "LC_ALL": "C.UTF-8",
            "DEBIAN_FRONTEND": "noninteractive",
            **(env or {}),
        }
        done = subprocess.run(
            self.inside("unshare", "--net", *command),
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        assert done.returncode == status, harness.text(done.stdout + done.stderr)
        return harness.text(done.stderr if status else done.stdout)

    def path(self, path: str) -> pathlib.Path:
        """A file in there, seen from out here."""
        return pathlib.Path(f"/proc/{self._holder.pid}/root", path.lstrip("/"))

    def changes(self) -> list[str]:
        """Files and folders that are not as on the machine, logs and caches of tools aside."""
        upper = self.path(str(self._folder))
        found = []
        for folder in FOLDERS:
            for path in (upper / folder).rglob("*"):
                name = str(path.relative_to(upper))
                if name.startswith(NOT_FILES_OF_PACKAGES):
                    continue
                if not _same(path, pathlib.Path("/", name)):
                    found.append(f"/{name}")
        return sorted(found)


def _same(path: pathlib.Path, original: pathlib.Path) -> bool:
    """Whether an entry of the upper layer is as its original. A removed file is a device there."""
    if not os.path.lexists(original):
        return False
    one, other = path.lstat(), original.lstat()
    if (one.st_mode, one.st_uid, one.st_gid) != (other.st_mode, other.st_uid, other.st_gid):
        return False
    if path.is_symlink():
        return os.readlink(path) == os.readlink(original)
    return path.is_dir() or filecmp.cmp(path, original, shallow=False)
