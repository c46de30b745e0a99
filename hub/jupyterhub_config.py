"""Configuration of the hub: every file of config.d, in order of its number, upon one and the same ``c``.

``c`` is there already, in JupyterHub's own configuration and in the ``jupyterhub_config.d`` of zero-to-jupyterhub,
where ``get_config`` is another function and ``__file__`` another file: the chart says by GEODES_LAB_CONFIG_D and
PYTHONPATH where ours are.
"""

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# The files below import from the package `hub`, which this folder is.
sys.path.insert(0, str(HERE.parent))

folder = Path(os.environ.get("GEODES_LAB_CONFIG_D", HERE / "config.d"))
for path in sorted(folder.glob("[0-9][0-9]-*.py")):
    # Not `load_subconfig`, which gives each file a configuration of its own: a later file extends what an earlier one
    # set.
    names = {
        "c": c,  # type: ignore[name-defined]  # noqa: F821
        "get_config": lambda: c,  # type: ignore[name-defined]  # noqa: F821
        "__file__": str(path),
        "__name__": path.stem,
    }
    exec(compile(path.read_text(), path, "exec"), names)
