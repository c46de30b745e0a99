"""Settings for Jupyter's programs, in a terminal of the lab too (nbconvert, console).

Their kernels accept only their own account, too.
"""

import sys
from pathlib import Path

# The modules beside this file are of the package `hub`.
sys.path.insert(0, str(Path(__file__).parents[2]))

c = get_config()  # type: ignore[name-defined]  # noqa: F821

c.KernelManager.transport = "ipc"
c.HTMLExporter.preprocessors = ["hub.singleuser.home.selfcontained.Plots"]
