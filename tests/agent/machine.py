"""What answers over SSH where the simulated servers have their addresses.

A real sshd on loopback, or a program that stands in for the agent's `ssh`.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import pwd
import re
import shlex
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator

from tests.harness import RestBackend, need
from tests.simulator import Netboot, Server

SSHD = pathlib.Path("/usr/sbin/sshd")
ON_DISK, IN_RESCUE = "node1", "rescue12-customer-eu"
"""The host names of a machine that runs from its disk, and of one in OVH's rescue system."""

# The forced command: runs what it is asked to, on the machine that has the address, whose `uname`
# and `cat` are ours. A machine that runs nothing says nothing. No Python: a busy computer would
# take seconds for it.
SPEAKER = """\
set -- $SSH_CONNECTION
. "$HERE/$3.machine"
[ "$HOST" ] || exit 0
UPTIME=$(awk -v since="$SINCE" '{ printf "%.2f %.2f", $1 - since, $1 - since }' /proc/uptime)
export HOST UPTIME PATH="$HERE/tools"
exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"
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


def replace(path: pathlib.Path, line: str) -> None:
    """Write a file of one line; whoever reads it sees the old one or the new one."""
    path.with_suffix(".new").write_text(f"{line}\n")
    path.with_suffix(".new").replace(path)


def uptime() -> float:
    """Seconds for which this computer has run."""
    return float(pathlib.Path("/proc/uptime").read_text().split()[0])


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
            self._note(server, server.running)
        centre.on_cut.append(lambda server: self._note(server, None))
        centre.on_boot.append(self._note)
        super().__init__(folder, "exit 1")

    def let_in_on_disk(self, public: str) -> None:
        """Let the systems on the disks let that key in, too."""
        self.on_disk = public
        with self._ovh.data_centre.lock:
            for server in self._ovh.data_centre.servers.values():
                self._note(server, server.running)

    def has_run_for(self, server: Server, seconds: float) -> None:
        """Let what runs on the server have run for that long already."""
        with self._ovh.data_centre.lock:
            assert server.running_since is not None
            server.running_since -= seconds
            self._note(server, server.running)

    @contextlib.contextmanager
    def listening(self) -> Iterator[Machines]:
        """Serve while this lasts."""
        make_key(self._folder / "host")
        for name, script in TOOLS.items():
            write_program(self._folder / "tools" / name, script)
        write_program(self._folder / "speaker", f"HERE={shlex.quote(str(self._folder))}\n{SPEAKER}")
        (self._folder / "banner").write_text("Authorized use only.\n" * 500)
        if os.geteuid() == 0:  # as the service of the package does
            pathlib.Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        sshd = self._start()
        is_over = threading.Event()
        teller = threading.Thread(target=self._tell, args=[is_over])
        teller.start()
        try:
            user = f"-l {pwd.getpwuid(os.geteuid()).pw_name} " if os.geteuid() else ""
            note = (self.here / "bin" / "ssh").read_text().removesuffix("exit 1\n")
            script = f'{note}exec {shutil.which("ssh")} -p {self.port} {user}"$@"'
            write_program(self.here / "bin" / "ssh", script.removeprefix("#!/bin/sh\n"))
            yield self
        finally:
            is_over.set()
            teller.join()
            sshd.terminate()
            sshd.wait(60)

    def log(self) -> str:
        """What sshd has logged."""
        return (self._folder / "log").read_text()

    def _tell(self, is_over: threading.Event) -> None:
        """Let what happens to the servers be noted when it does, also while nobody asks OVH."""
        while not is_over.wait(0.1):
            with self._ovh.data_centre.lock:
                self._ovh.data_centre.settle()

    def _note(self, server: Server, running: Netboot | None) -> None:
        """Write who may log in, and what the machine says to whoever has.

        A machine that runs nothing refuses nobody: it says nothing. Whoever logged in while
        nothing ran may be one whom the system that runs by now does not let in.
        """
        keys = {"harddisk": self.on_disk, "rescue": server.rescue_ssh_key}
        key = keys.get(running.type, "") if running else self._client
        replace(self._keys_of(server), key)
        host, since = "", 0.0
        if running and server.running_since is not None and key:
            host = {"harddisk": ON_DISK, "rescue": IN_RESCUE}[running.type]
            # On the clock of /proc/uptime, which a shell can read.
            since = uptime() - (self._ovh.data_centre.clock.monotonic() - server.running_since)
        replace(self._folder / f"{server.address}.machine", f"HOST={host} SINCE={since:.2f}")

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
            "KexAlgorithms curve25519-sha256",  # the cheapest
            f"ForceCommand {shlex.quote(str(self._folder / 'speaker'))}",
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
