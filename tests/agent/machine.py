"""What answers over SSH where the simulated servers have their addresses.

A real sshd on loopback, or a program that stands in for the agent's `ssh`.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import pwd
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping

from tests.harness import RestBackend, need
from tests.simulator import Netboot, Server

SSHD = pathlib.Path("/usr/sbin/sshd")
ON_DISK, IN_RESCUE = "node1", "rescue12-customer-eu"
"""The host names of a machine that runs from its disk, and of one in OVH's rescue system."""

# The forced command: runs what it is asked to, on the machine that has the address, whose `uname`
# and `cat` are ours. A machine that runs nothing says nothing.
SPEAKER = f"""\
import http.client, json, os, sys
port, names, tools = sys.argv[1:]
simulator = http.client.HTTPConnection("127.0.0.1", int(port))
simulator.request("GET", "/state")
state = json.load(simulator.getresponse())
address = os.environ["SSH_CONNECTION"].split()[2]
server = state["servers"][json.loads(names)[address]]
# Whoever logged in while nothing ran may be one whom the system that runs by now does not let in.
in_rescue = bool(server["running"]) and server["running"]["type"] == "rescue"
if server["running"] and (server["rescue_ssh_key"] or not in_rescue):
    host = {{"harddisk": {ON_DISK!r}, "rescue": {IN_RESCUE!r}}}[server["running"]["type"]]
    up = f"{{state['monotonic'] - server['running_since']:.2f}}"
    machine = {{"PATH": tools, "HOST": host, "UPTIME": up + " " + up}}
    command = os.environ["SSH_ORIGINAL_COMMAND"]
    os.execve("/bin/sh", ["sh", "-c", command], machine)
"""
TOOLS = {
    "uname": '[ "$*" = -n ] && echo "$HOST"',
    "cat": '[ "$*" = /proc/uptime ] && echo "$UPTIME"',
}


def make_key(path: pathlib.Path, passphrase: str = "", *, with_public: bool = True) -> str:
    """Make a private key; return its public half, which is also in a file beside it if wanted."""
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "", "-f", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    beside = pathlib.Path(f"{path}.pub")
    public = beside.read_text().strip()
    if not with_public:
        beside.unlink()
    return public


def write_program(path: pathlib.Path, script: str) -> None:
    """Write a shell script that can be run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


class Ssh:
    """A program `ssh` that the agent finds before any other.

    :ivar env: what the agent's environment needs for that.
    """

    def __init__(self, folder: pathlib.Path, script: str) -> None:
        """Write it; `$HERE` is a folder for what the script has to say."""
        self.here = folder
        self.env = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
        note = f'HERE={shlex.quote(str(folder))}\necho "$@" >> "$HERE/asked"'
        write_program(folder / "bin" / "ssh", f"{note}\n{script}")

    def asked(self) -> list[str]:
        """The arguments of each run so far."""
        path = self.here / "asked"
        return path.read_text().splitlines() if path.exists() else []


class Machines(Ssh):
    """An sshd in place of the servers, on addresses of 127.0.0.0/8; `ssh` goes to its port.

    It lets in, and says, what the machine would that the ground truth says is running: the rescue
    system lets in the key that OVH was given before it was booted.
    """

    def __init__(self, ovh: RestBackend, folder: pathlib.Path, client: str) -> None:
        """Give the servers their addresses.

        :param client: public half of the key that the agent has.
        """
        need("ssh", "ssh-keygen", SSHD)
        self._ovh = ovh
        self._folder = folder / "sshd"
        self._folder.mkdir()
        self._client = client
        self.on_disk = ""  # public key that the system on the disk lets in
        self.port = 0
        centre = ovh.data_centre
        for number, server in enumerate(centre.servers.values(), 1):
            server.address = f"127.0.0.{number}"
            self._let_in(server, server.running)
        centre.on_cut.append(lambda server: self._let_in(server, None))
        centre.on_boot.append(self._let_in)
        super().__init__(folder, "exit 1")

    def let_in_on_disk(self, public: str) -> None:
        """Let the systems on the disks let that key in, too."""
        self.on_disk = public
        for server in self._ovh.data_centre.servers.values():
            self._let_in(server, server.running)

    @contextlib.contextmanager
    def listening(self) -> Iterator[Machines]:
        """Serve while this lasts."""
        make_key(self._folder / "host")
        for name, script in TOOLS.items():
            write_program(self._folder / "tools" / name, script)
        (self._folder / "speaker.py").write_text(SPEAKER)
        (self._folder / "banner").write_text("Authorized use only.\n" * 500)
        if os.geteuid() == 0:  # as the service of the package does
            pathlib.Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        sshd = self._start()
        try:
            user = f"-l {pwd.getpwuid(os.geteuid()).pw_name} " if os.geteuid() else ""
            note = (self.here / "bin" / "ssh").read_text().removesuffix("exit 1\n")
            script = f'{note}exec {shutil.which("ssh")} -p {self.port} {user}"$@"'
            write_program(self.here / "bin" / "ssh", script.removeprefix("#!/bin/sh\n"))
            yield self
        finally:
            sshd.terminate()
            sshd.wait(60)

    def log(self) -> str:
        """What sshd has logged."""
        return (self._folder / "log").read_text()

    def _let_in(self, server: Server, running: Netboot | None) -> None:
        """Write who may log in. A machine that runs nothing refuses nobody: it says nothing."""
        keys = {"harddisk": self.on_disk, "rescue": server.rescue_ssh_key}
        key = keys.get(running.type, "") if running else self._client
        path = self._keys_of(server)
        path.with_suffix(".new").write_text(f"{key}\n")
        path.with_suffix(".new").replace(path)

    def _keys_of(self, server: Server) -> pathlib.Path:
        return self._folder / f"{server.address}.keys"

    def _start(self) -> subprocess.Popen[bytes]:
        """Start sshd on a free port: another one if somebody was faster."""
        for _ in range(10):
            with socket.create_server(("127.0.0.1", 0)) as free:
                self.port = free.getsockname()[1]
            configuration = self._folder / "config"
            configuration.write_text(self._configuration())
            command = [str(SSHD), "-D", "-f", str(configuration), "-E", str(self._folder / "log")]
            sshd = subprocess.Popen(command, stdin=subprocess.DEVNULL)
            try:
                self._ovh.wait_until("sshd", lambda: self._is_ready(sshd))  # noqa: B023
            except BaseException:
                sshd.kill()
                sshd.wait()
                raise
            if sshd.poll() is None:
                return sshd
        raise AssertionError(f"sshd does not start: {self.log()}")

    def _is_ready(self, sshd: subprocess.Popen[bytes]) -> bool:
        """Whether it listens at all addresses, or has ended."""
        if sshd.poll() is not None:
            return True
        path = self._folder / "log"
        listens = path.read_text().count("Server listening") if path.exists() else 0
        return listens >= len(self._ovh.data_centre.servers)

    def _configuration(self) -> str:
        servers = self._ovh.data_centre.servers.values()
        speaker = [sys.executable, "-IS", str(self._folder / "speaker.py")]
        words = [str(self._ovh.simulator.port), self._names(), str(self._folder / "tools")]
        lines = [
            f"Port {self.port}",
            *(f"ListenAddress {server.address}" for server in servers),
            f"HostKey {self._folder / 'host'}",
            "PidFile none",
            "UsePAM no",
            "StrictModes no",
            "LogLevel VERBOSE",
            "AuthenticationMethods publickey",
            "PermitRootLogin yes",
            f"Banner {self._folder / 'banner'}",
            f"ForceCommand {shlex.join([*speaker, *words])}",
        ]
        if self._punishes():
            lines += ["PerSourcePenalties no"]  # those that it does not let in come again and again
        for server in servers:
            lines += [f"Match LocalAddress {server.address}"]
            lines += [f"AuthorizedKeysFile {self._keys_of(server)}"]
        return "\n".join(lines) + "\n"

    @staticmethod
    def _punishes() -> bool:
        """Whether this sshd shuts out for a while whom it did not let in: since OpenSSH 9.8."""
        said = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=True).stderr
        version = re.search(r"OpenSSH_(\d+)\.(\d+)", said)
        return version is not None and tuple(map(int, version.groups())) >= (9, 8)

    def _names(self) -> str:
        """The servers by their addresses, for the forced command."""
        servers: Mapping[str, Server] = self._ovh.data_centre.servers
        return json.dumps({server.address: name for name, server in servers.items()})
