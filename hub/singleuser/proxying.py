"""The traffic between a browser and a program behind this server.

It never contains a credential, and never goes to a program of another account.

jupyter-server-proxy sends the browser's cookies and tokens to any listener at a port, and on a machine with several
accounts anybody may listen at any port. Each proxying handler (its own, the Dask panel's, `apps.App`) is a
`ProxyHandler`, so that changing this class covers all of them.
"""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import unquote_plus, urlsplit

from jupyter_server_proxy.handlers import ProxyHandler
from tornado.httputil import HTTPHeaders
from tornado.web import HTTPError

from geodes_lab.util import ownership

# The allowed headers of a request; others may be, or may become, a credential: not only Cookie and Authorization, but
# also those of a login in front of the lab.
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
# The removed headers of an answer: they would change the browser's state for the whole lab.
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
    """Return the headers of a request that a program behind this server may see."""
    allowed = HTTPHeaders()
    for name, value in headers.get_all():
        if name.lower() in _SENT or name.lower().startswith("bokeh-"):
            allowed.add(name, value)
    return allowed


def asked(query: str) -> str:
    """Return a query without tokens."""
    return "&".join(p for p in query.split("&") if unquote_plus(p.partition("=")[0]).strip().lower() not in _SECRETS)


def harden(headers: HTTPHeaders) -> None:
    """Remove from an answer what would change the browser's state for the whole lab."""
    for name in list(headers):
        if name.lower() in _KEPT or name.lower().startswith("access-control-"):
            del headers[name]
    headers["X-Content-Type-Options"] = "nosniff"


def refuse(handler: Any, host: str, port: int | str, path: str) -> None:
    """Refuse to connect to a port of another account, or to another machine.

    Raises
    ------
    HTTPError
        If the connection is refused.
    """
    if handler.unix_socket is not None:
        return  # in a folder that no other account can enter
    base = handler.base_url.rstrip("/")
    if handler.request.path.startswith(f"{base}/proxy/absolute/"):
        raise HTTPError(403, "This server does not forward requests to absolute addresses: use /proxy/PORT/.")
    if (host, int(port)) == gateway() and path.lstrip("/").startswith("clusters/"):
        return  # the dashboards of a dask-gateway, which the operator configured
    if host != "localhost":
        raise HTTPError(
            403, f"This server does not forward requests to {str(host)[:100]}: your own program is at /proxy/PORT/."
        )
    accounts = ownership.listeners(int(port))
    if accounts is not None and not accounts:
        raise HTTPError(404, f"No program listens at port {port}: start the program first.")
    if accounts is not None and accounts != {os.geteuid()}:
        raise HTTPError(403, f"A program of another account listens at port {port}: your request is not sent there.")


def gateway() -> tuple[str, int] | None:
    """Return the address of a dask-gateway's dashboards, if there is one."""
    public_address = os.environ.get("DASK_GATEWAY__PUBLIC_ADDRESS") or os.environ.get("DASK_GATEWAY__ADDRESS")
    if not public_address:
        return None
    url = urlsplit(public_address)
    return (url.hostname or "", url.port or (443 if url.scheme == "https" else 80))


def guard_answers(handler: Any) -> None:
    """Harden an answer just before its first byte is sent, however it is produced."""
    flush = handler.flush

    def hardened(*options: Any, **more: Any) -> Any:
        if not handler._headers_written:
            handler.harden(handler._headers)
        return flush(*options, **more)

    handler.flush = hardened


def secure(kind: type[Any] = ProxyHandler) -> None:
    """Change the class of all proxying handlers; once."""
    if hasattr(kind, "harden"):
        return
    before = {name: getattr(kind, name) for name in ("prepare", "proxy", "proxy_open", "get_client_uri")}

    async def prepare(self: Any, *arguments: Any, **said: Any) -> None:
        await before["prepare"](self, *arguments, **said)
        # The program gets neither the page's origin nor our XSRF cookie: requests that change something are checked
        # here.
        origin = self.request.headers.get("Origin")
        if self.request.method not in _READING and (
            (origin is not None and not self.check_origin(origin)) or not is_of_this_site(self.request.headers)
        ):
            raise HTTPError(403, "The page of another site cannot use programs on this server.")
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
    kind._check_host_allowlist = lambda self, host: True  # `refuse` has checked it, with its port


def is_of_this_site(headers: HTTPHeaders) -> bool:
    """Whether a request comes from a page of this origin, or from a program that is not a browser."""
    return headers.get("Sec-Fetch-Site", "same-origin") == "same-origin"


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "hub.singleuser.proxying"}]


def _load_jupyter_server_extension(app: Any) -> None:
    secure()
