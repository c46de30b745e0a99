"""The application: the STAC API and the page, put together."""

from __future__ import annotations

import os
import threading
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
from geodes_lab.policy.lab import Lab
from hub.services.bounds import Bounded
from hub.services.catalogue import pixels, sentences
from hub.services.catalogue.access import Rights
from hub.services.catalogue.guard import Guarded
from hub.services.catalogue.news import feed
from hub.services.catalogue.news import routes as news
from hub.services.catalogue.news.keyed import HOURS, FeedKeys
from hub.services.catalogue.news.postman import Postman
from hub.services.catalogue.news.store import Store
from hub.services.catalogue.news.watch import Watch
from hub.services.catalogue.queryables import Queryables
from hub.services.catalogue.quicklooks import Quicklooks
from hub.services.catalogue.reads import Reads
from hub.services.catalogue.results.transactions import Results
from hub.services.catalogue.results.turns import Turns
from hub.services.catalogue.shelves import Shelves
from hub.services.catalogue.views import routes
from hub.services.keys import Keys
from hub.services.maps import named, shapes
from hub.services.person import Hub

# Clients look for the classes of 1.0; the extension itself declares 1.1.
_SORT = [f"https://api.stacspec.org/v1.0.0/{part}#sort" for part in ("item-search", "ogcapi-features")]
_BODY = 4 * 2**20  # bytes: a thousand typical Items
_AT_ONCE = 128  # requests that are answered together, by all processes
# The page loads nothing from other sites.
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
    lab: Lab | None = None,
    public: bool = False,
    origins: Sequence[str] = (),
    quota: Quota | None = None,
    limits: Limits | None = None,
    postman: Postman | None = None,
    tiles: str = "",
    shared: int | None = None,
    several: int = 1,
) -> ASGIApp:
    """Create the application, behind its guard and its limits.

    Parameters
    ----------
    harvested
        The folder of the catalogue.
    results
        The folder of the users' results.
    rights
        Who may see what; by default everything is public.
    hub
        Identifies people; by default the hub in the environment.
    assets
        The folder ``node_modules`` with the map's library; without it the page has no map.
    quicklooks
        Where small pictures are read; by default with this process's own rights.
    lab
        The operator's file, for the head of the page.
    public
        Whether people without a login may search.
    origins
        The web sites whose pages may send requests.
    room
        The limits for people's results.
    limits
        The limits for searches.
    postman
        Sends mails about new products; by default there are none. What people want to be told of is beside ``results``.
    tiles
        The address of the service of tiles within the lab, which gives the page keys if its host name is another one.
    shared, several
        What the processes of the service have in common, and how many they are (`hub.services.processes`).
    """
    hub = hub or Hub(acting=("tiles",))
    shelves = Shelves(harvested, results, rights or Rights(), limits)
    title = "The catalogue of GEODES Lab"
    description = "The products of GEODES near the data, and the results of the lab's users."
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
    client = Results(shelves=shelves, hub=hub, reads=reads, quota=quota or Quota(), turns=Turns(shared))
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
        items_get_request_model=cast(type[APIRequest], listed),  # for GET it is never the other type
        middlewares=[Middleware(BrotliMiddleware), *_shared(origins), Middleware(ProxyHeaderMiddleware)],
    )

    @api.app.middleware("http")
    async def keep(request: Request, call: Any) -> Any:
        # The link to the next page repeats the body, and a patch needs the original; a body can be read only once.
        request.state.body = await request.body() if request.method in ("POST", "PUT", "PATCH") else b""
        if request.state.body and not _is_json(request.state.body):
            return JSONResponse(
                {"detail": "The body is not valid JSON: numbers must be finite, and text must be UTF-8."}, 400
            )
        return await call(request)

    @api.app.get(f"{hub.prefix}stac/api.html", name="swagger_ui_html", include_in_schema=False)
    def documented() -> Response:
        return HTMLResponse(_DOCUMENTED)

    sentences.add(api.app)
    api.app.include_router(shapes.routes(hub, hub.prefix.rstrip("/"), results.parent / "shapes.sqlite"))
    api.app.include_router(named.routes(hub.prefix.rstrip("/")))
    lab = lab or Lab()
    if lab.apart:
        api.app.include_router(pixels.routes(hub, tiles))
    store = Store(results.parent / "news.sqlite")
    keys = FeedKeys(Keys(os.environ.get("JUPYTERHUB_API_TOKEN", ""), of="feeds", most=HOURS), store)
    page = f"{(lab.origin('catalogue') or lab.address or lab.listen).rstrip('/')}{hub.prefix}"
    api.app.include_router(feed.routes(shelves, hub, keys, public=public))
    api.app.include_router(news.routes(shelves, hub, news.News(store, keys, postman, page)))
    if postman is not None and lab.mail is not None:
        watch = Watch(store, shelves, hub, postman, page, lab.mail.every, results.parent / "news.duty")
        threading.Thread(target=watch.run, args=(threading.Event(),), daemon=True).start()
    api.app.include_router(routes(shelves, hub, assets, quicklooks or Quicklooks(), lab, public=public))
    bounded = Bounded(api.app, body=_BODY, depth=64, at_once=-(-_AT_ONCE // several))
    return Guarded(bounded, hub, public=public, shared=shared)


def _is_json(body: bytes) -> bool:
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return True


def _shared(origins: Sequence[str]) -> list[Middleware]:
    """Which pages of other sites may read answers.

    Only those that the operator names, and with a token, not with a cookie.
    """
    if not origins:
        return []
    return [
        Middleware(
            CORSMiddleware, allow_origins=list(origins), allow_methods=["OPTIONS", "POST", "GET"],
            allow_headers=["Content-Type", "Authorization"], max_age=600,
        )
    ]  # fmt: skip
