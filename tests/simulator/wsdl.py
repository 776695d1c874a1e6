"""The WSDL of the simulated SoAPI.

As in the provider's own, the encoding namespace of `soapenc:Array` is used without being imported:
a client that needs the import must add it, here as there.
"""

from __future__ import annotations

from collections.abc import Mapping
from xml.sax.saxutils import quoteattr

from tests.simulator.operations import NAMESPACE, OPERATIONS, STRUCTS, Members, Operation

_SOAP_ENCODING = "http://schemas.xmlsoap.org/soap/encoding/"

_DEFINITIONS = (
    f'<wsdl:definitions name="manager" targetNamespace="{NAMESPACE}" xmlns:tns="{NAMESPACE}"'
    ' xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/"'
    ' xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/"'
    f' xmlns:soapenc="{_SOAP_ENCODING}" xmlns:xsd="http://www.w3.org/2001/XMLSchema">'
)


def describe(
    address: str,
    operations: Mapping[str, Operation] = OPERATIONS,
    structs: Mapping[str, Members] = STRUCTS,
) -> bytes:
    """The WSDL of the service at `address` (a URL)."""
    parts = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        _DEFINITIONS,
        f'<wsdl:types><xsd:schema targetNamespace="{NAMESPACE}">',
        *(_struct(name, members) for name, members in structs.items()),
        *(_array(item) for item in _array_items(operations)),
        "</xsd:schema></wsdl:types>",
        *(_messages(name, operation) for name, operation in operations.items()),
        '<wsdl:portType name="managerPortType">',
        *(_port_operation(name) for name in operations),
        "</wsdl:portType>",
        '<wsdl:binding name="managerBinding" type="tns:managerPortType">',
        '<soap:binding style="rpc" transport="http://schemas.xmlsoap.org/soap/http"/>',
        *(_bound_operation(name) for name in operations),
        "</wsdl:binding>",
        '<wsdl:service name="managerService">',
        '<wsdl:port name="managerPort" binding="tns:managerBinding">',
        f"<soap:address location={quoteattr(address)}/></wsdl:port></wsdl:service>",
        "</wsdl:definitions>",
    ]
    return "\n".join(parts).encode()


def _array_items(operations: Mapping[str, Operation]) -> list[str]:
    """The types of which there are arrays."""
    returned = (operation.returns or "" for operation in operations.values())
    return sorted({name[:-2] for name in returned if name.endswith("[]")})


def _type(name: str) -> str:
    """A type of operations.py as a qualified name."""
    if name.endswith("[]"):
        return f"tns:{_array_name(name[:-2])}"
    return name if name.startswith("xsd:") else f"tns:{name}"


def _array_name(item: str) -> str:
    return f"ArrayOf_{item.replace(':', '_')}"


def _struct(name: str, members: Members) -> str:
    elements = "".join(
        f'<xsd:element name="{member}" type="{_type(kind)}"/>' for member, kind in members
    )
    return f'<xsd:complexType name="{name}"><xsd:all>{elements}</xsd:all></xsd:complexType>'


def _array(item: str) -> str:
    return (
        f'<xsd:complexType name="{_array_name(item)}"><xsd:complexContent>'
        '<xsd:restriction base="soapenc:Array"><xsd:attribute ref="soapenc:arrayType"'
        f' wsdl:arrayType="{_type(item)}[]"/></xsd:restriction>'
        "</xsd:complexContent></xsd:complexType>"
    )


def _messages(name: str, operation: Operation) -> str:
    request = "".join(
        f'<wsdl:part name="{part}" type="{_type(kind)}"/>' for part, kind in operation.parameters
    )
    response = (
        f'<wsdl:part name="return" type="{_type(operation.returns)}"/>' if operation.returns else ""
    )
    return (
        f'<wsdl:message name="{name}Request">{request}</wsdl:message>\n'
        f'<wsdl:message name="{name}Response">{response}</wsdl:message>'
    )


def _port_operation(name: str) -> str:
    return (
        f'<wsdl:operation name="{name}"><wsdl:input message="tns:{name}Request"/>'
        f'<wsdl:output message="tns:{name}Response"/></wsdl:operation>'
    )


def _bound_operation(name: str) -> str:
    body = f'<soap:body use="encoded" namespace="{NAMESPACE}" encodingStyle="{_SOAP_ENCODING}"/>'
    return (
        f'<wsdl:operation name="{name}"><soap:operation soapAction="{NAMESPACE}#{name}"/>'
        f"<wsdl:input>{body}</wsdl:input><wsdl:output>{body}</wsdl:output></wsdl:operation>"
    )
