"""What users put into the catalogue: their own results, in collections that begin with their names."""

from __future__ import annotations

import threading
from typing import Any

import attr
from fastapi import HTTPException
from stac_fastapi.extensions.transaction.client import BaseTransactionsClient
from stac_fastapi.types.errors import ConflictError, NotFoundError
from starlette.requests import Request

from geodes_lab.catalog.harvested.quota import Quota
from geodes_lab.catalog.harvested.snapshot import Collection
from geodes_lab.catalog.harvested.writable import KEPT, WritableCatalogue
from geodes_lab.catalog.query import Query
from geodes_lab.errors import GeodesError
from hub.services.catalogue import patches, validity
from hub.services.catalogue.reads import Reads
from hub.services.catalogue.shelves import Shelves
from hub.services.catalogue.turns import Turns
from hub.services.person import Hub, Person

_TOGETHER = 1_000  # Items that are put at once


@attr.s(auto_attribs=True)
class Results(BaseTransactionsClient):
    """Transactions: of whoever is logged in by a token, upon what is theirs."""

    shelves: Shelves = attr.ib(kw_only=True)
    hub: Hub = attr.ib(kw_only=True)
    reads: Reads = attr.ib(kw_only=True)
    quota: Quota = attr.ib(kw_only=True)
    turns: Turns = attr.ib(init=False, factory=Turns)
    _tidying: threading.Timer | None = attr.ib(init=False, default=None)

    def create_collection(self, collection: Any, **said: Any) -> Any:
        """``POST /collections``."""
        document = _plain(collection)
        person, name = self._person(said["request"]), document["id"]
        if not self.shelves.rights.may_name(person, name):
            raise HTTPException(
                403,
                f"Your collections are called {person.name}.NAME, where NAME has letters, digits, _ and -, not {name}.",
            )
        if name in self.shelves.everything():
            raise ConflictError(f"There is a collection {name} already.")
        with self.turns.of(person.name):
            self._shelf.create(name, validity.collection(document), owner=person.name)
        return self.reads.get_collection(name, **said)

    def update_collection(self, collection_id: str, collection: Any, **said: Any) -> Any:
        """``PUT /collections/{collection_id}``."""
        owner = self._own(collection_id, said["request"]).owner
        document = _plain(collection)
        _same(document.get("id"), collection_id)
        with self.turns.of(owner):
            self._shelf.create(collection_id, validity.collection(document))
        return self.reads.get_collection(collection_id, **said)

    def patch_collection(self, collection_id: str, patch: Any, **said: Any) -> Any:
        """``PATCH /collections/{collection_id}``."""
        owner = self._own(collection_id, said["request"]).owner
        with self.turns.of(owner):  # what is patched is what is there then
            document = self._own(collection_id, said["request"]).document
            told = patches.patched(document, patch, said["request"].state.body) | {"id": collection_id}
            self._shelf.create(collection_id, validity.collection(told))
        return self.reads.get_collection(collection_id, **said)

    def delete_collection(self, collection_id: str, **said: Any) -> Any:
        """``DELETE /collections/{collection_id}``."""
        owner = self._own(collection_id, said["request"]).owner
        document = self.reads.get_collection(collection_id, **said)
        with self.turns.of(owner):
            self._shelf.drop(collection_id)
        self.shelves.mended(collection_id)
        self._tidy_soon()
        return document

    def create_item(self, collection_id: str, item: Any, **said: Any) -> Any:
        """``POST /collections/{collection_id}/items``: an Item, or a FeatureCollection of several."""
        owner = self._own(collection_id, said["request"]).owner
        told = _plain(item)
        several = told["features"] if told["type"] == "FeatureCollection" else [told]
        if len(several) > _TOGETHER:
            raise HTTPException(
                413, f"{_TOGETHER:,} Items are put at once, and these are {len(several):,}: put them in parts."
            )
        if not several:
            return None
        ids = [i["id"] for i in several]
        with self.turns.of(owner):
            there = self.shelves.page(Query((collection_id,), ids=tuple(ids), latest=False, limit=1), 0)
            if there or len(set(ids)) < len(ids):
                known = there[0]["id"] if there else ids[0]
                raise ConflictError(f"There is an Item {known} in {collection_id} already.")
            self._put(collection_id, several)
        return self.reads.get_item(told["id"], collection_id, **said) if told["type"] == "Feature" else None

    def update_item(self, collection_id: str, item_id: str, item: Any, **said: Any) -> Any:
        """``PUT /collections/{collection_id}/items/{item_id}``."""
        owner = self._own(collection_id, said["request"]).owner
        told = _plain(item)
        _same(told["id"], item_id)
        with self.turns.of(owner):
            self._there(collection_id, item_id)
            self._put(collection_id, [told])
        return self.reads.get_item(item_id, collection_id, **said)

    def patch_item(self, collection_id: str, item_id: str, patch: Any, **said: Any) -> Any:
        """``PATCH /collections/{collection_id}/items/{item_id}``: a merge patch, or a list of operations."""
        owner = self._own(collection_id, said["request"]).owner
        with self.turns.of(owner):
            told = patches.patched(self._there(collection_id, item_id), patch, said["request"].state.body)
            _same(told.get("id"), item_id)
            self._put(collection_id, [told])
        return self.reads.get_item(item_id, collection_id, **said)

    def delete_item(self, item_id: str, collection_id: str, **said: Any) -> Any:
        """``DELETE /collections/{collection_id}/items/{item_id}``."""
        owner = self._own(collection_id, said["request"]).owner
        with self.turns.of(owner):
            told = self._there(collection_id, item_id)
            self._shelf.remove(collection_id, [item_id])
        return told

    @property
    def _shelf(self) -> WritableCatalogue:
        return WritableCatalogue(self.shelves.results, self.quota)

    def _person(self, request: Request) -> Person:
        person = self.hub.person(request)
        if not person.name or person.by_cookie:
            raise HTTPException(
                401, "Changes need a token of yours: Authorization: token …, from the hub's page Token."
            )
        return person

    def _own(self, name: str, request: Request) -> Collection:
        person = self._person(request)
        told = self.shelves.collections(person).get(name)
        if told is None:
            raise NotFoundError(f"There is no collection {name}, or it is not for you.")
        if told.owner != person.name:
            raise HTTPException(403, f"The collection {name} is not yours: make one called {person.name}.….")
        return told

    def _there(self, collection: str, item: str) -> dict[str, Any]:
        found = self.shelves.page(Query((collection,), ids=(item,), latest=False, limit=1), 0)
        if not found:
            raise NotFoundError(f"There is no Item {item} in {collection}.")
        return found[0]

    def _put(self, name: str, items: list[dict[str, Any]]) -> None:
        known = self.shelves.everything().get(name, Collection()).queryables
        told = []
        for item in items:
            if item.get("collection") is None:
                item["collection"] = name
            _same(item["collection"], name)
            told.append(validity.item(item, known))
        self._shelf.put(name, told)
        self._tidy_soon()

    def _tidy_soon(self) -> None:
        """What was replaced goes when no search is at it any more, also if nothing is written then."""
        if self._tidying is None or not self._tidying.is_alive():
            self._tidying = threading.Timer(KEPT + 1, self._tidy)
            self._tidying.daemon = True
            self._tidying.start()

    def _tidy(self) -> None:
        try:
            self._shelf.tidy()
        except GeodesError:  # somebody writes, which tidies too
            self._tidying = None
            self._tidy_soon()


def _plain(told: Any) -> dict[str, Any]:
    return told.model_dump(mode="json", exclude_none=True) if hasattr(told, "model_dump") else dict(told)


def _same(told: str | None, wanted: str) -> None:
    if told != wanted:
        raise HTTPException(400, f"The address says {wanted}, the body {told}: make them the same.")
