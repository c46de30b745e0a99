"""The queryables of searches, as JSON Schema."""

from __future__ import annotations

from typing import Any

import attr
from fastapi import Request
from stac_fastapi.extensions.filter.client import BaseFiltersClient
from stac_fastapi.types.errors import NotFoundError

from hub.services.catalogue.shelves import Shelves
from hub.services.person import Hub

_CORE: dict[str, dict[str, Any]] = {
    "id": {"type": "string", "title": "The product's name"},
    "collection": {"type": "string", "title": "The collection"},
    "geometry": {"$ref": "https://geojson.org/schema/Geometry.json", "title": "The footprint"},
    "datetime": {"type": "string", "format": "date-time", "title": "The start of the acquisition"},
}


@attr.s(auto_attribs=True)
class Queryables(BaseFiltersClient):
    """The properties that the Items of collections have."""

    shelves: Shelves
    hub: Hub

    def get_queryables(self, collection_id: str | None = None, **context: Any) -> dict[str, Any]:
        """``GET /queryables`` and ``GET /collections/{collection_id}/queryables``."""
        request: Request = context["request"]
        there = list(self.shelves.collections(self.hub.person(request)))
        if collection_id is not None and collection_id not in there:
            raise NotFoundError(f"There is no collection {collection_id}, or you have no access to it.")
        known = self.shelves.queryables([collection_id] if collection_id else there)
        schemas = {
            k: {"type": "string", "format": "date-time"} if v == "date" else {"type": v} for k, v in known.items()
        }
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": str(request.url),
            "type": "object",
            "title": f"Queryables of {collection_id or 'all collections'}",
            "properties": {**dict(sorted(schemas.items())), **_CORE},
            "additionalProperties": False,
        }
