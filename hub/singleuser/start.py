"""Starts the user's server, as the user.

The home is checked and prepared, then JupyterHub's own single-user server follows (``server.py``).

A full home does not prevent the start: the server writes its own files elsewhere, and opens a page that helps to free
space.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from pathlib import Path

_HERE = Path(__file__).resolve()
_TOP = _HERE.parents[2]
# It is started by its path: its own folder is replaced in the search path by that of the package `hub`.
sys.path[:] = [str(_TOP), *(p for p in sys.path if Path(p or ".").resolve() != _HERE.parent)]

from geodes_lab.environments.overlay import Overlay  # noqa: E402
from geodes_lab.errors import GeodesError  # noqa: E402
from geodes_lab.util import group_folders  # noqa: E402
from hub.servers.runners import NAME  # noqa: E402
from hub.singleuser.home import notebooks, space  # noqa: E402

# Without an environment of the person's own, pip would change the lab's: it finds no Python of this name, and refuses.
_NO_PIP = {"PIP_PYTHON": "/no-environment-of-your-own-free-some-space-in-your-home"}


def main() -> None:
    """Become the server."""
    os.umask(0o022)  # the hub's own umask is for its secrets
    home = Path.home()
    reason = space.problem(home)
    if reason:
        os.environ.update({**elsewhere(reason), **_NO_PIP})
    else:
        notebooks.deliver(_TOP / "notebooks", home / "notebooks")
        share(home)
        os.environ.update(own_software())
    # The person's server for jobs has no JupyterLab: it is a runner.
    if os.environ.get("JUPYTERHUB_SERVER_NAME") == NAME:
        os.chdir(_TOP)
        os.execv(sys.executable, [sys.executable, "-m", "hub.singleuser.running"])
    os.execv(sys.executable, [sys.executable, str(_HERE.with_name("server.py")), *sys.argv[1:]])


def own_software() -> dict[str, str]:
    """Return the environment in which terminals and kernels use the person's own packages over the lab's.

    Where they cannot be written, terminals and kernels have the lab's alone.
    """
    try:
        overlay = Overlay.named("default").make()
    except GeodesError:
        return _NO_PIP
    names = ("PATH", "GEODES_LAB_BASE")
    return {**{n: overlay.environment(os.environ)[n] for n in names}, "GEODES_LAB_SOFTWARE": overlay.name}


def elsewhere(reason: str) -> dict[str, str]:
    """Return the environment of a server that writes nothing into the home by itself.

    Its sockets are elsewhere in any case (``runtime.py``).
    """
    folder = Path(tempfile.mkdtemp(prefix="geodes-lab-rescue-"))
    names = {
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_CONFIG_DIR": "config",
        "IPYTHONDIR": "ipython",
        "JUPYTERLAB_SETTINGS_DIR": "lab-settings",
        "JUPYTERLAB_WORKSPACES_DIR": "lab-workspaces",
        "XDG_CACHE_HOME": "cache",
        "DASK_GEODES_LAB__CACHE__FOLDER": "cache",
        "DASK_TEMPORARY_DIRECTORY": "dask",
    }
    for name in set(names.values()):
        (folder / name).mkdir(exist_ok=True)
    return {
        **{k: str(folder / v) for k, v in names.items()},
        "GEODES_LAB_RESCUE": reason,
        "JUPYTERHUB_DEFAULT_URL": "/geodes/space",
    }


def share(home: Path) -> None:
    """Link the shared folder and those of the groups into the home, unless something else has its name."""
    shared, place = os.environ.get("GEODES_LAB_SHARED"), home / "shared"
    if shared and Path(shared).is_dir() and not os.path.lexists(place):
        place.symlink_to(shared)
    for folder in group_folders.folders().values():
        link = home / "groups" / folder.name
        if folder.is_dir() and not os.path.lexists(link):
            with contextlib.suppress(OSError):  # a file of the person's is called so
                link.parent.mkdir(exist_ok=True)
                link.symlink_to(folder)


if __name__ == "__main__":
    main()
