"""The nine operations of SoAPI that the simulator has, as its WSDL published them."""

from __future__ import annotations

from dataclasses import dataclass

NAMESPACE = "http://soapi.ovh.com/manager"

STRING = "xsd:string"
BOOLEAN = "xsd:boolean"
INT = "xsd:int"

Members = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Operation:
    """`parameters` are (name, type), in order; `returns` is a type, or None for nothing.

    A type is one of XML Schema's (`xsd:`), the name of one of STRUCTS, or an array: a type followed
    by `[]`.
    """

    parameters: Members
    returns: str | None = None


STRUCTS: dict[str, Members] = {
    "dedicatedNetbootStruct": (
        ("kernel", STRING),
        ("cpufamily", STRING),
        ("root", STRING),
        ("smp", BOOLEAN),
        ("ipv6", BOOLEAN),
        ("grsec", BOOLEAN),
        ("hz", STRING),
        ("id", INT),
        ("state", STRING),
    ),
    "dedicatedInfoStruct": (
        ("hostname", STRING),
        ("datacenter", STRING),
        ("os", STRING),
    ),
    "dedicatedHardRebootStatusStruct": (
        ("start", STRING),
        ("end", STRING),
    ),
}


def _strings(*names: str) -> Members:
    return tuple((name, STRING) for name in names)


OPERATIONS: dict[str, Operation] = {
    "login": Operation(
        (*_strings("nic", "password", "language"), ("multisession", BOOLEAN)), STRING
    ),
    "logout": Operation(_strings("session")),
    "dedicatedList": Operation(_strings("session"), "xsd:string[]"),
    "dedicatedInfo": Operation(_strings("session", "hostname"), "dedicatedInfoStruct"),
    "dedicatedNetbootInfo": Operation(_strings("session", "hostname"), "dedicatedNetbootStruct"),
    "dedicatedNetbootGetAvailable": Operation(
        _strings("session", "hostname"), "dedicatedNetbootStruct[]"
    ),
    "dedicatedNetbootModifyById": Operation(
        _strings("session", "hostname", "id", "root", "rescueEmail")
    ),
    "dedicatedHardRebootDo": Operation(
        _strings("session", "hostname", "reason", "email", "emailLanguage")
    ),
    "dedicatedHardRebootStatus": Operation(
        _strings("session", "hostname"), "dedicatedHardRebootStatusStruct"
    ),
}
