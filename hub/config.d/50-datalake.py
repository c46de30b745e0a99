"""The datalake: the sample, as plain files or through an S3 server on loopback.

Or the operator's datalake, with or without the gate.
"""

import os
import secrets

from hub.installation import TOP, installation, python
from hub.services.declared import Needs
from hub.services.registration import confined, services

c = get_config()  # noqa: F821

here = installation()
lake = here.lab.datalake

if not lake.gate and here.sample is None:  # with a gate, hub/services/data sets this
    if lake.folder:
        c.Spawner.environment.update({"DASK_GEODES_LAB__DATALAKE__MIRROR": lake.folder})
    if lake.endpoint:
        c.Spawner.environment.update({"DASK_GEODES_LAB__DATALAKE__ENDPOINT": lake.endpoint})
elif not lake.gate and os.environ.get("GEODES_LAB_DATALAKE", "files") == "s3":
    datalake, port = str(here.sample / "datalake"), str(here.port("s3"))
    key, secret = "geodes-sample", secrets.token_urlsafe(24)
    services(c).append(
        {
            "name": "datalake",
            "command": confined(
                "s3",
                [python(), "-m", "nanio", "serve", "--data-dir", datalake, "--host", "127.0.0.1", "--port", port],
                Needs(reads=(datalake,)),
                listens=False,  # it opens its port itself
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
elif not lake.gate:
    c.Spawner.environment.update({"DASK_GEODES_LAB__DATALAKE__MIRROR": str(here.sample / "datalake")})
