"""Harvest a catalogue into files beside the data: from GEODES month by month, from a static catalogue whole."""

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

_MONTH = re.compile(r"\d{4}-\d\d-\d\dT")  # how a time begins; its month is the name of a file


def harvested(
    profile: str,
    folder: Path,
    collections: Sequence[str] = (),
    *,
    anew: bool = False,
    tell: Callable[[str, int, int], None] = lambda *_: None,
) -> list[Outcome]:
    """Harvest a catalogue into a folder; see `geodes_lab.catalog.harvested.harvest.harvest`.

    A static one is taken whole each time.

    Raises
    ------
    GeodesError
        If the profile or a collection does not exist, or the catalogue is neither of GEODES's kind nor static.
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
        f"The catalogue {profile} is of kind {catalogue.profile.kind}: GEODES and static catalogues are harvested."
    )


def shelved(url: str, folder: Path) -> None:
    """Take a static catalogue into a folder of the form of a harvest, if the folder has none yet.

    Raises
    ------
    GeodesError
        If the catalogue does not open.
    """
    if snapshot.is_one(str(folder)):
        return
    source, shelf = Static(profiles.load(url=url)), WritableCatalogue(folder)
    for told in source.collections():
        _taken(source, told, shelf)


def _taken(
    source: Static, told: Collection, shelf: WritableCatalogue, tell: Callable[[str, int, int], None] = lambda *_: None
) -> Outcome:
    """Put a collection of a static catalogue on a shelf, in the place of what was there of it."""
    named(told.id)
    others = set(source.ids()) - {told.id}  # what is inside another collection is taken as that one's
    items = [i for i in source.items(Query((told.id,), latest=False)) if i.collection_id not in others]
    records = [i.to_dict(include_self_link=False, transform_hrefs=False) for i in items]
    for record in records:
        p = record["properties"]
        if not _MONTH.match(str(p.get("datetime") or p.get("start_datetime"))):
            raise GeodesError(
                f"{record['id']} of {told.id} has no time of acquisition that is one: it cannot be harvested."
            )
    shelf.drop(told.id)
    shelf.create(told.id, {"title": told.title})
    shelf.put(told.id, records)
    tell(told.id, len(records), len(records))
    return Outcome(told.id, len(records), len(records), len(records))
