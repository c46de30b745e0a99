"""Harvest a catalogue into files beside the data: from GEODES by month, from a static catalogue as a whole."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from geodes_lab.catalog import profile as profiles
from geodes_lab.catalog.catalogue import Collection, named
from geodes_lab.catalog.harvested import snapshot
from geodes_lab.catalog.harvested.harvest import Outcome, harvest
from geodes_lab.catalog.harvested.writable import WritableCatalogue
from geodes_lab.catalog.lookup import known, opened
from geodes_lab.catalog.query import Query
from geodes_lab.catalog.remote.geodes import Geodes
from geodes_lab.catalog.remote.static import Static
from geodes_lab.errors import GeodesError

_MONTH = re.compile(r"\d{4}-\d\d-\d\dT")  # the begin of a time; its month is the name of a file


def harvested(
    profile: str,
    folder: Path,
    collections: Sequence[str] = (),
    *,
    anew: bool = False,
    tell: Callable[[str, int, int], None] = lambda *_: None,
) -> list[Outcome]:
    """Harvest a catalogue into a folder; see `geodes_lab.catalog.harvested.harvest.harvest`.

    A static catalogue is harvested as a whole each time.

    Raises
    ------
    GeodesError
        If the profile or a collection does not exist, or the catalogue is neither of kind GEODES nor static.
    """
    catalogue = opened(profiles.load(profile))
    wanted = known(catalogue, collections) if collections else [c.id for c in sorted(catalogue.collections())]
    if isinstance(catalogue, Geodes):
        return harvest(catalogue, folder, wanted, anew=anew, tell=tell)
    if isinstance(catalogue, Static):
        return [
            _taken(catalogue, c, WritableCatalogue(folder), tell)
            for c in sorted(catalogue.collections())
            if c.id in wanted
        ]
    raise GeodesError(
        f"The catalogue {profile} is of kind {catalogue.profile.kind}: only GEODES and static catalogues can be "
        "harvested."
    )


def shelved(url: str, folder: Path) -> None:
    """Copy a static catalogue into a folder in the form of a harvest, if the folder has none yet.

    Raises
    ------
    GeodesError
        If the catalogue does not open.
    """
    if snapshot.is_one(str(folder)):
        return
    source, shelf = Static(profiles.load(url=url)), WritableCatalogue(folder)
    for collection in source.collections():
        _taken(source, collection, shelf)


def _taken(
    source: Static,
    collection: Collection,
    shelf: WritableCatalogue,
    tell: Callable[[str, int, int], None] = lambda *_: None,
) -> Outcome:
    """Copy a collection of a static catalogue into a writable one, and replace its previous content there."""
    named(collection.id)
    others = set(source.ids()) - {collection.id}  # Items of a nested collection belong to that one
    items = [i for i in source.items(Query((collection.id,), latest=False)) if i.collection_id not in others]
    records = [i.to_dict(include_self_link=False, transform_hrefs=False) for i in items]
    for record in records:
        p = record["properties"]
        if not _MONTH.match(str(p.get("datetime") or p.get("start_datetime"))):
            raise GeodesError(
                f"{record['id']} of {collection.id} has no valid time of acquisition: it cannot be harvested."
            )
    shelf.drop(collection.id)
    shelf.create(collection.id, {"title": collection.title})
    shelf.put(collection.id, records)
    tell(collection.id, len(records), len(records))
    return Outcome(collection.id, len(records), len(records), len(records))
