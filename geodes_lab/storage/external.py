"""A file on a web server that a document names.

Only the hosts that the operator allows are contacted, and only at public addresses of the internet.
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
# Networks that `ipaddress` calls global although they are not public: site-local addresses, translations of a network
# to IPv4, old IPv4 in IPv6, segments of a router (RFC 9602), and Azure's host that answers virtual machines.
_NOT_PUBLIC = [
    ipaddress.ip_network(n)
    for n in ("fec0::/10", "64:ff9b:1::/48", "::/96", "5f00::/16", "192.0.0.0/24", "168.63.129.16/32")
]


class NotAllowed(GeodesError):
    """An address that the lab does not contact."""


def is_allowed(url: str, hosts: Collection[str]) -> bool:
    """Whether an address is on one of the hosts; no request.

    Parameters
    ----------
    url
        The address.
    hosts
        Names such as ``geodes-portal.cnes.fr``, with a port if it is not that of HTTPS: ``127.0.0.1:8080``.
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
    # Without TLS only on this machine, where the operator sets its port.
    is_here = _literal(parts.hostname) is not None and ipaddress.ip_address(parts.hostname).is_loopback
    return parts.scheme == "http" and is_here and f"{parts.hostname}:{port or 80}" in hosts


def fetched(url: str, hosts: Collection[str], most: int) -> bytes:
    """Fetch a file.

    A name must resolve to public addresses of the internet alone: otherwise the owner of the name's DNS could make this
    machine send requests to its own services, its neighbours', or the cloud's metadata. An operator who wants such an
    address lists the address, not a name. The request goes to the resolved address. Redirects are not followed.

    Parameters
    ----------
    url
        The address.
    hosts
        See `is_allowed`.
    most
        The largest file, in bytes.

    Raises
    ------
    NotAllowed
        If the host is not on the list, or its address is not public.
    GeodesError
        If the file does not exist, or is larger.
    """
    if not is_allowed(url, hosts):
        raise NotAllowed(
            f"{_shown(url)} is not on one of the hosts that the lab uses: geodes_lab.download.hosts lists them."
        )
    parts = urlsplit(url)
    assert parts.hostname is not None
    port = parts.port or (443 if parts.scheme == "https" else 80)
    address = _literal(parts.hostname) or _resolved(parts.hostname, port)
    target = httpx.URL(url).copy_with(host=address, port=port)
    head = {"Host": parts.netloc, "Accept": "image/*, */*;q=0.1", "Accept-Encoding": "identity"}
    try:
        # Use neither the proxy nor the passwords of the environment: they are for servers that the user chose.
        with (
            httpx.Client(verify=tls.context(), timeout=_TIMEOUT, trust_env=False) as client,
            client.stream("GET", target, headers=head, extensions={"sni_hostname": parts.hostname}) as answer,
        ):
            answer.raise_for_status()
            if (
                answer.headers.get("Content-Encoding", "identity").lower() != "identity"
            ):  # some bytes could decompress to gigabytes
                raise GeodesError(f"{_shown(url)} was sent compressed without a request for it: it is not read.")
            data = bytearray()
            for part in answer.iter_raw():
                data += part
                if len(data) > most:
                    raise GeodesError(f"{_shown(url)} is larger than {most:,} bytes, the limit: it is not fetched.")
            return bytes(data)
    except httpx.HTTPError as error:
        why = f"HTTP {error.response.status_code}" if isinstance(error, httpx.HTTPStatusError) else type(error).__name__
        raise GeodesError(f"{_shown(url)} cannot be read ({why}): try again later.") from error


def is_public(address: str) -> bool:
    """Whether an IP address is on the public internet: not on this machine, its network, or a cloud's metadata service.

    Raises
    ------
    ValueError
        If it is not an IP address.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in ipaddress.ip_network("64:ff9b::/96"):  # addresses that a network translates to IPv4
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        ip = inner if inner is not None else ip
    if any(ip.version == network.version and ip in network for network in _NOT_PUBLIC):
        return False
    return ip.is_global and not ip.is_multicast


def _resolved(host: str, port: int) -> str:
    try:
        addresses = {str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except OSError:
        raise GeodesError(f"The host name {host} is not known: check the network.") from None
    for address in addresses:
        if not is_public(address):
            raise NotAllowed(f"{host} has an address that is not on the internet: the lab does not contact it.")
    return min(addresses)


def _literal(host: str) -> str | None:
    """Return the address, if the host is an IP address."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return None


def _shown(url: str) -> str:
    """Return an address without its query, which may be a key."""
    return url.partition("?")[0][:200]
