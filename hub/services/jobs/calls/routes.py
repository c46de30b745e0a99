"""The calls of runners and kernels over HTTP, each by the token of its person."""

from __future__ import annotations

import json

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool

from geodes_lab.batch.store.leases import LeaseLost
from geodes_lab.errors import GeodesError
from geodes_lab.util.database import DatabaseUnusable
from hub.services.jobs.calls.desk import Desk, NotAllowed
from hub.services.jobs.front import LOGIN
from hub.services.person import Hub


def routes(desk: Desk, hub: Hub) -> APIRouter:
    """Return the routes below ``store``."""
    router = APIRouter(prefix=f"{hub.prefix}store", include_in_schema=False)

    @router.post("/{what}")
    async def call(request: Request, what: str) -> Response:
        """Answer a runner or a kernel, by the token of its person."""
        person = await run_in_threadpool(hub.person, request)
        if not person.name or person.by_cookie:
            return JSONResponse({"detail": LOGIN}, 401)
        try:
            answer = await run_in_threadpool(desk.answer, person, what, json.loads(await request.body()))
        except LeaseLost:
            return JSONResponse({"detail": "This unit is not, or no longer, this runner's."}, 409)
        except NotAllowed as error:
            return JSONResponse({"detail": str(error)}, 403)
        except DatabaseUnusable:
            raise
        except (GeodesError, ValueError, RecursionError) as error:
            sentence = str(error) if isinstance(error, GeodesError) else "The request must be JSON."
            return JSONResponse({"detail": sentence}, 400)
        return JSONResponse(answer)

    return router
