"""Places by name, for pages with a map."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, HTTPException

from hub.services.maps import gazetteer


def routes(prefix: str) -> APIRouter:
    """Return the route, below a prefix without a slash at its end; it opens nothing that is not public."""
    router = APIRouter(prefix=prefix, include_in_schema=False)

    @router.get("/places")
    def places(named: str, lang: Literal["en", "fr"] = "en") -> dict[str, Any]:
        try:
            return {"places": gazetteer.found(named, lang)}
        except gazetteer.NoTile as error:
            raise HTTPException(400, error.sentences[lang]) from None

    return router
