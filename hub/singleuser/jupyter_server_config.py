"""The user's JupyterLab: the lab's kernel first, the lab's news, no check for updates."""

import os
import sys
from pathlib import Path

# The modules beside this file are of the package `hub`.
sys.path.insert(0, str(Path(__file__).parents[2]))
from hub.singleuser import assistant, listening, runtime

c = get_config()  # type: ignore[name-defined]  # noqa: F821
listening.take()
# On a machine with several accounts, anybody can read a kernel's port on loopback: its channels are sockets in a
# private folder instead.
runtime_folder = runtime.settle()  # in JUPYTER_RUNTIME_DIR too: it is no setting of Jupyter's
assistant.offer(c, runtime_folder.parent)

from hub.singleuser.kernels import waiting  # noqa: E402

waiting.begin(c)  # as early as the environment of kernels is known: it imports beside this server

from jupyterlab import commands  # noqa: E402

from hub.singleuser import clusters, extensions  # noqa: E402
from hub.singleuser.kernels import kernelspecs, recording  # noqa: E402

# JupyterLab would ask Yarn at each start from where to build, for half a second of a core; nothing is built here.
commands._yarn_config = lambda logger: {"yarn config": {}, "npm config": {}}
# Where language servers are looked for; npm, which would be asked for one more place, takes half a second.
c.LanguageServerManager.node_roots = [str(Path.cwd()), str(Path(sys.prefix) / "lib"), sys.prefix]
c.KernelManager.transport = "ipc"
# What JupyterLab saves stays within the quota of the home: contents.py.
c.ServerApp.contents_manager_class = "hub.singleuser.home.contents.Contents"
if os.environ.get("GEODES_LAB_HOME_QUOTA"):
    c.FileContentsManager.delete_to_trash = False  # the trash would count too, and deleting would free nothing
c.MultiKernelManager.default_kernel_name = "geodes"
c.ServerApp.kernel_spec_manager_class = kernelspecs.Kernels
# What cells print while no window is open is kept: recording.py.
c.ServerApp.kernel_websocket_connection_class = recording.Connection
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
c.LabApp.news_url = os.environ.get("GEODES_LAB_NEWS")  # the lab's own, not Jupyter's
# Settings of JupyterLab for all users of the lab: overrides.json beside this file.
c.LabApp.app_settings_dir = str(Path(__file__).with_name("settings"))
# The lab's mark, its messages during work, an entry of the launcher, and outputs that nobody watched: labextensions.
c.LabApp.extra_labextensions_path = [str(Path(__file__).with_name("labextensions"))]
# What is installed cannot be changed from JupyterLab; its manager for that makes a client of PyPI at each start.
c.LabApp.extension_manager = "readonly"
# The Dask panel shows the user's own clusters: clusters.py.
clusters.stand_in()
c.ServerApp.jpserver_extensions = {
    "hub.singleuser.links.searches": True,
    "hub.singleuser.links.jobs": True,
    "hub.singleuser.home.cleaning": True,
    "hub.singleuser.kernels.environments": True,
    "hub.singleuser.presence": True,
    "hub.singleuser.storage": True,
    "hub.singleuser.exports": True,
    "hub.singleuser.guests": True,
    "hub.singleuser.apps": True,
    "hub.singleuser.home.previews": True,
    "panel.io.jupyter_server_extension": False,  # previews.py loads it when it is needed
    "hub.singleuser.clusters": True,
    "hub.singleuser.kernels.recording": True,
    "hub.singleuser.home.documents": True,
    "hub.singleuser.extensions": True,
    **extensions.chosen(c),
}
