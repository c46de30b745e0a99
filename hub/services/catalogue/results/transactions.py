"""The users' own results in the catalogue, in collections whose names begin with the user's name."""

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
from hub.services.catalogue.reads import Reads
from hub.services.catalogue.results import patches, validity
from hub.services.catalogue.results.turns import Turns
from hub.services.catalogue.shelves import Shelves
from hub.services.person import Hub, Person

_TOGETHER = 1_000  # Items in one request


@attr.s(auto_attribs=True)
class Results(BaseTransactionsClient):
    """Transactions, with a token, on the user's own collections."""

    shelves: Shelves = attr.ib(kw_only=True)
    hub: Hub = attr.ib(kw_only=True)
    reads: Reads = attr.ib(kw_only=True)
    quota: Quota = attr.ib(kw_only=True)
    turns: Turns = attr.ib(kw_only=True, factory=Turns)
    _tidying: threading.Timer | None = attr.ib(init=False, default=None)

    def create_collection(self, collection: Any, **context: Any) -> Any:
        """``POST /collections``."""
        document = _plain(collection)
        person, name = self._person(context["request"]), document["id"]
        if not self.shelves.rights.may_name(person, name):
            raise HTTPException(
                403,
                f"The names of your collections must be {person.name}.NAME, where NAME has letters, digits, _ "
                f"and -; {name} is not.",
            )
        with self.turns.of(person.name):
            if name in self.shelves.everything():
                raise ConflictError(f"The collection {name} already exists.")
            self._shelf.create(name, validity.collection(document), owner=person.name)
        return self.reads.get_collection(name, **context)

    def update_collection(self, collection_id: str, collection: Any, **context: Any) -> Any:
        """``PUT /collections/{collection_id}``."""
        owner = self._own(collection_id, context["request"]).owner
        document = _plain(collection)
        _same(document.get("id"), collection_id)
        with self.turns.of(owner):
            self._shelf.create(collection_id, validity.collection(document))
        return self.reads.get_collection(collection_id, **context)

    def patch_collection(self, collection_id: str, patch: Any, **context: Any) -> Any:
        """``PATCH /collections/{collection_id}``."""
        owner = self._own(collection_id, context["request"]).owner
        with self.turns.of(owner):  # the patch applies to the present version
            document = self._own(collection_id, context["request"]).document
            patched = patches.patched(document, patch, context["request"].state.body) | {"id": collection_id}
            self._shelf.create(collection_id, validity.collection(patched))
        return self.reads.get_collection(collection_id, **context)

    def delete_collection(self, collection_id: str, **context: Any) -> Any:
        """``DELETE /collections/{collection_id}``."""
        owner = self._own(collection_id, context["request"]).owner
        document = self.reads.get_collection(collection_id, **context)
        with self.turns.of(owner):
            self._shelf.drop(collection_id)
        self._tidy_soon()
        return document

    def create_item(self, collection_id: str, item: Any, **context: Any) -> Any:
        """``POST /collections/{collection_id}/items``: an Item, or a FeatureCollection of several."""
        owner = self._own(collection_id, context["request"]).owner
        posted = _plain(item)
        several = posted["features"] if posted["type"] == "FeatureCollection" else [posted]
        if len(several) > _TOGETHER:
            raise HTTPException(
                413, f"The request has {len(several):,} Items; the limit is {_TOGETHER:,}: send them in parts."
            )
        if not several:
            return None
        ids = [i["id"] for i in several]
        with self.turns.of(owner):
            there = self.shelves.page(Query((collection_id,), ids=tuple(ids), latest=False, limit=1), 0)
            if there or len(set(ids)) < len(ids):
                known = there[0]["id"] if there else ids[0]
                raise ConflictError(f"The Item {known} already exists in {collection_id}.")
            self._put(collection_id, several)
        return self.reads.get_item(posted["id"], collection_id, **context) if posted["type"] == "Feature" else None

    def update_item(self, collection_id: str, item_id: str, item: Any, **context: Any) -> Any:
        """``PUT /collections/{collection_id}/items/{item_id}``."""
        owner = self._own(collection_id, context["request"]).owner
        posted = _plain(item)
        _same(posted["id"], item_id)
        with self.turns.of(owner):
            self._there(collection_id, item_id)
            self._put(collection_id, [posted])
        return self.reads.get_item(item_id, collection_id, **context)

    def patch_item(self, collection_id: str, item_id: str, patch: Any, **context: Any) -> Any:
        """``PATCH /collections/{collection_id}/items/{item_id}``: a merge patch, or a list of operations."""
        owner = self._own(collection_id, context["request"]).owner
        with self.turns.of(owner):
            patched = patches.patched(self._there(collection_id, item_id), patch, context["request"].state.body)
            _same(patched.get("id"), item_id)
            self._put(collection_id, [patched])
        return self.reads.get_item(item_id, collection_id, **context)

    def delete_item(self, item_id: str, collection_id: str, **context: Any) -> Any:
        """``DELETE /collections/{collection_id}/items/{item_id}``."""
        owner = self._own(collection_id, context["request"]).owner
        with self.turns.of(owner):
            deleted = self._there(collection_id, item_id)
            self._shelf.remove(collection_id, [item_id])
        return deleted

    @property
    def _shelf(self) -> WritableCatalogue:
        return WritableCatalogue(self.shelves.results, self.quota)

    def _person(self, request: Request) -> Person:
        person = self.hub.person(request)
        if not person.name or person.by_cookie:
            raise HTTPException(
                401, "Changes need your token: send Authorization: token …, with a token from the hub's page Token."
            )
        return person

    def _own(self, name: str, request: Request) -> Collection:
        person = self._person(request)
        collection = self.shelves.collections(person).get(name)
        if collection is None:
            raise NotFoundError(f"There is no collection {name}, or you have no access to it.")
        if collection.owner != person.name:
            raise HTTPException(
                403, f"The collection {name} is not yours: create one with a name that begins with {person.name}."
            )
        return collection

    def _there(self, collection: str, item: str) -> dict[str, Any]:
        items = self.shelves.page(Query((collection,), ids=(item,), latest=False, limit=1), 0)
        if not items:
            raise NotFoundError(f"There is no Item {item} in {collection}.")
        return items[0]

    def _put(self, name: str, items: list[dict[str, Any]]) -> None:
        known = self.shelves.everything().get(name, Collection()).queryables
        checked = []
        for item in items:
            if item.get("collection") is None:
                item["collection"] = name
            _same(item["collection"], name)
            checked.append(validity.item(item, known))
        self._shelf.put(name, checked)
        self._tidy_soon()

    def _tidy_soon(self) -> None:
        """Remove replaced files when no search uses them any more, even if nothing is written then."""
        if self._tidying is None or not self._tidying.is_alive():
            self._tidying = threading.Timer(KEPT + 1, self._tidy)
            self._tidying.daemon = True
            self._tidying.start()

    def _tidy(self) -> None:
        try:
            self._shelf.tidy()
        except GeodesError:  # another request is writing, which tidies too
            self._tidying = None
            self._tidy_soon()


def _plain(model: Any) -> dict[str, Any]:
    return model.model_dump(mode="json", exclude_none=True) if hasattr(model, "model_dump") else dict(model)


def _same(stated: str | None, wanted: str) -> None:
    if stated != wanted:
        raise HTTPException(400, f"The address names {wanted}, but the body names {stated}: both must be the same.")
