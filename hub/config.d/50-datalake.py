"""The datalake: the sample, as plain files or through an S3 server on loopback; or the operator's, with or without the gate."""

import os
import secrets

from hub.installation import TOP, installation, python
from hub.services.registration import Needs, add, address, confined, services

c = get_config()  # noqa: F821

here = installation()
lake = here.lab.datalake

if lake.gate:
    # Servers read through it by their own token; nothing else of the datalake is told, since only the gate tells people apart.
    gate = address("data").partition("/services/")[0]
    add(
        c,
        "data",
        environment={"GEODES_LAB_USAGE_READS": f"{address('usage')}/api/reads"},
        scopes=["read:users:name", "read:users:groups", "access:services!service=usage"],
        for_servers=True,
        needs=Needs(reads=(lake.folder,) if lake.folder else (), secrets=("datalake_key",)),
    )
    c.Spawner.environment.update(
        {
            "DASK_GEODES_LAB__DATALAKE__ENDPOINT": gate,
            "AWS_ENDPOINT_URL": gate,
            # S3's clients sign with these; what counts is the session token, which is the server's own and ends with it.
            "AWS_ACCESS_KEY_ID": "lab",
            "AWS_SECRET_ACCESS_KEY": "lab",
            "AWS_SESSION_TOKEN": lambda spawner: spawner.api_token,
        }
    )
elif here.sample is None:
    if lake.folder:
        c.Spawner.environment.update({"DASK_GEODES_LAB__DATALAKE__MIRROR": lake.folder})
    if lake.endpoint:
        c.Spawner.environment.update({"DASK_GEODES_LAB__DATALAKE__ENDPOINT": lake.endpoint})
elif os.environ.get("GEODES_LAB_DATALAKE", "files") == "s3":
    datalake, port = str(here.sample / "datalake"), str(here.port("s3"))
    key, secret = "geodes-sample", secrets.token_urlsafe(24)
    services(c).append(
        {
            "name": "datalake",
            "command": confined(
                "s3",
                [python(), "-m", "nanio", "serve", "--data-dir", datalake, "--host", "127.0.0.1", "--port", port],
                Needs(reads=(datalake,)),
                listens=False,  # it takes its port itself
            ),
            "environment": {"PYTHONPATH": str(TOP), "NANIO_ACCESS_KEY": key, "NANIO_SECRET_KEY": secret},
        }
    )
    c.Spawner.environment.update(
        {
            "DASK_GEODES_LAB__DATALAKE__ENDPOINT": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
        }
    )
else:
    c.Spawner.environment.update({"DASK_GEODES_LAB__DATALAKE__MIRROR": str(here.sample / "datalake")})
