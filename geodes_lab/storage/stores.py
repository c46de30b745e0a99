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

_LOOK = 10.0  # seconds after which keys that do not end are looked for again: the user may have set others


def store(scheme: str, root: str) -> ObjectStore:
    """Give the client for the disk, a bucket or a web server; its connections serve all objects there.

    Parameters
    ----------
    scheme
        ``file``, ``s3`` or ``http``.
    root
        The bucket, or scheme and host.

    Raises
    ------
    GeodesError
        If the settings of the datalake make no sense.
    """
    timeout, authorities = float(settings.get("datalake.timeout")), tls.authorities()
    if scheme != "s3":
        return _store(scheme, root, "", "", None, timeout, authorities)
    endpoint, region = settings.get("datalake.endpoint"), settings.get("datalake.region")
    return _store(scheme, root, endpoint, region, _signature(), timeout, authorities)


def again(mark: int | None) -> bool:
    """Say that the datalake refused the keys of a mark; whether there are others to try.

    Asks their source, which may take seconds.
    """
    if not credentials.refused("s3", mark):
        return False
    _generation[0] += 1  # obstore would go on with those that it has kept
    return True


def serves() -> bool:
    """Whether this process works for a kernel: what it is to read has been opened there."""
    return credentials.is_lent()


def at_hand() -> int | None:
    """The mark of the keys that this process has now; None: there are none. Asks nobody."""
    keys = credentials.at_hand("s3")
    return None if keys is None else keys.mark


def _provide() -> S3Credential:
    """Keys, whenever obstore asks.

    It does so before each request if they last for less than five minutes, yet not more than ten times a second.
    """
    global last_credential_error
    try:
        keys = credentials.current("s3")
        if keys is None:
            raise GeodesError("there are no keys of the datalake any more: set them again")
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
"""Why there were no keys when there were to be some: obstore tells it in words of its own."""


def filesystem() -> Any:
    """Give the datalake as a file system of fsspec, for libraries that want one.

    Its keys are fresh as those of all readers here.

    Returns
    -------
    obstore.fsspec.FsspecStore
        Asynchronous ones of fsspec may be used within its loop alone; this one is for plain calls:
        ``filesystem().ls("sentinel2-l1c/31")``. Nothing is asked until it is used.
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
    """What a client of S3 is made with."""
    return {
        "config": {"endpoint": endpoint, "virtual_hosted_style_request": False, "skip_signature": signature is None},
        "client_options": _options(endpoint.startswith("http://"), timeout, authorities),
        "retry_config": _once(),
        **({} if signature is None else {"credential_provider": _provide}),
    }


def _once() -> dict[str, Any]:
    return {"max_retries": 0}  # requests are made again by `ObjectLocation`, and counted


def _options(is_plain: bool, timeout: float, authorities: str | None) -> dict[str, Any]:
    found: dict[str, Any] = {"allow_http": is_plain, "timeout": timedelta(seconds=timeout)}
    return {**found, "root_certificate": authorities} if authorities else found


_generation = [0]


def _signature() -> tuple[int, int] | None:
    """What changes when a client has to forget the keys that it has kept; None: requests are not signed.

    Without any keys, obstore and GDAL would go and ask a cloud's metadata server.
    """
    if not credentials.known("s3"):
        return None
    guard(settings.get("datalake.endpoint"), "The key of the datalake")
    return _generation[0], credentials.standing("s3")


def web() -> httpx.AsyncClient:
    """The client for signed addresses, to be used within `geodes_lab.storage.event_loop.loop`.

    It follows redirects, and has neither a key nor a password for anybody.
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
    """Set, so that no password of ``~/.netrc`` goes to whomever an address names."""
    return request


def _forked() -> None:
    """A child of a fork has none of the threads that the clients use."""
    for cached in (_store, _web):
        cached.cache_clear()


os.register_at_fork(after_in_child=_forked)
