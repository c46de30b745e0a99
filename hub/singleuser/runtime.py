"""The folder of this server's sockets, which no other account can enter.

It has the kernels' channels, and the sockets of shared apps.

The hub creates it, one for each account (``GEODES_LAB_RUNTIME``); without one, as in a pod, the server creates its own.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from geodes_lab.util import ownership
from geodes_lab.util.user_folder import RUNTIME

_CHANNEL = len("/kernel-12345678-1234-1234-1234-123456789012-ipc-12")  # jupyter_client's name for them


def settle() -> Path:
    """Choose the folder, and set it for all programs that this server starts.

    Return the folder of Jupyter's own files.
    """
    from_hub = os.environ.get(RUNTIME)
    folder = Path(from_hub) if from_hub and _usable(Path(from_hub)) else _made()
    jupyter = folder / "jupyter"
    if problem := ownership.make(jupyter):
        raise SystemExit(f"The server has no private folder for its sockets: {problem}.")
    os.environ[RUNTIME], os.environ["JUPYTER_RUNTIME_DIR"] = str(folder), str(jupyter)
    return jupyter


def _usable(folder: Path) -> bool:
    return not ownership.private(folder) and len(str(folder / "jupyter")) + _CHANNEL <= ownership.SOCKET_PATH


def _made() -> Path:
    """Create a folder with a random name; with a short path, whatever TMPDIR is."""
    for place in dict.fromkeys((tempfile.gettempdir(), "/tmp", "/var/tmp")):
        with contextlib.suppress(OSError):
            created = (
                Path(tempfile.mkdtemp(prefix="geodes-lab-", dir=place)) if not ownership.fault(Path(place)) else None
            )
            if created and _usable(created):
                # This process has made it and no other server uses it; a kernel that outlives it has no more use of it.
                atexit.register(shutil.rmtree, created, ignore_errors=True)
                return created
    raise SystemExit("The server has no private folder for its sockets: /tmp does not exist, or anybody can change it.")
