"""A dask-gateway beside the hub, if there is one (GEODES_LAB_GATEWAY_URL).

Users reach it with their server's token, and their clusters end with the server.
"""

import os

from hub.installation import installation
from hub.servers.gateway import SERVICE, stop_clusters
from hub.services.registration import allow, roles, services

c = get_config()  # noqa: F821

if "GEODES_LAB_GATEWAY_URL" in os.environ:
    access = f"access:services!service={SERVICE}"
    services(c).append({"name": SERVICE, "api_token": installation().secret("gateway_token")})
    # It identifies the user, and asks the usage accounts how much that person may have.
    scopes = ["read:users:name", "read:users:groups", "access:services!service=usage"]
    roles(c).append({"name": SERVICE, "scopes": scopes, "services": [SERVICE]})
    allow(c, "user", access)
    c.Spawner.server_token_scopes.append(access)
    c.Spawner.post_stop_hook = stop_clusters
    c.Spawner.environment.update(
        {"DASK_GATEWAY__ADDRESS": os.environ["GEODES_LAB_GATEWAY_URL"], "DASK_GATEWAY__AUTH__TYPE": "jupyterhub"}
    )
