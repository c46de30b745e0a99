"""The application: OGC API – Processes for programs, and the calls of runners and kernels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from geodes_lab.batch.store.schedules import Schedules
from geodes_lab.batch.store.writing import Store
from geodes_lab.policy.lab import Lab
from geodes_lab.util.database import DatabaseUnusable
from hub.services.bounds import Bounded
from hub.services.jobs import documents, views
from hub.services.jobs.calls import routes as calls
from hub.services.jobs.calls.desk import Desk
from hub.services.jobs.front import Front, Refused
from hub.services.jobs.planning import Planning
from hub.services.jobs.processes import Processes
from hub.services.jobs.records import Records
from hub.services.jobs.searching import Catalogue
from hub.services.jobs.timetable import Timetable
from hub.services.person import Hub

_BODY = 32 * 2**20  # bytes: twenty thousand Items
_POLICY = "default-src 'none'; sandbox; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_HEADERS = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": _POLICY, "Referrer-Policy": "no-referrer"}


def made(
    lab: Lab, store: Store, hub: Hub, catalogue: str = "", *, usage: str = "", assets: Path | None = None
) -> ASGIApp:
    """Create the application, behind its limits.

    Parameters
    ----------
    lab
        The operator's file.
    store
        The jobs of all people.
    hub
        Identifies people.
    catalogue
        The address of the lab's catalogue, for searches; empty: there is none.
    usage
        The address of the accounts of use, which a plan is compared with; empty: there are none.
    assets
        The folder ``node_modules`` with the map's library, for the page.
    """
    title = f"Processes of {lab.name}"
    app = FastAPI(title=title, version="1", openapi_url=f"{hub.prefix}ogc/api", docs_url=None, redoc_url=None)
    desk, products = Desk(lab, store), Catalogue(catalogue)
    front = Front(lab, hub, desk)
    app.include_router(Processes(front, products, title, Planning(lab, store, usage)).routes())
    app.include_router(Records(front).routes())
    app.include_router(Timetable(front, Schedules(store), products).routes())
    app.include_router(views.routes(lab, hub, products, assets))
    app.include_router(calls.routes(desk, hub))

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> Response:
        return JSONResponse(documents.exception(error.kind, error.status, str(error)), error.status, _HEADERS)

    @app.exception_handler(HTTPException)
    async def not_there(_: Request, error: HTTPException) -> Response:
        return JSONResponse(documents.exception("not-found", error.status_code, str(error.detail)), error.status_code)

    @app.exception_handler(DatabaseUnusable)
    async def unusable(_: Request, error: DatabaseUnusable) -> Response:
        return JSONResponse(documents.exception("unavailable", 503, str(error)), 503, {"Retry-After": "5"})

    @app.middleware("http")
    async def said(request: Request, call: Any) -> Any:
        answer = await call(request)
        for name, value in _HEADERS.items():
            answer.headers.setdefault(name, value)
        answer.headers.setdefault("Cache-Control", "no-store")
        return answer

    return Bounded(app, body=_BODY, depth=64, seconds=60, at_once=128, asking=hub.asking)
