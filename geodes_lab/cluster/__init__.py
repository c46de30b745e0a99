"""The Dask cluster of this user: in the user's server, on a gateway or in a queue.

There at first use, gone with the kernel.
"""

from geodes_lab.cluster.attached import attach, get
from geodes_lab.cluster.running import clusters
from geodes_lab.cluster.size import Workers, workers

__all__ = ["Workers", "attach", "clusters", "get", "workers"]
