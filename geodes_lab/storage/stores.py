"""Clients of the servers that hold objects: their connections and their keys."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import httpx
from obstore.store import HTTPStore, LocalStore, ObjectStore, S3Store

from geodes_lab import credentials, settings
from geodes_lab.credentials import tls
from geodes_lab.credentials.origin import guard
from geodes_lab.errors import GeodesError
from geodes_lab.storage import event_loop

if TYPE_CHECKING:
    from obstore.store import S3Credential

_LOOK = 10.0  # seconds after which keys without an expiry are looked up again: the user may have set others


def store(scheme: str, root: str) -> ObjectStore:
    """Return the client for the disk, a bucket or a web server; all objects there share its connections.

    Parameters
    ----------
    scheme
        ``file``, ``s3`` or ``http``.
    root
        The bucket, or scheme and host.

    Raises
    ------
    GeodesError
        If the settings of the datalake are not valid.
    """
    timeout, authorities = float(settings.get("datalake.timeout")), tls.authorities()
    if scheme != "s3":
        return _store(scheme, root, "", "", None, timeout, authorities)
    endpoint, region = settings.get("datalake.endpoint"), settings.get("datalake.region")
    return _store(scheme, root, endpoint, region, _signature(), timeout, authorities)


def again(mark: int | None) -> bool:
    """Report that the datalake refused the keys with a mark; return whether there are others to try.

    May take seconds, because it asks the source of the keys.
    """
    if not credentials.refused("s3", mark):
        return False
    _generation[0] += 1  # obstore would continue with its cached keys
    return True


def serves() -> bool:
    """Whether this process works for a kernel, which has already opened what this process reads."""
    return credentials.is_lent()


def at_hand() -> int | None:
    """Return the mark of the keys that this process has now; None: there are none. Asks no source."""
    keys = credentials.at_hand("s3")
    return None if keys is None else keys.mark


def _provide() -> S3Credential:
    """Return the keys, whenever obstore asks for them.

    obstore asks before each request if the keys last for less than five minutes, but at most ten times a second.
    """
    global last_credential_error
    try:
        keys = credentials.current("s3")
        if keys is None:
            raise GeodesError("the keys of the datalake are missing now: set them again")
    except GeodesError as error:
        last_credential_error = error
        raise
    ends = (
        datetime.now(UTC) + timedelta(seconds=_LOOK)
        if keys.expires is None
        else datetime.fromtimestamp(keys.expires, UTC)
    )
    return {
        "access_key_id": keys["access_key_id"],
        "secret_access_key": keys["secret_access_key"],
        "token": keys.get("session_token"),
        "expires_at": ends,
    }


last_credential_error: GeodesError | None = None
"""Why keys that should exist are missing: obstore replaces this error by one of its own."""


def filesystem() -> Any:
    """Return the datalake as a file system of fsspec, for libraries that need one.

    Its keys are renewed automatically, as in all readers of the package.

    Returns
    -------
    obstore.fsspec.FsspecStore
        For synchronous calls only, such as ``filesystem().ls("sentinel2-l1c/31")``, because an asynchronous fsspec
        instance works only in its own event loop. The first call sends the first request.
    """
    from obstore.fsspec import FsspecStore

    settled = _s3(
        settings.get("datalake.endpoint"), float(settings.get("datalake.timeout")), tls.authorities(), _signature()
    )
    return FsspecStore("s3", config={"region": settings.get("datalake.region"), **settled.pop("config")}, **settled)


@lru_cache(maxsize=256)
def _store(
    scheme: str,
    root: str,
    endpoint: str,
    region: str,
    signature: tuple[int, int] | None,
    timeout: float,
    authorities: str | None,
) -> ObjectStore:
    match scheme:
        case "file":
            return LocalStore()
        case "s3":
            settled = _s3(endpoint, timeout, authorities, signature)
            return S3Store(root, region=region, **settled.pop("config"), **settled)
        case _:
            return HTTPStore.from_url(root, client_options=_options(True, timeout, authorities), retry_config=_once())


def _s3(endpoint: str, timeout: float, authorities: str | None, signature: tuple[int, int] | None) -> dict[str, Any]:
    """Return the arguments for a client of S3."""
    return {
        "config": {"endpoint": endpoint, "virtual_hosted_style_request": False, "skip_signature": signature is None},
        "client_options": _options(endpoint.startswith("http://"), timeout, authorities),
        "retry_config": _once(),
        **({} if signature is None else {"credential_provider": _provide}),
    }


def _once() -> dict[str, Any]:
    return {"max_retries": 0}  # `geodes_lab.storage.request` repeats requests, and counts them


def _options(is_plain: bool, timeout: float, authorities: str | None) -> dict[str, Any]:
    client_options: dict[str, Any] = {"allow_http": is_plain, "timeout": timedelta(seconds=timeout)}
    return {**client_options, "root_certificate": authorities} if authorities else client_options


_generation = [0]


def _signature() -> tuple[int, int] | None:
    """Return a value that changes when a client must discard its cached keys; None: requests are not signed.

    Without any keys, obstore and GDAL would send requests to a cloud's metadata server.
    """
    if not credentials.known("s3"):
        return None
    guard(settings.get("datalake.endpoint"), "The key of the datalake")
    return _generation[0], credentials.standing("s3")


def web() -> httpx.AsyncClient:
    """Return the client for signed addresses, to be used within `geodes_lab.storage.event_loop.loop`.

    It follows redirects, and sends neither a key nor a password.
    """
    return _web(tls.authorities())


@lru_cache(maxsize=4)
def _web(_authorities: str | None) -> httpx.AsyncClient:
    timeout = httpx.Timeout(float(settings.get("datalake.timeout")))
    return httpx.AsyncClient(
        verify=tls.context(),
        timeout=timeout,
        follow_redirects=True,
        max_redirects=5,
        auth=_nobody,
        limits=httpx.Limits(max_connections=event_loop.AT_ONCE),
    )


def _nobody(request: httpx.Request) -> httpx.Request:
    """Prevents a password of ``~/.netrc`` from going to the server of an address."""
    return request


def _forked() -> None:
    """A child of a fork has none of the threads that the clients use."""
    for cached in (_store, _web):
        cached.cache_clear()


os.register_at_fork(after_in_child=_forked)
