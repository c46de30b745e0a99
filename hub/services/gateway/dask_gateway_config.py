"""The gateway of Dask clusters, with the lab's settings: ``dask-gateway-server --config dask_gateway_config.py``.

The Helm chart mounts this file.

Its address and its authentication are set beside it. These settings always apply: commands of today's distributed,
dashboards behind a gate, clusters that stop, and a limit for each user.
"""

import os
import sys
from pathlib import Path

from traitlets import import_item

c = get_config()  # type: ignore[name-defined]  # noqa: F821

sys.path.insert(0, str(Path(__file__).parent))
from capped import capped  # type: ignore[import-not-found]  # noqa: E402  (it lies beside this file)

Backend = capped(
    import_item(os.environ.get("GEODES_LAB_GATEWAY_BACKEND", "dask_gateway_server.backends.kubernetes.KubeBackend"))
)
c.DaskGateway.backend_class = Backend
# Beside a hub: only tokens with access to this service are accepted, which dask-gateway does not check by itself.
c.JupyterHubAuthenticator.jupyterhub_service_name = "dask-gateway"
limits = c[Backend.__name__]
# For each user, all clusters together, unless the usage accounts set limits by groups.
limits.user_max_clusters = int(os.environ.get("GEODES_LAB_GATEWAY_CLUSTERS", 2))
limits.user_max_cores = float(os.environ.get("GEODES_LAB_GATEWAY_CORES", 64))
limits.user_max_memory = os.environ.get("GEODES_LAB_GATEWAY_MEMORY", "256 G")
# The chart's gateway does not get our environment; there the usage accounts have this name.
kubernetes = Backend.__name__ == "CappedKubeBackend"
limits.rights_url = os.environ.get("GEODES_LAB_USAGE", "http://usage:8080/services/usage" if kubernetes else "")
# dask-gateway still uses the commands dask-scheduler and dask-worker, which distributed has removed (dask-gateway#945).
# The preload puts a gate in front of the dashboard, which the gateway would show to anybody (dask-gateway#570).
c.ClusterConfig.scheduler_cmd = ["dask", "scheduler", "--preload", "geodes_lab.cluster.dashboard_gate"]
c.ClusterConfig.worker_cmd = ["dask", "worker"]
# The kernel stops its cluster when it ends, and earlier if it is idle; this is for clusters whose kernel was killed.
c.ClusterConfig.idle_timeout = float(os.environ.get("GEODES_LAB_GATEWAY_IDLE", 3600))
