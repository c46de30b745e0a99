"""The end of a job: its results are described, and entered in the catalogue as the person's own."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import pystac

from geodes_lab.batch import provenance
from geodes_lab.batch.request import Request, Result
from geodes_lab.batch.running import outputs
from geodes_lab.batch.store.chosen import AnyStore
from geodes_lab.batch.store.records import Record
from geodes_lab.errors import GeodesError
from geodes_lab.results import common_place, thumbnail
from geodes_lab.results.publish import entered
from geodes_lab.util import faults

Publisher = Callable[[pystac.Item, Record, Request], pystac.Item]
"""Enters an Item in a catalogue; the same one again replaces it."""
ITEMS = "items.geojson"
"""The file of a job with the Items of its results."""


def ended(store: AnyStore, record: Record, request: Request, folder: Path, publisher: Publisher) -> Result:
    """Describe the results of a job whose units are all done, and publish them.

    It can be done again at any time: Items are replaced by the same.

    Raises
    ------
    GeodesError
        If the catalogue refuses them. The results are whole in the folder of the job.
    """
    if request.planned:
        return Result([])
    if folder.exists():
        outputs.tidy(folder)
    made = provenance.items(record, request, store.results(record.id, None), folder)
    several = [i if isinstance(i, pystac.Item) else pystac.Item.from_dict(i) for i in made]
    faults.reach("end.described")
    if request.collection is not None:
        try:
            several = [publisher(item, record, request) for item in several]
        except GeodesError as error:
            raise GeodesError(f"The results are whole in {folder}, and could not be published: {error}") from error
        faults.reach("end.published")
    documents = [i.to_dict(include_self_link=request.collection is not None, transform_hrefs=False) for i in several]
    _written(folder, documents)
    return Result([], documents)


def in_the_lab(item: pystac.Item, record: Record, request: Request) -> pystac.Item:
    """Enter an Item in the catalogue of the lab, with the rights and the token of the account of this process."""
    user = os.environ.get("JUPYTERHUB_USER", "")
    if user != record.person:
        raise GeodesError(
            f"The job is {record.person}'s, and this runner publishes for {user or 'nobody'}: run it as its owner."
        )
    for asset in item.assets.values():
        parts = urlsplit(asset.href)
        if parts.scheme == "file":
            path = Path(unquote(parts.path))
            place = common_place.brought(path, user, request.readers)
            if place != path:
                asset.href = place.as_uri()
            is_map = place.suffix in (".tif", ".zarr")  # others have no picture
            if is_map and "thumbnail" not in item.assets and (small := thumbnail.asset(place)) is not None:
                item.add_asset("thumbnail", small)
                break
    assert request.collection is not None
    return entered(item, request.collection, title=record.title, readers=request.readers)


def _written(folder: Path, documents: list[dict[str, Any]]) -> None:
    """Write the Items into the folder of the job; the file appears whole."""
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{ITEMS}.{uuid4().hex}.partial"
    partial.write_text(json.dumps({"type": "FeatureCollection", "features": documents}))
    partial.replace(folder / ITEMS)
