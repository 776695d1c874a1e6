"""A simulator of OVH's dedicated servers, for the demo and the tests.

It has a model of the data centre (`DataCentre`), the provider's APIs over it (`SoapFrontEnd`,
`RestFrontEnd`) and an HTTP server (`SimulatorServer`). What the APIs answer may be late, vague or
made to fail; what happened to the machines is in `DataCentre.state()`.
"""

from __future__ import annotations

from tests.simulator.clock import Clock, SystemClock, VirtualClock
from tests.simulator.control import ControlError
from tests.simulator.frontend import AnswerLost, FrontEnd, Interceptor, Proceed, Response
from tests.simulator.model import (
    INTERNAL_RESCUE,
    IPXE_SHELL,
    OLD_RESCUE,
    OPERATOR,
    WINDOWS_RESCUE,
    WINPE,
    Call,
    DataCentre,
    HardReboot,
    Netboot,
    PowerCut,
    Server,
    Timing,
    UnknownNetboot,
    UnknownServer,
    default_accounts,
    default_netboots,
    default_servers,
)
from tests.simulator.rest import RestFrontEnd, RestSettings
from tests.simulator.rest_auth import (
    APPLICATION_KEY,
    APPLICATION_SECRET,
    CLIENT_ID,
    CLIENT_SECRET,
    CONSUMER_KEY,
    EVERY_SERVER,
    FENCING_ACTIONS,
    FENCING_RULES,
    Application,
    ConsumerKey,
    Credentials,
    Rule,
    ServiceAccount,
    default_credentials,
)
from tests.simulator.rest_tasks import Task
from tests.simulator.server import SimulatorServer
from tests.simulator.sessions import Account
from tests.simulator.soap import READINGS, SoapFrontEnd, SoapSettings

__all__ = [
    "APPLICATION_KEY",
    "APPLICATION_SECRET",
    "CLIENT_ID",
    "CLIENT_SECRET",
    "CONSUMER_KEY",
    "EVERY_SERVER",
    "FENCING_ACTIONS",
    "FENCING_RULES",
    "INTERNAL_RESCUE",
    "IPXE_SHELL",
    "OLD_RESCUE",
    "OPERATOR",
    "READINGS",
    "WINDOWS_RESCUE",
    "WINPE",
    "Account",
    "AnswerLost",
    "Application",
    "Call",
    "Clock",
    "ConsumerKey",
    "ControlError",
    "Credentials",
    "DataCentre",
    "FrontEnd",
    "HardReboot",
    "Interceptor",
    "Netboot",
    "PowerCut",
    "Proceed",
    "Response",
    "RestFrontEnd",
    "RestSettings",
    "Rule",
    "Server",
    "ServiceAccount",
    "SimulatorServer",
    "SoapFrontEnd",
    "SoapSettings",
    "SystemClock",
    "Task",
    "Timing",
    "UnknownNetboot",
    "UnknownServer",
    "VirtualClock",
    "default_accounts",
    "default_credentials",
    "default_netboots",
    "default_servers",
]
