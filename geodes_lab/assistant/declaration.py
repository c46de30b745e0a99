"""What other programs need to know in order to start ``geodes-lab mcp``."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from geodes_lab.assistant import redaction
from geodes_lab.errors import GeodesError

NAME = "geodes-lab"


def for_clients() -> dict[str, Any]:
    """Return what most assistants read, as ``mcp.json``: no key is in it."""
    server = {"command": command(), "args": ["mcp"], "env": _settings()}
    return {"mcpServers": {NAME: server}}


def for_jupyter_ai() -> dict[str, Any]:
    """Return the same in the words of jupyter-ai's ``PersonaManager.builtin_mcp_servers``."""
    return {"name": NAME, "command": command(), "args": ["mcp"], "env": []}


def command() -> str:
    """Return the path of the program.

    Raises
    ------
    GeodesError
        If it is not installed beside this Python, nor on the path.
    """
    found = shutil.which("geodes-lab", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        raise GeodesError("The program geodes-lab is not found: install the package, or put it on the PATH.")
    return found


def _settings() -> dict[str, str]:
    """Settings of this shell, since an assistant may be started elsewhere; what looks like a secret is left out."""
    ours = {k: v for k, v in os.environ.items() if k.startswith("DASK_GEODES_LAB__")}
    return {k: v for k, v in ours.items() if not redaction.is_secret(k) and redaction.redacted(v) == v}
