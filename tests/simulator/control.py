"""The operator's hand: acts and settings that reach the simulator while it runs.

A document (a JSON object) has any of these keys; they are carried out in this order:

    settings      object: fields of Timing (with "server": of that server only, else of the data
                  centre) and of the front ends' settings; "provider_offset" in seconds and
                  "zone_offset" in hours set the provider's clock
    end_sessions  true: every open session ends
    netboot       id that "server" shall boot next
    hard_reboot   true: "server" is rebooted
    reinstall     seconds that a task reinstallServer of "server" lasts; nothing happens to it
    stuck_task    name of a function: a task of "server" stays in todo for ever, in nobody's way
    confirm_credential  true: every consumer key that waits for its owner is confirmed

The last three need the REST API.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from tests.simulator.frontend import FrontEnd
from tests.simulator.model import (
    OPERATOR,
    DataCentre,
    Server,
    Timing,
    UnknownNetboot,
    UnknownServer,
    check_flag,
    check_seconds,
)
from tests.simulator.rest import RestFrontEnd

_FLAGS = ("hard_reboot", "end_sessions", "confirm_credential")
_OF_REST = ("reinstall", "stuck_task", "confirm_credential")
_KEYS = {"server", "settings", "netboot", *_OF_REST, *_FLAGS}
_CLOCK_SETTINGS = {"provider_offset": "offset", "zone_offset": "utc_offset"}
_MAX_ZONE_OFFSET = 14  # hours


class ControlError(ValueError):
    """The document cannot be carried out; nothing was."""


@dataclass(frozen=True)
class _Order:
    """A document that was found to be possible."""

    server: Server | None
    netboot_id: int | None
    hard_reboot: bool
    reinstall: float | None
    stuck_task: str | None
    end_sessions: bool
    confirm_credential: bool
    rest: RestFrontEnd | None
    timing: Timing | None
    front_ends: list[tuple[FrontEnd, Any]]
    clock: dict[str, float]


def control(data_centre: DataCentre, front_ends: Sequence[FrontEnd], document: object) -> None:
    """Carry a document out, as the operator; raises ControlError before anything is done."""
    with data_centre.lock:
        try:
            order = _check(data_centre, front_ends, _object("document", document))
        except (ValueError, TypeError, UnknownServer, UnknownNetboot) as error:
            raise ControlError(str(error)) from None
        _carry_out(data_centre, order)


def _check(
    data_centre: DataCentre, front_ends: Sequence[FrontEnd], document: Mapping[str, Any]
) -> _Order:
    _refuse_unknown(document, _KEYS)
    for name in _FLAGS:
        check_flag(name, document.get(name, False))
    reinstall = document.get("reinstall")
    if reinstall is not None:
        check_seconds("reinstall", reinstall)
    stuck_task = document.get("stuck_task")
    if stuck_task is not None and not (isinstance(stuck_task, str) and stuck_task):
        raise TypeError("stuck_task: the name of a function is needed")
    server = data_centre.server(document["server"]) if "server" in document else None
    hard_reboot, netboot_id = document.get("hard_reboot", False), document.get("netboot")
    others = (netboot_id, reinstall, stuck_task)
    about_server = hard_reboot or any(each is not None for each in others)
    if server is None and about_server:
        raise ValueError("server: the name of a server is needed")
    if server is not None and netboot_id is not None:
        server.find_netboot(netboot_id)

    settings = _object("settings", document.get("settings", {}))
    known = _names(Timing()) | set(_CLOCK_SETTINGS)
    _refuse_unknown(settings, known.union(*(_names(f.settings) for f in front_ends)))
    return _Order(
        server,
        netboot_id,
        hard_reboot,
        reinstall,
        stuck_task,
        document.get("end_sessions", False),
        document.get("confirm_credential", False),
        _rest(front_ends, document),
        _revised((server and server.timing) or data_centre.timing, settings),
        [(f, new) for f in front_ends if (new := _revised(f.settings, settings)) is not None],
        _clock_settings(settings),
    )


def _carry_out(data_centre: DataCentre, order: _Order) -> None:
    for front_end, settings in order.front_ends:
        front_end.settings = settings
    for name, value in order.clock.items():
        setattr(data_centre.clock, name, value)
    if order.timing is not None:
        (order.server or data_centre).timing = order.timing
    if order.end_sessions:
        data_centre.sessions.end_all()
    if order.server is not None and order.netboot_id is not None:
        data_centre.set_netboot(order.server.name, order.netboot_id, by=OPERATOR)
    if order.server is not None and order.hard_reboot:
        data_centre.hard_reboot(order.server.name, by=OPERATOR)
    if order.rest is not None:
        _carry_out_in_rest(order.rest, order)


def _carry_out_in_rest(rest: RestFrontEnd, order: _Order) -> None:
    if order.server is not None and order.reinstall is not None:
        rest.tasks.reinstall(order.server.name, by=OPERATOR, seconds=order.reinstall)
    if order.server is not None and order.stuck_task is not None:
        rest.tasks.get_stuck(order.server.name, order.stuck_task, by=OPERATOR)
    if order.confirm_credential:
        rest.confirm_all()


def _rest(front_ends: Sequence[FrontEnd], document: Mapping[str, Any]) -> RestFrontEnd | None:
    rest = next((f for f in front_ends if isinstance(f, RestFrontEnd)), None)
    if rest is None and any(key in document for key in _OF_REST):
        raise ValueError(f"{', '.join(_OF_REST)}: the REST API is not there")
    return rest


def _revised(current: Any, settings: Mapping[str, Any]) -> Any:
    """`current` (a dataclass) with those of the settings that it has; None if it has none."""
    changes = {name: settings[name] for name in _names(current) & set(settings)}
    return replace(current, **changes) if changes else None


def _clock_settings(settings: Mapping[str, Any]) -> dict[str, float]:
    chosen = {}
    for name, attribute in _CLOCK_SETTINGS.items():
        if name in settings:
            value = settings[name]
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise TypeError(f"{name}: a number is needed")
            if name == "zone_offset" and not -_MAX_ZONE_OFFSET <= value <= _MAX_ZONE_OFFSET:
                raise ValueError(f"{name}: no zone is {value} hours from UTC")
            chosen[attribute] = float(value)
    return chosen


def _names(settings: Any) -> set[str]:
    return {entry.name for entry in fields(settings)}


def _object(name: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{name}: an object is needed")
    return value


def _refuse_unknown(given: Mapping[str, Any], known: set[str]) -> None:
    unknown = sorted(set(given) - known)
    if unknown:
        raise ValueError(f"unknown: {', '.join(unknown)}")
