"""The folder of this server's sockets, which no other account passes through.

Kernels' channels, and apps that are shared.

The hub makes it, one for each account (``GEODES_LAB_RUNTIME``); where there is none, as in a pod, the server makes its
own.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from geodes_lab.util import ownership
from geodes_lab.util.user_folder import RUNTIME

_CHANNEL = len("/kernel-12345678-1234-1234-1234-123456789012-ipc-12")  # what jupyter_client calls them


def settle() -> Path:
    """Choose the folder, and tell it to all that this server starts; give that of Jupyter's own files."""
    given = os.environ.get(RUNTIME)
    found = Path(given) if given and _usable(Path(given)) else _made()
    jupyter = found / "jupyter"
    if said := ownership.make(jupyter):
        raise SystemExit(f"The server has no private folder for its sockets: {said}.")
    os.environ[RUNTIME], os.environ["JUPYTER_RUNTIME_DIR"] = str(found), str(jupyter)
    return jupyter


def _usable(folder: Path) -> bool:
    return not ownership.private(folder) and len(str(folder / "jupyter")) + _CHANNEL <= ownership.SOCKET_PATH


def _made() -> Path:
    """A new folder that nobody guesses; by a short name, whatever TMPDIR is."""
    for place in dict.fromkeys((tempfile.gettempdir(), "/tmp", "/var/tmp")):
        with contextlib.suppress(OSError):
            made = Path(tempfile.mkdtemp(prefix="geodes-lab-", dir=place)) if not ownership.fault(Path(place)) else None
            if made and _usable(made):
                return made
    raise SystemExit("The server has no private folder for its sockets: /tmp is not there, or anybody may change it.")
