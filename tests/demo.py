"""`make demo`: cut off a simulated server and start it again, as an admin tries an agent.

Every command is shown as a person would type it, then run by a shell, with its
output and its exit status.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from tests.harness import AGENT, Backend
from tests.simulator import Timing

PLUG = "ns1234.ovh.net"


def classic_test(backend: Backend, action: str, **more: object) -> str:
    """The one line with which admins have always tried a fence agent."""
    options = {
        "verbose": "true",
        "nodename": "node1.example.com",
        "action": action,
        "power_wait": "1",
        **{
            name: value
            for name, value in backend.options(action, plug=PLUG).items()
            if name in backend.demo_options
        },
        **more,
    }
    lines = "\\n".join(f"{name}={value}" for name, value in options.items())
    return f'echo -e -n "{lines}" | fence_ovh'


def show(command: str, environment: dict[str, str]) -> int:
    """Show a command, run it, show its exit status and return it."""
    print(f"\n$ {command}; echo $?", flush=True)
    status = subprocess.run(["bash", "-c", command], env=environment, check=False).returncode
    print(status, flush=True)
    return status


def environment_with_agent(folder: pathlib.Path) -> dict[str, str]:
    """An environment in which `fence_ovh` runs the agent on this Python."""
    program = folder / "fence_ovh"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{AGENT}" "$@"\n')
    program.chmod(0o755)
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}


def play(backend: Backend, environment: dict[str, str]) -> bool:
    """Fence, look, start, look. Return whether each exit status was what it should be."""
    steps = [("off", 0), ("status", 2), ("on", 0), ("status", 0)]
    backend.data_centre.timing = Timing(cut_delay=0.5, boot_delay=1.5, reboot_duration=4.0)
    with backend.simulator:
        print(f"\n=== {backend.title}, simulated at {backend.simulator.url}")
        found = [show(classic_test(backend, action), environment) for action, _ in steps]
        print("\nWhat happened to the machine, whatever the API said (/state):")
        for cut in backend.state()["power_cuts"]:
            print(f"  {cut['server']}: power cut, then booted {cut['netboot']['kernel']}")
        cuts = backend.cuts(PLUG)
    return found == [status for _, status in steps] and cuts == list(backend.demo_cuts)


def play_witness(folder: pathlib.Path, environment: dict[str, str]) -> bool:
    """Fence with the machine's own word. Return whether all was as it should be."""
    from tests.agent.machine import SSHD, Machines, make_key
    from tests.harness import RestBackend

    backend = RestBackend()
    print("\n=== The machine's own word: an sshd answers for it (rescue_ssh_key)")
    if missing := [each for each in ("ssh", "ssh-keygen", SSHD) if not shutil.which(str(each))]:
        print(f"Left out: {missing[0]} is missing (packages openssh-client, openssh-server)")
        return True
    backend.data_centre.timing = Timing(cut_delay=0.5, boot_delay=5.0, reboot_duration=1.0)
    key = folder / "key"
    machines = Machines(backend, folder / "machines", make_key(key))
    with backend.simulator, machines.listening():
        path = f"{machines.env['PATH'].partition(':')[0]}:{environment['PATH']}"
        command = classic_test(backend, "off", rescue_ssh_key=key)
        status = show(command, {**environment, "PATH": path})
        return status == 0 and backend.running(PLUG) == "rescue"


def main() -> int:
    """Play the demo on every API; return the exit status."""
    from tests.harness import BACKENDS

    folder = pathlib.Path(tempfile.mkdtemp(prefix="fence_ovh-demo-"))
    try:
        environment = environment_with_agent(folder)
        results = [play(backend(), environment) for backend in BACKENDS]
        (folder / "machines").mkdir()
        good = all([*results, play_witness(folder, environment)])
    finally:
        shutil.rmtree(folder)
    print("\nAs it should be." if good else "\nNOT as it should be.")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
