"""Configuration of the hub: every file of config.d, in order of its number, with one and the same ``c``.

``c`` exists already, both in JupyterHub's own configuration and in the ``jupyterhub_config.d`` of zero-to-jupyterhub,
where ``get_config`` is another function and ``__file__`` another file: there the chart sets GEODES_LAB_CONFIG_D and
PYTHONPATH.
"""

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# The files below import from the package `hub`, which is this folder.
sys.path.insert(0, str(HERE.parent))

folder = Path(os.environ.get("GEODES_LAB_CONFIG_D", HERE / "config.d"))
for path in sorted(folder.glob("[0-9][0-9]-*.py")):
    # Not `load_subconfig`, which gives each file its own configuration: here a later file extends the settings of an
    # earlier one.
    names = {
        "c": c,  # type: ignore[name-defined]  # noqa: F821
        "get_config": lambda: c,  # type: ignore[name-defined]  # noqa: F821
        "__file__": str(path),
        "__name__": path.stem,
    }
    exec(compile(path.read_text(), path, "exec"), names)
