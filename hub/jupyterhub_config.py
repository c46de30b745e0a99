"""Configuration of the hub: every file of config.d, in order of its number."""

import os
import sys
from pathlib import Path

c = get_config()  # noqa: F821

HERE = Path(__file__).resolve().parent
# The classes that the files below name (login, home) lie beside this file.
sys.path.insert(0, str(HERE))

folder = Path(os.environ.get("GEODES_LAB_CONFIG_D", HERE / "config.d"))
for path in sorted(folder.glob("[0-9][0-9]-*.py")):
    load_subconfig(str(path))  # noqa: F821
