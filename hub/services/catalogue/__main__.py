"""``python -m hub.services.catalogue``: serve the catalogue at the address in the hub's environment."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from dask.system import CPU_COUNT
from starlette.types import ASGIApp

from geodes_lab.policy.lab import Lab, load
from hub.services import processes, serving
from hub.services.serving import Later, serve

_PORT = 8010
_MEMORY = 2 * 2**30  # bytes for the searches of all processes; of one at most half of that


def application(options: argparse.Namespace) -> ASGIApp:
    """Create the application; loading a static catalogue, and the imports, may take a while."""
    from geodes_lab.catalog.harvested.engine import Limits
    from geodes_lab.catalog.harvested.quota import Quota
    from geodes_lab.catalog.harvesting import shelved
    from hub.services.catalogue.access import Rights
    from hub.services.catalogue.app import made
    from hub.services.catalogue.news.postman import PASSWORD, Postman
    from hub.services.catalogue.quicklooks import Quicklooks
    from hub.services.duty import held

    if options.static:
        with held(options.results.parent / "first.duty"):  # the first process copies, the others find a copy
            shelved(options.static, options.harvested)
    lab = _lab()
    several = processes.number()
    # The only user of a lab on loopback sees everything.
    restricted = (
        {name: settings.groups for name, settings in lab.restricted.items()} if lab.login.kind == "oidc" else {}
    )
    settings = lab.catalogue
    return made(
        options.harvested,
        options.results,
        Rights(restricted),
        assets=options.assets,
        quicklooks=Quicklooks(lab, os.environ.get("GEODES_LAB_DATA", "").partition("/services/")[0]),
        lab=lab,
        public=options.public or settings.public,
        origins=settings.origins,
        tiles=os.environ.get("GEODES_LAB_TILES", ""),
        postman=Postman(lab.mail, serving.secret(PASSWORD)) if lab.mail else None,
        quota=Quota(settings.results.storage, settings.results.items, settings.results.whole),
        limits=Limits(memory=min(2**30, _MEMORY // several), seconds=20, answer=16 * 2**20),
        shared=processes.shared(),
        several=several,
    )


def _lab() -> Lab:
    file = os.environ.get("GEODES_LAB_SETTINGS")
    return load(file) if file else Lab()


def _processes(wanted: int) -> int:
    """Return how many processes serve; 0: as the cores that this service may use suggest."""
    # On two cores, a second process takes memory from people's own work, and searches use both cores anyway.
    return wanted or (1 if CPU_COUNT <= 2 else min(CPU_COUNT, 4))


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve a harvested catalogue as a STAC API, with its page.")
    parser.add_argument("harvested", type=Path, help="the folder that `geodes-lab harvest` wrote")
    parser.add_argument("results", type=Path, help="the folder for the results of users")
    parser.add_argument("--static", help="a static catalogue's catalog.json, copied into the folder if that is empty")
    parser.add_argument("--assets", type=Path, help="the folder node_modules, for the map of the page")
    parser.add_argument(
        "--public", action="store_true", help="allow everybody to search: for a service without a hub, on loopback"
    )
    options = parser.parse_args()
    processes.begin(_processes(_lab().catalogue.processes), _PORT)
    serve(Later(lambda: application(options)), _PORT)


if __name__ == "__main__":
    main()
