"""The catalogue: a STAC API and its page, beside the hub, over what lies in the state folder."""

import os
import sys
from pathlib import Path

c = get_config()  # noqa: F821

here = Path(__file__).resolve().parents[1]
state, sample = Path(os.environ["GEODES_LAB_STATE"]), Path(os.environ["GEODES_LAB_SAMPLE"])
port = os.environ["GEODES_LAB_CATALOGUE_PORT"]
modules = Path(sys.prefix) / "proxy" / "node_modules"

service = {
    "name": "catalogue",
    "display": True,
    "url": f"http://127.0.0.1:{port}",
    "command": [
        sys.executable,
        "-m",
        "catalogue",
        # A folder for each version of the sample: what was taken from another one is not mixed with it.
        str(state / "catalogue" / sample.name),
        str(state / "results"),
        "--static",
        str(sample / "catalog" / "catalog.json"),
        "--assets",
        str(modules),
        # Collections that only some groups see: see docs/catalogue.md.
        *(["--rights", os.environ["GEODES_LAB_RIGHTS"]] if "GEODES_LAB_RIGHTS" in os.environ else []),
    ],
    "environment": {
        "PYTHONPATH": str(here / "services"),
        **{k: v for k, v in os.environ.items() if k.startswith("DASK_GEODES_LAB__")},
        "DASK_GEODES_LAB__DATALAKE__MIRROR": str(sample / "datalake"),
    },
    "oauth_no_confirm": True,
    "oauth_client_allowed_scopes": ["read:users:name!user", "access:services!service=catalogue"],
}
c.JupyterHub.services.append(service)
c.JupyterHub.load_roles = [
    {"name": "user", "scopes": ["self", "access:services!service=catalogue"]},
    # It tells who asks, and of which groups that person is.
    {"name": "catalogue", "scopes": ["read:users:name", "read:users:groups"], "services": ["catalogue"]},
]
# A user's server says who it is when it searches, and no more.
c.Spawner.server_token_scopes = [
    "users:activity!server",
    "access:servers!server",
    "read:users:name!user",
    "access:services!service=catalogue",
]
address = f"http://127.0.0.1:{os.environ['GEODES_LAB_PORT']}/services/catalogue/stac"
c.Spawner.environment.update(
    {
        "DASK_GEODES_LAB__PLOT__LAND": str(modules / "world-atlas" / "countries-110m.json"),
        "DASK_GEODES_LAB__CATALOG__PROFILES__LAB__KIND": "stac",
        "DASK_GEODES_LAB__CATALOG__PROFILES__LAB__URL": address,
        "DASK_GEODES_LAB__CATALOG__PROFILES__LAB__TOKEN": "JUPYTERHUB_API_TOKEN",
    }
)
