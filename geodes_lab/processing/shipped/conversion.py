"""Products as cloud-optimised GeoTIFFs, without changing any number."""

from __future__ import annotations

from pathlib import Path

import pystac

from geodes_lab.processing.registry import define


@define(version="1", gives="items", over="each")
def convert(items: list[pystac.Item], folder: Path, bands: list[str] | None = None) -> list[pystac.Item]:
    """Products as cloud-optimised GeoTIFFs with the same numbers, compared after writing.

    Parameters
    ----------
    bands
        Bands by any of their names; without, all that have a map grid.
    """
    from geodes_lab.conversion.convert import convert as converted

    return list(converted(items, folder, bands, overwrite=True).items)
