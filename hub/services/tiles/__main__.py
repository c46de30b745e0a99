"""``python -m hub.services.tiles``: tiles of the lab's products."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from dataclasses import replace

from starlette.types import ASGIApp

from hub.services import serving


def application() -> ASGIApp:
    """Create the application; the imports take a while."""
    from geodes_lab import settings
    from hub.services.data.lake import Lake
    from hub.services.person import Hub
    from hub.services.tiles.app import Tiles
    from hub.services.tiles.broker import Broker, listening
    from hub.services.tiles.catalogue import Catalogue
    from hub.services.tiles.keys import Keys
    from hub.services.tiles.routes import made
    from hub.services.tiles.workers import Worker, memory

    lab, hub = serving.lab(), Hub()
    token = os.environ.get("JUPYTERHUB_API_TOKEN", "")
    folder = os.environ.get("GEODES_LAB_TILES_FOLDER", "") or lab.datalake.folder
    endpoint = lab.datalake.endpoint or settings.get("datalake.endpoint")
    lake = Lake(replace(lab.datalake, folder=folder, endpoint=endpoint), serving.secret("datalake_key"))
    broker = Broker(lake)
    address = _kept.enter_context(listening(broker))
    workers = [Worker(address, broker.secret, serving.state() / "cache", memory())]
    catalogue = Catalogue(os.environ["GEODES_LAB_CATALOGUE"], token)
    tiles = Tiles(lab, hub, catalogue, lake, settings.get("datalake.hosts"), broker, workers, Keys(token))
    return made(tiles, hub, lab.catalogue.origins, workers, catalogue, lab.origin("catalogue"))


def unreadable() -> None:
    """Keep the tiler, which has this user too, from reading the environment and the memory of this process."""
    if sys.platform == "linux":
        dumpable = 4
        ctypes.CDLL(None).prctl(dumpable, 0, 0, 0, 0)


_kept = contextlib.ExitStack()  # for as long as this process
unreadable()
serving.serve(serving.Later(application), 8018)
