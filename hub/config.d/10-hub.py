"""Where the hub listens, and its files: all of them in the state folder, which only its owner can read.

On Kubernetes the chart sets this.
"""

import os

from traitlets.log import get_logger

from hub import database
from hub.front import connections, hosts, quiet
from hub.installation import HUB, installation
from hub.services.registration import roles

c = get_config()  # noqa: F821

here = installation()
lab = here.lab

if not here.on_kubernetes:
    os.umask(0o077)  # the database is created with these rights
    c.JupyterHub.bind_url = here.listen
    c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{here.port('hub')}"
    c.JupyterHub.db_url = f"sqlite:///{here.state}/hub.sqlite"
    c.JupyterHub.cookie_secret_file = str(here.state / "cookie_secret")
    if lab.certificate:
        c.JupyterHub.ssl_cert, c.JupyterHub.ssl_key = lab.certificate, lab.key
    # One person on one machine: stopping the lab stops everything. In other labs the servers outlive the hub.
    c.JupyterHub.cleanup_servers = c.JupyterHub.cleanup_proxy = lab.login.kind == "link"
c.JupyterHub.log_level = "WARN"
c.JupyterHub.logging_config = quiet.CONFIG
connections.bound()
database.explained()
for sentence in lab.warnings:
    get_logger().warning(sentence)
if lab.apart:
    hosts.apart(c, here.address)
c.JupyterHub.authenticate_prometheus = True
c.JupyterHub.template_paths = [str(HUB / "templates")]
c.JupyterHub.active_server_limit = lab.servers.maximum
below = "; includeSubDomains" if lab.apart else ""
# The address of a page may contain a search or the name of a notebook: other sites do not get it.
c.JupyterHub.tornado_settings = {
    # A pod takes a while to start: its person sees the progress page at once.
    **({"slow_spawn_timeout": 0} if here.on_kubernetes else {}),
    "headers": {
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
        **({"Strict-Transport-Security": f"max-age=31536000{below}"} if here.address.startswith("https:") else {}),
    },
}
roles(c)  # each user's own role, which the files below extend
