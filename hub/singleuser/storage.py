"""Reports the size of the home to the usage accounts, where only its own server can see it.

On Kubernetes each home is a volume of its own.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from typing import Any

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest

from hub.singleuser.home.meter import meter

_EVERY = 60.0  # seconds; the meter measures a large home less often
_log = logging.getLogger("geodes_lab.storage")


async def tell(url: str) -> int | None:
    """Measure the home and report it; return the bytes. None: they are not known, and the last report counts."""
    size = (await meter().now()).used
    if size is None:
        return None
    headers = {"Authorization": f"token {os.environ['JUPYTERHUB_API_TOKEN']}", "Content-Type": "application/json"}
    await AsyncHTTPClient().fetch(HTTPRequest(url, "POST", headers, json.dumps({"bytes": size}), request_timeout=10))
    return size


async def keep_telling(url: str) -> None:
    """Continue for as long as the server lives."""
    while True:
        try:
            await tell(url)
        except (HTTPClientError, OSError) as error:
            _log.debug("the usage service does not answer: %s", error)
        await asyncio.sleep(_EVERY)


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "hub.singleuser.storage"}]


def _load_jupyter_server_extension(app: Any) -> None:
    if url := os.environ.get("GEODES_LAB_STORAGE"):
        app.io_loop.add_callback(keep_telling, url)
