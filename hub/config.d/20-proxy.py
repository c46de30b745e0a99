"""The proxy before the hub: its command is chosen by the launcher (Node's, else the pure-Python one)."""

import json
import os
from pathlib import Path

c = get_config()  # noqa: F821

c.ConfigurableHTTPProxy.command = json.loads(os.environ["GEODES_LAB_PROXY"])
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{os.environ['GEODES_LAB_PROXY_PORT']}"
c.ConfigurableHTTPProxy.pid_file = str(Path(os.environ["GEODES_LAB_STATE"]) / "proxy.pid")
