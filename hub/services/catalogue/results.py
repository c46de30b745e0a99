"""What users put into the catalogue: their own results, in collections that begin with their names."""

from __future__ import annotations

from typing import Any

import attr
import orjson
from fastapi import HTTPException
from jsonpatch import JsonPatch, JsonPatchException
from jsonpointer import JsonPointerException
from person import Hub
from stac_fastapi.extensions.transaction.client import BaseTransactionsClient
from stac_fastapi.types.errors import ConflictError, NotFoundError
from starlette.requests import Request

from catalogue.access import Person
from catalogue.reads import Reads
from catalogue.shelves import Shelves
from geodes_lab.catalog.query import Query
from geodes_lab.catalog.shelf import Shelf
from geodes_lab.errors import GeodesError


@attr.s(auto_attribs=True)
class Results(BaseTransactionsClient):
    """Transactions: of whoever is logged in by a token, upon what is theirs."""

    shelves: Shelves = attr.ib(kw_only=True)
    hub: Hub = attr.ib(kw_only=True)
    reads: Reads = attr.ib(kw_only=True)

    def create_collection(self, collection: Any, **said: Any) -> Any:
        """``POST /collections``."""
        document = _plain(collection)
        person = self._person(said["request"])
        if not self.shelves.rights.may_name(person, document["id"]):
            raise HTTPException(403, f"Your collections are called {person.name}.…, not {document['id']}.")
        if document["id"] in self.shelves.collections(person):
            raise ConflictError(f"There is a collection {document['id']} already.")
        self._shelf.create(document["id"], document, owner=person.name)
        return self.reads.get_collection(document["id"], **said)

    def update_collection(self, collection_id: str, collection: Any, **said: Any) -> Any:
        """``PUT /collections/{collection_id}``."""
        self._own(collection_id, said["request"])
        document = _plain(collection)
        _same(document.get("id"), collection_id)
        self._shelf.create(collection_id, document)
        return self.reads.get_collection(collection_id, **said)

    def patch_collection(self, collection_id: str, patch: Any, **said: Any) -> Any:
        """``PATCH /collections/{collection_id}``."""
        self._own(collection_id, said["request"])
        document = self.shelves.collections(self.hub.person(said["request"]))[collection_id].document
        self._shelf.create(collection_id, _patched(document, patch, said["request"]) | {"id": collection_id})
        return self.reads.get_collection(collection_id, **said)

    def delete_collection(self, collection_id: str, **said: Any) -> Any:
        """``DELETE /collections/{collection_id}``."""
        document = self.reads.get_collection(collection_id, **said)
        self._own(collection_id, said["request"])
        self._shelf.drop(collection_id)
        return document

    def create_item(self, collection_id: str, item: Any, **said: Any) -> Any:
        """``POST /collections/{collection_id}/items``: an Item, or a FeatureCollection of several."""
        self._own(collection_id, said["request"])
        told = _plain(item)
        several = told["features"] if told["type"] == "FeatureCollection" else [told]
        ids = [i["id"] for i in several]
        there = self.shelves.page(Query((collection_id,), ids=tuple(ids), latest=False, limit=1), 0)
        if there or len(set(ids)) < len(ids):
            raise ConflictError(f"There is an Item {there[0]['id'] if there else ids[0]} in {collection_id} already.")
        self._put(collection_id, several)
        return self.reads.get_item(told["id"], collection_id, **said) if told["type"] == "Feature" else None

    def update_item(self, collection_id: str, item_id: str, item: Any, **said: Any) -> Any:
        """``PUT /collections/{collection_id}/items/{item_id}``."""
        self._own(collection_id, said["request"])
        told = _plain(item)
        _same(told["id"], item_id)
        self._there(collection_id, item_id)
        self._put(collection_id, [told])
        return self.reads.get_item(item_id, collection_id, **said)

    def patch_item(self, collection_id: str, item_id: str, patch: Any, **said: Any) -> Any:
        """``PATCH /collections/{collection_id}/items/{item_id}``: a merge patch, or a list of operations."""
        self._own(collection_id, said["request"])
        told = _patched(self._there(collection_id, item_id), patch, said["request"])
        _same(told["id"], item_id)
        self._put(collection_id, [told])
        return self.reads.get_item(item_id, collection_id, **said)

    def delete_item(self, item_id: str, collection_id: str, **said: Any) -> Any:
        """``DELETE /collections/{collection_id}/items/{item_id}``."""
        self._own(collection_id, said["request"])
        told = self._there(collection_id, item_id)
        self._shelf.remove(collection_id, [item_id])
        return told

    @property
    def _shelf(self) -> Shelf:
        return Shelf(self.shelves.results)

    def _person(self, request: Request) -> Person:
        person = self.hub.person(request)
        if not person.name or person.by_cookie:
            raise HTTPException(
                401, "Changes need a token of yours: Authorization: token …, from the hub's page Token."
            )
        return person

    def _own(self, name: str, request: Request) -> None:
        person = self._person(request)
        told = self.shelves.collections(person).get(name)
        if told is None:
            raise NotFoundError(f"There is no collection {name}, or it is not for you.")
        if told.owner != person.name:
            raise HTTPException(403, f"The collection {name} is not yours: make one called {person.name}.….")

    def _there(self, collection: str, item: str) -> dict[str, Any]:
        found = self.shelves.page(Query((collection,), ids=(item,), latest=False, limit=1), 0)
        if not found:
            raise NotFoundError(f"There is no Item {item} in {collection}.")
        return found[0]

    def _put(self, name: str, items: list[dict[str, Any]]) -> None:
        for item in items:
            _same(item.setdefault("collection", name), name)
        try:
            self._shelf.put(name, items)
        except GeodesError as error:
            raise HTTPException(400, str(error)) from error


def _plain(told: Any) -> dict[str, Any]:
    return told.model_dump(mode="json", exclude_none=True) if hasattr(told, "model_dump") else dict(told)


def _same(told: str | None, wanted: str) -> None:
    if told != wanted:
        raise HTTPException(400, f"The address says {wanted}, the body {told}: make them the same.")


def _patched(document: dict[str, Any], patch: Any, request: Request) -> dict[str, Any]:
    if isinstance(patch, list):
        try:
            found: dict[str, Any] = JsonPatch([_operation(p) for p in patch]).apply(document)
            return found
        except (JsonPatchException, JsonPointerException) as error:
            raise HTTPException(409, f"The patch does not fit: {error}.") from error
    # As it came: the model of stac-fastapi leaves out what it does not know.
    return _merged(document, orjson.loads(request.state.body))


def _operation(told: Any) -> dict[str, Any]:
    return told.model_dump(mode="json", by_alias=True, exclude_none=told.op != "test")


def _merged(document: Any, patch: Any) -> Any:
    """As RFC 7396 has it: null removes."""
    if not isinstance(patch, dict):
        return patch
    found = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = _merged(found.get(key), value)
    return found
