"""The names of an Item's bands: the asset's if it has one band, else those of the Item or the file.

All names are different.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pystac

from geodes_lab.products import assets
from geodes_lab.products.bands import name_of
from geodes_lab.products.raster.file import File
from geodes_lab.products.sentinel2 import other_catalogues


def told(item: pystac.Item, images: Mapping[str, str] | None) -> dict[str, list[str]]:
    """Return the band names that an Item gives for each of its rasters, by key.

    Empty for a picture, whose colours are not measures.

    ``images`` are those of Sentinel-2, which have ESA's names and common names too; of several equal images, one has
    them. None: not Sentinel-2.
    """
    rasters = {k: a for k, a in item.assets.items() if assets.is_raster(a)}
    by_key = {k: [] if assets.is_picture(k, a) else assets.names(a) for k, a in rasters.items()}
    if images is None:
        return by_key
    plain = other_catalogues.main(item)
    for key, several in by_key.items():
        known = (images.get(key), *(other_catalogues.named([n]) for n in several if key not in images))
        more = [n for image in known if image for n in other_catalogues.aliases(image)]
        is_other = key in images and plain[images[key]] != key
        by_key[key] = [] if is_other else list(dict.fromkeys([*several, *more]))
    return by_key


def names(
    item: pystac.Item, files: Mapping[str, File], known: Mapping[str, list[str]]
) -> dict[tuple[str, int], tuple[str, list[str]]]:
    """Name each band of the opened files.

    Parameters
    ----------
    item
        The catalogue's Item.
    files
        Their headers, by the key of the asset.
    known
        The Item's names; see `told`.

    Returns
    -------
    dict
        By key and number of the band: its name in the band Item, and its other names. A name that is an asset's key, or
        that several bands have, is prefixed with the key of its asset: ``sr_B1``.
    """
    own = {k: item.assets[k].extra_fields.get("geodes:band") for k in files}  # of a band Item that is unpacked again
    called = {
        (k, n): _called(item, k, n, file)
        for k, file in files.items()
        for n in range(1, len(file.bands) + 1)
        if own[k] in (None, n)
    }
    count = Counter(name for several in known.values() for name in several)
    count.update(n for (k, _), n in called.items() if n not in known[k])
    by_key: dict[tuple[str, int], tuple[str, list[str]]] = {}
    used = set(item.assets)
    for (key, index), name in called.items():
        several = [f"{key}_{index}", *([f"{key}_{name}", name] if name else [])]
        if own[key] or len(files[key].bands) == 1:
            others = [*known[key], *([name] if name and not assets.is_picture(key, item.assets[key]) else [])]
            by_key[key, index] = key, [n for n in dict.fromkeys(others) if n != key]
            continue
        is_picture = assets.is_picture(key, item.assets[key])
        alike = [n for (k, n), other in called.items() if (k, other) == (key, name)]
        if name and not is_picture and count[name] == len(alike) == 1 and name not in used:
            best = name
        else:
            best = f"{key}_{name}" if name and len(alike) == 1 else f"{key}_{index}"
        while best in used:
            best = f"{best}_{index}"
        used.add(best)
        others = several[:2] if is_picture else several
        by_key[key, index] = best, [n for n in others if n != best and n not in item.assets]
    return by_key


def _called(item: pystac.Item, key: str, index: int, file: File) -> str:
    """Return the name of a band in the Item or the file; empty if there is none."""
    stated = assets.Said(name_of(item), key, item.assets[key], index if len(file.bands) > 1 else 1)
    return (stated.name if len(file.bands) > 1 else "") or file.bands[index - 1].description
