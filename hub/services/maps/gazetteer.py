"""Places by name: cities and countries of a list that comes with the lab, and tiles of Sentinel-2's grid.

``places.tsv`` has a line for each: thousands of people (of a city), the country's code, the name, other names, and
where it is; `hub.services.maps.make_places` says whose data they are.
"""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pyproj import CRS, Transformer
from shapely import Polygon, segmentize

LIST = Path(__file__).with_name("places.tsv")
LONG = 80
"""Characters of a name that is looked for."""
_MOST = 8  # places of an answer
_TILE = re.compile(r"T?(\d{1,2})([C-HJ-NP-X])([A-HJ-NP-Z])([A-HJ-NP-V])", re.ASCII)
_MEANT = re.compile(r"T?\d{1,2}[A-Z]{3}|T?\d{2}[A-Z]{0,2}", re.ASCII)
"""What somebody writes who wants a tile, and not a city."""
_SIDE, _WIDE, _PIXEL = 100_000, 109_800, 60  # metres: a square, the tile that begins there, the grid of its corner
_BEYOND = 7.0  # degrees from the middle of a zone, of which 3 are its own, and 6 of some at Norway
_BANDS = "CDEFGHJKLMNPQRSTUVWX"  # of 8 degrees from -80 on; the last has 12


class NoTile(ValueError):
    """What is written is no tile; a sentence in each language."""

    def __init__(self, english: str, french: str) -> None:
        super().__init__(english)
        self.sentences: dict[Literal["en", "fr"], str] = {"en": english, "fr": french}


@dataclass(frozen=True)
class Named:
    """A place of the list."""

    names: tuple[str, ...]
    """The usual one first; of a country the English and the French one."""
    country: str
    """The code of its country."""
    people: int
    """In thousands; of a country 0."""
    at: tuple[float, ...]
    """Longitude and latitude of a city; west, south, east, north of a country."""

    @property
    def box(self) -> list[float]:
        """West, south, east, north in degrees; of a city so many kilometres around as it is large."""
        if len(self.at) == 4:
            return list(self.at)
        longitude, latitude = self.at
        kilometres = 5 if self.people < 100 else 10 if self.people < 1000 else 25
        high = kilometres / 111.2
        wide = high / max(math.cos(math.radians(latitude)), 0.05)
        around = (longitude - wide, max(latitude - high, -90), longitude + wide, min(latitude + high, 90))
        west, south, east, north = (round(v, 4) for v in around)
        return [west + 360 if west < -180 else west, south, east - 360 if east > 180 else east, north]


def folded(text: str) -> str:
    """Return a name without accents, case and signs."""
    text = unicodedata.normalize("NFKD", text.replace("œ", "oe").replace("ß", "ss").replace("ø", "o"))
    plain = "".join(c for c in text if not unicodedata.combining(c)).casefold()
    return " ".join(re.findall(r"[^\W_]+", plain))


def found(text: str, language: Literal["en", "fr"] = "en") -> list[dict[str, Any]]:
    """Return places whose name begins so, or has a word that does: the fitting and the large ones first.

    Parameters
    ----------
    text
        A name, in French or English, or the beginning of one; or a tile such as ``31TCJ`` or ``T31TCJ``.
    language
        Of the names of countries.

    Returns
    -------
    list
        Each with ``name``, ``country`` (its name), ``bbox``, and of a tile ``tile`` and ``geometry``.

    Raises
    ------
    NoTile
        If it is written like a tile, and there is none.
    """
    if len(text) > LONG:
        raise NoTile(f"A name has at most {LONG} characters.", f"Un nom a au plus {LONG} caractères.")
    compact = "".join(text.split()).upper()
    if compact.isascii() and _MEANT.fullmatch(compact):
        return [tile(compact)]
    wanted = folded(text)
    if len(wanted) < 2:
        return []
    ranked = []
    for key, name, place in _keys():
        if key == wanted:
            rank = 0
        elif key.startswith(wanted):
            rank = 1
        elif f" {wanted}" in key:
            rank = 2
        else:
            continue
        # A country before a city of that name; other names after the usual one.
        ranked.append((rank, len(place.at) != 4, -place.people, name != place.names[0], name, place))
    ranked.sort(key=lambda r: r[:5])
    chosen: dict[int, tuple[str, Named]] = {}
    for *_, name, place in ranked:
        if len(chosen) >= _MOST:
            break
        chosen.setdefault(id(place), (name, place))
    return [_told(name, place, language) for name, place in chosen.values()]


def _told(name: str, place: Named, language: Literal["en", "fr"]) -> dict[str, Any]:
    if len(place.at) == 4:
        return {"name": place.names[language == "fr"], "country": "", "bbox": place.box}
    usual = place.names[0]
    shown = usual if folded(name) == folded(usual) else f"{name} ({usual})"
    country = _countries().get(place.country)
    return {"name": shown, "country": country.names[language == "fr"] if country else place.country, "bbox": place.box}


@cache
def _places() -> tuple[Named, ...]:
    several = []
    for line in LIST.read_text(encoding="utf-8").splitlines():
        people, country, name, others, at = line.split("\t")
        names = (name, *(o for o in others.split("|") if o))
        several.append(Named(names, country, int(people or 0), tuple(float(v) for v in at.split(","))))
    return tuple(several)


@cache
def _countries() -> dict[str, Named]:
    return {p.country: p for p in _places() if len(p.at) == 4}


@cache
def _keys() -> tuple[tuple[str, str, Named], ...]:
    return tuple((folded(name), name, place) for place in _places() for name in place.names)


def tile(name: str) -> dict[str, Any]:
    """Return a tile of Sentinel-2's grid, which are the squares of the MGRS, some kilometres wider.

    Raises
    ------
    NoTile
        A sentence, if there is none of this name.
    """
    match = _TILE.fullmatch(name)
    zone = int(match[1]) if match else 0
    if not match or not 1 <= zone <= 60:
        raise NoTile(
            f"{name[:8]} is no tile: a zone from 1 to 60, a band from C to X, two letters, such as 31TCJ.",
            f"{name[:8]} n'est pas une tuile : une zone de 1 à 60, une bande de C à X, deux lettres, comme 31TCJ.",
        )
    band, column, row = match[2], match[3], match[4]
    columns = ("ABCDEFGH", "JKLMNPQR", "STUVWXYZ")[(zone - 1) % 3]
    rows = "ABCDEFGHJKLMNPQRSTUV"
    south = -80 + 8 * _BANDS.index(band)
    if column not in columns:
        raise NoTile(
            f"{name} is no tile: in zone {zone} the letter that follows is one of {', '.join(columns)}.",
            f"{name} n'est pas une tuile : dans la zone {zone}, la lettre qui suit est une de {', '.join(columns)}.",
        )
    west = (columns.index(column) + 1) * _SIDE
    first = (rows.index(row) - (5 if zone % 2 == 0 else 0)) % 20  # the rows of even zones begin five letters later
    degrees = Transformer.from_crs(_utm(zone, south < 0), 4326, always_xy=True)
    middle = 6 * zone - 183
    high = 12 if band == "X" else 8
    for northing in range(first * _SIDE, 10_000_000, 20 * _SIDE):
        square = _around(degrees, west, northing, _SIDE, middle)
        longitudes, latitudes = zip(*square.exterior.coords, strict=True)
        if not (max(latitudes) > south and min(latitudes) < south + high):
            continue
        if min(abs(v - middle) for v in longitudes) > _BEYOND:
            break
        left, top = west // _PIXEL * _PIXEL, -(-(northing + _SIDE) // _PIXEL) * _PIXEL
        shape = _around(degrees, left, top - _WIDE, _WIDE, middle)
        name = f"{zone:02d}{band}{column}{row}"
        return {"name": name, "country": "", "tile": name, "bbox": _wrapped(shape.bounds), "geometry": _rounded(shape)}
    raise NoTile(
        f"{name} is no tile: {column}{row} lies in another zone or band than {zone}{band}.",
        f"{name} n'est pas une tuile : {column}{row} est dans une autre zone ou bande que {zone}{band}.",
    )


def _utm(zone: int, is_south: bool) -> CRS:
    return CRS.from_epsg((32700 if is_south else 32600) + zone)


def _around(degrees: Transformer, west: float, south: float, side: float, middle: float) -> Polygon:
    """A square in degrees, its straight sides in metres by some corners each; it may go on beyond 180 degrees."""
    corners = [(west, south), (west + side, south), (west + side, south + side), (west, south + side)]
    longitudes, latitudes = degrees.transform(*segmentize(Polygon(corners), side / 4).exterior.xy)
    near = [v + 360 * round((middle - v) / 360) for v in longitudes]
    return Polygon(list(zip(near, latitudes, strict=True)))


def _wrapped(bounds: tuple[float, float, float, float]) -> list[float]:
    """Round a box, whose west is east of its east if it lies on both sides of 180 degrees."""
    west, south, east, north = (round(v, 5) for v in bounds)
    return [west + 360 if west < -180 else west, south, east - 360 if east > 180 else east, north]


def _rounded(shape: Polygon) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": [[[round(x, 5), round(y, 5)] for x, y in shape.exterior.coords]]}
