"""The user's server: JupyterLab with the lab's kernel, in a home of its own, with a size that the person may use."""

import os

from traitlets.log import get_logger

from hub.installation import TOP, installation, python
from hub.servers import accounts, sharing, spawning
from hub.services.registration import allow, roles, services

c = get_config()  # noqa: F821

here = installation()
lab = here.lab
roles(c)  # and with them the scopes of a server's token
# Shares, with the owner's groups or by a link; hub/singleuser/guests.py restricts what a guest may see of a server.
allow(c, "user", "shares!user")
sharing.reach_tokens()
roles(c).extend(sharing.role(name) for name in lab.groups)
c.Spawner.server_token_scopes.extend(
    ["shares!server", "read:groups:name"]
)  # the owner gets the profiles of their groups

match lab.servers.kind:
    case "process":
        # Runs everybody as the hub's own user: suitable for one person on loopback, and the login admits only that
        # person.
        c.JupyterHub.spawner_class = "hub.servers.held.OwnServer"
        c.SimpleLocalProcessSpawner.home_dir_template = str(here.state / "home")
        c.Spawner.args = ["--allow-root"] if os.geteuid() == 0 else []
    case "accounts":
        c.JupyterHub.spawner_class = "hub.servers.accounts.AccountSpawner"
    case "systemd":
        c.JupyterHub.spawner_class = "systemdspawner.SystemdSpawner"
        c.SystemdSpawner.unit_name_template = "geodes-lab-{USERID}"
        c.SystemdSpawner.disable_user_sudo = c.SystemdSpawner.isolate_tmp = True
        c.SystemdSpawner.unit_extra_properties = {
            # Other people's processes, arguments and environments are hidden.
            "ProtectProc": "invisible",
            "ProtectSystem": "strict",
            "ReadWritePaths": f"{here.homes} {accounts.runtimes()} {lab.home.groups}".strip(),
            "ProtectKernelTunables": "yes",
            "ProtectControlGroups": "yes",
            "RestrictSUIDSGID": "yes",
            "MemorySwapMax": "0",
            "TasksMax": "2048",
            "OOMPolicy": "continue",
        }
    case "kubernetes":
        c.JupyterHub.spawner_class = "kubespawner.KubeSpawner"

if lab.servers.kind in ("accounts", "systemd") and (closed := accounts.unusable()):
    get_logger().critical("No server will start: %s", closed)  # each start is refused with it, until it is mended
top = lab.servers.folder if here.on_kubernetes else str(TOP)
c.Spawner.cmd = ["python" if here.on_kubernetes else python(), f"{top}/hub/singleuser/start.py"]
c.Spawner.pre_spawn_hook = spawning.prepare
c.Spawner.apply_user_options = spawning.applied
c.JupyterHub.allow_named_servers = True  # one, for jobs; any other is refused before it starts
# The hub keeps a name that was refused, too: a few must not be in the way of the one for jobs.
c.JupyterHub.named_server_limit_per_user = 20
c.Spawner.options_form = spawning.form
c.Spawner.options_from_form = spawning.chosen
c.Spawner.default_url = "/geodes/start"  # the first notebook, in the person's language
c.Spawner.start_timeout = 120
c.Spawner.http_timeout = 60
# Files in a user's home do not configure the server that others' browsers may visit.
c.Spawner.disable_user_config = True
c.Spawner.environment = {
    "GEODES_LAB_ADDRESS": here.address,
    "JUPYTER_PATH": top,  # kernels/geodes
    "JUPYTER_CONFIG_PATH": f"{top}/hub/singleuser",
    "GEODES_LAB_KERNELS": f"{top}/kernels",
    # Plots include their JavaScript: both settings are needed, see kernels/geodes/holoviewsrc.py.
    "HOLOVIEWSRC": f"{top}/kernels/geodes/holoviewsrc.py",
    "PANEL_INLINE": "true",
}
if "GEODES_LAB_WAITING" in os.environ:  # "no": hub/singleuser/kernels/waiting.py
    c.Spawner.environment.update({"GEODES_LAB_WAITING": os.environ["GEODES_LAB_WAITING"]})
if "GEODES_LAB_RUN" in os.environ:  # the mark by which the launcher recognises its processes
    c.Spawner.environment.update({"GEODES_LAB_RUN": os.environ["GEODES_LAB_RUN"]})
if (
    "GEODES_LAB_RUNTIME" in os.environ and lab.servers.kind == "process"
):  # the launcher's, for the sockets of its only user
    c.Spawner.environment.update({"GEODES_LAB_RUNTIME": os.environ["GEODES_LAB_RUNTIME"]})
if here.on_kubernetes:
    # zero-to-jupyterhub sets an environment of KubeSpawner (singleuser.extraEnv), which overrides that of every
    # Spawner: from here on the two are the same.
    c.Spawner.environment = c.KubeSpawner.environment = {
        **c.KubeSpawner.get("environment", {}),
        **c.Spawner.environment,
    }
# With this token the hub asks the usage accounts and the culler (60-services.py).
services(c).append({"name": "spawn", "api_token": spawning.TOKEN})
