"""Clusters of a gateway end with the server of their user, also where the kernel had no time to stop them."""

from __future__ import annotations

import json
import os
from typing import Any

from tornado.httpclient import AsyncHTTPClient

SERVICE = "dask-gateway"


async def stop_clusters(spawner: Any) -> None:
    """Stop what the user has at the gateway, once the last of their servers has stopped (a post-stop hook).

    It asks the gateway as the user, by a token that is good for that alone and for a minute.
    """
    if any(s is not spawner and s.active for s in spawner.user.spawners.values()):
        return
    url, client = os.environ["GEODES_LAB_GATEWAY_URL"].rstrip("/"), AsyncHTTPClient()
    scopes = [f"access:services!service={SERVICE}", "read:users:name!user"]
    token = spawner.user.new_api_token(note="clusters stop with the server", expires_in=60, scopes=scopes)
    headers = {"Authorization": f"jupyterhub {token}"}
    try:
        answer = await client.fetch(f"{url}/api/v1/clusters/", headers=headers, request_timeout=10)
        for name in json.loads(answer.body):
            await client.fetch(f"{url}/api/v1/clusters/{name}", method="DELETE", headers=headers, request_timeout=10)
            spawner.log.warning("Stopped the Dask cluster %s of %s with their server", name, spawner.user.name)
    except Exception as error:  # the gateway's own idle timeout is behind this
        spawner.log.error("The Dask clusters of %s were not stopped: %s", spawner.user.name, error)
