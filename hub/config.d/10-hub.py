"""Where the hub listens and what it keeps: loopback only; everything in the state folder, for its owner alone."""

import os
from pathlib import Path

c = get_config()  # noqa: F821

state = Path(os.environ["GEODES_LAB_STATE"])

c.JupyterHub.bind_url = f"http://127.0.0.1:{os.environ['GEODES_LAB_PORT']}"
c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{os.environ['GEODES_LAB_HUB_PORT']}"
c.JupyterHub.db_url = f"sqlite:///{state}/hub.sqlite"
c.JupyterHub.cookie_secret_file = str(state / "cookie_secret")
c.JupyterHub.log_level = "WARN"
# One person on one machine: stopping the lab stops everything.
c.JupyterHub.cleanup_servers = True
c.JupyterHub.cleanup_proxy = True
