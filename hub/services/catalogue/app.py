"""The application: the STAC API and the page, put together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import orjson
from brotli_asgi import BrotliMiddleware
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from stac_fastapi.api.app import StacApi
from stac_fastapi.api.middleware import ProxyHeaderMiddleware
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
from stac_fastapi.types.search import APIRequest
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from geodes_lab.catalog.harvested.engine import Limits
from geodes_lab.catalog.harvested.quota import Quota
from hub.services.bounds import Bounded
from hub.services.catalogue import sentences
from hub.services.catalogue.access import Rights
from hub.services.catalogue.guard import Guarded
from hub.services.catalogue.queryables import Queryables
from hub.services.catalogue.quicklooks import Quicklooks
from hub.services.catalogue.reads import Reads
from hub.services.catalogue.results import Results
from hub.services.catalogue.shelves import Shelves
from hub.services.catalogue.views import routes
from hub.services.person import Hub

# Clients look for these of 1.0; the extension itself says 1.1.
_SORT = [f"https://api.stacspec.org/v1.0.0/{part}#sort" for part in ("item-search", "ogcapi-features")]
_BODY = 4 * 2**20  # bytes: a thousand Items of the usual kind
# Nothing of it comes from elsewhere.
_DOCUMENTED = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>The catalogue of GEODES Lab</title>
<h1>The catalogue of GEODES Lab</h1>
<p>This is a STAC API: Core, Features, Item Search, Filter, Sort, Fields and Transaction. Its requests are described in
<a href="api">OpenAPI</a>, which programs read.</p>
</html>
"""


def made(
    harvested: Path,
    results: Path,
    rights: Rights | None = None,
    hub: Hub | None = None,
    assets: Path | None = None,
    quicklooks: Quicklooks | None = None,
    *,
    public: bool = False,
    origins: Sequence[str] = (),
    quota: Quota | None = None,
    limits: Limits | None = None,
) -> ASGIApp:
    """Make the application, behind its door and its bounds.

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
    public
        Whether who has not logged in may search.
    origins
        The web sites whose pages may ask.
    room
        What the results of people may take.
    limits
        What searches may use.
    """
    hub = hub or Hub()
    shelves = Shelves(harvested, results, rights or Rights(), limits)
    title = "The catalogue of GEODES Lab"
    description = "The products of GEODES near the data, and what the users of the lab made of them."
    settings = ApiSettings(
        openapi_url=f"{hub.prefix}stac/api", docs_url="", stac_fastapi_title=title,
        stac_fastapi_description=description, stac_fastapi_landing_id="geodes-lab", stac_fastapi_version="1",
    )  # fmt: skip
    reads = Reads(
        shelves=shelves,
        hub=hub,
        stac_version="1.1.0",
        landing_page_id="geodes-lab",
        title=title,
        description=description,
    )
    searching = [
        SortExtension(conformance_classes=_SORT),
        FieldsExtension(),
        FilterExtension(client=Queryables(shelves, hub)),
        TokenPaginationExtension(),
    ]
    client = Results(shelves=shelves, hub=hub, reads=reads, quota=quota or Quota())
    writing = TransactionExtension(client=client, settings=settings)
    reads.extensions = [*searching, writing]
    listed = create_request_model("Items", ItemCollectionUri, searching, request_type="GET")
    api = StacApi(
        settings=settings,
        client=reads,
        router=APIRouter(prefix=f"{hub.prefix}stac"),
        stac_version="1.1.0",
        extensions=[*searching, writing],
        search_get_request_model=create_get_request_model(searching),
        search_post_request_model=create_post_request_model(searching),
        items_get_request_model=cast(type[APIRequest], listed),  # of GET it is never the other kind
        middlewares=[Middleware(BrotliMiddleware), *_shared(origins), Middleware(ProxyHeaderMiddleware)],
    )

    @api.app.middleware("http")
    async def keep(request: Request, call: Any) -> Any:
        # The link to the next page repeats the body, and a patch is what came; a body is read but once.
        request.state.body = await request.body() if request.method in ("POST", "PUT", "PATCH") else b""
        if request.state.body and not _is_json(request.state.body):
            return JSONResponse({"detail": "The body is no JSON: numbers are finite, and texts are UTF-8."}, 400)
        return await call(request)

    @api.app.get(f"{hub.prefix}stac/api.html", name="swagger_ui_html", include_in_schema=False)
    def documented() -> Response:
        return HTMLResponse(_DOCUMENTED)

    sentences.add(api.app)
    api.app.include_router(routes(shelves, hub, assets, quicklooks or Quicklooks()))
    return Guarded(Bounded(api.app, body=_BODY, depth=64, at_once=128), hub, public=public)


def _is_json(body: bytes) -> bool:
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return True


def _shared(origins: Sequence[str]) -> list[Middleware]:
    """Who reads answers from a page of another site.

    Nobody whom the operator does not name, and by a token, not by a cookie.
    """
    if not origins:
        return []
    return [
        Middleware(
            CORSMiddleware, allow_origins=list(origins), allow_methods=["OPTIONS", "POST", "GET"],
            allow_headers=["Content-Type", "Authorization"], max_age=600,
        )
    ]  # fmt: skip
