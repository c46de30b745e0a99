"""Maps of colours by name, and their legends."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from rio_tiler.colormap import cmap

from geodes_lab.errors import GeodesError
from geodes_lab.xyz import stretch

NAMES = tuple(sorted(n for n in cmap.list() if not n.endswith("_r") or n.removesuffix("_r") in cmap.list()))
"""The maps of colours that can be asked for."""


def mapped(values: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
    """Return (colour, y, x) of brightness (y, x) by a map of colours."""
    return np.moveaxis(_table(name)[values][..., :3], -1, 0)


def _table(name: str) -> NDArray[np.uint8]:
    if name not in NAMES:
        raise GeodesError(f"There is no map of colours {name[:40]!r}: choose one such as viridis, greys or rdylgn.")
    table = cmap.get(name)
    first = next(iter(table.values()))
    return np.array([table.get(n, first) for n in range(256)], np.uint8)


def legend(name: str, low: float, high: float, title: str = "", gamma: float = 1.0) -> bytes:
    """Draw the legend of a map of colours as PNG: a bar with its lowest, middle and highest number.

    ``gamma`` is that of the map: numbers have the colours that they have there.
    """
    width, height = 260, 58 if title else 42
    brightness = np.power(np.linspace(0, 1, 256), 1 / stretch.checked(gamma))
    bar = np.broadcast_to(np.round(brightness * 255).astype(np.uint8), (16, 256))
    picture = Image.new("RGB", (width, height), "white")
    draw, top = ImageDraw.Draw(picture), 18 if title else 2
    if title:
        draw.text((2, 2), plain(title)[:42], fill="black")
    picture.paste(Image.fromarray(np.ascontiguousarray(np.moveaxis(mapped(bar, name), 0, -1))), (2, top))
    for place, number in ((2, low), (130, (low + high) / 2), (258, high)):
        text = f"{number:.4g}"
        wide = draw.textlength(text)
        draw.text((min(max(place - wide / 2, 0), width - wide), top + 20), text, fill="black")
    return png(picture)


def plain(text: str) -> str:
    """Return a text with the characters that the legend's font has."""
    return text.encode("latin-1", "replace").decode("latin-1")


def png(picture: Image.Image) -> bytes:
    """Encode a picture."""
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()
