"""Colours: of classes, as a product describes them, and maps of colours with their legends."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pystac
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from rio_tiler.colormap import cmap

from geodes_lab.errors import GeodesError, shown
from geodes_lab.products import assets

Colour = tuple[int, int, int, int]
# Twenty colours that are easily told apart, for classes whose product names no colour.
_OTHERS = (
    "1f77b4", "aec7e8", "ff7f0e", "ffbb78", "2ca02c", "98df8a", "d62728", "ff9896", "9467bd", "c5b0d5", "8c564b",
    "c49c94", "e377c2", "f7b6d2", "7f7f7f", "c7c7c7", "bcbd22", "dbdb8d", "17becf", "9edae5",
)  # fmt: skip
_HEX = re.compile(r"#?([0-9a-fA-F]{6})")
_MOST = 256  # classes
NAMES = tuple(sorted(n for n in cmap.list() if not n.endswith("_r") or n.removesuffix("_r") in cmap.list()))
"""The maps of colours that can be asked for."""


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


def mapped(values: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
    """Return (colour, y, x) of brightness (y, x) by a map of colours."""
    return np.moveaxis(_table(name)[values][..., :3], -1, 0)


def _table(name: str) -> NDArray[np.uint8]:
    if name not in NAMES:
        raise GeodesError(f"There is no map of colours {name[:40]!r}: choose one such as viridis, greys or rdylgn.")
    table = cmap.get(name)
    first = next(iter(table.values()))
    return np.array([table.get(n, first) for n in range(256)], np.uint8)


def _of(text: str) -> Colour:
    return int(text[0:2], 16), int(text[2:4], 16), int(text[4:6], 16), 255


def legend(name: str, low: float, high: float, title: str = "") -> bytes:
    """Draw the legend of a map of colours as PNG: a bar with its lowest, middle and highest number."""
    width, height = 260, 58 if title else 42
    bar = np.broadcast_to(np.arange(256, dtype=np.uint8), (16, 256))
    picture = Image.new("RGB", (width, height), "white")
    draw, top = ImageDraw.Draw(picture), 18 if title else 2
    if title:
        draw.text((2, 2), _plain(title)[:42], fill="black")
    picture.paste(Image.fromarray(np.ascontiguousarray(np.moveaxis(mapped(bar, name), 0, -1))), (2, top))
    for place, number in ((2, low), (130, (low + high) / 2), (258, high)):
        text = f"{number:.4g}"
        wide = draw.textlength(text)
        draw.text((min(max(place - wide / 2, 0), width - wide), top + 20), text, fill="black")
    return _png(picture)


def legend_of(known: dict[int, Class]) -> bytes:
    """Draw the legend of classes as PNG: a line for each."""
    picture = Image.new("RGB", (280, max(18 * len(known), 18)), "white")
    draw = ImageDraw.Draw(picture)
    for line, (number, one) in enumerate(sorted(known.items())):
        draw.rectangle((2, 18 * line + 2, 20, 18 * line + 15), fill=one.colour[:3], outline="black")
        draw.text((26, 18 * line + 2), _plain(f"{number} {one.title}")[:40], fill="black")
    return _png(picture)


def _plain(text: str) -> str:
    return text.encode("latin-1", "replace").decode("latin-1")  # what the drawing's own font has


def _png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()
