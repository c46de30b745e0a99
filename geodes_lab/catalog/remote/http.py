"""What servers of catalogues are asked, and how much they may answer.

Bounded, and never led to where they have no business.

A server says the addresses that come next: links to pages, searches, collections, redirects. Each is held against the
catalogue's own address before it is asked. Its own server gets what it names there; another one is asked by GET alone,
without any credential, and only if it is one of the internet: what is on this machine or in the network around it
answers nobody's links.
"""

from __future__ import annotations

import os
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
"""Lists and objects of JSON inside each other."""
_SECONDS = 300.0  # for an answer to arrive whole
_TIMEOUT = (10.0, 60.0)  # seconds to connect, and between two parts of an answer
_REDIRECTS = 5
_MOVED = (301, 302, 303, 307, 308)
_STEP = 2**16


class Refused(GeodesError):
    """A server answers in a way, or leads to where, a catalogue does not."""


def caused(error: BaseException | None) -> Refused | None:
    """The refusal that a library has put into an error of its own, if there is one."""
    while error is not None and not isinstance(error, Refused):
        error = error.__cause__ or error.__context__
    return error


class Web:
    """Asks the server of one catalogue, and those that it links to.

    Parameters
    ----------
    home
        The catalogue's address.
    token
        The environment variable that holds a token, if there is one. It is read for each request, sent to addresses
        below ``home`` alone, and held nowhere: what is pickled with an Item has no secret in it.
    retry
        Which failures are tried again; None: none.
    """

    def __init__(self, home: str, token: str = "", retry: Retry | None = None) -> None:
        self.home, self._token = home, token
        self.session = Session()
        # Set, so that requests looks for no password in ~/.netrc for a host that a server names; proxies stay as they
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
        """The whole address of a link, if it may be followed.

        Parameters
        ----------
        address
            As it is said; relative ones are below ``base``, or the catalogue.
        method
            What it is to be asked by.
        base
            The address of the document that says it.

        Raises
        ------
        Refused
            If it leads to a file, to another server by more than GET, or into the network around this machine.
        """
        try:
            whole = urljoin(base or self.home, address).replace(" ", "%20")
            found, own = origin.origin(whole), origin.origin(self.home)
        except ValueError:
            found = own = None
            whole = address
        if found is None:
            raise Refused(
                f"The catalogue at {self.home} leads to {address!r}, which is no address of a web server: refused."
            )
        if found == own:
            return whole
        upgraded = own is not None and (own.scheme, own.port, found) == ("http", 80, ("https", own.host, 443))
        if method.upper() != "GET" and not upgraded:
            raise Refused(
                f"The catalogue at {self.home} leads a {method.upper()} request to another server, {found.text}: "
                "refused."
            )
        if not _may_be_public(found.host):
            raise Refused(
                f"The catalogue at {self.home} leads to {found.text}, a server on this machine or in its network: "
                "refused."
            )
        return whole

    def ask(self, address: str, method: str = "GET", body: Any = None, query: Any = None) -> tuple[Response, bytes]:
        """Send a request, following redirects; give the answer and its body.

        Raises
        ------
        Refused
            If the server leads astray, or its answer is larger or slower than any that is meant.
        requests.RequestException
            If it does not answer.
        """
        until, method = time.monotonic() + _SECONDS, method.upper()
        address = self.follow(address, method)
        for _ in range(_REDIRECTS + 1):
            told: dict[str, Any] = {"params": query} if body is None else {"json": body}
            prepared = self.session.prepare_request(Request(method, address, **told))
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
        # What has come, however little: a server that sends a byte a minute must not be waited for until a whole part
        # is there.
        while part := answer.raw.read1(_STEP, decode_content=True):
            size += len(part)
            if size > LARGEST:
                raise Refused(
                    f"{_named(answer)} has more than {LARGEST // MIB} MiB, which no catalogue answers by: ask for "
                    "less at once."
                )
            if time.monotonic() > until:
                raise Refused(
                    f"{_named(answer)} has not come whole within {_SECONDS:.0f} s: try again later, or ask for less "
                    "at once."
                )
            parts.append(part)
        length = answer.headers.get("Content-Length", "")
        if (
            "Content-Encoding" not in answer.headers
            and length.isdecimal()
            and size < int(length)
            and answer.request.method != "HEAD"
        ):
            raise Refused(f"{_named(answer)} was cut after {size} bytes: try again.")
        return b"".join(parts)


def _named(answer: Response) -> str:
    return f"What {urlsplit(answer.url).netloc} answers to {answer.request.method} {urlsplit(answer.url).path}"


def _may_be_public(host: str) -> bool:
    """Whether a name may be one of the internet; where it leads is seen when there is a connection."""
    try:
        return is_public(host)
    except ValueError:
        return "." in host and not host.endswith((".localhost", ".local", ".internal"))


class _Seen:
    """A connection that looks where it has led, before anything is said.

    A name may lead elsewhere each time it is asked for.
    """

    host: str

    def _new_conn(self) -> Any:
        made: Any = super()._new_conn()  # type: ignore[misc]
        peer = made.getpeername()[0]
        if not is_public(peer):
            made.close()
            raise Refused(
                f"A catalogue leads to {self.host}, a server on this machine or in its network ({peer}), and not the "
                "catalogue's own: refused."
            )
        return made


class _PlainSeen(_Seen, HTTPConnection):
    pass


class _SecureSeen(_Seen, HTTPSConnection):
    pass


class _Plain(HTTPConnectionPool):
    ConnectionCls = _PlainSeen


class _Secure(HTTPSConnectionPool):
    ConnectionCls = _SecureSeen


class _Outside(HTTPAdapter):
    """For other servers than the catalogue's. A proxy resolves names itself: what it may reach is its own affair."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Make the connections."""
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _Plain, "https": _Secure}
