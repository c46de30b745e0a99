"""The datalake: the sample, as plain files or through an S3 server on loopback; or the operator's."""

import os
import secrets

from beside import services
from installation import installation, python

c = get_config()  # noqa: F821

here = installation()
lake = here.lab.datalake

if here.sample is None:
    # Only the gate can tell a person from another: where it stands, nothing else of the datalake is told.
    if lake.folder and not lake.gate:
        c.Spawner.environment.update({"DASK_GEODES_LAB__DATALAKE__MIRROR": lake.folder})
    if lake.endpoint and not lake.gate:
        c.Spawner.environment.update({"DASK_GEODES_LAB__DATALAKE__ENDPOINT": lake.endpoint})
elif os.environ.get("GEODES_LAB_DATALAKE", "files") == "s3":
    datalake, port = str(here.sample / "datalake"), str(here.port("s3"))
    key, secret = "geodes-sample", secrets.token_urlsafe(24)
    services(c).append(
        {
            "name": "datalake",
            "command": [
                python(),
                "-m",
                "nanio",
                "serve",
                "--data-dir",
                datalake,
                "--host",
                "127.0.0.1",
                "--port",
                port,
            ],
            "environment": {"NANIO_ACCESS_KEY": key, "NANIO_SECRET_KEY": secret},
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
