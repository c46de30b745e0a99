"""Configuration of the hub: every file of config.d, in order of its number, upon one and the same ``c``."""

import os
import sys
from pathlib import Path

c = get_config()  # noqa: F821

HERE = Path(__file__).resolve().parent
# The modules that the files below name lie beside this file.
sys.path.insert(0, str(HERE))

folder = Path(os.environ.get("GEODES_LAB_CONFIG_D", HERE / "config.d"))
for path in sorted(folder.glob("[0-9][0-9]-*.py")):
    # Not `load_subconfig`, which gives each file a configuration of its own: a later file extends what an earlier one set.
    names = {"c": c, "get_config": lambda: c, "__file__": str(path), "__name__": path.stem}
    exec(compile(path.read_text(), path, "exec"), names)
