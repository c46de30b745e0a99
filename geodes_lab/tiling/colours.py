"""The colours of classes, as a product describes them, with a legend."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pystac
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from geodes_lab.errors import GeodesError, shown
from geodes_lab.products import assets
from geodes_lab.xyz.colormaps import plain, png

Colour = tuple[int, int, int, int]
# Twenty colours that are easily told apart, for classes whose product names no colour.
_OTHERS = (
    "1f77b4", "aec7e8", "ff7f0e", "ffbb78", "2ca02c", "98df8a", "d62728", "ff9896", "9467bd", "c5b0d5", "8c564b",
    "c49c94", "e377c2", "f7b6d2", "7f7f7f", "c7c7c7", "bcbd22", "dbdb8d", "17becf", "9edae5",
)  # fmt: skip
_HEX = re.compile(r"#?([0-9a-fA-F]{6})")
_MOST = 256  # classes


@dataclass(frozen=True)
class Class:
    """One class of a band."""

    title: str
    """Its name."""
    colour: Colour
    """Red, green, blue and opacity."""


def classes(item: pystac.Item, key: str) -> dict[int, Class]:
    """Return the classes of a band of a band Item, by number; empty if the product does not describe them."""
    listed = assets.Said("", key, item.assets[key]).classes.get("classification:classes", [])
    known: dict[int, Class] = {}
    for entry in listed[:_MOST]:
        if not isinstance(entry, dict) or type(entry.get("value")) is not int:
            continue
        title = shown(str(entry.get("title") or entry.get("name") or entry.get("description") or entry["value"]))[:60]
        hint = _HEX.fullmatch(str(entry.get("color_hint") or entry.get("color-hint") or ""))
        known[entry["value"]] = Class(title, _of(hint[1] if hint else _OTHERS[len(known) % len(_OTHERS)]))
    return known


def painted(values: NDArray[Any], known: dict[int, Class]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return (colour, y, x) of a band of classes, and where its number is any; others have colours of their own."""
    numbers = np.unique(values)
    if len(numbers) > 4 * _MOST:
        raise GeodesError("This band has too many numbers to be drawn as classes: give rescale= and colormap_name=.")
    table = np.array(
        [known[int(n)].colour if int(n) in known else _of(_OTHERS[int(n) % len(_OTHERS)]) for n in numbers], np.uint8
    ).reshape(-1, 4)
    index = np.searchsorted(numbers, values)
    return np.moveaxis(table[index][..., :3], -1, 0), table[index][..., 3] > 0


def _of(text: str) -> Colour:
    return int(text[0:2], 16), int(text[2:4], 16), int(text[4:6], 16), 255


def legend_of(known: dict[int, Class]) -> bytes:
    """Draw the legend of classes as PNG: a line for each."""
    picture = Image.new("RGB", (280, max(18 * len(known), 18)), "white")
    draw = ImageDraw.Draw(picture)
    for line, (number, one) in enumerate(sorted(known.items())):
        draw.rectangle((2, 18 * line + 2, 20, 18 * line + 15), fill=one.colour[:3], outline="black")
        draw.text((26, 18 * line + 2), plain(f"{number} {one.title}")[:40], fill="black")
    return png(picture)
