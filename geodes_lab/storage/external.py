"""A file of a web server whose name a document told.

From the hosts that the operator allows, on addresses of the internet, and no further.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection
from urllib.parse import urlsplit

import httpx

from geodes_lab.credentials import tls
from geodes_lab.errors import GeodesError

_TIMEOUT = httpx.Timeout(20.0)
# What `ipaddress` takes for the internet and is not: addresses of a site, translations to IPv4 of a network's own, IPv4
# in IPv6 of old, segments of a router (RFC 9602), and where clouds answer their machines (Azure's host).
_NOT_PUBLIC = [
    ipaddress.ip_network(n)
    for n in ("fec0::/10", "64:ff9b:1::/48", "::/96", "5f00::/16", "192.0.0.0/24", "168.63.129.16/32")
]


class NotAllowed(GeodesError):
    """An address that is not asked."""


def is_allowed(url: str, hosts: Collection[str]) -> bool:
    """Whether an address is on one of the hosts; nothing is asked.

    Parameters
    ----------
    url
        The address.
    hosts
        Names such as ``geodes-portal.cnes.fr``, with a port where it is not that of HTTPS: ``127.0.0.1:8080``.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    if parts.username is not None or parts.password is not None or not parts.hostname:
        return False
    if parts.scheme == "https":
        return (parts.hostname if port in (None, 443) else f"{parts.hostname}:{port}") in hosts
    # In the open only on this machine, where the operator says its port.
    is_here = _literal(parts.hostname) is not None and ipaddress.ip_address(parts.hostname).is_loopback
    return parts.scheme == "http" and is_here and f"{parts.hostname}:{port or 80}" in hosts


def fetched(url: str, hosts: Collection[str], most: int) -> bytes:
    """Fetch a file.

    A name leads to addresses of the internet alone: whoever has the name's DNS could else make this machine ask its own
    services, its neighbours', or the cloud's metadata. An operator who means such an address writes it, not a name,
    into the list. What is resolved is what is asked. A redirect is not followed.

    Parameters
    ----------
    url
        The address.
    hosts
        As for `is_allowed`.
    most
        The largest file, in bytes.

    Raises
    ------
    NotAllowed
        If the host is not one of these, or its address is none of the internet.
    GeodesError
        If there is no such file, or it is larger.
    """
    if not is_allowed(url, hosts):
        raise NotAllowed(
            f"{_shown(url)} is on none of the hosts that the lab asks: geodes_lab.download.hosts names them."
        )
    parts = urlsplit(url)
    assert parts.hostname is not None
    port = parts.port or (443 if parts.scheme == "https" else 80)
    address = _literal(parts.hostname) or _resolved(parts.hostname, port)
    target = httpx.URL(url).copy_with(host=address, port=port)
    head = {"Host": parts.netloc, "Accept": "image/*, */*;q=0.1", "Accept-Encoding": "identity"}
    try:
        # Neither the proxy nor the passwords of the environment: they are for whom the user chose to ask.
        with (
            httpx.Client(verify=tls.context(), timeout=_TIMEOUT, trust_env=False) as client,
            client.stream("GET", target, headers=head, extensions={"sni_hostname": parts.hostname}) as answer,
        ):
            answer.raise_for_status()
            if (
                answer.headers.get("Content-Encoding", "identity").lower() != "identity"
            ):  # some bytes could be gigabytes
                raise GeodesError(f"{_shown(url)} comes compressed though that was not asked for: it is not read.")
            data = bytearray()
            for part in answer.iter_raw():
                data += part
                if len(data) > most:
                    raise GeodesError(f"{_shown(url)} is larger than {most:,} bytes: it is not fetched.")
            return bytes(data)
    except httpx.HTTPError as error:
        why = f"HTTP {error.response.status_code}" if isinstance(error, httpx.HTTPStatusError) else type(error).__name__
        raise GeodesError(f"{_shown(url)} cannot be read ({why}): try again later.") from error


def is_public(address: str) -> bool:
    """Whether an IP address is one of the internet: not of this machine, its network, or a cloud's metadata.

    Raises
    ------
    ValueError
        If it is none.
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if found in ipaddress.ip_network("64:ff9b::/96"):  # what a network translates to an address of IPv4
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        found = inner if inner is not None else found
    if any(found.version == network.version and found in network for network in _NOT_PUBLIC):
        return False
    return found.is_global and not found.is_multicast


def _resolved(host: str, port: int) -> str:
    try:
        found = {str(told[4][0]) for told in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except OSError:
        raise GeodesError(f"The name {host} is not known here: check the network.") from None
    for address in found:
        if not is_public(address):
            raise NotAllowed(f"{host} leads to an address that is not of the internet: the lab does not ask it.")
    return min(found)


def _literal(host: str) -> str | None:
    """The address, if a host is written as one."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return None


def _shown(url: str) -> str:
    """An address without what may be a key."""
    return url.partition("?")[0][:200]
