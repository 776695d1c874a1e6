# SPDX-License-Identifier: GPL-2.0-or-later
"""Run the README's way on the other Debian release: `python3 -m tests.debian`.

A root of that release is made with debootstrap in memory and entered in namespaces of its own:
the kernel clears all of it away when its first process ends, however it ends.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import signal
import subprocess
import sys

from tests import harness
from tests.cluster.__main__ import contain, stop

OTHER = {"bookworm": "trixie", "trixie": "bookworm"}
NAMESPACES = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
ROOT = pathlib.Path("/mnt")
"""Any folder that every machine has: what is mounted there, no other process sees."""

SOURCES = "srv/fence_ovh"

ENTER = f"""
cd {ROOT}
pivot_root . mnt
umount --lazy /mnt
cd /{SOURCES}
exec tests/debian/user.sh
"""
"""A chroot would not do: `nsenter`, with which the cluster tests enter their nodes, leaves it."""


def call(*command: str | pathlib.Path) -> str:
    """Run a command that must succeed; returns what it prints."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def missing() -> list[str]:
    """What this machine lacks, in words; nothing if it can be done."""
    if os.geteuid() != 0:
        return ["root"]
    programs = ("apt-get", "debootstrap", "setpriv", "unshare")
    return [f"the program {name}" for name in programs if not shutil.which(name)]


def own() -> tuple[str, str]:
    """This machine's release, and where it gets its packages from."""
    wanted = ["--format", "$(CODENAME) $(REPO_URI)", "Created-By: Packages"]
    targets = [line.split() for line in call("apt-get", "indextargets", *wanted).splitlines()]
    return next((name, uri) for name, uri in targets if name in OTHER)


def make_root(release: str, uri: str) -> None:
    """Make the root, with the sources in it, and apt set up as here."""
    call("mount", "-t", "tmpfs", "-o", "size=6G,mode=755", "root", ROOT)
    subprocess.run(["debootstrap", "--variant=minbase", release, ROOT, uri], check=True)
    here = [line for line in call("apt-config", "dump").splitlines() if line[:9] == "Acquire::"]
    (ROOT / "etc/apt/apt.conf.d/99here").write_text("\n".join(here) + "\n")
    for file in ("/etc/hosts", "/etc/resolv.conf"):
        shutil.copy(file, f"{ROOT}{file}")
    for folder in ("/dev", "/proc", "/sys"):
        call("mount", "--rbind", folder, f"{ROOT}{folder}")
    harness.copy_sources(ROOT / SOURCES)


def main() -> int:
    """Go into the namespaces, or, already there, make the root and enter it."""
    if sys.argv[1:2] == ["--inside"]:
        make_root(*sys.argv[2:])
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}
        os.execvpe("sh", ["sh", "-ec", ENTER], environment)
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGHUP, stop)
    if lacks := missing():
        print(f"The other Debian release was not tried. It needs {', '.join(lacks)}.")
        return 1
    release, uri = own()
    inside = [sys.executable, "-m", "tests.debian", "--inside", OTHER[release], uri]
    return contain([*NAMESPACES, *inside])


if __name__ == "__main__":
    sys.exit(main())
