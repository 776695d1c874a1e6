"""Run the simulator until it is told to stop: `python3 -m tests.simulator --help`."""

from __future__ import annotations

import argparse
import os
import signal
import ssl
import sys
import threading
from collections.abc import Sequence

from tests.simulator.clock import SystemClock
from tests.simulator.model import (
    DataCentre,
    Server,
    Timing,
    default_accounts,
    default_servers,
)
from tests.simulator.rest import ROOT, RestFrontEnd, RestSettings
from tests.simulator.rest_auth import (
    APPLICATION_KEY,
    APPLICATION_SECRET,
    CLIENT_ID,
    CLIENT_SECRET,
    CONSUMER_KEY,
    Application,
    ConsumerKey,
    Credentials,
    ServiceAccount,
)
from tests.simulator.server import SimulatorServer
from tests.simulator.sessions import Account
from tests.simulator.soap import READINGS, SoapFrontEnd, SoapSettings


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT."""
    parser = _parser()
    options = parser.parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        simulator = _simulator(options)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    with simulator:
        if options.port_file:
            _write_port_file(options.port_file, simulator.port)
        # At once: whoever wants the URL alone may close the pipe after its line.
        print(simulator.url, *_ready_to_paste(simulator.url, options), sep="\n", flush=True)
        stop.wait()
    return 0


def _ready_to_paste(url: str, options: argparse.Namespace) -> list[str]:
    """The agent's options for each API."""
    account = options.account or default_accounts()[0]
    key, secret = options.application
    rest = f"login={key} passwd={secret} consumer_key={options.consumer_key}"
    return [
        f"REST: api=rest api_url={url}{ROOT} {rest}",
        f"SOAP: api=soap api_url={url} login={account.nic} passwd={account.password}",
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m tests.simulator",
        description="Simulate OVH's SOAP and REST APIs and the dedicated servers behind them.",
        epilog=f"The REST API is at {ROOT} below the URL that is printed; an OAuth2 token is at"
        " /auth/oauth2/token. GET /state shows the machines and what was done to them. POST /control"
        ' with {"confirm_credential": true} confirms a consumer key, as the account\'s owner does.',
    )
    servers = " and ".join(server.name for server in default_servers())
    (account,) = default_accounts()
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    add("--port", type=int, default=0, help="port to listen on (default: a free one)")
    add("--port-file", metavar="PATH", help="write the port there once it listens")
    add("--certificate", metavar="PEM", help="serve HTTPS with this certificate and key")
    add(
        "--server",
        action="append",
        metavar="NAME",
        help=f"a server, repeatable (default {servers})",
    )
    add(
        "--account",
        type=_account,
        metavar="NIC:PASSWORD",
        help=f"the account that owns them (default {account.nic}:{account.password})",
    )
    add("--queue-delay", type=float, default=0.0, metavar="S", help="acceptance to beginning")
    add("--cut-delay", type=float, default=1.0, metavar="S", help="beginning to power cut")
    add("--boot-delay", type=float, default=1.0, metavar="S", help="power cut to boot")
    add("--reboot-duration", type=float, default=4.0, metavar="S", help="beginning to end")
    add("--power-off-delay", type=float, default=10.0, metavar="S", help="boot to power-off")
    add("--reading", choices=READINGS, default=READINGS[0], help="meaning of a reboot's end")
    add("--single-session", action="store_true", help="a login ends the other sessions")
    add("--session-lifetime", type=float, metavar="S", help="login to expiry (default: never)")
    add("--extra-fields", action="store_true", help="answer fields that no WSDL defines")
    add("--provider-offset", type=float, default=0.0, metavar="S", help="provider's clock error")
    add("--zone-offset", type=float, default=0.0, metavar="HOURS", help="provider's zone")
    add(
        "--application",
        type=_pair,
        default=(APPLICATION_KEY, APPLICATION_SECRET),
        metavar="KEY:SECRET",
        help=f"REST application (default {APPLICATION_KEY}:{APPLICATION_SECRET})",
    )
    add("--consumer-key", default=CONSUMER_KEY, metavar="KEY", help="(default %(default)s)")
    add(
        "--service-account",
        type=_pair,
        default=(CLIENT_ID, CLIENT_SECRET),
        metavar="ID:SECRET",
        help=f"OAuth2 service account (default {CLIENT_ID}:{CLIENT_SECRET})",
    )
    add("--task-unseen", type=float, default=0.0, metavar="S", help="a new task is not found")
    add("--task-purged", type=float, metavar="S", help="end of a task to its oblivion")
    add("--rate-limit", type=int, metavar="N", help="REST calls per second and account")
    add("--cache-age", type=float, default=0.0, metavar="S", help="age of pages of whole objects")
    add("--verbose", action="store_true", help="log each request on stderr")
    return parser


def _account(text: str) -> Account:
    return Account(*_pair(text, "NIC:PASSWORD"))


def _pair(text: str, form: str = "KEY:SECRET") -> tuple[str, str]:
    name, separator, secret = text.partition(":")
    if not (name and separator):
        raise argparse.ArgumentTypeError(f"{form} is needed")
    return name, secret


def _simulator(options: argparse.Namespace) -> SimulatorServer:
    settings = SoapSettings(
        reading=options.reading,
        single_session=options.single_session,
        session_lifetime=options.session_lifetime,
        extra_fields=options.extra_fields,
    )
    data_centre = _data_centre(options)
    return SimulatorServer(
        _rest(data_centre, options),
        SoapFrontEnd(data_centre, settings),
        host=options.host,
        port=options.port,
        ssl_context=_ssl_context(options.certificate),
        verbose=options.verbose,
    )


def _rest(data_centre: DataCentre, options: argparse.Namespace) -> RestFrontEnd:
    settings = RestSettings(
        task_unseen=options.task_unseen,
        task_purged=options.task_purged,
        rate_limit=options.rate_limit,
        cache_age=options.cache_age,
    )
    nic = next(iter(data_centre.accounts))
    application = Application(*options.application)
    client_id, client_secret = options.service_account
    credentials = Credentials(
        [application],
        [ConsumerKey(options.consumer_key, application.key, nic)],
        [ServiceAccount(client_id, client_secret, nic)],
    )
    return RestFrontEnd(data_centre, settings, credentials=credentials)


def _data_centre(options: argparse.Namespace) -> DataCentre:
    account = options.account or default_accounts()[0]
    names = options.server or [server.name for server in default_servers()]
    timing = Timing(
        queue_delay=options.queue_delay,
        cut_delay=options.cut_delay,
        boot_delay=options.boot_delay,
        reboot_duration=options.reboot_duration,
        power_off_delay=options.power_off_delay,
    )
    clock = SystemClock(offset=options.provider_offset, utc_offset=options.zone_offset)
    servers = [Server(name, account=account.nic) for name in names]
    return DataCentre(clock, servers, [account], timing=timing)


def _ssl_context(certificate: str | None) -> ssl.SSLContext | None:
    if certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def _write_port_file(path: str, port: int) -> None:
    """All at once: whoever waits for the file must not find it empty."""
    temporary = f"{path}.{os.getpid()}"
    with open(temporary, "w", encoding="ascii") as file:
        file.write(f"{port}\n")
    os.replace(temporary, path)


if __name__ == "__main__":
    sys.exit(main())
