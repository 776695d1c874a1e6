"""A simulator of OVH's dedicated servers, for the demo and the tests.

It has a model of the data centre (`DataCentre`), the provider's API over it (`SoapFrontEnd`) and an
HTTP server (`SimulatorServer`). What the API answers may be late, vague or made to fail; what
happened to the machines is in `DataCentre.state()`.
"""

from __future__ import annotations

from tests.simulator.clock import Clock, SystemClock, VirtualClock
from tests.simulator.control import ControlError
from tests.simulator.frontend import AnswerLost, FrontEnd, Interceptor, Proceed, Response
from tests.simulator.model import (
    OPERATOR,
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
from tests.simulator.server import SimulatorServer
from tests.simulator.sessions import Account
from tests.simulator.soap import READINGS, SoapFrontEnd, SoapSettings

__all__ = [
    "OPERATOR",
    "READINGS",
    "Account",
    "AnswerLost",
    "Call",
    "Clock",
    "ControlError",
    "DataCentre",
    "FrontEnd",
    "HardReboot",
    "Interceptor",
    "Netboot",
    "PowerCut",
    "Proceed",
    "Response",
    "Server",
    "SimulatorServer",
    "SoapFrontEnd",
    "SoapSettings",
    "SystemClock",
    "Timing",
    "UnknownNetboot",
    "UnknownServer",
    "VirtualClock",
    "default_accounts",
    "default_netboots",
    "default_servers",
]
