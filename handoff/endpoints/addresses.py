"""Where a message may go: to public addresses by https, unless the installation allows a host by name.

An address is judged by what its name resolves to, at the moment of sending, and the connection is made to
just that address: a name that means something else a second later changes nothing.
"""

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings

from leadflow.errors import BadInput, Fault

IP = ipaddress.IPv4Address | ipaddress.IPv6Address
# IPv6 networks whose addresses carry an IPv4 address in their last 32 bits.
CARRIERS = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96"))
PRIVATE = "It leads into a private network. Only public addresses can be told."


class Refused(Exception):
    """The address is none that we send to; the text says why."""


@dataclass(frozen=True)
class Place:
    """An address taken apart: `path` with its query."""

    scheme: str
    host: str
    port: int
    path: str


def read(url: str) -> Place:
    """Take an address apart. Raises Refused unless it is a complete https address without a password."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        raise Refused("That is no address. It looks like https://example.com/hook.") from None
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host or any(ord(sign) <= 32 for sign in url.strip()):
        raise Refused("That is no address. It looks like https://example.com/hook.")
    if parts.username or parts.password:
        raise Refused("Leave name and password out of the address: the signature shows who sends.")
    if parts.scheme == "http" and not _named(host):
        raise Refused("It must begin with https://, so that nobody reads along.")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Place(parts.scheme, host, port or (443 if parts.scheme == "https" else 80), path)


def resolve(place: Place) -> list[str]:
    """The addresses behind the name, all of them allowed. Raises Refused, OSError when there are none."""
    try:
        found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise Refused("That is no name of a host.") from None
    numbers = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    # One private address among public ones is enough to refuse: who mixes them has a reason.
    if not _named(place.host) and not all(is_open(number) for number in numbers):
        raise Refused(PRIVATE)
    return numbers


def check(url: str) -> None:
    """Raise BadInput unless messages may go to this address as it resolves today.

    A name that nobody knows (yet) passes: the first try will tell.
    """
    try:
        resolve(read(url))
    except Refused as no:
        raise BadInput(str(no), [Fault("url", str(no))]) from None
    except OSError:
        return


def is_open(number: str) -> bool:
    """Whether an IP address is public, or of a network that the installation allows."""
    address = _inner(ipaddress.ip_address(number.partition("%")[0]))
    if any(address in network for network in _networks() if network.version == address.version):
        return True
    return address.is_global and not address.is_multicast and not address.is_reserved


def _inner(address: IP) -> IP:
    """The IPv4 address that an IPv6 one stands for; others as they are."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    for inner in (address.ipv4_mapped, address.sixtofour, address.teredo and address.teredo[1]):
        if inner:
            return inner
    if any(address in network for network in CARRIERS) and int(address) > 1:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def _named(host: str) -> bool:
    return host.casefold() in {entry.casefold() for entry in settings.WEBHOOK_ALLOW}


def _networks() -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    found = []
    for entry in settings.WEBHOOK_ALLOW:
        try:
            found.append(ipaddress.ip_network(entry, strict=False))
        except ValueError:
            continue  # a host's name
    return found
