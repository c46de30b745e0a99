"""Requests to the servers of catalogues, and limits for their answers.

They are bounded, and cannot lead to private servers.

A server sends the addresses that follow: links to pages, searches, collections, redirects. Each is compared with the
catalogue's own address before a request. The catalogue's own server may name any of its addresses; another server gets
only GET requests, without any credential, and only at a public address of the internet: links never lead to this
machine or the network around it.
"""

from __future__ import annotations

import os
import re
import time
from typing import Any
from urllib.parse import urljoin, urlsplit

from requests import PreparedRequest, Request, Response, Session
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.retry import Retry

from geodes_lab.credentials import origin
from geodes_lab.errors import GeodesError
from geodes_lab.storage.external import is_public

MIB = 2**20
LARGEST = 32 * MIB
"""Bytes of an answer; a page of a hundred Items has one or two million."""
DEPTH = 64
"""Nested lists and objects of JSON."""
_SECONDS = 300.0  # for a complete answer
_TIMEOUT = (10.0, 60.0)  # seconds to connect, and between two parts of an answer
_REDIRECTS = 5
_MOVED = (301, 302, 303, 307, 308)
_STEP = 2**16


class Refused(GeodesError):
    """A server's answer or link is not one of a catalogue."""


def caused(error: BaseException | None) -> Refused | None:
    """Return the refusal inside a library's own error, if there is one."""
    while error is not None and not isinstance(error, Refused):
        error = error.__cause__ or error.__context__
    return error


class Web:
    """Sends requests to the server of one catalogue, and to those that it links to.

    Parameters
    ----------
    home
        The catalogue's address.
    token
        The environment variable with a token, if there is one. It is read for each request, sent only to addresses
        below ``home``, and stored nowhere: a pickled Item contains no secret.
    retry
        Which failures are retried; None: none.

    Raises
    ------
    Refused
        If the address has a user or a password: no request would go there, and errors must not repeat it.
    """

    def __init__(self, home: str, token: str = "", retry: Retry | None = None) -> None:
        scheme, _, rest = home.partition("://")
        _, has_user, host = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")
        if has_user:
            raise Refused(
                f"The address of the catalogue at {scheme}://{host} has a user or a password: leave them out, and name "
                "the environment variable of a token in a profile."
            )
        self.home, self._token = home, token
        self.session = Session()
        # Set, so that requests does not use passwords of ~/.netrc for hosts that a server names; proxies stay as they
        # are.
        self.session.auth = self._signed
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, _Outside(max_retries=retry or 0))
        if own := origin.origin(home):
            usual = own.port == {"http": 80, "https": 443}[own.scheme]
            for start in (own.text, *([own.text.rpartition(":")[0]] if usual else [])):
                self.session.mount(f"{start}/", HTTPAdapter(max_retries=retry or 0))
                self.session.mount(f"{start}?", HTTPAdapter(max_retries=retry or 0))

    def _signed(self, request: PreparedRequest) -> PreparedRequest:
        held = os.environ.get(self._token, "") if self._token else ""
        if held and origin.below(request.url or "", self.home):
            origin.guard(self.home, "The token of the catalogue")
            request.headers["Authorization"] = f"token {held}"
        return request

    def follow(self, address: str, method: str = "GET", base: str | None = None) -> str:
        """Return the absolute address of a link, if it may be followed.

        Parameters
        ----------
        address
            As written; relative ones are below ``base``, or the catalogue.
        method
            The method of the request.
        base
            The address of the document with the link.

        Raises
        ------
        Refused
            If it leads to a file, to another server with another method than GET, or into the network around this
            machine.
        """
        try:
            whole = urljoin(base or self.home, address).replace(" ", "%20")
            target, own = origin.origin(whole), origin.origin(self.home)
        except ValueError:
            target = own = None
            whole = address
        if target is None:
            raise Refused(
                f"The catalogue at {self.home} links to {address!r}, which is not the address of a web server: refused."
            )
        if target == own:
            return whole
        upgraded = own is not None and (own.scheme, own.port, target) == ("http", 80, ("https", own.host, 443))
        if method.upper() != "GET" and not upgraded:
            raise Refused(
                f"The catalogue at {self.home} redirects a {method.upper()} request to another server, {target.text}: "
                "refused."
            )
        if not _may_be_public(target.host):
            raise Refused(
                f"The catalogue at {self.home} links to {target.text}, a server on this machine or in its network: "
                "refused."
            )
        return whole

    def ask(self, address: str, method: str = "GET", body: Any = None, query: Any = None) -> tuple[Response, bytes]:
        """Send a request, following redirects; return the answer and its body.

        Raises
        ------
        Refused
            If the server leads elsewhere, or its answer is larger or slower than allowed.
        requests.RequestException
            If it does not answer.
        """
        until, method = time.monotonic() + _SECONDS, method.upper()
        address = self.follow(address, method)
        for _ in range(_REDIRECTS + 1):
            content: dict[str, Any] = {"params": query} if body is None else {"json": body}
            prepared = self.session.prepare_request(Request(method, address, **content))
            settled = self.session.merge_environment_settings(prepared.url or "", {}, True, None, None)
            with self.session.send(prepared, timeout=_TIMEOUT, allow_redirects=False, **settled) as answer:
                if answer.status_code not in _MOVED or not (target := answer.headers.get("Location")):
                    return answer, self._body(answer, until)
            if answer.status_code == 303 or (answer.status_code in (301, 302) and method == "POST"):
                method, body = "GET", None
            address, query = self.follow(target, method, prepared.url), None
        raise Refused(
            f"The catalogue at {self.home} redirects without end: check its address, and your key if it needs one."
        )

    def _body(self, answer: Response, until: float) -> bytes:
        parts, size = [], 0
        # Reads what has arrived, however little: with a server that sends a byte a minute, waiting for a whole part
        # would take too long.
        while part := answer.raw.read1(_STEP, decode_content=True):
            size += len(part)
            if size > LARGEST:
                raise Refused(
                    f"{_named(answer)} has more than {LARGEST // MIB} MiB, too much for one answer: search for less "
                    "at once."
                )
            if time.monotonic() > until:
                raise Refused(
                    f"{_named(answer)} did not arrive completely within {_SECONDS:.0f} s: try again later, or search "
                    "for less at once."
                )
            parts.append(part)
        length = answer.headers.get("Content-Length", "")
        if (
            "Content-Encoding" not in answer.headers
            and length.isdecimal()
            and size < int(length)
            and answer.request.method != "HEAD"
        ):
            raise Refused(f"{_named(answer)} ended too early, after {size} bytes: try again.")
        return b"".join(parts)


def _named(answer: Response) -> str:
    return f"The answer of {urlsplit(answer.url).netloc} to {answer.request.method} {urlsplit(answer.url).path}"


def _may_be_public(host: str) -> bool:
    """Whether a name may be a public host; its address is checked when there is a connection."""
    try:
        return is_public(host)
    except ValueError:
        return "." in host and not host.endswith((".localhost", ".local", ".internal"))


class _Seen:
    """A connection that checks its peer before anything is sent.

    A name may resolve to another address each time.
    """

    host: str

    def _new_conn(self) -> Any:
        connection: Any = super()._new_conn()  # type: ignore[misc]
        peer = connection.getpeername()[0]
        if not is_public(peer):
            connection.close()
            raise Refused(
                f"A catalogue links to {self.host}, another server on this machine or in its network ({peer}): refused."
            )
        return connection


class _PlainSeen(_Seen, HTTPConnection):
    pass


class _SecureSeen(_Seen, HTTPSConnection):
    pass


class _Plain(HTTPConnectionPool):
    ConnectionCls = _PlainSeen


class _Secure(HTTPSConnectionPool):
    ConnectionCls = _SecureSeen


class _Outside(HTTPAdapter):
    """For other servers than the catalogue's. A proxy resolves names itself, and is responsible for what it reaches."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Create the connections."""
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _Plain, "https": _Secure}
