"""Keys by which the page gets pixels of a product, where the service of tiles has a host name of its own.

That service gets no cookie of this page's. It gives the key to the person, whose token this service sends it.
"""

from __future__ import annotations

from typing import Annotated, Any

import httpx
from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel, ConfigDict, StringConstraints
from starlette.concurrency import run_in_threadpool

from hub.services.person import Hub, is_from_elsewhere

HOURS = 1.0
"""The life of a key; the page asks for another one before."""
_LARGEST = 2**16  # bytes of an answer
_NAME = StringConstraints(min_length=1, max_length=400)


class _Product(BaseModel):
    model_config = ConfigDict(extra="forbid")
    collection: Annotated[str, _NAME]
    item: Annotated[str, _NAME]


def routes(hub: Hub, tiles: str) -> APIRouter:
    """Return the routes, below the service's prefix.

    Parameters
    ----------
    hub
        Identifies people.
    tiles
        The address of the service of tiles within the lab; empty: it is not known.
    """
    router = APIRouter(prefix=f"{hub.prefix}pixels", include_in_schema=False)
    trust = httpx.create_ssl_context(trust_env=False)

    # Not in a thread: the service of tiles asks this one what the person may see, which needs threads.
    @router.post("/keys")
    async def key(asked: _Product, request: Request) -> dict[str, Any]:
        person = await run_in_threadpool(hub.person, request)
        if not person.name or is_from_elsewhere(request, person):
            raise HTTPException(401, "Log in on the catalogue's page.")
        if not tiles:
            raise HTTPException(503, "This catalogue knows no service of tiles (GEODES_LAB_TILES): tell the operator.")
        try:
            async with httpx.AsyncClient(timeout=20, trust_env=False, follow_redirects=False, verify=trust) as client:
                answer = await client.post(
                    f"{tiles.rstrip('/')}/keys", json={**asked.model_dump(), "hours": HOURS},
                    headers={"Authorization": f"token {hub.token(request)}"},
                )  # fmt: skip
        except httpx.HTTPError:
            raise HTTPException(503, "The service of tiles does not answer: try again in a moment.") from None
        if answer.status_code in (401, 403):  # a login from before this service might ask that one
            raise HTTPException(401, "Log in again on the catalogue's page.")
        if answer.status_code == 404:
            raise HTTPException(404, "This product is not in the catalogue, or not for you.")
        if answer.status_code != 200 or len(answer.content) > _LARGEST:
            raise HTTPException(503, f"The service of tiles gives no key (HTTP {answer.status_code}): try again.")
        return {"key": answer.json()["key"], "seconds": HOURS * 3600}

    return router
