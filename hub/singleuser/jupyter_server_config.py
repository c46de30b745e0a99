"""The user's JupyterLab: the lab's kernel first, the lab's news, no look for updates."""

import os
import sys
from pathlib import Path

c = get_config()  # noqa: F821

c.MultiKernelManager.default_kernel_name = "geodes"
c.KernelSpecManager.allowed_kernelspecs = {"geodes"}
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
c.LabApp.news_url = os.environ.get("GEODES_LAB_NEWS")  # the lab's own, not Jupyter's
# Settings of JupyterLab for all users of the lab: overrides.json beside this file.
c.LabApp.app_settings_dir = str(Path(__file__).with_name("settings"))
# What the lab has to say while one works: labextensions/geodes-lab-notices.
c.LabApp.extra_labextensions_path = [str(Path(__file__).with_name("labextensions"))]
# A search of the catalogue's page becomes a notebook: searches.py beside this file.
sys.path.insert(0, str(Path(__file__).parent))
# The Dask panel shows the user's own clusters: clusters.py.
c.ServerApp.jpserver_extensions = {
    "searches": True,
    "cleaning": True,
    "presence": True,
    "storage": True,
    "guests": True,
    "clusters": True,
}
