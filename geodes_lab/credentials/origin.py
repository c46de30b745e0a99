"""Which address a credential may go to: the one that it is for, and no other, whoever names it."""

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
# Libraries read an address with these in different ways: one would check another host than the one that is asked.
_AMBIGUOUS = re.compile(r"[\x00-\x20\x7f\\]")
# A part of a path that some server takes for "." or "..": blanks, more dots and parameters are dropped by one or
# another.
_CLIMBING = re.compile(r"(?:^|/)\s*\.[.\s]*(?:;[^/]*)?(?=/|$)")
_DECODED = 4  # times that a server, and what stands before it, may decode a path


class Origin(NamedTuple):
    """Whom an address speaks to."""

    scheme: str
    """``http`` or ``https``."""
    host: str
    """In small letters; an address of IPv6 without its brackets."""
    port: int

    @property
    def text(self) -> str:
        """As the beginning of an address; the port always said."""
        return f"{self.scheme}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether it is this machine, by its usual names."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def is_private(self) -> bool:
        """Whether nobody on the way reads what is sent.

        By TLS, or since it stays on this machine or in the operator's own network.

        In a cluster of Kubernetes a name without a dot is a service of the same namespace; elsewhere
        ``geodes_lab.credentials.plain`` lists the servers.
        """
        if self.scheme == "https" or self.is_loopback:
            return True
        if "KUBERNETES_SERVICE_HOST" in os.environ and re.fullmatch(r"[a-z][a-z0-9-]*", self.host):
            return True
        return f"{self.host}:{self.port}" in settings.get("credentials.plain")


def origin(address: str) -> Origin | None:
    """Whom an address speaks to; None where that is not plain: another scheme, a name and password, odd characters."""
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
    found = origin(one)
    return found is not None and found == origin(other)


def below(address: str, home: str) -> bool:
    """Whether an address is ``home`` or lies below it.

    On a server that many people share, what lies beside is somebody else's.
    """
    if not same(address, home):
        return False
    path, root = urlsplit(address).path, urlsplit(home).path.rstrip("/")
    return (path == root or path.startswith(f"{root}/")) and not _climbs(path)


def _climbs(path: str) -> bool:
    """Whether a path could climb after any of the times that it may be decoded."""
    for _ in range(_DECODED):
        if _CLIMBING.search(path.replace("\\", "/")):
            return True
        before, path = path, unquote(path)
        if path == before:
            return False
    return True


def listed(address: str, hosts: Iterable[str]) -> bool:
    """Whether an address is on a list of hosts.

    ``host`` is meant with the port of its scheme, ``host:port`` with that one.

    On this machine a host without a port is meant with each.
    """
    found = origin(address)
    if found is None:
        return False
    usual = found.is_loopback or found.port == _PORTS[found.scheme]
    return f"{found.host}:{found.port}" in hosts or (usual and found.host in hosts)


def guard(address: str, what: str) -> None:
    """Refuse to send a credential where others on the way could read it.

    Raises
    ------
    GeodesError
        If the address is no plain ``https`` one, nor on this machine.
    """
    found = origin(address)
    if found is None:
        raise GeodesError(
            f"{what} is not sent to {address!r}: write it as https://host:port/path, without a name or password."
        )
    if not found.is_private:
        raise GeodesError(
            f"{what} is not sent to {found.text}, since others on the way could read it: use https, or list "
            f"{found.host}:{found.port} in geodes_lab.credentials.plain if nobody else is on that network."
        )
