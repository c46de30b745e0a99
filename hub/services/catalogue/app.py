"""The application: the STAC API and the page, put together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from person import Hub
from stac_fastapi.api.app import StacApi
from stac_fastapi.api.models import (
    ItemCollectionUri,
    create_get_request_model,
    create_post_request_model,
    create_request_model,
)
from stac_fastapi.extensions.fields import FieldsExtension
from stac_fastapi.extensions.filter import FilterExtension
from stac_fastapi.extensions.pagination import TokenPaginationExtension
from stac_fastapi.extensions.sort import SortExtension
from stac_fastapi.extensions.transaction import TransactionExtension
from stac_fastapi.types.config import ApiSettings

from catalogue.access import Rights
from catalogue.face import routes
from catalogue.queryables import Queryables
from catalogue.quicklooks import Quicklooks
from catalogue.reads import Reads
from catalogue.results import Results
from catalogue.shelves import Shelves

# Clients look for these of 1.0; the extension itself says 1.1.
_SORT = [f"https://api.stacspec.org/v1.0.0/{part}#sort" for part in ("item-search", "ogcapi-features")]


def made(
    harvested: Path,
    results: Path,
    rights: Rights | None = None,
    hub: Hub | None = None,
    assets: Path | None = None,
    quicklooks: Quicklooks | None = None,
) -> FastAPI:
    """Make the application.

    Parameters
    ----------
    harvested
        The folder of the catalogue.
    results
        The folder of what users put there.
    rights
        Who sees what; all is public if not given.
    hub
        Who asks; the one of the environment if not given.
    assets
        The folder ``node_modules`` that has the map's library; without it the page has no map.
    quicklooks
        Where small pictures are read; with this process's own rights if not given.
    """
    hub = hub or Hub()
    shelves = Shelves(harvested, results, rights or Rights())
    title = "The catalogue of GEODES Lab"
    description = "The products of GEODES near the data, and what the users of the lab made of them."
    settings = ApiSettings(
        openapi_url=f"{hub.prefix}stac/api", docs_url=f"{hub.prefix}stac/api.html", stac_fastapi_title=title,
        stac_fastapi_description=description, stac_fastapi_landing_id="geodes-lab", stac_fastapi_version="1",
    )  # fmt: skip
    reads = Reads(
        shelves=shelves, hub=hub, stac_version="1.1.0", landing_page_id="geodes-lab", title=title, description=description
    )  # fmt: skip
    searching = [
        SortExtension(conformance_classes=_SORT),
        FieldsExtension(),
        FilterExtension(client=Queryables(shelves, hub)),
        TokenPaginationExtension(),
    ]
    writing = TransactionExtension(client=Results(shelves=shelves, hub=hub, reads=reads), settings=settings)
    reads.extensions = [*searching, writing]
    api = StacApi(
        settings=settings,
        client=reads,
        router=APIRouter(prefix=f"{hub.prefix}stac"),
        stac_version="1.1.0",
        extensions=[*searching, writing],
        search_get_request_model=create_get_request_model(searching),
        search_post_request_model=create_post_request_model(searching),
        items_get_request_model=create_request_model("Items", ItemCollectionUri, searching, request_type="GET"),
    )

    @api.app.middleware("http")
    async def keep(request: Request, call: Any) -> Any:
        # The link to the next page repeats the body, and a patch is what came; a body is read but once.
        request.state.body = await request.body() if request.method in ("POST", "PATCH") else b""
        return await call(request)

    api.app.include_router(routes(shelves, hub, assets, quicklooks or Quicklooks()))
    return api.app
