"""The masks of a product: classes and bits that hide pixels, by their names or numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pystac

from geodes_lab import arguments
from geodes_lab.errors import GeodesError, nearest
from geodes_lab.products import assets
from geodes_lab.products import bands as bands_
from geodes_lab.products.bands import name_of
from geodes_lab.raster.mask import Mask


def keys(item: pystac.Item, mask: str | Sequence[str] | Mapping[str, Sequence[int]] | None) -> list[str]:
    """Return the assets of an Item, of a catalogue or a band Item, that a mask needs; see `masks`."""
    if mask is None or isinstance(mask, Mapping):
        return list(mask or ())
    wanted = set(arguments.names("mask", mask))
    names = {k: {*_values(a), *_bits(a)} for k, a in item.assets.items()}
    # Unknown names fail later, listing the valid ones.
    return [k for k, has in names.items() if has and (wanted & has or wanted - set().union(*names.values()))]


def _values(asset: pystac.Asset) -> dict[str, int]:
    """Return the numbers of a band of classes, by name."""
    listed = _told(asset, "classification:classes", "value")
    return {str(c["name"]): c["value"] for c in listed if c.get("name")}


def _bits(asset: pystac.Asset) -> dict[str, int]:
    """Return the bits of a band of bits, summed by name."""
    listed = _told(asset, "classification:bitfields", "length", "offset")
    return {
        str(f["name"]): ((1 << f["length"]) - 1) << f["offset"]
        for f in listed
        if f.get("name") and max(f["length"], f["offset"]) < 64
    }


def _told(asset: pystac.Asset, field: str, *numbers: str) -> list[dict[str, Any]]:
    """Return the valid entries in one of STAC's lists of classes, of the asset or of its band."""
    listed = assets.Said("", "", asset).classes.get(field, [])
    return [e for e in listed if isinstance(e, dict) and all(type(e.get(n)) is int and e[n] >= 0 for n in numbers)]


def masks(item: pystac.Item, mask: str | Sequence[str] | Mapping[str, Sequence[int]] | None) -> tuple[Mask, ...]:
    """Find the masks that hide the pixels of a product.

    Parameters
    ----------
    item
        A band Item; its masks have their classes in STAC's ``classification:classes`` or ``classification:bitfields``.
    mask
        Names of classes, or bands of classes with the numbers that hide; None: nothing is hidden.

    Raises
    ------
    GeodesError
        If the product has no such class; lists the available ones.
    """
    if mask is None:
        return ()
    if isinstance(mask, Mapping):
        arguments.names("mask", list(mask))
        meaning = "a number of a class, or a list of them"
        return tuple(
            Mask(bands_.source(item, band), tuple(arguments.several_whole(f"mask[{band!r}]", values, meaning)))
            for band, values in mask.items()
        )
    wanted = arguments.names("mask", mask)
    result, known = [], set[str]()
    for key, asset in item.assets.items():
        values, bits = _values(asset), _bits(asset)
        known |= {*values, *bits}
        if hiding := tuple(values[w] for w in wanted if w in values):
            result.append(Mask(bands_.source(item, key), hiding))
        if field := sum({bits[w] for w in wanted if w in bits}):
            result.append(Mask(bands_.source(item, key), bits=field))
    for word in wanted:
        if word not in known:
            if gone := next((k for k, names in bands_.missing(item).items() if word in names), None):
                raise GeodesError(
                    f"{name_of(item)} is incomplete: the file of {gone} with the class {word!r} is missing. Fetch "
                    "that file, or the whole product."
                )
            there = f"Its masks have: {', '.join(sorted(known))}" if known else "It has no mask with named classes"
            raise GeodesError(f"{name_of(item)} has no class {word!r} to mask{nearest(word, known) or '.'} {there}.")
    return tuple(result)
