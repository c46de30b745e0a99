"""The result of a search: a collection of Items that a notebook shows as a map, a table and small pictures."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from html import escape
from typing import Any

import pystac
from shapely import get_parts
from shapely.geometry import shape

from geodes_lab.catalog import quicklook
from geodes_lab.errors import shown
from geodes_lab.util import coastlines, instant

_ROWS = 12  # rows of the table
_DRAWN = 400  # footprints; more make the page slow, and cannot be distinguished
_PICTURES = 6
_WIDTH, _HEIGHT = 300, 200  # of the map, in pixels
_LEAST = 0.02  # minimum width of the map in degrees
_SUFFIX = re.compile(r"\.(?:SAFE|SEN3|zip|tar|tgz)$", re.IGNORECASE)

Box = tuple[float, float, float, float]
CATALOGUE, ALSO_IN = "geodes:catalogue", "geodes:also_in"
"""Of an Item of a search of several catalogues: the one that it is from, and others with a product of its name."""
CATALOGUES = "geodes:catalogues"
"""Of the whole search: what became of each catalogue."""


class Items(pystac.ItemCollection):
    """An ordered collection of `pystac.Item`: the result of `geodes_lab.search`.

    A slice of it, and the sum of two, are such collections too. A notebook shows it as a map of the footprints, a table
    of the first products, and those quicklooks that are on this machine: no server is contacted.
    """

    def __getitem__(self, chosen: Any) -> Any:
        selection: Any = super().__getitem__(chosen)
        return Items(selection, extra_fields=self.extra_fields) if isinstance(chosen, slice) else selection

    def __add__(self, other: object) -> Items:
        if not isinstance(other, pystac.ItemCollection):
            return NotImplemented
        told = [*self.catalogues, *(other.catalogues if isinstance(other, Items) else ())]
        return Items([*self, *other], extra_fields={CATALOGUES: told} if told else None)

    @property
    def catalogues(self) -> list[dict[str, Any]]:
        """What became of each catalogue of a search of several.

        Its ``name``, how many it ``found`` (at most the limit), and why it ``failed`` (empty: it did not). Empty for
        a search of one.
        """
        return list(self.extra_fields.get(CATALOGUES, ()))

    @property
    def missing(self) -> list[str]:
        """A sentence for each catalogue that failed; empty: the search is complete."""
        return [f"{c['name']}: {c['failed']}" for c in self.catalogues if c["failed"]]

    def distinct(self) -> Items:
        """Return one Item of each product: that of the catalogue that the search named first."""
        order = {c["name"]: n for n, c in enumerate(self.catalogues)}
        places = [order.get(str(i.properties.get(CATALOGUE)), 0) for i in self]
        first: dict[str, int] = {}
        for item, place in zip(self, places, strict=True):
            first[product(item)] = min(first.get(product(item), place), place)
        kept = [i for i, p in zip(self, places, strict=True) if ALSO_IN not in i.properties or p == first[product(i)]]
        return Items(kept, extra_fields=self.extra_fields)

    def lines(self) -> list[str]:
        """Describe each product in a line: acquisition time, platform, place, clouds, name."""
        return ["  ".join(_row(i)).rstrip() for i in self]

    def __repr__(self) -> str:
        more = [f"… and {len(self) - _ROWS} more"] if len(self) > _ROWS else []
        return "\n".join([_counted(len(self)), *self[:_ROWS].lines(), *more, *_origins(self)])

    def _repr_html_(self) -> str:
        told = "".join(f"<p style='margin:4px 0'>{escape(line)}</p>" for line in _origins(self))
        if not len(self):
            return (
                "<p>0 products: widen the dates, the bbox (west, south, east, north: longitudes first) or the cloud "
                f"cover of the search.</p>{told}"
            )
        left = "style='text-align:left;padding:1px 8px;white-space:nowrap'"
        heads = ("acquired", "", "where", "clouds", "product", *(["catalogue"] if self.catalogues else []))
        head = "".join(f"<th {left}>{h}</th>" for h in heads)
        body = "".join(f"<tr>{''.join(f'<td {left}>{escape(c)}</td>' for c in _row(i))}</tr>" for i in self[:_ROWS])
        more = f"<p>… and {len(self) - _ROWS} more</p>" if len(self) > _ROWS else ""
        table = f"<table style='font-size:12px;margin:0'><tr>{head}</tr>{body}</table>{more}"
        columns = f"<div>{_map(list(self))}</div><div style='overflow:auto'>{table}</div>"
        return (
            f"<div><b>{_counted(len(self))}</b>"
            f"<div style='display:flex;gap:12px;align-items:flex-start;margin:4px "
            f"0'>{columns}</div>{_pictures(self)}{told}</div>"
        )


def product(item: pystac.Item) -> str:
    """Return the name of an Item's product, without what some catalogues append, such as ``.SAFE``."""
    return _SUFFIX.sub("", str(item.properties.get("identifier") or item.id))


def _origins(items: Items) -> list[str]:
    """Say where the products of several catalogues are from, which catalogue is missing, and what is there twice."""
    if not items.catalogues:
        return []
    found = ", ".join(f"{c['name']}: {c['found']}" for c in items.catalogues if not c["failed"])
    lines = [f"Found in {found}."] if found else []
    lines += [f"Missing is {sentence}" for sentence in items.missing]
    if several := sum(ALSO_IN in i.properties for i in items):
        lines.append(f"{several} of these are in several catalogues: .distinct() keeps one of each.")
    return [shown(line)[:500] for line in lines]


def _counted(number: int) -> str:
    return f"{number} product{'' if number == 1 else 's'}"


def _row(item: pystac.Item) -> tuple[str, ...]:
    """Return a product's cells, whatever its catalogue contains.

    Short words, in one line, without control characters.
    """
    p = item.properties
    when = f"{time:%Y-%m-%d %H:%M}" if (time := instant.begin(item)) else ""
    where = str(p.get("grid:code") or p.get("sat:orbit_state") or "").removeprefix("MGRS-")
    origin = [str(p[CATALOGUE])[:80]] if CATALOGUE in p else []
    words = (when, str(p.get("platform", ""))[:40], where[:40], clouds(item), str(item.id)[:200], *origin)
    return tuple(map(shown, words))


def clouds(item: pystac.Item) -> str:
    """Return the cloud cover for people; empty if there is no such number."""
    cover = item.properties.get("eo:cloud_cover")
    return f"{cover:.0f} %" if isinstance(cover, (int, float)) and not isinstance(cover, bool) else ""


def _map(items: list[pystac.Item]) -> str:
    """Draw the footprints as a small SVG, over the outlines of the countries if there are some."""
    rings = [r for i in items[:_DRAWN] if i.geometry for r in _rings(i.geometry)]
    if not rings:
        return ""
    xs, ys = [x for r in rings for x, _ in r], [y for r in rings for _, y in r]
    box = _around((min(xs), min(ys), max(xs), max(ys)))
    opacity = max(0.05, min(0.35, 2 / len(rings)))
    drawn = "".join(f"<path d='{_path(r, box)}'/>" for r in rings)
    # The extent of the footprints, not of the picture: users copy it as the box of a search.
    extent = f"{min(xs):.2f}° to {max(xs):.2f}° E, {min(ys):.2f}° to {max(ys):.2f}° N"
    return (
        f"<svg width='{_WIDTH}' height='{_HEIGHT}' viewBox='0 0 {_WIDTH} {_HEIGHT}' role='img' "
        f"aria-label='Footprints, {extent}' style='background:#e8eef3;border:1px solid "
        f"#c9d2da'><title>{extent}</title><g fill='#f7f5ef' stroke='#9fb0bf' "
        f"stroke-width='0.7'>{''.join(_countries(box))}</g><g fill='#0b63b5' fill-opacity='{opacity:.2f}' "
        f"stroke='#0b63b5'>{drawn}</g><text x='4' y='{_HEIGHT - 5}' font-size='10' "
        f"fill='#4a5a68'>{extent}</text></svg>"
    )


def _countries(box: Box) -> Iterator[str]:
    for feature in (coastlines.outlines() or {}).get("features", []):
        for ring in _rings(feature["geometry"]):
            xs, ys = [x for x, _ in ring], [y for _, y in ring]
            if min(xs) <= box[2] and max(xs) >= box[0] and min(ys) <= box[3] and max(ys) >= box[1]:
                yield f"<path d='{_path(ring, box)}'/>"


def _rings(geometry: dict[str, Any]) -> list[list[tuple[float, float]]]:
    polygons = [p for p in get_parts(shape(geometry)) if p.geom_type == "Polygon"]
    return [[(float(x), float(y)) for x, y, *_ in p.exterior.coords] for p in polygons]


def _around(box: Box) -> Box:
    """Return the extent of the map: the box with a margin, in the map's proportions; degrees are drawn square."""
    west, south, east, north = box
    wide = max((east - west) * 1.4, (north - south) * 1.4 * _WIDTH / _HEIGHT, _LEAST)
    high = wide * _HEIGHT / _WIDTH
    x, y = (west + east) / 2, (south + north) / 2
    return x - wide / 2, y - high / 2, x + wide / 2, y + high / 2


def _path(ring: list[tuple[float, float]], box: Box) -> str:
    west, south, east, north = box
    places = (
        f"{(x - west) / (east - west) * _WIDTH:.1f},{(north - y) / (north - south) * _HEIGHT:.1f}" for x, y in ring
    )
    return f"M{'L'.join(places)}Z"


def _pictures(items: Iterable[pystac.Item]) -> str:
    """Show the quicklooks on this machine, of the first products that have one."""
    figures: list[str] = []
    for item in items:
        if len(figures) == _PICTURES:
            figures.append(f"<span style='font-size:11px'>the first {_PICTURES}</span>")
            break
        if (seen := quicklook.local(item)) is not None:
            data, kind = seen
            when = f"{time:%Y-%m-%d}" if (time := instant.begin(item)) else ""
            source = f"data:{escape(kind, quote=True)};base64,{base64.b64encode(data).decode()}"
            name = escape(str(item.id), quote=True)
            figures.append(
                f"<figure style='margin:0'><img src='{source}' alt='{name}' title='{name}' height='110'/><figcaption "
                f"style='font-size:11px'>{when}</figcaption></figure>"
            )
    return f"<div style='display:flex;gap:6px;flex-wrap:wrap'>{''.join(figures)}</div>" if figures else ""
