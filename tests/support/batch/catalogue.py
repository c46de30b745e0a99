"""The small products of `scenes`, in a catalogue that was harvested."""

from __future__ import annotations

from pathlib import Path

import pystac

from geodes_lab.catalog.harvesting import shelved
from tests.support.batch import scenes


def catalogued(folder: Path) -> Path:
    """A harvested catalogue of the small products."""
    (folder / "scenes").mkdir()
    root = pystac.Catalog("tests", "Of the tests")
    extent = pystac.Extent(pystac.SpatialExtent([[-180, -90, 180, 90]]), pystac.TemporalExtent([[None, None]]))
    collection = pystac.Collection("S", "Small products", extent, title="Small products")
    root.add_child(collection)
    collection.add_items([pystac.Item.from_dict(i) for i in scenes.items(folder / "scenes")])
    root.normalize_and_save(str(folder / "static"), pystac.CatalogType.SELF_CONTAINED)
    shelved(str(folder / "static" / "catalog.json"), folder / "harvested")
    return folder / "harvested"
