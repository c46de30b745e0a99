"""The kernel of an environment: how JupyterLab's launcher knows it, and what it does when it starts."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from geodes_lab.environments.overlay import Overlay
from geodes_lab.errors import GeodesError

_STARTED, _FAULT = "GEODES_LAB_OVERLAY", "GEODES_LAB_OVERLAY_FAULT"
LEFT = "GEODES_LAB_OVERLAY_LEFT"
"""The variable that names the folder of an environment in which the kernel could not start."""


def write(overlay: Overlay, kernel: Path) -> Path:
    """Write the kernel of an environment into the person's own kernels.

    Parameters
    ----------
    overlay
        The environment.
    kernel
        The folder of the lab's kernel, whose files it starts.

    Returns
    -------
    pathlib.Path
        The folder of the new one.
    """
    folder = _folder(overlay)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kernel.json").write_text(
        json.dumps(described(overlay, kernel, f"{overlay.name} (over GEODES)"), indent=1)
    )
    return folder


def described(overlay: Overlay, kernel: Path, title: str) -> dict[str, Any]:
    """Return what ``kernel.json`` of an environment says.

    Parameters
    ----------
    overlay
        The environment, of which nothing is read.
    kernel
        The folder of the lab's kernel.
    title
        What the launcher calls it.
    """
    of_the_lab = json.loads((kernel / "kernel.json").read_text())
    base = overlay.environment({})["GEODES_LAB_BASE"]
    return {
        **of_the_lab,
        "argv": [str(overlay.python), *(a.replace("{resource_dir}", str(kernel)) for a in of_the_lab["argv"][1:])],
        "display_name": title,
        "env": {
            _STARTED: str(overlay.folder),
            "GEODES_LAB_BASE": base,
            "GEODES_LAB_PYTHON": str(Path(base) / "bin" / "python"),
        },
    }


def remove(overlay: Overlay) -> None:
    """Remove the kernel of an environment from the launcher."""
    shutil.rmtree(_folder(overlay), ignore_errors=True)


def enter() -> None:
    """Go on in the person's own environment, if the server names one; called before anything else is imported.

    The process is replaced. An environment in which the kernel cannot start is left again: ``GEODES_LAB_OVERLAY_FAULT``
    says why, for the first cell.
    """
    name = os.environ.get("GEODES_LAB_SOFTWARE", "")
    if not name or os.environ.get(_STARTED) or os.environ.get(_FAULT):
        return
    try:
        overlay = Overlay.named(name).make()
    except GeodesError as error:
        os.environ[_FAULT] = str(error)
        return
    environment = {
        **overlay.environment(os.environ),
        _STARTED: str(overlay.folder),
        "GEODES_LAB_PYTHON": sys.executable,
    }
    os.execve(overlay.python, [str(overlay.python), *sys.argv], environment)


def leave(error: BaseException) -> None:
    """Go back to the lab's own environment, after the kernel could not be imported in the person's own.

    Raises
    ------
    BaseException
        ``error`` itself, if this is the lab's own environment.
    """
    lab = os.environ.get("GEODES_LAB_PYTHON")
    if not os.environ.get(_STARTED) or not lab:
        raise error
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
    folder = os.environ.pop(_STARTED)
    os.environ[LEFT] = folder
    os.environ["PIP_PYTHON"] = str(Path(folder) / "bin" / "python")  # what pip changes is still the person's own
    os.environ[_FAULT] = (
        f"The kernel cannot start with your own packages ({reason}), so it runs with the packages of the lab only. In "
        "a terminal, remove the package that you installed last with `pip uninstall`, or all of them with `geodes-lab "
        f"env remove {Path(folder).parent.name}`; then restart the kernel."
    )
    os.execve(lab, [lab, *sys.argv], dict(os.environ))


def _folder(overlay: Overlay) -> Path:
    data = os.environ.get("JUPYTER_DATA_DIR") or Path.home() / ".local" / "share" / "jupyter"
    return Path(data) / "kernels" / f"geodes-{overlay.name}"
