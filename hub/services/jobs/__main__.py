"""``python -m hub.services.jobs``: the jobs of the lab, OGC API – Processes, and the page."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from starlette.types import ASGIApp

from hub.services import serving


def application(assets: Path | None) -> ASGIApp:
    """Create the application; the imports take a while."""
    from hub.services.jobs.app import made
    from hub.services.jobs.callbacks import Callbacks
    from hub.services.jobs.starting import HubServers, Starter
    from hub.services.jobs.store import opened
    from hub.services.person import Hub

    lab = serving.lab()
    store = opened(lab)
    Callbacks(store, lab.jobs.callbacks).begin()
    Starter(store, HubServers()).begin()
    catalogue, usage = (os.environ.get(f"GEODES_LAB_{name}", "") for name in ("CATALOGUE", "USAGE"))
    return made(lab, store, Hub(), catalogue, usage=usage, assets=assets)


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve the jobs of a lab, and their page.")
    parser.add_argument("--assets", type=Path, help="the folder node_modules, for the map of the page")
    options = parser.parse_args()
    serving.serve(serving.Later(lambda: application(options.assets)), 8017)


main()
