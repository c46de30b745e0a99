"""How each small service beside the hub is served: on loopback, where the hub says, and never longer than the hub lives."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
from pathlib import Path
from urllib.parse import urlsplit

import uvicorn
from starlette.types import ASGIApp

from geodes_lab.policy.lab import Lab, load


def lab() -> Lab:
    """The operator's file."""
    return load(os.environ["GEODES_LAB_SETTINGS"])


def state() -> Path:
    """The folder of what the services keep."""
    return Path(os.environ["GEODES_LAB_STATE"])


def serve(application: ASGIApp, default: int) -> None:
    """Serve until told to stop.

    A hub that is killed stops none of its services by itself; without this the next one would find their ports taken.
    """
    if sys.platform == "linux" and "JUPYTERHUB_SERVICE_URL" in os.environ:
        parent_death_signal = 1
        ctypes.CDLL(None).prctl(parent_death_signal, signal.SIGTERM, 0, 0, 0)
    logging.basicConfig(level=logging.WARNING, format="[%(name)s] %(levelname)s %(message)s")
    url = urlsplit(os.environ.get("JUPYTERHUB_SERVICE_URL", f"http://127.0.0.1:{default}"))
    uvicorn.run(application, host=url.hostname or "127.0.0.1", port=url.port or default, log_level="warning")
