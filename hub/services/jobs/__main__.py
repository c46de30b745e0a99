"""``python -m hub.services.jobs``: the jobs of the lab, and OGC API – Processes."""

from __future__ import annotations

import os

from starlette.types import ASGIApp

from hub.services import serving


def application() -> ASGIApp:
    """Create the application; the imports take a while."""
    from geodes_lab import settings
    from geodes_lab.batch.store import tables
    from geodes_lab.batch.store.writing import Store
    from hub.services.jobs.app import made
    from hub.services.jobs.callbacks import Callbacks
    from hub.services.jobs.starting import HubServers, Starter
    from hub.services.person import Hub

    lab = serving.lab()
    address = None if settings.get("jobs.postgresql") else serving.state() / "jobs.sqlite"
    store = Store(tables.opened(address))
    Callbacks(store, lab.jobs.callbacks).begin()
    Starter(store, HubServers()).begin()
    return made(lab, store, Hub(), os.environ.get("GEODES_LAB_CATALOGUE", ""))


serving.serve(serving.Later(application), 8017)
