"""A dask-gateway beside the hub, where there is one (GEODES_LAB_GATEWAY_URL): users reach it by their server's token, their clusters end with the server."""

import os

from gateway import SERVICE, stop_clusters

c = get_config()  # noqa: F821

if "GEODES_LAB_GATEWAY_URL" in os.environ:
    service = {"name": SERVICE, "api_token": os.environ["GEODES_LAB_GATEWAY_TOKEN"]}
    c.JupyterHub.services = [*c.JupyterHub.get("services", []), service]
    roles = list(c.JupyterHub.get("load_roles", []))
    user = next((r for r in roles if r["name"] == "user"), {"name": "user", "scopes": ["self"]})
    access = f"access:services!service={SERVICE}"
    c.JupyterHub.load_roles = [
        *(r for r in roles if r["name"] != "user"),
        {**user, "scopes": [*user["scopes"], access]},
        # It tells who asks.
        {"name": SERVICE, "scopes": ["read:users:name", "read:users:groups"], "services": [SERVICE]},
    ]
    scopes = list(c.Spawner.get("server_token_scopes", [])) or ["users:activity!server", "access:servers!server"]
    c.Spawner.server_token_scopes = [*scopes, access, "read:users:name!user"]
    c.Spawner.post_stop_hook = stop_clusters
    c.Spawner.environment.update(
        {"DASK_GATEWAY__ADDRESS": os.environ["GEODES_LAB_GATEWAY_URL"], "DASK_GATEWAY__AUTH__TYPE": "jupyterhub"}
    )
