# SPDX-License-Identifier: GPL-2.0-or-later
"""Run the tests in a real cluster: `python3 -m tests.cluster [arguments of pytest]`.

Everything they make (nodes, network, mounts, processes) lives in namespaces of their own, which
the kernel clears away when their first process ends, however it ends. The machine stays as it was.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
from typing import NoReturn

from tests import harness

FOLDER = "FENCE_OVH_CLUSTER"
"""The environment variable that says where the nodes' disks and the failures' logs go."""

PACKAGES = {
    "corosync": "corosync",
    "pacemakerd": "pacemaker",
    "stonith_admin": "pacemaker-cli-utils",
    "pcs": "pcs",
    "crm": "crmsh",
    "ip": "iproute2",
    "iptables": "iptables",
    "make": "make",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
}
"""Debian's packages by a program of each."""

NAMESPACES = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]

TRIAL = """
set -e
mount -t tmpfs none "$1"
mkdir "$1/upper" "$1/work" "$1/all"
mount -t overlay none "$1/all" -o "lowerdir=/etc,upperdir=$1/upper,workdir=$1/work"
ip link add trial type bridge
ip link add one type veth peer name two
iptables -A INPUT -p udp --destination-port 5405 -j DROP
"""


TIME_TO_END = 20.0  # seconds


def missing(folder: str) -> list[str]:
    """What this machine lacks, in words; nothing if the tests can run."""
    if os.geteuid() != 0:
        return ["root"]
    packages = {PACKAGES[program] for program in PACKAGES if not shutil.which(program)}
    found = [f"Debian's package {name}" for name in sorted(packages)]
    found += filter(None, (harness.missing_for_debian(each.module) for each in harness.BACKENDS))
    if found:
        return found
    trial = [*NAMESPACES, "sh", "-c", TRIAL, "sh", folder]
    tried = subprocess.run(trial, capture_output=True, text=True, check=False)
    return [] if tried.returncode == 0 else [f"namespaces that work: {tried.stderr.strip()}"]


def run(folder: str, arguments: list[str]) -> int:
    """Run pytest as the first process of the namespaces."""
    here = str(pathlib.Path(__file__).parent)
    pytest = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", here, *arguments]
    return contain([*NAMESPACES, *pytest], {FOLDER: folder})


def contain(command: list[str], environment: dict[str, str] | None = None) -> int:
    """Run a command that ends with all its processes; it does not outlive this process."""
    command = ["setpriv", "--pdeathsig", "KILL", *command]
    process = subprocess.Popen(command, env={**os.environ, **(environment or {})})
    try:
        return process.wait()
    except KeyboardInterrupt:
        # It got it, too, and cleans up. Python can lose one: then it has had its time.
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(TIME_TO_END)
        return 128 + signal.SIGINT
    finally:
        process.kill()
        process.wait()


def stop(number: int, frame: object) -> NoReturn:
    """End, cleaning up."""
    sys.exit(128 + number)


def main() -> int:
    """Run the tests, or say why they cannot run."""
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGHUP, stop)
    folder = tempfile.mkdtemp(prefix="fence_ovh-cluster-")
    disks = pathlib.Path(folder, "disks")
    disks.mkdir()
    try:
        if lacks := missing(str(disks)):
            print(f"Tests in a real cluster skipped. They need {'; '.join(lacks)}.")
            return 0
        return run(folder, sys.argv[1:])
    finally:
        disks.rmdir()
        if not os.listdir(folder):
            os.rmdir(folder)


if __name__ == "__main__":
    sys.exit(main())
