"""Tells assistants in a person's server of ``geodes-lab mcp``, if the operator offers it.

jupyter-ai has it in its configuration, beside what it has itself. Others find ``mcp.json`` by ``GEODES_LAB_MCP``, in
kernels and terminals. No key is in either: the program takes those of the server that it is started in.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from geodes_lab.assistant import permission

FILE = "GEODES_LAB_MCP"


def offer(configuration: Any, folder: Path) -> None:
    """Say it in the configuration of the server, and in a private folder."""
    if os.environ.get(permission.WISH) != "offered":
        return
    # Late: they import dask, a fifth of a second of each server's start.
    from geodes_lab.assistant import declaration
    from geodes_lab.util import user_folder

    configuration.PersonaManager.builtin_mcp_servers.append(declaration.for_jupyter_ai())
    path = folder / "mcp.json"
    user_folder.write(path, json.dumps(declaration.for_clients(), indent=1))
    os.environ[FILE] = str(path)
