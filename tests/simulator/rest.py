"""The provider's REST API, version 1: what concerns dedicated servers, and how one logs in to it.

The answers' form is that of the provider's published description. Messages that the provider's
documents and users do not quote are the simulator's own.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import html
import itertools
import random
import uuid
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import lru_cache, partial
from typing import Any, Callable
from urllib.parse import unquote

from tests.simulator.frontend import Interceptor, Response
from tests.simulator.model import (
    Call,
    DataCentre,
    Netboot,
    Server,
    UnknownNetboot,
    UnknownServer,
    check_flag,
    check_seconds,
)
from tests.simulator.rest_auth import Caller, Credentials, default_credentials
from tests.simulator.rest_tasks import OUTCOMES, STATUSES, Ending, Task, Tasks
from tests.simulator.rest_wire import (
    DATE_FORMS,
    ApiError,
    Request,
    answer,
    bad_request,
    date,
    internal_error,
    not_found,
    wrong_type,
)
from tests.simulator.sessions import Account

ROOT = "/1.0"
"""Where the API is below the simulator's own URL."""
SAME_ROOT = "/v1"
"""Another name of it."""
ROOT_2 = "/v2"
"""Where its second version is, of which there is one call."""

BOOT_TYPES = ("harddisk", "internal", "network", "power", "rescue")
STALE_READS = ("all", "alternating", "random")
MAX_CACHE_AGE = 3600.0  # seconds
MAX_PAGE = 5000  # objects

_REINSTALLATION = 900.0  # seconds
_CACHED_PAGES = "CachedObjectList-Pages"
_URN = "urn:v1:eu:resource:dedicatedServer:"
_LIST_ACTION = "dedicatedServer:apiovh:get"

_Document = dict[str, Any]


@dataclass(frozen=True)
class RestSettings:
    """How this API behaves where the real one varies, or was seen to fail; durations in seconds.

    Attributes:
        timestamp_skew: by how much a call's timestamp may differ from the provider's clock.
        signature_status: what a wrong signature is answered with, 400 or 403.
        error_codes: whether errors of the older part have errorCode and httpCode.
        current_credential_granted: whether a key may ask about itself without a rule for that.
        any_credential_told: whether a key that is not valid may ask about itself.
        authorization_check_granted: whether a caller may ask what it may do; the provider's
            description names no action that is needed for that.
        pagination_ignored: whether a list is always one of names, whatever is asked for.
        cache_age: how old the pages of whole objects are, MAX_CACHE_AGE at most.
        list_lag: how old what a list of tasks shows is: a new task is missing for so long, and a
            task is listed with the status that it had then. Below 60 s, as far as is known.
        read_lag: how old a stale answer about a server is, MAX_CACHE_AGE at most; the provider's
            replicas are believed to be below 30 s.
        stale_reads: which of the answers about a server are stale: all; alternating, the first of
            each server being so; random, one in two, as the data centre's seed has it.
        task_unseen: for how long a new task is not found by its number. The provider's own client
            bears with that for 300 s.
        task_unseen_status: what it is answered with meanwhile, 404 or 500.
        task_purged: how long after its end a task is forgotten; None for never.
        task_conflict_status: what a second task is answered with, 400 or 409.
        refuses_second_reboot: whether a reboot under way is in the way of another one (which is
            likely, but nobody has seen it); if not, both cut the power.
        date_offset: by how much the dates of tasks are too late; negative for too early.
        date_form: how they are written, one of DATE_FORMS.
        outcome: how reboots that are asked for end (done, cancelled, customerError, ovhError). One
            that is not done ends when the power should be cut, and it is cut only if `after_cut`.
        outcome_count: for how many reboots of each server, from the first that is asked for, the
            outcome is so; None for all. Those that follow are done.
        outcome_comment: what such a task says at its end.
        never_finishes: reboots are carried out, but their tasks go on for ever.
        cut_shown: whether powerState is poweroff between a reboot's power cut and its boot.
        rate_limit: requests per second and account; None for any number.
        retry_after: seconds in the Retry-After of what is too much; None for no such header.
        public_url: where clients find the simulator, if there is a proxy before it.
    """

    timestamp_skew: float = 30.0
    signature_status: int = 400
    error_codes: bool = True
    current_credential_granted: bool = True
    any_credential_told: bool = False
    authorization_check_granted: bool = True
    pagination_ignored: bool = False
    cache_age: float = 0.0
    list_lag: float = 0.0
    read_lag: float = 0.0
    stale_reads: str = "all"
    task_unseen: float = 0.0
    task_unseen_status: int = 404
    task_purged: float | None = None
    task_conflict_status: int = 400
    refuses_second_reboot: bool = True
    date_offset: float = 0.0
    date_form: str = "zone"
    outcome: str = "done"
    outcome_count: int | None = None
    outcome_comment: str = ""
    after_cut: bool = False
    never_finishes: bool = False
    cut_shown: bool = False
    rate_limit: int | None = None
    retry_after: int | None = 1
    public_url: str | None = None

    def __post_init__(self) -> None:
        for name in ("timestamp_skew", "cache_age", "list_lag", "read_lag", "task_unseen"):
            check_seconds(name, getattr(self, name))
        check_seconds("date_offset", abs(self.date_offset))
        for name in ("task_purged", "retry_after"):
            if getattr(self, name) is not None:
                check_seconds(name, getattr(self, name))
        for entry in fields(self):
            if isinstance(entry.default, bool):
                check_flag(entry.name, getattr(self, entry.name))
        _check_choice("signature_status", self.signature_status, (400, 403))
        _check_choice("task_unseen_status", self.task_unseen_status, (404, 500))
        _check_choice("task_conflict_status", self.task_conflict_status, (400, 409))
        _check_choice("stale_reads", self.stale_reads, STALE_READS)
        _check_choice("date_form", self.date_form, DATE_FORMS)
        _check_choice("outcome", self.outcome, OUTCOMES)
        for name in ("cache_age", "read_lag"):
            if getattr(self, name) > MAX_CACHE_AGE:
                raise ValueError(f"{name}: at most {MAX_CACHE_AGE} seconds")
        for name in ("rate_limit", "outcome_count"):
            if getattr(self, name) is not None and not _is_positive(getattr(self, name)):
                raise ValueError(f"{name}: a number above 0 is needed")


def _check_choice(name: str, value: object, choices: tuple[object, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name}: one of {', '.join(map(str, choices))} is needed")


def _is_positive(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


@dataclass(frozen=True)
class _Context:
    """A call that is being carried out. `action` is what IAM calls it."""

    request: Request
    caller: Caller
    action: str
    parameters: Mapping[str, str]


_Act = Callable[[_Context], Response]


@dataclass(frozen=True)
class _Route:
    """A kind of call.

    Attributes:
        path: with parameters in braces.
        root: what precedes it in a URL.
        action: what IAM calls it.
        signed: whether it needs a caller.
    """

    method: str
    path: str
    act: _Act
    action: str = ""
    root: str = ROOT
    signed: bool = True

    @property
    def operation(self) -> str:
        """Its name in the ground truth."""
        return f"{self.method} {self.path}"

    @property
    def segments(self) -> list[str]:
        """The whole path, split."""
        return (self.root + self.path).split("/")


class RestFrontEnd:
    """The REST API over a data centre. `settings` may be replaced at any time.

    A server can have one of it at most, and it is named before the SOAP API, which takes any POST.
    """

    def __init__(
        self,
        data_centre: DataCentre,
        settings: RestSettings | None = None,
        intercept: Interceptor | None = None,
        *,
        credentials: Credentials | None = None,
    ) -> None:
        """Without `credentials` there are the default ones, for the first account."""
        self.data_centre = data_centre
        self.settings = settings or RestSettings()
        self.intercept = intercept
        self._owner = next(iter(data_centre.accounts), "")
        self.credentials = credentials or default_credentials(self._owner)
        self.tasks = Tasks(data_centre)
        self._past = _Past()
        self._reads: Counter[str] = Counter()
        self._reboots: Counter[str] = Counter()
        self._random = random.Random(data_centre.seed)
        self._recent: dict[str, deque[float]] = defaultdict(deque)
        self._answers = itertools.count(1)
        self._routes: dict[tuple[str, int], list[tuple[list[str], _Route]]] = defaultdict(list)
        for route in self._all_routes():
            segments = route.segments
            self._routes[route.method, len(segments)].append((segments, route))
        data_centre.on_change.append(self._remember)
        data_centre.records["tasks"] = self.tasks.record
        data_centre.records["credentials"] = self._record_of_credentials

    def _all_routes(self) -> Iterator[_Route]:
        server, iam = "/dedicated/server/{serviceName}", "dedicatedServer:apiovh:"
        yield _Route("GET", "/auth/time", self._time, signed=False)
        yield _Route("POST", "/auth/credential", self._request_key, signed=False)
        yield _Route("GET", "/auth/currentCredential", self._current_credential)
        yield _Route("GET", "/dedicated/server", self._list, _LIST_ACTION)
        yield _Route("GET", server, self._get_server, iam + "get")
        yield _Route("PUT", server, self._put_server, iam + "put")
        yield _Route("GET", server + "/boot", self._list_netboots, iam + "boot/get")
        yield _Route("GET", server + "/boot/{bootId}", self._get_netboot, iam + "boot/get")
        yield _Route("POST", server + "/reboot", self._reboot, iam + "reboot")
        yield _Route("POST", server + "/reinstall", self._reinstall, iam + "reinstall")
        yield _Route("GET", server + "/task", self._list_tasks, iam + "task/get")
        yield _Route("GET", server + "/task/{taskId}", self._get_task, iam + "task/get")
        yield _Route("POST", server + "/task/{taskId}/cancel", self._cancel, iam + "task/cancel")
        check = "/iam/resource/{resourceURN}/authorization/check"
        yield _Route("POST", check, self._check_authorization, root=ROOT_2)
        yield _Route("GET", "/me", self._me, "account:apiovh:me/get")
        yield _Route("GET", "/me/bill", self._bills, "account:apiovh:me/bill/get")
        for method in ("GET", "POST"):
            yield _Route(method, "/auth/", self._confirmation, root="", signed=False)
        yield _Route("POST", "/auth/oauth2/token", self._give_token, root="", signed=False)

    def takes(self, method: str, path: str) -> bool:
        """What is below the API's roots and `/auth/` is REST."""
        return path.startswith((f"{ROOT}/", f"{SAME_ROOT}/", f"{ROOT_2}/", "/auth/"))

    def handle(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, scheme: str = "http"
    ) -> Response:
        """Answer one HTTP request; `scheme` is the one it came by."""
        lowered = {name.lower(): value for name, value in headers.items()}
        request = Request(method, self._origin(scheme, lowered), path, lowered, body)
        route, parameters = self._find_route(request)
        call = self._log(request, route, parameters)
        if self.intercept is None:
            return self._answer(request, route, parameters)
        return self.intercept(call, lambda: self._answer(request, route, parameters))

    def confirm_all(self) -> None:
        """Confirm all consumer keys that wait for it, as the owner of the first account."""
        self.credentials.confirm_all(self._owner)

    # How a call goes.

    def _origin(self, scheme: str, headers: Mapping[str, str]) -> str:
        public = self.settings.public_url
        if public is None:
            return f"{scheme}://{headers.get('host', 'localhost')}"
        public = public.rstrip("/")
        return public[: -len(ROOT)] if public.endswith(ROOT) else public

    def _find_route(self, request: Request) -> tuple[_Route | None, dict[str, str]]:
        path = request.target.partition("?")[0]
        if path.startswith(f"{SAME_ROOT}/"):
            path = ROOT + path[len(SAME_ROOT) :]
        segments = [unquote(part) for part in path.split("/")]
        for expected, route in self._routes.get((request.method, len(segments)), ()):
            parameters = _match(expected, segments)
            if parameters is not None:
                return route, parameters
        return None, {}

    def _log(self, request: Request, route: _Route | None, parameters: Mapping[str, str]) -> Call:
        operation = route.operation if route else f"{request.method} (unknown)"
        key = request.headers.get("x-ovh-consumer") or request.headers.get("authorization")
        with self.data_centre.lock:
            return self.data_centre.log_call("rest", operation, parameters.get("serviceName"), key)

    def _answer(
        self, request: Request, route: _Route | None, parameters: Mapping[str, str]
    ) -> Response:
        with self.data_centre.lock:
            try:
                if route is None:
                    raise ApiError(404, "Client::NotFound", "Got an invalid (or empty) URL")
                self.data_centre.settle()
                caller = self._admit(request, route) if route.signed else Caller("")
                response = route.act(_Context(request, caller, route.action, parameters))
            except ApiError as error:
                response = error.response(codes=self.settings.error_codes)
            response.headers["X-Ovh-QueryID"] = self._query_id()
            return response

    def _admit(self, request: Request, route: _Route) -> Caller:
        """Who makes the call, if it may be made at all; what IAM says comes later."""
        settings = self.settings
        about_itself = route.path == "/auth/currentCredential"
        caller = self.credentials.caller(
            request,
            self.data_centre.clock,
            skew=settings.timestamp_skew,
            signature_status=settings.signature_status,
            any_status=about_itself and settings.any_credential_told,
        )
        if not (about_itself and settings.current_credential_granted):
            caller.check_call(request.method, "/" + request.path.split("/", 2)[2])
        self._check_rate(caller.account)
        return caller

    def _check_rate(self, account: str) -> None:
        limit, now = self.settings.rate_limit, self.data_centre.clock.monotonic()
        if limit is None:
            return
        recent = self._recent[account]
        while recent and recent[0] <= now - 1:
            recent.popleft()
        if len(recent) >= limit:
            after = self.settings.retry_after
            headers = {} if after is None else {"Retry-After": str(after)}
            raise ApiError(429, "Client::TooManyRequests", "Too many requests", headers=headers)
        recent.append(now)

    def _query_id(self) -> str:
        number = next(self._answers)
        digest = hashlib.sha256(str(number).encode()).hexdigest()
        return f"EU.ext-1.{int(self.data_centre.clock.time()):x}.{number}.{digest[:32]}"

    def _server(self, context: _Context) -> Server:
        """The server that the call names, if the caller may do to it what he asks for."""
        server = self._owned(context.caller, context.parameters["serviceName"])
        if server.expired:
            raise ApiError(460, "Client::ServiceExpired", "This service is expired")
        context.caller.check_action(context.action, server.name)
        return server

    def _owned(self, caller: Caller, name: str) -> Server:
        try:
            return self.data_centre.server_of(self._account(caller), name)
        except UnknownServer:
            raise ApiError(404, "Client::NotFound", "This service does not exist") from None

    def _account(self, caller: Caller) -> Account:
        account = self.data_centre.accounts.get(caller.account)
        if account is None:
            raise ApiError(403, "Client::Forbidden", "This credential is not valid")
        return account

    # Logging in.

    def _time(self, context: _Context) -> Response:
        return answer(int(self.data_centre.clock.time()))

    def _request_key(self, context: _Context) -> Response:
        request = context.request
        application = self.credentials.application(request)
        now = self.data_centre.clock.monotonic()
        key, token = self.credentials.request_key(application, request.document(), now)
        return answer(
            {
                "consumerKey": key.key,
                "state": key.status,
                "validationUrl": f"{request.origin}/auth/?credentialToken={token}",
            }
        )

    def _current_credential(self, context: _Context) -> Response:
        key = context.caller.key
        if key is None:
            raise ApiError(403, "Client::Forbidden", "User not granted for this request")
        application = self.credentials.applications[key.application]
        return answer(key.document(self.data_centre.clock, application.id))

    def _confirmation(self, context: _Context) -> Response:
        """The page on which an account's owner confirms or refuses a consumer key.

        A POST, or `confirm=1` in the query, confirms; `confirm=0` refuses. `account` is the owner's
        nic, that of the first account if it is left out.
        """
        request = context.request
        given = {"account": self._owner, **request.query, **request.form}
        token = given.get("credentialToken", "")
        key = self.credentials.pending(token)
        if key is None:
            return _page(404, "<p>No key waits for this token.</p>")
        decision = given.get("confirm", "1" if request.method == "POST" else "")
        if decision not in ("0", "1"):
            rules = "".join(f"<li>{html.escape(f'{r.method} {r.path}')}</li>" for r in key.rules)
            return _page(200, f"<p>An application asks for:</p><ul>{rules}</ul>{_FORM}")
        if given["account"] not in self.data_centre.accounts:
            return _page(403, "<p>There is no such account.</p>")
        self.credentials.decide(token, given["account"] if decision == "1" else None)
        if key.redirection:
            return Response(302, {"Location": key.redirection})
        return _page(200, f"<p>The key is {key.status}.</p>")

    def _give_token(self, context: _Context) -> Response:
        now = self.data_centre.clock.monotonic()
        status, document = self.credentials.give_token(context.request, now)
        return answer(document, status, {"Cache-Control": "no-store"})

    def _check_authorization(self, context: _Context) -> Response:
        """What the caller may do to a server, without doing it; as the provider describes it."""
        caller, urn = context.caller, context.parameters["resourceURN"]
        if not self.settings.authorization_check_granted:
            raise ApiError(403, "Client::Forbidden", "User not granted for this request")
        actions = context.request.document().get("actions")
        if not isinstance(actions, list) or not all(isinstance(each, str) for each in actions):
            raise wrong_type("actions", actions, "string[]")
        server = self._owned(caller, urn[len(_URN) :] if urn.startswith(_URN) else "")
        may = {action: caller.may(action, server.name) for action in actions}
        return answer(
            {
                "authorizedActions": [action for action in actions if may[action]],
                "unauthorizedActions": [action for action in actions if not may[action]],
            }
        )

    # Servers.

    def _list(self, context: _Context) -> Response:
        caller = context.caller
        servers = self.data_centre.servers_of(self._account(caller))
        if caller.service is not None:
            servers = [server for server in servers if caller.may(context.action, server.name)]
        if not servers:
            caller.check_action(context.action, None)
        mode = context.request.headers.get("x-pagination-mode")
        if mode != _CACHED_PAGES or self.settings.pagination_ignored:
            return answer([server.name for server in servers])
        start, size = _page_wanted(context.request.headers, len(servers))
        moment = self.data_centre.clock.monotonic() - self.settings.cache_age
        documents = [self._document_at(moment, s) for s in servers[start : start + size]]
        more = start + size < len(servers)
        return answer(
            documents, 200, {"X-Pagination-Cursor-Next": _cursor(start + size)} if more else None
        )

    def _get_server(self, context: _Context) -> Response:
        server, settings = self._server(context), self.settings
        self._reads[server.name] += 1
        stale = {
            "all": True,
            "alternating": self._reads[server.name] % 2 == 1,
            "random": self._random.random() < 0.5,
        }
        age = settings.read_lag if stale[settings.stale_reads] else 0.0
        return answer(self._document_at(self.data_centre.clock.monotonic() - age, server))

    def _put_server(self, context: _Context) -> Response:
        server, changes = self._server(context), context.request.document()
        _check_changes(server, changes)
        netboot = _offered_netboot(server, changes["bootId"]) if "bootId" in changes else None
        self.data_centre.announce_change(server, self.data_centre.clock.monotonic())
        if netboot is not None:
            self.data_centre.set_netboot(
                server.name, netboot.id, by=context.caller.name, root=server.netboot_root
            )
        for name, attribute in _ATTRIBUTES.items():
            if name in changes:
                setattr(server, attribute, "" if changes[name] is None else changes[name])
        return answer(None)

    def _document(self, server: Server) -> _Document:
        return _document_of(server, cut_shown=self.settings.cut_shown)

    def _document_at(self, moment: float, server: Server) -> _Document:
        return self._past.at(server.name, moment) or self._document(server)

    def _remember(self, server: Server, at: float) -> None:
        self._past.note(server.name, at, self._document(server))

    def _list_netboots(self, context: _Context) -> Response:
        server, wanted = self._server(context), context.request.query.get("bootType")
        _check_enumeration("bootType", wanted, BOOT_TYPES)
        offered = [netboot for netboot in server.netboots if _is_offered(netboot)]
        return answer([netboot.id for netboot in offered if wanted in (None, netboot.type)])

    def _get_netboot(self, context: _Context) -> Response:
        server, netboot_id = self._server(context), _number("bootId", context)
        try:
            netboot = server.find_netboot(netboot_id)
        except UnknownNetboot:
            raise not_found("bootId", netboot_id) from None
        if netboot.description_status == 404:
            raise not_found("bootId", netboot_id)
        if netboot.description_status == 500:
            raise internal_error()
        return answer(
            {
                "bootId": netboot.id,
                "bootType": netboot.type,
                "kernel": netboot.kernel,
                "description": netboot.description,
            }
        )

    # Tasks.

    def _reboot(self, context: _Context) -> Response:
        server = self._server(context)
        settings = self.settings
        if server.state == "hackedBlocked":
            raise ApiError(403, "Client::Forbidden", "This server is blocked, it has been hacked")
        self._check_idle(server, reboots_too=settings.refuses_second_reboot)
        self._reboots[server.name] += 1
        over = settings.outcome_count is not None and (
            self._reboots[server.name] > settings.outcome_count
        )
        outcome = Ending() if over else Ending(settings.outcome, settings.outcome_comment)
        task = self.tasks.reboot(
            server.name,
            by=context.caller.name,
            ending=replace(outcome, never=settings.never_finishes),
            after_cut=settings.after_cut,
        )
        return self._answer_with_task(task, "init")

    def _reinstall(self, context: _Context) -> Response:
        server = self._server(context)
        self._check_idle(server)
        task = self.tasks.reinstall(server.name, by=context.caller.name, seconds=_REINSTALLATION)
        return self._answer_with_task(task, "init")

    def _answer_with_task(self, task: Task, status: str | None = None) -> Response:
        clock, settings = self.data_centre.clock, self.settings
        write = partial(date, clock, offset=settings.date_offset, form=settings.date_form)
        return answer(task.document(clock.monotonic(), write, status))

    def _check_idle(self, server: Server, *, reboots_too: bool = True) -> None:
        tasks = self.tasks.unfinished(server.name)
        task = next((task for task in tasks if reboots_too or task.reboot is None), None)
        if task is None:
            return
        status = self.settings.task_conflict_status
        kind = "BadRequest" if status == 400 else "Conflict"
        now = self.data_centre.clock.monotonic()
        raise ApiError(
            status,
            f"Client::{kind}::TaskAlreadyExists",
            f"Task {task.id} of type {task.function} with status {task.status(now)} is already"
            f" running on server {server.name}",
        )

    def _list_tasks(self, context: _Context) -> Response:
        server, query = self._server(context), context.request.query
        function, status = query.get("function"), query.get("status")
        _check_enumeration("status", status, STATUSES)
        then = self.data_centre.clock.monotonic() - self.settings.list_lag
        return answer(
            [
                task.id
                for task in self.tasks.of_server(server.name).values()
                if task.accepted_at <= then
                and function in (None, task.function)
                and status in (None, task.status(then))
                and not self._is_purged(task, then)
            ]
        )

    def _get_task(self, context: _Context) -> Response:
        return self._answer_with_task(self._task(context))

    def _cancel(self, context: _Context) -> Response:
        task = self._task(context)
        if not self.tasks.cancel(task):
            status = task.status(self.data_centre.clock.monotonic())
            raise bad_request(f"Task {task.id} with status {status} cannot be cancelled")
        return answer(None)

    def _task(self, context: _Context) -> Task:
        server, task_id = self._server(context), _number("taskId", context)
        task, now = self.tasks.of_server(server.name).get(task_id), self.data_centre.settle()
        if task is None or self._is_purged(task, now):
            raise not_found("taskId", task_id)
        if now - task.accepted_at < self.settings.task_unseen:
            if self.settings.task_unseen_status == 500:
                raise internal_error()
            raise not_found("taskId", task_id)
        return task

    def _is_purged(self, task: Task, now: float) -> bool:
        purged, ended = self.settings.task_purged, task.ended_at
        return purged is not None and ended is not None and ended + purged <= now

    # What a fencing key has no business with.

    def _me(self, context: _Context) -> Response:
        context.caller.check_action(context.action, None)
        return answer({"nichandle": context.caller.account, "country": "FR", "state": "complete"})

    def _bills(self, context: _Context) -> Response:
        context.caller.check_action(context.action, None)
        return answer(["FR12345678"])

    def _record_of_credentials(self) -> list[_Document]:
        return self.credentials.record(self.data_centre.clock.monotonic())


class _Past:
    """What servers were like before their latest changes, for as long as a cache may show it."""

    def __init__(self) -> None:
        self._before: dict[str, deque[tuple[float, _Document]]] = {}

    def note(self, server: str, at: float, document: _Document) -> None:
        """Keep what the API said of a server until `at`."""
        entries = self._before.setdefault(server, deque())
        while entries and entries[0][0] < at - MAX_CACHE_AGE:
            entries.popleft()
        entries.append((at, document))

    def at(self, server: str, moment: float) -> _Document | None:
        """What the API said of a server at `moment`; None if that is what it says now."""
        return next((doc for until, doc in self._before.get(server, ()) if until > moment), None)


# Requests.


def _match(expected: list[str], segments: list[str]) -> dict[str, str] | None:
    parameters = {}
    for wanted, segment in zip(expected, segments):
        if wanted.startswith("{"):
            parameters[wanted[1:-1]] = segment
        elif wanted != segment:
            return None
    return parameters


def _number(name: str, context: _Context) -> int:
    text = context.parameters[name]
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise wrong_type(name, text, "long")
    return int(text)


def _check_enumeration(name: str, value: str | None, choices: tuple[str, ...]) -> None:
    if value is not None and value not in choices:
        raise bad_request(f"[{name}] Given data ({value}) does not belong to the enumeration")


def _page_wanted(headers: Mapping[str, str], total: int) -> tuple[int, int]:
    """The first object of the page that is asked for, and how many objects a page has."""
    text = headers.get("x-pagination-size", str(MAX_PAGE))
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise wrong_type("X-Pagination-Size", text, "long")
    start = _start(headers["x-pagination-cursor"]) if headers.get("x-pagination-cursor") else 0
    if start is None or (start and start >= total):
        raise bad_request("invalid cursor")
    return start, min(int(text), MAX_PAGE)


def _cursor(start: int) -> str:
    return base64.urlsafe_b64encode(f"after:{start}".encode()).decode()


def _start(cursor: str) -> int | None:
    try:
        word, _, number = base64.b64decode(cursor, b"-_", validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return int(number) if word == "after" and number.isascii() and number.isdigit() else None


_ATTRIBUTES = {
    "rescueMail": "rescue_mail",
    "rescueSshKey": "rescue_ssh_key",
    "rootDevice": "netboot_root",
    "bootScript": "boot_script",
    "monitoring": "monitoring",
    "noIntervention": "no_intervention",
}
_BOOLEANS = ("monitoring", "noIntervention")


def _check_changes(server: Server, changes: Mapping[str, Any]) -> None:
    disliked = {"rescueMail": server.refuses_mail, "rescueSshKey": server.refuses_key}
    for name, value in changes.items():
        if name == "bootId":
            good, kind = isinstance(value, int) and not isinstance(value, bool), "long"
        elif name in _BOOLEANS:
            good, kind = isinstance(value, bool), "boolean"
        elif name in _ATTRIBUTES:
            good, kind = value is None or isinstance(value, str), "string"
        else:
            raise bad_request(f"[{name}] cannot be set")
        if not good or (value and disliked.get(name)):
            raise wrong_type(name, value, kind)


def _is_offered(netboot: Netboot) -> bool:
    """A netboot that is no longer active is not offered; the API does not show states."""
    return netboot.state == "active"


def _offered_netboot(server: Server, netboot_id: int) -> Netboot:
    offered = {netboot.id: netboot for netboot in server.netboots if _is_offered(netboot)}
    if netboot_id not in offered:
        raise ApiError(
            404,
            "Client::NotFound",
            f"Netboot id {netboot_id} is not valid, must be on list :"
            f" {', '.join(map(str, offered))}",
        )
    return offered[netboot_id]


# Answers.


@lru_cache(maxsize=65_536)
def _identity(name: str) -> tuple[int, str, str]:
    """A server's number, address (of the range for benchmarks) and IAM id."""
    digest = hashlib.sha256(name.encode()).digest()
    address = f"198.{18 + digest[0] % 2}.{digest[1]}.{digest[2]}"
    number = 1_000_000 + int.from_bytes(digest[3:6], "big")
    return number, address, str(uuid.UUID(bytes=digest[:16], version=4))


def _document_of(server: Server, *, cut_shown: bool) -> _Document:
    number, address, iam_id = _identity(server.name)
    place = server.datacenter.rstrip("0123456789")
    return {
        "availabilityZone": f"eu-west-{place}-a",
        "bootId": None if server.boot_script else server.netboot.id,
        "bootScript": server.boot_script or None,
        "commercialRange": "advance",
        "datacenter": server.datacenter,
        "efiBootloaderPath": None,
        "iam": {
            "displayName": server.display_name or server.name,
            "id": iam_id,
            "tags": {},
            "urn": _URN + server.name,
        },
        "ip": server.address or address,
        "linkSpeed": 1000,
        "monitoring": server.monitoring,
        "name": server.name,
        "newUpgradeSystem": True,
        "noIntervention": server.no_intervention,
        "os": server.os or "none_64",
        "powerState": _power_state(server, cut_shown),
        "professionalUse": False,
        "rack": f"{server.datacenter.upper()}A12",
        "region": f"eu-west-{place}",
        "rescueMail": server.rescue_mail or None,
        "rescueSshKey": server.rescue_ssh_key or None,
        "reverse": server.reverse or server.name,
        "rootDevice": server.netboot_root or None,
        "serverId": number,
        "state": server.state,
        "supportLevel": "pro",
    }


def _power_state(server: Server, cut_shown: bool) -> str:
    """A server that is about to boot again counts as on, unless its power cut is to be shown."""
    booting = server.last_cut is not None and server.last_cut.netboot is None
    return "poweron" if server.on or (booting and not cut_shown) else "poweroff"


_FORM = (
    '<form method="post"><button name="confirm" value="1">Confirm</button>'
    '<button name="confirm" value="0">Refuse</button></form>'
)


def _page(status: int, content: str) -> Response:
    document = f"<!DOCTYPE html><title>API key</title>{content}\n"
    return Response(status, {"Content-Type": "text/html; charset=utf-8"}, document.encode())
