"""The sample datalake: read as plain files, or through an S3 server on loopback when GEODES_LAB_DATALAKE is 's3'."""

import os
import secrets
import sys
from pathlib import Path

c = get_config()  # noqa: F821

datalake = str(Path(os.environ["GEODES_LAB_SAMPLE"]) / "datalake")

if os.environ.get("GEODES_LAB_DATALAKE", "files") == "s3":
    port = os.environ["GEODES_LAB_S3_PORT"]
    key, secret = "geodes-sample", secrets.token_urlsafe(24)
    c.JupyterHub.services = [
        {
            "name": "datalake",
            "command": [
                sys.executable,
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
    ]
    c.Spawner.environment.update(
        {
            "DASK_GEODES_LAB__DATALAKE__ENDPOINT": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
        }
    )
else:
    c.Spawner.environment.update({"DASK_GEODES_LAB__DATALAKE__MIRROR": datalake})
