"""GDAL's environment to read one path in place: the datalake's endpoint and keys, retries, no needless requests."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from urllib.parse import urlsplit

import rasterio
from rasterio.errors import RasterioError

from geodes_lab import credentials, settings
from geodes_lab.credentials import tls
from geodes_lab.credentials.origin import guard
from geodes_lab.storage import stores

_T = TypeVar("_T")
_UNBOUND = ("GDAL_HTTP_HEADERS", "GDAL_HTTP_USERPWD", "GDAL_HTTP_COOKIE", "GDAL_HTTP_BEARER")


@contextlib.contextmanager
def environment(path: str) -> Iterator[None]:
    """Open and read a path within this; may request the keys from their source.

    Raises
    ------
    GeodesError
        If the path needs keys and there are none.
    """
    keys = _keys() if "/vsis3/" in path else {}
    with rasterio.Env(**options(path)):
        # Not as options of the Env, which would store and show them.
        rasterio.env.setenv(**keys)
        yield


def options(path: str) -> dict[str, str]:
    """Return GDAL's configuration for a path, without the keys."""
    # GDAL's own threads open a JPEG 2000 again without this thread's configuration: they would contact Amazon instead
    # of the datalake, and leave zeros where that fails. Dask has enough threads.
    alone = {"GDAL_NUM_THREADS": "1"}
    if not path.startswith("/vsi"):
        return alone  # a plain file may have its grid in a file beside it (.aux.xml, .tfw), which GDAL looks for
    endpoint, authorities = urlsplit(settings.get("datalake.endpoint")), tls.bundle()
    return {
        **alone,
        "AWS_S3_ENDPOINT": endpoint.netloc,
        "AWS_HTTPS": "YES" if endpoint.scheme == "https" else "NO",
        "AWS_VIRTUAL_HOSTING": "FALSE",
        "AWS_REGION": settings.get("datalake.region"),
        "AWS_NO_SIGN_REQUEST": "NO" if credentials.known("s3") else "YES",
        "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
        # Some servers do not answer HEAD, and some addresses are signed for GET alone.
        "CPL_VSIL_CURL_USE_HEAD": "NO",
        "GDAL_HTTP_MAX_RETRY": "3",
        "GDAL_HTTP_RETRY_DELAY": "0.5",
        # Drivers look for side files (.aux.xml, .msk) of a member: these do not exist, so avoid the requests.
        "GDAL_PAM_ENABLED": "NO",
        # The environment may have credentials that name no server: passwords of ~/.netrc, headers. They would go to
        # every server that an Item names.
        "GDAL_HTTP_NETRC": "NO",
        **{name: "" for name in _UNBOUND if name in os.environ},
        **({"GDAL_CURL_CA_BUNDLE": authorities, "CURL_CA_BUNDLE": authorities} if authorities else {}),
    }


def within(path: str, read: Callable[[], _T]) -> _T:
    """Open and read within the environment of a path.

    Reads once more if keys that were valid at the beginning expired meanwhile.
    """
    mark = None
    try:
        with environment(path):
            mark = stores.at_hand()
            return read()
    except RasterioError:
        if mark is None or "/vsis3/" not in path or not stores.again(mark):
            raise
        with environment(path):
            return read()


def _keys() -> dict[str, Any]:
    keys = credentials.current("s3") if credentials.known("s3") else None
    if keys is None:
        return {}
    guard(settings.get("datalake.endpoint"), "The key of the datalake")
    token = {"AWS_SESSION_TOKEN": keys["session_token"]} if "session_token" in keys else {"AWS_SESSION_TOKEN": ""}
    return {"AWS_ACCESS_KEY_ID": keys["access_key_id"], "AWS_SECRET_ACCESS_KEY": keys["secret_access_key"], **token}
