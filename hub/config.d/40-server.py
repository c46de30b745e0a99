"""The user's server: JupyterLab with the kernel of the lab, in a home of its own."""

import os
from pathlib import Path

from home import furnish

c = get_config()  # noqa: F821

state = Path(os.environ["GEODES_LAB_STATE"])
top = Path(__file__).resolve().parents[2]

# Runs everybody as the hub's own user: right for one person on loopback, and the login admits only that one.
c.JupyterHub.spawner_class = "jupyterhub.spawner.SimpleLocalProcessSpawner"
c.SimpleLocalProcessSpawner.home_dir_template = str(state / "home")
c.Spawner.pre_spawn_hook = furnish
c.Spawner.args = ["--allow-root"] if os.geteuid() == 0 else []
c.Spawner.default_url = "/lab/tree/notebooks/01_ndvi_cube.ipynb"
c.Spawner.start_timeout = 120
c.Spawner.http_timeout = 60
c.Spawner.environment = {
    "GEODES_LAB_RUN": os.environ["GEODES_LAB_RUN"],  # the mark by which the launcher knows its processes
    "JUPYTER_PATH": str(top),  # kernels/geodes
    "JUPYTER_CONFIG_PATH": str(top / "hub" / "singleuser"),
    "GEODES_LAB_KERNELS": str(top / "kernels"),
    # Plots carry their JavaScript: both are needed, see kernels/geodes/holoviewsrc.py.
    "HOLOVIEWSRC": str(top / "kernels" / "geodes" / "holoviewsrc.py"),
    "PANEL_INLINE": "true",
    "DASK_GEODES_LAB__CATALOG__PROFILES__LOCAL__URL": str(
        Path(os.environ["GEODES_LAB_SAMPLE"]) / "catalog" / "catalog.json"
    ),
}
