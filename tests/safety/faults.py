"""How an exchange with OVH fails: which one does, and what comes back instead of an answer."""

from __future__ import annotations

import json
import random
import re
from typing import Callable

from tests.safety.schedule import PASSING, REFUSALS, Schedule
from tests.simulator import Response

HTML = b"<html><body>Sorry</body></html>"
BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">]><x>&a;&a;&a;&a;&a;</x>'

NO_CONNECTION = ("refused", "reset before", "reset after", "TLS failure", "too long")
NO_ANSWER = ("time-out before", "time-out after", "drip")

MADE_UP = {
    "empty": Response(200, {}, b""),
    "HTML": Response(200, {}, HTML),
    "HTML after": Response(200, {}, HTML),
    "408": Response(408, {}, HTML),
    "502": Response(502, {}, HTML),
    "500 after": Response(500, {}, HTML),
    "504 after": Response(504, {}, HTML),
    "503 with Retry-After": Response(503, {"Retry-After": "7"}, HTML),
    "429": Response(429, {}, HTML),
    "429 with Retry-After": Response(429, {"Retry-After": "99999"}, HTML),
    "redirect": Response(302, {"Location": "http://127.0.0.1/elsewhere"}, b""),
    "bomb": Response(200, {}, BOMB),
    "nesting": Response(200, {}, b"[" * 100_000),
    "garbage": Response(200, {}, bytes(range(256))),
}
"""Answers that are none."""


class Weather:
    """Which exchanges fail, as a schedule has it.

    Attributes:
        last_trouble: when the last fault of a single call hit, in seconds; 0 for never.
    """

    def __init__(self, schedule: Schedule) -> None:
        self.last_trouble = 0.0
        self._schedule = schedule
        self._faults = dict(schedule.faults)
        self._chance = random.Random(schedule.luck)
        self._posts = 0

    def fault(self, number: int, elapsed: float, *, is_post: bool) -> str:
        """The fault of the exchange of that number at that moment; "" for none.

        :param is_post: whether it asks for a hard reboot.
        """
        fault = self._fault_of_outage(elapsed)
        if not fault:
            fault = self._faults.get(number, "") or self._fault_of_post(is_post)
            self.last_trouble = elapsed if fault else self.last_trouble
        return fault or self._fault_of_bad_hour(number, elapsed)

    def _fault_of_outage(self, elapsed: float) -> str:
        for begin, length, fault in self._schedule.outages:
            if begin <= elapsed < begin + length:
                return fault
        return ""

    def _fault_of_post(self, is_post: bool) -> str:
        self._posts += is_post
        is_lost = is_post and self._posts <= self._schedule.posts_lost
        return self._schedule.post_fault if is_lost else ""

    def _fault_of_bad_hour(self, number: int, elapsed: float) -> str:
        schedule = self._schedule
        if schedule.troubled_until and elapsed >= schedule.troubled_until:
            return ""
        if schedule.alternating and number % 2 == 0:
            return schedule.alternating
        if schedule.rate and self._chance.random() * 100 < schedule.rate:
            return self._chance.choice(PASSING)
        return ""


def made_up(fault: str, refusal: Callable[[str], Response]) -> Response | None:
    """The answer that somebody else than OVH, or a part of OVH that hiccups, gives."""
    return refusal(fault) if fault in REFUSALS else MADE_UP.get(fault)


# A refusal in each API's words; it quotes the secret that it was sent.


def soap_refusal(fault: str, secret: str) -> Response:
    """A fault in SOAP."""
    words = {
        "401": f"invalid login or password {secret}",
        "403": f"not for {secret}",
        "403 after": f"not for {secret}",
        "404": f"you have no dedicated server {secret}",
        "session gone": f"your session {secret} is invalid or has expired, please log in again",
        "out of time": f"internal error, time out of {secret}",
    }
    text = words[fault].replace("&", "&amp;").replace("<", "&lt;")
    return Response(
        500,
        {"Content-Type": "text/xml"},
        b'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><e:Fault>'
        b"<faultcode>e:1</faultcode><faultstring>" + text.encode() + b"</faultstring>"
        b"</e:Fault></e:Body></e:Envelope>",
    )


def rest_refusal(fault: str, secret: str) -> Response:
    """An error of the REST API."""
    status, kind, words, code = {
        "401": (401, "Unauthorized", f"You must login first, not with {secret}", ""),
        "403": (403, "Forbidden", f"This call has not been granted to {secret}", ""),
        "403 after": (403, "Forbidden", f"This credential {secret} is not valid", ""),
        "404": (404, "NotFound", f"This service does not exist for {secret}", ""),
        "session gone": (401, "Unauthorized", f"Invalid or expired token {secret}", ""),
        "out of time": (400, "BadRequest", "Query out of time", "QUERY_TIME_OUT"),
    }[fault]
    document = {"class": f"Client::{kind}", "message": words}
    if code:
        document.update(errorCode=code, httpCode="400 Bad Request")
    return Response(status, {"Content-Type": "application/json"}, json.dumps(document).encode())


# An answer of OVH's with members garbled or gone.


def garbled_soap(fault: str, body: bytes) -> bytes:
    """What is left of an envelope."""
    if fault == "wrong type":
        return re.sub(rb">[^<>]+</(id|end|start)>", rb">many</\1>", body)
    return re.sub(rb"<(kernel|end|id)[^<>]*>[^<>]*</\1>", b"", body)


def garbled_rest(fault: str, body: bytes) -> bytes:
    """What is left of a document."""
    if fault == "wrong type":
        return re.sub(rb'"(bootId|taskId)": *\d+', rb'"\1": "many"', body)
    return re.sub(rb'"(bootId|taskId|status)": *[^,}]+[,]', b"", body)
