"""Which address a credential may go to: only the one that it is meant for, whoever names the address."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from geodes_lab import settings
from geodes_lab.errors import GeodesError

_PORTS = {"http": 80, "https": 443}
# Libraries read these characters in an address in different ways: one could check another host than the one that is
# contacted.
_AMBIGUOUS = re.compile(r"[\x00-\x20\x7f\\]")
# Parts of a path that some server takes for "." or "..": servers drop blanks, more dots or parameters.
_CLIMBING = re.compile(r"(?:^|/)\s*\.[.\s]*(?:;[^/]*)?(?=/|$)")
_DECODED = 4  # times that a server, and the proxies before it, may decode a path


class Origin(NamedTuple):
    """The server that an address leads to."""

    scheme: str
    """``http`` or ``https``."""
    host: str
    """In lower case; an IPv6 address without its brackets."""
    port: int

    @property
    def text(self) -> str:
        """The beginning of an address, always with the port."""
        return f"{self.scheme}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether the host is this machine, by its usual names."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def is_private(self) -> bool:
        """Whether nobody on the way can read what is sent.

        True with TLS, and where the data stay on this machine or in the operator's own network.

        In a Kubernetes cluster, a name without a dot is a service of the same namespace; elsewhere
        ``geodes_lab.credentials.plain`` lists such servers.
        """
        if self.scheme == "https" or self.is_loopback:
            return True
        if "KUBERNETES_SERVICE_HOST" in os.environ and re.fullmatch(r"[a-z][a-z0-9-]*", self.host):
            return True
        return f"{self.host}:{self.port}" in settings.get("credentials.plain")


def origin(address: str) -> Origin | None:
    """Return the server of an address; None for another scheme, a name and password, or unusual characters."""
    try:
        url = urlsplit(address)
        port = url.port
    except ValueError:
        return None
    if url.scheme not in _PORTS or not url.hostname or "@" in url.netloc or _AMBIGUOUS.search(address):
        return None
    return Origin(url.scheme, url.hostname.rstrip("."), port if port is not None else _PORTS[url.scheme])


def same(one: str, other: str) -> bool:
    """Whether two addresses speak to the same server: scheme, host and port."""
    server = origin(one)
    return server is not None and server == origin(other)


def below(address: str, home: str) -> bool:
    """Whether an address is ``home`` or is below it.

    On a server that many people share, neighbouring paths belong to somebody else.
    """
    if not same(address, home):
        return False
    path, root = urlsplit(address).path, urlsplit(home).path.rstrip("/")
    return (path == root or path.startswith(f"{root}/")) and not _climbs(path)


def _climbs(path: str) -> bool:
    """Whether a path could leave its folder after any of its decodings."""
    for _ in range(_DECODED):
        if _CLIMBING.search(path.replace("\\", "/")):
            return True
        before, path = path, unquote(path)
        if path == before:
            return False
    return True


def listed(address: str, hosts: Iterable[str]) -> bool:
    """Whether an address is on a list of hosts.

    ``host`` means the host with the usual port of the scheme; ``host:port`` means that port.

    On this machine, a host without a port means every port.
    """
    server = origin(address)
    if server is None:
        return False
    usual = server.is_loopback or server.port == _PORTS[server.scheme]
    return f"{server.host}:{server.port}" in hosts or (usual and server.host in hosts)


def guard(address: str, what: str) -> None:
    """Refuse to send a credential where others on the way could read it.

    Raises
    ------
    GeodesError
        If the address is neither a valid ``https`` one nor on this machine.
    """
    server = origin(address)
    if server is None:
        raise GeodesError(
            f"{what} is not sent to {address!r}: write it as https://host:port/path, without a name or password."
        )
    if not server.is_private:
        raise GeodesError(
            f"{what} is not sent to {server.text}, because others could read it on the way: use https, or list "
            f"{server.host}:{server.port} in geodes_lab.credentials.plain if nobody else is on that network."
        )
