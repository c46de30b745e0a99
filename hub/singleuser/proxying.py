"""What passes between a browser and a program behind this server.

Never a credential, and never a program of another account.

jupyter-server-proxy gives whoever listens at a port the cookies and tokens of the browser, and on a machine of several
accounts anybody may listen at any port. Each handler that proxies (its own, the Dask panel's, `apps.App`) is a
`ProxyHandler`, so that this class is mended for all of them.
"""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import unquote_plus, urlsplit

from jupyter_server_proxy.handlers import ProxyHandler
from tornado.httputil import HTTPHeaders
from tornado.web import HTTPError

from geodes_lab.util import ownership

# Of a request; all else may be, or may become, a credential: not only Cookie and Authorization, but what a login before
# the lab adds.
_SENT = {
    "accept",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "content-encoding",
    "content-type",
    "dnt",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-event-id",
    "pragma",
    "range",
    "upgrade-insecure-requests",
    "user-agent",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-requested-with",
}
_SECRETS = {"token", "access_token", "id_token", "refresh_token", "_xsrf"}
# Of an answer: what would change the browser's state for the whole lab.
_KEPT = {
    "alt-svc",
    "authorization",
    "clear-site-data",
    "nel",
    "public-key-pins",
    "refresh",
    "report-to",
    "reporting-endpoints",
    "service-worker-allowed",
    "set-cookie",
    "set-cookie2",
    "strict-transport-security",
    "www-authenticate",
}
_READING = ("GET", "HEAD", "OPTIONS")


def sent(headers: HTTPHeaders) -> HTTPHeaders:
    """The headers of a request that a program behind this server may see."""
    found = HTTPHeaders()
    for name, value in headers.get_all():
        if name.lower() in _SENT or name.lower().startswith("bokeh-"):
            found.add(name, value)
    return found


def asked(query: str) -> str:
    """A query without tokens."""
    return "&".join(p for p in query.split("&") if unquote_plus(p.partition("=")[0]).strip().lower() not in _SECRETS)


def harden(headers: HTTPHeaders) -> None:
    """Take from an answer what would change the browser's state for the whole lab."""
    for name in list(headers):
        if name.lower() in _KEPT or name.lower().startswith("access-control-"):
            del headers[name]
    headers["X-Content-Type-Options"] = "nosniff"


def refuse(handler: Any, host: str, port: int | str, path: str) -> None:
    """Refuse to connect to a port that is not this account's own, or to another machine.

    Raises
    ------
    HTTPError
        If it is so.
    """
    if handler.unix_socket is not None:
        return  # in a folder that no other account passes through
    base = handler.base_url.rstrip("/")
    if handler.request.path.startswith(f"{base}/proxy/absolute/"):
        raise HTTPError(403, "This server passes nothing on by absolute addresses: use /proxy/PORT/.")
    if (host, int(port)) == gateway() and path.lstrip("/").startswith("clusters/"):
        return  # the dashboards of a dask-gateway, which the operator named
    if host != "localhost":
        raise HTTPError(
            403, f"This server passes nothing on to {str(host)[:100]}: a program of your own is at /proxy/PORT/."
        )
    accounts = ownership.listeners(int(port))
    if accounts is not None and not accounts:
        raise HTTPError(404, f"Nothing listens at port {port}: start the program first.")
    if accounts is not None and accounts != {os.geteuid()}:
        raise HTTPError(403, f"A program of another account listens at port {port}: nothing of you is sent there.")


def gateway() -> tuple[str, int] | None:
    """Where the dashboards of a dask-gateway are, if there is one."""
    told = os.environ.get("DASK_GATEWAY__PUBLIC_ADDRESS") or os.environ.get("DASK_GATEWAY__ADDRESS")
    if not told:
        return None
    url = urlsplit(told)
    return (url.hostname or "", url.port or (443 if url.scheme == "https" else 80))


def guard_answers(handler: Any) -> None:
    """Have an answer hardened just before its first byte goes out, however it is made."""
    flush = handler.flush

    def hardened(*options: Any, **more: Any) -> Any:
        if not handler._headers_written:
            handler.harden(handler._headers)
        return flush(*options, **more)

    handler.flush = hardened


def secure(kind: type[Any] = ProxyHandler) -> None:
    """Mend the class of all handlers that proxy; once."""
    if hasattr(kind, "harden"):
        return
    before = {name: getattr(kind, name) for name in ("prepare", "proxy", "proxy_open", "get_client_uri")}

    async def prepare(self: Any, *arguments: Any, **said: Any) -> None:
        await before["prepare"](self, *arguments, **said)
        # The program is not told where a page came from, nor our cookie of XSRF: what changes something is held against
        # it here.
        origin = self.request.headers.get("Origin")
        if self.request.method not in _READING and (
            (origin is not None and not self.check_origin(origin)) or not is_of_this_site(self.request.headers)
        ):
            raise HTTPError(403, "Another site's page cannot use what runs on this server.")
        guard_answers(self)

    async def proxy(self: Any, host: str, port: int | str, path: str) -> Any:
        refuse(self, host, port, path)
        return await before["proxy"](self, host, port, path)

    async def proxy_open(self: Any, host: str, port: int | str, path: str = "") -> Any:
        refuse(self, host, port, path)
        return await before["proxy_open"](self, host, port, path)

    def get_client_uri(self: Any, protocol: str, host: str, port: int | str, path: str) -> str:
        whole: str = before["get_client_uri"](self, protocol, "127.0.0.1" if host == "localhost" else host, port, path)
        place, mark, query = whole.partition("?")
        return f"{place}?{rest}" if mark and (rest := asked(query)) else place

    kind.prepare, kind.proxy, kind.proxy_open, kind.get_client_uri = prepare, proxy, proxy_open, get_client_uri
    kind.proxy_request_headers = lambda self: sent(self.request.headers)
    kind.harden = staticmethod(harden)
    kind._check_host_allowlist = lambda self, host: True  # `refuse` has looked at it, with its port


def is_of_this_site(headers: HTTPHeaders) -> bool:
    """Whether a request comes from a page of this very origin, or from a program that is no browser."""
    return headers.get("Sec-Fetch-Site", "same-origin") == "same-origin"


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "hub.singleuser.proxying"}]


def _load_jupyter_server_extension(app: Any) -> None:
    secure()
