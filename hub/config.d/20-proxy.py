"""The proxy before the hub: its command is chosen by the launcher (Node's, else the pure-Python one)."""

import json
import os

from hub.front import proxy
from hub.installation import installation

c = get_config()  # noqa: F821

here = installation()
if not here.on_kubernetes:
    chosen = os.environ.get("GEODES_LAB_PROXY")
    c.ConfigurableHTTPProxy.command = json.loads(chosen) if chosen else proxy.command()
    c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{here.port('proxy')}"
    c.ConfigurableHTTPProxy.pid_file = str(here.state / "proxy.pid")
    # If the proxy is supervised separately (docs/operations/operator.md), it continues while the hub restarts.
    if "CONFIGPROXY_AUTH_TOKEN" in os.environ:
        c.JupyterHub.proxy_class = "hub.front.supervised.SupervisedProxy"
        c.SupervisedProxy.should_start = False
else:
    # zero-to-jupyterhub supervises it, and makes the hub check every minute whether the proxy has lost its routes: our
    # check reads less.
    c.JupyterHub.proxy_class = "hub.front.supervised.SupervisedProxy"
    c.JupyterHub.last_activity_interval = 300
